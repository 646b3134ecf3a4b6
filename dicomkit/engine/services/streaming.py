"""Delivery of stored instances to BigQuery tables, in the background.

Rows are taken out of the outbox in batches, because BigQuery and DuckDB alike take 2,000 rows many times faster than
2,000 times one. A row leaves the outbox after the table has it, so that every acknowledged instance arrives at least
once; its insert id stays the same when it is sent again. What cannot be delivered waits, with the reason in view, and
never fails a store request nor slows one down. One thread decides when there is enough for a batch; who delivers it is
in ``services.stream_lane``.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from functools import partial
from typing import Any

from dicomkit.bigquery.table_uri import parse_uri
from dicomkit.engine.persistence import catalog, stream_errors
from dicomkit.engine.persistence.outbox import StreamRow
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.stream_lane import BATCH_ROWS, EMBEDDED, GOOGLE, Board, Lane
from dicomkit.engine.services.table_places import TablePlaces
from dicomkit.names import DicomStoreName

__all__ = ["Streaming"]

_log = logging.getLogger(__name__)

DELAY_S = 0.25
"""How long it must be quiet before rows are sent that are no full batch."""

MAX_DELAY_S = 2.0
"""How long a row waits at most where it is never quiet; sending beside an upload costs both of them more."""

CLOSE_S = 10.0
"""How long closing waits for what can still be delivered."""

_AGAIN_S = 0.25
_HOME = ""
"""The lane of the tables in the home."""


class Streaming:
    """What drains the outbox.

    Parameters
    ----------
    storage
        The home's files.
    places
        Where tables are.
    """

    def __init__(self, storage: Storage, places: TablePlaces) -> None:
        self._storage = storage
        self._places = places
        self._board = Board()
        self._state = self._board.state
        self._lanes: dict[str, Lane] = {}
        self._thread: threading.Thread | None = None
        self._new_rows = 0
        self._first_new = self._last_new = 0.0
        self._is_urgent = self._is_closing = False
        with storage.database.read() as connection:
            if storage.outbox.pending_streams(connection):
                self.notify(BATCH_ROWS)

    def notify(self, rows: int) -> None:
        """*rows* have come into the outbox."""
        with self._state:
            self._last_new = time.monotonic()
            if not self._new_rows:
                self._first_new = self._last_new
            self._new_rows += rows
            self._start()
            self._state.notify_all()

    def warm_up(self) -> None:
        """Something will be streamed: load what that takes, in the background, before the first row comes."""
        with self._state:
            if not self._is_closing:
                self._lane(_HOME).warm_up()

    def _start(self) -> None:
        if self._thread is None and not self._is_closing:
            self._thread = threading.Thread(target=self._run, name="dicomkit-streaming", daemon=True)
            self._thread.start()

    # What others ask

    def status(self, name: DicomStoreName) -> list[dict[str, Any]]:
        """For each stream of a store: what waits, since when, what was delivered, what failed and why.

        A stream that was removed is listed while something waits for it or is set aside.
        """
        with self._storage.database.read() as connection:
            outbox = self._storage.outbox
            streams = outbox.streams(connection, catalog.store(connection, name).key)
            found = [(stream, outbox.waiting(connection, stream.key)) for stream in streams]
        now, clock = time.time(), time.monotonic()
        made = []
        for stream, waiting in found:
            failure = self._board.failures.get(stream.key) if waiting.rows else None
            is_moving = waiting.rows and failure is None
            made.append(
                {
                    "tableUri": stream.table_uri,
                    "place": self._places.place(parse_uri(stream.table_uri)),
                    "active": stream.active,
                    "state": "retrying" if failure else "delivering" if is_moving else "idle",
                    "waiting": waiting.rows,
                    "delivered": stream.delivered,
                    "failed": stream.failed,
                    "oldestWaitingTime": _moment(waiting.oldest),
                    "lagSeconds": max(0.0, now - waiting.oldest) if waiting.oldest is not None else 0.0,
                    "lastDeliveredTime": _moment(stream.moved),
                    "attempts": failure.attempts if failure else 0,
                    "nextAttemptTime": _moment(now + failure.not_before - clock) if failure else None,
                    "lastError": stream.last_error,
                }
            )
        return made

    def errors(self, name: DicomStoreName, *, after: int, limit: int) -> list[dict[str, Any]]:
        """Rows of a store that were set aside, in the order in which they were; each ``id`` is what *after* takes."""
        with self._storage.database.read() as connection:
            store = catalog.store(connection, name).key
            found = stream_errors.list_errors(connection, store, after=after, limit=limit)
        return [
            {
                "id": str(row.key),
                "tableUri": row.table_uri,
                "studyInstanceUid": row.study,
                "seriesInstanceUid": row.series,
                "sopInstanceUid": row.instance,
                "reason": row.reason,
                "time": _moment(row.created),
                "attempts": row.attempts,
                "sizeBytes": row.size,
                "canRetry": row.has_row,
            }
            for row in found
        ]

    def retry_errors(self, name: DicomStoreName, keys: list[int] | None) -> int:
        """Send again what was set aside, and return how many rows; *keys* says which, ``None`` all that can be."""
        with self._storage.database.write() as connection:
            store = catalog.store(connection, name).key
            count = self._storage.outbox.retry(connection, store, keys, time.time())
        if count:
            self.notify(count)
        return count

    def drop_errors(self, name: DicomStoreName, keys: list[int] | None) -> int:
        """Give up what was set aside, and return how many rows; *keys* says which, ``None`` all."""
        with self._storage.database.write() as connection:
            return self._storage.outbox.drop(connection, catalog.store(connection, name).key, keys)

    def drain(self, name: DicomStoreName, timeout_s: float) -> None:
        """Wait until what the store's streams had to deliver at the time of the call is delivered.

        Ends early when nothing but streams are left whose failure another attempt will not mend (no such dataset,
        no permission), and at the latest after *timeout_s*.
        """
        begin = time.monotonic()
        deadline = begin + timeout_s
        with self._storage.database.read() as connection:
            store_key = catalog.store(connection, name).key
        up_to = self._storage.outbox.last_key
        with self._state:
            self._is_urgent = True
            self._start()
            self._state.notify_all()
        while True:
            with self._storage.database.read() as connection:
                waiting = self._storage.outbox.waits(connection, store_key, up_to)
            with self._state:
                left = deadline - time.monotonic()
                if not waiting or left <= 0 or all(self._is_stuck(key, begin) for key in waiting):
                    return
                self._state.wait(min(left, DELAY_S))

    def _is_stuck(self, stream_key: int, since: float) -> bool:
        failure = self._board.failures.get(stream_key)
        return failure is not None and failure.is_lasting and failure.at >= since

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Deliver what waits, unless it fails or takes longer than *timeout_s*, and end the threads."""
        stop_at = time.monotonic() + timeout_s
        with self._state:
            if self._is_closing:
                return
            self._board.stop_at = stop_at
            self._is_closing = True
            self._state.notify_all()
        if self._thread is not None:
            self._thread.join()
        with self._state:
            self._board.is_ending = True
            self._state.notify_all()
        for key, lane in self._lanes.items():
            # One that writes into the home must have ended before that is closed; an answer that does not come must not
            # hold up the end, and costs nothing but that the rows are sent again.
            lane.join(None if key == _HOME else max(0.0, stop_at - time.monotonic()) + _AGAIN_S)
        self._board.is_abandoned = True

    # The thread

    def _run(self) -> None:
        while True:
            with self._state:
                while not self._is_due():
                    self._state.wait(self._pause())
                hurry, self._is_urgent = self._is_urgent, False
                self._new_rows = 0
                is_last = self._is_closing
            try:
                self._dispatch(hurry)
            except Exception as exc:  # noqa: BLE001 - the catalog failed; the thread must live to try again
                _log.error("streaming is interrupted: %s", type(exc).__name__)
                if not is_last:
                    time.sleep(_AGAIN_S)
                    with self._state:
                        self._is_urgent = True
            if is_last:
                return

    def _is_due(self) -> bool:
        return (
            self._is_urgent
            or self._is_closing
            or self._new_rows >= BATCH_ROWS
            or (self._new_rows > 0 and time.monotonic() >= self._send_at())
        )

    def _send_at(self) -> float:
        return min(self._last_new + DELAY_S, self._first_new + MAX_DELAY_S)

    def _pause(self) -> float | None:
        return max(0.001, self._send_at() - time.monotonic()) if self._new_rows else None

    def _dispatch(self, hurry: bool) -> None:
        """Tell the lanes for which something waits."""
        with self._storage.database.read() as connection:
            streams = self._storage.outbox.pending_streams(connection)
        with self._state:
            for key in {self._lane_key(stream) for stream in streams}:
                self._lane(key).poke(hurry=hurry)

    def _lane_key(self, stream: StreamRow) -> str:
        return _HOME if self._places.place(parse_uri(stream.table_uri)) == "embedded" else stream.table_uri

    def _is_in_lane(self, key: str, stream: StreamRow) -> bool:
        return self._lane_key(stream) == key

    def _lane(self, key: str) -> Lane:
        """The lane of a destination, begun where there is none."""
        lane = self._lanes.get(key)
        if lane is None or lane.has_ended:
            is_home = key == _HOME
            lane = self._lanes[key] = Lane(
                self._storage,
                self._board,
                partial(self._is_in_lane, key),
                partial(self._places.writer, "embedded" if is_home else "google", self._board.left),
                EMBEDDED if is_home else GOOGLE,
                ends_when_idle=not is_home,
            )
        return lane


def _moment(seconds: float | None) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if seconds is not None else None
