"""A table that a store streams to, changed by statements: the stream goes on, and nothing of it is lost or doubled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse import Warehouse
from dicomkit.engine.services.bigquery import BigQueryService
from dicomkit.engine.services.table_writer import TableWriter

TABLE = TableReference("local", "imaging", "ct")


def rows(first: int, count: int, **more: Any) -> tuple[list[bytes], list[str]]:
    lines = [orjson.dumps({"SOPInstanceUID": f"1.{n}", "Modality": "CT", **more}) for n in range(first, first + count)]
    return lines, [f"id-{n}" for n in range(first, first + count)]


@pytest.fixture
def service(tmp_path: Path) -> Any:
    with Warehouse(tmp_path / "w.duckdb") as warehouse:
        made = BigQueryService(warehouse)
        made.ensure_dataset("local", "imaging")
        yield made
        made.close()


def uids(service: BigQueryService) -> list[str]:
    answer = orjson.loads(service.query("local", {"query": "SELECT SOPInstanceUID FROM imaging.ct ORDER BY 1"}))
    return [row["f"][0]["v"] for row in answer["rows"]]


@pytest.mark.parametrize(
    ("statement", "left"),
    [
        ("DELETE FROM imaging.ct WHERE SOPInstanceUID = '1.0'", ["1.1"]),
        ("UPDATE imaging.ct SET Modality = 'MR' WHERE TRUE", ["1.0", "1.1"]),
        ("TRUNCATE TABLE imaging.ct", []),
        ("ALTER TABLE imaging.ct ADD COLUMN Mine STRING", ["1.0", "1.1"]),
        ("DROP TABLE imaging.ct", []),
        ("CREATE OR REPLACE TABLE imaging.ct AS SELECT * FROM imaging.ct WHERE SOPInstanceUID = '1.1'", ["1.1"]),
        ("CREATE OR REPLACE TABLE imaging.ct AS SELECT SOPInstanceUID FROM imaging.ct", ["1.0", "1.1"]),
        (
            "MERGE imaging.ct t USING (SELECT '1.0' AS u) s ON t.SOPInstanceUID = s.u WHEN MATCHED THEN DELETE",
            ["1.1"],
        ),
    ],
)
def test_a_stream_goes_on_after_a_statement(service: BigQueryService, statement: str, left: list[str]) -> None:
    """What was streamed before is what the statement left of it; what comes after is all there, new columns too."""
    writer = TableWriter(service, make_datasets=True)
    assert writer.write(TABLE, *rows(0, 2)) == {}
    service.query("local", {"query": statement})
    assert writer.write(TABLE, *rows(2, 2)) == {}
    assert uids(service) == [*left, "1.2", "1.3"]
    assert writer.write(TABLE, *rows(4, 1, StudyDate="2020-01-05")) == {}
    # The same batch again, as after an answer that was lost.
    assert writer.write(TABLE, *rows(4, 1, StudyDate="2020-01-05")) == {}
    assert uids(service) == [*left, "1.2", "1.3", "1.4"]
