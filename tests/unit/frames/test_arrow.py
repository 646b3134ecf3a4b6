"""Arrow tables of BigQuery results to frames: every type, with and without rows."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from dicomkit.frames.arrow import frame_of_arrow

D = datetime.date
UTC = datetime.UTC

CASES: list[tuple[pa.DataType, str, Any, Any]] = [
    (pa.int64(), "Int64", 2**62 + 1, 2**62 + 1),
    (pa.float64(), "Float64", 1.5, 1.5),
    (pa.bool_(), "boolean", True, True),
    (pa.string(), "str", "Jörg", "Jörg"),
    (pa.large_string(), "str", "x", "x"),
    (pa.date32(), "datetime64[us]", D(9999, 12, 31), pd.Timestamp("9999-12-31")),
    (
        pa.time64("us"),
        "timedelta64[us]",
        datetime.time(10, 30, 0, 5),
        pd.Timedelta(hours=10, minutes=30, microseconds=5),
    ),
    (pa.timestamp("us"), "datetime64[us]", datetime.datetime(1, 1, 1, 2), pd.Timestamp("0001-01-01 02:00")),
    (
        pa.timestamp("us", "UTC"),
        "datetime64[us, UTC]",
        datetime.datetime(2024, 1, 1, tzinfo=UTC),
        pd.Timestamp("2024-01-01", tz="UTC"),
    ),
    (pa.decimal128(38, 9), "decimal128(38, 9)[pyarrow]", decimal.Decimal("1.1"), decimal.Decimal("1.1")),
    (pa.binary(), "object", b"\0\xff", b"\0\xff"),
    (pa.list_(pa.string()), "object", ["a", "b"], ("a", "b")),
    (pa.list_(pa.int64()), "object", [], ()),
    (pa.struct([("x", pa.int64())]), "object", {"x": 1}, {"x": 1}),
    (pa.list_(pa.struct([("x", pa.int64())])), "object", [{"x": 1}], [{"x": 1}]),
]


@pytest.mark.parametrize(("kind", "dtype", "value", "want"), CASES, ids=lambda value: str(value)[:30])
def test_each_type_has_one_dtype(kind: pa.DataType, dtype: str, value: Any, want: Any) -> None:
    """With a value, with nothing but NULL, and without a row."""
    for values in ([value, None], [None], []):
        frame = frame_of_arrow(pa.table({"c": pa.array(values, kind)}))
        assert str(frame["c"].dtype) == dtype
        assert len(frame) == len(values)
    cells = frame_of_arrow(pa.table({"c": pa.array([value, None], kind)}))["c"].tolist()
    assert cells[0] == want
    if pa.types.is_list(kind):  # BigQuery has no NULL array: an empty one comes in its place
        assert cells[1] == type(want)()
    else:
        assert pd.isna(cells[1])


def test_chunks_make_one_column() -> None:
    """A result of several pages is a chunked array."""
    chunked = pa.chunked_array([pa.array([1, 2]), pa.array([None, 4])])
    assert frame_of_arrow(pa.table({"c": chunked}))["c"].tolist() == [1, 2, pd.NA, 4]


def test_columns_keep_their_order() -> None:
    """As the SELECT names them."""
    frame = frame_of_arrow(pa.table({"b": [1], "a": ["x"]}))
    assert list(frame.columns) == ["b", "a"]
