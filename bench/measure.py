"""Side-by-side timing: one core, order alternated, medians; and the rows of the table."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["ALLOWED", "Row", "alternate", "cores_for_http", "on_cores", "pin_to_one_core", "seconds", "table"]

ALLOWED = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset[int]()
"""The cores that the process was given, before it was kept to one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    ``ratio`` is the median over the repetitions of *theirs / ours* for speed ("times as fast", more is better), or of
    *ours / theirs* where a lower bound is the peer (less is better); ``target`` says which, as ``>= 5`` or ``<= 2``.
    """

    what: str
    ours: str
    theirs: str
    ratios: list[float] = field(default_factory=list)
    target: str = ""

    @property
    def ratio(self) -> float | None:
        """Median of the ratios."""
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def verdict(self) -> str:
        """``met`` or ``missed``, when there are a target and a ratio."""
        if not self.target or self.ratio is None:
            return ""
        sign, bound = self.target.split()
        met = self.ratio >= float(bound) if sign == ">=" else self.ratio <= float(bound)
        return "met" if met else "missed"

    def cells(self) -> list[str]:
        """The texts of the line."""
        ratio = ""
        if self.ratio is not None:
            ratio = f"{self.ratio:.2f}"
            if len(self.ratios) > 1:
                ratio += f" [{min(self.ratios):.2f}-{max(self.ratios):.2f}]"
        return [self.what, self.ours, self.theirs, ratio, self.target, self.verdict]


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | dicomkit | against | ratio, median [range] | target | |", "|---|---|---|---|---|---|"]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    return "\n".join(lines)


def pin_to_one_core() -> int | None:
    """Keep this process and its children to one core, the last one allowed; ``None`` where the system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


@contextmanager
def on_cores(cores: Set[int]) -> Iterator[None]:
    """Keep this thread, and the processes that it starts, to *cores* while the block runs."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cores_for_http() -> tuple[frozenset[int], frozenset[int]]:
    """The core of a client, and the others, which are its servers'; the same one where there are no two."""
    if len(ALLOWED) < 2:
        return ALLOWED, ALLOWED
    client = min(ALLOWED)
    return frozenset({client}), ALLOWED - {client}


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call, with the garbage of earlier calls swept first."""
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def alternate(candidates: Mapping[str, Callable[[], float]], repeat: int) -> dict[str, list[float]]:
    """Figures of each candidate, *repeat* times; every other round runs in reverse, so that no one is always first.

    A candidate returns its own figure (seconds, or instances a second), so that preparing is not counted.
    """
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for round_ in range(repeat):
        names = list(candidates)
        for name in reversed(names) if round_ % 2 else names:
            found[name].append(candidates[name]())
    return found
