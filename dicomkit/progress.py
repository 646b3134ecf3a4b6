"""A progress bar where somebody watches: in a notebook or a terminal, and nowhere else."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

__all__ = ["Progress", "is_watched"]


def is_watched() -> bool:
    """Whether output goes to a notebook or a terminal, rather than into a file, a pipe or a test."""
    shell = sys.modules.get("IPython")
    if shell is not None:
        running = shell.get_ipython()
        if running is not None and running.__class__.__name__ == "ZMQInteractiveShell":
            return True
    return sys.stderr is not None and sys.stderr.isatty()


class Progress:
    """Counts work that is done; shows a tqdm bar, in the form that suits the place, or nothing.

    Parameters
    ----------
    total
        All of the work, in *unit*; ``None`` when it is not known.
    label
        What is going on.
    unit
        ``"B"`` counts bytes, with a prefix.
    show
        ``None``: where somebody watches.
    delay_s
        The bar appears after this time only: what is done sooner needs none.
    """

    def __init__(
        self, total: int | None, label: str, *, unit: str = "B", show: bool | None = None, delay_s: float = 0.0
    ) -> None:
        self._bar: Any = None
        self._is_shown = is_watched() if show is None else show
        self._total = total
        self._options: dict[str, Any] = {"desc": label, "unit": unit, "unit_scale": unit == "B", "leave": False}
        self._begin = time.monotonic()
        self._delay_s = delay_s
        if not delay_s:
            self._open(0)

    def _open(self, done: int) -> None:
        if self._is_shown and self._bar is None and time.monotonic() >= self._begin + self._delay_s:
            from tqdm.auto import tqdm

            # Without smoothing: what a server tells comes in lumps.
            self._bar = tqdm(total=self._total, initial=done, smoothing=0, **self._options)

    def advance(self, amount: int, note: str = "") -> None:
        """Count *amount* more as done; *note* stands behind the bar."""
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(amount)

    def reach(self, done: int, total: int | None, note: str = "") -> None:
        """Say how much is done in all, and how much there is to do as far as that is known by now."""
        is_other = total != self._total
        self._total = total
        if self._bar is None:
            self._open(done)
            return
        if is_other:
            begin = self._bar.start_t
            self._bar.reset(total)  # the one way to another total that a bar in a notebook follows
            self._bar.total, self._bar.start_t = total, begin
        self.advance(done - self._bar.n, note)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
