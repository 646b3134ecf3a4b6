"""What all pictures share: axes without pyplot, colours that everybody can tell apart, and what is said of the rows."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dicomkit.errors import InvalidArgument

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

__all__ = ["COLOURS", "GREY", "SHARE", "axes_for", "column", "empty", "label", "plural", "title", "unit_of"]

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#4D4D4D")
"""The palette of Okabe and Ito, which people with every kind of colour vision can tell apart; black is dark grey."""

GREY = "#BDBDBD"
"""For what is the rest, and for what does not apply."""

SHARE = "cividis"
"""Colour map for shares, even for all kinds of colour vision."""

DPI = 110
SIZE_INCHES = (7.2, 3.6)
MAX_LABEL = 40
"""Most characters of a label from DICOM text; longer ones are cut."""

_UNITS = (("SOPInstanceUID", "instance"), ("SeriesInstanceUID", "series"), ("StudyInstanceUID", "study"))
_PLURALS = {"study": "studies", "series": "series"}


class ShownAxes(Axes):
    """Axes that a notebook shows as a picture of their figure."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        figure = self.get_figure(root=True)
        if figure is None:
            raise ValueError("the axes were taken out of their figure")
        figure.savefig(file, format="png", dpi=DPI)
        return file.getvalue()

    def __repr__(self) -> str:
        return f"<Axes {self.get_title(loc='left')!r}>"

    __str__ = __repr__


def axes_for(ax: Axes | None, *, size: tuple[float, float] = SIZE_INCHES) -> Axes:
    """*ax*, or axes on a figure of their own."""
    if ax is not None:
        return ax
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot(axes_class=ShownAxes)


def column(frame: pd.DataFrame, name: str, remedy: str) -> pd.Series[Any]:
    """A column of *frame*.

    Raises
    ------
    InvalidArgument
        There is none; the message says how to get one.
    """
    if name not in frame.columns:
        raise InvalidArgument(f"the frame has no column {name!a:.60}; {remedy}")
    return frame[name]


def unit_of(frame: pd.DataFrame) -> str:
    """What one row of a frame stands for."""
    return next((unit for uid, unit in _UNITS if uid in frame.columns), "row")


def plural(count: int, unit: str) -> str:
    """``1 study``, ``2 studies``."""
    return f"{count:,} {unit if count == 1 else _PLURALS.get(unit, f'{unit}s')}"


def label(value: object, most: int = MAX_LABEL) -> str:
    r"""DICOM text as a label: one short line, in which ``$`` and ``\`` begin no formula, nor ``_`` a hidden entry."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    text = text if len(text) <= most else f"{text[: most - 1]}…"
    text = f" {text}" if text.startswith("_") else text
    return text.replace("\\", "\\\\").replace("$", r"\$")


def title(ax: Axes, what: str, frame: pd.DataFrame, left_out: Iterable[tuple[int, str]] = ()) -> None:
    """What is shown, of how many rows, and how many are not in it and why."""
    told = [plural(len(frame), unit_of(frame))]
    told += [f"{count:,} {why}" for count, why in left_out if count]
    ax.set_title(f"{what} (n = {told[0]}{''.join(f'; {each}' for each in told[1:])})", loc="left", fontsize=10)


def empty(ax: Axes, words: str) -> Axes:
    """Say on the axes that there is nothing to draw."""
    ax.text(0.5, 0.5, words, ha="center", va="center", transform=ax.transAxes, color="#4D4D4D")
    ax.set_xticks([])
    ax.set_yticks([])
    return ax


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name; those beyond the palette share grey."""
    return {name: COLOURS[place] if place < len(COLOURS) else GREY for place, name in enumerate(names)}


def shares() -> Colormap:
    """The colour map of shares, in which grey stands for what is no share."""
    from matplotlib import colormaps

    return colormaps[SHARE].with_extremes(bad=GREY)
