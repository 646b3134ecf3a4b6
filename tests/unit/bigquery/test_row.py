"""The row of one instance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest

from dicomkit.bigquery.columns import MAX_NESTING
from dicomkit.bigquery.row import build_json_row, build_row
from dicomkit.bigquery.schema import index_of, schema_for, unknown_fields
from dicomkit.dicom.dictionary import tag_of
from tests.unit.bigquery.checker import row_errors, schema_errors

NOW = datetime(2023, 11, 14, 3, 36, 15, 184608, tzinfo=UTC)
FACTS: dict[str, Any] = {"event": "CREATE", "last_updated": NOW, "storage_class": "STANDARD", "blob_size": 485929222}
FIXED = {"OtherElements", "DroppedTags", "Type", "LastUpdated", "StorageClass", "BlobStorageSize"}


def element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def row(elements: dict[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Row of a dataset given by keywords or tags; checked against what BigQuery takes."""
    tagged = {name if len(name) == 8 and name[3].isdigit() else tag_of(name): e for name, e in elements.items()}
    built = build_row({}, dict(sorted(tagged.items())), **(FACTS | more))
    fields = schema_for(built)
    assert schema_errors(fields) == []
    assert row_errors(built, fields) == []
    assert not unknown_fields(built, index_of(fields))
    return built


def attributes(built: dict[str, Any]) -> dict[str, Any]:
    """The columns that come from elements."""
    return {name: value for name, value in built.items() if name not in FIXED}


def test_row_is_the_published_one() -> None:
    """The shortened row of a real slide that the service wrote (Imaging Data Commons, idc_v17.dicom_metadata)."""
    built = row(
        {
            "ImageType": element("CS", "DERIVED", "PRIMARY", "VOLUME", "NONE"),
            "InstanceCreationDate": element("DA", "20220620"),
            "InstanceCreationTime": element("TM", "033935"),
            "AcquisitionDateTime": element("DT", "20180427202725"),
            "TimezoneOffsetFromUTC": element("SH", "-0400"),
            "ReferringPhysicianName": element("PN", {"Alphabetic": "^^^^"}),
            "PatientName": element("PN", {"Alphabetic": "C3N-01088"}),
            "PatientAge": element("AS", "076Y"),
            "00131010": element("LO", "CPTAC-CCRCC"),
            "00090010": element("LO", "PixelMed Publishing"),
            "SeriesNumber": element("IS", "1"),
            "SamplesPerPixel": element("US", 3),
            "NumberOfFrames": element("IS", "35100"),
            "ImagedVolumeWidth": element("FL", 26.579559326171875),
            "LossyImageCompressionRatio": element("DS", "12.715"),
            "DimensionIndexSequence": element("SQ", {tag_of("DimensionIndexPointer"): element("AT", "0048021F")}),
            "PixelData": {"vr": "OB", "BulkDataURI": "7FE00010"},
        }
    )
    assert built == {
        "ImageType": ["DERIVED", "PRIMARY", "VOLUME", "NONE"],
        "InstanceCreationDate": "2022-06-20",
        "InstanceCreationTime": "03:39:35",
        "AcquisitionDateTime": "2018-04-28T00:27:25.000000Z",
        "TimezoneOffsetFromUTC": "-0400",
        "ReferringPhysicianName": None,
        "PatientName": {"Alphabetic": {"FamilyName": "C3N-01088"}},
        "PatientAge": "076Y",
        "SeriesNumber": "1",
        "SamplesPerPixel": 3,
        "NumberOfFrames": "35100",
        "ImagedVolumeWidth": 26.579559326171875,
        "LossyImageCompressionRatio": ["12.715"],
        "DimensionIndexSequence": [{"DimensionIndexPointer": 4719135}],
        "OtherElements": [
            {"Tag": "Tag_00080090", "Data": ["^^^^"]},
            {"Tag": "Tag_00090010", "Data": ["PixelMed Publishing"]},
            {"Tag": "Tag_00131010", "Data": ["CPTAC-CCRCC"]},
        ],
        "DroppedTags": [{"TagName": "PixelData", "TagReference": ""}],
        "Type": "CREATE",
        "LastUpdated": "2023-11-14T03:36:15.184608Z",
        "StorageClass": "STANDARD",
        "BlobStorageSize": 485929222,
    }


def test_file_meta_elements_are_columns() -> None:
    """Group 0002 is in the table, without its length and the OB version."""
    meta = {
        "00020000": element("UL", 200),
        "00020001": {"vr": "OB", "InlineBinary": "AAE="},
        "00020002": element("UI", "1.2.840.10008.5.1.4.1.1.2"),
        "00020010": element("UI", "1.2.840.10008.1.2.1"),
    }
    assert attributes(build_row(meta, {}, **FACTS)) == {
        "MediaStorageSOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "TransferSyntaxUID": "1.2.840.10008.1.2.1",
    }


def test_empty_elements_are_in_the_row() -> None:
    """They are NULL or [] there, so that their columns are made."""
    built = row({name: {"vr": "XX"} for name in ("PatientID", "ImageType", "PatientName", "OperatorsName", "Rows")})
    assert attributes(built) == {
        "PatientID": None,
        "ImageType": [],
        "PatientName": None,
        "OperatorsName": [],
        "Rows": None,
    }
    assert attributes(row({"ReferencedImageSequence": {"vr": "SQ"}})) == {"ReferencedImageSequence": []}
    assert built["OtherElements"] == built["DroppedTags"] == []


@pytest.mark.parametrize(
    ("keyword", "value", "null", "data"),
    [
        ("StudyDate", element("DA", "20040231"), None, ["20040231"]),
        ("StudyTime", element("TM", "250000"), None, ["250000"]),
        ("AcquisitionDateTime", element("DT", "yesterday"), None, ["yesterday"]),
        ("DateOfLastCalibration", element("DA", "20040101", "2004"), [], ["20040101", "2004"]),
        ("Rows", element("US", 512, 513), None, ["512", "513"]),
        ("Rows", element("LO", "many"), None, ["many"]),
        ("Manufacturer", element("LO", "A", "B"), None, ["A", "B"]),
        ("TagThickness", element("FD", float("nan")), None, ["NaN"]),
        ("FrameIncrementPointer", element("LO", "x"), [], ["x"]),
        ("ReferencedImageSequence", element("LO", "x"), [], ["x"]),
        ("PatientName", element("PN", {"Alphabetic": "a^b^c^d^e^f"}), None, ["a^b^c^d^e^f"]),
        ("OperatorsName", element("PN", {"Alphabetic": "A^B"}, {"Phonetic": "^"}), [], ["A^B", "==^"]),
    ],
)
def test_what_does_not_fit_is_told_as_text(keyword: str, value: dict[str, Any], null: Any, data: list[str]) -> None:
    """The column is NULL or [], and OtherElements has the raw text of all values."""
    built = row({keyword: value})
    assert attributes(built) == {keyword: null}
    assert built["OtherElements"] == [{"Tag": f"Tag_{tag_of(keyword)}", "Data": data}]
    assert built["DroppedTags"] == []


def test_private_elements_are_others_with_their_creators() -> None:
    """Every VR that has a text is told, binary values are not."""
    built = row(
        {
            "00090010": element("LO", "ACME 1.1"),
            "00091001": element("DS", "1.50", "2"),
            "00091002": element("US", 7),
            "00091003": {"vr": "UN", "InlineBinary": "AAAA"},
            "00091004": {"vr": "OB", "BulkDataURI": "00091004"},
            "00091005": element("PN", {"Alphabetic": "A^B"}),
            "00091006": {"vr": "LO"},
            "00091007": element("AT", "00280010"),
            "00091008": {"vr": "UN"},
            "00091009": element("LO", None, "x"),
            "0009100A": {"vr": "FD", "BulkDataURI": "0009100A"},
            "00080003": element("UI", "1.2"),
        }
    )
    assert attributes(built) == {}
    assert built["OtherElements"] == [
        {"Tag": "Tag_00080003", "Data": ["1.2"]},
        {"Tag": "Tag_00090010", "Data": ["ACME 1.1"]},
        {"Tag": "Tag_00091001", "Data": ["1.50", "2"]},
        {"Tag": "Tag_00091002", "Data": ["7"]},
        {"Tag": "Tag_00091005", "Data": ["A^B"]},
        {"Tag": "Tag_00091006", "Data": []},
        {"Tag": "Tag_00091007", "Data": ["00280010"]},
        {"Tag": "Tag_00091009", "Data": ["", "x"]},
    ]
    assert built["DroppedTags"] == [{"TagName": "Tag_0009100A", "TagReference": ""}]


def test_private_sequences_are_columns_with_others_of_their_own() -> None:
    """Known keywords inside are columns, the rest is OtherElements of that level."""
    item = {"00080060": element("CS", "CT"), "00091112": element("LO", "x"), "00091113": element("SQ", {})}
    built = row({"00091110": element("SQ", item, {}), "00080002": element("SQ", {"00280010": element("US", 1)})})
    assert attributes(built) == {
        "Tag_00080002": [{"Rows": 1}],
        "Tag_00091110": [
            {"Modality": "CT", "Tag_00091113": [{}], "OtherElements": [{"Tag": "Tag_00091112", "Data": ["x"]}]},
            {},
        ],
    }
    assert built["OtherElements"] == []


def test_repeating_groups_are_one_column() -> None:
    """Each group that occurs has an entry with its number; binary ones have no column."""
    built = row(
        {
            "60000010": element("US", 512),
            "60000050": element("SS", 1, 1),
            "60003000": {"vr": "OW", "BulkDataURI": "60003000"},
            "60020010": element("US", 256),
            "60020050": {"vr": "SS"},
            "60040010": element("US", 1, 2),
        }
    )
    assert attributes(built) == {
        "OverlayRows": [{"Id": "6000", "Value": 512}, {"Id": "6002", "Value": 256}, {"Id": "6004", "Value": None}],
        "OverlayOrigin": [{"Id": "6000", "Value": [1, 1]}, {"Id": "6002", "Value": []}],
    }
    assert built["OtherElements"] == [{"Tag": "Tag_60040010", "Data": ["1", "2"]}]


def test_repeating_sequence_is_nested_in_value() -> None:
    """The items of (50xx,2600) are records in Value."""
    item = {tag_of("ReferencedSOPClassUID"): element("UI", "1.2")}
    built = row({"50002600": element("SQ", item), "50022600": {"vr": "SQ"}})
    assert attributes(built) == {
        "CurveReferencedOverlaySequence": [
            {"Id": "5000", "Value": [{"ReferencedSOPClassUID": "1.2"}]},
            {"Id": "5002", "Value": []},
        ]
    }


def test_items_inherit_the_time_zone_or_bring_their_own() -> None:
    """An item's (0008,0201) counts inside it, else that of the dataset around it."""
    date = tag_of("ContributionDateTime")
    inner = {date: element("DT", "20200101120000")}
    other = {tag_of("TimezoneOffsetFromUTC"): element("SH", "+0200")} | inner
    built = row(
        {
            "TimezoneOffsetFromUTC": element("SH", "-0500"),
            "AcquisitionDateTime": element("DT", "20200101120000+0000"),
            "ContributingEquipmentSequence": element("SQ", inner, other),
        }
    )
    assert built["AcquisitionDateTime"] == "2020-01-01T12:00:00.000000Z"
    times = [item["ContributionDateTime"] for item in built["ContributingEquipmentSequence"]]
    assert times == ["2020-01-01T17:00:00.000000Z", "2020-01-01T10:00:00.000000Z"]


def nested(depth: int, leaf: dict[str, Any]) -> dict[str, Any]:
    """*leaf* inside *depth* sequences."""
    for _ in range(depth):
        leaf = {tag_of("ValueType"): element("CS", "CONTAINER"), tag_of("ContentSequence"): element("SQ", leaf)}
    return leaf


LEAF = {
    tag_of("PatientName"): element("PN", {"Alphabetic": "A"}),
    tag_of("PatientID"): element("LO", "1"),
    "00091001": element("LO", "x"),
    "00091002": {"vr": "UN", "InlineBinary": "AA=="},
    tag_of("StudyDate"): element("DA", "?"),
    "60000010": element("US", 1),
}


@pytest.mark.parametrize("depth", range(1, 20))
def test_no_column_has_more_than_fifteen_levels(depth: int) -> None:
    """What needs a deeper RECORD is a dropped tag with the path to it; what needs none stays, to the last level."""
    built = build_row({}, dict(sorted(nested(depth, LEAF).items())), **FACTS)
    fields = schema_for(built)
    assert schema_errors(fields) == []
    assert row_errors(built, fields) == []
    level, record = 0, built
    while record.get("ContentSequence"):
        record, level = record["ContentSequence"][0], level + 1
    assert level == min(depth, MAX_NESTING)
    dropped = {(entry["TagName"], entry["TagReference"].count("ContentSequence")) for entry in built["DroppedTags"]}
    if depth > MAX_NESTING:
        assert dropped == {("ContentSequence", MAX_NESTING)}
        return
    assert record["PatientID"] == "1"
    expected = set()
    if depth + 2 > MAX_NESTING:
        expected.add(("PatientName", depth))
    if depth + 1 > MAX_NESTING:
        expected |= {("Tag_00091001", depth), ("StudyDate", depth), ("OverlayRows", depth)}
    assert dropped == expected
    assert ("PatientName" in record) == (depth + 2 <= MAX_NESTING)
    assert len(record.get("OtherElements", ())) == (0 if depth + 1 > MAX_NESTING else 2)


@pytest.mark.parametrize("leaf", [{}, {"00091001": element("LO", "x")}])
def test_a_sequence_on_the_last_level_needs_a_plain_column(leaf: dict[str, Any]) -> None:
    """No room for OtherElements there: a RECORD without a field cannot be, so the sequence is a dropped tag."""
    for depth in (MAX_NESTING - 1, MAX_NESTING, MAX_NESTING + 1):
        built = build_row({}, nested(depth, leaf), **FACTS)
        fields = schema_for(built)
        assert schema_errors(fields) == []
        assert row_errors(built, fields) == []
        paths = {(entry["TagName"], entry["TagReference"].count(".") + 1) for entry in built["DroppedTags"]}
        assert (("ContentSequence", depth - 1) in paths) == (depth >= MAX_NESTING)


def test_an_empty_sequence_on_the_last_level_is_left_out() -> None:
    """Present but empty and absent look alike; nothing is lost."""
    leaf = {tag_of("ReferencedImageSequence"): {"vr": "SQ"}, "50002600": {"vr": "SQ"}}
    for depth in range(10, MAX_NESTING + 1):
        built = build_row({}, nested(depth, leaf), **FACTS)
        assert schema_errors(schema_for(built)) == []


def test_dropped_tags_are_named_once_with_their_path() -> None:
    """The reader's own list, long arrays and misplaced sequences, each once."""
    long = {"vr": "FD", "BulkDataURI": "x"}
    item = {tag_of("VelocityEncodingDirection"): long}
    built = row(
        {
            "Modality": element("SQ", {}),
            "VelocityEncodingDirection": long,
            "MRVelocityEncodingSequence": element("SQ", item, item),
            "PerFrameFunctionalGroupsSequence": {"vr": "SQ"},
            "PixelData": {"vr": "OW"},
        },
        dropped=["52009230", "00081140/0/00081150", "00091110", "ContentSequence"],
    )
    assert attributes(built) == {
        "Modality": None,
        "VelocityEncodingDirection": [],
        "MRVelocityEncodingSequence": [{"VelocityEncodingDirection": []}] * 2,
        "PerFrameFunctionalGroupsSequence": [],
    }
    assert [(entry["TagName"], entry["TagReference"]) for entry in built["DroppedTags"]] == [
        ("Modality", ""),
        ("VelocityEncodingDirection", ""),
        ("VelocityEncodingDirection", "MRVelocityEncodingSequence"),
        ("PerFrameFunctionalGroupsSequence", ""),
        ("ReferencedSOPClassUID", "ReferencedImageSequence"),
        ("Tag_00091110", ""),
        ("ContentSequence", ""),
    ]


def test_source_store_is_a_column_where_it_is_asked_for() -> None:
    """``includeSourceStore`` adds SourceDicomStore, otherwise the column does not exist."""
    name = "projects/p/locations/l/datasets/d/dicomStores/s"
    assert row({}, source_store=name)["SourceDicomStore"] == name
    assert "SourceDicomStore" not in row({})


def test_last_updated_is_utc() -> None:
    """A time of another zone is moved, one without is refused."""
    zone = timezone(timedelta(hours=2))
    assert row({}, last_updated=NOW.astimezone(zone))["LastUpdated"] == "2023-11-14T03:36:15.184608Z"
    with pytest.raises(ValueError, match="time zone"):
        row({}, last_updated=NOW.replace(tzinfo=None))


def test_elements_are_not_changed() -> None:
    """The same dataset is written as DICOM JSON afterwards."""
    elements = {"00091001": element("LO", "x"), tag_of("ImageType"): element("CS", "A", "B")}
    before = orjson.dumps(elements)
    built = row(elements)
    built["ImageType"].append("C")
    built["OtherElements"][0]["Data"].append("y")
    assert orjson.dumps(elements) == before


def test_json_row_has_the_metadata_in_one_column() -> None:
    """``schemaJson``: the three UIDs, the DICOM JSON model without binary values, and the same facts."""
    meta = {"00020010": element("UI", "1.2.840.10008.1.2.1")}
    elements = {
        "00080018": element("UI", "1.2.3"),
        "00081140": element("SQ", {"00420011": {"vr": "OB", "InlineBinary": "AA=="}, "00080060": element("CS", "CT")}),
        "0020000D": element("UI", "1.2.1"),
        "0020000E": element("UI", "1.2.2"),
        "00280009": {"vr": "AT", "BulkDataURI": "00280009"},
        "7FE00010": {"vr": "OW", "BulkDataURI": "7FE00010"},
    }
    built = build_json_row(meta, elements, source_store="s", dropped=["52009230"], **FACTS)
    fields = schema_for(built)
    assert row_errors(built, fields) == []
    assert [(field["name"], field["type"], field["mode"]) for field in fields] == [
        ("StudyInstanceUID", "STRING", "NULLABLE"),
        ("SeriesInstanceUID", "STRING", "NULLABLE"),
        ("SOPInstanceUID", "STRING", "NULLABLE"),
        ("SourceDicomStore", "STRING", "NULLABLE"),
        ("Metadata", "JSON", "NULLABLE"),
        ("StructuredStorageSize", "INTEGER", "NULLABLE"),
        ("DroppedTags", "STRING", "REPEATED"),
        ("StorageClass", "STRING", "NULLABLE"),
        ("LastUpdated", "TIMESTAMP", "NULLABLE"),
        ("BlobStorageSize", "INTEGER", "NULLABLE"),
        ("Type", "STRING", "NULLABLE"),
    ]
    metadata = orjson.loads(built["Metadata"])
    assert sorted(metadata) == ["00020010", "00080018", "00081140", "0020000D", "0020000E"]
    assert metadata["00081140"] == element("SQ", {"00080060": element("CS", "CT")})
    assert built["StructuredStorageSize"] == len(built["Metadata"].encode())
    assert built["DroppedTags"] == ["FrameIncrementPointer", "PixelData", "PerFrameFunctionalGroupsSequence"]
    assert [built[name] for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")] == [
        *("1.2.1", "1.2.2", "1.2.3")
    ]
    assert "SourceDicomStore" not in build_json_row(meta, elements, **FACTS)
