"""DICOM JSON to frames: types by the dictionary, whatever rows come."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomkit.dicom.dictionary import tag_of
from dicomkit.errors import LenientValueWarning
from dicomkit.frames import (
    INSTANCES,
    SERIES,
    STUDIES,
    ColumnBuilder,
    attribute,
    dicom_json,
    frame_of,
    search_columns,
)

KEYWORDS = (
    "StudyDate StudyTime AcquisitionDateTime InstanceNumber Rows SliceThickness PatientName PatientID ImageType "
    "PixelSpacing RequestAttributesSequence OtherPatientNames DateOfSecondaryCapture ScheduledProcedureStepStartDate "
    "FrameIncrementPointer SmallestImagePixelValue PixelData SimpleFrameList"
).split()
COLUMNS = tuple(attribute(tag_of(keyword)) for keyword in KEYWORDS)


def row(**values: Any) -> dict[str, Any]:
    """A search result with these attributes; a value that is no list stands alone."""
    out: dict[str, Any] = {}
    for keyword, value in values.items():
        column = attribute(tag_of(keyword))
        out[column.tag] = {"vr": column.vr, "Value": value if isinstance(value, list) else [value]}
    return out


@pytest.mark.parametrize(
    "columns", [STUDIES, SERIES, INSTANCES, COLUMNS], ids=["studies", "series", "instances", "many"]
)
def test_empty_result_has_all_columns_and_dtypes(columns: tuple[Any, ...]) -> None:
    """No match gives a frame that the code for matches can use unchanged."""
    frame = frame_of([], columns)
    assert len(frame) == 0
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {c.name: c.dtype for c in columns}


def test_row_without_attributes_has_the_same_dtypes() -> None:
    """Absent and empty attributes are missing, and change no type."""
    frame = frame_of([{}, {column.tag: {"vr": column.vr} for column in COLUMNS}], COLUMNS)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {c.name: c.dtype for c in COLUMNS}
    for column in COLUMNS:
        cells = frame[column.name].tolist()
        if column.is_multiple:
            assert cells == [(), ()]
        elif column.vr == "SQ":
            assert cells == [[], []]
        elif column.name != "PixelData":
            assert frame[column.name].isna().all()


def test_values_have_the_type_of_their_vr() -> None:
    """One row with a value of each kind."""
    frame = frame_of(
        [
            row(
                StudyDate="20040119",
                StudyTime="072730.5",
                AcquisitionDateTime="20040119072730+0100",
                InstanceNumber=7,
                Rows=512,
                SliceThickness=2.5,
                PatientName={"Alphabetic": "Doe^Jane"},
                PatientID="007",
                ImageType=["ORIGINAL", "PRIMARY"],
                PixelSpacing=[0.5, "0.25"],
                RequestAttributesSequence=[{"00400009": {"vr": "SH", "Value": ["A"]}}],
                OtherPatientNames=[{"Alphabetic": "A"}, None],
                FrameIncrementPointer=["00181063"],
            )
        ],
        COLUMNS,
    )
    first = frame.iloc[0]
    assert first.StudyDate == pd.Timestamp("2004-01-19")
    assert first.StudyTime == pd.Timedelta(hours=7, minutes=27, seconds=30.5)
    assert first.AcquisitionDateTime == pd.Timestamp("2004-01-19 06:27:30", tz="UTC")
    assert first.InstanceNumber == 7
    assert first.SliceThickness == 2.5
    assert first.PatientName == "Doe^Jane"
    assert first.PatientID == "007"
    assert first.ImageType == ("ORIGINAL", "PRIMARY")
    assert first.PixelSpacing == (0.5, 0.25)
    assert first.RequestAttributesSequence == [{"00400009": {"vr": "SH", "Value": ["A"]}}]
    assert first.OtherPatientNames == ("A", None)
    assert first.FrameIncrementPointer == ("00181063",)


def test_date_and_time_make_the_moment() -> None:
    """StudyDate + StudyTime is the moment of the study, since a time is a Timedelta."""
    frame = frame_of([row(StudyDate="20040119", StudyTime="0727")], COLUMNS)
    assert (frame.StudyDate + frame.StudyTime).iloc[0] == pd.Timestamp("2004-01-19 07:27")


def test_single_value_where_several_are_allowed_is_a_tuple() -> None:
    """The VM of the dictionary decides, not the number of values that came."""
    assert frame_of([row(ImageType="ORIGINAL")], COLUMNS).ImageType.iloc[0] == ("ORIGINAL",)


def test_lists_of_items_of_one_length_stay_lists() -> None:
    """numpy would make a matrix of them."""
    rows = [row(RequestAttributesSequence=[{}, {}]), row(RequestAttributesSequence=[{}, {}])]
    assert frame_of(rows, COLUMNS).RequestAttributesSequence.tolist() == [[{}, {}], [{}, {}]]


def test_bulk_keeps_its_reference() -> None:
    """A cell of a bulk VR is the element, for its value is elsewhere."""
    element = {"vr": "OW", "BulkDataURI": "http://x/bulkdata/7FE00010"}
    assert frame_of([{"7FE00010": element}], COLUMNS).PixelData.iloc[0] == element


def test_private_element_of_any_form_is_kept() -> None:
    """Nothing is known of its VR: values, and an inline binary, come as they are."""
    column = attribute("00091010")
    rows = [{"00091010": {"vr": "UN", "InlineBinary": "AAA="}}, {"00091010": {"vr": "LO", "Value": ["a"]}}, {}]
    cells = frame_of(rows, [column])["Tag_00091010"].tolist()
    assert cells == [({"vr": "UN", "InlineBinary": "AAA="},), ("a",), ()]


@pytest.mark.parametrize(
    ("keyword", "good", "bad"),
    [
        ("StudyDate", "20040119", "19th of January"),
        ("StudyTime", "07", "99"),
        ("AcquisitionDateTime", "2004", "soon"),
        ("InstanceNumber", 1, "one"),
        ("InstanceNumber", 1, 2**63),
        ("InstanceNumber", 1, [1, 2]),
        ("Rows", 1, {"x": 1}),
        ("SliceThickness", 1.5, "thick"),
        ("PatientID", "a", {"x": 1}),
        ("PixelSpacing", [0.5, 0.5], ["wide", 0.5]),
    ],
)
def test_value_that_breaks_its_vr_is_missing_and_told(keyword: str, good: Any, bad: Any) -> None:
    """The warning names column and count, and no value; the type of the column stays."""
    with pytest.warns(LenientValueWarning, match=rf"^{keyword}: 1 of 3 values break the rules") as caught:
        frame = frame_of([row(**{keyword: good}), row(**{keyword: bad}), {}], COLUMNS)
    assert str(frame[keyword].dtype) == attribute(tag_of(keyword)).dtype
    if keyword == "PixelSpacing":
        assert frame[keyword].tolist() == [(0.5, 0.5), (None, 0.5), ()]
    else:
        assert frame[keyword].isna().tolist() == [False, True, True]
    assert len(caught) == 1
    assert str(bad) not in str(caught[0].message)


def test_empty_text_among_several_values_makes_up_for_no_wrong_one() -> None:
    """It is a value of a text, and is not counted as one that is missing."""
    rows = [row(ImageType=[1]), row(ImageType=[""]), row(PixelSpacing=["", None])]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert frame_of(rows, COLUMNS).ImageType.tolist() == [("1",), ("",), ()]
    with pytest.warns(LenientValueWarning, match="^ImageType: 1 of 2 values"):
        frame_of([row(ImageType=["", {}]), row(ImageType=[""])], COLUMNS)


def test_several_texts_where_one_is_allowed_are_kept_as_dicom_writes_them() -> None:
    """Text has a form for several values, so nothing is lost."""
    frame = frame_of([row(PatientID=["a", "b"])], COLUMNS)
    assert frame.PatientID.iloc[0] == "a\\b"


ODD_VALUES = st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.booleans(), st.just({}), st.just([]))
ODD_ELEMENTS = st.one_of(
    st.none(),
    st.integers(),
    st.fixed_dictionaries(
        {"vr": st.just("XX")}, optional={"Value": st.one_of(st.none(), st.text(), st.lists(ODD_VALUES))}
    ),
)


@given(st.lists(st.dictionaries(st.sampled_from([column.tag for column in COLUMNS]), ODD_ELEMENTS), max_size=4))
@pytest.mark.filterwarnings("ignore::dicomkit.errors.LenientValueWarning")
def test_no_json_changes_a_type_or_ends_in_an_error(rows: list[dict[str, Any]]) -> None:
    """Whatever a server sends, a frame of the promised columns and dtypes comes back."""
    frame = frame_of(rows, COLUMNS)
    assert len(frame) == len(rows)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {c.name: c.dtype for c in COLUMNS}


@pytest.mark.parametrize("portion", [1, 5, 20_000])
def test_pages_change_nothing(monkeypatch: pytest.MonkeyPatch, portion: int) -> None:
    """A frame built from pages is the frame of all rows, whenever the cells become arrays."""
    monkeypatch.setattr(dicom_json, "PORTION", portion)
    rows = [row(StudyDate=f"200401{day:02d}", PatientID=str(day), ImageType=["A"] * (day % 3)) for day in range(1, 30)]
    whole = frame_of(rows, COLUMNS)
    for size in (1, 2, 7, 100):
        builder = ColumnBuilder(COLUMNS)
        for at in range(0, len(rows), size):
            builder.extend(rows[at : at + size])
        pd.testing.assert_frame_equal(builder.frame(), whole)


@pytest.mark.parametrize("portion", [1, 20_000])
def test_all_fields_come_behind_in_the_order_of_their_tags(monkeypatch: pytest.MonkeyPatch, portion: int) -> None:
    """Attributes that a later page brings get a column, and rows before it are missing there."""
    monkeypatch.setattr(dicom_json, "PORTION", portion)
    builder = ColumnBuilder(search_columns("study"), all_fields=True)
    builder.extend([row(StudyDescription="later tag", PatientID="1")])
    builder.extend([row(InstitutionName="earlier tag", PatientID="2", AcquisitionDateTime="2004")])
    frame = builder.frame()
    assert list(frame.columns)[len(STUDIES) :] == ["AcquisitionDateTime", "InstitutionName", "StudyDescription"]
    assert frame.InstitutionName.isna().tolist() == [True, False]


WHEEL = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))


def _json_rows() -> list[tuple[pydicom.Dataset, dict[str, Any]]]:
    found = []
    with pydicom.config.disable_value_validation():
        for path in WHEEL:
            try:
                dataset = pydicom.dcmread(path, stop_before_pixels=True)
                found.append((dataset, json.loads(json.dumps(dataset.to_json_dict(0)))))
            except Exception:  # noqa: BLE001 - files that pydicom itself does not read are the reader's subject
                continue
    return found


@pytest.mark.filterwarnings("ignore")
def test_columns_hold_what_pydicom_reads_from_real_files() -> None:
    """For the files of pydicom's wheel, each cell of a frame is pydicom's own value of the element."""
    pairs = _json_rows()
    assert len(pairs) > 40
    keywords = "PatientName PatientID StudyDate StudyTime InstanceNumber SliceThickness Rows SOPInstanceUID ImageType"
    frame = frame_of([row for _, row in pairs], [attribute(tag_of(keyword)) for keyword in keywords.split()])
    for (dataset, _), cells in zip(pairs, frame.itertuples(), strict=True):
        assert _text(dataset.get("PatientName")) == _na(cells.PatientName)
        assert _text(dataset.get("PatientID")) == _na(cells.PatientID)
        assert _text(dataset.get("SOPInstanceUID")) == _na(cells.SOPInstanceUID)
        assert tuple(_values(dataset.get("ImageType"))) == cells.ImageType
        for keyword in ("Rows", "InstanceNumber", "SliceThickness"):
            want = dataset.get(keyword)
            got = getattr(cells, keyword)
            assert (want in (None, "")) == bool(pd.isna(got))
            if want not in (None, ""):
                assert float(want) == float(got)
        if dataset.get("StudyDate"):
            assert cells.StudyDate.strftime("%Y%m%d") == dataset.StudyDate.replace(".", "")
        if dataset.get("StudyTime"):
            read = pydicom.valuerep.TM(dataset.StudyTime.replace(":", ""))  # ACR-NEMA wrote it with colons
            assert read is not None
            assert cells.StudyTime == pd.Timedelta(
                hours=read.hour, minutes=read.minute, seconds=read.second, microseconds=read.microsecond
            )


def _text(value: Any) -> str | None:
    return str(value) or None if value is not None else None


def _na(value: Any) -> str | None:
    return None if pd.isna(value) else value


def _values(value: Any) -> list[str]:
    if value in (None, ""):
        return []
    return [value] if isinstance(value, str) else list(value)


def test_dates_beyond_nanoseconds_are_held() -> None:
    """The years 1 to 9999 are legal in DA; nanoseconds since 1970 end in 2262."""
    frame = frame_of([row(StudyDate="00010101"), row(StudyDate="99991231")], COLUMNS)
    assert frame.StudyDate.to_numpy().tolist() == np.array(["0001-01-01", "9999-12-31"], dtype="M8[us]").tolist()
