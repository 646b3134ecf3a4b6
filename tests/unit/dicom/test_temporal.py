"""Dates, times and date-times as bounds that compare as text."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomkit.dicom.temporal import comparable, is_moment, range_bounds


@pytest.mark.parametrize(
    ("vr", "text"),
    [
        ("DA", "20040101"),
        ("DA", "20240229"),
        ("TM", "10"),
        ("TM", "1030"),
        ("TM", "235960"),
        ("TM", "070907.0705"),
        ("DT", "2004"),
        ("DT", "200402"),
        ("DT", "20040229103000.123456+0100"),
        ("DT", "2004-0500"),
    ],
)
def test_values_of_ps3_5_are_moments(vr: str, text: str) -> None:
    """Every form that PS3.5 section 6.2 allows is taken."""
    assert is_moment(vr, text)


@pytest.mark.parametrize(
    ("vr", "text"),
    [
        ("DA", "2004-01-01"),
        ("DA", "20040230"),
        ("DA", "2004010"),
        ("DA", "00000101"),
        ("DA", "２００４０１０１"),
        ("DA", "20040101\n"),
        ("TM", "24"),
        ("TM", "1060"),
        ("TM", "103"),
        ("TM", "10:30"),
        ("TM", "103000."),
        ("TM", "1030.5"),
        ("DT", "20041301"),
        ("DT", "20040101+1500"),
        ("DT", "200"),
    ],
)
def test_texts_that_are_no_value_are_refused(vr: str, text: str) -> None:
    """Days that do not exist, other separators and other digits are no values."""
    assert not is_moment(vr, text)
    assert range_bounds(vr, text) is None


@pytest.mark.parametrize(
    ("vr", "text", "bounds"),
    [
        ("DA", "20040101-20041231", ("20040101", "20041231")),
        ("DA", "20040101 - 20041231", ("20040101", "20041231")),
        ("DA", "20040101-", ("20040101", "99991231")),
        ("DA", "-20041231", ("0000", "20041231")),
        ("TM", "10-1030", ("10", "103059.999999")),
        ("TM", "1030", ("1030", "103059.999999")),
        ("TM", "100000.000", ("10", "100000.000999")),
        ("DT", "2004-2005", ("2004", "20051231235959.999999")),
        ("DT", "200402", ("200402", "20040229235959.999999")),
        ("DT", "2004-0500", ("2004", "20041231235959.999999")),
        ("DT", "20040101120000+0100-", ("2004010111", "99991231235960.999999")),
        ("DT", "20040101-0500-20040201-0500", ("2004", "20040201235959.999999")),
    ],
)
def test_ranges_become_inclusive_bounds(vr: str, text: str, bounds: tuple[str, str]) -> None:
    """PS3.4 C.2.2.2.5: both ends count, and an end of low precision reaches to the end of its span."""
    assert range_bounds(vr, text) == bounds


@pytest.mark.parametrize("text", ["-", "--", "20040101-20040102-20040103", "20050101-20040101", "", "20040101-x"])
def test_malformed_or_reversed_ranges_are_refused(text: str) -> None:
    """A range has at least one end, at most two, and the earlier one first."""
    assert range_bounds("DA", text) is None


@given(st.dates(), st.dates(), st.dates())
def test_dates_compare_as_the_calendar_says(start: date, end: date, stored: date) -> None:
    """The text comparison agrees with Python's comparison of dates."""
    start, end = sorted((start, end))

    def text(day: date) -> str:
        return f"{day.year:04d}{day:%m%d}"

    bounds = range_bounds("DA", f"{text(start)}-{text(end)}")
    assert bounds is not None
    assert (bounds[0] <= text(stored) <= bounds[1]) == (start <= stored <= end)


@given(st.times(), st.times(), st.times(), st.sampled_from([2, 4, 6, 13]))
def test_times_of_any_precision_compare_by_their_first_moment(start, end, stored, digits: int) -> None:
    """A stored ``10`` is ten o'clock sharp, however precise the range is."""
    start, end = sorted((start, end))
    low, high, text = (f"{t:%H%M%S.%f}" for t in (start, end, stored))
    bounds = range_bounds("TM", f"{low}-{high}")
    assert bounds is not None
    cut = text[:digits]
    full = cut + "000000.000000"[len(cut) :]
    assert (bounds[0] <= cut <= bounds[1]) == (low <= full <= high)


@given(
    st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)),
    st.integers(-12 * 4, 14 * 4).map(lambda quarter: timedelta(minutes=15 * quarter)),
)
def test_an_offset_moves_a_date_time_to_utc(moment: datetime, offset: timedelta) -> None:
    """The oracle is Python's own arithmetic."""
    minutes = int(abs(offset).total_seconds()) // 60
    sign = "-" if offset < timedelta() else "+"
    text = f"{moment.year:04d}{moment:%m%d%H%M%S.%f}{sign}{minutes // 60:02d}{minutes % 60:02d}"
    utc = moment - offset
    assert comparable("DT", text) == f"{utc.year:04d}{utc:%m%d%H%M%S.%f}"


def test_an_hour_with_a_half_hour_offset_gets_minutes() -> None:
    """10 o'clock in India is 04:30 UTC."""
    assert comparable("DT", "2004010110+0530") == "200401010430"


def test_a_date_time_before_the_first_year_stays_as_it_is() -> None:
    """The year 0 does not exist, so the shift is left out."""
    assert comparable("DT", "000101010000+0100") == "000101010000"
