"""Datasets and tables of the warehouse: what is declared, and DuckDB's tables that hold it.

A table is ``wh.main.t<number>`` in DuckDB; its name, spelling, schema and times are kept in ``wh.catalog`` as they
were declared. So no name from outside is ever an identifier but a column's, and ``ct`` and ``CT`` are two tables,
as they are in BigQuery. Both change in one transaction.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse import Cursor, Warehouse
from dicomkit.engine.persistence.warehouse_types import Field, column_type, is_repeated, quote

__all__ = ["Catalog", "DatasetEntry", "DatasetKey", "TableEntry"]

DatasetKey: TypeAlias = tuple[str, str]
"""(project, dataset)."""

_TABLES = (
    "CREATE SCHEMA IF NOT EXISTS wh.catalog",
    "CREATE TABLE IF NOT EXISTS wh.catalog.datasets (project VARCHAR, dataset VARCHAR, resource VARCHAR, "
    "etag VARCHAR, created BIGINT, modified BIGINT, PRIMARY KEY (project, dataset))",
    "CREATE TABLE IF NOT EXISTS wh.catalog.tables (number BIGINT PRIMARY KEY, project VARCHAR, dataset VARCHAR, "
    "name VARCHAR, resource VARCHAR, etag VARCHAR, created BIGINT, modified BIGINT)",
    "CREATE SEQUENCE IF NOT EXISTS wh.catalog.numbers",
    "CREATE TABLE IF NOT EXISTS wh.catalog.loads (name VARCHAR PRIMARY KEY, loaded BIGINT)",
)

_LOADS_KEPT_MS = 60 * 24 * 3600 * 1000
"""How long the name of a load is kept; longer than an operation that could ask for it again."""


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """A dataset: the declared part of its resource, and what the catalogue adds. Times are milliseconds."""

    key: DatasetKey
    resource: dict[str, Any]
    etag: str
    created: int
    modified: int


@dataclass(frozen=True, slots=True)
class TableEntry:
    """A table: the declared part of its resource, and what the catalogue adds. Times are milliseconds."""

    reference: TableReference
    number: int
    resource: dict[str, Any]
    etag: str
    created: int
    modified: int

    @property
    def fields(self) -> list[Field]:
        """The schema."""
        fields: list[Field] = self.resource["schema"]["fields"]
        return fields

    @property
    def is_view(self) -> bool:
        """Whether the rows are those of a query; the table in DuckDB is then empty and never read."""
        return "view" in self.resource

    @property
    def physical(self) -> str:
        """DuckDB's name of the table, ready for SQL."""
        return f"wh.main.t{int(self.number)}"


class Catalog:
    """The declared datasets and tables, held in memory and written through.

    Reading needs no lock: entries are immutable and a dictionary is replaced as a whole. A change runs inside
    :meth:`Warehouse.transaction` and becomes visible when that has committed.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        with warehouse.transaction() as cursor:
            for statement in _TABLES:
                cursor.execute(statement)
            self.datasets = {
                (project, dataset): DatasetEntry((project, dataset), orjson.loads(resource), etag, created, modified)
                for project, dataset, resource, etag, created, modified in cursor.execute(
                    "SELECT project, dataset, resource, etag, created, modified FROM wh.catalog.datasets"
                ).fetchall()
            }
            self.tables = {
                reference: TableEntry(reference, number, orjson.loads(resource), etag, created, modified)
                for number, reference, resource, etag, created, modified in (
                    (number, TableReference(project, dataset, name), *rest)
                    for number, project, dataset, name, *rest in cursor.execute(
                        "SELECT number, project, dataset, name, resource, etag, created, modified "
                        "FROM wh.catalog.tables"
                    ).fetchall()
                )
            }

    def put_dataset(self, key: DatasetKey, resource: dict[str, Any]) -> DatasetEntry:
        """Declare a dataset, or declare it anew."""
        with self._warehouse.lock:
            now, old = _now(), self.datasets.get(key)
            entry = DatasetEntry(key, resource, _etag(), old.created if old else now, now)
            with self._warehouse.transaction() as cursor:
                cursor.execute(
                    "INSERT OR REPLACE INTO wh.catalog.datasets VALUES ($1, $2, $3, $4, $5, $6)",
                    [*key, _text(resource), entry.etag, entry.created, entry.modified],
                )
            self.datasets = {**self.datasets, key: entry}
            return entry

    def change_dataset(self, old: DatasetEntry, resource: dict[str, Any]) -> DatasetEntry | None:
        """Declare *old* anew; ``None``, and nothing done, when the dataset is no longer as *old* says."""
        with self._warehouse.lock:
            return self.put_dataset(old.key, resource) if self.datasets.get(old.key) is old else None

    def drop_dataset(self, key: DatasetKey) -> None:
        """Remove a dataset with all its tables."""
        with self._warehouse.lock:
            gone = [
                entry for entry in self.tables.values() if (entry.reference.project, entry.reference.dataset) == key
            ]
            with self._warehouse.transaction() as cursor:
                for entry in gone:
                    _drop(cursor, entry)
                cursor.execute("DELETE FROM wh.catalog.datasets WHERE project = $1 AND dataset = $2", list(key))
            left = {entry.reference for entry in gone}
            self.tables = {reference: entry for reference, entry in self.tables.items() if reference not in left}
            self.datasets = {other: entry for other, entry in self.datasets.items() if other != key}

    def create_table(self, reference: TableReference, resource: dict[str, Any]) -> TableEntry | None:
        """Declare a table and make it; ``None`` when there is one already."""
        with self._warehouse.lock:
            if reference in self.tables:
                return None
            with self._warehouse.transaction() as cursor:
                entry = self._made(cursor, reference, resource)
            self.tables = {**self.tables, reference: entry}
            return entry

    def change_table(self, old: TableEntry, resource: dict[str, Any]) -> TableEntry | None:
        """Declare *old* anew, with columns that only grow: new ones, and new fields in records.

        ``None``, and nothing done, when the table is no longer as *old* says.
        """
        with self._warehouse.lock:
            if self.tables.get(old.reference) is not old:
                return None
            with self._warehouse.transaction() as cursor:
                entry = self._grown(cursor, old, resource)
            self.tables = {**self.tables, entry.reference: entry}
            return entry

    def write_table(
        self,
        reference: TableReference,
        old: TableEntry | None,
        resource: dict[str, Any],
        fill: Callable[[Cursor, TableEntry], None],
        *,
        replace: bool = False,
    ) -> TableEntry | None:
        """Declare a table and fill it in one transaction: others see all of it or nothing.

        Parameters
        ----------
        old
            The table as it was read, ``None`` for one that is not there. When that is no longer so, or the dataset is
            gone, nothing is done and ``None`` returned.
        fill
            Inserts the rows; what it raises undoes the declaration, too.
        replace
            Let go of the rows and columns that are there.
        """
        with self._warehouse.lock:
            if self.tables.get(reference) is not old or (reference.project, reference.dataset) not in self.datasets:
                return None
            with self._warehouse.transaction() as cursor:
                if old is None or replace:
                    if old is not None:
                        _drop(cursor, old)
                    entry = self._made(cursor, reference, resource)
                elif resource == old.resource:
                    entry = old
                else:
                    entry = self._grown(cursor, old, resource)
                fill(cursor, entry)
            if entry is not old:
                self.tables = {**self.tables, reference: entry}
            return entry

    def drop_table(self, entry: TableEntry) -> None:
        """Remove a table and its rows."""
        with self._warehouse.lock:
            if entry.reference not in self.tables:
                return
            with self._warehouse.transaction() as cursor:
                _drop(cursor, entry)
            self.tables = {name: other for name, other in self.tables.items() if name != entry.reference}

    def _made(self, cursor: Cursor, reference: TableReference, resource: dict[str, Any]) -> TableEntry:
        (number,) = cursor.execute("SELECT nextval('wh.catalog.numbers')").fetchone() or (0,)
        now = _now()
        entry = TableEntry(reference, number, resource, _etag(), now, now)
        columns = "" if entry.is_view else ", ".join(_column(field) for field in entry.fields)
        # DuckDB has no table without a column; BigQuery has.
        cursor.execute(f"CREATE TABLE {entry.physical} ({columns or '__dk_none BOOLEAN'})")
        names = [reference.project, reference.dataset, reference.table]
        cursor.execute(
            "INSERT INTO wh.catalog.tables VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            [number, *names, _text(resource), entry.etag, now, now],
        )
        return entry

    def _grown(self, cursor: Cursor, old: TableEntry, resource: dict[str, Any]) -> TableEntry:
        entry = TableEntry(old.reference, old.number, resource, _etag(), old.created, _now())
        for statement in growth(old, entry.fields):
            cursor.execute(statement)
        cursor.execute(
            "UPDATE wh.catalog.tables SET resource = $1, etag = $2, modified = $3 WHERE number = $4",
            [_text(resource), entry.etag, entry.modified, entry.number],
        )
        return entry

    def has_load(self, name: str) -> bool:
        """Whether a load of this name was committed."""
        found = self._warehouse.read("SELECT 1 FROM wh.catalog.loads WHERE name = $1", [name])
        return bool(found.table.num_rows)

    def note_load(self, cursor: Cursor, name: str) -> None:
        """Keep the name of a load, inside its transaction: who was interrupted can ask whether it was committed."""
        now = _now()
        cursor.execute("DELETE FROM wh.catalog.loads WHERE loaded < $1", [now - _LOADS_KEPT_MS])
        cursor.execute("INSERT INTO wh.catalog.loads VALUES ($1, $2)", [name, now])

    def count_rows(self, entry: TableEntry) -> int:
        """Rows of a table; DuckDB answers from its statistics."""
        result = self._warehouse.read(f"SELECT count(*) FROM {entry.physical}")  # noqa: S608 - a name of ours
        return int(result.table.column(0)[0].as_py())


def growth(old: TableEntry, fields: Sequence[Field]) -> list[str]:
    """``ALTER TABLE`` statements that make the columns of *old* those of *fields*.

    A struct is cast by field name and what is new in it is NULL, so that rows keep what they had.
    """
    if old.is_view:
        return []
    known = {field["name"].lower(): field for field in old.fields}
    statements = []
    for field in fields:
        before = known.get(field["name"].lower())
        if before is None:
            statements.append(f"ALTER TABLE {old.physical} ADD COLUMN {_column(field)}")
            if is_repeated(field):
                # A REPEATED column is never NULL in BigQuery. DEFAULT [] would say so, but DuckDB 1.5 changes a setting
                # for it, and the settings are locked; this takes 10 ms for 100,000 rows.
                name = quote(field["name"])
                kind = f"{column_type(field)} USING coalesce({name}, [])"
                statements.append(f"ALTER TABLE {old.physical} ALTER COLUMN {name} SET DATA TYPE {kind}")
        elif column_type(before) != column_type(field):
            kind = column_type(field)
            statements.append(f"ALTER TABLE {old.physical} ALTER COLUMN {quote(before['name'])} SET DATA TYPE {kind}")
    return statements


def _column(field: Field) -> str:
    return f"{quote(field['name'])} {column_type(field)}"


def _drop(cursor: Cursor, entry: TableEntry) -> None:
    cursor.execute(f"DROP TABLE {entry.physical}")
    cursor.execute("DELETE FROM wh.catalog.tables WHERE number = $1", [entry.number])


def _now() -> int:
    return time.time_ns() // 1_000_000


def _etag() -> str:
    return secrets.token_urlsafe(12)


def _text(resource: object) -> str:
    return orjson.dumps(resource).decode()
