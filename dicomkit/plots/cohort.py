"""Who and what is in a cohort: modalities, dates, scanners, ages."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dicomkit.errors import InvalidArgument
from dicomkit.plots.ages import ages_in_years
from dicomkit.plots.drawing import GREY, axes_for, colours_of, column, empty, label, title, unit_of

__all__ = ["plot_ages", "plot_modalities", "plot_scanners", "plot_timeline"]

_SEARCH = "search for series or instances"
_STEP_YEARS = 10
_MAX_NAME = 28
"""Characters of a manufacturer, and of a model: two of them stand beside a bar."""
_KINDS = 8
"""Modalities with a colour of their own; the others are drawn as one."""

Every = Literal["day", "month", "year"]
_PERIODS = {"day": "D", "month": "M", "year": "Y"}


def plot_modalities(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How many rows each modality has, the most frequent first.

    Parameters
    ----------
    frame
        A search for series or instances, or any frame with ``Modality``.
    ax
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
        A bar for each modality, with its count beside it.

    Raises
    ------
    InvalidArgument
        The frame has no ``Modality``.
    """
    values = column(frame, "Modality", _SEARCH)
    ax = axes_for(ax)
    title(ax, "Modalities", frame, [(int(values.isna().sum()), "without one")])
    if values.isna().all():
        return empty(ax, "no row has a modality")
    counts = values.dropna().map(label).value_counts().rename_axis("Modality").reset_index(name="count")
    counts = counts.sort_values(["count", "Modality"], ascending=[False, True])
    bars = ax.barh(counts["Modality"], counts["count"], color=colours_of(["all"])["all"])
    ax.bar_label(bars, fmt="{:,.0f}", padding=3)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set_xlabel(unit_of(frame))
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_timeline(
    frame: pd.DataFrame, ax: Axes | None = None, *, date: str = "StudyDate", every: Every | None = None
) -> Axes:
    """How many rows each day, month or year has, stacked by modality where the frame has it.

    Parameters
    ----------
    frame
        A search.
    ax
        Where to draw; a figure of its own by default.
    date
        The column of dates.
    every
        The width of a bar; by default the smallest that gives at most 60 bars.

    Returns
    -------
    Axes
        Bars at the beginning of their day, month or year.

    Raises
    ------
    InvalidArgument
        The frame has no such column, or it holds no dates.
    """
    values = column(frame, date, f"give date= one of its columns, or search with fields=[{date!r}]")
    if not pd.api.types.is_datetime64_any_dtype(values):
        raise InvalidArgument(f"the column {date!a:.60} holds no dates")
    if every not in (None, *_PERIODS):
        raise InvalidArgument(f"every is 'day', 'month' or 'year'; got {every!a:.40}")
    ax = axes_for(ax)
    missing = values.isna()
    title(ax, date, frame, [(int(missing.sum()), "without a date")])
    if missing.all():
        return empty(ax, "no row has a date")
    days = values[~missing].dt.tz_localize(None)
    chosen = every or _width(days)
    periods = days.dt.to_period(_PERIODS[chosen])
    kinds = frame["Modality"][~missing].fillna("none").map(label) if "Modality" in frame.columns else None
    table = pd.crosstab(periods, kinds if kinds is not None else pd.Series("all", index=periods.index))
    every_period = pd.period_range(periods.min(), periods.max(), freq=_PERIODS[chosen])
    table = table.reindex(every_period, fill_value=0)
    table = _rest_as_one(table[table.sum().sort_values(ascending=False, kind="stable").index])
    starts = every_period.to_timestamp()
    widths = (every_period + 1).to_timestamp() - starts
    bottom = np.zeros(len(table))
    for name, colour in colours_of([str(each) for each in table.columns]).items():
        heights = table[name].to_numpy()
        ax.bar(starts, heights, width=widths, align="edge", bottom=bottom, color=colour, label=name, linewidth=0)
        bottom += heights
    if kinds is not None:
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)
    ax.set_ylabel(f"{unit_of(frame)} per {chosen}")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_scanners(frame: pd.DataFrame, ax: Axes | None = None, *, top: int = 12) -> Axes:
    """How many rows each model of each manufacturer has.

    Parameters
    ----------
    frame
        A frame with ``Manufacturer`` and ``ManufacturerModelName``, as a search gives it with ``fields=``.
    ax
        Where to draw; a figure of its own by default.
    top
        Models with a bar of their own; the others are one bar.

    Returns
    -------
    Axes
        A bar for each model, coloured by manufacturer, the most frequent first.

    Raises
    ------
    InvalidArgument
        The frame lacks one of the columns.
    """
    names = ("Manufacturer", "ManufacturerModelName")
    remedy = f"search with fields={list(names)}"
    makers, models = (
        column(frame, name, remedy).fillna("?").map(lambda text: label(text, _MAX_NAME)) for name in names
    )
    ax = axes_for(ax)
    title(ax, "Scanners", frame, [(int(frame[list(names)].isna().all(axis=1).sum()), "without both")])
    if frame.empty:
        return empty(ax, "no rows")
    counts = pd.DataFrame({"maker": makers, "model": models}).value_counts().reset_index()
    counts = counts.sort_values(["count", "maker", "model"], ascending=[False, True, True], ignore_index=True)
    shown, rest = counts.head(top), counts.iloc[top:]
    colours = colours_of(list(dict.fromkeys(shown["maker"])))
    texts = [f"{row.maker} · {row.model}" for row in shown.itertuples()]
    lengths, shades = shown["count"].tolist(), [colours[maker] for maker in shown["maker"]]
    if len(rest):
        texts, lengths = [*texts, f"{len(rest)} other models"], [*lengths, int(rest["count"].sum())]
        shades.append(GREY)
    bars = ax.barh(range(len(texts)), lengths, color=shades)
    ax.set_yticks(range(len(texts)), texts)
    ax.bar_label(bars, fmt="{:,.0f}", padding=3)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set_xlabel(unit_of(frame))
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_ages(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How old the patients were, women to the left and men to the right, in steps of ten years.

    Parameters
    ----------
    frame
        A frame with ``PatientSex``, and ``PatientAge`` or both ``PatientBirthDate`` and ``StudyDate``; a search for
        studies has the latter. A patient with several rows counts once for each.
    ax
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
        Bars to the left have negative lengths; the axis shows them without the sign.

    Raises
    ------
    InvalidArgument
        The frame lacks the columns.
    """
    sexes = column(frame, "PatientSex", "search for studies").fillna("")
    years = ages_in_years(frame)
    ax = axes_for(ax)
    is_known = years.notna() & sexes.isin(["F", "M"])
    title(
        ax,
        "Age and sex",
        frame,
        [
            (int(years.isna().sum()), "without an age"),
            (int((years.notna() & ~sexes.isin(["F", "M"])).sum()), "neither F nor M"),
        ],
    )
    if not is_known.any():
        return empty(ax, "no row has an age, and F or M as sex")
    steps = (years[is_known] // _STEP_YEARS).astype(int)
    order = range(int(steps.max()) + 1)
    palette = colours_of(["F", "M"])
    for sex, sign in (("F", -1), ("M", 1)):
        lengths = steps[sexes[is_known] == sex].value_counts().reindex(order, fill_value=0)
        ax.barh(order, sign * lengths.to_numpy(), color=palette[sex], label=sex)
    ax.set_yticks(order, [f"{step * _STEP_YEARS}-{step * _STEP_YEARS + _STEP_YEARS - 1}" for step in order])
    ax.axvline(0, color="#4D4D4D", linewidth=0.8)
    ax.xaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
    ax.set_ylabel("years")
    ax.set_xlabel(unit_of(frame))
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _width(days: pd.Series[pd.Timestamp]) -> Every:
    span = (days.max() - days.min()).days
    return "day" if span <= 60 else "month" if span <= 60 * 30 else "year"


def _rest_as_one(table: pd.DataFrame) -> pd.DataFrame:
    if table.shape[1] <= _KINDS:
        return table
    kept = table.iloc[:, : _KINDS - 1]
    return kept.assign(**{f"{table.shape[1] - _KINDS + 1} others": table.iloc[:, _KINDS - 1 :].sum(axis=1)})
