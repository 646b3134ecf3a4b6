"""A few child processes that compute for this one, and may be killed.

What they compute meets bytes from anywhere. A process that takes too long, wants too much memory or dies of an
instance ends alone: its caller gets an error, and the next call gets another process.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Literal, Self

from dicomkit.engine.services.child_process import ChildProcess
from dicomkit.errors import DicomFormatError, ResourceExhausted, Unavailable, from_body
from dicomkit.processes.messages import BrokenMessage
from dicomkit.processes.worker import OUT_OF_MEMORY

__all__ = ["Answer", "Failure", "WorkerPool", "cpus", "result_of"]

_log = logging.getLogger(__name__)

Answer = tuple[dict[str, Any], list[bytes]]
"""Content and blocks of an answer."""

START_S = 120.0
"""How long a process may take to start; the time of a call begins when it is ready."""
_LOOK_S = 1.0
"""How late a process may be found to be over its time, at worst."""
_POLL_S = 0.1
"""How often somebody who waits looks whether to go on waiting."""
_CLOSE_S = 10.0
_THREADS = "dicomkit-workers"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call has no answer, in words that every use of a pool puts in its own."""

    why: Literal["time", "memory", "system", "crash", "defect"]
    """It took too long, wanted more memory than there is for it, was killed by the system, died of the instance, or
    met a defect."""
    limit_s: float
    """How long it might have taken."""
    error: str = "Exception"
    """Type of the exception, for a defect."""


class WorkerPool:
    """Processes that all do the same, started when there is work for them.

    Parameters
    ----------
    module
        What they run; see :mod:`dicomkit.processes.worker`.
    settings, blocks
        What each is told before its first request. Secrets go here.
    error_of
        The error of a call that has no answer.
    workers
        Most processes.
    time_limit_s
        Longest that one call may run; waiting for a free process may take as long again.
    memory_bytes
        Address space of a process, where the system can limit it.
    most_bytes
        Largest request or answer.
    idle_s
        How long a process waits for work before it ends.
    """

    def __init__(
        self,
        module: str,
        settings: dict[str, Any],
        blocks: Sequence[bytes] = (),
        *,
        error_of: Callable[[Failure], Exception],
        workers: int,
        time_limit_s: float,
        memory_bytes: int,
        most_bytes: int,
        idle_s: float = 30.0,
    ) -> None:
        self._module, self._settings, self._blocks = module, settings, blocks
        self._error_of = error_of
        self._most, self._most_bytes, self._memory_bytes = workers, most_bytes, memory_bytes
        self.time_limit_s, self._idle_s = time_limit_s, idle_s
        self._changed = threading.Condition()
        self._idle: list[ChildProcess] = []
        self._busy: set[ChildProcess] = set()
        self._starting = 0
        self._keeper: threading.Thread | None = None
        self._is_closed = False
        # Threads that are no executor's: those are waited for at the end of the interpreter, before anybody can stop
        # what they wait for.
        self._threads: list[threading.Thread] = []
        self._queue: SimpleQueue[tuple[dict[str, Any], Sequence[bytes], Future[Answer]] | None] = SimpleQueue()

    def call(self, request: dict[str, Any], blocks: Sequence[bytes] = ()) -> Answer:
        """Have a request answered, and wait for that.

        Raises
        ------
        DicomkitError
            What the function in the process raised; or what *error_of* makes of its failure.
        ResourceExhausted
            No process became free.
        Unavailable
            The pool is closed, or no process can be started.
        """
        child = self._take()
        try:
            if not child.is_ready:
                child.ask(self._settings, self._blocks)
                child.is_ready = True
                child.until = time.monotonic() + self.time_limit_s
            answer, results = child.ask(request, blocks)
        except (BrokenMessage, OSError):
            self._drop(child)
            raise self._end_of(child) from None
        except BaseException:
            # The next request would get this one's answer.
            child.kill("given up")
            self._drop(child)
            raise
        self._give_back(child)
        if "error" in answer:
            raise from_body(answer["error"])
        if "format" in answer:
            message, offset, tag = answer["format"]
            raise DicomFormatError(message, offset=offset, tag=tag)
        if "failed" in answer:
            raise self._failure(answer["failed"])
        return answer, results

    def submit(self, request: dict[str, Any], blocks: Sequence[bytes] = ()) -> Future[Answer]:
        """Have a request answered when its turn comes; the future raises what :meth:`call` does."""
        future: Future[Answer] = Future()
        with self._changed:
            if self._is_closed:
                raise _stopped()
            self._queue.put((request, blocks, future))
            if len(self._threads) < self._most:
                self._threads.append(threading.Thread(target=self._work, name=_THREADS, daemon=True))
                self._threads[-1].start()
        return future

    def close(self) -> None:
        """End all processes, whatever they do; calls that run end with an error, and those that wait do not begin."""
        with self._changed:
            self._is_closed = True
            idle, self._idle = self._idle, []
            for child in self._busy:
                child.kill("closed")
            keeper = self._keeper
            self._changed.notify_all()
        with suppress(Empty):
            while (left := self._queue.get_nowait()) is not None:
                left[2].cancel()
        for _ in self._threads:
            self._queue.put(None)
        for child in idle:
            child.end()
        with self._changed:
            # Those that were killed are ended by their callers, who see their pipes end.
            self._changed.wait_for(lambda: not self._busy and not self._starting, _CLOSE_S)
        for thread in self._threads if keeper is None else (*self._threads, keeper):
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            request, blocks, future = work
            if not future.set_running_or_notify_cancel():
                continue
            try:
                answer = self.call(request, blocks)
            except Exception as error:  # noqa: BLE001 - for whoever waits for it
                future.set_exception(error)
            else:
                future.set_result(answer)
            del work, request, blocks, future  # large, and the next may be long in coming

    def _end_of(self, child: ChildProcess) -> Exception:
        """The error of the call during which a process ended."""
        status = child.process.returncode
        _log.warning("a process of %s ended: %s, status %s", self._module, child.killed_for or "by itself", status)
        if child.killed_for == "closed":
            return _stopped()
        if not child.is_ready:
            return _not_started()
        if child.killed_for == "time":
            return self._error_of(Failure("time", self.time_limit_s))
        if status == OUT_OF_MEMORY:
            return self._error_of(Failure("memory", self.time_limit_s))
        if child.killed_for is None and status == -9:
            return self._error_of(Failure("system", self.time_limit_s))
        return self._error_of(Failure("defect" if status in (0, 1) else "crash", self.time_limit_s))

    def _failure(self, error: object) -> Exception:
        if error == "MemoryError":
            return self._error_of(Failure("memory", self.time_limit_s))
        # A process that was taken over may say anything, which is not for the log.
        name = error if isinstance(error, str) and error.isidentifier() and len(error) < 64 else "Exception"
        _log.error("a process of %s met a defect: %s", self._module, name)
        return self._error_of(Failure("defect", self.time_limit_s, name))

    def _take(self) -> ChildProcess:
        """A process that is free, or a new one; the caller waits while as many as there may be are busy."""
        give_up = time.monotonic() + self.time_limit_s
        with self._changed:
            while True:
                if self._is_closed:
                    raise _stopped()
                while self._idle:
                    child = self._idle.pop()
                    if child.is_alive():
                        self._began(child, self.time_limit_s)
                        return child
                    child.end()
                if len(self._busy) + self._starting < self._most:
                    self._starting += 1
                    break
                if not self._changed.wait(give_up - time.monotonic()) and time.monotonic() >= give_up:
                    raise ResourceExhausted("all processes for this work are busy; try again later")
        new: ChildProcess | None = None
        try:
            new = ChildProcess(self._module, self._memory_bytes, self._most_bytes)
        except OSError:
            raise _not_started() from None
        finally:
            with self._changed:
                self._starting -= 1
                if new is not None and not self._is_closed:
                    self._began(new, START_S)
                self._changed.notify_all()
        if new.until == 0.0:
            new.end()
            raise _stopped()
        return new

    def _began(self, child: ChildProcess, limit_s: float) -> None:
        child.until = time.monotonic() + limit_s
        self._busy.add(child)
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name=_THREADS, daemon=True)
            self._keeper.start()

    def _give_back(self, child: ChildProcess) -> None:
        with self._changed:
            self._busy.discard(child)
            child.until = time.monotonic() + self._idle_s
            closed = self._is_closed
            if not closed:
                self._idle.append(child)
            self._changed.notify_all()
        if closed:
            child.end()

    def _drop(self, child: ChildProcess) -> None:
        child.end()
        with self._changed:
            self._busy.discard(child)
            self._changed.notify_all()

    def _keep(self) -> None:
        """Kill what runs too long and end what has waited too long; the thread ends with the last process."""
        while True:
            with self._changed:
                if self._is_closed or not (self._busy or self._idle or self._starting):
                    self._keeper = None
                    return
                now = time.monotonic()
                for child in self._busy:
                    if child.until <= now:
                        child.kill("time")
                # The one used last is taken first, so that the oldest stands at the front.
                tired = [child for child in self._idle if child.until <= now]
                self._idle = [child for child in self._idle if child.until > now]
                if not tired:
                    times = [child.until for child in (*self._busy, *self._idle) if child.until > now]
                    self._changed.wait(min(_LOOK_S, max(0.01, min(times, default=now + _LOOK_S) - now)))
            for child in tired:
                child.end()


def cpus(most: int) -> int:
    """How many processors this process may use, up to *most*."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(found, most))


def result_of(future: Future[Answer], check: Callable[[], None]) -> Answer:
    """Wait for an answer, and call *check* meanwhile; what it raises is passed on."""
    while True:
        check()
        try:
            return future.result(_POLL_S)
        except NotYet:
            if future.done():
                raise


def _stopped() -> Unavailable:
    return Unavailable("the work is being stopped: the engine is closing, or closed")


def _not_started() -> Unavailable:
    return Unavailable("no process could be started for the work; try again later")
