"""Long-running operations: kept in the catalog, done by threads of this process, taken up again after a crash.

Source: Cloud Healthcare API v1, "Manage long-running operations"; ``OperationMetadata``; ``google.rpc.Status``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dicomkit.engine.defects import place_of
from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence import operations as rows
from dicomkit.engine.persistence.database import Connection
from dicomkit.engine.persistence.operations import OperationRow
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.task import Cancelled, Interrupted, Task
from dicomkit.errors import (
    ApiError,
    DicomFormatError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    SetupError,
    Unimplemented,
)
from dicomkit.names import DatasetName
from dicomkit.resources.operation import RPC_CODES, rpc_status

__all__ = ["EMPTY", "Operations", "Work"]

_log = logging.getLogger(__name__)

EMPTY = "type.googleapis.com/google.protobuf.Empty"
"""``@type`` of a response that says nothing."""

API = "google.cloud.healthcare"
"""What ``apiMethodName`` and the types of responses begin with; the version of the API follows."""

WORKERS = 2
"""Operations that are worked on at a time; others wait for their turn."""

MAX_ATTEMPTS = 5
"""How often an operation is begun without getting any further before it is given up."""

KEPT_S = 30 * 24 * 3600
"""How long an operation can be asked about after it has ended."""

CLOSE_S = 10.0
"""How long closing waits for workers to stop."""

Work = Callable[[Task], Mapping[str, Any]]
"""Does an operation and returns its response, which has an ``@type``."""


@dataclass(frozen=True, slots=True)
class _Kind:
    method: str
    work: Work


class Operations:
    """Operations of all datasets of a home."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._kinds: dict[str, _Kind] = {}
        self._state = threading.Condition()
        self._closing = threading.Event()
        self._queue: deque[str] = deque()
        self._tasks: dict[str, Task | None] = {}
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._last_id = 0

    def register(self, kind: str, method: str, work: Work) -> None:
        """Say who does operations of a kind.

        Parameters
        ----------
        kind
            Its name in the catalog.
        method
            ``apiMethodName`` without what all of them begin with: ``dicom.DicomService.ImportDicomData``.
        work
            Does it. It may be called again, in a later process, with what the first call has saved.
        """
        self._kinds[kind] = _Kind(method, work)

    # What handlers ask

    def start(
        self,
        dataset: DatasetName,
        kind: str,
        request: Mapping[str, Any],
        *,
        api: str = "v1",
        counter: Mapping[str, int] | None = None,
    ) -> dict[str, Any]:
        """Keep an operation, have it begun, and return what the API answers at first: its name.

        Parameters
        ----------
        dataset
            What the operation belongs to.
        kind
            Of :meth:`register`.
        request
            JSON that the worker is given; checked before, so that what is wrong with it is the caller's answer.
        api
            Version of the API that was called.
        counter
            What is counted already.
        """
        row = self._row(kind, f"{API}.{api}.{self._kinds[kind].method}", request, counter)
        with self._storage.database.write() as connection:
            key, _ = catalog.dataset_key(connection, dataset)
            rows.forget_ended_before(connection, row.created - KEPT_S * 1_000_000)
            rows.insert_operation(connection, row._replace(dataset_key=key))
        self._put(row.id)
        return {"name": f"{dataset}/operations/{row.id}"}

    def finished(
        self,
        connection: Connection,
        dataset: DatasetName,
        dataset_key: int,
        method: str,
        response: Mapping[str, Any],
        *,
        api: str = "v1",
        counter: Mapping[str, int] | None = None,
    ) -> dict[str, Any]:
        """Keep an operation for work that the caller's transaction does, and return it as ``get`` will."""
        row = self._row("", f"{API}.{api}.{method}", {}, counter)
        row = row._replace(dataset_key=dataset_key, ended=row.created, outcome={"response": dict(response)})
        rows.insert_operation(connection, row)
        return _resource(dataset, row)

    def get(self, dataset: DatasetName, operation_id: str) -> dict[str, Any]:
        """The operation; ``NotFound`` when there is none."""
        with self._storage.database.read() as connection:
            return _resource(dataset, self._find(connection, dataset, operation_id))

    def cancel(self, dataset: DatasetName, operation_id: str) -> None:
        """Have an operation stopped; one that has ended stays as it is. What it did stays done."""
        with self._storage.database.write() as connection:
            row = self._find(connection, dataset, operation_id)
            if row.ended is not None:
                return
            rows.request_cancel(connection, operation_id)
        with self._state:
            task = self._tasks.get(operation_id)
            if task is not None:
                task.cancel()
                return
            if operation_id in self._tasks or operation_id not in self._queue:
                return  # its worker is about to read the request
            self._queue.remove(operation_id)
        self._finish(operation_id, _cancelled())

    def failures(self, dataset: DatasetName, operation_id: str, *, after: int, limit: int) -> list[dict[str, Any]]:
        """What an operation could not do: key, source, and a ``google.rpc.Status``, in the order they were met."""
        with self._storage.database.read() as connection:
            row = self._find(connection, dataset, operation_id)
            found = rows.list_failures(connection, row.id, after, limit)
        return [
            {"key": key, "source": failure.source, "error": {"code": failure.code, "message": failure.message}}
            for key, failure in found
        ]

    def list(self, dataset: DatasetName, *, after: str, limit: int) -> list[dict[str, Any]]:
        """Operations of a dataset in the order they were begun in, from the one after *after*."""
        with self._storage.database.read() as connection:
            key, _ = catalog.dataset_key(connection, dataset)
            found = rows.list_operations(connection, key, after, limit)
        return [_resource(dataset, row) for row in found]

    def _find(self, connection: Connection, dataset: DatasetName, operation_id: str) -> OperationRow:
        key, _ = catalog.dataset_key(connection, dataset)
        row = rows.operation(connection, operation_id)
        if row is None or row.dataset_key != key:
            raise NotFound(f"there is no operation {operation_id!r:.40} in {str(dataset)!r}")
        return row

    def _row(
        self, kind: str, method: str, request: Mapping[str, Any], counter: Mapping[str, int] | None
    ) -> OperationRow:
        with self._state:
            # Ascending, and as long as Google's.
            self._last_id = max(self._last_id + 1, time.time_ns())
            id_ = str(self._last_id)
        now = time.time_ns() // 1_000
        return OperationRow(id_, 0, kind, method, dict(request), {}, dict(counter or {}), 0, False, now, None, None)

    # The workers

    def resume(self) -> None:
        """Go on with what the last process did not finish; to be called when every kind is registered."""
        with self._storage.database.write() as connection:
            rows.forget_ended_before(connection, time.time_ns() // 1_000 - KEPT_S * 1_000_000)
            left = rows.unfinished(connection)
        for id_ in left:
            self._put(id_)

    def wait(self, timeout_s: float) -> bool:
        """Wait until nothing is left to do; ``False`` when *timeout_s* is over before."""
        with self._state:
            return self._state.wait_for(lambda: not (self._queue or self._tasks), timeout_s)

    def close(self) -> None:
        """Have the workers stop where they are, so that the next process goes on there."""
        self._closing.set()
        with self._state:
            self._state.notify_all()
            threads = list(self._threads)
        until = time.monotonic() + CLOSE_S
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))

    def _put(self, id_: str) -> None:
        with self._state:
            if self._closing.is_set():
                return  # it is in the catalog, for the next process
            self._queue.append(id_)
            if len(self._queue) > self._idle and len(self._threads) < WORKERS:
                thread = threading.Thread(target=self._run, name="dicomkit-operations", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._state.notify_all()

    def _run(self) -> None:
        while True:
            with self._state:
                self._idle += 1
                self._state.wait_for(lambda: self._queue or self._closing.is_set())
                self._idle -= 1
                if self._closing.is_set():
                    return
                id_ = self._queue.popleft()
                self._tasks[id_] = None
            try:
                self._work(id_)
            except Exception as exc:  # noqa: BLE001 - the catalog failed; the operation is taken up by the next process
                _log.error("an operation is interrupted: %s", type(exc).__name__)
            finally:
                with self._state:
                    del self._tasks[id_]
                    self._state.notify_all()

    def _work(self, id_: str) -> None:
        with self._storage.database.write() as connection:
            row = rows.begin_attempt(connection, id_)
            dataset = catalog.dataset_name(connection, row.dataset_key) if row is not None else None
        if row is None or dataset is None:
            return
        task = Task(self._storage, row, dataset, self._closing)
        with self._state:
            self._tasks[id_] = task
        with self._storage.database.read() as connection:
            latest = rows.operation(connection, id_)
        if latest is not None and latest.cancel_requested:
            task.cancel()  # asked for before the task could be found
        try:
            outcome = self._outcome(row, task)
        except Interrupted:
            task.save(now=True)
            return
        try:
            task.counter.pop("pending", None)
            task.save(now=True)
        except Cancelled:
            return  # it went with its dataset
        self._finish(id_, outcome)

    def _outcome(self, row: OperationRow, task: Task) -> dict[str, Any]:
        """Do the work, and say how it ended."""
        kind = self._kinds.get(row.kind)
        if kind is None:
            error: ApiError = Unimplemented("this version of dicomkit cannot do the operation; begin it again")
        elif row.attempts > MAX_ATTEMPTS:
            error = ApiError(
                f"the process ended {MAX_ATTEMPTS} times in this operation before it got any further; it is given up",
                status=500,
                code="INTERNAL",
            )
        else:
            try:
                task.check()
                response = dict(kind.work(task))
                if task.counter.get("failure") and not task.counter.get("success"):
                    count = task.counter["failure"]
                    error = InvalidArgument(f"all {count} items failed; the operation's errors say why")
                else:
                    return {"response": response}
            except Cancelled:
                return _cancelled()
            except Interrupted:
                raise
            except ApiError as exc:
                error = exc
            except DicomFormatError as exc:
                error = InvalidArgument(str(exc))
            except SetupError as exc:
                error = FailedPrecondition(str(exc))
            except Exception as exc:  # noqa: BLE001 - a defect; its text may hold values
                _log.error("%s failed: %s in %s", row.kind, type(exc).__name__, place_of(exc))
                error = ApiError("internal error", status=500, code="INTERNAL")
        return {"error": rpc_status(error)}

    def _finish(self, id_: str, outcome: Mapping[str, Any]) -> None:
        with self._storage.database.write() as connection:
            rows.finish(connection, id_, outcome, time.time_ns() // 1_000)


def _cancelled() -> dict[str, Any]:
    return {"error": {"code": RPC_CODES["CANCELLED"], "message": "the operation was cancelled; what it did stays done"}}


def _time(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _resource(dataset: DatasetName, row: OperationRow) -> dict[str, Any]:
    """The operation as the API shows it."""
    version = row.method.removeprefix(f"{API}.").partition(".")[0]
    metadata: dict[str, Any] = {
        "@type": f"type.googleapis.com/{API}.{version}.OperationMetadata",
        "apiMethodName": row.method,
        "createTime": _time(row.created),
    }
    if row.ended is not None:
        metadata["endTime"] = _time(row.ended)
    if row.kind or row.counter:
        # int64 is a string in proto3 JSON, and zero is left out.
        metadata["counter"] = {name: str(count) for name, count in row.counter.items() if count}
    if row.cancel_requested:
        metadata["cancelRequested"] = True
    body: dict[str, Any] = {"name": f"{dataset}/operations/{row.id}", "metadata": metadata}
    if row.outcome is not None:
        body |= {"done": True, **row.outcome}
    return body
