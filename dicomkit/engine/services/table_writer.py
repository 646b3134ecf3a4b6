"""Rows into one BigQuery table: made when missing, grown when a row brings a new column.

Source: Cloud Healthcare API, "Stream DICOM metadata to BigQuery" (the table is created, its schema is updated by
the service, deleting it and letting it be made again is the way out of a conflict); BigQuery REST v2,
``tabledata.insertAll``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from dicomkit.bigquery.schema import Field, SchemaIndex, index_of
from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.crash_points import crash_point
from dicomkit.engine.services.table_shape import TableShape
from dicomkit.errors import AlreadyExists, ApiError, NotFound

__all__ = ["TableService", "TableWriter"]

_log = logging.getLogger(__name__)

Line = bytes
"""A row as JSON in one line."""

_PASSING = frozenset({"stopped", "timeout", "backendError", "internalError", "rateLimitExceeded"})
"""Reasons of a row that say nothing about the row."""


class TableService(Protocol):
    """What is used of BigQuery."""

    def ensure_dataset(self, project: str, dataset: str) -> Any:
        """Make a dataset unless it is there."""

    def get_table(self, ref: TableReference) -> dict[str, Any]:
        """The table's resource; ``NotFound`` when there is none."""

    def create_table(self, resource: dict[str, Any]) -> Any:
        """Make a table; ``AlreadyExists`` when there is one."""

    def patch_table(self, ref: TableReference, resource: dict[str, Any]) -> Any:
        """Change a table."""

    def insert_all(
        self, ref: TableReference, rows: list[dict[str, Any]], *, skip_invalid_rows: bool = False
    ) -> Sequence[Mapping[str, Any]]:
        """Insert rows, ``{"insertId": ..., "json": row or its JSON in bytes}``, and return ``insertErrors``."""

    def insert_whole(self, ref: TableReference, lines: Sequence[bytes], insert_ids: Sequence[str]) -> bool:
        """Insert rows, all or none; ``False`` when one does not fit the table, or there is none."""


class _Known:
    """What was last seen of a table."""

    __slots__ = ("fields", "index")

    def __init__(self, fields: list[Field]) -> None:
        self.fields = fields
        self.index: SchemaIndex = index_of(fields)


class TableWriter:
    """Writes rows into tables of one BigQuery.

    Parameters
    ----------
    service
        The BigQuery.
    make_datasets
        Whether a missing dataset is made; the Cloud Healthcare API makes none.
    """

    def __init__(self, service: TableService, *, make_datasets: bool) -> None:
        self._service = service
        self._make_datasets = make_datasets
        self._tables: dict[TableReference, _Known] = {}

    def write(self, table: TableReference, rows: Sequence[Line], insert_ids: Sequence[str]) -> dict[int, str]:
        """Insert *rows* and return those that the table refuses: place in *rows* -> why.

        Raises
        ------
        ApiError
            Nothing, or not all, could be inserted for a reason that is not the rows'; they may be sent again, since
            each has its insert id.
        """
        # Nearly always the table has every column already; then no row is looked at here.
        if table in self._tables and self._insert_whole(table, rows, insert_ids):
            return {}
        try:
            return self._write(table, rows, insert_ids, range(len(rows)))
        except NotFound:
            # Somebody deleted the table; the next attempt makes it again.
            if self._tables.pop(table, None) is None:
                raise
            return self._write(table, rows, insert_ids, range(len(rows)))

    def _insert_whole(self, table: TableReference, rows: Sequence[Line], insert_ids: Sequence[str]) -> bool:
        crash_point("mid_flush")
        try:
            return self._service.insert_whole(table, rows, insert_ids)
        except ApiError:
            raise
        except Exception:  # noqa: BLE001 - a defect; which row brings it out is found by the other way
            return False

    def _write(
        self, table: TableReference, rows: Sequence[Line], insert_ids: Sequence[str], places: Sequence[int]
    ) -> dict[int, str]:
        knew = table in self._tables
        self._make_room(table, [rows[i] for i in places])
        crash_point("mid_flush")
        refused = self._insert(table, rows, insert_ids, places)
        if refused and knew:
            # The table may be another one than the one that was seen.
            del self._tables[table]
            return self._write(table, rows, insert_ids, sorted(refused))
        return refused

    def _insert(
        self, table: TableReference, rows: Sequence[Line], insert_ids: Sequence[str], places: Sequence[int]
    ) -> dict[int, str]:
        try:
            errors = self._service.insert_all(
                table, [{"insertId": insert_ids[i], "json": rows[i]} for i in places], skip_invalid_rows=True
            )
        except ApiError:
            raise
        except Exception as exc:  # noqa: BLE001 - a defect; it is narrowed down to one row
            # One row that the writer cannot digest must not hold up the others: find it.
            if len(places) == 1:
                _log.error("a row could not be inserted: %s", type(exc).__name__)
                return {places[0]: f"the row could not be inserted ({type(exc).__name__})"}
            middle = len(places) // 2
            return self._insert(table, rows, insert_ids, places[:middle]) | self._insert(
                table, rows, insert_ids, places[middle:]
            )
        refused: dict[int, str] = {}
        for entry in errors:
            details = list(entry.get("errors") or ({},))
            if any(d.get("reason") in _PASSING for d in details):
                raise ApiError("BigQuery did not take all rows; they are sent again", status=503, code="UNAVAILABLE")
            refused[places[int(entry["index"])]] = "; ".join(_reason(d) for d in details)
        return refused

    def _make_room(self, table: TableReference, rows: Sequence[Line]) -> None:
        """See to it that the table exists and has a column for everything in *rows*."""
        known = self._tables.get(table) or self._look(table)
        shape = TableShape(known.fields, known.index) if known else TableShape()
        for line in rows:
            # One row at a time: unpacked, a batch would be ten times as large.
            shape.add(orjson.loads(line))
        if known is not None and not shape.has_grown:
            return
        merged = shape.fields
        if known is None:
            self._create(table, merged)
        else:
            self._service.patch_table(table, {"schema": {"fields": merged}})
        self._tables[table] = _Known(merged)

    def _look(self, table: TableReference) -> _Known | None:
        try:
            resource = self._service.get_table(table)
        except NotFound:
            return None
        known = self._tables[table] = _Known(resource.get("schema", {}).get("fields", []))
        return known

    def _create(self, table: TableReference, fields: list[Field]) -> None:
        if self._make_datasets:
            self._service.ensure_dataset(table.project, table.dataset)
        reference = {"projectId": table.project, "datasetId": table.dataset, "tableId": table.table}
        try:
            self._service.create_table({"tableReference": reference, "schema": {"fields": fields}})
        except AlreadyExists as exc:
            raise ApiError(
                "the table was made by somebody else just now; it is tried again", status=503, code="UNAVAILABLE"
            ) from exc


def _reason(detail: Mapping[str, Any]) -> str:
    """Reason and column of a row's error; its message can hold a value."""
    where = detail.get("location")
    return f"{detail.get('reason') or 'invalid'}{f' in column {where}' if where else ''}"
