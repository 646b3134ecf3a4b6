"""Columns by the dictionary, schemas by the names in a row, and growth."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomkit.bigquery.columns import COLUMNS, GroupColumn, Kind, column_named
from dicomkit.bigquery.schema import Field, index_of, merge, schema_for, unknown_fields
from dicomkit.dicom.dictionary import tag_of
from tests.unit.bigquery import published
from tests.unit.bigquery.checker import schema_errors


def row_of(names: list[str]) -> dict[str, Any]:
    """A row that has these columns, with nothing in them."""
    groups = {"CurveDimensions", "OverlayRows", "OverlayOrigin", "OverlayType", "NumberOfFramesInOverlay"}
    return {name: [{"Id": "6000", "Value": None}] if name in groups else None for name in names}


def by_name(fields: list[Field]) -> dict[str, Field]:
    return {field["name"]: field for field in fields}


def flat(fields: list[Field]) -> list[tuple[str, str, str]]:
    return [(field["name"], field["type"], field["mode"]) for field in fields]


def empty(row: dict[str, Any]) -> dict[str, Any]:
    """The row with ``[]`` in its sequences, which rows have there."""
    return {name: [] if value is None and name.startswith(("Tag_", "Shared")) else value for name, value in row.items()}


PUBLISHED_ROW = {
    name: [] if value is None and name.endswith("Sequence") else value
    for name, value in empty(row_of(list(published.COLUMNS))).items()
}


@pytest.mark.parametrize(("name", "kind", "mode"), [(name, *facts) for name, facts in published.COLUMNS.items()])
def test_type_and_mode_are_those_of_the_real_table(name: str, kind: str, mode: str) -> None:
    """The dictionary's VR and VM give the type and mode that the service gave."""
    (field,) = schema_for({name: PUBLISHED_ROW[name]})
    assert (field["type"], field["mode"]) == (kind, mode)


def test_columns_stand_in_the_order_of_the_real_table() -> None:
    """By tag, then ``Tag_`` columns, then the fixed ones, whatever the order in the row."""
    backwards = dict(reversed(PUBLISHED_ROW.items()))
    assert [field["name"] for field in schema_for(backwards)] == list(published.COLUMNS)


@pytest.mark.parametrize(("name", "kind", "mode"), [(n, *f) for n, f in published.GROUP_VALUES.items()])
def test_repeating_groups_are_id_and_value(name: str, kind: str, mode: str) -> None:
    """One column for all groups of a keyword."""
    (field,) = schema_for(row_of([name]))
    assert flat(field["fields"]) == [("Id", "STRING", "NULLABLE"), ("Value", kind, mode)]


@pytest.mark.parametrize(("name", "mode"), [("PatientName", "NULLABLE"), ("OperatorsName", "REPEATED")])
def test_person_names_have_all_groups_always(name: str, mode: str) -> None:
    """The three groups and five components are in the schema also where no name has them."""
    (field,) = schema_for({name: None})
    assert flat(field["fields"]) == [(group, "RECORD", "NULLABLE") for group in published.NAME_GROUPS]
    for group in field["fields"]:
        assert flat(group["fields"]) == [(part, "STRING", "NULLABLE") for part in published.NAME_COMPONENTS]


def test_sequences_have_the_fields_of_all_items() -> None:
    """What only the second item has is a field as well, in the order of tags."""
    items = [{"FunctionalGroupPointer": 1, "DimensionDescriptionLabel": "x"}, {"DimensionIndexPointer": 2}]
    items.append({"DimensionOrganizationUID": "1.2"})
    (field,) = schema_for({"DimensionIndexSequence": items})
    assert flat(field["fields"]) == published.DIMENSION_INDEX


def test_nested_records_end_with_tags_and_others() -> None:
    """Inside records the order is the same: keywords, ``Tag_``, OtherElements."""
    item = {
        "OtherElements": [{"Tag": "Tag_00091001", "Data": []}],
        "Tag_00091110": [],
        "Rows": 1,
        "SliceThickness": "1",
    }
    (field,) = schema_for({"IconImageSequence": [item]})
    assert [f["name"] for f in field["fields"]] == ["SliceThickness", "Rows", "Tag_00091110", "OtherElements"]


@pytest.mark.parametrize("items", [[], [{}], [{}, {}]])
def test_a_sequence_without_content_is_a_record_with_others(items: list[dict[str, Any]]) -> None:
    """BigQuery has no RECORD without fields, and the column is there for whoever asks."""
    fields = schema_for({"ReferencedImageSequence": items})
    assert schema_errors(fields) == []
    assert [f["name"] for f in fields[0]["fields"]] == ["OtherElements"]


def test_repeating_sequence_has_its_items_in_value() -> None:
    """(50xx,2600) is the one repeating group that is a sequence."""
    entries = [{"Id": "5000", "Value": [{"ReferencedSOPClassUID": "1"}]}, {"Id": "5002", "Value": []}]
    (field,) = schema_for({"CurveReferencedOverlaySequence": entries})
    assert flat(field["fields"]) == [("Id", "STRING", "NULLABLE"), ("Value", "RECORD", "REPEATED")]
    assert flat(field["fields"][1]["fields"]) == [("ReferencedSOPClassUID", "STRING", "NULLABLE")]


def test_lut_data_has_no_column() -> None:
    """The published VOILUTSequence lacks LUTData, "US or OW", beside the attributes that go with it."""
    assert COLUMNS[tag_of("LUTData")].kind is Kind.BINARY
    (field,) = schema_for({"VOILUTSequence": [{"LUTExplanation": "x", "LUTDescriptor": []}]})
    assert flat(field["fields"]) == published.VOI_LUT


@pytest.mark.parametrize(
    "tag",
    [
        *("7FE00010", "7FE00008", "00020000", "00020001", "00282000", "00420011", "60003000", "50003000", "54001010"),
        *("00281201", "00281221", "7F200010", "FFFEE000"),
    ],
)
def test_binary_attributes_have_no_column(tag: str) -> None:
    """OB and its like are dropped, in repeating groups as well; so is the group length of the file meta."""
    assert COLUMNS[tag].kind is Kind.BINARY


@pytest.mark.parametrize("tag", ["00091001", "00090010", "00080003", "FFFF0000", "60010010"])
def test_tags_without_keyword_have_no_column_of_their_own(tag: str) -> None:
    """They go to OtherElements under this name, sequences become a column of it."""
    column = COLUMNS[tag]
    assert (column.kind, column.name) == (Kind.OTHER, f"Tag_{tag}")


def test_retired_tags_that_repeat_inside_a_group_are_told_apart() -> None:
    """(0020,31xx) repeats by element: the whole tag is the Id; overlays repeat by group."""
    ids = []
    for tag in ("00203102", "60020010", "501E0005", "00280412"):
        column = COLUMNS[tag]
        assert isinstance(column, GroupColumn)
        ids.append((column.name, column.id_of(tag)))
    assert ids == [
        ("SourceImageIDs", "00203102"),
        ("OverlayRows", "6002"),
        ("CurveDimensions", "501E"),
        ("CoefficientCoding", "00280412"),
    ]


def test_a_repeating_keyword_is_not_mistaken_for_its_first_tag() -> None:
    """(0028,0400) is TransformLabel, an attribute of its own, and RowsForNthOrderCoefficients is (0028,04x0)."""
    assert COLUMNS["00280400"].name == "TransformLabel"
    assert column_named("RowsForNthOrderCoefficients").kind is Kind.GROUP


@pytest.mark.parametrize("name", ["Nonsense", "PixelData", "Tag_0009", "Tag_0009111g", "tag_00091110", ""])
def test_unknown_names_are_refused(name: str) -> None:
    """A schema is made of what a row of ours can have, and of nothing else."""
    with pytest.raises(KeyError):
        schema_for({name: None})


def test_cache_of_tags_is_bounded() -> None:
    """Private tags come from files; naming all of them costs no memory in the end."""
    for number in range(40_000):
        COLUMNS[f"0011{number:04X}"]
    assert len(COLUMNS) <= 16_384


def test_index_finds_what_is_new_at_any_depth() -> None:
    """A row is known if every name in it is, in every item."""
    row = {
        "PatientID": "1",
        "PatientName": {"Alphabetic": {"FamilyName": "x"}},
        "DimensionIndexSequence": [{"DimensionIndexPointer": 1}],
        "OtherElements": [{"Tag": "Tag_00091001", "Data": ["1"]}],
    }
    index = index_of(schema_for(row))
    assert not unknown_fields(row, index)
    assert not unknown_fields({"PatientName": {"Phonetic": {"NameSuffix": "x"}}}, index)
    assert not unknown_fields({"DimensionIndexSequence": []}, index)
    assert unknown_fields({"PatientSex": None}, index)
    assert unknown_fields({"DimensionIndexSequence": [{}, {"FunctionalGroupPointer": 1}]}, index)
    assert unknown_fields({"DimensionIndexSequence": [{"OtherElements": []}]}, index)


def test_index_does_not_distinguish_case() -> None:
    """BigQuery's names do not differ by case, so PatientID is the column ``patientid`` of another hand."""
    table = [
        {"name": "patientid", "type": "STRING", "mode": "NULLABLE"},
        {"name": "DIMENSIONINDEXSEQUENCE", "type": "RECORD", "mode": "REPEATED", "fields": []},
    ]
    index = index_of(table)
    assert not unknown_fields({"PatientID": "1", "DimensionIndexSequence": [{}]}, index)
    assert unknown_fields({"DimensionIndexSequence": [{"Rows": 1}]}, index)
    needed = schema_for({"PatientID": "1", "PatientSex": "F"})
    assert [field["name"] for field in merge(table, needed)] == ["patientid", "DIMENSIONINDEXSEQUENCE", "PatientSex"]


def test_merge_appends_at_every_depth() -> None:
    """New columns come last, in the record that needs them; the old order stays."""
    old = schema_for({"Rows": 1, "DimensionIndexSequence": [{"FunctionalGroupPointer": 1}], "Type": "CREATE"})
    new = schema_for({"PatientID": "1", "DimensionIndexSequence": [{"DimensionIndexPointer": 1}]})
    kept = copy.deepcopy((old, new))
    merged = merge(old, new)
    assert (old, new) == kept
    assert [field["name"] for field in merged] == ["DimensionIndexSequence", "Rows", "Type", "PatientID"]
    inside = by_name(merged)["DimensionIndexSequence"]["fields"]
    assert [field["name"] for field in inside] == ["FunctionalGroupPointer", "DimensionIndexPointer"]


def test_merge_never_changes_a_type() -> None:
    """Somebody's own type, description and mode survive; REQUIRED alone is relaxed."""
    mine = [
        {"name": "PatientSize", "type": "FLOAT", "mode": "NULLABLE", "description": "in metres"},
        {"name": "DimensionIndexSequence", "type": "STRING", "mode": "NULLABLE"},
        {"name": "PatientID", "type": "STRING", "mode": "REQUIRED"},
        {"name": "site", "type": "STRING", "mode": "REQUIRED"},
    ]
    row = {"PatientSize": "1.8", "PatientID": "1", "DimensionIndexSequence": [{"DimensionIndexPointer": 1}]}
    merged = merge(mine, schema_for(row))
    assert merged == [*mine[:2], mine[2] | {"mode": "NULLABLE"}, mine[3]]
    assert not unknown_fields(row, index_of(merged))


NESTED = st.recursive(
    st.fixed_dictionaries({}, optional={"Rows": st.just(1), "PatientID": st.just("x"), "PixelSpacing": st.just(["1"])}),
    lambda items: st.fixed_dictionaries(
        {},
        optional={
            "Rows": st.just(2),
            "ReferencedImageSequence": st.lists(items, max_size=3),
            "Tag_00091110": st.lists(items, max_size=2),
            "OtherElements": st.just([{"Tag": "Tag_00090010", "Data": ["x"]}]),
        },
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(NESTED, NESTED)
def test_growth_is_complete_and_idempotent(first: dict[str, Any], second: dict[str, Any]) -> None:
    """After a merge both rows are known, a second merge changes nothing, and BigQuery takes the schema."""
    table = schema_for(first)
    grown = merge(table, schema_for(second))
    assert not unknown_fields(first, index_of(grown))
    assert not unknown_fields(second, index_of(grown))
    assert merge(grown, schema_for(second)) == grown
    assert merge(grown, schema_for(first)) == grown
    assert [field["name"] for field in grown[: len(table)]] == [field["name"] for field in table]
    assert not grown or schema_errors(grown) == []
