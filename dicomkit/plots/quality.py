"""How good the attributes of a cohort are: distributions, what is missing, what a de-identification does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dicomkit.errors import InvalidArgument
from dicomkit.frames.cells import missing_cells
from dicomkit.plots.drawing import COLOURS, axes_for, colours_of, column, empty, label, shares, title

__all__ = ["plot_deidentify_actions", "plot_ecdf", "plot_missing"]

_MOST_ATTRIBUTES = 40
_UIDS = frozenset({"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"})
_ACTIONS = ("keep", "replace", "remap", "recode", "transform", "empty", "remove", "set")


def plot_ecdf(frame: pd.DataFrame, attribute: str, ax: Axes | None = None, *, cut: float | None = None) -> Axes:
    """The share of rows whose value is at most so large: every value is seen, and no bin hides any.

    Parameters
    ----------
    frame
        Any frame.
    attribute
        A column of numbers, or of text that holds numbers, e.g. ``"SliceThickness"``.
    ax
        Where to draw; a figure of its own by default.
    cut
        A value to be marked; the share of rows up to it is written beside it.

    Returns
    -------
    Axes
        A step line that ends at 1.

    Raises
    ------
    InvalidArgument
        The frame has no such column.
    """
    values = column(frame, attribute, f"search with fields=[{attribute!r}]")
    numbers = pd.to_numeric(values, errors="coerce").astype("Float64").dropna().astype("float64")
    numbers = numbers[np.isfinite(numbers)].sort_values()
    ax = axes_for(ax)
    missing = int(values.isna().sum())
    title(ax, attribute, frame, [(missing, "without it"), (len(values) - missing - len(numbers), "no number")])
    if numbers.empty:
        return empty(ax, f"no row has a number as {label(attribute)}")
    shares_up_to = np.arange(1, len(numbers) + 1) / len(numbers)
    ax.step([numbers.iloc[0], *numbers], [0, *shares_up_to], where="post", color=COLOURS[0])
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.set_xlabel(label(attribute))
    ax.set_ylabel("rows up to this value")
    if cut is not None:
        share = float((numbers <= cut).mean())
        ax.axvline(cut, color=COLOURS[5], linestyle="--", linewidth=1)
        ax.annotate(f"{share:.1%} up to {cut:g}", (cut, share), (6, -12), textcoords="offset points", fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_missing(frame: pd.DataFrame, attributes: Sequence[str] = (), ax: Axes | None = None) -> Axes:
    """Which share of the rows of each modality lacks an attribute.

    Where no row of a modality has it, the cell is grey and has a dash: KVP that no MR has is no defect.

    Parameters
    ----------
    frame
        A frame with ``Modality``.
    attributes
        Columns to look at; all but the UIDs by default.
    ax
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
        A cell for each attribute and modality, from 0 (none is missing) to 1.

    Raises
    ------
    InvalidArgument
        The frame lacks a column, or more than 40 attributes would be shown.
    """
    modalities = column(frame, "Modality", "search for series or instances").fillna("none").map(label)
    names = [*attributes] or [str(name) for name in frame.columns if name not in _UIDS and name != "Modality"]
    if len(names) > _MOST_ATTRIBUTES:
        raise InvalidArgument(f"{len(names)} attributes are too many for one picture; name at most {_MOST_ATTRIBUTES}")
    is_missing = pd.DataFrame(
        {name: missing_cells(column(frame, name, f"search with fields=[{name!r}]")) for name in names}
    )
    ax = axes_for(ax, size=(7.2, 1.6 + 0.26 * len(names)))
    title(ax, "Missing, grey where no row has it", frame)
    if frame.empty or not names:
        return empty(ax, "no rows" if frame.empty else "no attributes")
    table = is_missing.groupby(modalities.to_numpy()).mean().T
    cells = table.to_numpy(dtype=float)
    ax.imshow(np.ma.masked_equal(cells, 1.0), cmap=shares(), vmin=0, vmax=1, aspect="auto")
    for row, column_ in np.ndindex(*cells.shape):
        share = cells[row, column_]
        ax.text(
            column_,
            row,
            "-" if share == 1 else "0" if share == 0 else f"{share:.0%}",
            ha="center",
            va="center",
            fontsize=8,
            color="black" if share > 0.5 else "white",
        )
    counts = modalities.value_counts()
    ax.set_xticks(range(table.shape[1]), [f"{name} ({counts[name]:,})" for name in table.columns], rotation=90)
    ax.set_yticks(range(len(names)), [label(name) for name in names])
    ax.tick_params(length=0)
    return ax


def plot_deidentify_actions(preview: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How many attributes a de-identification keeps, changes and removes, by their VR.

    Parameters
    ----------
    preview
        What ``store.deidentify(preview=True)`` returns.
    ax
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
        A bar for each VR, its parts the actions.

    Raises
    ------
    InvalidArgument
        The frame is no such preview.
    """
    remedy = "give what store.deidentify(preview=True) returns"
    actions, vrs = column(preview, "action", remedy), column(preview, "vr", remedy).replace("", None).fillna("none")
    ax = axes_for(ax)
    ax.set_title(f"De-identification (n = {len(preview):,} attributes)", loc="left", fontsize=10)
    if preview.empty:
        return empty(ax, "no attributes")
    table = pd.crosstab(vrs, actions)
    table = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    known = [action for action in _ACTIONS if action in table.columns]
    left = np.zeros(len(table))
    palette = colours_of(_ACTIONS)
    for action in [*known, *(each for each in table.columns if each not in known)]:
        lengths = table[action].to_numpy()
        ax.barh(table.index, lengths, left=left, color=palette.get(action, "#BDBDBD"), label=action)
        left += lengths
    ax.invert_yaxis()
    ax.set_xlabel("attributes")
    ax.legend(frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
