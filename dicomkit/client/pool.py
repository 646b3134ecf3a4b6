"""Work in a few threads, with bounded memory, in the order of the work.

The session under it is made for that: urllib3's pools of connections and the embedded engine both take requests from
several threads, and nothing of a ``requests.Session`` is changed after it was made.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from dicomkit.errors import InvalidArgument

__all__ = ["MAX_WORKERS", "WORKERS", "in_order"]

WORKERS = 4
"""Threads unless somebody asks for another number: more wait for each other in a server on the same machine."""

MAX_WORKERS = 10
"""Most threads: a session of requests keeps as many connections to a host."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def in_order(
    work: Callable[[_In], _Out],
    items: Iterable[_In],
    *,
    workers: int = WORKERS,
    ahead: int | None = None,
    stop: threading.Event | None = None,
) -> Iterator[_Out]:
    """What *work* makes of each of *items*, in their order.

    Parameters
    ----------
    workers
        Threads.
    ahead
        Most results that are made, or being made, before they are wanted; twice the workers when left out.
    stop
        Set when nobody wants the rest, for *work* to look at.

    Raises
    ------
    InvalidArgument
        The number of workers or results is out of range.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= MAX_WORKERS:
        raise InvalidArgument(f"workers must be a number from 1 to {MAX_WORKERS}")
    most = 2 * workers if ahead is None else ahead
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise InvalidArgument("prefetch must be a whole number of at least 1")
    return _in_order(work, items, min(workers, most), most, stop or threading.Event())


def _in_order(
    work: Callable[[_In], _Out], items: Iterable[_In], workers: int, most: int, stop: threading.Event
) -> Iterator[_Out]:
    waiting: deque[Future[_Out]] = deque()
    rest = iter(items)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="dicomkit-client")
    try:
        for item in rest:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Also when the consumer is gone or interrupted: what has begun ends by itself, what has not never begins.
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
