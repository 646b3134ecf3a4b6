"""Giving back the space of deleted instances, in the background.

A delete only takes bytes out of use. When less than half of a sealed segment is in use, its instances are copied to
the segment that is being appended to, and its file is removed: each byte copied gives back more than one. A segment
that is still appended to is sealed early when deleted instances fill half of what a segment may hold, so that no more
than that is ever kept for nothing.

Instances move in small batches. Their bytes are read and checked against their hash without a lock; under the lock
they are appended and synced, and one transaction moves the rows that still point to the old place. Whenever the
process dies, each row points to bytes that are on disk; the next start cuts off what was copied and not committed,
removes a file that no row names, and goes on with a segment that is still mostly dead.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence

from dicomkit.engine.crash_points import crash_point
from dicomkit.engine.persistence import catalog, relocation
from dicomkit.engine.persistence.blob_reader import Place
from dicomkit.engine.persistence.catalog import SparseSegment
from dicomkit.engine.persistence.relocation import Resident
from dicomkit.engine.persistence.storage import Storage
from dicomkit.errors import ApiError

__all__ = ["Compaction"]

_log = logging.getLogger(__name__)

BATCH_INSTANCES = 100
"""Most instances that move in one transaction."""

BATCH_BYTES = 4 << 20
"""About the most bytes that are read, written and synced for one transaction; uploads wait for the last two."""

RETRY_S = 60.0
"""How long after a failure (a full disk) it is tried again, when no delete comes before."""

_Batch = list[tuple[Resident, bytes | None]]
"""Instances with their bytes; ``None`` where they could not be read."""


class Compaction:
    """The thread that compacts segments; it is started by the first delete, or at once when there is work left.

    Parameters
    ----------
    storage
        The home's files.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._state = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_wanted = False
        self._is_busy = False
        self._is_stopped = False
        self._unreadable: set[int] = set()
        with storage.database.read() as connection:
            if catalog.sparse_segments(connection):
                self.notify()

    def notify(self) -> None:
        """Instances may have been deleted."""
        with self._state:
            if self._is_stopped:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="dicomkit-compaction", daemon=True)
                self._thread.start()
            self._is_wanted = True
            self._state.notify_all()

    def finish(self, timeout_s: float) -> bool:
        """Wait until there is nothing to do, or what is to be done has failed; ``False`` when *timeout_s* is over."""
        with self._state:
            return self._state.wait_for(lambda: not (self._is_wanted or self._is_busy), timeout_s)

    def close(self, timeout_s: float = 10.0) -> None:
        """Stop, and wait for the end of the batch that is being moved, for at most *timeout_s*."""
        with self._state:
            self._is_stopped = True
            self._is_wanted = False
            thread = self._thread
            self._state.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    # The thread

    def _run(self) -> None:
        pause: float | None = None
        while True:
            with self._state:
                self._is_busy = False
                self._state.notify_all()
                self._state.wait_for(lambda: self._is_wanted or self._is_stopped, pause)
                if self._is_stopped:
                    return
                self._is_wanted, self._is_busy = False, True
            pause = None
            try:
                self._pass()
            except Exception as exc:  # noqa: BLE001 - nothing is lost by waiting, and the thread must live to try again
                if not self._is_stopped:
                    _log.warning("space of deleted instances is not given back yet: %s", type(exc).__name__)
                pause = RETRY_S

    def _pass(self) -> None:
        with self._storage.database.read() as connection:
            found = catalog.sparse_segments(connection)
        for segment in found:
            if self._is_stopped:
                return
            if segment.key not in self._unreadable and self._seal(segment):
                self._compact(segment.key)

    def _seal(self, segment: SparseSegment) -> bool:
        """Whether the segment is sealed; one that is appended to is sealed here when it holds too much for nothing."""
        blobs = self._storage.blobs
        with self._storage.turn:
            if not blobs.is_current(segment.key):
                return True
            if segment.size - segment.live <= blobs.segment_bytes // 2:
                return False
            blobs.seal()
            return True

    def _compact(self, segment: int) -> None:
        """Move every instance out of a segment, and remove it."""
        after = -1
        while not self._is_stopped:
            batch = self._read(segment, after)
            crash_point("pre_copy")
            begin = time.monotonic()
            if self._move(segment, batch):
                self._storage.blobs.remove([segment])
                crash_point("post_drop")
                return
            if not batch:
                self._unreadable.add(segment)
                _log.error("blob file %d holds instances that cannot be read, and is kept", segment)
                return
            after = batch[-1][0].place.offset
            with self._state:
                # As long again for those who wait for the lock.
                self._state.wait_for(lambda: self._is_stopped, time.monotonic() - begin)

    def _read(self, segment: int, after: int) -> _Batch:
        """The next instances of a segment, checked against their hashes."""
        with self._storage.database.read() as connection:
            found = relocation.residents(connection, segment, after=after, limit=BATCH_INSTANCES)
        batch: _Batch = []
        size = 0
        for item in found:
            if size >= BATCH_BYTES:
                break
            try:
                batch.append((item, self._storage.blobs.read(item.place, item.sha256)))
            except (ApiError, OSError):
                # Damaged; or deleted just now, and the file with it.
                batch.append((item, None))
            size += item.place.length
        return batch

    def _move(self, segment: int, batch: _Batch) -> bool:
        """Move the instances that are still there; whether that was the last of the segment, which is forgotten."""
        storage = self._storage
        with storage.transaction() as connection:
            moves: list[tuple[Resident, Place]] = []
            for item, data in batch:
                if data is not None and relocation.is_at(connection, item):
                    moves.append((item, storage.blobs.append([data])[0]))
                    crash_point("mid_copy")
            if moves:
                storage.blobs.sync()
                crash_point("post_copy")
                relocation.move(connection, moves)
                catalog.upsert_segments(connection, storage.blobs.pending())
                catalog.add_live_bytes(connection, _changes(segment, moves))
            is_empty = not relocation.is_used(connection, segment)
            if is_empty:
                catalog.delete_segments(connection, [segment])
            crash_point("in_move")
        crash_point("post_move")
        return is_empty


def _changes(segment: int, moves: Sequence[tuple[Resident, Place]]) -> Counter[int]:
    """By how much the bytes in use of each blob file change."""
    changes: Counter[int] = Counter()
    for _, place in moves:
        changes[segment] -= place.length
        changes[place.segment] += place.length
    return changes
