"""``tabledata.insertAll``: a batch goes in as a whole, and only one that does not is taken apart.

Source: BigQuery REST v2, ``tabledata.insertAll``; BigQuery documentation, "Streaming data" (insertId, about a minute
of best-effort de-duplication) and "Quotas and limits" (50,000 rows a request, 10 MB a row).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse import Warehouse
from dicomkit.engine.persistence.warehouse_catalog import Catalog, TableEntry
from dicomkit.engine.persistence.warehouse_rows import RowsDoNotFit, append, read_rows
from dicomkit.engine.services.bigquery_errors import invalid, not_found, table_name
from dicomkit.engine.services.bigquery_values import checked_row

__all__ = ["Streaming"]

MAX_ROWS = 50_000
"""Most rows of a request."""

MAX_ROW_BYTES = 10 << 20
"""Largest row, as JSON."""

DEDUP_SECONDS = 60.0
"""How long an insertId is remembered."""

_MAX_IDS = 200_000

_STOPPED = {"reason": "stopped", "location": "", "debugInfo": "", "message": ""}


class _Undo(Exception):
    """Rolls a transaction back."""


class Streaming:
    """Inserts rows; remembers insertIds for a minute, in memory."""

    def __init__(self, warehouse: Warehouse, catalog: Catalog) -> None:
        self._warehouse = warehouse
        self._catalog = catalog
        self._seen: dict[tuple[int, str], float] = {}

    def insert_all(
        self,
        reference: TableReference,
        rows: Sequence[Mapping[str, Any]],
        *,
        skip_invalid_rows: bool = False,
        ignore_unknown_values: bool = False,
    ) -> list[dict[str, Any]]:
        """Insert *rows*; what is returned is BigQuery's ``insertErrors``.

        Parameters
        ----------
        rows
            ``{"insertId": text or None, "json": row}``; a row is a dict, or the JSON of one as bytes without a line
            feed, which saves reading and writing it again.
        skip_invalid_rows
            Insert the valid rows of a request that has invalid ones. Otherwise none goes in, and the valid ones are
            reported as ``stopped``.
        ignore_unknown_values
            Leave out values that have no column.
        """
        if not rows:
            raise invalid("No rows present in the request.")
        if len(rows) > MAX_ROWS:
            raise invalid(f"too many rows present in the request, limit: {MAX_ROWS}; got {len(rows)}")
        lines: list[bytes | None] = [_line(row.get("json")) for row in rows]
        errors: dict[int, list[dict[str, str]]] = {}
        for index, line in enumerate(lines):
            if line is None or len(line) > MAX_ROW_BYTES:
                errors[index] = [
                    _invalid("Row size is too large" if line else "The row is not a JSON object of plain values")
                ]
        while True:
            entry = self._catalog.tables.get(reference)
            if entry is None:
                raise not_found("Table", table_name(reference))
            if entry.is_view:
                raise invalid("Cannot add rows to a table of type VIEW.")
            if not entry.fields:
                raise invalid("The destination table has no schema.")
            if not errors and self._insert(entry, lines, rows):  # type: ignore[arg-type]
                return []
            found = self._by_row(entry, rows, lines, errors, skip_invalid_rows, ignore_unknown_values)
            if found is not None:
                return found

    def insert_whole(self, reference: TableReference, lines: Sequence[bytes], insert_ids: Sequence[str]) -> bool:
        """Insert *lines*, one JSON object each, all or none; ``False`` when one does not fit or there is no table."""
        entry = self._catalog.tables.get(reference)
        if entry is None or entry.is_view or not entry.fields or len(lines) > MAX_ROWS:
            return False
        return self._insert(entry, lines, [{"insertId": insert_id} for insert_id in insert_ids])

    def forget(self, entry: TableEntry) -> None:
        """Forget the insertIds of a table that is gone."""
        with self._warehouse.lock:
            self._seen = {key: when for key, when in self._seen.items() if key[0] != entry.number}

    def _insert(self, entry: TableEntry, lines: Sequence[bytes], rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the whole batch went in; ``False`` when it does not fit, or the table changed meanwhile."""
        try:
            table = read_rows(lines, entry.fields)
            # The lock is held until the ids are remembered: the same row may be on its way in another thread.
            with self._warehouse.lock:
                if self._catalog.tables.get(entry.reference) is not entry:
                    return False
                now, fresh, keep = time.monotonic(), {}, []
                for index, row in enumerate(rows):
                    given = row.get("insertId")
                    if given is None:
                        keep.append(index)
                        continue
                    key = (entry.number, str(given))
                    if key not in fresh and now - self._seen.get(key, -DEDUP_SECONDS) >= DEDUP_SECONDS:
                        fresh[key] = now
                        keep.append(index)
                if keep:
                    with self._warehouse.transaction() as cursor:
                        append(cursor, entry, table if len(keep) == len(rows) else table.take(keep))
                # Only what is committed is remembered: a batch that failed may come again.
                self._remember(fresh, now)
        except RowsDoNotFit:
            return False
        return True

    def _fits(self, entry: TableEntry, line: bytes) -> bool:
        """Whether one row goes in; it does not stay."""
        with contextlib.suppress(_Undo):
            try:
                with self._warehouse.transaction() as cursor:
                    append(cursor, entry, read_rows([line], entry.fields))
                    raise _Undo
            except RowsDoNotFit:
                return False
        return True

    def _remember(self, fresh: dict[tuple[int, str], float], now: float) -> None:
        self._seen.update(fresh)
        if len(self._seen) > _MAX_IDS:
            self._seen = {key: when for key, when in self._seen.items() if now - when < DEDUP_SECONDS}
            for key in list(self._seen)[: max(0, len(self._seen) - _MAX_IDS)]:
                del self._seen[key]

    def _by_row(
        self,
        entry: TableEntry,
        rows: Sequence[Mapping[str, Any]],
        lines: Sequence[bytes | None],
        bad: Mapping[int, list[dict[str, str]]],
        skip_invalid: bool,
        ignore_unknown: bool,
    ) -> list[dict[str, Any]] | None:
        """Look at each row; ``None`` when all are right and the table changed: it is to be done again."""
        errors, clean = dict(bad), {}
        for index, row in enumerate(rows):
            if index in errors:
                continue
            value = row["json"]
            checked, wrong = checked_row(
                orjson.loads(value) if isinstance(value, bytes) else value, entry.fields, ignore_unknown=ignore_unknown
            )
            if wrong:
                errors[index] = wrong
            else:
                clean[index] = orjson.dumps(checked)
        if errors and not skip_invalid:
            return [{"index": index, "errors": errors.get(index, [_STOPPED])} for index in range(len(rows))]
        good = list(clean)
        if good and not self._insert(entry, [clean[index] for index in good], [rows[index] for index in good]):
            if self._catalog.tables.get(entry.reference) is not entry:
                return None
            for index in good:
                if not self._fits(entry, clean[index]):
                    errors[index] = [_invalid("a value does not fit its column")]
            if not skip_invalid:
                return [{"index": index, "errors": errors.get(index, [_STOPPED])} for index in range(len(rows))]
            good = [index for index in good if index not in errors]
            if good and not self._insert(entry, [clean[index] for index in good], [rows[index] for index in good]):
                return None
        return [{"index": index, "errors": errors[index]} for index in sorted(errors)]


def _line(row: object) -> bytes | None:
    """*row* as one line of JSON; ``None`` when it is no object or no JSON."""
    if isinstance(row, bytes):
        return row if row[:1] == b"{" and b"\n" not in row else None
    if not isinstance(row, dict):
        return None
    try:
        return orjson.dumps(row)
    except (TypeError, ValueError):
        return None


def _invalid(message: str) -> dict[str, str]:
    return {"reason": "invalid", "location": "", "debugInfo": "", "message": message}
