"""``dicomkit serve`` as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

__all__ = ["TOKEN", "Process", "serve"]

TOKEN = "token-of-the-owner"


@dataclass
class Process:
    """A server that runs."""

    popen: subprocess.Popen[str]
    lines: list[str]
    """What it has printed until it was ready."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.lines[0].rpartition(" ")[2]

    @property
    def stderr(self) -> IO[str]:
        """What it says while it runs."""
        assert self.popen.stderr is not None
        return self.popen.stderr

    def stop(self) -> int:
        """Have it end well; its exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(60)


@contextmanager
def serve(home: Path, *options: str, token: str | None = TOKEN) -> Iterator[Process]:
    """``dicomkit serve HOME OPTIONS``, from when it is ready."""
    environment = {name: value for name, value in os.environ.items() if name != "DICOMKIT_TOKEN"}
    if token is not None:
        environment["DICOMKIT_TOKEN"] = token
    command = [sys.executable, "-m", "dicomkit", "serve", str(home), *options]
    with subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as popen:
        try:
            assert popen.stdout is not None
            lines = []
            for line in popen.stdout:
                lines.append(line.rstrip("\n"))
                if line.startswith("Ctrl-C"):
                    break
            if not (lines and lines[-1].startswith("Ctrl-C")):
                raise RuntimeError(f"dicomkit serve ended: {popen.communicate()[1]}")
            yield Process(popen, lines)
        finally:
            if popen.poll() is None:
                popen.kill()
            popen.communicate()
