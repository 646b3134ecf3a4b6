"""Columns of a table that are not what their names say."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dicomkit.bigquery.schema import Field, merge, schema_for
from dicomkit.bigquery.schema_check import WrongColumn, wrong_columns
from scripts.schema_report import REASONS, Published, published_columns
from tests.unit.bigquery.test_real_files import FILES, rows

NAME = {"Alphabetic": {"FamilyName": "A"}}
ROW: dict[str, Any] = {
    "PatientName": NAME,
    "OperatorsName": [NAME],
    "PatientID": "1",
    "Rows": 512,
    "ImageType": ["ORIGINAL"],
    "OverlayRows": [{"Id": "6000", "Value": 3}],
    "RequestAttributesSequence": [{"ScheduledProcedureStepID": "S", "OtherElements": []}],
    "OtherElements": [],
    "DroppedTags": [],
    "Type": "CREATE",
    "LastUpdated": "2024-01-01T00:00:00Z",
}


@pytest.fixture
def fields() -> list[Field]:
    return schema_for(ROW)


def at(fields: list[Field], path: str) -> Field:
    """The field of a dotted path."""
    name, _, rest = path.partition(".")
    field = next(each for each in fields if each["name"] == name)
    return at(field["fields"], rest) if rest else field


def test_what_we_write_has_no_wrong_column(fields: list[Field]) -> None:
    """Flattened, as JSON, and with columns of somebody's own."""
    assert wrong_columns(fields) == []
    assert wrong_columns([*fields, {"name": "my_score", "type": "FLOAT", "mode": "NULLABLE"}]) == []
    json_row = {name: None for name in ("SOPInstanceUID", "Metadata", "DroppedTags", "Type", "StructuredStorageSize")}
    assert wrong_columns(schema_for(json_row)) == []


def test_table_of_all_real_files_has_no_wrong_column() -> None:
    """As it grew, file by file."""
    table: list[Field] = []
    for _, part10 in FILES:
        table = merge(table, schema_for(rows(part10)))
    assert len(table) > 300
    assert wrong_columns(table) == []


def test_published_table_of_the_service_has_none_but_the_known_one() -> None:
    """854 columns of a real table, whose one difference is an attribute that has another VM by now."""

    def rest(column: Published) -> Field:
        return {"name": column.name, "type": column.type, "mode": column.mode, "fields": [*map(rest, column.fields)]}

    assert {wrong.path for wrong in wrong_columns(map(rest, published_columns()))} == REASONS.keys()


@pytest.mark.parametrize(
    ("path", "change", "found", "expected"),
    [
        ("PatientID", {"type": "INTEGER"}, "INTEGER", "STRING"),
        ("PatientID", {"mode": "REPEATED"}, "STRING REPEATED", "STRING"),
        ("PatientID", {"mode": "REQUIRED"}, "STRING REQUIRED", "STRING"),
        ("Rows", {"type": "STRING"}, "STRING", "INTEGER"),
        ("ImageType", {"mode": "NULLABLE"}, "STRING", "STRING REPEATED"),
        ("PatientName", {"type": "STRING"}, "STRING", "RECORD"),
        ("PatientName.Ideographic", {"type": "STRING"}, "STRING", "RECORD"),
        ("OperatorsName.Alphabetic.FamilyName", {"type": "INTEGER"}, "INTEGER", "STRING"),
        ("OverlayRows.Id", {"type": "INTEGER"}, "INTEGER", "STRING"),
        ("OverlayRows.Value", {"type": "STRING"}, "STRING", "INTEGER"),
        ("RequestAttributesSequence.ScheduledProcedureStepID", {"type": "DATE"}, "DATE", "STRING"),
        ("RequestAttributesSequence.OtherElements.Data", {"mode": "NULLABLE"}, "STRING", "STRING REPEATED"),
        ("DroppedTags.TagName", {"type": "BYTES"}, "BYTES", "STRING"),
        ("LastUpdated", {"type": "DATETIME"}, "DATETIME", "TIMESTAMP"),
    ],
)
def test_changed_column_is_found_at_every_depth(
    fields: list[Field], path: str, change: dict[str, str], found: str, expected: str
) -> None:
    """With what it is and what it must be; BigQuery would refuse the values, or the service put them elsewhere."""
    changed = copy.deepcopy(fields)
    at(changed, path).update(change)
    assert wrong_columns(changed) == [WrongColumn(path=path, found=found, expected=expected)]


def test_changed_column_of_a_json_table_is_found() -> None:
    """Whose columns are few."""
    changed = schema_for({"Metadata": {}, "Type": "CREATE", "DroppedTags": []})
    at(changed, "DroppedTags")["type"] = "RECORD"
    assert wrong_columns(changed) == [
        WrongColumn(path="DroppedTags", found="RECORD REPEATED", expected="STRING REPEATED")
    ]


def test_newer_names_of_types_are_the_same_types(fields: list[Field]) -> None:
    """A table made by SQL tells INT64 and STRUCT where the API says INTEGER and RECORD."""
    at(fields, "Rows")["type"] = "INT64"
    at(fields, "PatientName")["type"] = "STRUCT"
    assert wrong_columns(fields) == []
