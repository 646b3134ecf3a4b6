"""Work that runs beside a measurement, each in a process of its own: an upload, and a loop of renderings.

Run as ``python -m bench.beside upload`` or ``... render`` it is that process. It reads what to do as a line of JSON,
says ``ready``, works from each line ``go`` to the line ``stop``, and says how many requests were answered meanwhile.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any

from bench import corpus
from bench.wire import plain_session, stow

__all__ = ["Worker", "working"]

BATCH = 100
"""Instances of one request of the upload."""


class Worker:
    """The other end of such a process."""

    def __init__(self, kind: str, process: subprocess.Popen[str]) -> None:
        self._kind = kind
        self._process = process

    def _said(self) -> str:
        line = self._process.stdout.readline().strip() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"the {self._kind} beside ended with {self._process.wait()}")
        return line

    def _tell(self, line: str) -> None:
        if self._process.stdin is None:
            raise RuntimeError("no pipe")
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def prepare(self, what: dict[str, Any]) -> None:
        """Say what to do, and wait until it is ready."""
        self._tell(json.dumps(what))
        self._said()

    def go(self) -> None:
        """Have it work."""
        self._tell("go")

    def stop(self) -> int:
        """Have it pause; returns how many requests were answered since ``go``."""
        self._tell("stop")
        return int(self._said())


@contextmanager
def working(kind: str, **what: Any) -> Iterator[Worker]:
    """A process that works beside, until the block ends.

    Parameters
    ----------
    kind
        ``"upload"`` or ``"render"``.
    what
        ``web`` and ``token`` of the server, and ``paths`` of instances to be rendered.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.beside", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    worker = Worker(kind, process)
    try:
        worker.prepare(what)
        yield worker
    finally:
        process.kill()
        process.communicate()


def _uploads(what: dict[str, Any]) -> Iterator[None]:
    session = plain_session(what["token"])
    instances = corpus.instances(1_000_000, seed=977)
    while True:
        stow(session, what["web"], [item.data for item in islice(instances, BATCH)])
        yield


def _renderings(what: dict[str, Any]) -> Iterator[None]:
    session = plain_session(what["token"])
    for path in cycle(what["paths"]):
        answer = session.get(f"{what['web']}/{path}/rendered", headers={"Accept": "image/jpeg"}, timeout=300)
        answer.raise_for_status()
        yield


_KINDS: dict[str, Callable[[dict[str, Any]], Iterator[None]]] = {"upload": _uploads, "render": _renderings}


def _main(kind: str) -> None:
    requests = _KINDS[kind](json.loads(sys.stdin.readline()))
    next(requests)  # imports and caches are not what is to run beside
    print("ready", flush=True)
    may_stop = threading.Event()

    def await_stop() -> None:
        sys.stdin.readline()
        may_stop.set()

    while sys.stdin.readline().strip() == "go":
        may_stop.clear()
        threading.Thread(target=await_stop, daemon=True).start()
        done = 0
        while not may_stop.is_set():
            next(requests)
            done += 1
        print(done, flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])
