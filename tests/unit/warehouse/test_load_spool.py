"""Loads with a name: by column and not by place, once, and in memory that does not grow with the file."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pytest

from dicomkit.engine.persistence.warehouse import Warehouse
from dicomkit.engine.services import bigquery_load_text
from dicomkit.engine.services.bigquery import BigQueryService
from dicomkit.errors import AlreadyExists, InvalidArgument

from .conftest import TABLE, field, resource, rows

A, B, C = (field(name, "STRING") for name in "abc")


def spool(folder: Path, *lines: bytes) -> Callable[[], BinaryIO]:
    """A gzip file of several members."""
    path = folder / "rows.gz"
    path.write_bytes(b"".join(gzip.compress(line + b"\n") for line in lines))
    return lambda: path.open("rb")


def test_values_go_where_their_column_is(service: BigQueryService, tmp_path: Path) -> None:
    """A schema may be declared anew in another order than that of the table in the file."""
    service.create_table(resource(A, B))
    service.tables.patch_table(TABLE, {"schema": {"fields": [B, A]}})
    file = spool(tmp_path, b'{"a":"a","b":"b"}', b'{"c":"c","b":"bb"}')
    assert service.load_spool(TABLE, file, "WRITE_APPEND", [B, A, C], name="one").rows == 2
    assert rows(service, "SELECT a, b, c FROM imaging.ct ORDER BY b") == [("a", "b", None), (None, "bb", "c")]


def test_a_name_is_kept_with_the_rows_and_without_them_is_not(service: BigQueryService, tmp_path: Path) -> None:
    """Also by a process after this one."""
    assert not service.was_loaded("one")
    with pytest.raises(InvalidArgument):
        service.load_spool(TABLE, spool(tmp_path, b'{"z":1}'), "WRITE_EMPTY", [A], name="one")
    assert not service.was_loaded("one")
    service.load_spool(TABLE, spool(tmp_path, b'{"a":"x"}'), "WRITE_EMPTY", [A], name="one")
    assert service.was_loaded("one")
    with pytest.raises(AlreadyExists):
        service.load_spool(TABLE, spool(tmp_path, b'{"a":"x"}'), "WRITE_EMPTY", [A], name="two")
    assert not service.was_loaded("two")


def test_a_name_outlives_the_process(tmp_path: Path) -> None:
    """It is in the file."""
    for expected in (False, True):
        with Warehouse(tmp_path / "w.duckdb") as warehouse:
            service = BigQueryService(warehouse)
            assert service.was_loaded("one") is expected
            service.ensure_dataset(TABLE.project, TABLE.dataset)
            service.load_spool(
                TABLE, spool(tmp_path, b'{"a":"x"}'), "WRITE_TRUNCATE", [A], name="two" if expected else "one"
            )
            service.close()


def test_a_load_keeps_none_of_its_batches(
    service: BigQueryService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Arrow holds after ten batches is what it held after the second."""
    monkeypatch.setattr(bigquery_load_text, "BATCH_ROWS", 100)
    held: list[int] = []

    def stopped() -> bool:
        held.append(pa.total_allocated_bytes())
        return False

    line = b'{"a":"%s"}' % (b"x" * 1_000)
    file = spool(tmp_path, *[b"\n".join([line] * 100)] * 10)
    assert service.load_spool(TABLE, file, "WRITE_EMPTY", [A], name="one", stopped=stopped).rows == 1_000
    assert len(held) == 10
    assert max(held[2:]) < held[1] + 50_000
