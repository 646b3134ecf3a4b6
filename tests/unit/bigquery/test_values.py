"""DICOM values in BigQuery's types."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.valuerep import DA, DT, TM, PersonName

from dicomkit.bigquery.values import (
    CONVERTERS,
    DoesNotFit,
    date_of,
    offset_of,
    person_name_of,
    texts_of,
    time_of,
    timestamp_of,
)

UTC = timedelta(0)


def one(kind: str, value: Any, vr: str) -> Any:
    """A single value in a NULLABLE column."""
    return CONVERTERS[kind][0]([value], vr, UTC)


def several(kind: str, values: list[Any], vr: str) -> Any:
    """Values in a REPEATED column."""
    return CONVERTERS[kind][1](values, vr, UTC)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("20180427", "2018-04-27"),
        ("20000229", "2000-02-29"),
        ("00010101", "0001-01-01"),
        ("99991231", "9999-12-31"),
        ("2018.04.27", "2018-04-27"),
        ("20180427 ", "2018-04-27"),
    ],
)
def test_da_is_a_date(text: str, date: str) -> None:
    """DA, also as ACR-NEMA wrote it, is the day it names."""
    assert date_of(text) == date


@pytest.mark.parametrize(
    "text",
    [
        *("", "2018", "201804", "20180431", "19000229", "00000101", "2018-04-27", "20180427-20180428", "2018.0427"),
        *("２０１８0427", "2018042７", "2018W171", "20180427\n", "+0180427"),
    ],
)
def test_what_is_no_day_does_not_fit(text: str) -> None:
    """DATE cannot hold a month, a year, a range or a day that is in no calendar."""
    with pytest.raises(DoesNotFit):
        date_of(text)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("200807", "20:08:07"),
        ("20", "20:00:00"),
        ("2008", "20:08:00"),
        ("200807.000001", "20:08:07.000001"),
        ("200807.5", "20:08:07.500000"),
        ("235959.999999", "23:59:59.999999"),
        ("20:08:07", "20:08:07"),
        ("20:08", "20:08:00"),
        (" 200807 ", "20:08:07"),
    ],
)
def test_tm_is_a_time(text: str, time: str) -> None:
    """TM is the earliest time it can mean, to the microsecond."""
    assert time_of(text) == time


@pytest.mark.parametrize(
    "text", ["", "2", "24", "2060", "200860", "200807.", "200807.1234567", "20:0807", "2008.5", "2008-2009", "٢٠"]
)
def test_what_is_no_time_of_day_does_not_fit(text: str) -> None:
    """TIME ends at 23:59:59.999999: no leap second, no hour 24, no seventh digit."""
    with pytest.raises(DoesNotFit):
        time_of(text)


@pytest.mark.parametrize(
    ("text", "hours", "timestamp"),
    [
        ("20180427202725", 0, "2018-04-27T20:27:25.000000Z"),
        ("20180427202725.123", 0, "2018-04-27T20:27:25.123000Z"),
        ("20180427202725.123456-0400", 0, "2018-04-28T00:27:25.123456Z"),
        ("20180427202725+0530", 0, "2018-04-27T14:57:25.000000Z"),
        ("20180427202725+0530", -4, "2018-04-27T14:57:25.000000Z"),
        ("20180427202725", -4, "2018-04-28T00:27:25.000000Z"),
        ("20180427202725", 1, "2018-04-27T19:27:25.000000Z"),
        ("2018", 0, "2018-01-01T00:00:00.000000Z"),
        ("201804", 0, "2018-04-01T00:00:00.000000Z"),
        ("20180427", 0, "2018-04-27T00:00:00.000000Z"),
        ("2018042720", 0, "2018-04-27T20:00:00.000000Z"),
        ("2018-0500", 0, "2018-01-01T05:00:00.000000Z"),
        ("2018 ", 0, "2018-01-01T00:00:00.000000Z"),
    ],
)
def test_dt_is_a_timestamp_in_utc(text: str, hours: int, timestamp: str) -> None:
    """The value's own offset counts, else the dataset's; a short value means the earliest time it can."""
    assert timestamp_of(text, timedelta(hours=hours)) == timestamp


@pytest.mark.parametrize(
    "text",
    [
        *("", "201", "20181301", "20180427246000", "20180427202760", "20180427202725+1500", "20180427202725-1230"),
        *("20180427202725+0560", "20180427202725.1234567", "00010101000000+0100", "99991231235959-0100"),
    ],
)
def test_what_is_no_instant_does_not_fit(text: str) -> None:
    """TIMESTAMP holds years 1 to 9999 in UTC, offsets are -1200 to +1400."""
    with pytest.raises(DoesNotFit):
        timestamp_of(text, UTC)


@settings(deadline=None)
@given(st.datetimes(min_value=datetime(1000, 1, 3), max_value=datetime(9999, 12, 30)), st.integers(-720, 840))
def test_dates_and_times_agree_with_pydicom(moment: datetime, minutes: int) -> None:
    """pydicom's DA, TM and DT read from the same text are the same moments."""
    offset = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"
    da, tm = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S.%f")
    assert date_of(da) == DA(da).isoformat()  # type: ignore[union-attr]
    fraction = "" if moment.microsecond else ".000000"
    assert time_of(tm) == TM(tm).isoformat() + fraction  # type: ignore[union-attr]
    got = datetime.fromisoformat(timestamp_of(da + tm + offset, UTC))
    assert got == DT(da + tm + offset)


@pytest.mark.parametrize(
    ("text", "default", "offset"),
    [
        ("+0000", 2, 0),
        ("-0400", 0, -4),
        ("+1400", 0, 14),
        ("-1200", 0, -12),
        ("+1401", 3, 3),
        ("EST", 3, 3),
        ("0400", 3, 3),
        (None, 3, 3),
        (5, 3, 3),
    ],
)
def test_timezone_offset_is_read_or_the_outer_one_counts(text: object, default: int, offset: int) -> None:
    """TimezoneOffsetFromUTC that is none leaves what was in force."""
    assert offset_of(text, timedelta(hours=default)) == timedelta(hours=offset)


def test_person_name_has_its_groups_and_components() -> None:
    """PN is a record of three groups with five components, and only what is written is there."""
    value = {"Alphabetic": "Yamada^Tarou^^Dr", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    assert person_name_of(value) == {
        "Alphabetic": {"FamilyName": "Yamada", "GivenName": "Tarou", "NamePrefix": "Dr"},
        "Ideographic": {"FamilyName": "山田", "GivenName": "太郎"},
        "Phonetic": {"FamilyName": "やまだ", "GivenName": "たろう"},
    }


name_part = st.text(st.characters(exclude_characters="^=\\", exclude_categories=("C", "Z")), max_size=8)


@settings(deadline=None)
@given(st.lists(st.lists(name_part, min_size=1, max_size=5), min_size=1, max_size=3))
def test_person_names_agree_with_pydicom(groups: list[list[str]]) -> None:
    """Components are those that pydicom's PersonName reads from the same text."""
    text = "=".join("^".join(parts) for parts in groups)
    name = PersonName(text)
    expected: dict[str, dict[str, str]] = {}
    names = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
    attributes = ("family_name", "given_name", "middle_name", "name_prefix", "name_suffix")
    alphabetic = {n: getattr(name, a) for n, a in zip(names, attributes, strict=True) if getattr(name, a)}
    if alphabetic:
        expected["Alphabetic"] = alphabetic
    for group, written in (("Ideographic", name.ideographic), ("Phonetic", name.phonetic)):
        parts = {n: p for n, p in zip(names, written.split("^"), strict=False) if p}
        if parts:
            expected[group] = parts
    if expected:
        assert person_name_of(text) == expected
    else:
        with pytest.raises(DoesNotFit):
            person_name_of(text)


@pytest.mark.parametrize("value", ["^^^^", "=", "^=^", "a^b^c^d^e^f", "a=b=c=d", 3, {"Alphabetic": "^^"}, {}])
def test_what_is_no_name_does_not_fit(value: Any) -> None:
    """Delimiters alone, as the published ``^^^^``, and more parts than DICOM has are no name."""
    with pytest.raises(DoesNotFit):
        person_name_of(value)


@pytest.mark.parametrize("vr", ["US", "SS", "UL", "SL", "UV", "SV"])
def test_integers_stay_integers(vr: str) -> None:
    """INTEGER holds any binary integer of DICOM below 2**63."""
    assert one("INTEGER", 7, vr) == 7
    assert several("INTEGER", [1, 2], vr) == [1, 2]
    assert several("INTEGER", [2**63 - 1, -(2**63)], vr) == [2**63 - 1, -(2**63)]
    with pytest.raises(DoesNotFit):
        one("INTEGER", 2**63, vr)


def test_at_is_group_and_element_in_one_number() -> None:
    """The published value for (0048,021F) is 4719135."""
    assert one("INTEGER", "0048021F", "AT") == 4719135
    with pytest.raises(DoesNotFit):
        one("INTEGER", "nothing!", "AT")


def test_numbers_written_as_text_fit_number_columns() -> None:
    """A file whose VR is not the dictionary's can hold the same number as text."""
    assert one("INTEGER", " 12", "IS") == 12
    assert one("FLOAT", "-1.5e2 ", "DS") == -150.0
    for kind, text in (("INTEGER", "1.5"), ("INTEGER", "1_0"), ("INTEGER", ""), ("FLOAT", "1_0"), ("FLOAT", "nan")):
        with pytest.raises(DoesNotFit):
            one(kind, text, "LO")


def test_float_is_the_widened_single() -> None:
    """FL is a 32-bit number told with 64 bits, as in the published 26.579559326171875."""
    assert one("FLOAT", 26.579559326171875, "FL") == 26.579559326171875
    assert several("FLOAT", [1, 2.5], "FD") == [1.0, 2.5]
    assert all(type(number) is float for number in several("FLOAT", [1, 2.5], "FD"))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1e999", pytest.param(10**400, id="10**400")])
def test_what_is_not_finite_does_not_fit(value: Any) -> None:
    """JSON has no such number."""
    with pytest.raises(DoesNotFit):
        one("FLOAT", value, "FD")


def test_strings_stand_as_they_are() -> None:
    """DS and IS keep their text; the published ``.0004942`` is not made a number."""
    assert one("STRING", ".0004942", "DS") == ".0004942"
    assert several("STRING", ["0.500", "0.500"], "DS") == ["0.500", "0.500"]
    assert one("STRING", 12, "US") == "12"
    assert one("STRING", {"Alphabetic": "a", "Phonetic": "b"}, "PN") == "a==b"


def test_empty_values_keep_their_place_among_strings_and_names() -> None:
    """``DERIVED\\\\\\\\AXIAL`` has three values; a REPEATED column can hold no NULL."""
    assert several("STRING", ["DERIVED", None, "AXIAL"], "CS") == ["DERIVED", "", "AXIAL"]
    assert several("STRING", [None, None], "CS") == []
    assert several("NAME", [{"Alphabetic": "a"}, None], "PN") == [{"Alphabetic": {"FamilyName": "a"}}, {}]
    for kind in ("INTEGER", "FLOAT", "DATE", "TIME", "TIMESTAMP"):
        with pytest.raises(DoesNotFit):
            several(kind, ["20200101", None], "LO")


@pytest.mark.parametrize("kind", sorted(CONVERTERS))
def test_one_empty_value_is_null(kind: str) -> None:
    """NULLABLE columns are NULL for an empty value."""
    assert one(kind, None, "CS") is None


@pytest.mark.parametrize("kind", sorted(CONVERTERS))
def test_two_values_do_not_fit_one(kind: str) -> None:
    """A NULLABLE column holds one value."""
    with pytest.raises(DoesNotFit):
        CONVERTERS[kind][0](["1", "2"], "LO", UTC)


@pytest.mark.parametrize("kind", sorted(CONVERTERS))
@pytest.mark.parametrize("mode", [0, 1])
def test_a_sequence_fits_no_plain_column(kind: str, mode: int) -> None:
    """Items are no value, whatever the column."""
    with pytest.raises(DoesNotFit):
        CONVERTERS[kind][mode]([{"00080100": {"vr": "SH", "Value": ["x"]}}], "SQ", UTC)


def test_raw_text_of_values() -> None:
    """OtherElements holds text, one for each value."""
    assert texts_of(["a", None, 7, 1.5, math.nan, math.inf, -math.inf]) == [
        *("a", "", "7", "1.5", "NaN", "Infinity", "-Infinity")
    ]
    assert texts_of([{"Alphabetic": "Doe^J", "Ideographic": "x"}, {"Phonetic": "p"}]) == ["Doe^J=x", "==p"]
