"""Rows of stored instances in BigQuery tables: each at least once, late rather than never, never in the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from werkzeug.test import Client

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine import Engine
from dicomkit.engine.services import prepare
from tests.unit.engine.factories import (
    DATASET,
    STORE,
    WEB,
    client,
    dataset,
    drain,
    ended,
    instance,
    rows,
    store,
    stream_status,
    streamed_to,
    written,
)

T, U = "bq://local.imaging.ct", "bq://local.imaging.other"
TABLE = TableReference("local", "imaging", "ct")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path) as made:
        yield made


def uids(engine: Engine, table: str = "ct") -> list[str]:
    return sorted(r[0] for r in rows(engine, f"SELECT SOPInstanceUID FROM `local.imaging.{table}`"))


def columns(engine: Engine) -> list[str]:
    return [f["name"] for f in engine.bigquery.get_table(TABLE)["schema"]["fields"]]


def test_a_stored_instance_becomes_a_row(engine: Engine) -> None:
    """Dataset and table are made; the row says what the file says, and where it came from."""
    http = client(engine, resource=streamed_to(T))
    one = instance(PatientName="Doe^Jane", SliceThickness="1.250")
    store(http, one)
    status = drain(http)[T]
    assert (status["waiting"], status["delivered"], status["failed"], status["lastError"]) == (0, 1, 0, None)
    sql = (
        "SELECT SOPInstanceUID, PatientName.Alphabetic.FamilyName, SliceThickness, StudyDate, Type, StorageClass, "
        "BlobStorageSize, TransferSyntaxUID FROM `local.imaging.ct`"
    )
    assert rows(engine, sql) == [
        (one.uid, "Doe", "1.250", "2024-01-31", "CREATE", "STANDARD", str(len(one.data)), "1.2.840.10008.1.2.1")
    ]


def test_rows_arrive_by_themselves(engine: Engine) -> None:
    """Nobody has to ask: a timer sends what has come in."""
    http = client(engine, resource=streamed_to(T))
    store(http, instance())
    for _ in range(100):
        if not stream_status(http)[T]["waiting"]:
            break
        time.sleep(0.1)
    assert stream_status(http)[T]["delivered"] == 1


def test_only_what_is_new_is_streamed(engine: Engine) -> None:
    """Neither a failed instance nor one that was stored already gives a row."""
    http = client(engine, resource=streamed_to(T))
    one = instance()
    store(http, one)
    store(http, one, b"bad", instance(study=one.study, series=one.series, uid=one.uid, PatientID="x"))
    drain(http)
    assert uids(engine) == [one.uid]


def test_each_destination_gets_every_row(engine: Engine) -> None:
    """Two tables, one of them in the JSON schema with the name of the store."""
    resource = {
        "streamConfigs": [
            {"bigqueryDestination": {"tableUri": T}},
            {"bigqueryDestination": {"tableUri": U, "schemaJson": {}, "includeSourceStore": True}},
        ]
    }
    http = client(engine, resource=resource)
    files = [instance() for _ in range(3)]
    store(http, *files)
    assert {s["delivered"] for s in drain(http).values()} == {3}
    assert uids(engine) == uids(engine, "other") == sorted(f.uid for f in files)
    assert rows(engine, "SELECT DISTINCT SourceDicomStore FROM `local.imaging.other`") == [(STORE[4:],)]


def test_new_attributes_become_new_columns(engine: Engine) -> None:
    """The schema grows at the top and inside sequences, and old rows stay."""
    http = client(engine, resource=streamed_to(T))
    first = instance()
    store(http, first)
    drain(http)
    assert "BodyPartExamined" not in columns(engine)
    item = Dataset()
    item.CodeValue, item.CodeMeaning = "1", "one"
    more = Dataset()
    more.CodeMeaning, more.CodingSchemeDesignator = "two", "99X"
    a = written(dataset(BodyPartExamined="HEAD", ProcedureCodeSequence=Sequence([item])))
    b = written(dataset(ProcedureCodeSequence=Sequence([more])))
    store(http, a)
    drain(http)
    store(http, b)
    assert drain(http)[T]["delivered"] == 3
    sql = "SELECT SOPInstanceUID, BodyPartExamined FROM `local.imaging.ct`"
    assert dict(rows(engine, sql)) == {first.uid: None, a.uid: "HEAD", b.uid: None}
    sql = "SELECT c.CodeMeaning, c.CodingSchemeDesignator FROM `local.imaging.ct`, UNNEST(ProcedureCodeSequence) c"
    assert sorted(rows(engine, sql), key=str) == sorted([("one", None), ("two", "99X")], key=str)


def test_a_table_made_for_many_rows_is_sorted_like_one_made_for_one(engine: Engine) -> None:
    """Attributes by tag, then the fixed columns (3.1), though no single row has them all."""
    http = client(engine, resource=streamed_to(T))
    store(http, instance(BodyPartExamined="HEAD"), instance(Manufacturer="M"), instance(StationName="S"))
    drain(http)
    names = columns(engine)
    wanted = ["Manufacturer", "StationName", "BodyPartExamined", "DroppedTags", "Type", "LastUpdated"]
    assert [n for n in names if n in wanted] == wanted


def test_a_config_acts_from_the_next_instance_on(engine: Engine) -> None:
    """Added: nothing is filled in afterwards. Removed: nothing more is sent, and what was acknowledged still is."""
    http = client(engine)
    before, during, after = instance(), instance(), instance()
    store(http, before)
    assert http.patch(f"{STORE}?updateMask=streamConfigs", json=streamed_to(T)).status_code == 200
    store(http, during)
    assert http.patch(f"{STORE}?updateMask=streamConfigs", json={"streamConfigs": []}).status_code == 200
    store(http, after)
    drain(http)
    assert uids(engine) == [during.uid]
    assert stream_status(http) == {}


def test_a_config_that_changes_while_an_upload_is_prepared_counts_for_it(engine: Engine) -> None:
    """The rows are made of the configuration that holds when the instance is committed."""
    import io

    from tests.unit.engine.factories import body_of

    http = client(engine, resource=streamed_to(T))

    class Patching(io.BytesIO):
        done = False

        def read(self, size: int = -1) -> bytes:
            data = super().read(size)
            if not data and not self.done:
                self.done = True
                answer = Client(engine).patch(f"{STORE}?updateMask=streamConfigs", json=streamed_to(U))
                assert answer.status_code == 200
            return data

    one = instance(SliceThickness="1.50")
    body = body_of(one)
    answer = http.post(
        f"{WEB}/studies",
        input_stream=Patching(b"".join(body)),
        content_type=body.content_type,
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 200
    assert set(drain(http)) == {U}
    assert rows(engine, "SELECT SOPInstanceUID, SliceThickness FROM `local.imaging.other`") == [(one.uid, "1.50")]


def test_a_deleted_table_is_made_again(engine: Engine) -> None:
    """The documented way out of a conflict; the new table holds what came from then on (2.3)."""
    http = client(engine, resource=streamed_to(T))
    store(http, instance())
    drain(http)
    engine.bigquery.delete_table(TABLE)
    later = instance()
    store(http, later)
    assert drain(http)[T]["lastError"] is None
    assert uids(engine) == [later.uid]


def test_a_row_that_does_not_fit_is_set_aside_and_the_others_go_in(engine: Engine) -> None:
    """A table that somebody made with a column of another type; the reason names the column and no value."""
    http = client(engine, resource=streamed_to(T))
    engine.bigquery.ensure_dataset("local", "imaging")
    reference = {"projectId": "local", "datasetId": "imaging", "tableId": "ct"}
    fields = [{"name": "PatientID", "type": "INTEGER"}, {"name": "SOPInstanceUID", "type": "STRING"}]
    engine.bigquery.create_table({"tableReference": reference, "schema": {"fields": fields}})
    good, bad, fine = instance(PatientID="1"), instance(PatientID="canary"), instance(PatientID="3")
    assert store(http, good, bad, fine).status_code == 200
    status = drain(http)[T]
    assert (status["waiting"], status["delivered"], status["failed"]) == (0, 2, 1)
    assert "canary" not in status["lastError"]
    assert uids(engine) == sorted([good.uid, fine.uid])
    assert store(http, instance(PatientID="4")).status_code == 200
    assert drain(http)[T]["delivered"] == 3


def test_a_row_above_the_limit_is_stored_and_not_streamed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reported in the status; the store request succeeds and the others are streamed (2.3)."""
    monkeypatch.setattr(prepare, "MAX_ROW_BYTES", 5_000)
    http = client(engine, resource=streamed_to(T))
    small, large = instance(), instance(ImageComments="x" * 6_000)
    assert store(http, small, large).status_code == 200
    status = drain(http)[T]
    assert (status["delivered"], status["failed"], status["waiting"]) == (1, 1, 0)
    assert "larger than" in status["lastError"]
    assert uids(engine) == [small.uid]


def test_google_mode_wants_the_dataset_to_be_there(tmp_path: Path) -> None:
    """A missing BigQuery dataset: stores succeed, rows wait with the reason in view until it is made."""
    with Engine(tmp_path, mode="google") as engine:
        http = client(engine, resource=streamed_to(T))
        files = [instance(), instance()]
        assert store(http, *files).status_code == 200
        status = drain(http)[T]
        assert (status["waiting"], status["delivered"]) == (2, 0)
        assert "imaging" in status["lastError"]
        assert status["oldestWaitingTime"].endswith("Z")
        engine.bigquery.ensure_dataset("local", "imaging")
        status = drain(http)[T]
        assert (status["waiting"], status["delivered"], status["lastError"]) == (0, 2, None)
        assert uids(engine) == sorted(f.uid for f in files)


def test_what_was_not_delivered_is_delivered_after_a_restart(tmp_path: Path) -> None:
    """The outbox is on disk; nobody has to store anything to start the delivery."""
    with Engine(tmp_path, mode="google") as engine:
        http = client(engine, resource=streamed_to(T))
        one = instance()
        store(http, one)
        drain(http)
    with Engine(tmp_path) as engine:
        http = Client(engine)
        assert drain(http)[T]["delivered"] == 1
        assert uids(engine) == [one.uid]


def test_closing_delivers(tmp_path: Path) -> None:
    """A notebook that ends right after an upload loses nothing and leaves nothing waiting."""
    with Engine(tmp_path) as engine:
        http = client(engine, resource=streamed_to(T))
        one = instance()
        store(http, one)
    with Engine(tmp_path) as engine:
        assert stream_status(Client(engine))[T]["waiting"] == 0
        assert uids(engine) == [one.uid]


def test_streams_of_a_deleted_store_still_get_what_was_acknowledged(engine: Engine) -> None:
    """The store goes, its rows arrive, its stream is forgotten."""
    http = client(engine, resource=streamed_to(T))
    one = instance()
    store(http, one)
    http.delete(STORE)
    http.post(f"{DATASET}/dicomStores?dicomStoreId=ct", json=streamed_to(U))
    engine.streaming.close()
    assert uids(engine) == [one.uid]
    with engine.storage.database.read() as connection:
        assert len(engine.storage.outbox.streams(connection)) == 1


def test_the_outbox_is_empty_after_delivery(engine: Engine) -> None:
    """Entries and bundles go together, also where two streams share a bundle."""
    http = client(engine, resource=streamed_to(T, U))
    store(http, *(instance() for _ in range(5)))
    drain(http)
    with engine.storage.database.read() as connection:
        left = [connection.execute(f"SELECT COUNT(*) FROM {t}").fetchone()[0] for t in ("outbox", "bundles")]
    assert left == [0, 0]


class Failing:
    """A BigQuery in front of the real one that fails as often as it is told."""

    def __init__(self, service: Any) -> None:
        self._service = service
        self.failures: list[Exception] = []
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    def insert_all(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return self._service.insert_all(*args, **kwargs)

    def insert_whole(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return self._service.insert_whole(*args, **kwargs)


def write_by(engine: Engine, service: Failing) -> None:
    """Have rows of the home's own tables go through *service*."""
    from dicomkit.engine.services.table_places import TablePlaces

    engine.streaming._places = TablePlaces(lambda: service, None, make_datasets=True)


def test_a_failure_that_passes_is_tried_again(engine: Engine) -> None:
    """After 503 and 429 the rows arrive, once, and the reason is gone from the status."""
    from dicomkit.errors import ResourceExhausted, Unavailable

    failing = Failing(engine.bigquery)
    failing.failures = [Unavailable("try later"), ResourceExhausted("too fast"), Unavailable("again")]
    write_by(engine, failing)
    http = client(engine, resource=streamed_to(T))
    one = instance()
    assert store(http, one).status_code == 200
    status = drain(http)[T]
    assert (status["delivered"], status["lastError"]) == (1, None)
    assert failing.calls == 4
    assert uids(engine) == [one.uid]


def test_one_row_that_breaks_the_writer_is_found_and_set_aside(engine: Engine) -> None:
    """A defect must not stop the stream; the others are delivered."""
    files = [instance() for _ in range(7)]

    class Breaking(Failing):
        def insert_all(self, ref: Any, rows: Any, **kwargs: Any) -> Any:
            if any(files[3].uid.encode() in row["json"] for row in rows):
                raise RuntimeError("canary")
            return self._service.insert_all(ref, rows, **kwargs)

    write_by(engine, Breaking(engine.bigquery))
    http = client(engine, resource=streamed_to(T))
    store(http, *files)
    status = drain(http)[T]
    assert (status["delivered"], status["failed"]) == (6, 1)
    assert "canary" not in status["lastError"]
    assert uids(engine) == sorted(f.uid for f in files if f is not files[3])


@pytest.mark.parametrize("timeout", [-1, "x", True, 601, None])
def test_the_time_to_wait_must_be_a_number(engine: Engine, timeout: object) -> None:
    """400 for anything else."""
    http = client(engine)
    answer = http.post(f"/dicomkit{STORE}:drainStreams", json={"timeoutSeconds": timeout})
    assert answer.status_code == 400


def test_a_deleted_instance_has_a_row_that_says_so(engine: Engine) -> None:
    """Deleted and stored again: three rows in their order, of which the newest says that it is there (check C51)."""
    http = client(engine, resource=streamed_to(T))
    one = instance(PatientName="Doe^Jane")
    store(http, one)
    assert http.delete(one.path).status_code == 200
    store(http, one)
    assert drain(http)[T]["waiting"] == 0
    sql = (
        "SELECT Type, SOPInstanceUID, PatientName.Alphabetic.FamilyName, BlobStorageSize, StorageClass "
        "FROM `local.imaging.ct` ORDER BY LastUpdated"
    )
    created = ("CREATE", one.uid, "Doe", str(len(one.data)), "STANDARD")
    assert rows(engine, sql) == [created, ("DELETE", one.uid, None, None, None), created]


@pytest.mark.parametrize("below", ["", "series"])
def test_deleting_a_study_or_series_writes_a_row_for_each_instance(engine: Engine, below: str) -> None:
    """With all three UIDs, in both schemas, and with the store where the stream asks for it."""
    configs = [
        {"bigqueryDestination": {"tableUri": T}},
        {"bigqueryDestination": {"tableUri": U, "schemaJson": {}, "includeSourceStore": True}},
    ]
    http = client(engine, resource={"streamConfigs": configs})
    files = [instance(study="1.2.3", series="1.2.3.1") for _ in range(3)]
    store(http, *files, instance())
    path = f"{WEB}/studies/1.2.3" + (f"/{below}/1.2.3.1" if below else "")
    ended(http, http.delete(path))
    drain(http)
    expected = sorted(("1.2.3", "1.2.3.1", one.uid) for one in files)
    select = "SELECT StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID"
    assert sorted(rows(engine, f"{select} FROM `local.imaging.ct` WHERE Type = 'DELETE'")) == expected
    name = STORE.removeprefix("/v1/")
    sql = f"{select}, SourceDicomStore, Metadata FROM `local.imaging.other` WHERE Type = 'DELETE'"
    assert sorted(rows(engine, sql)) == [(*uids, name, None) for uids in expected]


def test_deletes_of_a_store_without_streams_write_nothing(engine: Engine) -> None:
    """And neither does deleting the whole store, whose streams go with it."""
    http = client(engine)
    one = instance()
    store(http, one)
    assert http.delete(one.path).status_code == 200
    with engine.storage.database.read() as connection:
        assert connection.execute("SELECT COUNT(*) FROM outbox").fetchone() == (0,)
