"""One thread that delivers rows to one destination, so that a slow or dead one holds up no other.

The tables of the embedded BigQuery share a lane, as they share a file; each table of Google's has its own. A stream
that fails waits longer each time, with the reason in view; how long exactly is left to chance, so that streams that
failed together do not come back together.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dicomkit.bigquery.table_uri import parse_uri
from dicomkit.engine.crash_points import crash_point
from dicomkit.engine.persistence.outbox import StreamRow
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.google_bigquery import RETRY_INFO
from dicomkit.engine.services.table_writer import TableWriter
from dicomkit.errors import ApiError

__all__ = ["BATCH_ROWS", "EMBEDDED", "GOOGLE", "Board", "Failure", "Lane", "Portion"]

_log = logging.getLogger(__name__)

REQUEST_S = 30.0
"""How long an answer over the network is waited for."""

IDLE_S = 60.0
"""A lane of the network that has had nothing to do for this long ends; the next row begins another."""

_BACKOFF_S = 0.25
_BACKOFF_MAX_S = 60.0
_TRANSIENT = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Portion:
    """About how much goes into one insert."""

    rows: int
    size: int
    """Bytes of JSON."""


BATCH_ROWS = 2_000
"""Most rows of one insert into the embedded BigQuery."""

EMBEDDED = Portion(BATCH_ROWS, 16 << 20)

GOOGLE = Portion(500, 4 << 20)
"""As BigQuery recommends; its limit of 10 MB is of a body in which text that is not ASCII takes up to three times as
much."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A stream that did not move at the last attempt."""

    attempts: int
    at: float
    not_before: float
    """When it is tried again; as :func:`time.monotonic`, like *at*."""
    earliest: float
    """When the destination said to come back: not even who is in a hurry tries before."""
    is_lasting: bool
    """Another attempt will not mend it."""


@dataclass(slots=True)
class Board:
    """What the lanes and those who ask about them share; *state* guards the rest."""

    state: threading.Condition = field(default_factory=threading.Condition)
    failures: dict[int, Failure] = field(default_factory=dict)
    """By key of the stream."""
    stop_at: float | None = None
    """When whatever is being delivered is left for the next start."""
    is_ending: bool = False
    """Each lane delivers once more, and ends."""
    is_abandoned: bool = False
    """The files are being closed."""

    def left(self) -> float:
        """How long a request may take."""
        return REQUEST_S if self.stop_at is None else min(REQUEST_S, self.stop_at - time.monotonic())


class Lane:
    """The thread.

    Parameters
    ----------
    storage
        The home's files.
    board
        Shared with the other lanes.
    is_mine
        Whether a stream is delivered here.
    make_writer
        Makes what writes into tables; called in the thread when there is something to write.
    portion
        How much is inserted at a time.
    ends_when_idle
        Whether the thread ends when it has had nothing to do for a while.
    """

    def __init__(
        self,
        storage: Storage,
        board: Board,
        is_mine: Callable[[StreamRow], bool],
        make_writer: Callable[[], TableWriter],
        portion: Portion,
        *,
        ends_when_idle: bool,
    ) -> None:
        self._storage = storage
        self._board = board
        self._is_mine = is_mine
        self._make_writer = make_writer
        self._portion = portion
        self._ends_when_idle = ends_when_idle
        self._writer: TableWriter | None = None
        self._mine: set[int] = set()
        self._is_poked = self._is_hurried = self._is_warm_wanted = False
        self.has_ended = False
        self._thread = threading.Thread(target=self._run, name="dicomkit-streaming-lane", daemon=True)
        self._thread.start()

    def poke(self, *, hurry: bool) -> None:
        """There is something to deliver; the board's lock is held. In a *hurry*, what failed is tried at once."""
        self._is_poked = True
        self._is_hurried = self._is_hurried or hurry
        self._board.state.notify_all()

    def warm_up(self) -> None:
        """There will be something to deliver: load what that takes. The board's lock is held."""
        self._is_warm_wanted = True
        self._board.state.notify_all()

    def join(self, timeout_s: float | None) -> None:
        """Wait for the end of the thread."""
        self._thread.join(timeout_s)

    # The thread

    def _run(self) -> None:
        board = self._board
        while True:
            with board.state:
                if not self._wait():
                    self.has_ended = True
                    break
                is_last, is_warming = board.is_ending, not (self._is_poked or board.is_ending or self._is_due())
                hurry = self._is_hurried or is_last
                self._is_warm_wanted = False
                if not is_warming:
                    self._is_poked = self._is_hurried = False
            try:
                if is_warming:
                    self._warm_writer()
                else:
                    self._pass(hurry)
            except Exception as exc:  # noqa: BLE001 - the catalog failed; the thread must live to try again
                _log.error("streaming is interrupted: %s", type(exc).__name__)
                time.sleep(0.0 if is_last else _BACKOFF_S)
                with board.state:
                    self._is_poked = True
            with board.state:
                board.state.notify_all()
                if is_last:
                    self.has_ended = True
                    break
        if self._writer is not None:
            self._writer.close()

    def _wait(self) -> bool:
        """Wait for something to do; ``False`` when the thread is to end for want of it."""
        board, idle_since = self._board, time.monotonic()
        while not (self._is_poked or self._is_warm_wanted or board.is_ending or self._is_due()):
            pause = self._pause()
            if pause is None and self._ends_when_idle:
                pause = idle_since + IDLE_S - time.monotonic()
                if pause <= 0:
                    return False
            board.state.wait(pause)
        return True

    def _failures(self) -> list[Failure]:
        return [failure for key, failure in self._board.failures.items() if key in self._mine]

    def _is_due(self) -> bool:
        now = time.monotonic()
        return any(failure.not_before <= now for failure in self._failures())

    def _pause(self) -> float | None:
        times = [failure.not_before for failure in self._failures()]
        return max(0.001, min(times) - time.monotonic()) if times else None

    def _pass(self, hurry: bool) -> None:
        """Deliver what waits now, stream by stream; what comes meanwhile is for the next time, in whole batches."""
        up_to = self._storage.outbox.last_key
        with self._storage.database.read() as connection:
            streams = [s for s in self._storage.outbox.pending_streams(connection) if self._is_mine(s)]
        with self._board.state:
            present = {stream.key for stream in streams}
            for key in self._mine - present:
                self._board.failures.pop(key, None)
            self._mine = present
        for stream in streams:
            failure, now = self._board.failures.get(stream.key), time.monotonic()
            if failure is None or (failure.earliest if hurry else failure.not_before) <= now:
                self._deliver_all(stream, up_to)

    def _deliver_all(self, stream: StreamRow, up_to: int) -> None:
        board = self._board
        while board.stop_at is None or time.monotonic() < board.stop_at:
            try:
                if not self._deliver(stream, up_to):
                    break
            except Exception as exc:  # noqa: BLE001 - whatever it is, the rows wait and are tried again
                if not board.is_abandoned:
                    self._failed(stream, exc)
                return
            with board.state:
                board.failures.pop(stream.key, None)
                board.state.notify_all()

    def _deliver(self, stream: StreamRow, up_to: int) -> bool:
        """Deliver one batch; ``False`` when nothing waits."""
        outbox, most = self._storage.outbox, self._portion
        with self._storage.database.read() as connection:
            bundles = outbox.take(connection, stream.key, max_rows=most.rows, max_bytes=most.size, up_to=up_to)
        if not bundles:
            return False
        crash_point("pre_flush")
        writer = self._warm_writer()
        rows = [row for bundle in bundles for row in bundle.rows]
        insert_ids = [f"{bundle.insert_id}-{place}" for bundle in bundles for place in range(len(bundle.rows))]
        refused = writer.write(parse_uri(stream.table_uri), rows, insert_ids)
        crash_point("post_send_pre_mark")
        if self._board.is_abandoned:
            return False
        with self._storage.database.write() as connection:
            outbox.settle(connection, stream.key, bundles, refused, time.time())
        crash_point("post_mark")
        return True

    def _warm_writer(self) -> TableWriter:
        if self._writer is None:
            self._writer = self._make_writer()
        return self._writer

    def _failed(self, stream: StreamRow, exc: Exception) -> None:
        """Keep the reason, and try again later."""
        board = self._board
        reason = exc.message if isinstance(exc, ApiError) else f"streaming failed ({type(exc).__name__})"
        if stream.key not in board.failures:
            _log.warning("a stream does not move: %s", type(exc).__name__)
        try:
            # The reason first: who waits for the attempt reads it right after.
            with self._storage.database.write() as connection:
                self._storage.outbox.note_error(connection, stream.key, reason)
        finally:
            with board.state:
                attempts = board.failures[stream.key].attempts + 1 if stream.key in board.failures else 1
                now = time.monotonic()
                asked = _asked_s(exc)
                pause = min(_BACKOFF_MAX_S, _BACKOFF_S * 2 ** min(attempts - 1, 16))
                board.failures[stream.key] = Failure(
                    attempts,
                    now,
                    now + max(asked, random.uniform(pause / 2, pause)),  # noqa: S311 - no secret
                    now + asked,
                    isinstance(exc, ApiError) and exc.status not in _TRANSIENT,
                )


def _asked_s(exc: Exception) -> float:
    """How long the destination asks to be left alone."""
    for detail in exc.details if isinstance(exc, ApiError) else ():
        if detail.get("@type") == RETRY_INFO:
            return float(detail["retryDelay"].removesuffix("s"))
    return 0.0
