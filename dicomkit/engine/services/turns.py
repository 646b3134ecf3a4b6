"""Who computes for long lets readers go first.

A thread that computes gives up neither its core nor Python until its time is over, which is some milliseconds; a search
needs both several times, for less than one. So a store request offers them after each instance, as long as somebody
reads. When nobody waits, that costs nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

__all__ = ["Turns"]

READERS_S = 1.0
"""How long after a request that reads another one is to be expected."""


def _sleep() -> None:
    time.sleep(0)


_offer: Callable[[], None] = getattr(os, "sched_yield", _sleep)


class Turns:
    """When somebody has read last, and what follows from it."""

    def __init__(self) -> None:
        self._read_at = -READERS_S

    @property
    def has_readers(self) -> bool:
        """Whether somebody has read a moment ago."""
        return time.monotonic() - self._read_at < READERS_S

    def note_reader(self) -> None:
        """Somebody reads."""
        self._read_at = time.monotonic()

    def give_way(self) -> None:
        """Let others have the core, and Python, first."""
        if self.has_readers:
            _offer()
