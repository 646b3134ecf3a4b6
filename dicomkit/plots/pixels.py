"""The slices of a series: where they are, and what is on them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dicomkit.errors import InvalidArgument
from dicomkit.plots.drawing import COLOURS, axes_for, column, empty

if TYPE_CHECKING:
    from dicomkit.client.volume import Volume

__all__ = ["plot_contact_sheet", "plot_slice_gaps"]

_MOST_PIXELS = 1 << 22
"""Pixels of a contact sheet; larger slices are thinned out."""


def plot_slice_gaps(geometry: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The distance from each slice to the next, with gaps and duplicates marked.

    Parameters
    ----------
    geometry
        What ``store.geometry`` returns.
    ax
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
        A point for each slice at its position along the normal; stacks have their own colours.

    Raises
    ------
    InvalidArgument
        The frame is no geometry.
    """
    remedy = "give what store.geometry returns"
    spacing = column(geometry, "spacing_mm", remedy)
    position, stacks = column(geometry, "position_mm", remedy), column(geometry, "stack", remedy)
    gaps, doubles = (column(geometry, name, remedy).fillna(False).astype(bool) for name in ("is_gap", "is_duplicate"))
    ax = axes_for(ax)
    told = [f"n = {len(geometry):,} slices", f"{int(gaps.sum())} gaps", f"{int(doubles.sum())} duplicates"]
    unknown = int(position.isna().sum())
    ax.set_title(
        f"Slices ({'; '.join(told + [f'{unknown} without geometry'] * bool(unknown))})", loc="left", fontsize=10
    )
    is_shown = position.notna() & spacing.notna()
    if not is_shown.any():
        return empty(ax, "no slice has a next one")
    for place, (number, rows) in enumerate(geometry[is_shown].groupby(stacks[is_shown])):
        colour = COLOURS[place % len(COLOURS)]
        ax.plot(rows["position_mm"], rows["spacing_mm"], ".-", color=colour, linewidth=0.8, label=f"stack {number}")
    for mask, marker, name in ((gaps, "^", "gap"), (doubles, "x", "duplicate")):
        found = is_shown & mask
        if found.any():
            ax.plot(position[found], spacing[found], marker, color=COLOURS[5], markersize=9, label=name)
    ax.set_xlabel("position along the normal, mm")
    ax.set_ylabel("to the next slice, mm")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_contact_sheet(
    volume: Volume | Any,
    ax: Axes | None = None,
    *,
    columns: int | None = None,
    window: tuple[float, float] | None = None,
    slices: int = 40,
) -> Axes:
    """The slices of a volume side by side, in the order of space.

    Parameters
    ----------
    volume
        What ``store.pixels`` returns, or an array slices x rows x columns.
    ax
        Where to draw; a figure of its own by default.
    columns
        Slices in a row of the sheet.
    window
        Centre and width of the grey values; from the 1st to the 99th percentile by default.
    slices
        Most slices; of more, evenly spaced ones are shown.

    Returns
    -------
    Axes
        One image, the slices from left to right and from top to bottom.

    Raises
    ------
    InvalidArgument
        It is no volume, or the window has no width.
    """
    array = np.asarray(getattr(volume, "array", volume))
    if array.ndim != 3:
        raise InvalidArgument(f"a volume has slices, rows and columns; this array has {array.ndim} axes")
    if window is not None and not window[1] > 0:
        raise InvalidArgument(f"window is (centre, width) with a width above 0; got {window!a:.60}")
    if slices < 1 or (columns is not None and columns < 1):
        raise InvalidArgument("slices and columns are 1 or more")
    ax = axes_for(ax, size=(7.2, 4.6))
    ax.set_axis_off()
    if array.size == 0:
        return empty(ax, "no slices")
    shown = np.unique(np.linspace(0, len(array) - 1, min(slices, len(array))).round().astype(int))
    step = max(1, math.ceil(math.sqrt(len(shown) * array.shape[1] * array.shape[2] / _MOST_PIXELS)))
    tiles = array[shown][:, ::step, ::step].astype(float)
    across = columns or math.ceil(math.sqrt(len(shown) * 1.6))
    down = math.ceil(len(shown) / across)
    sheet = np.full((down, tiles.shape[1], across, tiles.shape[2]), np.nan)
    for place, tile in enumerate(tiles):
        sheet[place // across, :, place % across] = tile
    low, high = (
        (window[0] - window[1] / 2, window[0] + window[1] / 2) if window else np.nanpercentile(tiles, [1, 99]).tolist()
    )
    spacing = getattr(volume, "spacing", (1.0, 1.0, 1.0))
    ax.imshow(
        sheet.reshape(down * tiles.shape[1], across * tiles.shape[2]),
        cmap="gray",
        vmin=low,
        vmax=max(high, np.nextafter(low, np.inf)),
        aspect=spacing[1] / spacing[2],
        interpolation="nearest",
    )
    of = f"{len(shown)} of {len(array)}" if len(shown) < len(array) else str(len(array))
    ax.set_title(f"{of} slices, grey values {low:g} to {high:g}", loc="left", fontsize=10)
    return ax
