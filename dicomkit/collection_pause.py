"""A pause of Python's cycle collector, for stretches that make many containers and no cycle.

Reading one header makes hundreds of dicts and lists, a page of search results a million, all of which are freed by
their reference counts. The collector does not know that: it wakes by their number and looks through them again and
again, and through all that the process holds, which took a fifth of an upload's time and twice the parser's time of a
search. Nothing is left uncollected: allocation and release balance inside the stretch.
"""

from __future__ import annotations

import gc
import threading
import time
from contextlib import AbstractContextManager
from types import TracebackType

__all__ = ["collection_paused"]

_LONG_S = 1.0
"""Threads that relieve each other could keep the collector off for good; after this long it is run by hand."""


class _Pause(AbstractContextManager[None]):
    """One pause that all threads share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._was_enabled = False
        self._since = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._was_enabled = gc.isenabled()
                self._since = time.monotonic()
                gc.disable()
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                if self._was_enabled:
                    gc.enable()
            elif self._was_enabled and time.monotonic() - self._since > _LONG_S:
                self._since = time.monotonic()
                gc.collect(1)


_pause = _Pause()


def collection_paused() -> AbstractContextManager[None]:
    """Keep the collector from running; threads may overlap, and a collector that was off stays off."""
    return _pause
