"""What the names of a statement stand for: tables, views, wildcards, INFORMATION_SCHEMA.

Source: GoogleSQL reference, "Lexical structure" (path expressions); BigQuery documentation, "Query multiple
tables using a wildcard table" (``_TABLE_SUFFIX``, the schema of the table that was made last).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse_catalog import Catalog, TableEntry
from dicomkit.engine.persistence.warehouse_types import column_type, quote
from dicomkit.engine.services.bigquery_errors import invalid_query, not_found, not_supported, table_name
from dicomkit.engine.services.bigquery_information import information_view
from dicomkit.engine.services.bigquery_tables import estimated_bytes
from dicomkit.engine.services.googlesql.translate import translate
from dicomkit.engine.services.googlesql.types import STRING, Type, text_literal
from dicomkit.engine.services.googlesql.writer import PhysicalTable
from dicomkit.errors import InvalidArgument

__all__ = ["NamedTables"]

MAX_VIEWS = 16
"""Most levels of views in views (BigQuery, "Quotas and limits")."""

MAX_MATCHES = 1_000
"""Most tables that a wildcard may match (BigQuery, "Quotas and limits")."""

SUFFIX = "_TABLE_SUFFIX"

Types: TypeAlias = Callable[[TableEntry], Sequence[tuple[str, Type]]]

_Read = tuple[PhysicalTable, frozenset[str] | None]


class NamedTables:
    """Finds tables for one statement, and remembers which it found.

    Parameters
    ----------
    types
        Names and types of a table's columns.
    project, dataset
        Of names that do not say; there need not be a dataset.
    """

    def __init__(self, catalog: Catalog, types: Types, project: str, dataset: str | None) -> None:
        self._catalog = catalog
        self._types = types
        self._project = project
        self._dataset = dataset
        self._depth = 0
        self._entries: dict[str, TableEntry] = {}
        self._groups: dict[str, list[TableEntry]] = {}
        self._inner: list[_Read] = []

    def find(self, names: Sequence[str]) -> PhysicalTable:
        """The table of a path of one to three names, or more where a name has dots."""
        return self._find(names, self._project, self._dataset)

    def entry(self, names: Sequence[str]) -> TableEntry:
        """The table that a statement changes.

        Raises
        ------
        NotFound
            There is none.
        InvalidArgument
            It is a view.
        """
        reference = self.reference(names)
        entry = self._known(reference)
        if entry.is_view:
            name = table_name(reference)
            raise invalid_query(f"{name} is not allowed for this operation because it is currently a VIEW.")
        self._entries[str(reference)] = entry
        return entry

    def reference(self, names: Sequence[str]) -> TableReference:
        """The whole name, whether there is such a table or not."""
        parts = _parts(names, self._project, self._dataset)
        try:
            return TableReference(*parts)
        except InvalidArgument as error:
            raise invalid_query(error.message) from None

    def references(self) -> list[TableReference]:
        """The tables that were found."""
        return [entry.reference for entry in self._entries.values()]

    def size(self, read: Iterable[_Read]) -> int:
        """The estimate of the bytes that are read: rows by the types of the columns that are named."""
        total = 0
        for table, named in (*read, *self._inner):
            group = self._groups.get(table.key)
            if group is None:
                # Reading INFORMATION_SCHEMA is at least 10 MB in BigQuery.
                total += 10 << 20
            for entry in group or ():
                if not entry.is_view:
                    total += self._catalog.count_rows(entry) * max(estimated_bytes(entry.fields, named), 1)
        return total

    def _find(self, names: Sequence[str], project: str, dataset: str | None) -> PhysicalTable:
        view = self._information(names, project, dataset)
        if view is not None:
            return view
        parts = _parts(names, project, dataset)
        if parts[2].endswith("*"):
            return self._wildcard(*parts)
        try:
            reference = TableReference(*parts)
        except InvalidArgument as error:
            raise invalid_query(error.message) from None
        entry = self._known(reference)
        text = self._view(entry) if entry.is_view else entry.physical
        table = PhysicalTable(str(reference), text, self._types(entry))
        self._entries[table.key] = entry
        self._groups[table.key] = [entry]
        return table

    def _known(self, reference: TableReference) -> TableEntry:
        entry = self._catalog.tables.get(reference)
        if entry is None:
            names = (reference.project, reference.dataset)
            known = names in self._catalog.datasets
            raise not_found(*(("Table", table_name(reference)) if known else ("Dataset", ":".join(names))))
        return entry

    def _view(self, entry: TableEntry) -> str:
        if self._depth >= MAX_VIEWS:
            raise invalid_query(f"Too many nested views; the limit is {MAX_VIEWS}")
        self._depth += 1
        find: Callable[[Sequence[str]], PhysicalTable] = lambda names: self._find(names, entry.reference.project, None)  # noqa: E731
        translation = translate(entry.resource["view"]["query"], find)
        self._depth -= 1
        self._inner.extend(translation.tables)
        return f"({translation.sql})"

    def _wildcard(self, project: str, dataset: str, pattern: str) -> PhysicalTable:
        prefix = pattern[:-1]
        if "*" in prefix:
            raise invalid_query("A wildcard table has one *, at its end")
        if (project, dataset) not in self._catalog.datasets:
            raise not_found("Dataset", f"{project[:300]}:{dataset[:300]}")
        group = [
            entry
            for reference, entry in self._catalog.tables.items()
            if (reference.project, reference.dataset) == (project, dataset) and reference.table.startswith(prefix)
        ]
        if not group:
            raise invalid_query(f"{project}:{dataset}.{pattern} does not match any table.")
        if len(group) > MAX_MATCHES:
            raise invalid_query(f"{pattern} matches {len(group)} tables; the limit is {MAX_MATCHES}")
        for entry in group:
            if entry.is_view:
                raise invalid_query(
                    f"Views cannot be queried through prefix. First view {table_name(entry.reference)}."
                )
        newest = max(group, key=lambda entry: entry.number)
        selects = [_as(entry, newest, entry.reference.table.removeprefix(prefix)) for entry in group]
        key = f"{project}.{dataset}.{pattern}"
        self._groups[key] = group
        self._entries |= {str(entry.reference): entry for entry in group}
        return PhysicalTable(
            key,
            f"({' UNION ALL '.join(selects)})",
            self._types(newest),
            hidden=[(SUFFIX, STRING)],
        )

    def _information(self, names: Sequence[str], project: str, dataset: str | None) -> PhysicalTable | None:
        """A view of INFORMATION_SCHEMA; ``None`` for another table."""
        parts = ".".join(names).split(".")
        place = next((n for n, part in enumerate(parts) if part.upper() == "INFORMATION_SCHEMA"), None)
        if place is None:
            return None
        before, view = parts[:place], parts[place + 1 :]
        if len(view) != 1 or len(before) > 2 or (before and before[-1].lower().startswith("region-")):
            raise not_supported("INFORMATION_SCHEMA of anything but one dataset")
        if before:
            project, dataset = (before[0] if len(before) == 2 else project), before[-1]
        if dataset is None:
            raise invalid_query("INFORMATION_SCHEMA must be qualified with a dataset")
        if (project, dataset) not in self._catalog.datasets:
            raise not_found("Dataset", f"{project[:300]}:{dataset[:300]}")
        entries = [
            entry
            for reference, entry in self._catalog.tables.items()
            if (reference.project, reference.dataset) == (project, dataset)
        ]
        return information_view(project, dataset, view[0], entries)


def _parts(names: Sequence[str], project: str, dataset: str | None) -> tuple[str, str, str]:
    # In one pair of back-ticks the names come as one, with dots.
    parts = ".".join(names).rsplit(".", 2)
    if len(parts) == 1 and dataset is not None:
        parts = [dataset, *parts]
    if len(parts) == 2:
        parts = [project, *parts]
    if len(parts) != 3:
        raise invalid_query(f'Table "{parts[0][:80]}" must be qualified with a dataset (e.g. dataset.table).')
    return parts[0], parts[1], parts[2]


def _as(entry: TableEntry, newest: TableEntry, suffix: str) -> str:
    """The rows of *entry* with the columns of *newest*."""
    known = {field["name"].lower(): field for field in entry.fields}
    items = []
    for field in newest.fields:
        mine, kind = known.get(field["name"].lower()), column_type(field)
        if mine is None:
            text = f"CAST({'[]' if field['mode'] == 'REPEATED' else 'NULL'} AS {kind})"
        elif column_type(mine) == kind:
            text = quote(mine["name"])
        elif mine["type"] == field["type"] == "RECORD" and mine["mode"] == field["mode"]:
            text = f"CAST({quote(mine['name'])} AS {kind})"
        else:
            raise invalid_query(
                f"Cannot read field of type {mine['type']} as {field['type']} Field: {field['name']}, in table "
                f"{table_name(entry.reference)}"
            )
        items.append(f"{text} AS {quote(field['name'])}")
    items.append(f"{text_literal(suffix)} AS {quote(SUFFIX)}")
    return f"SELECT {', '.join(items)} FROM {entry.physical}"  # noqa: S608 - names of ours, quoted
