"""Streams of columns, written here by pyarrow from rows, against the frames of those rows."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Sequence
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dicomkit.dicom.dictionary import tag_of
from dicomkit.errors import ApiError, DeadlineExceeded, DicomFormatError, LenientValueWarning, to_body
from dicomkit.frames import SERIES, ColumnBuilder, attribute, frame_of
from dicomkit.frames.element_stream import extend_from_stream

KEYWORDS = (
    "StudyInstanceUID SeriesInstanceUID StudyDate StudyTime AcquisitionDateTime InstanceNumber SliceThickness "
    "PatientName PatientID ImageType PixelSpacing RequestAttributesSequence OtherPatientNames PixelData "
    "FrameIncrementPointer SmallestImagePixelValue ScheduledProcedureStepStartDate SimpleFrameList"
).split()
COLUMNS = (*(attribute(tag_of(keyword)) for keyword in KEYWORDS), attribute("00091010"))
TIMEZONE = tag_of("TimezoneOffsetFromUTC")
STUDY, SERIES_UID = tag_of("StudyInstanceUID"), tag_of("SeriesInstanceUID")

Rows = Sequence[dict[str, Any]]


def row(**values: Any) -> dict[str, Any]:
    """A search result with these attributes; a value that is no list stands alone."""
    found = {attribute(tag_of(keyword)): value for keyword, value in values.items()}
    return {c.tag: {"vr": c.vr, "Value": v if isinstance(v, list) else [v]} for c, v in found.items()}


def stream(rows: Rows, size: int = 2, end: dict[str, str] | None = None, without: Sequence[str] = ()) -> bytes:
    """The stream of *rows*, *size* in a record batch, with all attributes of ``COLUMNS`` but *without*."""
    tags = sorted({*(column.tag for column in COLUMNS), TIMEZONE}.difference(without))
    schema = pa.schema([(tag, pa.dictionary(pa.int32(), pa.string())) for tag in tags])
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        for at in [*range(0, len(rows), size), None]:
            some = [] if at is None else rows[at : at + size]
            cells = [[json.dumps(row[tag]) if tag in row else None for row in some] for tag in tags]
            arrays = [pa.array(column, pa.string()).dictionary_encode() for column in cells]
            batch = pa.record_batch(arrays, schema=schema)
            if at is None:
                writer.write_batch(batch, custom_metadata={"complete": "true"} if end is None else end)
            else:
                writer.write_batch(batch)
    return sink.getvalue()


def frame(data: bytes, columns: Sequence[Any] = COLUMNS, begin: Rows = (), **arguments: Any) -> tuple[Any, bool]:
    """The frame of a stream, and whether it is whole."""
    builder = ColumnBuilder(columns)
    if begin:
        builder.extend(begin)
    is_all = extend_from_stream(builder, io.BytesIO(data), **arguments)
    return builder.frame(), is_all


GOOD = [
    row(StudyInstanceUID="1.2", SeriesInstanceUID=f"1.2.{n}", StudyDate="20240131", StudyTime="1030", InstanceNumber=n)
    | row(PatientName=[{"Alphabetic": "Doe^Jane", "Ideographic": "山田"}], PatientID="P", SliceThickness=1.5)
    | row(ImageType=["A", "B"], PixelSpacing=[0.5, n], RequestAttributesSequence=[{"00400009": {"vr": "SH"}}])
    | {"00091010": {"vr": "UN", "InlineBinary": "AAA="}, "7FE00010": {"vr": "OW", "BulkDataURI": "b/7FE00010"}}
    | row(AcquisitionDateTime="20240131103000", ScheduledProcedureStepStartDate="20240201")
    | {TIMEZONE: {"vr": "SH", "Value": [f"+0{n % 3}00"]}}
    for n in range(7)
]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_frame_is_that_of_the_rows(size: int) -> None:
    """Whatever the size of the batches, and where a part of the rows came as JSON before."""
    whole = frame_of(GOOD, COLUMNS)
    for begun in (0, 3):
        found, is_all = frame(stream(GOOD[begun:], size), begin=GOOD[:begun])
        assert is_all
        pd.testing.assert_frame_equal(found, whole)


def test_stream_without_rows_is_an_empty_frame() -> None:
    """With the columns and dtypes of any other."""
    found, is_all = frame(stream([]))
    assert is_all
    pd.testing.assert_frame_equal(found, frame_of([], COLUMNS))


def test_attribute_that_the_stream_does_not_have_is_missing() -> None:
    """A server may know fewer attributes than are asked for."""
    found, _ = frame(stream(GOOD, without=[tag_of("PatientName"), tag_of("ImageType"), TIMEZONE]))
    rows = [{tag: e for tag, e in r.items() if tag not in (tag_of("PatientName"), tag_of("ImageType"))} for r in GOOD]
    for each in rows:
        del each[TIMEZONE]
    pd.testing.assert_frame_equal(found, frame_of(rows, COLUMNS))


ODD_NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
ODD_VALUES = st.one_of(st.none(), st.text(st.characters(codec="utf-8")), ODD_NUMBERS, st.booleans(), st.just({}))
NEARLY = st.sampled_from(["20240131", "2024013", "1030", "1.5", 1, 1.0, -1, 2**63, "", None, {"Alphabetic": "A"}, [1]])
ODD_ELEMENTS = st.one_of(
    st.none(),
    st.integers(),
    st.fixed_dictionaries(
        {"vr": st.just("XX")}, optional={"Value": st.one_of(st.none(), st.text(), st.lists(ODD_VALUES | NEARLY))}
    ),
    st.fixed_dictionaries({"vr": st.just("XX"), "Value": st.lists(NEARLY, min_size=1, max_size=1)}),
)
ODD_ROWS = st.lists(
    st.dictionaries(st.sampled_from([*(column.tag for column in COLUMNS), TIMEZONE]), ODD_ELEMENTS), max_size=6
)


BEYOND_64_BITS = [{"00280106": {"vr": "US", "Value": [value]}} for value in (1, 2**63)]


@example([{}, {}, *BEYOND_64_BITS], 2)  # numpy warned of the cast that goes wrong
@given(ODD_ROWS, st.integers(1, 4))
def test_any_rows_give_the_same_frame_and_the_same_warnings(rows: list[dict[str, Any]], size: int) -> None:
    """Values that break their VR are left out and counted row by row, however many rows share them."""
    rows = orjson.loads(json.dumps(rows))
    results = []
    for make in (lambda: frame_of(rows, COLUMNS), lambda: frame(stream(rows, size))[0]):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            results.append((make(), [str(warning.message) for warning in caught]))
    assert results[0][1] == results[1][1]
    pd.testing.assert_frame_equal(results[0][0], results[1][0])


def test_values_left_out_are_counted_for_each_row() -> None:
    """One wrong value that three rows share counts three times."""
    with pytest.warns(LenientValueWarning, match="^StudyDate: 3 of 4 values"):
        frame(stream([row(StudyDate="soon")] * 3 + [{}], 4))


@pytest.mark.parametrize("keyword", ["RequestAttributesSequence", "PixelData", "Tag_00091010"])
def test_rows_share_no_cell_that_can_be_changed(keyword: str) -> None:
    """Who changes the items of one row does not change them in others."""
    found, _ = frame(stream([GOOD[0]] * 3, 3))
    cells = found[keyword].tolist()
    assert cells[0] == cells[1] == cells[2]
    inner = [cell[0] if isinstance(cell, tuple) else cell for cell in cells]
    assert len({id(cell) for cell in inner}) == 3
    empty, _ = frame(stream([{}, {}], 2))
    assert len({id(cell) for cell in empty.RequestAttributesSequence}) == 2


def test_known_rows_are_left_out() -> None:
    """By their whole key: another series of a known study is new."""
    known = {("1.2", "1.2.1"), ("9.9", "1.2.2"), ("1.2", "1.2.6")}
    found, is_all = frame(stream(GOOD, 3), key=(STUDY, SERIES_UID), known=known)
    assert is_all
    assert found.SeriesInstanceUID.tolist() == ["1.2.0", "1.2.2", "1.2.3", "1.2.4", "1.2.5"]


@pytest.mark.parametrize(("most", "is_all"), [(0, False), (1, False), (3, False), (6, False), (7, True), (8, True)])
def test_as_many_as_are_wanted_are_taken(most: int, is_all: bool) -> None:
    """And whether there are more is told."""
    found, told = frame(stream(GOOD, 3), most=most)
    assert found.SeriesInstanceUID.tolist() == [f"1.2.{n}" for n in range(7)][:most]
    assert told is is_all


def test_stream_that_was_cut_is_an_error_wherever_it_was() -> None:
    """And never a frame with fewer rows; between two record batches it looks whole to Arrow."""
    data = stream(GOOD[:2], 1, without=[column.tag for column in COLUMNS[2:]])
    end = data.rindex(b"complete")
    for length in range(end):
        with pytest.raises(DicomFormatError):
            frame(data[:length])


def test_stream_that_ends_with_an_error_raises_it() -> None:
    """With the class, the code and the text that the server gave it."""
    error = DeadlineExceeded("the search was stopped")
    with pytest.raises(DeadlineExceeded) as caught:
        frame(stream(GOOD, end={"error": json.dumps(to_body(error))}))
    assert caught.value == error


def test_stream_whose_end_says_nothing_is_an_error() -> None:
    """Other metadata is not the end."""
    with pytest.raises(DicomFormatError):
        frame(stream(GOOD, end={"more": "true"}))


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_bytes_that_were_changed_are_an_error_or_only_other_values(at: int, by: int) -> None:
    """No byte of a stream makes a process end, or another error come up."""
    data = bytearray(stream(GOOD[:2], 2))
    data[at % len(data)] ^= by
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found, _ = frame(bytes(data))
        except (DicomFormatError, ApiError):
            return
    assert list(found.dtypes.astype(str)) == [column.dtype for column in COLUMNS]


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.int64(), pa.dictionary(pa.int32(), pa.int64()), pa.struct([("vr", pa.string())])],
    ids=str,
)
def test_columns_of_another_kind_are_refused(kind: pa.DataType) -> None:
    """The type is that of any Arrow stream, and not every one is a search."""
    sink = io.BytesIO()
    schema = pa.schema([("00100020", kind)])
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch([pa.nulls(1, kind)], schema=schema), custom_metadata={"complete": "true"})
    with pytest.raises(DicomFormatError, match="another kind"):
        frame(sink.getvalue(), SERIES)


@pytest.mark.parametrize("text", ["1,2", "", "{", 'nul"', None])
def test_cells_that_are_not_one_element_each_are_refused(text: str | None) -> None:
    """A cell that is two would move all that follow."""
    sink = io.BytesIO()
    values = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), pa.array([text], pa.string()))
    with pa.ipc.new_stream(sink, pa.schema([("00100020", values.type)])) as writer:
        writer.write_batch(pa.record_batch([values], names=["00100020"]))
    with pytest.raises(DicomFormatError):
        frame(sink.getvalue(), SERIES)
