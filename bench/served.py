"""``dicomkit serve`` in a process of its own, as the peers run in theirs."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.wire import plain_session

__all__ = ["STORE", "Served", "serving"]

STORE = "bench"
"""Name of the one store."""

STARTS_S = 60.0


@dataclass(frozen=True, slots=True)
class Served:
    """A running server with one store."""

    url: str
    token: str

    @property
    def dataset(self) -> str:
        """What ``dicomkit.connect`` takes."""
        return f"{self.url}/v1/projects/local/locations/local/datasets/default"

    @property
    def web(self) -> str:
        """Root of the store's DICOMweb."""
        return f"{self.dataset}/dicomStores/{STORE}/dicomWeb"


@contextmanager
def serving(home: Path) -> Iterator[Served]:
    """Serve a home on a free loopback port until the block ends; the store is made where it is missing.

    Raises
    ------
    RuntimeError
        The server ended before it answered; the message has its last lines.
    """
    token = secrets.token_urlsafe(24)
    server = subprocess.Popen(
        [sys.executable, "-m", "dicomkit", "serve", str(home), "--port", "0", "--quiet"],
        env={**os.environ, "DICOMKIT_TOKEN": token},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: deque[str] = deque(maxlen=20)
    found: deque[str] = deque()
    is_up = threading.Event()

    def read() -> None:
        # To the end: a server whose pipe is full would stand still.
        for line in server.stdout or ():
            lines.append(line)
            at = re.search(r" at (http://\S+)$", line.rstrip())
            if at and not found:
                found.append(at[1])
                is_up.set()
        is_up.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        is_up.wait(STARTS_S)
        if not found:
            raise RuntimeError(f"dicomkit serve did not start: {''.join(lines)[-2000:]}")
        served = Served(found[0], token)
        with plain_session(token) as session:
            datasets = served.dataset.rpartition("/")[0]
            for url, name in (
                (datasets, {"datasetId": "default"}),
                (f"{served.dataset}/dicomStores", {"dicomStoreId": STORE}),
            ):
                made = session.post(url, params=name, json={}, timeout=60)
                if made.status_code != 409:  # it is there
                    made.raise_for_status()
        yield served
    except BaseException as exc:
        if lines:
            exc.add_note(f"the last lines of dicomkit serve: {''.join(lines)[-2000:]}")
        raise
    finally:
        server.terminate()
        try:
            server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        reader.join(timeout=10)
        if server.stdout is not None:
            server.stdout.close()
