"""A table that the Cloud Healthcare API wrote: its whole schema, and five of its rows.

``tests/data/published_columns.tsv`` and ``published_rows.json`` say where they come from.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, FileMetaDataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import UID

from dicomkit.bigquery.row import build_row
from dicomkit.bigquery.schema import schema_for
from dicomkit.dicom.reader import read_part10
from scripts.schema_report import REASONS, Published, compare, published_columns, report
from tests.unit.bigquery.checker import row_errors

DATA = Path(__file__).parents[2] / "data"
ROWS: list[dict[str, Any]] = json.loads((DATA / "published_rows.json").read_text(encoding="utf-8"))["rows"]
FIXED = ("OtherElements", "DroppedTags", "Type", "LastUpdated", "StorageClass", "BlobStorageSize")
NEW_KEYWORDS = {"Tag_00080017": "AcquisitionUID", "Tag_00080019": "PyramidUID"}
"""Attributes that the service's dictionary did not have when the rows were written; they have columns now."""


def named(columns: list[Published], *names: str) -> Published:
    column = next(column for column in columns if column.name == names[0])
    return named(column.fields, *names[1:]) if names[1:] else column


def test_every_published_column_is_ours_but_for_the_explained_ones() -> None:
    """Name, type, mode and place of 2,201 columns on eleven levels; the one that differs has its reason."""
    found = compare(published_columns())
    assert found.unexplained == []
    assert [path for path, *_ in found.differences] == list(REASONS)
    assert found.compared.total() == 2201
    assert found.levels[0] == 854
    assert max(found.levels) == 10
    assert found.tags == 813


def test_proof_does_not_rest_on_what_was_derived_by_the_rule() -> None:
    """Columns whose type the file got from the rule under test are counted apart, and are few."""
    found = compare(published_columns())
    assert (found.compared["published"], found.equal["published"]) == (2070, 2069)
    assert found.compared["rule"] == 124
    assert len(found.unpublished) == 25


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (("PatientSize",), {"type": "FLOAT"}),
        (("ImageType",), {"mode": "NULLABLE"}),
        (("PatientID",), {"name": "patient_id"}),
        (("PatientName", "Phonetic", "NameSuffix"), {"type": "INTEGER"}),
        (("OverlayOrigin", "Value"), {"mode": "NULLABLE"}),
        (("VOILUTSequence", "LUTDescriptor"), {"type": "STRING"}),
        (("StudyDate",), {"tag": "00080021"}),
        (("DroppedTags", "TagName"), {"mode": "REPEATED"}),
    ],
)
def test_report_sees_a_wrong_column(path: tuple[str, ...], change: dict[str, str]) -> None:
    """A comparison that could not fail would prove nothing: one fact altered is one difference without a reason."""
    columns = published_columns()
    column = named(columns, *path)
    for name, value in change.items():
        setattr(column, name, value)
    found = compare(columns)
    assert set(found.unexplained) == {".".join((*path[:-1], column.name))}
    assert list(report(found))[-1] != "without a reason: 0"


def test_report_sees_another_order() -> None:
    """Columns that changed places are told, with the record in which they are."""
    columns = published_columns()
    fields = named(columns, "DimensionIndexSequence").fields
    fields[0], fields[1] = fields[1], fields[0]
    assert compare(columns).unexplained == ["DimensionIndexSequence"]


# From a row back to the file it was made of, by pydicom's dictionary and without a line of the package.


def _element_value(vr: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_element_value(vr, one) for one in value]
    if vr == "SQ":
        return _dataset(value)
    if vr == "PN":
        return value["Alphabetic"]["FamilyName"]
    if vr in ("DA", "TM"):
        return value.replace("-", "").replace(":", "")
    if vr == "DT":
        return (datetime(1970, 1, 1) + timedelta(microseconds=value)).strftime("%Y%m%d%H%M%S.%f")
    return value


def _dataset(cells: dict[str, Any]) -> Dataset:
    dataset = Dataset()
    for name, value in cells.items():
        if name not in FIXED:
            tag = tag_for_keyword(name)
            assert tag is not None, name
            dataset.add_new(tag, dictionary_VR(tag), _element_value(dictionary_VR(tag), value))
    for other in cells.get("OtherElements", ()):
        tag = Tag(int(other["Tag"][4:], 16))
        # Which VR a private element had is lost; its text is that of a long string.
        dataset.add_new(tag, "LO" if tag.is_private else dictionary_VR(tag), other["Data"])
    return dataset


def _file(row: dict[str, Any]) -> bytes:
    """A Part 10 file from which the service could have made *row*."""
    syntax = UID(row["TransferSyntaxUID"])
    meta = {name: value for name, value in row.items() if (tag_for_keyword(name) or 0x10000000) < 0x00030000}
    dataset = _dataset({name: value for name, value in row.items() if name not in meta})
    dataset.file_meta = FileMetaDataset(_dataset(meta))
    assert [entry["TagName"] for entry in row["DroppedTags"]] == ["PixelData"]
    dataset.add_new(0x7FE00010, "OB", encapsulate([b"\xff\xd8\xff\xd9"]) if syntax.is_compressed else bytes(4))
    out = BytesIO()
    dataset.save_as(out, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return out.getvalue()


def _filled(value: Any) -> Any:
    """*value* without what is empty: the published rows have every column of the table, ours have their own."""
    if isinstance(value, dict):
        filled = {name: _filled(inside) for name, inside in value.items()}
        return {name: inside for name, inside in filled.items() if inside not in (None, [], {})}
    return [_filled(one) for one in value] if isinstance(value, list) else value


def _timestamps(value: Any, name: str = "") -> Any:
    """*value* with microseconds since 1970 as the text that ``insertAll`` takes."""
    if isinstance(value, dict):
        return {key: _timestamps(inside, key) for key, inside in value.items()}
    if isinstance(value, list):
        return [_timestamps(one, name) for one in value]
    if isinstance(value, int) and name.endswith(("DateTime", "LastUpdated")):
        return (datetime(1970, 1, 1) + timedelta(microseconds=value)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value


def _expected(row: dict[str, Any]) -> dict[str, Any]:
    expected: dict[str, Any] = _timestamps(row)
    others = {entry["Tag"]: entry["Data"] for entry in expected["OtherElements"]}
    for tag, keyword in NEW_KEYWORDS.items():
        (expected[keyword],) = others.pop(tag)
    return expected | {"OtherElements": others}


@pytest.mark.parametrize("published", ROWS, ids=[f"slide-{number}" for number in range(len(ROWS))])
def test_published_rows_come_out_of_our_builder_value_by_value(published: dict[str, Any]) -> None:
    """A file with the row's attributes, read by our reader, gives the row that the service wrote."""
    part10 = read_part10(_file(published))
    built = build_row(
        part10.meta,
        part10.elements,
        dropped=part10.dropped,
        event=published["Type"],
        last_updated=datetime.fromtimestamp(0, UTC) + timedelta(microseconds=published["LastUpdated"]),
        storage_class=published["StorageClass"],
        blob_size=published["BlobStorageSize"],
    )
    assert row_errors(built, schema_for(built)) == []
    ours = _filled(built)
    # Their order is not known to mean anything.
    ours["OtherElements"] = {entry["Tag"]: entry["Data"] for entry in built["OtherElements"]}
    assert ours == _expected(published)
    assert len(ours) > 85


def test_the_rows_have_every_kind_of_column() -> None:
    """What the five rows show: all types, several values, and a name that does not fit its column."""
    kinds = {(column.type, column.mode) for column in published_columns() if any(column.name in row for row in ROWS)}
    assert {kind for kind, _ in kinds} == {"STRING", "INTEGER", "FLOAT", "DATE", "TIME", "TIMESTAMP", "RECORD"}
    assert ("INTEGER", "REPEATED") in kinds
    assert all({"Tag": "Tag_00080090", "Data": ["^^^^"]} in row["OtherElements"] for row in ROWS)
