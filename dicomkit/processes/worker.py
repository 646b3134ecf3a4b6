"""The process that computes: reads requests from its standard input, answers until that is closed.

It runs a module that has ``settle(settings, blocks)``, which imports what requests will need and gives the function
that answers them. The settings come by the pipe, since neither a command line nor an environment is secret. Nothing
is written to the standard error: the texts of warnings and tracebacks may hold values of patients.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from dicomkit.errors import ApiError, DicomFormatError, to_body
from dicomkit.processes.messages import BrokenMessage, read_message, write_message

__all__ = ["BOOTSTRAP", "OUT_OF_MEMORY", "Answer", "Worker", "main"]

Answer = tuple[dict[str, Any], Sequence[bytes | bytearray]]
"""Content and blocks of an answer."""

Worker = Callable[[dict[str, Any], list[bytes]], Answer]
"""What answers a request, given its content and blocks."""

BOOTSTRAP = (
    "import sys, json, signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "path, memory, most = json.loads(sys.stdin.buffer.readline()); sys.path[:] = path; "
    "from dicomkit.processes.worker import main; main(sys.argv[1], memory, most)"
)
"""Python source for ``-c``, which needs neither the caller's ``__main__`` nor an installed command.

The module's name follows it; the first line of the input is ``[sys.path, memory limit, most bytes of a message]``.
"""

NICENESS = 10
"""How much these processes step back behind others: those who search do not wait for pictures."""

ORPHAN_S = 600
"""How long one request may take when nobody is left to end the process before; the system ends it then."""

OUT_OF_MEMORY = 77
"""Status of a process that could not even read its request."""


def main(module: str, memory_bytes: int, most_bytes: int) -> None:
    """Say that all is ready, and answer requests until the input ends."""
    if hasattr(os, "nice"):  # not on Windows
        os.nice(NICENESS)
    requests = sys.stdin.buffer
    # Whatever a library prints must not get into the answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    warnings.simplefilter("ignore")
    content: dict[str, Any] = {}
    results: Sequence[bytes | bytearray] = ()
    try:
        settings, blocks = read_message(requests, most_bytes)
        answer: Worker = importlib.import_module(module).settle(settings, blocks)
        _limit(memory_bytes)  # from here on: imports may take more for a while
        while True:
            write_message(answers, content, results)
            results = blocks = []
            request, blocks = read_message(requests, most_bytes)
            _set_alarm(ORPHAN_S)
            content, results = _answered(answer, request, blocks)
            _set_alarm(0)
    except BrokenMessage:
        return
    except BrokenPipeError:
        os._exit(0)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


def _answered(answer: Worker, request: dict[str, Any], blocks: list[bytes]) -> Answer:
    try:
        return answer(request, blocks)
    except ApiError as exc:
        return {"error": to_body(exc)}, ()
    except DicomFormatError as exc:
        return {"format": [exc.message, exc.offset, exc.tag]}, ()
    except MemoryError:
        return {"failed": "MemoryError"}, ()
    except Exception as exc:  # noqa: BLE001 - a defect; its text may hold values
        return {"failed": type(exc).__name__}, ()


def _set_alarm(seconds: int) -> None:
    if hasattr(signal, "alarm"):  # not on Windows
        signal.alarm(seconds)


def _limit(memory_bytes: int) -> None:
    try:
        import resource
    except ImportError:
        return  # not on this system; the time limit is what remains
    # A core dump would hold pixels and names.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    except (OSError, ValueError):
        return  # macOS has the name and not the limit
