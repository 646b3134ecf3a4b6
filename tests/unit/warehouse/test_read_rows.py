"""A batch of rows as JSON, read as one Arrow table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa
import pytest

from dicomkit.engine.persistence.warehouse_rows import RowsDoNotFit, read_rows

FIELDS: list[dict[str, Any]] = [
    {"name": "number", "type": "INTEGER", "mode": "NULLABLE"},
    {"name": "text", "type": "STRING", "mode": "NULLABLE"},
    {
        "name": "items",
        "type": "RECORD",
        "mode": "REPEATED",
        "fields": [{"name": "values", "type": "FLOAT", "mode": "REPEATED"}],
    },
]


@pytest.fixture(params=[1, 2], autouse=True)
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """How many threads Arrow may use."""
    before = pa.cpu_count()
    pa.set_cpu_count(request.param)
    yield request.param
    pa.set_cpu_count(before)


def rows(count: int) -> list[dict[str, Any]]:
    """Rows of 3 KB, one of 5 MiB among them; some columns occur late."""
    made = [{"number": number, "text": str(number) * 1_000} for number in range(count)]
    made[count // 2]["text"] = "x" * (5 << 20)
    made[-1]["items"] = [{"values": [0.5, 1.5]}, {}]
    return made


def test_a_batch_of_many_blocks_keeps_the_order_of_its_lines() -> None:
    """Several threads read it, and each row is where its line was, whatever its size."""
    given = rows(2_500)
    table = read_rows([orjson.dumps(row) for row in given], FIELDS)
    assert table["number"].to_pylist() == list(range(2_500))
    assert table["text"].to_pylist() == [row["text"] for row in given]
    assert table["items"].to_pylist() == [[]] * 2_499 + [[{"values": [0.5, 1.5]}, {"values": []}]]
    assert [column.num_chunks for column in table.columns] == [1, 1, 1]


@pytest.mark.parametrize(
    "wrong", [{"other": 1}, {"number": "1"}, {"items": [{"values": [None]}]}, {"items": [None]}, {"text": 1}]
)
def test_one_wrong_row_in_the_last_block_is_seen(wrong: dict[str, Any]) -> None:
    """Nothing of the batch is taken; which row it was is found out by others."""
    with pytest.raises(RowsDoNotFit):
        read_rows([orjson.dumps(row) for row in [*rows(2_000), wrong]], FIELDS)
