"""A pause of Python's cycle collector, for stretches that make many containers and no cycle.

Reading one header makes hundreds of dicts and lists, all of which are freed by their reference counts. The collector
does not know that: it looks through them again and again, and through all that the process holds, which took a
fifth of an upload's time. Nothing is left uncollected: allocation and release balance inside the stretch.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collection_paused"]

_lock = threading.Lock()
_inside = 0
_was_enabled = False


@contextmanager
def collection_paused() -> Iterator[None]:
    """Keep the collector from running; threads may overlap, and a collector that was off stays off."""
    global _inside, _was_enabled
    with _lock:
        if _inside == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _was_enabled:
                gc.enable()
