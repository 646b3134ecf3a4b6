"""Results in order, of which the next ones are made while one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

__all__ = ["ahead"]

_T = TypeVar("_T")


def ahead(calls: Iterable[Callable[[], _T]], *, most: int = 2) -> Iterator[_T]:
    """The results of *calls* one after another; after the first, up to *most* are made or wait to be taken.

    The first is made alone: where it fails, nothing was begun for nothing. What a call raises is raised when its
    turn comes. Who takes no more closes the iterator, and what has not begun is given up.
    """
    waiting = iter(calls)
    for call in islice(waiting, 1):
        yield call()
    following = list(islice(waiting, most))
    if len(following) < 2:
        yield from (call() for call in following)
        return
    pool = ThreadPoolExecutor(most, thread_name_prefix="dicomkit-ahead")
    try:
        begun: deque[Future[_T]] = deque(pool.submit(call) for call in following)
        while begun:
            result = begun.popleft().result()
            begun.extend(pool.submit(call) for call in islice(waiting, 1))
            yield result
            # Whoever has it let go of it: two are never kept for one.
            del result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
