"""REST cells against the decoder of the official client: what is encoded is read as the same values."""

from __future__ import annotations

import datetime as dt
import decimal
import math
from typing import Any

import orjson
import pyarrow as pa
import pytest
from google.cloud.bigquery._helpers import _rows_from_json
from google.cloud.bigquery.schema import SchemaField
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomkit.engine.services.bigquery_cells import ISO, MICROSECONDS, SECONDS, rows_json
from dicomkit.errors import InvalidArgument

from .conftest import field

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
MOMENTS = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30))

SCALARS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "STRING": (pa.string(), TEXT),
    "INTEGER": (pa.int64(), INT64),
    "FLOAT": (pa.float64(), st.floats(allow_nan=False)),
    "BOOLEAN": (pa.bool_(), st.booleans()),
    "BYTES": (pa.binary(), st.binary()),
    "DATE": (pa.date32(), st.dates()),
    "TIME": (pa.time64("us"), st.times()),
    "DATETIME": (pa.timestamp("us"), MOMENTS),
    "TIMESTAMP": (pa.timestamp("us", "UTC"), MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.UTC))),
    "NUMERIC": (
        pa.decimal128(38, 9),
        st.decimals(-(10**28), 10**28, allow_nan=False, places=9).map(lambda number: decimal.Decimal(number)),
    ),
}


def decoded(table: pa.Table, fields: list[dict[str, Any]], timestamps: str = MICROSECONDS) -> list[tuple[Any, ...]]:
    """Rows as the official client reads them."""
    encoded = orjson.loads(rows_json(table, fields, timestamps=timestamps))
    return [row.values() for row in _rows_from_json(encoded, [SchemaField.from_api_repr(each) for each in fields])]


@pytest.mark.parametrize("kind", SCALARS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_values_of_every_type_and_shape_are_read_back(kind: str, data: st.DataObject) -> None:
    """A column, an array and an array inside of an array of records, with NULLs where there can be some."""
    arrow, strategy = SCALARS[kind]
    value = strategy | st.none()
    record = st.fixed_dictionaries({"a": value, "b": st.lists(strategy, max_size=3)}) | st.none()
    rows = data.draw(
        st.lists(
            st.tuples(value, st.lists(strategy, max_size=3), record, st.lists(record.filter(bool), max_size=2)),
            min_size=1,
            max_size=4,
        )
    )
    inner = pa.struct([("a", arrow), ("b", pa.list_(arrow))])
    types = [arrow, pa.list_(arrow), inner, pa.list_(inner)]
    table = pa.Table.from_arrays(
        [pa.array(column, of) for column, of in zip(zip(*rows, strict=True), types, strict=True)], list("wxyz")
    )
    parts = (field("a", kind), field("b", kind, mode="REPEATED"))
    fields = [
        field("w", kind),
        field("x", kind, mode="REPEATED"),
        field("y", "RECORD", *parts),
        field("z", "RECORD", *parts, mode="REPEATED"),
    ]
    # A slice has offsets of its own.
    assert decoded(table, fields) == rows
    assert decoded(table.slice(1), fields) == rows[1:]


def test_numbers_that_json_has_not_are_words() -> None:
    """NaN and the infinities are written as BigQuery writes them."""
    table = pa.table({"x": [math.nan, math.inf, -math.inf, 1.0]})
    text = [row["f"][0]["v"] for row in orjson.loads(rows_json(table, [field("x", "FLOAT")]))]
    assert text == ["NaN", "Infinity", "-Infinity", "1.0"]


def test_timestamps_have_three_forms() -> None:
    """Seconds by default, microseconds and ISO 8601 on demand."""
    table = pa.table({"t": pa.array([1524860845000001], pa.timestamp("us", "UTC"))})

    def text(form: str) -> str:
        written: str = orjson.loads(rows_json(table, [field("t", "TIMESTAMP")], timestamps=form))[0]["f"][0]["v"]
        return written

    assert float(text(SECONDS)) == 1524860845.000001
    assert text(MICROSECONDS) == "1524860845000001"
    assert text(ISO) == "2018-04-27T20:27:25.000001Z"


def test_an_array_with_a_null_is_an_error() -> None:
    """BigQuery has no such value in a result."""
    table = pa.table({"x": [[1, None]]})
    with pytest.raises(InvalidArgument, match="Array cannot have a null element"):
        rows_json(table, [field("x", "INTEGER", mode="REPEATED")])


def test_a_sum_beyond_int64_is_an_error() -> None:
    """DuckDB's sums are wider than BigQuery's integers."""
    table = pa.table({"x": pa.array([decimal.Decimal(1 << 64)], pa.decimal128(38, 0))})
    with pytest.raises(InvalidArgument, match="overflow"):
        rows_json(table, [field("x", "INTEGER")])
