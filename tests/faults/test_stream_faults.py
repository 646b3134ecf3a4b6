"""Ten thousand rows to a BigQuery in which one request of five goes wrong: none missing, none twice (P5; check C07)."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials

from dicomkit.bigquery.current import current_sql
from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine import Engine
from dicomkit.engine.services import stream_lane, streaming
from tests.bigquery_server import BUSY, INTERNAL, NO_JSON, QUOTA, RATE, RESET, RESET_AFTER, TOO_MANY, Fault, running
from tests.unit.engine.factories import WEB, client, drain, instance, rows, store, streamed_to

TABLE = TableReference("some-hospital", "imaging", "ct")
INSTANCES, BATCH = 10_000, 100

# The UIDs of a template are replaced in the bytes, which is faster than to write each file with pydicom.
_ROOT = "1.2.826.0.1.3680043.8.498."
_MARK = _ROOT + "1" * 34
_TEMPLATE = instance(study=_MARK + ".1", series=_MARK + ".2", uid=_MARK).data


def _uid(number: int) -> str:
    return f"{_ROOT}{10**33 + number}"


@pytest.mark.timeout(300)
def test_ten_thousand_rows_through_one_fault_in_five(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order in which they were stored; deleted ones are gone, and no row has a second insert id."""
    monkeypatch.setattr(stream_lane, "_BACKOFF_S", 0.01)
    monkeypatch.setattr(stream_lane, "_BACKOFF_MAX_S", 0.2)
    monkeypatch.setattr(streaming, "GOOGLE", stream_lane.Portion(BATCH, 4 << 20))
    chance = random.Random(11)
    faults: list[Fault] = [TOO_MANY, INTERNAL, BUSY, RATE, QUOTA, RESET, RESET_AFTER, NO_JSON]
    went_wrong: list[Fault] = []

    def fault(_: object) -> Fault:
        if chance.random() >= 0.2:
            return None
        went_wrong.append(chance.choice(faults))
        return went_wrong[-1]

    with running(tmp_path / "google") as server:
        server.engine.bigquery.ensure_dataset(TABLE.project, TABLE.dataset)
        server.fault = fault
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
        with Engine(tmp_path / "home", credentials=AnonymousCredentials()) as engine:
            http = client(engine, resource=streamed_to(TABLE.uri))
            for start in range(0, INSTANCES, BATCH):
                files = [_TEMPLATE.replace(_MARK.encode(), _uid(n).encode()) for n in range(start, start + BATCH)]
                assert store(http, *files).status_code == 200
            gone = _uid(5_000)
            assert http.delete(f"{WEB}/studies/{gone}.1/series/{gone}.2/instances/{gone}").status_code == 200
            status = drain(http, 200)[TABLE.uri]
        assert (status["waiting"], status["failed"], status["delivered"]) == (0, 0, INSTANCES + 1)
        assert len(went_wrong) > 10
        sql = f"SELECT SOPInstanceUID FROM {current_sql(TABLE)} AS t ORDER BY LastUpdated, SOPInstanceUID"
        found = [uid for (uid,) in rows(server.engine, sql)]
        assert found == [_uid(n) for n in range(INSTANCES) if n != 5_000]
        ids = {row["insertId"] for insert in server.inserts for row in insert.rows}
        assert len(ids) == INSTANCES + 1
        assert all(re.fullmatch(r"[0-9a-f-]{10,128}", name) for name in ids)
        ((physical,),) = rows(server.engine, f"SELECT COUNT(*) FROM {TABLE.sql}")
        assert int(physical) <= (INSTANCES + 1) * 1.01
