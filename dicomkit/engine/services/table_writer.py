"""Rows into one BigQuery table: made when missing, grown when a row brings a new column.

A request goes in whole or not at all. Rows that the table refuses are told with the reason, and the others are sent
again without them; what the rows are not to blame for is raised, and the rows are sent again as they are.

Source: Cloud Healthcare API, "Stream DICOM metadata to BigQuery" (the table is created, its schema is updated by
the service, deleting it and letting it be made again is the way out of a conflict); BigQuery REST v2,
``tabledata.insertAll`` (without ``skipInvalidRows`` one invalid row stops a request; the valid ones are reported as
``stopped``); BigQuery documentation, "Error messages".
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import orjson

from dicomkit.bigquery.columns import MAX_COLUMNS
from dicomkit.bigquery.schema import Field, SchemaIndex, index_of
from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.crash_points import crash_point
from dicomkit.engine.services.bigquery_values import checked_row
from dicomkit.engine.services.table_shape import TableShape
from dicomkit.errors import (
    AlreadyExists,
    ApiError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PayloadTooLarge,
    Unavailable,
)

__all__ = ["TableService", "TableWriter"]

_log = logging.getLogger(__name__)

Line = bytes
"""A row as JSON in one line."""

_PASSING = frozenset({"timeout", "backendError", "internalError", "rateLimitExceeded", "quotaExceeded"})
"""Reasons of a row that say nothing about the row."""

_STOPPED = "stopped"
"""Reason of a row that is right, in a request that another one stopped."""

_RACES = 5
"""How often a schema is merged anew because somebody else has changed the table meanwhile."""

_ALONE = 8
"""After how many requests of one row that were refused as a whole, and none that was not, the table is to blame."""


class TableService(Protocol):
    """What is used of BigQuery."""

    def ensure_dataset(self, project: str, dataset: str) -> Any:
        """Make a dataset unless it is there."""

    def get_table(self, ref: TableReference) -> dict[str, Any]:
        """The table's resource; ``NotFound`` when there is none."""

    def create_table(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Make a table; ``AlreadyExists`` when there is one."""

    def patch_table(self, ref: TableReference, resource: dict[str, Any], etag: str | None = None) -> dict[str, Any]:
        """Change a table; ``FailedPrecondition`` with 412 when *etag* is not the current one."""

    def insert_all(self, ref: TableReference, rows: list[dict[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Insert rows, ``{"insertId": ..., "json": its JSON in bytes}``, all or none; the ``insertErrors``."""

    def insert_whole(self, ref: TableReference, lines: Sequence[bytes], insert_ids: Sequence[str]) -> bool:
        """Insert rows, all or none; ``False`` when one does not fit the table, or there is none."""


class _Known:
    """What was last seen of a table."""

    __slots__ = ("etag", "fields", "index", "since")

    def __init__(self, resource: Mapping[str, Any]) -> None:
        self.fields: list[Field] = resource.get("schema", {}).get("fields", [])
        self.etag: str | None = resource.get("etag")
        self.index: SchemaIndex = index_of(self.fields)
        self.since = time.monotonic()


class _TooWide(Exception):
    """No table can have the columns of some rows beside those that it has."""


class _Batch:
    """Rows of one call, and what became of them so far."""

    def __init__(self, table: TableReference, rows: Sequence[Line], insert_ids: Sequence[str]) -> None:
        self.table = table
        self.rows = rows
        self.insert_ids = insert_ids
        self.has_accepted = False
        self.doubtful: list[InvalidArgument] = []
        """For each row that has a request of its own refused, why; one that is too large is no doubt."""


class TableWriter:
    """Writes rows into tables of one BigQuery.

    Parameters
    ----------
    service
        The BigQuery.
    make_datasets
        Whether a missing dataset is made; the Cloud Healthcare API makes none.
    settles_s
        How long after a change of a table rows are refused for it that fit it.
    on_close
        Lets go of the connection, if it is this writer's own.
    """

    def __init__(
        self,
        service: TableService,
        *,
        make_datasets: bool,
        settles_s: float = 0.0,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self._service = service
        self._make_datasets = make_datasets
        self._settles_s = settles_s
        self.close = on_close
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
        batch, places = _Batch(table, rows, insert_ids), range(len(rows))
        try:
            return self._write(batch, places)
        except NotFound:
            # Somebody deleted the table: it is made again.
            if self._tables.pop(table, None) is None:
                raise
        try:
            return self._write(batch, places)
        except NotFound as exc:
            if table not in self._tables:
                raise
            raise Unavailable("the table was made just now and takes no rows yet; they are sent again") from exc

    def _insert_whole(self, table: TableReference, rows: Sequence[Line], insert_ids: Sequence[str]) -> bool:
        crash_point("mid_flush")
        try:
            return self._service.insert_whole(table, rows, insert_ids)
        except ApiError:
            raise
        except Exception:  # noqa: BLE001 - a defect; which row brings it out is found by the other way
            return False

    def _write(self, batch: _Batch, places: Sequence[int]) -> dict[int, str]:
        knew = batch.table in self._tables
        too_wide = self._fit(batch, places)
        places = [i for i in places if i not in too_wide]
        if not places:
            return too_wide
        crash_point("mid_flush")
        refused = self._send(batch, places)
        if batch.doubtful and not batch.has_accepted:
            raise batch.doubtful[0]  # as far as one can tell it is the table that takes no row
        if refused and knew:
            # The table may be another one than the one that was seen.
            del self._tables[batch.table]
            return too_wide | self._write(batch, sorted(refused))
        return too_wide | refused

    def _fit(self, batch: _Batch, places: Sequence[int]) -> dict[int, str]:
        """Make room for rows; those that there can be no room for must not hold up the others, and are looked for."""
        try:
            self._make_room(batch.table, [batch.rows[i] for i in places])
        except _TooWide:
            if len(places) > 1:
                middle = len(places) // 2
                return self._fit(batch, places[:middle]) | self._fit(batch, places[middle:])
            return {places[0]: f"with the columns of this row the table would have more than {MAX_COLUMNS}"}
        return {}

    def _send(self, batch: _Batch, places: Sequence[int]) -> dict[int, str]:
        """Insert rows; one that has the whole request refused must not hold up the others, and is looked for."""
        try:
            refused = self._insert(batch, places)
        except (InvalidArgument, PayloadTooLarge) as exc:
            if len(places) > 1:
                return self._send_halves(batch, places)
            if isinstance(exc, InvalidArgument):
                batch.doubtful.append(exc)
                if len(batch.doubtful) >= _ALONE and not batch.has_accepted:
                    raise
            return {places[0]: exc.message}
        except ApiError:
            raise
        except Exception as exc:  # noqa: BLE001 - a defect; it is narrowed down to one row
            if len(places) > 1:
                return self._send_halves(batch, places)
            _log.error("a row could not be inserted: %s", type(exc).__name__)
            return {places[0]: f"the row could not be inserted ({type(exc).__name__})"}
        batch.has_accepted = batch.has_accepted or len(refused) < len(places)
        return refused

    def _send_halves(self, batch: _Batch, places: Sequence[int]) -> dict[int, str]:
        middle = len(places) // 2
        return self._send(batch, places[:middle]) | self._send(batch, places[middle:])

    def _insert(self, batch: _Batch, places: Sequence[int]) -> dict[int, str]:
        """Insert rows, without those that are refused."""
        refused: dict[int, str] = {}
        left = list(places)
        while left:
            errors = self._service.insert_all(
                batch.table, [{"insertId": batch.insert_ids[i], "json": batch.rows[i]} for i in left]
            )
            if not errors:
                break
            refused |= self._refused(batch, left, errors)
            left = [i for i in left if i not in refused]
        return refused

    def _refused(self, batch: _Batch, sent: Sequence[int], errors: Sequence[Mapping[str, Any]]) -> dict[int, str]:
        """The rows that are to blame for it that a request was refused."""
        refused: dict[int, str] = {}
        for entry in errors:
            details = list(entry.get("errors") or ({},))
            reasons = {detail.get("reason") for detail in details}
            if reasons & _PASSING:
                raise Unavailable("BigQuery did not take all rows; they are sent again")
            if reasons != {_STOPPED}:
                refused[sent[int(entry["index"])]] = "; ".join(
                    _reason(detail) for detail in details if detail.get("reason") != _STOPPED
                )
        if not refused:
            raise Unavailable("BigQuery stopped a request, and not for a row; the rows are sent again")
        known = self._tables.get(batch.table)
        if known is not None and time.monotonic() - known.since < self._settles_s:
            for place in refused:
                if not checked_row(orjson.loads(batch.rows[place]), known.fields, ignore_unknown=False)[1]:
                    raise Unavailable("the table does not take rows of its newest columns yet; they are sent again")
        return refused

    def _make_room(self, table: TableReference, rows: Sequence[Line]) -> None:
        """See to it that the table exists and has a column for everything in *rows*."""
        known = self._tables.get(table) or self._look(table)
        for _ in range(_RACES):
            shape = TableShape(known.fields, known.index) if known else TableShape()
            for line in rows:
                # One row at a time: unpacked, a batch would be ten times as large.
                shape.add(orjson.loads(line))
            if known is not None and not shape.has_grown:
                return
            if _count(shape.fields) > MAX_COLUMNS:
                raise _TooWide
            try:
                if known is None:
                    self._create(table, shape.fields)
                else:
                    resource = {"schema": {"fields": shape.fields}}
                    self._tables[table] = _Known(self._service.patch_table(table, resource, known.etag))
                return
            except AlreadyExists:
                pass
            except FailedPrecondition as exc:
                if exc.status != 412:
                    raise
            # Somebody else makes or changes it, too: theirs is kept, and ours comes on top.
            known = self._look(table)
        raise Unavailable("others change the columns of the table all the time; it is tried again")

    def _look(self, table: TableReference) -> _Known | None:
        self._tables.pop(table, None)
        try:
            resource = self._service.get_table(table)
        except NotFound:
            return None
        known = self._tables[table] = _Known(resource)
        return known

    def _create(self, table: TableReference, fields: list[Field]) -> None:
        if self._make_datasets:
            self._service.ensure_dataset(table.project, table.dataset)
        reference = {"projectId": table.project, "datasetId": table.dataset, "tableId": table.table}
        resource = {"tableReference": reference, "schema": {"fields": fields}}
        self._tables[table] = _Known(self._service.create_table(resource))


def _count(fields: Sequence[Field]) -> int:
    return sum(1 + _count(field.get("fields") or ()) for field in fields)


def _reason(detail: Mapping[str, Any]) -> str:
    """Reason and column of a row's error; its message can hold a value."""
    where = detail.get("location")
    return f"{detail.get('reason') or 'invalid'}{f' in column {where}' if where else ''}"
