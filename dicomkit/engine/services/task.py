"""What a worker holds of the operation that it works on: the request, how far it is, and whether it is to stop."""

from __future__ import annotations

import threading
import time
from typing import Any

from dicomkit.engine.persistence import operations as rows
from dicomkit.engine.persistence.operations import OperationFailure, OperationRow
from dicomkit.engine.persistence.storage import Storage
from dicomkit.names import DatasetName
from dicomkit.resources.operation import RPC_CODES

__all__ = ["MAX_FAILURES", "Cancelled", "Interrupted", "Stopped", "Task"]

SAVE_S = 0.2
"""How often a worker's progress is written at most; each time costs a sync of the disk."""

MAX_FAILURES = 10_000
"""Failures of one operation that are kept one by one; those beyond are counted."""

MAX_SOURCE = 2_000
"""Longest text of a failure's source that is kept."""


class Stopped(Exception):
    """The worker is to stop."""


class Cancelled(Stopped):
    """Somebody wants the operation to stop."""


class Interrupted(Stopped):
    """The engine is closing; the operation goes on when it is opened again."""


class Task:
    """One operation in the hands of its worker.

    A worker looks at :attr:`request`, does a portion of the work so that it is on disk, counts it, puts into
    :attr:`state` where to go on, and calls :meth:`save`. Counters, failures and state are written together, so that
    after a crash each portion is counted once; what was done and not saved is done again, and must bear that. Between
    two portions, and at least once a second, it calls :meth:`check`.

    Attributes
    ----------
    id
        Of the operation, within its dataset.
    dataset
        The dataset that the operation belongs to.
    request
        What is to be done, as ``Operations.start`` was told.
    state
        What the worker kept to go on: JSON; empty at the first attempt.
    counter
        ``success``, ``failure``, ``pending``, ``secondarySuccess``, ``secondaryFailure``.
    """

    def __init__(self, storage: Storage, row: OperationRow, dataset: DatasetName, closing: threading.Event) -> None:
        self.id = row.id
        self.dataset = dataset
        self.request = row.request
        self.state: dict[str, Any] = row.state
        self.counter: dict[str, int] = row.counter
        self._storage = storage
        self._closing = closing
        self._cancel = threading.Event()
        if row.cancel_requested:
            self._cancel.set()
        self._failures: list[OperationFailure] = []
        self._next_save = 0.0

    @property
    def name(self) -> str:
        """The operation's resource name."""
        return f"{self.dataset}/operations/{self.id}"

    def cancel(self) -> None:
        """Make the next :meth:`check` stop the worker."""
        self._cancel.set()

    def check(self) -> None:
        """Raise ``Stopped`` when the worker is to stop."""
        if self._cancel.is_set():
            raise Cancelled
        if self._closing.is_set():
            raise Interrupted

    def success(self, count: int = 1) -> None:
        """Count things that were done."""
        self.counter["success"] = self.counter.get("success", 0) + count

    def failure(self, source: str, message: str, code: str = "INVALID_ARGUMENT") -> None:
        """Count a thing that could not be done, and keep why.

        Parameters
        ----------
        source
            Which thing: a URI, or the path of an instance.
        message
            Why, without any value of the instance.
        code
            Canonical code of ``RPC_CODES``.
        """
        failed = self.counter["failure"] = self.counter.get("failure", 0) + 1
        if failed <= MAX_FAILURES:
            self._failures.append(OperationFailure(source[:MAX_SOURCE], RPC_CODES[code], message))

    def pending(self, count: int) -> None:
        """Say how many things are left."""
        self.counter["pending"] = count

    def save(self, *, now: bool = False) -> None:
        """Write counters, failures and :attr:`state`, unless that was done a moment ago.

        Parameters
        ----------
        now
            Write in any case.

        Raises
        ------
        Cancelled
            The operation is gone, because its dataset was deleted.
        """
        if not now and time.monotonic() < self._next_save:
            return
        with self._storage.database.write() as connection:
            is_there = rows.save(connection, self.id, self.state, self.counter, self._failures)
        self._failures.clear()
        self._next_save = time.monotonic() + SAVE_S
        if not is_there:
            raise Cancelled
