"""Parameters of queries as the official client makes them: every type, arrays, records, NULL."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery
from google.cloud.bigquery import ArrayQueryParameter, QueryJobConfig, ScalarQueryParameter, StructQueryParameter

from .test_bigquery_client import NAME, client, table

__all__ = ["client", "table"]  # fixtures

pytestmark = pytest.mark.timeout(60)

SCALARS: list[tuple[str, Any]] = [
    ("STRING", "x'`\"\\"),
    ("INT64", -(1 << 63)),
    ("FLOAT64", 0.1),
    ("BOOL", True),
    ("NUMERIC", decimal.Decimal("1.5")),
    ("BYTES", b"\x00\xff"),
    ("DATE", dt.date(2020, 1, 5)),
    ("TIME", dt.time(1, 2, 3, 4)),
    ("DATETIME", dt.datetime(2020, 1, 5, 1, 2, 3)),
    ("TIMESTAMP", dt.datetime(2020, 1, 5, 1, 2, 3, 4, tzinfo=dt.UTC)),
]


def one(client: bigquery.Client, sql: str, *parameters: Any) -> Any:
    (row,) = client.query_and_wait(sql, job_config=QueryJobConfig(query_parameters=list(parameters)))
    return row[0] if len(row) == 1 else row.values()


@pytest.mark.parametrize(("kind", "value"), SCALARS, ids=[kind for kind, _ in SCALARS])
def test_a_value_of_every_type_comes_back(client: bigquery.Client, kind: str, value: Any) -> None:
    """Alone, as NULL, in an array, in a record: by name and by place."""
    assert one(client, "SELECT @p AS p", ScalarQueryParameter("p", kind, value)) == value
    assert one(client, "SELECT ? AS p", ScalarQueryParameter(None, kind, None)) is None
    assert one(client, "SELECT @p AS p", ArrayQueryParameter("p", kind, [value, value])) == [value, value]
    assert one(client, "SELECT ? AS p", ArrayQueryParameter(None, kind, [])) == []
    record = StructQueryParameter("p", ScalarQueryParameter("x", kind, value), ScalarQueryParameter("y", "INT64", None))
    assert one(client, "SELECT @p.x AS x, @p.y AS y", record) == (value, None)


def test_records_are_nested(client: bigquery.Client, table: bigquery.Table) -> None:
    """A record in a record, an array in it, an array of records: as a cohort is sent with its thresholds."""
    inner = StructQueryParameter("limits", ScalarQueryParameter("least", "FLOAT64", 0.5))
    record = StructQueryParameter("p", inner, ArrayQueryParameter("uids", "STRING", ["a", "b"]))
    assert one(client, "SELECT @p.limits.least AS l, @p.uids AS u", record) == (0.5, ["a", "b"])
    pairs = ArrayQueryParameter(
        "pairs",
        "STRUCT",
        [
            StructQueryParameter(
                None, ScalarQueryParameter("uid", "STRING", uid), ScalarQueryParameter("n", "INT64", n)
            )
            for uid, n in (("a", 1), ("b", 2))
        ],
    )
    client.insert_rows_json(table, [{"UID": "b"}, {"UID": "c"}])
    sql = f"SELECT t.UID, p.n FROM `{NAME}` AS t JOIN UNNEST(@pairs) AS p ON p.uid = t.UID"
    assert one(client, sql, pairs) == ("b", 2)


def test_parameters_stand_in_statements(client: bigquery.Client, table: bigquery.Table) -> None:
    """An INSERT and an UPDATE take them as a query does."""
    config = QueryJobConfig(
        query_parameters=[ScalarQueryParameter(None, "STRING", "a"), ScalarQueryParameter(None, "INT64", 1)]
    )
    client.query_and_wait(f"INSERT `{NAME}` (UID, Number) VALUES (?, ?)", job_config=config)
    config = QueryJobConfig(query_parameters=[ArrayQueryParameter("names", "STRING", ["x"])])
    client.query_and_wait(f"UPDATE `{NAME}` SET Names = @names WHERE TRUE", job_config=config)
    assert one(client, f"SELECT UID, Number, Names FROM `{NAME}`") == ("a", 1, ["x"])


@pytest.mark.parametrize(
    ("sql", "parameters", "message"),
    [
        ("SELECT @q", [ScalarQueryParameter("p", "INT64", 1)], "Query parameter 'q' not found"),
        ("SELECT ?, ?", [ScalarQueryParameter(None, "INT64", 1)], "Query parameter '\\?' not found"),
        ("SELECT @p", [ScalarQueryParameter("p", "INT64", "x")], "Cannot convert value to integer"),
        ("SELECT @p", [ScalarQueryParameter("p", "DATE", "2020-13-01")], "Could not parse as DATE"),
        ("SELECT @p", [ScalarQueryParameter("p", "GEOGRAPHY", "POINT(1 2)")], "parameter of type GEOGRAPHY"),
        ("SELECT @p", [ScalarQueryParameter("p", "BIGNUMERIC", "1")], "parameter of type BIGNUMERIC"),
        ("SELECT @p", [ScalarQueryParameter("p", "NOPE", "1")], "NOPE"),
        (
            "SELECT @p.z",
            [StructQueryParameter("p", ScalarQueryParameter("x", "INT64", 1))],
            "Field name z does not exist",
        ),
        ("SELECT @p", [ScalarQueryParameter("p", "INT64", 1), ScalarQueryParameter("P", "INT64", 2)], "Duplicate"),
        ("SELECT @p + 1", [ScalarQueryParameter("p", "STRING", "1")], "No matching signature for operator \\+"),
    ],
)
def test_a_parameter_that_is_wrong_is_explained(
    client: bigquery.Client, sql: str, parameters: list[Any], message: str
) -> None:
    """As the client's BadRequest, at once."""
    with pytest.raises(exceptions.BadRequest, match=message):
        one(client, sql, *parameters)
