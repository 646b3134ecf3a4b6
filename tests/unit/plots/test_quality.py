"""Pictures of attributes, slices and de-identifications: the values on the axes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dicomkit import plots
from dicomkit.errors import InvalidArgument


def test_ecdf_is_the_share_of_rows_up_to_a_value() -> None:
    """1, 1, 2 and 5: half up to 1, three quarters up to 2; what is no number is counted apart."""
    ax = plots.plot_ecdf(
        pd.DataFrame({"SliceThickness": ["1", "5", "1.0", "2", "thick", None]}), "SliceThickness", cut=2
    )
    line = ax.lines[0]
    assert list(zip(line.get_xdata(), line.get_ydata(), strict=True)) == [
        (1, 0),
        (1, 0.25),
        (1, 0.5),
        (2, 0.75),
        (5, 1),
    ]
    assert ax.texts[0].get_text() == "75.0% up to 2"
    assert ax.get_title(loc="left") == "SliceThickness (n = 6 rows; 1 without it; 1 no number)"


def test_missing_is_a_share_of_each_modality_and_grey_where_none_has_it() -> None:
    """KVP is in half of the CTs and in no MR."""
    frame = pd.DataFrame(
        {
            "Modality": ["CT", "CT", "MR"],
            "KVP": [120.0, None, None],
            "ImageType": [("A",), (), ("B",)],
            "StudyDate": pd.to_datetime(["2024-01-01"] * 3),
        }
    )
    ax = plots.plot_missing(frame)
    shown = ax.images[0].get_array()
    assert shown.tolist() == [[0.5, None], [0.5, 0.0], [0.0, 0.0]]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["KVP", "ImageType", "StudyDate"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["CT (2)", "MR (1)"]
    assert [text.get_text() for text in ax.texts] == ["50%", "-", "50%", "0", "0", "0"]


def test_missing_shows_no_more_than_can_be_read() -> None:
    """And says how many there would be."""
    frame = pd.DataFrame({"Modality": ["CT"], **{f"A{n}": [1] for n in range(41)}})
    with pytest.raises(InvalidArgument, match="41 attributes are too many"):
        plots.plot_missing(frame)
    assert len(plots.plot_missing(frame, ["A1", "A2"]).get_yticklabels()) == 2


def test_actions_are_counted_by_vr() -> None:
    """The most attributes first, the actions in the order from keeping to removing."""
    preview = pd.DataFrame({"vr": ["PN", "PN", "UI", ""], "action": ["remove", "empty", "remap", "remove"]})
    ax = plots.plot_deidentify_actions(preview)
    widths = {container.get_label(): [bar.get_width() for bar in container] for container in ax.containers}
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["PN", "UI", "none"]
    assert widths == {"remap": [0, 1, 0], "empty": [1, 0, 0], "remove": [1, 0, 1]}


def test_slice_gaps_are_marked_where_they_are() -> None:
    """Positions and distances as they stand in the geometry."""
    geometry = pd.DataFrame(
        {
            "position_mm": [0.0, 2.5, 10.0, 10.0],
            "spacing_mm": [2.5, 7.5, 0.0, None],
            "is_gap": [False, True, False, None],
            "is_duplicate": [False, False, True, True],
            "stack": [1, 1, 1, 1],
        }
    )
    ax = plots.plot_slice_gaps(geometry)
    stack, gap, duplicate = ax.lines
    assert list(zip(stack.get_xdata(), stack.get_ydata(), strict=True)) == [(0, 2.5), (2.5, 7.5), (10, 0)]
    assert (list(gap.get_xdata()), list(gap.get_ydata())) == ([2.5], [7.5])
    assert list(duplicate.get_xdata()) == [10]
    assert ax.get_title(loc="left") == "Slices (n = 4 slices; 1 gaps; 2 duplicates)"


def test_contact_sheet_has_the_slices_in_the_order_of_space() -> None:
    """Row by row, grey values from the window, the last row filled with nothing."""
    array = np.arange(5 * 2 * 3).reshape(5, 2, 3)
    ax = plots.plot_contact_sheet(array, columns=2, window=(10, 4))
    image = ax.images[0]
    sheet = image.get_array()
    assert sheet.shape == (6, 6)
    np.testing.assert_array_equal(sheet[2:4, 3:6], array[3])
    assert sheet.mask[4:, 3:].all()
    assert image.get_clim() == (8, 12)
    assert ax.get_title(loc="left") == "5 slices, grey values 8 to 12"
    assert plots.plot_contact_sheet(array, slices=3).get_title(loc="left").startswith("3 of 5 slices")


def test_what_is_no_volume_is_refused() -> None:
    """With what it is."""
    with pytest.raises(InvalidArgument, match="this array has 2 axes"):
        plots.plot_contact_sheet(np.zeros((2, 2)))
    with pytest.raises(InvalidArgument, match="width above 0"):
        plots.plot_contact_sheet(np.zeros((1, 2, 2)), window=(0, 0))


def test_nothing_to_draw_is_said() -> None:
    """With words on the axes, and no error."""
    columns = ["position_mm", "spacing_mm", "is_gap", "is_duplicate", "stack"]
    for ax in (
        plots.plot_ecdf(pd.DataFrame({"KVP": [None, "x"]}), "KVP"),
        plots.plot_missing(pd.DataFrame({"Modality": [], "KVP": []})),
        plots.plot_deidentify_actions(pd.DataFrame({"vr": [], "action": []})),
        plots.plot_slice_gaps(pd.DataFrame(columns=columns)),
        plots.plot_contact_sheet(np.zeros((0, 2, 2))),
    ):
        assert ax.texts[0].get_text().startswith("no ")


def test_frames_of_another_kind_are_refused_with_the_remedy() -> None:
    """Each picture says what it is made of."""
    frame = pd.DataFrame({"x": [1]})
    for plot in (plots.plot_deidentify_actions, plots.plot_slice_gaps, plots.plot_missing):
        with pytest.raises(InvalidArgument, match="no column"):
            plot(frame)
