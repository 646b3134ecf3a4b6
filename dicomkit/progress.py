"""A progress bar where somebody watches: in a notebook or a terminal, and nowhere else."""

from __future__ import annotations

import sys
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
    """

    def __init__(self, total: int | None, label: str, *, unit: str = "B", show: bool | None = None) -> None:
        self._bar: Any = None
        if is_watched() if show is None else show:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=total, desc=label, unit=unit, unit_scale=True, leave=False)

    def advance(self, amount: int, note: str = "") -> None:
        """Count *amount* more as done; *note* stands behind the bar."""
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(amount)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
