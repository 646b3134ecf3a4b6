"""Group commit: requests that arrive while one commit runs share the next one.

A commit costs two syncs whatever it holds. The thread that gets the lock first commits everything that is queued;
the others find their batch done when their turn comes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from dicomkit.errors import ApiError

__all__ = ["GroupCommit"]


class _Batch(Protocol):
    """What can be queued."""

    done: bool
    error: BaseException | None


B = TypeVar("B", bound=_Batch)


class GroupCommit(Generic[B]):
    """Queue in front of a function that commits several batches at once.

    Parameters
    ----------
    commit
        Commits batches in their order, all or none of them.
    """

    def __init__(self, commit: Callable[[Sequence[B]], None]) -> None:
        self._commit = commit
        self._queue: list[B] = []
        self._queue_lock = threading.Lock()
        self._turn = threading.Lock()

    def submit(self, batch: B) -> None:
        """Return when *batch* is committed, or raise what prevented it."""
        with self._queue_lock:
            self._queue.append(batch)
        with self._turn:
            if not batch.done:
                with self._queue_lock:
                    queue, self._queue = self._queue, []
                self._run(queue)
        if batch.error is not None:
            raise batch.error

    def _run(self, queue: list[B]) -> None:
        try:
            self._commit(queue)
        except ApiError as error:
            # The disk, or the catalog: it would fail for each of them.
            for batch in queue:
                batch.error = error
        except BaseException as error:  # noqa: BLE001 - each batch raises it in its own thread
            if len(queue) == 1 or not isinstance(error, Exception):
                for batch in queue:
                    batch.error = error
            else:
                # A defect that one batch runs into must not take the others down.
                for batch in queue:
                    self._run([batch])
        finally:
            for batch in queue:
                batch.done = True
