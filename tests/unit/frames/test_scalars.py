"""Values of one VR: what PS3.5 allows, what older forms it names, and what is no value."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.valuerep import DA, DT, TM

from dicomkit.frames.scalars import Memo, date_us, instant_us, integer, name_text, number, text, time_us

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
US = timedelta(microseconds=1)


@given(st.dates(min_value=date(1, 1, 1)))
def test_date_is_what_pydicom_reads(day: date) -> None:
    """Every day of the years 1 to 9999."""
    written = f"{day:%m%d}"
    written = f"{day.year:04d}{written}"
    moment = EPOCH + date_us(written) * US  # type: ignore[operator]
    assert moment.date() == DA(written)
    assert date_us(f"{written[:4]}.{written[4:6]}.{written[6:]}") == date_us(written)


@pytest.mark.parametrize(
    "value", ["2004", "200401", "20040132", "20041301", "00000101", "200401011", "x", "", 20040101, None]
)
def test_what_is_no_date(value: object) -> None:
    """Wrong lengths, days that no calendar has, and what is no text."""
    assert date_us(value) is None


@given(st.times())
def test_time_is_what_pydicom_reads(time: object) -> None:
    """Every time of a day, to the microsecond."""
    written = f"{time:%H%M%S.%f}"
    read = TM(written)
    assert read is not None
    assert time_us(written) == (read.hour * 3600 + read.minute * 60 + read.second) * 1_000_000 + read.microsecond


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("07", 25200),
        ("0727", 26820),
        ("072730", 26850),
        ("072730.5", 26850.5),
        ("07:27:30", 26850),
        ("235960", 86400),
        ("07 ", 25200),
    ],
)
def test_time_may_leave_out_its_end(value: str, seconds: float) -> None:
    """PS3.5 lets minutes and seconds be left out, and knows the leap second."""
    assert time_us(value) == seconds * 1_000_000


@pytest.mark.parametrize("value", ["7", "24", "0760", "072761", "072730.", "072730.1234567", "noon", None, 7])
def test_what_is_no_time(value: object) -> None:
    """Hours, minutes and seconds out of range, and odd lengths."""
    assert time_us(value) is None


@given(st.datetimes(min_value=datetime(1000, 1, 2), max_value=datetime(9999, 12, 30)), st.integers(-12 * 60, 14 * 60))
def test_moment_with_an_offset_is_what_pydicom_reads(moment: datetime, minutes: int) -> None:
    """A DT with its own offset is one moment, whatever the row's offset says."""
    offset = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"
    written = f"{moment:%Y%m%d%H%M%S.%f}{offset}"
    read = DT(written)
    assert read is not None
    assert instant_us((written, "+0100")) == (read - EPOCH) // US


def test_moment_without_an_offset_takes_that_of_its_row() -> None:
    """TimezoneOffsetFromUTC stands in; with neither the value is taken as UTC."""
    at_noon = 12 * 3600 * 1_000_000
    assert instant_us(("19700101120000", None)) == at_noon
    assert instant_us(("19700101120000", "+0100")) == at_noon - 3600 * 1_000_000
    assert instant_us(("19700101120000", "-0230")) == at_noon + 9000 * 1_000_000
    assert instant_us(("19700101120000", "odd")) == at_noon
    assert instant_us("1970") == 0


@pytest.mark.parametrize("value", ["1970010124", "19700101+9900", "19700132", "1970-01-01", "", None])
def test_what_is_no_moment(value: object) -> None:
    """Parts out of range make no moment, an offset of more than 14 hours neither."""
    assert instant_us(value) is None


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (5, 5),
        ("5", 5),
        (" -7 ", -7),
        (5.0, 5),
        (5.5, None),
        ("5.5", None),
        ("x", None),
        (True, None),
        (2**64, None),
        ("9" * 5000, None),
        (None, None),
        ([], None),
    ],
)
def test_integers(value: object, want: int | None) -> None:
    """IS comes as a number or as text (PS3.18 F.2.3.1)."""
    assert integer(value) == want


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (5, 5.0),
        ("1.5e3", 1500.0),
        (" 2.5 ", 2.5),
        ("x", None),
        ("nan", None),
        (10**400, None),
        (True, None),
        ("1" * 5000, None),
        ({}, None),
    ],
)
def test_numbers(value: object, want: float | None) -> None:
    """DS comes as a number or as text; what is no number is no value."""
    assert number(value) == want


def test_person_name_keeps_all_its_groups() -> None:
    """The groups stand as DICOM writes them, so that nothing is lost in a column of text."""
    groups = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    assert name_text(groups) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert name_text({"Ideographic": "山田^太郎"}) == "=山田^太郎"
    assert name_text({"Alphabetic": "Doe^Jane"}) == "Doe^Jane"
    assert name_text({}) is None
    assert name_text(None) is None


def test_text_takes_numbers_but_no_containers() -> None:
    """A lenient server may send a number where text is due."""
    assert (text("a"), text(5), text(None), text({}), text([])) == ("a", "5", None, None, None)


def test_memo_stops_growing() -> None:
    """A column of unique values does not fill the memory twice."""
    asked: list[int] = []
    memo = Memo(lambda key: asked.append(key) or -key, most=2)
    assert [memo[1], memo[2], memo[3], memo[1], memo[3]] == [-1, -2, -3, -1, -3]
    assert len(memo) == 2
    assert asked == [1, 2, 3, 3]
