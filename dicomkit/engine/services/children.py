"""Processes that compute for this one, with whatever a hostile file does to them.

Each is a fresh interpreter that speaks in blocks over its pipes. A fork of a process with threads may hang, and
``multiprocessing``'s fresh ones run the main script again. One that takes too long or dies is replaced, and what it
was doing fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import BinaryIO, cast

from dicomkit.deid.child import OK, read_block, write_block
from dicomkit.errors import DicomFormatError, Unavailable

__all__ = ["Children", "cpus", "result_of"]

MAX_CHILDREN = 8

START_S = 120.0
"""How long a process may take to start."""

POLL_S = 0.1
"""How often somebody who waits looks whether to go on waiting."""


def cpus() -> int:
    """How many processors this process may use, and no more than make sense here."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(found, MAX_CHILDREN))


class Children:
    """A few processes that all do the same; started when there is work for them.

    Parameters
    ----------
    module
        What they run: its ``main`` reads blocks from the standard input and answers each, the first one when it is
        ready.
    first
        The first block, which tells each what is to be done. Secrets go here.
    count
        How many there are at most.
    limit_s
        How long one request may take.
    """

    def __init__(self, module: str, first: bytes, *, count: int, limit_s: float) -> None:
        self._module = module
        self._first = first
        self._count = count
        self._limit_s = limit_s
        self._local = threading.local()
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False
        # A thread per process, blocked in its pipes: whoever waits for it can kill the process at any time. They are
        # no executor's: those are waited for at the end of the interpreter, before anybody can stop them.
        self._queue: SimpleQueue[tuple[bytes, Future[bytes]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, request: bytes) -> Future[bytes]:
        """Have one request answered.

        The future raises ``DicomFormatError`` when the child says that it cannot be done, takes too long, or dies, and
        ``Unavailable`` when no child can be started.
        """
        future: Future[bytes] = Future()
        with self._lock:
            if self._closed:
                raise Unavailable("the work is being stopped")
            self._queue.put((request, future))
            if len(self._threads) < self._count:
                thread = threading.Thread(target=self._run, name="dicomkit-children", daemon=True)
                self._threads.append(thread)
                thread.start()
        return future

    def close(self) -> None:
        """End all of them at once, whatever they are doing."""
        with self._lock:
            self._closed = True
            for process in self._running:
                process.kill()
        with suppress(Empty):
            while (left := self._queue.get_nowait()) is not None:
                left[1].cancel()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        for process in self._running:
            _bury(process)
        self._running.clear()

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            request, future = work
            if not future.set_running_or_notify_cancel():
                continue
            try:
                answer = self._answer(request)
            except Exception as error:  # noqa: BLE001 - for whoever waits for it
                future.set_exception(error)
            else:
                future.set_result(answer)

    def _answer(self, request: bytes) -> bytes:
        process = self._process()
        answer, is_late = _asked(process, request, self._limit_s)
        if answer is None:
            self._forget(process)
            why = f"took longer than {self._limit_s:g} s" if is_late else "ended the process that worked on it"
            raise DicomFormatError(f"the instance {why}")
        if answer[:1] != OK:
            raise DicomFormatError(answer[1:].decode("utf-8", "replace"))
        return answer[1:]

    def _process(self) -> subprocess.Popen[bytes]:
        """The process of the thread, ready for a request."""
        found: subprocess.Popen[bytes] | None = getattr(self._local, "process", None)
        if found is not None and found.poll() is None:
            return found
        if found is not None:
            self._forget(found)
        code = f"from {self._module} import main; main()"
        with self._lock:
            if self._closed:
                raise Unavailable("the work is being stopped")
            process = subprocess.Popen(  # noqa: S603 - this very interpreter, with code of this package
                [sys.executable, "-P", "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
            self._running.add(process)
        self._local.process = process
        ready, _is_late = _asked(process, self._first, START_S)
        if ready is None:
            self._forget(process)
            raise Unavailable("a process for the work cannot be started")
        return process

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        self._local.process = None
        process.kill()
        _bury(process)
        with self._lock:
            self._running.discard(process)


def _asked(process: subprocess.Popen[bytes], block: bytes, limit_s: float) -> tuple[bytes | None, bool]:
    """What a process answers to a block; ``None`` when it died, and whether that was for the time that it took."""
    is_late = threading.Event()

    def stop() -> None:
        is_late.set()
        process.kill()

    timer = threading.Timer(limit_s, stop)
    timer.daemon = True
    timer.start()
    try:
        write_block(cast(BinaryIO, process.stdin), block)
        return read_block(cast(BinaryIO, process.stdout)), is_late.is_set()
    except OSError:
        return None, is_late.is_set()  # it died before it had read everything
    finally:
        timer.cancel()


def _bury(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that was killed, and close its pipes."""
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what was still to be written has nobody to read it
                pipe.close()


def result_of(future: Future[bytes], check: Callable[[], None]) -> bytes:
    """Wait for a child's answer, and call *check* meanwhile; what it raises is passed on."""
    while True:
        check()
        try:
            return future.result(POLL_S)
        except NotYet:
            if future.done():
                raise
