"""Delivery of stored instances to BigQuery tables, in the background.

One thread takes rows out of the outbox in batches, because BigQuery and DuckDB alike take 2,000 rows many times
faster than 2,000 times one. A row leaves the outbox after the table has it, so that every acknowledged instance
arrives at least once; its insert id stays the same when it is sent again. What cannot be delivered waits, with the
reason in view, and never fails a store request.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dicomkit.bigquery.table_uri import parse_uri
from dicomkit.engine.crash_points import crash_point
from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.outbox import StreamRow
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.table_writer import TableWriter
from dicomkit.errors import ApiError
from dicomkit.names import DicomStoreName

__all__ = ["Streaming"]

_log = logging.getLogger(__name__)

BATCH_ROWS = 2_000
"""Most rows of one insert."""

BATCH_BYTES = 16 << 20
"""About the most JSON of one insert."""

DELAY_S = 0.25
"""How long it must be quiet before rows are sent that are no full batch."""

MAX_DELAY_S = 2.0
"""How long a row waits at most where it is never quiet; sending beside an upload costs both of them more."""

_BACKOFF_S = 0.25
_BACKOFF_MAX_S = 60.0
_TRANSIENT = frozenset({429, 500, 502, 503, 504})


@dataclass(slots=True)
class _Failure:
    """A stream that did not move at the last attempt."""

    attempts: int
    at: float
    not_before: float
    is_lasting: bool


class Streaming:
    """The thread that drains the outbox.

    Parameters
    ----------
    storage
        The home's files.
    writer
        Makes what writes into tables; called in the thread when there is something to write.
    """

    def __init__(self, storage: Storage, writer: Callable[[], TableWriter]) -> None:
        self._storage = storage
        self._make_writer = writer
        self._writer: TableWriter | None = None
        self._state = threading.Condition()
        self._thread: threading.Thread | None = None
        self._new_rows = 0
        self._first_new = self._last_new = 0.0
        self._is_urgent = False
        self._is_warm_wanted = False
        self._stop_at: float | None = None
        self._failures: dict[int, _Failure] = {}
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
        """Something will be streamed: load what that takes, in the thread, before the first row comes."""
        with self._state:
            self._is_warm_wanted = True
            self._start()
            self._state.notify_all()

    def _start(self) -> None:
        if self._thread is None and self._stop_at is None:
            self._thread = threading.Thread(target=self._run, name="dicomkit-streaming", daemon=True)
            self._thread.start()

    # What others ask

    def status(self, name: DicomStoreName) -> list[dict[str, Any]]:
        """For each stream of a store: what waits, since when, what was delivered, what failed and why.

        A stream that was removed is listed while something waits for it.
        """
        with self._storage.database.read() as connection:
            key = catalog.store(connection, name).key
            found = []
            for stream in self._storage.outbox.streams(connection, key):
                waiting, oldest = self._storage.outbox.waiting_facts(connection, stream.key)
                if not stream.active and not waiting:
                    continue
                since = datetime.fromtimestamp(oldest, UTC) if oldest is not None else None
                found.append(
                    {
                        "tableUri": stream.table_uri,
                        "waiting": waiting,
                        "delivered": stream.delivered,
                        "failed": stream.failed,
                        "oldestWaitingTime": since.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if since else None,
                        "lastError": stream.last_error,
                    }
                )
        return found

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
        failure = self._failures.get(stream_key)
        return failure is not None and failure.is_lasting and failure.at >= since

    def close(self, timeout_s: float = 10.0) -> None:
        """Deliver what waits, unless it fails or takes longer than *timeout_s*, and end the thread."""
        with self._state:
            self._stop_at = time.monotonic() + timeout_s
            self._is_urgent = True
            thread = self._thread
            self._state.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    # The thread

    def _run(self) -> None:
        while True:
            with self._state:
                while not (self._is_due() or self._is_warm_wanted):
                    self._state.wait(self._pause())
                is_due, is_last = self._is_due(), self._stop_at is not None
                self._is_warm_wanted = False
                if is_due:
                    ignore_backoff, self._is_urgent = self._is_urgent, False
                    self._new_rows = 0
            try:
                if is_due:
                    self._pass(ignore_backoff)
                else:
                    self._warm_writer()
            except Exception as exc:  # noqa: BLE001 - the catalog failed; the thread must live to try again
                _log.error("streaming is interrupted: %s", type(exc).__name__)
                time.sleep(0.0 if is_last else _BACKOFF_S)
            with self._state:
                self._state.notify_all()
            if is_last:
                return

    def _is_due(self) -> bool:
        now = time.monotonic()
        return (
            self._is_urgent
            or self._stop_at is not None
            or self._new_rows >= BATCH_ROWS
            or (self._new_rows > 0 and now >= self._send_at())
            or any(failure.not_before <= now for failure in self._failures.values())
        )

    def _send_at(self) -> float:
        return min(self._last_new + DELAY_S, self._first_new + MAX_DELAY_S)

    def _pause(self) -> float | None:
        times = [failure.not_before for failure in self._failures.values()]
        if self._new_rows:
            times.append(self._send_at())
        return max(0.001, min(times) - time.monotonic()) if times else None

    def _pass(self, ignore_backoff: bool) -> None:
        """Deliver what waits, stream by stream."""
        with self._storage.database.read() as connection:
            streams = self._storage.outbox.pending_streams(connection)
        with self._state:
            present = {stream.key for stream in streams}
            for key in [k for k in self._failures if k not in present]:
                del self._failures[key]
        for stream in streams:
            failure = self._failures.get(stream.key)
            if ignore_backoff or failure is None or failure.not_before <= time.monotonic():
                self._deliver_all(stream)

    def _deliver_all(self, stream: StreamRow) -> None:
        while self._stop_at is None or time.monotonic() < self._stop_at:
            try:
                if not self._deliver(stream):
                    break
            except Exception as exc:  # noqa: BLE001 - whatever it is, the rows wait and are tried again
                self._failed(stream, exc)
                return
            with self._state:
                self._failures.pop(stream.key, None)
                self._state.notify_all()

    def _deliver(self, stream: StreamRow) -> bool:
        """Deliver one batch; ``False`` when nothing waits."""
        outbox = self._storage.outbox
        with self._storage.database.read() as connection:
            bundles = outbox.take(connection, stream.key, BATCH_ROWS, BATCH_BYTES)
        if not bundles:
            return False
        crash_point("pre_flush")
        writer = self._warm_writer()
        rows = [row for bundle in bundles for row in bundle.rows]
        insert_ids = [f"{bundle.insert_id}-{place}" for bundle in bundles for place in range(len(bundle.rows))]
        refused = writer.write(parse_uri(stream.table_uri), rows, insert_ids)
        crash_point("post_send_pre_mark")
        with self._storage.database.write() as connection:
            rejected = [(rows[i], reason) for i, reason in refused.items()]
            outbox.settle(connection, stream.key, bundles, rejected, time.time())
        crash_point("post_mark")
        return True

    def _warm_writer(self) -> TableWriter:
        if self._writer is None:
            self._writer = self._make_writer()
        return self._writer

    def _failed(self, stream: StreamRow, exc: Exception) -> None:
        """Keep the reason, and try again later."""
        reason = exc.message if isinstance(exc, ApiError) else f"streaming failed ({type(exc).__name__})"
        _log.warning("a stream does not move: %s", type(exc).__name__)
        try:
            # The reason first: who waits for the attempt reads it right after.
            with self._storage.database.write() as connection:
                self._storage.outbox.note_error(connection, stream.key, reason)
        finally:
            with self._state:
                attempts = self._failures[stream.key].attempts + 1 if stream.key in self._failures else 1
                now = time.monotonic()
                self._failures[stream.key] = _Failure(
                    attempts,
                    now,
                    now + min(_BACKOFF_MAX_S, _BACKOFF_S * 2 ** min(attempts - 1, 16)),
                    isinstance(exc, ApiError) and exc.status not in _TRANSIENT,
                )
