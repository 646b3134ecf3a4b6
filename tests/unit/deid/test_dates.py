"""Date shift: valid days, equal intervals."""

from __future__ import annotations

import io
from datetime import date, timedelta

import pydicom
from hypothesis import given
from hypothesis import strategies as st

from dicomkit.deid import Deidentifier
from dicomkit.deid.dates import MAX_SHIFT_DAYS, shift, shift_days
from dicomkit.dicom.temporal import is_moment
from dicomkit.resources.deidentify_config import DeidentifyConfig
from tests.unit.deid import planted
from tests.unit.deid.planted import BASIC, KEY, Marks, part10

DAYS = st.dates(min_value=date(1850, 1, 1), max_value=date(2150, 12, 31))
OFFSETS = st.integers(-MAX_SHIFT_DAYS, MAX_SHIFT_DAYS)
CLOCKS = st.sampled_from(["", "10", "1011", "101112", "101112.5", "235960"])
ZONES = st.sampled_from(["", "+0100", "-0930"])


def da(day: date) -> str:
    return day.strftime("%Y%m%d") if day.year > 999 else ""


@given(DAYS, DAYS, OFFSETS)
def test_intervals_between_dates_stay(first: date, second: date, days: int) -> None:
    """Each day moves to an existing day, leap days too, and the interval of two is what it was."""
    moved = [shift("DA", da(day), days) for day in (first, second)]
    assert all(value is not None and is_moment("DA", value) for value in moved)
    parsed = [date.fromisoformat(value or "") for value in moved]
    assert parsed[1] - parsed[0] == second - first
    assert parsed[0] - first == timedelta(days=days)


@given(DAYS, CLOCKS, ZONES, OFFSETS)
def test_time_and_zone_of_a_datetime_stay(day: date, clock: str, zone: str, days: int) -> None:
    """A DT moves by its day alone."""
    moved = shift("DT", da(day) + clock + zone, days)
    assert moved == da(day + timedelta(days=days)) + clock + zone
    assert is_moment("DT", moved)


@given(DAYS, st.sampled_from([4, 6]), ZONES, OFFSETS)
def test_partial_datetime_keeps_its_precision(day: date, digits: int, zone: str, days: int) -> None:
    """A year, or a year and month, stays one."""
    moved = shift("DT", da(day)[:digits] + zone, days)
    assert moved is not None and is_moment("DT", moved)
    assert len(moved) == digits + len(zone) and moved.endswith(zone)


@given(st.text(max_size=12), st.sampled_from(["DA", "DT"]), OFFSETS)
def test_anything_gives_a_moment_or_nothing(text: str, vr: str, days: int) -> None:
    """What is no date does not come out again."""
    moved = shift(vr, text, days)
    assert moved is None or is_moment(vr, moved)


@given(st.binary(min_size=16, max_size=32), st.text(max_size=20), st.text(max_size=20))
def test_offset_is_the_patients(key: bytes, patient: str, study: str) -> None:
    """One offset for all studies of a patient, within the bounds and never 0; the study's without an id."""
    days = shift_days(key, patient, study)
    assert 1 <= abs(days) <= MAX_SHIFT_DAYS
    if patient:
        assert days == shift_days(key, patient, study + "x")
    assert shift_days(key, "", study) == shift_days(key, "", study)


def test_calendar_ends_are_no_crash() -> None:
    """Beyond year 1 and 9999 there is no day to give."""
    assert shift("DA", "99991231", 1) is None
    assert shift("DA", "00010101", -1) is None
    assert shift("DA", "2024.02.29", 366) == "20250301"


def test_dates_of_the_basic_profile_move_with_their_patient() -> None:
    """Dates move together, times stay, the birth date does not: PS3.15 retains it under no option."""
    config = DeidentifyConfig.from_api(BASIC | {"text": {"additionalTransformations": [{"dateShiftConfig": {}}]}})
    source = planted.ct(Marks())
    data = part10(source, Marks())
    ds = pydicom.dcmread(io.BytesIO(Deidentifier(config, key=KEY).instance(data)))
    days = shift_days(KEY, source.PatientID, source.StudyInstanceUID)
    expected = (date(2024, 2, 29) + timedelta(days=days)).strftime("%Y%m%d")
    assert (ds.StudyDate, ds.StudyTime) == (expected, "101112")
    assert ds.AcquisitionDateTime == f"{expected}101112.5+0100"
    assert ds.PatientBirthDate == ""
    assert ds.LongitudinalTemporalInformationModified == "MODIFIED"
    assert [c.CodeValue for c in ds.DeidentificationMethodCodeSequence] == ["113100", "113107"]
