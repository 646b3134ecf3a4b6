"""Rows of a query as an Arrow stream: the same rows that the official client gets cell by cell."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest
import requests

import dicomkit as dk
from dicomkit.errors import InvalidArgument

ONE = """SELECT 1 AS i, COUNT(*) AS n, SUM(2) AS s, 1.5 AS f, TRUE AS b, 'Jørgensen "\\\\' AS t, DATE '2024-02-29' AS d,
    TIME '10:30:00.5' AS clock, TIMESTAMP '2024-02-29 10:30:00+01' AS moment, DATETIME '2024-02-29 10:30:00' AS civil,
    NUMERIC '1.10' AS money, b'xyz' AS raw, [1, 2] AS several, IF(FALSE, ['x'], NULL) AS none,
    STRUCT(1 AS x, ['a'] AS y) AS rec, [STRUCT(DATE '2024-02-29' AS day, [1.5] AS z)] AS recs"""

MANY = """SELECT n, IF(MOD(n, 3) = 0, NULL, CAST(n AS STRING)) AS text, IF(MOD(n, 5) = 0, NULL, [n, n + 1]) AS pair,
    IF(MOD(n, 7) = 0, NULL, STRUCT(n AS x, [CAST(n AS STRING)] AS y)) AS rec
    FROM UNNEST(GENERATE_ARRAY(1, 70000)) AS n ORDER BY n"""
"""More rows than a record batch holds, with nothing in some cells."""


@pytest.mark.parametrize("sql", [ONE, MANY], ids=["every-type", "several-batches"])
def test_rows_are_those_of_the_official_client(conn: dk.Dataset, sql: str) -> None:
    """The same values of the same types, though one comes as Arrow and the other as JSON."""
    theirs = conn.bigquery_client().query(sql).result().to_arrow(create_bqstorage_client=False)
    ours = conn.sql(sql, dtypes="arrow")
    assert [str(kind.pyarrow_dtype) for kind in ours.dtypes] == [
        str(kind).replace(" not null", "") for kind in theirs.schema.types
    ]
    assert pa.Table.from_pandas(ours, preserve_index=False).to_pylist() == theirs.to_pylist()


@pytest.mark.parametrize("sql", ["SELECT [1, NULL] AS a", "SELECT [STRUCT([1, NULL] AS x)] AS a"])
def test_an_array_with_a_null_is_refused_as_in_json(conn: dk.Dataset, sql: str) -> None:
    """BigQuery cannot write one; whichever way the rows go, the answer is the same."""
    with pytest.raises(InvalidArgument, match="Array cannot have a null element"):
        conn.sql(sql)


def rows_of(conn: dk.Dataset, job: str) -> requests.Response:
    own = str(conn.bigquery_client()._connection.API_BASE_URL)
    return conn.session.get(f"{own}/dicomkit/v1/projects/local/queries/{job}/rows", timeout=30)


def test_the_stream_is_of_a_job_that_is_there(conn: dk.Dataset) -> None:
    """Whoever knows its id gets its rows with one request; an unknown job is not found."""
    client = conn.bigquery_client(project="local")
    job = client.query("SELECT 1 AS x")
    job.result()
    answer = rows_of(conn, job.job_id)
    assert answer.headers["Content-Type"] == "application/vnd.apache.arrow.stream"
    assert pa.ipc.open_stream(io.BytesIO(answer.content)).read_all().to_pylist() == [{"x": 1}]
    assert rows_of(conn, "nobody").status_code == 404
