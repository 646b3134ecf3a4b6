"""Loads by the service itself: all or nothing, in memory or as a file, beside those that stream and read."""

from __future__ import annotations

import io
import itertools
import shutil
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse import Warehouse
from dicomkit.engine.services.bigquery import BigQueryService
from dicomkit.engine.services.bigquery_errors import error_proto, job_error
from dicomkit.errors import AlreadyExists, ApiError, InvalidArgument, NotFound

from .conftest import TABLE, field, resource, rows

N = field("n", "INTEGER")
S = field("s", "STRING")


_NAMES = itertools.count()


def lines(count: int, start: int = 0) -> list[bytes]:
    return [b'{"n": %d}' % number for number in range(start, start + count)]


def load(
    service: BigQueryService,
    rows: list[bytes],
    disposition: str = "WRITE_APPEND",
    *,
    schema: list[dict[str, Any]] | None = None,
    table: TableReference = TABLE,
) -> int:
    """Load JSON lines, into the columns that are there where no schema is given; how many rows came in."""
    fields = schema if schema is not None else service.get_table(table)["schema"]["fields"]
    data = b"\n".join(rows)
    outcome = service.load_spool(table, lambda: io.BytesIO(data), disposition, fields, name=f"load {next(_NAMES)}")
    return outcome.rows


def load_parquet(service: BigQueryService, path: Path) -> int:
    """Load a Parquet file by a job; how many rows came in."""
    copy = path.with_suffix(".copy")
    shutil.copy(path, copy)
    destination = {"projectId": "local", "datasetId": "imaging", "tableId": "ct"}
    options = {"sourceFormat": "PARQUET", "parquetOptions": {"enableListInference": True}}
    body = {"configuration": {"load": {"destinationTable": destination, **options}}}
    job = service.jobs.load("local", body, copy, wait_s=30.0)
    if "errorResult" in job["status"]:
        raise job_error(job["status"]["errorResult"])
    return int(job["statistics"]["load"]["outputRows"])


def test_lines_make_fill_and_widen_a_table(service: BigQueryService) -> None:
    """The schema makes the table, and a wider one widens it."""
    assert load(service, lines(10_000), schema=[N]) == 10_000
    load(service, [b'{"n": 1, "s": "x"}'], schema=[N, S])
    load(service, lines(2))
    assert rows(service, "SELECT COUNT(*), COUNT(s) FROM imaging.ct") == [("10003", "1")]
    load(service, lines(3), "WRITE_TRUNCATE")
    assert rows(service, "SELECT n, s FROM imaging.ct ORDER BY n") == [("0", None), ("1", None), ("2", None)]
    with pytest.raises(AlreadyExists):
        load(service, lines(1), "WRITE_EMPTY")


def test_lists_of_a_parquet_file_are_lists(service: BigQueryService, tmp_path: Path) -> None:
    """One that is missing is empty."""
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": [1, 2], "l": [["a"], None]}), path)
    assert load_parquet(service, path) == 2
    assert rows(service, "SELECT n, l FROM imaging.ct ORDER BY n") == [("1", ["a"]), ("2", [])]


@pytest.mark.parametrize(
    "bad",
    [
        b'{"n": "x"',
        b'{"n":1,"s":"a"}"s":{}',
        b'{"n": 1e999}',
        b'{"n":\x00}',
        b'{"n": "x"}',
        b'{"nope": 1}',
        b"{",
        b"[]",
        b'{"d": "2020-02-30"}',
    ],
)
def test_one_bad_row_undoes_all(service: BigQueryService, bad: bytes) -> None:
    """Also the table that the load made, and after many rows that were right."""
    with pytest.raises(InvalidArgument) as caught:
        load(service, [*lines(9_000), bad], schema=[N, field("d", "DATE")])
    assert error_proto(caught.value)["reason"] == "invalid"
    with pytest.raises(NotFound):
        service.get_table(TABLE)


def test_a_failed_truncate_keeps_the_rows(service: BigQueryService) -> None:
    """The old rows go in the same transaction as the new ones come."""
    load(service, lines(5), schema=[N])
    with pytest.raises(InvalidArgument):
        load(service, [*lines(5_000), b'{"s": 1'], "WRITE_TRUNCATE", schema=[N, S])
    assert rows(service, "SELECT COUNT(*) FROM imaging.ct") == [("5",)]
    assert service.get_table(TABLE)["schema"]["fields"] == [N]


def test_what_is_loaded_is_there_after_a_restart(tmp_path: Path) -> None:
    """Table, columns that a load added, and rows."""
    path = tmp_path / "w.duckdb"
    for start in (0, 100):
        with Warehouse(path) as warehouse:
            service = BigQueryService(warehouse)
            service.ensure_dataset("local", "imaging")
            schema = [N, S] if start else [N]
            load(service, lines(100, start), schema=schema)
            assert rows(service, "SELECT COUNT(DISTINCT n) FROM imaging.ct") == [(str(start + 100),)]
            assert service.get_table(TABLE)["schema"]["fields"] == schema
            service.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["w.duckdb"]


def test_the_same_row_can_be_streamed_after_a_truncate(service: BigQueryService) -> None:
    """An insertId of before is not remembered against the new rows."""
    service.create_table(resource(N))
    row = {"insertId": "a", "json": {"n": 1}}
    service.insert_all(TABLE, [row])
    load(service, [], "WRITE_TRUNCATE")
    service.insert_all(TABLE, [row])
    assert rows(service, "SELECT COUNT(*) FROM imaging.ct") == [("1",)]


def test_required_columns_have_values(service: BigQueryService) -> None:
    """In JSON lines and in Parquet alike."""
    required = field("n", "INTEGER", mode="REQUIRED")
    with pytest.raises(InvalidArgument):
        load(service, [b"{}"], schema=[required])
    load(service, lines(1), schema=[required])
    assert rows(service, "SELECT n FROM imaging.ct") == [("0",)]


PARQUETS: dict[str, Any] = {
    "another type": pa.table({"n": ["1"]}),
    "a column that is not there": pa.table({"n": [1], "other": [1]}),
    "a null in a list": pa.table({"l": [["a", None]]}),
    "a number that does not fit": pa.table({"n": pa.array([2**63], pa.uint64())}),
    "a type that has no column": pa.table({"n": pa.array([1], pa.duration("s"))}),
}


@pytest.mark.parametrize("name", PARQUETS)
def test_a_parquet_file_that_does_not_fit_is_an_error_of_the_request(
    service: BigQueryService, tmp_path: Path, name: str
) -> None:
    """Never a defect, and nothing is loaded."""
    service.create_table(resource(N, field("l", "STRING", mode="REPEATED")))
    path = tmp_path / "rows.parquet"
    pq.write_table(PARQUETS[name], path)
    with pytest.raises(ApiError) as caught:
        load_parquet(service, path)
    assert caught.value.status == 400
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InvalidArgument, match="not in Parquet format"):
        load_parquet(service, path)
    assert service.get_table(TABLE)["numRows"] == "0"


@pytest.mark.timeout(60)
def test_a_running_load_is_cancelled(service: BigQueryService, tmp_path: Path) -> None:
    """The job ends as stopped, and nothing of it stays."""
    path = tmp_path / "rows"
    path.write_bytes(b"\n".join(lines(1_000_000)))
    destination = {"projectId": "local", "datasetId": "imaging", "tableId": "ct"}
    load = {"destinationTable": destination, "sourceFormat": "NEWLINE_DELIMITED_JSON", "schema": {"fields": [N]}}
    job = service.jobs.load("local", {"configuration": {"load": load}}, path, wait_s=0.0)
    done = service.jobs.cancel("local", job["jobReference"]["jobId"])
    assert done.done.wait(30)
    assert done.resource()["status"]["errorResult"]["reason"] == "stopped"
    with pytest.raises(NotFound):
        service.get_table(TABLE)
    for _ in range(100):
        if not path.exists():
            break
        time.sleep(0.01)
    assert not path.exists()


def test_a_name_that_is_none_is_refused(service: BigQueryService) -> None:
    """A destination without a dataset."""
    with pytest.raises(NotFound, match="Dataset local:nope"):
        load(service, [], schema=[N], table=TableReference("local", "nope", "t"))
