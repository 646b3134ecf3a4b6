"""INFORMATION_SCHEMA of a dataset: its tables, their columns, and every field inside of them.

The views are made from the catalogue when a query names one. Columns of BigQuery's views that say nothing about an
embedded table (policies, replicas, base tables of snapshots) are left out, so that ``SELECT *`` has fewer.

Source: BigQuery documentation, "COLUMNS view", "COLUMN_FIELD_PATHS view", "TABLES view", "VIEWS view".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence

from dicomkit.engine.persistence.warehouse_catalog import TableEntry
from dicomkit.engine.persistence.warehouse_types import Field, canonical_type, is_repeated, quote, scalar_type
from dicomkit.engine.services.bigquery_errors import not_supported
from dicomkit.engine.services.googlesql.types import Type, text_literal
from dicomkit.engine.services.googlesql.writer import PhysicalTable

__all__ = ["information_view"]

_Row = tuple["str | int | None", ...]

_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}

_COLUMNS = (
    "table_catalog table_schema table_name column_name ordinal_position:INTEGER is_nullable data_type is_generated "
    "generation_expression is_stored is_hidden is_updatable is_system_defined is_partitioning_column "
    "clustering_ordinal_position:INTEGER collation_name column_default rounding_mode"
)
_PATHS = (
    "table_catalog table_schema table_name column_name field_path data_type description collation_name rounding_mode"
)
_TABLES = (
    "table_catalog table_schema table_name table_type is_insertable_into is_typed creation_time:TIMESTAMP "
    "default_collation_name"
)
_VIEWS = "table_catalog table_schema table_name view_definition check_option use_standard_sql"


def information_view(project: str, dataset: str, view: str, entries: Iterable[TableEntry]) -> PhysicalTable:
    """One of the views, over the tables of a dataset.

    Raises
    ------
    InvalidArgument
        BigQuery may have the view; the embedded one does not.
    """
    made = _KINDS.get(view.upper())
    if made is None:
        raise not_supported(f"INFORMATION_SCHEMA.{view[:80]}")
    names, rows_of = made
    columns = [(name, kind or "STRING") for name, _, kind in (text.partition(":") for text in names.split())]
    rows = [
        (project, dataset, entry.reference.table, *rest)
        for entry in sorted(entries, key=lambda entry: entry.reference.table)
        for rest in rows_of(entry)
    ]
    key = f"{project}.{dataset}.INFORMATION_SCHEMA.{view.upper()}"
    return PhysicalTable(key, _sql(columns, rows), [(name, Type(kind)) for name, kind in columns])


def _sql(columns: Sequence[tuple[str, str]], rows: Sequence[_Row]) -> str:
    """The rows as a subquery; every value is a literal."""
    listed = ", ".join(f"CAST({name} AS {scalar_type(kind)}) AS {quote(name)}" for name, kind in columns)
    values = ", ".join("(" + ", ".join(map(_literal, row)) + ")" for row in rows)
    nothing = "(" + ", ".join("NULL" for _ in columns) + ")"
    names = ", ".join(name for name, _ in columns)
    # VALUES needs a row to be something.
    where = "" if rows else " WHERE false"
    return f"(SELECT {listed} FROM (VALUES {values or nothing}) AS v({names}){where})"  # noqa: S608 - literals only


def _literal(value: str | int | None) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else text_literal(value)


def _columns(entry: TableEntry) -> Iterator[_Row]:
    clustering = (entry.resource.get("clustering") or {}).get("fields") or []
    places = {str(name).lower(): number for number, name in enumerate(clustering, 1)}
    partition = str((entry.resource.get("timePartitioning") or {}).get("field") or "").lower()
    for number, field in enumerate(entry.fields, 1):
        name = field["name"]
        nullable = "NO" if field["mode"] in ("REQUIRED", "REPEATED") else "YES"
        yield (
            *(name, number, nullable, _type(field), "NEVER", None, None, "NO", None, "NO"),
            *("YES" if name.lower() == partition else "NO", places.get(name.lower()), "NULL", "NULL", None),
        )


def _paths(entry: TableEntry) -> Iterator[_Row]:
    for field in entry.fields:
        yield from _inside(field, field["name"], field["name"])


def _inside(field: Field, column: str, path: str) -> Iterator[_Row]:
    yield column, path, _type(field), field.get("description"), "NULL", None
    for part in field.get("fields", ()):
        yield from _inside(part, column, f"{path}.{part['name']}")


def _tables(entry: TableEntry) -> Iterator[_Row]:
    made = dt.datetime.fromtimestamp(entry.created / 1000, dt.UTC).isoformat()
    yield "VIEW" if entry.is_view else "BASE TABLE", "NO" if entry.is_view else "YES", "NO", made, "NULL"


def _views(entry: TableEntry) -> Iterator[_Row]:
    if entry.is_view:
        yield str(entry.resource["view"]["query"]), None, "YES"


def _type(field: Field) -> str:
    """The type in GoogleSQL's words."""
    kind = canonical_type(field["type"])
    if kind == "RECORD":
        name = "STRUCT<" + ", ".join(f"{part['name']} {_type(part)}" for part in field["fields"]) + ">"
    else:
        name = _NAMES.get(kind, kind)
    return f"ARRAY<{name}>" if is_repeated(field) else name


_KINDS: dict[str, tuple[str, Callable[[TableEntry], Iterator[_Row]]]] = {
    "COLUMNS": (_COLUMNS, _columns),
    "COLUMN_FIELD_PATHS": (_PATHS, _paths),
    "TABLES": (_TABLES, _tables),
    "VIEWS": (_VIEWS, _views),
}
