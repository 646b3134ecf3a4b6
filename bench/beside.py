"""Work that runs beside a measurement, each in a process of its own: an upload, and a loop of renderings.

Run as ``python -m bench.beside upload`` or ``... render`` it is that process. It reads what to do as a line of JSON,
says ``ready``, works from each line ``go`` to the line ``stop``, and says how many requests were answered meanwhile.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any

from bench import corpus
from bench.wire import plain_session, stow

__all__ = ["Worker", "working"]

BATCH = 100
"""Instances of one request of the upload."""
READY = 40
"""Requests that are made beforehand."""


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


class _Uploads:
    """An upload: batch after batch that the store has not had."""

    def __init__(self, what: dict[str, Any]) -> None:
        self._web = what["web"]
        self._session = plain_session(what["token"])
        self._instances = corpus.instances(1_000_000, seed=977)
        self._ready: deque[list[bytes]] = deque()

    def prepare(self) -> None:
        """Make instances while nothing is measured: those of a real upload exist, too."""
        while len(self._ready) < READY:
            self._ready.append(self._batch())

    def _batch(self) -> list[bytes]:
        return [item.data for item in islice(self._instances, BATCH)]

    def __call__(self) -> None:
        stow(self._session, self._web, self._ready.popleft() if self._ready else self._batch())


class _Renderings:
    """A loop of rendered instances."""

    def __init__(self, what: dict[str, Any]) -> None:
        self._urls = cycle(f"{what['web']}/{path}/rendered" for path in what["paths"])
        self._session = plain_session(what["token"])

    def prepare(self) -> None:
        """Nothing has to be made."""

    def __call__(self) -> None:
        self._session.get(next(self._urls), headers={"Accept": "image/jpeg"}, timeout=300).raise_for_status()


def _main(kind: str) -> None:
    what = json.loads(sys.stdin.readline())
    request: _Uploads | _Renderings = _Uploads(what) if kind == "upload" else _Renderings(what)
    request()  # imports and caches are not what is to run beside
    request.prepare()
    print("ready", flush=True)
    may_stop = threading.Event()

    def await_stop() -> None:
        sys.stdin.readline()
        may_stop.set()

    while sys.stdin.readline().strip() == "go":
        may_stop.clear()
        threading.Thread(target=await_stop, daemon=True).start()
        request()  # even where it is told to stop at once
        done = 1
        while not may_stop.is_set():
            request()
            done += 1
        request.prepare()
        print(done, flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])
