"""Rows that a table would need too many columns for: they are set aside, and the stream goes on (check C49)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicomkit.engine import Engine
from dicomkit.engine.services import table_writer
from tests.unit.engine.factories import STORE, client, drain, instance, rows, store, stream_status, streamed_to

T = "bq://local.imaging.ct"
WIDE: dict[str, Any] = {
    keyword: "x"
    for keyword in (
        *("ImageComments", "OperatorsName", "ProtocolName", "StationName", "InstitutionName", "Manufacturer"),
        *("SeriesDescription", "StudyDescription", "PatientComments", "Occupation", "DeviceSerialNumber"),
    )
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home") as made:
        yield made


@pytest.mark.parametrize("is_first", [True, False])
def test_a_row_with_too_many_columns_does_not_hold_up_the_others(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    """It is told with the reason; those before, beside and after it go in, whether the table was there or not."""
    http = client(engine, resource=streamed_to(T))
    store(http, instance())
    assert drain(http)[T]["delivered"] == 1
    fields = engine.bigquery.get_table(table_writer.TableReference("local", "imaging", "ct"))["schema"]["fields"]
    monkeypatch.setattr(table_writer, "MAX_COLUMNS", table_writer._count(fields) + 5)
    if is_first:
        engine.bigquery.delete_table(table_writer.TableReference("local", "imaging", "ct"))
    wide = [instance(**WIDE), instance(**WIDE)]
    good = [instance(), instance(ImageComments="x"), instance()]
    store(http, wide[0], good[0], good[1], wide[1], good[2])
    status = drain(http)[T]
    assert (status["waiting"], status["failed"]) == (0, 2)
    found = http.get(f"/dicomkit{STORE}:streamErrors").json["errors"]
    assert {item["sopInstanceUid"] for item in found} == {one.uid for one in wide}
    assert all("columns" in item["reason"] for item in found)
    store(http, instance())
    assert stream_status(http)[T]["failed"] == 2
    assert drain(http)[T]["waiting"] == 0
    assert rows(engine, "SELECT COUNT(*) FROM imaging.ct") == [("4" if is_first else "5",)]
