"""Jobs of the official client beside plain queries: copies, extracts, loads from buckets, destination tables."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud import bigquery
from google.cloud.bigquery import CopyJobConfig, ExtractJobConfig, LoadJobConfig, QueryJobConfig, SchemaField

from dicomkit.engine.app import Engine
from dicomkit.engine.services import bigquery_extract
from dicomkit.transport.engine_adapter import ORIGIN, EngineAdapter

from .test_bigquery_client import EMPTY, NAME, SCHEMA, VALUES

pytestmark = pytest.mark.timeout(60)

COPY = "local.imaging.copied"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the bucket ``out``."""
    (tmp_path / "home" / "buckets" / "out").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def client(home: Path) -> Iterator[bigquery.Client]:
    """The official client over the home, with a table of two rows."""
    with Engine(home) as engine:
        session = AuthorizedSession(AnonymousCredentials())
        session.mount(ORIGIN, EngineAdapter(engine))
        made = bigquery.Client(
            project="local",
            credentials=AnonymousCredentials(),
            _http=session,
            client_options={"api_endpoint": ORIGIN},
        )
        made.create_dataset("imaging")
        table = made.create_table(bigquery.Table(NAME, schema=SCHEMA))
        assert made.insert_rows(table, [VALUES, {}]) == []
        yield made
        session.close()


def rows(client: bigquery.Client, name: str) -> list[dict[str, Any]]:
    return [dict(row) for row in client.list_rows(name)]


def test_a_copy_has_the_rows_and_the_schema(client: bigquery.Client) -> None:
    """Onto a table with rows it fails unless it says what becomes of those."""
    job = client.copy_table(NAME, COPY)
    job.result()
    assert rows(client, COPY) == [VALUES, EMPTY]
    assert client.get_table(COPY).schema == SCHEMA
    with pytest.raises(exceptions.Conflict):
        client.copy_table(NAME, COPY).result()
    client.copy_table([NAME, NAME], COPY, job_config=CopyJobConfig(write_disposition="WRITE_APPEND")).result()
    assert client.get_table(COPY).num_rows == 6
    client.copy_table(NAME, COPY, job_config=CopyJobConfig(write_disposition="WRITE_TRUNCATE")).result()
    assert rows(client, COPY) == [VALUES, EMPTY]
    with pytest.raises(exceptions.NotFound):
        client.copy_table(NAME, "local.imaging.x", job_config=CopyJobConfig(create_disposition="CREATE_NEVER")).result()
    with pytest.raises(exceptions.NotFound):
        client.copy_table("local.imaging.nope", COPY).result()


def test_a_copy_needs_the_columns(client: bigquery.Client) -> None:
    """A source with another column is refused, and the target stays as it was; a column that it lacks is NULL."""
    client.create_table(bigquery.Table("local.imaging.other", schema=[SchemaField("Nope", "STRING")]))
    client.create_table(bigquery.Table("local.imaging.less", schema=[SchemaField("Number", "INTEGER")]))
    client.insert_rows_json("local.imaging.less", [{"Number": 9}])
    append = CopyJobConfig(write_disposition="WRITE_APPEND")
    with pytest.raises(exceptions.BadRequest, match="Cannot add fields \\(field: Nope\\)"):
        client.copy_table("local.imaging.other", NAME, job_config=append).result()
    client.copy_table("local.imaging.less", NAME, job_config=append).result()
    assert rows(client, NAME)[2] == {**EMPTY, "Number": 9}


def test_json_lines_are_extracted_and_loaded_again(client: bigquery.Client, home: Path) -> None:
    """An INT64 is text, a TIMESTAMP ends with UTC, NULL is left out, as the documentation says; nothing is lost."""
    config = ExtractJobConfig(destination_format="NEWLINE_DELIMITED_JSON")
    job = client.extract_table(NAME, "gs://out/all.json", job_config=config)
    job.result()
    assert job.destination_uri_file_counts == [1]
    first, second = (json.loads(line) for line in (home / "buckets/out/all.json").read_text().splitlines())
    assert first == {
        "UID": "1.2.3", "Number": "-7", "Ratio": 0.25, "Flag": True, "Day": "2018-04-27", "Clock": "20:08:07.000001",
        "Moment": "2018-04-27 20:27:40.000005 UTC", "Local": "2018-04-27T20:27:40", "Money": "1.5", "Raw": "AP8=",
        "Names": ["Jørgensen", '"\\'], "Codes": [{"Value": "a", "N": ["1", "2"]}, {"N": []}],
    }  # fmt: skip
    assert second == {"Names": [], "Codes": []}
    load = LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=SCHEMA)
    job = client.load_table_from_uri("gs://out/all.json", COPY, job_config=load)
    job.result()
    assert (job.output_rows, job.input_files) == (2, 1)
    assert rows(client, COPY) == [VALUES, EMPTY]


def test_parquet_is_extracted_and_loaded_again(client: bigquery.Client, home: Path) -> None:
    """The file has the table's types; every compression that BigQuery has for it is read back."""
    for compression in ("NONE", "SNAPPY", "GZIP", "ZSTD"):
        config = ExtractJobConfig(destination_format="PARQUET", compression=compression)
        client.extract_table(NAME, "gs://out/t.parquet", job_config=config).result()
        found = pq.read_table(home / "buckets/out/t.parquet")
        assert found.num_rows == 2
        assert found.schema.names == [field.name for field in SCHEMA]
        load = LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE", schema=SCHEMA)
        load.parquet_options = bigquery.ParquetOptions.from_api_repr({"enableListInference": True})
        client.load_table_from_uri("gs://out/t.parquet", COPY, job_config=load).result()
        assert rows(client, COPY) == [VALUES, EMPTY]


def test_csv_is_extracted(client: bigquery.Client, home: Path) -> None:
    """With a header and commas unless told otherwise; an empty text is not NULL; a nested column is refused."""
    with pytest.raises(exceptions.BadRequest, match="nested schema. Field: Names"):
        client.extract_table(NAME, "gs://out/t.csv").result()
    sql = "CREATE TABLE imaging.flat AS SELECT 1 AS a, 'x,\"y\"' AS b, '' AS c, CAST(NULL AS STRING) AS d, TRUE AS e"
    client.query_and_wait(sql)
    client.extract_table("local.imaging.flat", "gs://out/t.csv").result()
    assert (home / "buckets/out/t.csv").read_text() == 'a,b,c,d,e\n1,"x,""y""","",,true\n'
    config = ExtractJobConfig(print_header=False, field_delimiter="|", compression="GZIP")
    client.extract_table("local.imaging.flat", "gs://out/t.csv.gz", job_config=config).result()
    assert gzip.decompress((home / "buckets/out/t.csv.gz").read_bytes()) == b'1|"x,""y"""|""||true\n'


def test_a_wildcard_makes_several_files(client: bigquery.Client, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve digits in place of the star, every row once; a load takes them all by one."""
    monkeypatch.setattr(bigquery_extract, "SHARD_BYTES", 1)
    client.query_and_wait("CREATE TABLE imaging.many AS SELECT n FROM UNNEST(GENERATE_ARRAY(1, 9000)) AS n")
    config = ExtractJobConfig(destination_format="NEWLINE_DELIMITED_JSON")
    job = client.extract_table("local.imaging.many", "gs://out/dir/part-*.json", job_config=config)
    job.result()
    names = sorted(path.name for path in (home / "buckets/out/dir").iterdir())
    assert names == [f"part-{number:012d}.json" for number in range(3)]
    assert job.destination_uri_file_counts == [3]
    load = LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=[SchemaField("n", "INTEGER")])
    job = client.load_table_from_uri("gs://out/dir/*", "local.imaging.again", job_config=load)
    job.result()
    assert (job.input_files, job.output_rows) == (3, 9000)
    sql = "SELECT COUNT(*), COUNT(DISTINCT n), SUM(n) FROM imaging.again"
    assert [row.values() for row in client.query_and_wait(sql)] == [(9000, 9000, 9000 * 9001 // 2)]
    monkeypatch.setattr(bigquery_extract, "MAX_FILE_BYTES", 1)
    with pytest.raises(exceptions.BadRequest, match="too large to be exported to a single file"):
        client.extract_table("local.imaging.many", "gs://out/one.json", job_config=config).result()
    assert not (home / "buckets/out/one.json").exists()


@pytest.mark.parametrize(
    ("uri", "options", "error"),
    [
        ("gs://nope/x.csv", {}, exceptions.NotFound),
        ("/etc/x.csv", {}, exceptions.BadRequest),
        ("gs://out/../x.csv", {}, exceptions.BadRequest),
        ("gs://out/a*b*", {}, exceptions.BadRequest),
        ("gs://out/x", {"destination_format": "AVRO"}, exceptions.MethodNotImplemented),
        ("gs://out/x", {"compression": "SNAPPY"}, exceptions.BadRequest),
        ("gs://out/x", {"field_delimiter": '"'}, exceptions.BadRequest),
        (["gs://out/x", "gs://out/y"], {}, exceptions.MethodNotImplemented),
    ],
)
def test_an_extract_that_cannot_be_writes_nothing(
    client: bigquery.Client, home: Path, uri: Any, options: dict[str, Any], error: type[Exception]
) -> None:
    """No file anywhere: neither in the bucket nor beside it."""
    client.query_and_wait("CREATE TABLE imaging.flat AS SELECT 1 AS a")
    with pytest.raises(error):
        client.extract_table("local.imaging.flat", uri, job_config=ExtractJobConfig(**options)).result()
    assert [path for path in (home / "buckets").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("uri", ["gs://out/nothing", "gs://out/nothing*", "gs://nope/x"])
def test_a_load_of_nothing_is_not_found(client: bigquery.Client, uri: str) -> None:
    """An object, a pattern or a bucket that is not there."""
    with pytest.raises(exceptions.NotFound):
        client.load_table_from_uri(uri, COPY, job_config=LoadJobConfig(source_format="CSV")).result()


def test_the_rows_of_a_query_go_into_a_table(client: bigquery.Client) -> None:
    """Into a new one, one without rows, after those that are there, or in their place; and the client has them, too."""

    def run(sql: str, **options: Any) -> list[tuple[Any, ...]]:
        config = QueryJobConfig(destination=COPY, **options)
        return [row.values() for row in client.query(sql, job_config=config).result()]

    assert run("SELECT 1 AS a, ['x'] AS l, STRUCT(2 AS b) AS s") == [(1, ["x"], {"b": 2})]
    assert rows(client, COPY) == [{"a": 1, "l": ["x"], "s": {"b": 2}}]
    with pytest.raises(exceptions.Conflict):
        run("SELECT 2 AS a")
    assert run("SELECT 2 AS a", write_disposition="WRITE_APPEND") == [(2,)]
    assert [row["a"] for row in rows(client, COPY)] == [1, 2]
    with pytest.raises(exceptions.BadRequest, match="Cannot add fields \\(field: z\\)"):
        run("SELECT 3 AS a, 4 AS z", write_disposition="WRITE_APPEND")
    run("SELECT 3 AS a, 4 AS z", write_disposition="WRITE_APPEND", schema_update_options=["ALLOW_FIELD_ADDITION"])
    assert [(row["a"], row["z"]) for row in rows(client, COPY)] == [(1, None), (2, None), (3, 4)]
    run("SELECT SUM(a) AS total FROM imaging.copied", write_disposition="WRITE_TRUNCATE")
    assert rows(client, COPY) == [{"total": 6}]
    with pytest.raises(exceptions.NotFound):
        config = QueryJobConfig(destination="local.imaging.x", create_disposition="CREATE_NEVER")
        client.query("SELECT 1 AS a", job_config=config).result()
    with pytest.raises(exceptions.BadRequest, match="DML or DDL"):
        run("DELETE FROM imaging.ct WHERE TRUE")


def test_a_limit_of_cost_is_kept(client: bigquery.Client) -> None:
    """Ten megabytes are billed for a table at the least, as in BigQuery; nothing where no table is read."""
    config = QueryJobConfig(maximum_bytes_billed=1 << 20)
    with pytest.raises(exceptions.BadRequest, match="limit for bytes billed: 1048576. 10485760 or higher") as caught:
        client.query(f"SELECT UID FROM `{NAME}`", job_config=config).result()
    assert caught.value.errors[0]["reason"] == "bytesBilledLimitExceeded"
    assert next(iter(client.query("SELECT 1", job_config=config).result())).values() == (1,)
    job = client.query(f"SELECT UID FROM `{NAME}`", job_config=QueryJobConfig(maximum_bytes_billed=10 << 20))
    job.result()
    job = client.get_job(job.job_id)
    assert (job.cache_hit, job.total_bytes_billed) == (False, 10 << 20)
    assert 0 < job.total_bytes_processed < 1000
    assert [table.table_id for table in job.referenced_tables] == ["ct"]


def test_jobs_are_listed_by_state_and_deleted(client: bigquery.Client) -> None:
    """The newest first, each with its kind; one that failed has its error; one that is forgotten is gone."""
    client.query("SELECT 1", job_id="good", job_retry=None).result(job_retry=None)
    client.copy_table(NAME, COPY, job_id="copied").result()
    with pytest.raises(exceptions.BadRequest):
        client.query("SELECT 1/0", job_id="bad", job_retry=None).result(job_retry=None)
    assert [job.job_id for job in client.list_jobs(state_filter="done")] == ["bad", "copied", "good"]
    assert [job.job_id for job in client.list_jobs(state_filter="running")] == []
    assert [job.job_type for job in client.list_jobs()] == ["query", "copy", "query"]
    bad = client.get_job("bad")
    assert (bad.state, bad.error_result["reason"], bad.location) == ("DONE", "invalidQuery", "local")
    assert isinstance(bad.ended, dt.datetime)
    assert client.cancel_job("good").state == "DONE"
    client.delete_job_metadata("good")
    with pytest.raises(exceptions.NotFound):
        client.get_job("good")
    with pytest.raises(exceptions.Conflict):
        client.query("SELECT 1", job_id="bad", job_retry=None)


def test_wildcard_tables(client: bigquery.Client) -> None:
    """The schema is that of the table that was made last; _TABLE_SUFFIX chooses, and is not in a star."""
    for year, more in (("2020", ""), ("2021", ", 'x' AS extra")):
        client.query_and_wait(f"CREATE TABLE imaging.log_{year} AS SELECT {year} AS n{more}")

    def values(sql: str) -> list[tuple[Any, ...]]:
        return [row.values() for row in client.query_and_wait(sql)]

    assert values("SELECT *, _TABLE_SUFFIX AS s FROM `imaging.log_*` ORDER BY n") == [
        (2020, None, "2020"),
        (2021, "x", "2021"),
    ]
    assert values("SELECT * FROM `local.imaging.log_20*` AS t WHERE t._TABLE_SUFFIX = '21'") == [(2021, "x")]
    assert values("SELECT _table_suffix AS s, COUNT(*) FROM `imaging.lo*` GROUP BY s ORDER BY s") == [
        ("g_2020", 1),
        ("g_2021", 1),
    ]
    with pytest.raises(exceptions.BadRequest, match="does not match any table"):
        values("SELECT 1 FROM `imaging.nope*`")
    client.query_and_wait("CREATE TABLE imaging.log_2022 AS SELECT 'text' AS n")
    with pytest.raises(exceptions.BadRequest, match="Cannot read field of type INTEGER as STRING Field: n"):
        values("SELECT n FROM `imaging.log_*`")
