"""One process that computes for this one, and the pipes to it.

It is started as a plain command: forking does not go with threads, and ``multiprocessing`` not with a ``__main__``
that is a notebook.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, Literal

from dicomkit.processes.messages import read_message, write_message
from dicomkit.processes.worker import BOOTSTRAP

__all__ = ["ChildProcess"]

_PIPE_BYTES = 1 << 20
_SET_PIPE_SIZE = 1031
"""``F_SETPIPE_SZ`` of Linux."""
_END_S = 1.0


class ChildProcess:
    """A process that runs *module*; see :mod:`dicomkit.processes.worker`.

    Raises
    ------
    OSError
        It cannot be started.
    """

    def __init__(self, module: str, memory_bytes: int, most_bytes: int) -> None:
        self.is_ready = False
        """Whether it has taken its settings."""
        self.until = 0.0
        """When it has run or waited long enough; 0 until it is given work."""
        self.killed_for: str | None = None
        self._most_bytes = most_bytes
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
        self.process = subprocess.Popen(  # noqa: S603 - this interpreter, and a text of ours
            [sys.executable, "-I", "-c", BOOTSTRAP, module],
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
            first = [[p for p in sys.path if isinstance(p, str)], memory_bytes, most_bytes]
            self._requests.write(json.dumps(first).encode() + b"\n")

    def ask(self, request: dict[str, Any], blocks: Sequence[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        """Send a request and wait for its answer.

        Raises
        ------
        BrokenMessage, OSError
            The process has ended, or said something that is no answer.
        """
        write_message(self._requests, request, blocks)
        return read_message(self._answers, self._most_bytes)

    def is_alive(self) -> bool:
        """Whether it can be asked."""
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


def _widen(pipe: IO[bytes]) -> None:
    """A pipe that takes a frame at once, where the system allows it."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), _SET_PIPE_SIZE, _PIPE_BYTES)
