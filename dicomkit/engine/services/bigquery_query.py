"""A query from GoogleSQL to its rows: tables of the catalogue, translation, the run, the error in BigQuery's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse import Cursor, Result, Warehouse
from dicomkit.engine.persistence.warehouse_catalog import Catalog, TableEntry
from dicomkit.engine.persistence.warehouse_types import Field
from dicomkit.engine.services.bigquery_errors import (
    invalid_query,
    job_error,
    not_found,
    not_supported,
    object_in,
    table_name,
)
from dicomkit.engine.services.bigquery_information import information_view
from dicomkit.engine.services.bigquery_parameters import query_parameters
from dicomkit.engine.services.bigquery_tables import estimated_bytes
from dicomkit.engine.services.googlesql.translate import Translation, translate
from dicomkit.engine.services.googlesql.types import Type, from_field
from dicomkit.engine.services.googlesql.writer import PhysicalTable
from dicomkit.errors import ApiError, InvalidArgument

__all__ = ["Prepared", "Queries"]

MAX_VIEWS = 16
"""Most levels of views in views (BigQuery, "Quotas and limits")."""

_INTERNAL_NAME = re.compile(r"\b__dk_[a-z]+[0-9]+\.?|\bwh\.main\.")
_OWN_MESSAGES = re.compile(
    r"(division by zero|Bad [a-z0-9]+ value in a CAST|Array index is out of bounds|Third argument in SUBSTR[^\n]*"
    r"|CAST of BYTES to STRING[^\n]*)"
)
"""What the macros of the warehouse say; any other message of DuckDB may hold a value."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A query that can run."""

    translation: Translation
    tables: list[TableReference]
    total_bytes: int
    """The estimate of what is read."""


class Queries:
    """Translates and runs."""

    def __init__(self, warehouse: Warehouse, catalog: Catalog) -> None:
        self._warehouse = warehouse
        self._catalog = catalog
        self._columns: dict[int, tuple[TableEntry, list[tuple[str, Type]]]] = {}

    def prepare(self, project: str, request: Mapping[str, Any]) -> Prepared:
        """Translate; *request* is ``JobConfigurationQuery`` or ``QueryRequest``."""
        sql = request.get("query")
        if not isinstance(sql, str) or not sql.strip():
            raise invalid_query("Required parameter is missing: query")
        if request.get("useLegacySql") is True:
            raise not_supported("legacy SQL")
        default = object_in(request, "defaultDataset")
        entries: dict[str, TableEntry] = {}
        read: list[tuple[PhysicalTable, frozenset[str] | None]] = []
        find = self._finder(default.get("projectId") or project, default.get("datasetId"), entries, read, 0)
        parameters = query_parameters(request.get("parameterMode"), request.get("queryParameters"))
        translation = translate(sql, find, parameters)
        size = 0
        for table, named in (*translation.tables, *read):
            entry = entries.get(table.key)
            if entry is None:
                # Reading INFORMATION_SCHEMA is at least 10 MB in BigQuery.
                size += 10 << 20
            elif not entry.is_view:
                size += self._catalog.count_rows(entry) * max(estimated_bytes(entry.fields, named), 1)
        return Prepared(translation, [entry.reference for entry in entries.values()], size)

    def columns(self, project: str, sql: str) -> list[Field]:
        """The schema of a query that stands alone, as a view's does."""
        prepared = self.prepare(project, {"query": sql})
        return self.describe(prepared).fields

    def _finder(
        self,
        project: str,
        dataset: str | None,
        entries: dict[str, TableEntry],
        read: list[tuple[PhysicalTable, frozenset[str] | None]],
        depth: int,
    ) -> Callable[[Sequence[str]], PhysicalTable]:
        """Finds tables for the translator.

        *entries* gets every table by its key, *read* the tables that are read by the queries of views.
        """

        def find(names: Sequence[str]) -> PhysicalTable:
            view = self._information(names, project, dataset)
            if view is not None:
                return view
            entry = self._table(names, project, dataset)
            text = entry.physical
            if entry.is_view:
                if depth >= MAX_VIEWS:
                    raise invalid_query(f"Too many nested views; the limit is {MAX_VIEWS}")
                inner = self._finder(entry.reference.project, None, entries, read, depth + 1)
                translation = translate(entry.resource["view"]["query"], inner)
                read.extend(translation.tables)
                text = f"({translation.sql})"
            table = PhysicalTable(str(entry.reference), text, self._types(entry))
            entries[table.key] = entry
            return table

        return find

    def describe(self, prepared: Prepared) -> Result:
        """The query's schema, without its rows."""
        sql = f"SELECT * FROM ({prepared.translation.sql}) LIMIT 0"  # noqa: S608 - the translator's own text
        return self._run(sql, prepared, None)

    def run(self, prepared: Prepared, cursor: Cursor) -> Result:
        """All rows; another thread may interrupt *cursor*."""
        return self._run(prepared.translation.sql, prepared, cursor)

    def _run(self, sql: str, prepared: Prepared, cursor: Cursor | None) -> Result:
        try:
            return self._warehouse.read(sql, prepared.translation.values, cursor=cursor)
        except duckdb.Error as error:
            raise _explained(error) from None

    def _table(self, names: Sequence[str], project: str, dataset: str | None) -> TableEntry:
        # In one pair of back-ticks the names come as one, with dots.
        parts = ".".join(names).rsplit(".", 2)
        if len(parts) == 1 and dataset is not None:
            parts = [dataset, *parts]
        if len(parts) == 2:
            parts = [project, *parts]
        if len(parts) != 3:
            raise invalid_query(f'Table "{parts[0][:80]}" must be qualified with a dataset (e.g. dataset.table).')
        if parts[2].endswith("*"):
            raise not_supported("a wildcard table")
        try:
            reference = TableReference(*parts)
        except InvalidArgument as error:
            raise invalid_query(error.message) from None
        entry = self._catalog.tables.get(reference)
        if entry is None:
            known = (reference.project, reference.dataset) in self._catalog.datasets
            raise not_found(*(("Table", table_name(reference)) if known else ("Dataset", ":".join(parts[:2]))))
        return entry

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

    def _types(self, entry: TableEntry) -> list[tuple[str, Type]]:
        kept = self._columns.get(entry.number)
        if kept is None or kept[0] is not entry:
            kept = (entry, [(field["name"], from_field(field)) for field in entry.fields])
            self._columns[entry.number] = kept
        return kept[1]


def _explained(error: duckdb.Error) -> ApiError:
    """DuckDB's error as BigQuery's, without a value from a table."""
    text = str(error)
    if isinstance(error, duckdb.InterruptException):
        return job_error({"reason": "stopped", "message": "Job execution was cancelled: User requested cancellation"})
    if isinstance(error, duckdb.OutOfMemoryException):
        return job_error({"reason": "resourcesExceeded", "message": "Resources exceeded during query execution"})
    if "Could not parse string" in text:
        return invalid_query("Failed to parse input string")
    own = _OWN_MESSAGES.search(text)
    if own:
        return invalid_query(own.group(1))
    if isinstance(error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException):
        first = _INTERNAL_NAME.sub("", text.split("\n", 1)[0])
        return invalid_query(f"{first} (the embedded BigQuery)")
    if isinstance(error, duckdb.ConversionException):
        return invalid_query("Bad value in a CAST or conversion")
    if isinstance(error, duckdb.OutOfRangeException):
        return invalid_query("A value is out of range: overflow")
    return invalid_query(f"The query failed in the embedded BigQuery: {type(error).__name__}")
