"""google-cloud-bigquery, unmodified, over the engine: what its users do with a streamed table."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud import bigquery
from google.cloud.bigquery import ScalarQueryParameter, SchemaField

from dicomkit.engine.app import Engine
from dicomkit.transport.engine_adapter import ORIGIN, EngineAdapter
from tests.conftest import served

# `to_dataframe` announces that pandas-gbq will take over one day.
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")

NAME = "local.imaging.ct"

SCHEMA = [
    SchemaField("UID", "STRING"),
    SchemaField("Number", "INTEGER"),
    SchemaField("Ratio", "FLOAT"),
    SchemaField("Flag", "BOOLEAN"),
    SchemaField("Day", "DATE"),
    SchemaField("Clock", "TIME"),
    SchemaField("Moment", "TIMESTAMP"),
    SchemaField("Local", "DATETIME"),
    SchemaField("Money", "NUMERIC"),
    SchemaField("Raw", "BYTES"),
    SchemaField("Names", "STRING", "REPEATED"),
    SchemaField(
        "Codes", "RECORD", "REPEATED", fields=[SchemaField("Value", "STRING"), SchemaField("N", "INTEGER", "REPEATED")]
    ),
]

VALUES: dict[str, Any] = {
    "UID": "1.2.3",
    "Number": -7,
    "Ratio": 0.25,
    "Flag": True,
    "Day": dt.date(2018, 4, 27),
    "Clock": dt.time(20, 8, 7, 1),
    "Moment": dt.datetime(2018, 4, 27, 20, 27, 40, 5, tzinfo=dt.UTC),
    "Local": dt.datetime(2018, 4, 27, 20, 27, 40),
    "Money": decimal.Decimal("1.5"),
    "Raw": b"\x00\xff",
    "Names": ["Jørgensen", '"\\'],
    "Codes": [{"Value": "a", "N": [1, 2]}, {"Value": None, "N": []}],
}

EMPTY: dict[str, Any] = {name: [] if name in ("Names", "Codes") else None for name in VALUES}


@pytest.fixture(params=["embedded", "served"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[bigquery.Client]:
    """The official client: in this process, and against a server of its own."""
    with Engine(tmp_path / "home") as engine:
        session = AuthorizedSession(AnonymousCredentials())
        session.trust_env = False
        session.mount(ORIGIN, EngineAdapter(engine))

        def made(origin: str) -> bigquery.Client:
            return bigquery.Client(
                project="local",
                credentials=AnonymousCredentials(),
                _http=session,
                client_options={"api_endpoint": origin},
            )

        if request.param == "embedded":
            yield made(ORIGIN)
        else:
            with served(engine) as origin:
                yield made(origin)
        session.close()


@pytest.fixture
def table(client: bigquery.Client) -> bigquery.Table:
    """``local.imaging.ct``, empty."""
    client.create_dataset("imaging")
    made: bigquery.Table = client.create_table(bigquery.Table(NAME, schema=SCHEMA))
    return made


def test_datasets_and_tables_are_made_listed_and_deleted(client: bigquery.Client, table: bigquery.Table) -> None:
    """The schema comes back as it was declared, times are times, and what is deleted is gone."""
    assert client.get_table(NAME).schema == SCHEMA
    assert isinstance(client.get_table(NAME).modified, dt.datetime)
    assert [each.dataset_id for each in client.list_datasets()] == ["imaging"]
    assert [each.table_id for each in client.list_tables("imaging")] == ["ct"]
    client.create_table(table, exists_ok=True)
    with pytest.raises(exceptions.Conflict):
        client.create_dataset("imaging")
    with pytest.raises(exceptions.BadRequest):
        client.delete_dataset("imaging")
    client.delete_table(NAME)
    with pytest.raises(exceptions.NotFound):
        client.get_table(NAME)
    client.delete_dataset("imaging", delete_contents=True)
    assert list(client.list_datasets()) == []


def test_values_of_every_type_come_back(client: bigquery.Client, table: bigquery.Table) -> None:
    """Inserted as Python values, read by list_rows and by a query, row by row and as Arrow."""
    assert client.insert_rows(table, [VALUES, {}]) == []
    rows = [dict(row) for row in client.list_rows(NAME)]
    assert rows == [VALUES, EMPTY]
    assert [dict(row) for row in client.query_and_wait(f"SELECT * FROM `{NAME}` ORDER BY UID DESC")] == rows
    arrow = client.query(f"SELECT * FROM `{NAME}` ORDER BY UID DESC").to_arrow(create_bqstorage_client=False)
    assert isinstance(arrow, pa.Table)
    assert arrow.drop_columns("Codes").to_pylist()[0] == {name: VALUES[name] for name in VALUES if name != "Codes"}


def test_rows_in_json_come_back_as_a_frame(client: bigquery.Client, table: bigquery.Table) -> None:
    """The path of a notebook: insert_rows_json, query, to_dataframe."""
    assert client.insert_rows_json(table, [{"UID": str(n % 3), "Number": n} for n in range(9)]) == []
    sql = f"SELECT UID, COUNT(*) AS n, SUM(Number) AS total FROM `{NAME}` GROUP BY UID ORDER BY UID"
    frame = client.query(sql).to_dataframe(create_bqstorage_client=False)
    assert frame.to_dict("list") == {"UID": ["0", "1", "2"], "n": [3, 3, 3], "total": [9, 12, 15]}
    assert str(frame.dtypes["n"]) == "Int64"
    assert client.list_rows(NAME, selected_fields=SCHEMA[:2]).to_dataframe(create_bqstorage_client=False).shape == (
        9,
        2,
    )


def test_bad_rows_are_told_by_index_and_path(client: bigquery.Client, table: bigquery.Table) -> None:
    """The answer is what the client returns as errors; nothing of the request is stored."""
    errors = client.insert_rows_json(table, [{"UID": "a"}, {"Codes": [{"N": [1]}, {"Nope": 1}]}])
    assert [(each["index"], each["errors"][0]["reason"]) for each in errors] == [(0, "stopped"), (1, "invalid")]
    assert errors[1]["errors"][0]["location"] == "Codes[1].Nope"
    assert client.get_table(NAME).num_rows == 0


def test_the_schema_grows_at_every_depth(client: bigquery.Client, table: bigquery.Table) -> None:
    """update_table with the schema that was read and more; old rows stay, new ones use the new fields."""
    client.insert_rows_json(table, [{"UID": "old", "Codes": [{"Value": "v"}]}])
    read = client.get_table(NAME)
    codes = SCHEMA[-1]
    wider = SchemaField("Codes", "RECORD", "REPEATED", fields=[*codes.fields, SchemaField("Meaning", "STRING")])
    read.schema = [*SCHEMA[:-1], wider, SchemaField("Extra", "STRING", "REPEATED")]
    assert client.update_table(read, ["schema"]).schema == read.schema
    assert client.insert_rows_json(NAME, [{"UID": "new", "Codes": [{"Meaning": "m"}], "Extra": ["e"]}]) == []
    rows = [(row.UID, row.Codes, row.Extra) for row in client.query_and_wait(f"SELECT * FROM `{NAME}` ORDER BY UID")]
    assert rows == [
        ("new", [{"Value": None, "N": [], "Meaning": "m"}], ["e"]),
        ("old", [{"Value": "v", "N": [], "Meaning": None}], []),
    ]


def test_a_stale_etag_is_told_to_the_client(client: bigquery.Client, table: bigquery.Table) -> None:
    """Two that read the same version: the second update is a PreconditionFailed."""
    first, second = client.get_table(NAME), client.get_table(NAME)
    first.description = "first"
    client.update_table(first, ["description"])
    second.description = "second"
    with pytest.raises(exceptions.PreconditionFailed):
        client.update_table(second, ["description"])
    assert client.get_table(NAME).description == "first"


def test_pages_are_followed(client: bigquery.Client, table: bigquery.Table) -> None:
    """Small pages of a result and of a table hold every row once, in order."""
    client.insert_rows_json(table, [{"Number": n} for n in range(25)])
    result = client.query(f"SELECT Number FROM `{NAME}` ORDER BY Number").result(page_size=10)
    pages = [[row.Number for row in page] for page in result.pages]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [number for page in pages for number in page] == list(range(25))
    assert [row.Number for row in client.list_rows(NAME, page_size=7)] == list(range(25))
    assert [row.Number for row in client.list_rows(NAME, start_index=20, max_results=3)] == [20, 21, 22]


def test_parameters_dry_runs_and_jobs(client: bigquery.Client, table: bigquery.Table) -> None:
    """Typed parameters arrive as their types; a dry run has a schema and a size; jobs are listed and read."""
    client.insert_rows_json(table, [{"UID": "a", "Day": "2020-01-01"}])
    config = bigquery.QueryJobConfig(
        query_parameters=[
            ScalarQueryParameter("d", "DATE", dt.date(2020, 1, 1)),
            ScalarQueryParameter("t", "TIMESTAMP", VALUES["Moment"]),
            ScalarQueryParameter("x", "FLOAT64", 0.5),
            bigquery.ArrayQueryParameter("l", "STRING", ["a", "b"]),
        ]
    )
    sql = f"SELECT @d AS d, @t AS t, @x AS x, @l AS l FROM `{NAME}` WHERE Day = @d AND UID IN UNNEST(@l)"
    job = client.query(sql, job_config=config)
    assert [row.values() for row in job.result()] == [(dt.date(2020, 1, 1), VALUES["Moment"], 0.5, ["a", "b"])]
    assert client.get_job(job.job_id).state == "DONE"
    assert [each.job_id for each in client.list_jobs()] == [job.job_id]
    dry = client.query(f"SELECT UID FROM `{NAME}`", job_config=bigquery.QueryJobConfig(dry_run=True))
    assert dry.total_bytes_processed > 0
    assert [each.name for each in dry.schema] == ["UID"]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda client: client.query("SELEC 1").result(), exceptions.BadRequest),
        (lambda client: client.query("SELECT 1/0").result(), exceptions.BadRequest),
        (lambda client: client.query_and_wait("SELECT NET.HOST('a')"), exceptions.BadRequest),
        (lambda client: client.query("SELECT 1 FROM imaging.nope").result(), exceptions.NotFound),
        (lambda client: client.query("SELECT 1 FROM nope.nope").result(), exceptions.NotFound),
        (lambda client: client.get_table("local.imaging.nope"), exceptions.NotFound),
        (lambda client: client.get_job("nope"), exceptions.NotFound),
        (lambda client: client.insert_rows_json("local.imaging.nope", [{"a": 1}]), exceptions.NotFound),
        (lambda client: client.load_table_from_uri("gs://b/x", NAME).result(), exceptions.BadRequest),
        (lambda client: client.load_table_from_uri("gs://nope/x", NAME).result(), exceptions.NotFound),
        (lambda client: client.copy_table("local.imaging.nope", NAME).result(), exceptions.NotFound),
        (lambda client: client.create_table(bigquery.Table("local.nope.t")), exceptions.NotFound),
    ],
)
@pytest.mark.timeout(60)
def test_what_is_wrong_is_raised_at_once(
    client: bigquery.Client, table: bigquery.Table, call: Callable[[bigquery.Client], Any], error: type[Exception]
) -> None:
    """Each is the client's own exception, and none is one that it repeats the request for."""
    with pytest.raises(error):
        call(client)


def test_a_request_has_a_largest_size(client: bigquery.Client, table: bigquery.Table) -> None:
    """Beyond BigQuery's 10 MB the answer is 413; a body that is no JSON is 400."""
    with pytest.raises(exceptions.GoogleAPICallError) as caught:
        client.insert_rows_json(table, [{"UID": "x" * (10 << 20)}])
    assert caught.value.code == 413
    answer = client._http.post(f"{client._connection.API_BASE_URL}/bigquery/v2/projects/local/jobs", data=b"{")
    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, "invalid")
