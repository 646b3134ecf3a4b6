"""Pictures of cohorts: what is on the axes, and what is said of the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dicomkit import plots
from dicomkit.errors import InvalidArgument
from dicomkit.plots.ages import ages_in_years


def series(**columns: list[Any]) -> pd.DataFrame:
    """A frame as a search for series gives it."""
    length = len(next(iter(columns.values())))
    return pd.DataFrame({"SeriesInstanceUID": [f"1.2.{n}" for n in range(length)], **columns})


def days(*texts: str | None) -> list[Any]:
    return [pd.NaT if text is None else pd.Timestamp(text) for text in texts]


def bars(ax: Axes) -> dict[str, float]:
    """Length of each horizontal bar, by the text beside it."""
    texts = [tick.get_text() for tick in ax.get_yticklabels()]
    return dict(zip(texts, [bar.get_width() for bar in ax.patches], strict=True))


def test_modalities_are_counted_the_most_frequent_first() -> None:
    """Equal ones by name; rows without one are told in the title."""
    ax = plots.plot_modalities(series(Modality=["MR", "CT", "US", "CT", None]))
    assert list(bars(ax).items()) == [("CT", 2), ("MR", 1), ("US", 1)]
    assert ax.get_title(loc="left") == "Modalities (n = 5 series; 1 without one)"
    assert ax.get_xlabel() == "series"


def test_timeline_stacks_modalities_and_leaves_empty_months_empty() -> None:
    """January 2 CT and 1 MR, nothing in February, March 1 MR."""
    frame = series(
        Modality=["CT", "CT", "MR", "MR", "MR"],
        StudyDate=days("2024-01-03", "2024-01-31", "2024-01-09", "2024-03-01", None),
    )
    ax = plots.plot_timeline(frame, every="month")
    heights = {container.get_label(): [bar.get_height() for bar in container] for container in ax.containers}
    assert heights == {"CT": [2, 0, 0], "MR": [1, 0, 1]}
    assert [bar.get_y() for bar in ax.containers[1]] == [2, 0, 0]
    assert ax.get_title(loc="left") == "StudyDate (n = 5 series; 1 without a date)"
    assert ax.get_ylabel() == "series per month"


@pytest.mark.parametrize(("last", "every"), [("2024-01-20", "day"), ("2025-01-01", "month"), ("2060-01-01", "year")])
def test_bars_of_a_timeline_are_as_wide_as_the_time_needs(last: str, every: str) -> None:
    """At most some 60 of them."""
    ax = plots.plot_timeline(series(StudyDate=days("2024-01-01", last)))
    assert ax.get_ylabel() == f"series per {every}"
    assert len(ax.patches) <= 62


def test_many_modalities_become_others_in_a_timeline() -> None:
    """No row is lost, and no colour means two things."""
    frame = series(Modality=[f"M{n}" for n in range(12)], StudyDate=days(*["2024-01-01"] * 12))
    ax = plots.plot_timeline(frame)
    labels = [container.get_label() for container in ax.containers]
    assert labels[-1] == "5 others"
    assert sum(bar.get_height() for bar in ax.patches) == 12


def test_scanners_are_models_of_their_manufacturers() -> None:
    """The rarer ones are one bar."""
    frame = series(Manufacturer=["A", "A", "A", "B", None], ManufacturerModelName=["x", "x", "y", "x", None])
    ax = plots.plot_scanners(frame, top=2)
    assert bars(ax) == {"A · x": 2, "? · ?": 1, "2 other models": 2}
    assert "1 without both" in ax.get_title(loc="left")


def test_ages_go_left_for_women_and_right_for_men() -> None:
    """From PatientAge, or from the dates; whoever is neither is told."""
    frame = series(
        PatientSex=["F", "M", "M", "O", "F", None],
        PatientAge=["045Y", "018M", None, "050Y", None, "020Y"],
        PatientBirthDate=days(None, None, "1950-01-01", None, None, None),
        StudyDate=days("2024-01-01", None, "2024-01-02", None, "2024-01-01", None),
    )
    ax = plots.plot_ages(frame)
    lengths = {tick.get_text(): 0.0 for tick in ax.get_yticklabels()}
    for bar in ax.patches:
        lengths[ax.get_yticklabels()[round(bar.get_y() + bar.get_height() / 2)].get_text()] += bar.get_width()
    assert {name: length for name, length in lengths.items() if length} == {"0-9": 1, "40-49": -1, "70-79": 1}
    assert ax.get_title(loc="left") == "Age and sex (n = 6 series; 1 without an age; 2 neither F nor M)"


def test_age_is_that_of_ps3_5() -> None:
    """Days, weeks, months, years; what is none of them, or no age of a person, is missing."""
    frame = pd.DataFrame({"PatientAge": ["010D", "010W", "018M", "045Y", "45Y", "999Y", "", None]})
    expected = [10 / 365.25, 70 / 365.25, 1.5, 45, *[np.nan] * 4]
    np.testing.assert_allclose(ages_in_years(frame), expected)
    born_later = pd.DataFrame({"PatientBirthDate": days("2025-01-01"), "StudyDate": days("2024-01-01")})
    assert ages_in_years(born_later).isna().all()


FRAMES: list[tuple[Any, pd.DataFrame]] = [
    (plots.plot_modalities, series(Modality=[None, None])),
    (plots.plot_timeline, series(StudyDate=days(None))),
    (plots.plot_scanners, series(Manufacturer=["A"], ManufacturerModelName=["x"]).head(0)),
    (plots.plot_ages, series(PatientSex=["O"], PatientAge=["020Y"])),
]


@pytest.mark.parametrize(("plot", "frame"), FRAMES, ids=lambda each: getattr(each, "__name__", ""))
def test_nothing_to_draw_is_said(plot: Any, frame: pd.DataFrame) -> None:
    """With words on the axes, and no error; also without any row."""
    for rows in (frame, frame.head(0)):
        ax = plot(rows)
        assert "no row" in ax.texts[0].get_text()
        assert not ax.patches


@pytest.mark.parametrize(("plot", "frame"), FRAMES, ids=lambda each: getattr(each, "__name__", ""))
def test_column_that_is_missing_is_told_with_the_remedy(plot: Any, frame: pd.DataFrame) -> None:
    """How to search so that it is there."""
    with pytest.raises(InvalidArgument, match=r"no column .*; .*(search|fields)"):
        plot(frame[["SeriesInstanceUID"]])


def test_axes_that_are_given_are_drawn_on() -> None:
    """And are returned; their figure is the caller's."""
    given = Figure().add_subplot()
    assert plots.plot_modalities(series(Modality=["CT"]), given) is given


def test_axes_of_their_own_are_a_picture_in_a_notebook() -> None:
    """Without pyplot, which keeps figures; the text of it has no address in it."""
    import sys

    ax = plots.plot_modalities(series(Modality=["CT"]))
    assert ax._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    assert repr(ax) == str(ax) == "<Axes 'Modalities (n = 1 series)'>"
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


@pytest.mark.parametrize("text", ["$\\frac{a}", "_hidden", "a\nb\x1b[31m", "x" * 500, "\u202eevil", "<script>"])
def test_text_of_files_is_only_text(text: str) -> None:
    """No formula that fails, no line break, no hidden entry of the legend, no label wider than the picture."""
    frame = series(Modality=[text], StudyDate=days("2024-01-01"), Manufacturer=[text], ManufacturerModelName=[text])
    for plot in (plots.plot_modalities, plots.plot_timeline, plots.plot_scanners):
        assert plot(frame)._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    (entry,) = plots.plot_timeline(frame).get_legend().get_texts()  # type: ignore[union-attr]
    assert len(entry.get_text()) <= 42
    assert entry.get_text().isprintable()
