"""Load jobs as the official client makes them, unmodified: JSON, Parquet, CSV, frames; multipart and resumable."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud import bigquery
from google.cloud.bigquery import LoadJobConfig, SchemaField

from dicomkit.engine.app import Engine
from dicomkit.transport.engine_adapter import ORIGIN, EngineAdapter

from .test_bigquery_client import EMPTY, NAME, VALUES, client, table

__all__ = ["client", "table"]  # fixtures

pytestmark = [pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"), pytest.mark.timeout(60)]

UID = SchemaField("UID", "STRING")
NUMBER = SchemaField("Number", "INTEGER")

JSON_VALUES: dict[str, Any] = {
    **VALUES,
    "Day": "2018-04-27",
    "Clock": "20:08:07.000001",
    "Moment": "2018-04-27T20:27:40.000005Z",
    "Local": "2018-04-27 20:27:40",
    "Money": "1.5",
    "Raw": "AP8=",
}


def stored(client: bigquery.Client, name: str = NAME) -> list[dict[str, Any]]:
    return [dict(row) for row in client.list_rows(name)]


def test_json_rows_are_loaded_into_a_table(client: bigquery.Client, table: bigquery.Table) -> None:
    """load_table_from_json needs no configuration where the table is there; the job says what it did."""
    job = client.load_table_from_json([JSON_VALUES, {}], NAME)
    job.result()
    assert stored(client) == [VALUES, EMPTY]
    assert (job.state, job.output_rows, job.input_files) == ("DONE", 2, 1)
    assert client.get_job(job.job_id).job_type == "load"


def test_a_file_in_pieces_is_loaded_once(client: bigquery.Client, table: bigquery.Table) -> None:
    """More than the 100 MB of the client's one request is too long for a test; without a size it is resumable, too."""
    lines = "".join(json.dumps({"UID": "x" * 500, "Number": n}) + "\n" for n in range(5_000)).encode()
    config = LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON")
    job = client.load_table_from_file(io.BytesIO(lines), NAME, job_config=config)
    job.result()
    assert job.output_rows == 5_000
    sql = f"SELECT COUNT(*) AS n, SUM(Number) AS s FROM `{NAME}`"
    assert [row.values() for row in client.query_and_wait(sql)] == [(5_000, sum(range(5_000)))]


def test_pieces_are_answered_with_how_far_it_is(client: bigquery.Client, table: bigquery.Table) -> None:
    """308 with Range; a piece that comes twice is kept once, and the last answer can be asked for again."""
    resource = {
        "jobReference": {"projectId": "local", "jobId": "pieces"},
        "configuration": {
            "load": {"sourceFormat": "NEWLINE_DELIMITED_JSON", "destinationTable": table.reference.to_api_repr()}
        },
    }
    base = client._connection.API_BASE_URL
    url = f"{base}/upload/bigquery/v2/projects/local/jobs?uploadType=resumable"
    begun = client._http.post(url, data=json.dumps(resource))
    data = b'{"UID": "a"}\n{"UID": "b"}\n'

    def put(piece: bytes, span: str) -> Any:
        headers = {"Content-Range": f"bytes {span}"}
        return client._http.put(begun.headers["Location"], data=piece, headers=headers, allow_redirects=False)

    assert put(b"", "*/*").headers.get("Range") is None
    first = put(data[:10], "0-9/*")
    assert (first.status_code, first.headers["Range"]) == (308, "bytes=0-9")
    assert put(data[:10], "0-9/*").headers["Range"] == "bytes=0-9"
    assert put(data[20:], f"20-{len(data) - 1}/{len(data)}").headers["Range"] == "bytes=0-9"
    done = put(data[5:], f"5-{len(data) - 1}/{len(data)}")
    assert done.status_code == 200
    assert put(b"", f"*/{len(data)}").json()["id"] == done.json()["id"]
    assert [row["UID"] for row in stored(client)] == ["a", "b"]
    assert put(b"x", "nonsense").status_code == 200
    lost = begun.headers["Location"].replace("upload_id=", "upload_id=x")
    assert client._http.put(lost, data=b"").status_code == 404


def test_a_frame_makes_its_table(client: bigquery.Client, table: bigquery.Table) -> None:
    """load_table_from_dataframe sends Parquet with a schema; lists, dates and times arrive as what they are."""
    frame = pd.DataFrame(
        {
            "UID": ["a", None],
            "Number": pd.array([1, None], "Int64"),
            "Ratio": [0.5, 1.5],
            "Flag": [True, False],
            "Day": [dt.date(2020, 1, 2), None],
            "Moment": pd.to_datetime(["2020-01-02T03:04:05Z", None]),
            "Names": [["x", "y"], []],
        }
    )
    config = LoadJobConfig(schema=[SchemaField("Names", "STRING", "REPEATED")])
    job = client.load_table_from_dataframe(frame, "local.imaging.frame", job_config=config)
    job.result()
    assert {field.name: field.field_type for field in client.get_table("local.imaging.frame").schema} == {
        "UID": "STRING", "Number": "INTEGER", "Ratio": "FLOAT", "Flag": "BOOLEAN", "Day": "DATE",
        "Moment": "TIMESTAMP", "Names": "STRING",
    }  # fmt: skip
    moment = dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    assert [tuple(row.values()) for row in stored(client, "local.imaging.frame")] == [
        ("a", 1, 0.5, True, dt.date(2020, 1, 2), moment, ["x", "y"]),
        (None, None, 1.5, False, None, None, []),
    ]


def test_a_frame_goes_into_the_table_that_is_there(client: bigquery.Client, table: bigquery.Table) -> None:
    """Its columns are a part of the table's, of every type and nesting."""
    frame = pd.DataFrame([VALUES])
    client.load_table_from_dataframe(frame, NAME).result()
    assert stored(client) == [VALUES]


def test_parquet_brings_its_own_schema(client: bigquery.Client, table: bigquery.Table) -> None:
    """A nested file makes a table; what it holds is what a query of the same values holds."""
    rows = [{"a": 1, "codes": [{"v": "x", "n": [1, 2]}, {"v": None, "n": []}]}, {"a": None, "codes": None}]
    kind = pa.schema(
        [("a", pa.int32()), ("codes", pa.list_(pa.struct([("v", pa.string()), ("n", pa.list_(pa.int64()))])))]
    )
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, kind), file)
    options = bigquery.ParquetOptions()
    options.enable_list_inference = True
    config = LoadJobConfig(source_format="PARQUET")
    config.parquet_options = options
    client.load_table_from_file(file, "local.imaging.nested", rewind=True, job_config=config).result()
    assert stored(client, "local.imaging.nested") == [rows[0], {"a": None, "codes": []}]
    config.parquet_options = None
    with pytest.raises(exceptions.GoogleAPICallError, match="without parquetOptions.enableListInference"):
        client.load_table_from_file(file, "local.imaging.nested2", rewind=True, job_config=config).result()


def test_csv_tells_missing_from_empty(client: bigquery.Client, table: bigquery.Table) -> None:
    """An empty field is NULL, a quoted empty text is a text; columns are taken in order."""
    config = LoadJobConfig(source_format="CSV", skip_leading_rows=1, schema=[UID, NUMBER, SchemaField("Day", "DATE")])
    data = b'uid,number,day\n"a,b",1,2020-01-02\n,,\n"",2,\n'
    client.load_table_from_file(io.BytesIO(gzip.compress(data)), "local.imaging.csv", job_config=config).result()
    assert [tuple(row.values()) for row in stored(client, "local.imaging.csv")] == [
        ("a,b", 1, dt.date(2020, 1, 2)), (None, None, None), ("", 2, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        (b"a,1\nb\nc,2,3\nd,x\ne,5\n", {"max_bad_records": 3}, [("a", 1), ("e", 5)]),
        (b"a,1\nb\nc,2,3\nd,x\ne,5\n", {"max_bad_records": 2}, "too many errors"),
        (b'"a\nb",1\n', {"allow_quoted_newlines": True}, [("a\nb", 1)]),
        (b"a|1\nNA|NA\n", {"field_delimiter": "|", "null_marker": "NA"}, [("a", 1), (None, None)]),
        ("J\u00f8rgen,1\n".encode("latin-1"), {"encoding": "ISO-8859-1"}, [("J\u00f8rgen", 1)]),
        (b"J\xf8rgen,1\n", {}, "no text in the encoding"),
        (b"a,1\nJ\xf8rgen\n", {"max_bad_records": 9}, "no text in the encoding"),
        (b"\x1f\x8b rubbish", {}, "gzip"),
        (b"", {}, []),
        (
            b"uid,number\n1.2.840.1,7\n",
            {"autodetect": True, "skip_leading_rows": 1, "schema": None},
            [("1.2.840.1", 7)],
        ),
        (b"uid,number\na,b\n", {"autodetect": True, "skip_leading_rows": 1, "schema": None}, "all text is ambiguous"),
        (b"uid,number\na,1\n", {"autodetect": True, "schema": None}, "without skipLeadingRows"),
    ],
)
def test_files_of_csv(
    client: bigquery.Client, table: bigquery.Table, data: bytes, options: dict[str, Any], expected: Any
) -> None:
    """Rows, or the error that says what is wrong; never a defect."""
    config = LoadJobConfig(**{"source_format": "CSV", "schema": [UID, NUMBER], **options})
    job = client.load_table_from_file(io.BytesIO(data), "local.imaging.csv", job_config=config)
    if isinstance(expected, str):
        with pytest.raises(exceptions.BadRequest, match=expected):
            job.result()
    else:
        job.result()
        assert [tuple(row.values()) for row in stored(client, "local.imaging.csv")] == expected


def test_write_dispositions(client: bigquery.Client, table: bigquery.Table) -> None:
    """EMPTY refuses a table with rows, APPEND adds, TRUNCATE replaces rows and schema."""

    def load(rows: list[dict[str, Any]], write: str, **options: Any) -> None:
        client.load_table_from_json(rows, NAME, job_config=LoadJobConfig(write_disposition=write, **options)).result()

    load([{"UID": "a"}], "WRITE_EMPTY", schema=[UID])
    load([{"UID": "b"}], "WRITE_APPEND")
    with pytest.raises(exceptions.Conflict, match="Already Exists: Table local:imaging.ct"):
        load([{"UID": "c"}], "WRITE_EMPTY", schema=[UID])
    assert [row["UID"] for row in stored(client)] == ["a", "b"]
    load([{"UID": "d", "Number": 1}], "WRITE_TRUNCATE", schema=[UID, NUMBER])
    assert stored(client) == [{"UID": "d", "Number": 1}]
    assert client.get_table(NAME).schema == [UID, NUMBER]
    assert client.insert_rows_json(NAME, [{"UID": "e"}]) == []


def test_a_schema_grows_only_where_it_was_allowed(client: bigquery.Client, table: bigquery.Table) -> None:
    """Without the option the new field is refused by name, and nothing is loaded."""
    wider = [UID, SchemaField("Extra", "STRING", "REPEATED")]
    config = LoadJobConfig(schema=wider)
    with pytest.raises(exceptions.BadRequest, match=r"Cannot add fields \(field: Extra\)"):
        client.load_table_from_json([{"UID": "a", "Extra": ["x"]}], NAME, job_config=config).result()
    config.schema_update_options = ["ALLOW_FIELD_ADDITION"]
    client.load_table_from_json([{"UID": "a", "Extra": ["x"]}], NAME, job_config=config).result()
    assert stored(client) == [{**EMPTY, "UID": "a", "Extra": ["x"]}]
    config.schema = [SchemaField("UID", "INTEGER")]
    with pytest.raises(exceptions.BadRequest, match="Field UID has changed type from STRING to INTEGER"):
        client.load_table_from_json([{"UID": 1}], NAME, job_config=config).result()


def test_missing_tables_and_datasets_are_the_jobs_errors(client: bigquery.Client, table: bigquery.Table) -> None:
    """CREATE_NEVER, a dataset that is not there, and no schema anywhere."""
    never = LoadJobConfig(create_disposition="CREATE_NEVER", schema=[UID])
    with pytest.raises(exceptions.NotFound, match="Table local:imaging.none"):
        client.load_table_from_json([{"UID": "a"}], "local.imaging.none", job_config=never).result()
    with pytest.raises(exceptions.NotFound, match="Dataset local:none"):
        client.load_table_from_json([{"UID": "a"}], "local.none.t", job_config=LoadJobConfig(schema=[UID])).result()
    config = LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON")
    with pytest.raises(exceptions.BadRequest, match="No schema specified on job or table"):
        client.load_table_from_file(io.BytesIO(b"{}"), "local.imaging.none", job_config=config).result()


def test_bad_rows_are_told_and_nothing_stays(client: bigquery.Client, table: bigquery.Table) -> None:
    """The place of the row and its field, not its value; maxBadRecords lets them be left out."""
    rows = [{"UID": "a"}, {"Nope": "secret"}, {"Day": "2020-02-30"}, {"UID": "b", "Number": "7"}]
    job = client.load_table_from_json(rows, NAME)
    with pytest.raises(exceptions.BadRequest, match="too many errors"):
        job.result()
    assert "no such field: Nope" in str(job.errors)
    assert "secret" not in str(job.errors)
    assert stored(client) == []
    job = client.load_table_from_json(rows, NAME, job_config=LoadJobConfig(max_bad_records=2))
    job.result()
    assert [(row["UID"], row["Number"]) for row in stored(client)] == [("a", None), ("b", 7)]


def test_autodetect_is_no_guess(client: bigquery.Client, table: bigquery.Table) -> None:
    """Plain JSON types and texts that are nothing else are taken; what might be a number is refused by name."""
    rows = [{"uid": "1.2.840.1", "n": 1, "r": 0.5, "b": True, "day": "2020-01-02", "l": ["CT"], "s": {"x": "word"}}]
    client.load_table_from_json(rows, "local.imaging.auto").result()
    assert [(field.name, field.field_type, field.mode) for field in client.get_table("local.imaging.auto").schema] == [
        ("uid", "STRING", "NULLABLE"), ("n", "INTEGER", "NULLABLE"), ("r", "FLOAT", "NULLABLE"),
        ("b", "BOOLEAN", "NULLABLE"), ("day", "DATE", "NULLABLE"), ("l", "STRING", "REPEATED"),
        ("s", "RECORD", "NULLABLE"),
    ]  # fmt: skip
    for bad in ({"n": "12"}, {"n": None}, {"n": "2020-01-02 10:00:00"}, {"n": "y"}):
        with pytest.raises(exceptions.BadRequest, match="autodetect of n is ambiguous"):
            client.load_table_from_json([bad], "local.imaging.auto2").result()


def test_nothing_is_left_of_an_upload(tmp_path: Path) -> None:
    """Whole, failed, refused or given up: no file with rows stays in the home."""
    with Engine(tmp_path / "home") as engine:
        session = AuthorizedSession(AnonymousCredentials())
        session.mount(ORIGIN, EngineAdapter(engine))
        made = bigquery.Client(
            project="local",
            credentials=AnonymousCredentials(),
            _http=session,
            client_options={"api_endpoint": ORIGIN},
        )
        made.create_dataset("imaging")
        config = LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=[UID])
        big = b'{"UID": "' + b"x" * (5 << 20) + b'"}'
        for data, size in ((big, len(big)), (big, None), (b"{", 1), (b"{", None)):
            job = made.load_table_from_file(io.BytesIO(data), NAME, size=size, job_config=config)
            assert (job.exception() is None) == (data is big)
        config.allow_jagged_rows = True
        with pytest.raises(exceptions.MethodNotImplemented):
            made.load_table_from_file(io.BytesIO(big), NAME, job_config=config)
        url = f"{ORIGIN}/upload/bigquery/v2/projects/local/jobs?uploadType="
        begun = session.post(f"{url}resumable", data=b"{}")
        assert session.put(begun.headers["Location"], data=b"x", headers={"Content-Range": "bytes 0-0/9"}).status_code
        assert session.post(f"{url}multipart", data=b"x").status_code == 400
        assert session.post(f"{url}media", data=b"x").status_code == 501
        session.close()
    assert list((tmp_path / "home" / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source_format": "AVRO"}, "sourceFormat AVRO"),
        ({"allow_jagged_rows": True}, "allowJaggedRows"),
        ({"encoding": "UTF-16BE"}, "encoding"),
    ],
)
def test_what_is_not_understood_is_refused(
    client: bigquery.Client, table: bigquery.Table, options: dict[str, Any], message: str
) -> None:
    """By its name, at once."""
    with pytest.raises(exceptions.MethodNotImplemented, match=message):
        client.load_table_from_file(io.BytesIO(b"x"), NAME, size=1, job_config=LoadJobConfig(**options))
    with pytest.raises(exceptions.NotFound, match="bucket"):
        client.load_table_from_uri("gs://bucket/x.csv", NAME).result()
