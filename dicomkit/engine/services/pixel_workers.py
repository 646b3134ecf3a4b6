"""Pixels decoded in processes of their own, which may be killed.

Decoders are C libraries that meet bytes from anywhere. A process that takes too long, wants too much memory or dies
of a frame ends alone: its caller gets an error, and the next call gets another process. They are started as plain
commands: forking does not go with threads, and ``multiprocessing`` not with a ``__main__`` that is a notebook.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, Literal

from dicomkit.errors import (
    DicomFormatError,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
    from_body,
)
from dicomkit.pixels import FileRange, Source, Viewport
from dicomkit.pixels.limits import FILE_BYTES, RESULT_BYTES
from dicomkit.pixels.messages import BrokenMessage, read_message, write_message
from dicomkit.pixels.worker import BOOTSTRAP

__all__ = ["PixelWorkers"]

_log = logging.getLogger(__name__)

_MOST_WORKERS = 4
_MOST_BYTES = RESULT_BYTES + (64 << 20)
_PIPE_BYTES = 1 << 20
_SET_PIPE_SIZE = 1031
"""``F_SETPIPE_SZ`` of Linux."""
_LOOK_S = 1.0
"""How late a process may be found to be over its time, at worst."""
_END_S = 1.0
_CLOSE_S = 10.0


class PixelWorkers:
    """The functions of :mod:`dicomkit.pixels`, each call in one of a few child processes.

    Parameters
    ----------
    workers
        Most processes; the CPUs of this process, and no more than 4, when left out.
    time_limit_s
        Longest that one call may run; waiting for a free process may take as long again.
    memory_bytes
        Address space of a process, where the system can limit it.
    idle_s
        How long a process waits for work before it ends.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        time_limit_s: float = 60.0,
        memory_bytes: int = 4 << 30,
        idle_s: float = 30.0,
    ) -> None:
        self._most = workers or min(_MOST_WORKERS, _cpus())
        self._time_limit_s, self._memory_bytes, self._idle_s = time_limit_s, memory_bytes, idle_s
        self._changed = threading.Condition()
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._starting = 0
        self._keeper: threading.Thread | None = None
        self._is_closed = False

    def transcode(self, source: Source, transfer_syntax: str) -> bytes:
        """See :func:`dicomkit.pixels.transcode`.

        Raises
        ------
        ResourceExhausted
            The call took too long, wanted too much memory, or no process became free; of all four methods.
        InvalidArgument
            The process died of the image; of all four methods.
        """
        return self._call("transcode", source, syntax=transfer_syntax)[1][0]

    def frame_count(self, source: Source) -> int:
        """See :func:`dicomkit.pixels.frame_count`."""
        return int(self._call("frame_count", source)[0]["value"])

    def frame_bytes(self, source: Source, frames: Sequence[int], *, transfer_syntax: str) -> list[bytes]:
        """See :func:`dicomkit.pixels.frame_bytes`."""
        return self._call("frame_bytes", source, frames=list(frames), syntax=transfer_syntax)[1]

    def render(self, source: Source, frame: int, *, media_type: str, viewport: Viewport | None = None) -> bytes:
        """See :func:`dicomkit.pixels.render`."""
        box = None
        if viewport is not None:
            region = (viewport.left, viewport.top, viewport.region_width, viewport.region_height)
            box = [viewport.width, viewport.height, *region]
        return self._call("render", source, frame=frame, media_type=media_type, viewport=box)[1][0]

    def close(self) -> None:
        """End all processes; calls that run end with an error."""
        with self._changed:
            self._is_closed = True
            idle, self._idle = self._idle, []
            for child in self._busy:
                child.kill("closed")
            keeper = self._keeper
            self._changed.notify_all()
        for child in idle:
            child.end()
        with self._changed:
            # Those that were killed are ended by their callers, who see their pipes end.
            self._changed.wait_for(lambda: not self._busy and not self._starting, _CLOSE_S)
        if keeper is not None:
            keeper.join()

    def _call(self, method: str, source: Source, **arguments: Any) -> tuple[dict[str, Any], list[bytes]]:
        request: dict[str, Any] = {"method": method, "file": None, **arguments}
        blocks: list[bytes] = []
        length = source.length if isinstance(source, FileRange) else len(source)
        if length > FILE_BYTES:
            raise FailedPrecondition(
                f"the file has {length} bytes; up to {FILE_BYTES} are transcoded or rendered. "
                "Ask for transfer-syntax=* to get it as it was stored"
            )
        if isinstance(source, FileRange):
            request["file"] = [source.path, source.offset, source.length]
        else:
            blocks.append(source)
        child = self._take()
        try:
            answer, results = child.ask(request, blocks)
        except (BrokenMessage, OSError):
            child.end()
            self._drop(child)
            raise self._reason(child) from None
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
        return answer, results

    def _reason(self, child: _Child) -> Exception:
        status = child.process.returncode
        _log.warning("a pixel worker ended: %s, status %s", child.killed_for or "by itself", status)
        if child.killed_for == "closed":
            return Unavailable("the engine is closing")
        if child.killed_for == "time":
            return ResourceExhausted(
                f"decoding took longer than {self._time_limit_s:g} s and was stopped; "
                "retrieve single frames, or ask for transfer-syntax=*"
            )
        if child.killed_for is None and status == -9:
            return ResourceExhausted("decoding was stopped by the system, which is short of memory; try again later")
        if status in (0, 1):
            return Internal("the pixel worker failed")
        return InvalidArgument("the decoder died of this image: its pixel data are damaged")

    def _take(self) -> _Child:
        """A process that is free, or a new one; the caller waits while as many as there may be are busy."""
        give_up = time.monotonic() + self._time_limit_s
        with self._changed:
            while True:
                if self._is_closed:
                    raise Unavailable("the engine is closed")
                while self._idle:
                    child = self._idle.pop()
                    if child.is_alive():
                        self._began(child)
                        return child
                    child.end()
                if len(self._busy) + self._starting < self._most:
                    self._starting += 1
                    break
                if not self._changed.wait(give_up - time.monotonic()) and time.monotonic() >= give_up:
                    raise ResourceExhausted("all pixel workers are busy; try again later")
        new: _Child | None = None
        try:
            new = _Child(self._memory_bytes)
        except OSError:
            raise Unavailable("no process could be started to decode the image; try again later") from None
        finally:
            with self._changed:
                self._starting -= 1
                if new is not None and not self._is_closed:
                    self._began(new)
                self._changed.notify_all()
        if new.until == 0.0:
            new.end()
            raise Unavailable("the engine is closed")
        return new

    def _began(self, child: _Child) -> None:
        child.until = time.monotonic() + self._time_limit_s
        self._busy.add(child)
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name="dicomkit-pixels", daemon=True)
            self._keeper.start()

    def _give_back(self, child: _Child) -> None:
        with self._changed:
            self._busy.discard(child)
            child.until = time.monotonic() + self._idle_s
            closed = self._is_closed
            if not closed:
                self._idle.append(child)
            self._changed.notify_all()
        if closed:
            child.end()

    def _drop(self, child: _Child) -> None:
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


class _Child:
    """One process, and the pipes to it."""

    def __init__(self, memory_bytes: int) -> None:
        self.until = 0.0
        """When it has run or waited long enough; 0 until it is given work."""
        self.killed_for: str | None = None
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
        self.process = subprocess.Popen(  # noqa: S603 - this interpreter, and a text of ours
            [sys.executable, "-I", "-c", BOOTSTRAP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            process_group=0 if os.name == "posix" else None,
        )
        if self.process.stdin is None or self.process.stdout is None:
            raise OSError("a process without pipes")
        self._requests: IO[bytes] = self.process.stdin
        self._answers: IO[bytes] = self.process.stdout
        _widen(self._requests)
        _widen(self._answers)
        with suppress(OSError):
            self._requests.write(
                json.dumps([[p for p in sys.path if isinstance(p, str)], memory_bytes, FILE_BYTES]).encode() + b"\n"
            )

    def ask(self, request: dict[str, Any], blocks: Sequence[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        """Send a request and wait for its answer."""
        write_message(self._requests, request, blocks)
        return read_message(self._answers, _MOST_BYTES)

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def kill(self, why: Literal["time", "closed", "given up", "stuck"]) -> None:
        """Kill it at once; who waits for its answer sees the pipe end."""
        if self.killed_for is None:
            self.killed_for = why
        self.process.kill()

    def end(self) -> None:
        """Let it end by closing its input, kill it when it does not, and leave no zombie."""
        with suppress(OSError):
            self._requests.close()
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.kill("stuck")
            self.process.wait()
        self._answers.close()


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _widen(pipe: IO[bytes]) -> None:
    """A pipe that takes a frame at once, where the system allows it."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), _SET_PIPE_SIZE, _PIPE_BYTES)
