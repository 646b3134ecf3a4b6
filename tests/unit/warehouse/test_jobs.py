"""Jobs and pages: every row once whatever the page, errors with their reasons, refusals by name."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from dicomkit.engine.services import bigquery_jobs
from dicomkit.engine.services.bigquery import BigQueryService
from dicomkit.engine.services.bigquery_errors import error_proto
from dicomkit.errors import AlreadyExists, ApiError, InvalidArgument, NotFound, Unimplemented

from .conftest import TABLE, field, resource

SLOW = "SELECT COUNT(*) FROM imaging.ct a, imaging.ct b, imaging.ct c, imaging.ct d WHERE a.n + b.n + c.n + d.n > 3"


@pytest.fixture
def table(service: BigQueryService) -> BigQueryService:
    """A table of 1,000 numbers and some text."""
    service.create_table(resource(field("n", "INTEGER"), field("s", "STRING"), field("l", "STRING", mode="REPEATED")))
    service.insert_all(TABLE, [{"json": {"n": n, "s": "x" * 50}} for n in range(1_000)])
    return service


def started(service: BigQueryService, sql: str, **options: Any) -> dict[str, Any]:
    configuration = {"query": {"query": sql, "useLegacySql": False}, **options}
    return service.jobs.insert("local", {"configuration": configuration})


def numbers(page: dict[str, Any]) -> list[int]:
    return [int(row["f"][0]["v"]) for row in page["rows"]]


@pytest.mark.parametrize("size", [7, 999, 1_000, 5_000])
def test_pages_of_any_size_hold_every_row_once(table: BigQueryService, size: int) -> None:
    """Results and tables are paged alike; the last page has no token."""
    job = started(table, "SELECT n FROM imaging.ct ORDER BY n")["jobReference"]["jobId"]

    def of_result(args: dict[str, str]) -> bytes:
        return table.query_results("local", job, args)

    def of_table(args: dict[str, str]) -> bytes:
        return table.list_rows(TABLE, args | {"selectedFields": "n"})

    for read in (of_result, of_table):
        found: list[int] = []
        args = {"maxResults": str(size)}
        while True:
            page = orjson.loads(read(args))
            found += numbers(page)
            if "pageToken" not in page:
                break
            args["pageToken"] = page["pageToken"]
        assert found == list(range(1_000))


def test_start_index_and_bad_tokens(table: BigQueryService) -> None:
    """A place may be given as a number; what is no number is an error of the request."""
    page = orjson.loads(table.list_rows(TABLE, {"startIndex": "998"}))
    assert (numbers(page), page["totalRows"]) == ([998, 999], "1000")
    assert orjson.loads(table.list_rows(TABLE, {"startIndex": "5000"}))["rows"] == []
    for args in ({"pageToken": "x"}, {"maxResults": "-1"}, {"startIndex": "1e9"}):
        with pytest.raises(InvalidArgument):
            table.list_rows(TABLE, args)


def test_a_dry_run_tells_schema_and_size_and_runs_nothing(table: BigQueryService) -> None:
    """The estimate is of the columns that are named, and there is no job afterwards."""
    one = started(table, "SELECT n FROM imaging.ct WHERE n / 0 > 1", dryRun=True)
    every = started(table, "SELECT * FROM imaging.ct", dryRun=True)
    assert one["statistics"]["query"]["schema"]["fields"] == [field("n", "INTEGER")]
    sizes = [int(job["statistics"]["totalBytesProcessed"]) for job in (one, every)]
    assert 0 < sizes[0] < sizes[1]
    assert table.jobs.list("local") == []


def test_bytes_billed_have_a_limit(table: BigQueryService) -> None:
    """``maximumBytesBilled`` refuses before anything runs."""
    with pytest.raises(InvalidArgument) as caught:
        table.query("local", {"query": "SELECT * FROM imaging.ct", "maximumBytesBilled": "10"})
    assert error_proto(caught.value)["reason"] == "bytesBilledLimitExceeded"


def test_an_error_at_run_time_is_the_jobs(table: BigQueryService) -> None:
    """The job is DONE with an errorResult, and asking for rows raises it, without a value of the table."""
    job = started(table, "SELECT CAST(s AS INT64) FROM imaging.ct")
    assert job["status"]["state"] == "DONE"
    assert job["status"]["errorResult"]["reason"] == "invalidQuery"
    with pytest.raises(InvalidArgument) as caught:
        table.query_results("local", job["jobReference"]["jobId"], {})
    assert "xxx" not in str(caught.value)


@pytest.mark.timeout(60)
def test_a_query_that_runs_is_cancelled(table: BigQueryService) -> None:
    """Cancelling interrupts; the job ends as stopped, well before it would have ended."""
    job = table.jobs.insert("local", {"configuration": {"query": {"query": SLOW}}}, wait_s=0.05)
    assert job["status"]["state"] == "RUNNING"
    page = orjson.loads(table.query_results("local", job["jobReference"]["jobId"], {"timeoutMs": "1"}))
    assert page["jobComplete"] is False
    done = table.jobs.cancel("local", job["jobReference"]["jobId"]).resource()
    assert done["status"]["errorResult"]["reason"] == "stopped"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT imaging.ct (n) {SLOW}",
        f"UPDATE imaging.ct SET n = 0 WHERE ({SLOW}) > 0",
        f"DELETE FROM imaging.ct WHERE ({SLOW}) > 0",
        f"CREATE OR REPLACE TABLE imaging.ct AS {SLOW.replace('COUNT(*)', 'COUNT(*) AS n')}",
    ],
)
def test_a_statement_that_is_cancelled_changes_nothing(table: BigQueryService, statement: str) -> None:
    """It ends as stopped, its transaction is undone, and the next writer does not wait for it."""
    job = table.jobs.insert("local", {"configuration": {"query": {"query": statement}}}, wait_s=0.05)
    assert job["status"]["state"] == "RUNNING"
    done = table.jobs.cancel("local", job["jobReference"]["jobId"]).resource()
    assert done["status"]["errorResult"]["reason"] == "stopped"
    assert table.insert_all(TABLE, [{"json": {"n": 1_000}}]) == []
    page = orjson.loads(table.query("local", {"query": "SELECT COUNT(*), SUM(n) FROM imaging.ct"}))
    assert [cell["v"] for cell in page["rows"][0]["f"]] == ["1001", str(sum(range(1_001)))]


def test_jobs_are_found_by_their_ids(table: BigQueryService) -> None:
    """An id is given once; another project, and another id, has no such job."""
    resource_ = {"jobReference": {"jobId": "mine"}, "configuration": {"query": {"query": "SELECT 1"}}}
    table.jobs.insert("local", resource_)
    with pytest.raises(AlreadyExists):
        table.jobs.insert("local", resource_)
    with pytest.raises(NotFound):
        table.jobs.get("other", "mine")
    with pytest.raises(InvalidArgument):
        table.jobs.insert("local", {**resource_, "jobReference": {"jobId": "../x"}})
    assert [job.id for job in table.jobs.list("local")] == ["mine"]


def test_old_results_make_room(table: BigQueryService, monkeypatch: pytest.MonkeyPatch) -> None:
    """When results outgrow the limit the oldest go, and asking for one says to run the query again."""
    monkeypatch.setattr(bigquery_jobs, "MAX_KEPT_BYTES", 1)
    first = started(table, "SELECT n FROM imaging.ct")["jobReference"]["jobId"]
    started(table, "SELECT n FROM imaging.ct")
    with pytest.raises(NotFound, match="run the query again"):
        table.query_results("local", first, {})


@pytest.mark.parametrize(
    ("configuration", "error"),
    [
        ({}, InvalidArgument),
        ({"load": {}}, InvalidArgument),
        ({"extract": {}}, InvalidArgument),
        ({"copy": {}}, InvalidArgument),
        ({"query": {"query": "SELECT 1"}, "copy": {}}, InvalidArgument),
        ({"extract": {"sourceModel": {"modelId": "m"}}}, Unimplemented),
        ({"copy": {"operationType": "SNAPSHOT"}}, Unimplemented),
        ({"copy": {}, "dryRun": True}, Unimplemented),
    ],
)
def test_a_job_that_cannot_be_is_refused(
    table: BigQueryService, configuration: dict[str, Any], error: type[ApiError]
) -> None:
    """What is missing or not there says so with a reason that a client does not retry for."""
    with pytest.raises(error) as caught:
        table.jobs.insert("local", {"configuration": configuration})
    assert error_proto(caught.value)["reason"] in ("invalid", "notImplemented")


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"query": ""},
        {"query": "SELECT 1", "useLegacySql": True},
        {"query": "SELECT @a"},
        {"query": "SELECT @a", "queryParameters": [{"name": "a", "parameterType": {"type": "STRUCT"}}]},
        {"query": "SELECT @a", "queryParameters": "x"},
        {"query": "SELECT ?", "queryParameters": []},
        {
            "query": "SELECT @a",
            "queryParameters": [
                {"name": "a", "parameterType": {"type": "DATE"}, "parameterValue": {"value": "2020-13-01"}}
            ],
        },
        {"query": "SELECT 1", "destinationTable": {"projectId": "local"}},
        {"query": "SELECT 1", "queryResultsFormat": "ARROW"},
        {"query": "SELECT 1", "timeoutMs": "soon"},
    ],
)
def test_a_bad_request_is_never_a_defect(service: BigQueryService, request_: dict[str, Any]) -> None:
    """Each is an error with a reason, of a status that a client does not retry for."""
    with pytest.raises(ApiError) as caught:
        service.query("local", request_)
    assert caught.value.status in (400, 501)
    assert error_proto(caught.value)["reason"] in ("invalid", "invalidQuery", "notImplemented")
