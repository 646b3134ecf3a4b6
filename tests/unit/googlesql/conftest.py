"""One small table, written down here, over which the expectations of this folder are worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse import Warehouse
from dicomkit.engine.services.bigquery import BigQueryService
from tests.unit.warehouse.conftest import field, plain, resource

TABLE = TableReference("local", "imaging", "instances")

PERSON = field("Alphabetic", "RECORD", field("FamilyName", "STRING"), field("GivenName", "STRING"))
CODE = (field("CodeValue", "STRING"), field("CodingSchemeDesignator", "STRING"), field("CodeMeaning", "STRING"))

FIELDS = (
    field("StudyInstanceUID", "STRING"),
    field("SeriesInstanceUID", "STRING"),
    field("SOPInstanceUID", "STRING"),
    field("PatientID", "STRING"),
    field("PatientName", "RECORD", PERSON),
    field("PatientAge", "STRING"),
    field("Modality", "STRING"),
    field("BodyPartExamined", "STRING"),
    field("SeriesDescription", "STRING"),
    field("StudyDate", "DATE"),
    field("StudyTime", "TIME"),
    field("InstanceNumber", "STRING"),
    field("SliceThickness", "STRING"),
    field("Rows", "INTEGER"),
    field("ImageType", "STRING", mode="REPEATED"),
    field("ImagePositionPatient", "STRING", mode="REPEATED"),
    field(
        "RequestAttributesSequence",
        "RECORD",
        field("RequestedProcedureID", "STRING"),
        field("RequestedProcedureCodeSequence", "RECORD", *CODE, mode="REPEATED"),
        mode="REPEATED",
    ),
    field("AnatomicRegionSequence", "RECORD", *CODE, mode="REPEATED"),
    field(
        "ContentSequence",
        "RECORD",
        field(
            "ContentSequence",
            "RECORD",
            field("ConceptNameCodeSequence", "RECORD", *CODE, mode="REPEATED"),
            field(
                "MeasuredValueSequence",
                "RECORD",
                field("NumericValue", "STRING", mode="REPEATED"),
                field("MeasurementUnitsCodeSequence", "RECORD", *CODE, mode="REPEATED"),
                mode="REPEATED",
            ),
            mode="REPEATED",
        ),
        mode="REPEATED",
    ),
    field("OtherElements", "RECORD", field("Tag", "STRING"), field("Data", "STRING", mode="REPEATED"), mode="REPEATED"),
    field("DroppedTags", "RECORD", field("TagName", "STRING"), field("TagReference", "STRING"), mode="REPEATED"),
    field("Type", "STRING"),
    field("LastUpdated", "TIMESTAMP"),
)


def _code(value: str, meaning: str) -> dict[str, str]:
    return {"CodeValue": value, "CodingSchemeDesignator": "LN", "CodeMeaning": meaning}


ROWS: list[dict[str, Any]] = [
    {
        "StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1", "SOPInstanceUID": "1.1.1.1", "PatientID": "A",
        "PatientName": {"Alphabetic": {"FamilyName": "Doe", "GivenName": "Jo"}}, "PatientAge": "045Y",
        "Modality": "CT", "BodyPartExamined": "CHEST", "SeriesDescription": "Lung 1.5mm",
        "StudyDate": "2020-01-05", "StudyTime": "10:20:30", "InstanceNumber": "2", "SliceThickness": "1.5",
        "Rows": 512, "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ImagePositionPatient": ["1", "2", "3.5"],
        "RequestAttributesSequence": [
            {"RequestedProcedureCodeSequence": [_code("24627-2", "CT Chest"), _code("24628-0", "CT Abdomen")]},
            {"RequestedProcedureCodeSequence": [_code("24627-2", "CT Chest")]},
        ],
        "AnatomicRegionSequence": [_code("T-28000", "Lung")],
        "ContentSequence": [{"ContentSequence": [{
            "ConceptNameCodeSequence": [_code("M-02550", "Diameter")],
            "MeasuredValueSequence": [{"NumericValue": ["7.5"], "MeasurementUnitsCodeSequence": [_code("mm", "mm")]}],
        }]}],
        "OtherElements": [{"Tag": "Tag_00090010", "Data": ["ACME"]}, {"Tag": "Tag_00091001", "Data": ["x", "y"]}],
        "DroppedTags": [{"TagName": "PixelData", "TagReference": ""}],
        "Type": "CREATE", "LastUpdated": "2026-01-02T03:04:05.5Z",
    },
    {
        "StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1", "SOPInstanceUID": "1.1.1.2", "PatientID": "A",
        "PatientName": {"Alphabetic": {"FamilyName": "Doe"}}, "PatientAge": "045Y",
        "Modality": "CT", "SeriesDescription": "Lung 1.5mm", "StudyDate": "2020-01-05", "InstanceNumber": "10",
        "SliceThickness": "bad", "Rows": 512, "ImageType": ["DERIVED", "PRIMARY"],
        "ImagePositionPatient": ["3", "4", "5.5"],
        "RequestAttributesSequence": [{"RequestedProcedureCodeSequence": [_code("24628-0", "CT Abdomen")]}],
        "Type": "CREATE", "LastUpdated": "2026-01-02T03:04:06Z",
    },
    {
        "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.1", "SOPInstanceUID": "1.2.1.1", "PatientID": "A",
        "PatientAge": "046Y", "Modality": "CT", "BodyPartExamined": "HEAD", "StudyDate": "2021-02-07",
        "InstanceNumber": "1", "SliceThickness": "3", "Rows": 256, "ImageType": ["ORIGINAL"],
        "Type": "CREATE", "LastUpdated": "2026-01-03T00:00:00Z",
    },
    {
        "StudyInstanceUID": "2.1", "SeriesInstanceUID": "2.1.1", "SOPInstanceUID": "2.1.1.1", "PatientID": "B",
        "PatientAge": "006M", "Modality": "MR", "StudyDate": "2020-01-04", "SliceThickness": "5",
        "Type": "CREATE", "LastUpdated": "2026-01-04T00:00:00Z",
    },
    {
        "StudyInstanceUID": "2.1", "SeriesInstanceUID": "2.1.1", "SOPInstanceUID": "2.1.1.1", "PatientID": "B",
        "Modality": "MR", "StudyDate": "2020-01-04", "Type": "DELETE", "LastUpdated": "2026-01-05T00:00:00Z",
    },
]  # fmt: skip


class Query:
    """Runs GoogleSQL over the table."""

    def __init__(self, service: BigQueryService) -> None:
        self.service = service

    def answer(self, sql: str, **request: Any) -> dict[str, Any]:
        """The REST answer."""
        options = {"formatOptions": {"useInt64Timestamp": True}, **request}
        answer: dict[str, Any] = orjson.loads(self.service.query("local", {"query": sql, **options}))
        return answer

    def __call__(self, sql: str, **request: Any) -> list[tuple[Any, ...]]:
        """The rows, values as the REST API writes them."""
        return [plain(row) for row in self.answer(sql, **request)["rows"]]

    def types(self, sql: str) -> list[tuple[str, str]]:
        """Name and type of each column; an array's with brackets."""
        fields = self.answer(sql)["schema"]["fields"]
        return [(each["name"], each["type"] + "[]" * (each["mode"] == "REPEATED")) for each in fields]


@pytest.fixture(scope="module")
def query(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Query]:
    """Queries over ``local.imaging.instances``."""
    with Warehouse(tmp_path_factory.mktemp("sql") / "w.duckdb") as warehouse:
        service = BigQueryService(warehouse)
        service.ensure_dataset("local", "imaging")
        service.create_table(resource(*FIELDS, table=TABLE))
        assert service.insert_all(TABLE, [{"json": row} for row in ROWS]) == []
        yield Query(service)
        service.close()
