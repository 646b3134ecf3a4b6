"""A long-running operation: what a verb that begins one gives, and how to wait for it, stop it, and see what failed.

Source: Cloud Healthcare API v1, "Manage long-running operations", ``operations.get`` and ``operations.cancel``.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Generator, Iterator, Mapping
from typing import Any, Literal, Self

import pandas as pd

from dicomkit import resources
from dicomkit.client.cards import card
from dicomkit.client.connection import Connection
from dicomkit.client.operation_errors import errors_of
from dicomkit.client.rest import quote_path
from dicomkit.errors import (
    DeadlineExceeded,
    InvalidArgument,
    OperationError,
    PartialResultsWarning,
    Unavailable,
    warn,
)
from dicomkit.names import DatasetName
from dicomkit.progress import Progress
from dicomkit.resources.operation import RPC_CODES

__all__ = ["Operation", "State", "begin", "check_name", "method_of", "state_of"]

FIRST_PAUSE_S = 0.01
"""What the first look at an operation waits for: many are done by then."""

LONGEST_PAUSE_S = 2.0
"""What a later look waits for at most."""

GROWTH = 1.5
"""How much longer each pause is than the one before."""

BAR_AFTER_S = 0.5
"""An operation that ends sooner gets no bar."""

PATIENCE_S = 30.0
"""How long waiting goes on although the server does not answer: an operation outlives a broken line."""

State = Literal["running", "succeeded", "failed", "cancelled"]

_ID = re.compile(r"[\w.-]{1,256}", re.ASCII)


class Operation:
    """Work that the server does after it has answered. Verbs that begin such work return one at once.

    ``op.result()`` waits for its end, and so does ``await op``; both give the operation itself, whose counters say what
    was done. It goes on whether or not anybody waits, and ``Dataset.operation(op.id)`` finds it again from any process.

    Parameters
    ----------
    connection
        The server.
    resource
        The operation as the server last described it.
    method
        What it does, for as long as the server has not said so.
    """

    def __init__(self, connection: Connection, resource: resources.Operation, *, method: str = "") -> None:
        self._connection = connection
        self._name = check_name(resource.name or "")
        self._resource = resource
        self._method = method
        self._silent_since: float | None = None

    @property
    def name(self) -> str:
        """The resource name, ``projects/{p}/locations/{l}/datasets/{d}/operations/{id}``."""
        return self._name

    @property
    def id(self) -> str:
        """The id within its dataset."""
        return self._name.rpartition("/")[2]

    @property
    def resource(self) -> resources.Operation:
        """The operation as the server last described it."""
        return self._resource

    @property
    def method(self) -> str:
        """What it does, the last part of ``apiMethodName``: ``"ImportDicomData"``."""
        return method_of(self._resource) or self._method

    @property
    def done(self) -> bool:
        """Whether it had ended when the server last described it."""
        return bool(self._resource.done)

    @property
    def state(self) -> State:
        """``"running"``, ``"succeeded"``, ``"failed"`` or ``"cancelled"``, when the server last described it."""
        return state_of(self._resource)

    @property
    def counters(self) -> dict[str, int]:
        """``success``, ``failure`` and ``pending``, when the server last described it, and what else it counts."""
        return {"success": 0, "failure": 0, "pending": 0, **self._resource.counters}

    def refresh(self) -> Self:
        """Ask the server for the operation again, and return it.

        Notes
        -----
        Healthcare API ``operations.get``.
        """
        self._resource = resources.Operation.from_api(self._connection.rest.json("GET", quote_path(self._name)))
        return self

    def result(self, timeout: float | None = None, *, progress: bool | None = None) -> Self:
        """Wait until the operation has ended, and return it: its counters say what was done.

        Interrupting (Ctrl+C, or the stop button of a notebook) ends the waiting and not the operation.

        Parameters
        ----------
        timeout
            Seconds to wait at most; as long as it takes by default.
        progress
            Whether to show a bar; by default where somebody watches.

        Raises
        ------
        OperationError
            It failed or was cancelled; what it did before stays done.
        DeadlineExceeded
            It had not ended in time, and goes on.

        Warns
        -----
        PartialResultsWarning
            It ended, and some things could not be done; :meth:`errors` lists them.
        """
        try:
            for pause in self._waits(timeout, progress):
                time.sleep(pause)
                self._look()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped waiting; {self._way_back()}") from None
        return self._ended()

    def __await__(self) -> Generator[Any, None, Self]:
        """Wait as :meth:`result` does, while the event loop goes on; cancelling the task ends the waiting only."""
        return self._awaited().__await__()

    async def _awaited(self) -> Self:
        for pause in self._waits(None, None):
            await asyncio.sleep(pause)
            await asyncio.to_thread(self._look)
        return self._ended()

    def _waits(self, timeout: float | None, progress: bool | None) -> Iterator[float]:
        """Pauses between two looks, until one of them finds the end."""
        until = None if timeout is None else time.monotonic() + timeout
        pause = FIRST_PAUSE_S
        with Progress(None, self.method or "operation", unit=" items", show=progress, delay_s=BAR_AFTER_S) as bar:
            while not self.done:
                left = LONGEST_PAUSE_S if until is None else until - time.monotonic()
                if left <= 0:
                    raise DeadlineExceeded(f"the operation has not ended within {timeout:g} s; {self._way_back()}")
                yield min(pause, left)
                pause = min(pause * GROWTH, LONGEST_PAUSE_S)
                done, total = self._progress()
                failed = self.counters["failure"]
                bar.reach(done, total or None, f"{failed} failed" if failed else "")

    def _look(self) -> None:
        try:
            self.refresh()
            self._silent_since = None
        except (Unavailable, DeadlineExceeded) as error:
            now = time.monotonic()
            if self._silent_since is None:
                self._silent_since = now
            elif now - self._silent_since > PATIENCE_S:
                self._silent_since = None
                error.add_note(f"It is not known how far the operation is; {self._way_back()}")
                raise

    def _ended(self) -> Self:
        failure = self._resource.failure()
        counters = self.counters
        told = f"{counters['success']} succeeded, {counters['failure']} failed"
        if failure is not None:
            hint = "" if self.state == "cancelled" else "; see op.errors()"
            message = f"{self.method or 'the operation'}: {failure}; {told}{hint}"
            raise OperationError(message, operation=self._name, counters=counters)
        if counters["failure"]:
            warn(f"{self.method or 'the operation'}: {told}; see op.errors()", PartialResultsWarning)
        return self

    def cancel(self, *, wait: bool = False, timeout: float | None = 60.0) -> Self:
        """Ask the server to stop the operation, and return it. What it did before stays done.

        Parameters
        ----------
        wait
            Wait until it has ended, however it ends: :attr:`state` says it. (It may have been done already.)
        timeout
            Seconds to wait at most.

        Raises
        ------
        DeadlineExceeded
            It had not ended in time.

        Notes
        -----
        Healthcare API ``operations.cancel``, best effort.
        """
        if not self.done:
            path = f"{quote_path(self._name)}:cancel"
            self._connection.rest.json("POST", path, body={}, is_repeatable=True)
            self.refresh()
        if wait:
            for pause in self._waits(timeout, False):
                time.sleep(pause)
                self._look()
        return self

    def errors(self) -> pd.DataFrame:
        """What the operation could not do, so far: one row each, columns ``frames.OPERATION_ERRORS``.

        A dicomkit engine keeps these itself. Google writes them to Cloud Logging, where they are read from; that needs
        the permission ``logging.logEntries.list``.

        Warns
        -----
        PartialResultsWarning
            The server does not list every failure that it has counted.
        """
        if not self.done:
            self.refresh()
        frame = errors_of(self._connection, self._name, _metadata(self._resource, "createTime"))
        if len(frame) < self.counters["failure"]:
            warn(f"{len(frame)} of {self.counters['failure']} failures are listed by the server", PartialResultsWarning)
        return frame

    def _way_back(self) -> str:
        return f'the operation goes on: op.cancel() stops it, ds.operation("{self.id}") finds it again'

    def _progress(self) -> tuple[int, int]:
        counters = self.counters
        done = counters["success"] + counters["failure"]
        return done, done + counters["pending"]

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.counters.items() if count)
        return f"<Operation {self.id} {self.method or '?'}: {self.state}{f' ({counts})' if counts else ''}>"

    def _repr_html_(self) -> str:
        rows = [("method", self.method or "?"), ("state", self.state)]
        rows += [(name, str(count)) for name, count in self.counters.items()]
        rows += [(label, _metadata(self._resource, key)) for label, key in _TIMES if _metadata(self._resource, key)]
        return card("Operation", self.id, rows, progress=self._progress())


_TIMES = (("began", "createTime"), ("ended", "endTime"))


def begin(connection: Connection, path: str, body: Mapping[str, Any] | None, *, method: str) -> Operation:
    """Send the request that begins an operation: a POST, or a DELETE where there is no *body*."""
    verb = "DELETE" if body is None else "POST"
    answer = connection.rest.json(verb, path, body=body)
    return Operation(connection, resources.Operation.from_api(answer), method=method)


def check_name(name: str) -> str:
    """*name* if it is one of an operation; it becomes a part of paths and of filters."""
    dataset, separator, id_ = name.rpartition("/operations/")
    if not separator or not _ID.fullmatch(id_):
        raise InvalidArgument(
            "an operation is named projects/{project}/locations/{location}/datasets/{dataset}/operations/{id}; "
            f"got {name!a:.80}"
        )
    return f"{DatasetName.parse(dataset)}/operations/{id_}"


def state_of(operation: resources.Operation) -> State:
    """The state in one word."""
    if not operation.done:
        return "running"
    if operation.error is None:
        return "succeeded"
    return "cancelled" if operation.error.get("code") == RPC_CODES["CANCELLED"] else "failed"


def method_of(operation: resources.Operation) -> str:
    """The last part of ``apiMethodName``; empty where the server has not said it."""
    return _metadata(operation, "apiMethodName").rpartition(".")[2]


def _metadata(operation: resources.Operation, name: str) -> str:
    value = (operation.metadata or {}).get(name)
    return value if isinstance(value, str) else ""
