"""The columns that rows need."""

from __future__ import annotations

import random
from datetime import UTC, datetime

from dicomkit.bigquery.row import build_row
from dicomkit.bigquery.schema import merge, schema_for
from dicomkit.dicom.reader import read_part10
from dicomkit.engine.services.table_shape import TableShape
from dicomkit.errors import DicomFormatError
from tests.conftest import WHEEL


def rows() -> list[dict[str, object]]:
    """Rows of the wheel's files."""
    made = []
    for path in sorted(WHEEL.rglob("*.dcm")):
        try:
            found = read_part10(path.read_bytes(), require_uids=False)
        except DicomFormatError:
            continue
        made.append(
            build_row(
                found.meta,
                found.elements,
                event="CREATE",
                last_updated=datetime(2024, 1, 1, tzinfo=UTC),
                storage_class="STANDARD",
                blob_size=1,
                dropped=found.dropped,
            )
        )
    return made


def names(fields: list[dict[str, object]]) -> dict[str, object]:
    """Columns without their order."""
    return {
        str(field["name"]): {**field, "fields": names(field["fields"])} if "fields" in field else field  # type: ignore[arg-type]
        for field in fields
    }


def test_the_shape_has_what_merging_the_schemas_of_the_rows_has() -> None:
    """Column by column and at every depth, whatever the order of the rows."""
    many = rows()
    assert len(many) > 50
    random.Random(1).shuffle(many)
    merged: list[dict[str, object]] = []
    shape = TableShape()
    for row in many:
        merged = merge(merged, schema_for(row))
        shape.add(row)
    assert shape.has_grown
    assert names(shape.fields) == names(merged)


def test_a_table_made_for_many_rows_has_the_order_of_one_made_for_one() -> None:
    """Attributes by tag, whichever row brought them, then the fixed columns."""
    shape = TableShape()
    for row in ({"Rows": 1, "Type": "x"}, {"PatientID": "1", "Type": "x"}, {"Modality": "CT", "Type": "x"}):
        shape.add(row)
    assert [field["name"] for field in shape.fields] == ["Modality", "PatientID", "Rows", "Type"]


def test_columns_that_are_there_stay_where_they_are() -> None:
    """New ones are appended, and a row without any changes nothing."""
    there = schema_for({"PatientID": "1", "Type": "x"})
    shape = TableShape(there)
    shape.add({"PatientID": "2"})
    assert not shape.has_grown
    assert shape.fields == there
    shape.add({"Modality": "CT"})
    assert [field["name"] for field in shape.fields] == ["PatientID", "Type", "Modality"]
