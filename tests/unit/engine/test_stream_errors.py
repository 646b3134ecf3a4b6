"""Rows that no table has taken: told with the reason, kept, sent again, or given up on purpose."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine import Engine
from dicomkit.engine.persistence.schema import VERSION
from dicomkit.engine.services import prepare
from tests.unit.engine.factories import (
    DATASET,
    STORE,
    Instance,
    client,
    drain,
    instance,
    rows,
    store,
    stream_status,
    streamed_to,
)

T, U = "bq://local.imaging.ct", "bq://local.imaging.other"
TABLE = TableReference("local", "imaging", "ct")
OWN = f"/dicomkit{STORE}"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path) as made:
        yield made


def strict_table(engine: Engine, *, kind: str = "INTEGER") -> None:
    """The table, made by somebody who takes a PatientID for a number."""
    engine.bigquery.ensure_dataset("local", "imaging")
    reference = {"projectId": "local", "datasetId": "imaging", "tableId": "ct"}
    fields = [{"name": "PatientID", "type": kind}, {"name": "SOPInstanceUID", "type": "STRING"}]
    engine.bigquery.create_table({"tableReference": reference, "schema": {"fields": fields}})


def errors(http: Client, store: str = OWN) -> list[dict[str, Any]]:
    answer = http.get(f"{store}:streamErrors")
    assert answer.status_code == 200, answer.text
    return list(answer.json["errors"])


def refused(engine: Engine, *ids: str) -> tuple[Client, list[Instance]]:
    """A store whose table has refused an instance for each of these patients."""
    strict_table(engine)
    http = client(engine, resource=streamed_to(T))
    files = [instance(PatientID=patient) for patient in ids]
    store(http, *files)
    assert drain(http)[T]["failed"] == len(ids)
    return http, files


def test_an_error_names_instance_reason_and_time(engine: Engine) -> None:
    """And says no value of the file."""
    http, (one,) = refused(engine, "canary")
    (error,) = errors(http)
    assert error["tableUri"] == T
    assert (error["studyInstanceUid"], error["seriesInstanceUid"], error["sopInstanceUid"]) == (
        one.study,
        one.series,
        one.uid,
    )
    assert "PatientID" in error["reason"]
    assert "canary" not in str(error)
    assert (error["attempts"], error["canRetry"]) == (1, True)
    assert error["sizeBytes"] > 100
    assert error["time"].endswith("Z")


def test_a_row_is_sent_again_when_the_table_is_mended(engine: Engine) -> None:
    """The row that was kept, as it was: the instance is in the table, and no error is left."""
    http, files = refused(engine, "a", "b")
    engine.bigquery.delete_table(TABLE)
    assert http.post(f"{OWN}:retryStreamErrors", json={}).json == {"rows": 2}
    status = drain(http)[T]
    assert (status["delivered"], status["failed"], status["waiting"], status["lastError"]) == (2, 0, 0, None)
    assert errors(http) == []
    sql = "SELECT SOPInstanceUID, PatientID FROM `local.imaging.ct` ORDER BY PatientID"
    assert rows(engine, sql) == [(files[0].uid, "a"), (files[1].uid, "b")]


def test_what_is_refused_again_counts_its_attempts(engine: Engine) -> None:
    """Nothing is lost by trying."""
    http, _ = refused(engine, "a", "b")
    for attempts in (2, 3):
        assert http.post(f"{OWN}:retryStreamErrors", json={}).json == {"rows": 2}
        assert drain(http)[T]["failed"] == 2
        assert [error["attempts"] for error in errors(http)] == [attempts] * 2


def test_single_rows_are_sent_again_or_given_up(engine: Engine) -> None:
    """By their ids, of which none is ever given to another row."""
    http, _ = refused(engine, "a", "b", "c")
    ids = [error["id"] for error in errors(http)]
    assert http.post(f"{OWN}:dropStreamErrors", json={"ids": [ids[2], "999999"]}).json == {"rows": 1}
    assert http.post(f"{OWN}:retryStreamErrors", json={"ids": [ids[0]]}).json == {"rows": 1}
    status = drain(http)[T]
    assert (status["failed"], status["delivered"]) == (2, 0)
    left = [error["id"] for error in errors(http)]
    assert left[0] == ids[1]
    assert left[1] not in ids
    assert http.post(f"{OWN}:dropStreamErrors", json={"ids": left}).json == {"rows": 2}
    status = stream_status(http)[T]
    assert (status["failed"], status["lastError"]) == (0, None)


def test_a_row_above_the_limit_is_listed_with_its_size(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to send again; an export brings it into a table (2.3, check C49)."""
    monkeypatch.setattr(prepare, "MAX_ROW_BYTES", 5_000)
    http = client(engine, resource=streamed_to(T, U))
    large = instance(ImageComments="x" * 6_000)
    store(http, large, instance())
    assert {s["delivered"] for s in drain(http).values()} == {1}
    found = errors(http)
    assert [(e["tableUri"], e["sopInstanceUid"], e["canRetry"]) for e in found] == [
        (T, large.uid, False),
        (U, large.uid, False),
    ]
    assert all(e["sizeBytes"] > 6_000 and "larger than" in e["reason"] for e in found)
    assert http.post(f"{OWN}:retryStreamErrors", json={}).json == {"rows": 0}
    assert http.post(f"{OWN}:dropStreamErrors", json={"ids": [e["id"] for e in found]}).json == {"rows": 2}


def test_a_value_of_another_type_is_never_dropped_silently(engine: Engine) -> None:
    """The table has the column with another type: the row is set aside, the schema is not touched (check C49)."""
    http, (one,) = refused(engine, "not a number")
    more = instance(PatientID="7", BodyPartExamined="HEAD")
    store(http, more)
    assert drain(http)[T]["delivered"] == 1
    fields = {f["name"]: f for f in engine.bigquery.get_table(TABLE)["schema"]["fields"]}
    assert fields["PatientID"]["type"] == "INTEGER"
    assert fields["BodyPartExamined"]["mode"] == "NULLABLE"
    assert rows(engine, "SELECT SOPInstanceUID, PatientID FROM `local.imaging.ct`") == [(more.uid, "7")]
    assert [e["sopInstanceUid"] for e in errors(http)] == [one.uid]


def test_many_errors_come_page_by_page(engine: Engine) -> None:
    """Each once, the oldest first."""
    http, files = refused(engine, *"abcdefg")
    token, found = "", []
    while True:
        answer = http.get(f"{OWN}:streamErrors?pageSize=3&pageToken={token}").json
        found += answer["errors"]
        token = answer.get("nextPageToken")
        if not token:
            break
        assert len(answer["errors"]) == 3
    assert [e["sopInstanceUid"] for e in found] == [f.uid for f in files]


def test_errors_of_a_stream_that_was_removed_can_still_be_mended(engine: Engine) -> None:
    """What was acknowledged while it was there belongs to its table; when nothing is left the stream is forgotten."""
    http, (one, _) = refused(engine, "a", "b")
    assert http.patch(f"{STORE}?updateMask=streamConfigs", json={"streamConfigs": []}).status_code == 200
    status = stream_status(http)[T]
    assert (status["active"], status["failed"]) == (False, 2)
    engine.bigquery.delete_table(TABLE)
    ids = [e["id"] for e in errors(http)]
    assert http.post(f"{OWN}:retryStreamErrors", json={"ids": ids[:1]}).json == {"rows": 1}
    drain(http)
    assert rows(engine, "SELECT SOPInstanceUID FROM `local.imaging.ct`") == [(one.uid,)]
    assert http.post(f"{OWN}:dropStreamErrors", json={"ids": ids}).json == {"rows": 1}
    assert stream_status(http) == {}


def test_a_store_of_the_same_name_has_none_of_the_errors_before(engine: Engine) -> None:
    """They go with the store, also those that come after it is deleted."""
    http, _ = refused(engine, "a")
    store(http, instance(PatientID="b"))
    assert http.delete(STORE).status_code == 200
    assert http.post(f"{DATASET}/dicomStores?dicomStoreId=ct", json=streamed_to(U)).status_code == 200
    drain(http)
    assert errors(http) == []
    assert set(stream_status(http)) == {U}
    engine.streaming.close()
    with engine.storage.database.read() as connection:
        assert connection.execute("SELECT COUNT(*) FROM quarantine").fetchone() == (0,)
        assert [s.table_uri for s in engine.storage.outbox.streams(connection)] == [U]


def test_errors_of_another_store_are_out_of_reach(engine: Engine) -> None:
    """Neither listed, nor sent again, nor given up through it."""
    http, _ = refused(engine, "a")
    assert http.post(f"{DATASET}/dicomStores?dicomStoreId=x", json=streamed_to(U)).status_code == 200
    other = OWN.replace("/ct", "/x")
    ids = [e["id"] for e in errors(http)]
    assert errors(http, other) == []
    for verb in ("retryStreamErrors", "dropStreamErrors"):
        assert http.post(f"{other}:{verb}", json={"ids": ids}).json == {"rows": 0}
    assert [e["id"] for e in errors(http)] == ids


@pytest.mark.parametrize("ids", ["1", [1], ["x"], ["-1"], ["1" * 40], [None], {"a": 1}, ["１"]])
@pytest.mark.parametrize("verb", ["retryStreamErrors", "dropStreamErrors"])
def test_ids_that_are_none_are_refused(engine: Engine, verb: str, ids: object) -> None:
    """400, and nothing is done."""
    http = client(engine)
    assert http.post(f"{OWN}:{verb}", json={"ids": ids}).status_code == 400


@pytest.mark.parametrize("query", ["pageSize=x", "pageSize=-1", "pageToken=x", "pageToken=" + "9" * 30])
def test_pages_that_are_none_are_refused(engine: Engine, query: str) -> None:
    """400 for numbers that are none."""
    http = client(engine)
    assert http.get(f"{OWN}:streamErrors?{query}").status_code == 400


def test_everything_is_given_up_by_name_only(engine: Engine) -> None:
    """A body without ids is no request to lose all; and a store that is not there is 404."""
    http, _ = refused(engine, "a")
    assert http.post(f"{OWN}:dropStreamErrors", json={}).status_code == 400
    for verb in ("retryStreamErrors", "dropStreamErrors"):
        assert http.post(f"{OWN.replace('/ct', '/no')}:{verb}", json={"ids": ["1"]}).status_code == 404
    assert http.get(f"{OWN.replace('/ct', '/no')}:streamErrors").status_code == 404
    assert len(errors(http)) == 1


_TO_3 = """
ALTER TABLE streams DROP COLUMN moved; ALTER TABLE outbox DROP COLUMN attempts;
ALTER TABLE quarantine RENAME TO newer;
DROP INDEX quarantine_stream;
CREATE TABLE quarantine (
    key INTEGER PRIMARY KEY, stream_key INTEGER NOT NULL, row BLOB, reason TEXT NOT NULL, created REAL NOT NULL);
CREATE INDEX quarantine_stream ON quarantine (stream_key);
INSERT INTO quarantine SELECT key, stream_key, row, reason, created FROM newer;
DROP TABLE newer;
INSERT INTO quarantine (stream_key, row, reason, created) VALUES (999, '{}', 'of a stream that is gone', 1.0);
PRAGMA user_version=3;
"""
"""What makes a catalog of layout 3 of one of layout 4."""


def test_errors_of_the_layout_before_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were set aside by number alone are told like any other, and what waits is delivered."""
    monkeypatch.setattr(prepare, "MAX_ROW_BYTES", 5_000)
    with Engine(tmp_path) as engine:
        http, (one,) = refused(engine, "a")
        store(http, large := instance(ImageComments="x" * 6_000))
        drain(http)
    connection = sqlite3.connect(tmp_path / "catalog.sqlite")
    connection.executescript(_TO_3)
    connection.close()
    with Engine(tmp_path) as engine:
        http = Client(engine)
        with engine.storage.database.read() as reading:
            assert reading.execute("PRAGMA user_version").fetchone() == (VERSION,)
        found = errors(http)
        assert [(e["sopInstanceUid"], e["canRetry"], e["attempts"]) for e in found] == [
            (one.uid, True, 1),
            (None, False, 1),
        ]
        assert found[0]["sizeBytes"] > 100
        assert large.uid
        engine.bigquery.delete_table(TABLE)
        assert http.post(f"{OWN}:retryStreamErrors", json={}).json == {"rows": 1}
        status = drain(http)[T]
        assert (status["delivered"], status["failed"]) == (1, 1)
    made = sqlite3.connect(tmp_path / "catalog.sqlite")
    upgraded = dict(made.execute(_TABLE))
    made.close()
    with Engine(tmp_path / "new") as engine, engine.storage.database.read() as reading:
        assert upgraded == dict(reading.execute(_TABLE))


_TABLE = "SELECT name, sql FROM sqlite_master WHERE name IN ('quarantine', 'quarantine_stream')"
