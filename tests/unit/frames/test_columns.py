"""The column tables: they agree with the data dictionary and with the conformance statement."""

from __future__ import annotations

import pytest
from pydicom.datadict import dictionary_VM, dictionary_VR

from dicomkit.dicom.attributes import DEFAULTS, UIDS, levels_down_to
from dicomkit.dicom.dictionary import tag_of
from dicomkit.frames import (
    IAM,
    INSTANCES,
    METRICS,
    SERIES,
    STORES,
    STREAMS,
    STUDIES,
    UPLOAD,
    attribute,
    search_columns,
)
from dicomkit.frames.columns import Column

TABLES = {"study": STUDIES, "series": SERIES, "instance": INSTANCES}


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_search_table_has_what_a_search_returns(level: str) -> None:
    """A frame has a column for each attribute that comes unasked, those of the levels above included, and all UIDs."""
    above = levels_down_to(level)  # type: ignore[arg-type]
    expected = {keyword for each in above for keyword in DEFAULTS[each]} | set(UIDS[: len(above)])
    assert {column.name for column in TABLES[level]} == expected


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_unique_keys_come_first(level: str) -> None:
    """The UIDs of the level and of those above lead every row."""
    count = len(levels_down_to(level))  # type: ignore[arg-type]
    assert [column.name for column in TABLES[level]][:count] == list(UIDS[:count])


@pytest.mark.parametrize(
    "column", [*IAM, *INSTANCES, *METRICS, *STORES, *STREAMS, *UPLOAD], ids=lambda column: column.name
)
def test_every_column_says_what_it_holds(column: Column) -> None:
    """A column of a table has a dtype and one line for its reader."""
    assert column.dtype
    assert column.line.endswith(".")
    assert "\n" not in column.line


@pytest.mark.parametrize(
    ("keyword", "dtype", "is_multiple"),
    [
        ("StudyDate", "datetime64[us]", False),
        ("StudyTime", "timedelta64[us]", False),
        ("AcquisitionDateTime", "datetime64[us, UTC]", False),
        ("InstanceNumber", "Int64", False),
        ("Rows", "Int64", False),
        ("SmallestImagePixelValue", "Int64", False),
        ("SliceThickness", "Float64", False),
        ("RecommendedDisplayFrameRateInFloat", "Float64", False),
        ("PatientName", "str", False),
        ("FrameIncrementPointer", "object", True),
        ("SOPInstanceUID", "str", False),
        ("ImageType", "object", True),
        ("PixelSpacing", "object", True),
        ("RequestAttributesSequence", "object", False),
        ("PixelData", "object", False),
    ],
)
def test_type_follows_the_dictionary(keyword: str, dtype: str, is_multiple: bool) -> None:
    """VR and VM of PS3.6 choose the dtype; pydicom's dictionary is the witness for both."""
    column = attribute(tag_of(keyword)) if keyword != "RecommendedDisplayFrameRateInFloat" else attribute("00089459")
    assert (column.dtype, column.is_multiple) == (dtype, is_multiple)
    assert column.vr in dictionary_VR(int(column.tag, 16))
    assert is_multiple == (dictionary_VM(int(column.tag, 16)) != "1" and column.vr != "SQ")


def test_private_attribute_is_named_as_in_the_table() -> None:
    """A frame of a search and one of a query call it alike."""
    column = attribute("00091010")
    assert (column.name, column.dtype, column.is_multiple) == ("Tag_00091010", "object", True)


def test_groups_of_a_repeating_group_have_names_of_their_own() -> None:
    """OverlayRows of the groups 6000 and 6002 are two columns."""
    assert attribute("60000010").name == "OverlayRows"
    assert attribute("60020010").name == "OverlayRows_6002"


def test_fields_follow_the_level_and_never_repeat() -> None:
    """Columns of the level keep their order; what is asked for comes behind, once."""
    fields = (tag_of("StudyDescription"), tag_of("PatientID"), "all", tag_of("StudyDescription"))
    columns = search_columns("study", fields)
    assert columns[: len(STUDIES)] == STUDIES
    assert [column.name for column in columns[len(STUDIES) :]] == ["StudyDescription"]
