"""Rows on their way to Google's BigQuery, through its own client, to an endpoint that fails in every documented way."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import RefreshError
from werkzeug.test import Client

from dicomkit.bigquery.current import current_sql
from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine import Engine
from dicomkit.engine.services import google_bigquery, stream_lane, streaming
from dicomkit.engine.services.table_places import TablePlaces
from tests.bigquery_server import (
    BUSY,
    DENIED,
    HANG,
    INTERNAL,
    NO_JSON,
    QUOTA,
    RATE,
    RESET,
    RESET_AFTER,
    TOO_LARGE,
    TOO_MANY,
    Fault,
    Insert,
    Refusal,
    Server,
    running,
)
from tests.unit.engine.factories import (
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

PROJECT = "some-hospital"
T, U = f"bq://{PROJECT}.imaging.ct", f"bq://{PROJECT}.imaging.other"
HERE = "bq://local.imaging.ct"
TABLE = TableReference(PROJECT, "imaging", "ct")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The endpoint, where Google's client finds it, with the dataset in it."""
    monkeypatch.setattr(stream_lane, "_BACKOFF_S", 0.01)
    monkeypatch.setattr(stream_lane, "_BACKOFF_MAX_S", 0.2)
    with running(tmp_path / "google") as made:
        made.engine.bigquery.ensure_dataset(PROJECT, "imaging")
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", made.url)
        yield made


@pytest.fixture
def engine(server: Server, tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home", credentials=AnonymousCredentials()) as made:
        yield made


def uids(engine: Engine, table: TableReference = TABLE) -> list[str]:
    """Of the rows in a table, repeated ones too."""
    return sorted(r[0] for r in rows(engine, f"SELECT SOPInstanceUID FROM {table.sql}"))


def current(engine: Engine, table: TableReference = TABLE) -> list[str]:
    """Of the instances that a table says are there, in the order in which they were stored."""
    return [r[0] for r in rows(engine, f"SELECT SOPInstanceUID FROM {current_sql(table)} AS t ORDER BY LastUpdated")]


def made(count: int) -> list[Instance]:
    return [instance() for _ in range(count)]


def waited(condition: Callable[[], Any]) -> Any:
    """What *condition* gives when it is true at last."""
    until = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def first(*faults: Fault) -> Callable[[Insert], Fault]:
    """What goes wrong with the first requests, one after the other."""
    left = list(faults)
    return lambda insert: left.pop(0) if left else None


def test_rows_go_to_google_for_who_gave_credentials(engine: Engine, server: Server) -> None:
    """The table is made there, with insert ids, and the home's own BigQuery has nothing of it."""
    http = client(engine, resource=streamed_to(T))
    files = made(3)
    store(http, *files)
    status = drain(http)[T]
    assert (status["place"], status["state"], status["delivered"], status["waiting"]) == ("google", "idle", 3, 0)
    assert uids(server.engine) == sorted(f.uid for f in files)
    assert engine.bigquery.tables.list_datasets(PROJECT) == []
    ids = [row["insertId"] for insert in server.inserts for row in insert.rows]
    assert len(set(ids)) == len(ids) == 3


def test_the_embedded_project_is_never_googles(engine: Engine, server: Server) -> None:
    """``local`` is the home's, whatever was given."""
    http = client(engine, resource=streamed_to(HERE))
    store(http, one := instance())
    assert drain(http)[HERE]["place"] == "embedded"
    assert uids(engine, TableReference("local", "imaging", "ct")) == [one.uid]
    assert server.inserts == server.requests == []


def test_without_credentials_nothing_leaves_the_home(server: Server, tmp_path: Path) -> None:
    """Whatever the project is called, and whatever the environment says."""
    with Engine(tmp_path / "home") as engine:
        http = client(engine, resource=streamed_to(T))
        store(http, one := instance())
        status = drain(http)[T]
        assert (status["place"], status["delivered"]) == ("embedded", 1)
        assert uids(engine) == [one.uid]
    assert server.inserts == server.requests == []


def test_credentials_alone_decide() -> None:
    """The rule, said as a table."""
    with_them = TablePlaces(lambda: pytest.fail("not opened"), AnonymousCredentials(), make_datasets=True)
    without = TablePlaces(lambda: pytest.fail("not opened"), None, make_datasets=True)
    here = TableReference("local", "imaging", "ct")
    assert (with_them.place(TABLE), with_them.place(here)) == ("google", "embedded")
    assert (without.place(TABLE), without.place(here)) == ("embedded", "embedded")


def test_client_is_led_to_google_when_nothing_else_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's own address; nothing is sent by making it."""
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST", raising=False)
    service = google_bigquery.GoogleBigQuery(AnonymousCredentials(), lambda: 1.0)
    assert service._client(PROJECT)._connection.API_BASE_URL == "https://bigquery.googleapis.com"
    service.close()


PASSING = {
    "429": TOO_MANY,
    "500": INTERNAL,
    "503": BUSY,
    "403 rate": RATE,
    "403 quota": QUOTA,
    "reset": RESET,
    "reset after acceptance": RESET_AFTER,
    "no JSON": NO_JSON,
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_passes_is_tried_again_with_the_same_ids(engine: Engine, server: Server, fault: Fault) -> None:
    """The rows arrive once, and the reason is gone from the status."""
    server.fault = first(fault, fault)
    http = client(engine, resource=streamed_to(T))
    files = made(3)
    assert store(http, *files).status_code == 200
    status = drain(http)[T]
    assert (status["delivered"], status["failed"], status["lastError"], status["attempts"]) == (3, 0, None, 0)
    assert uids(server.engine) == sorted(f.uid for f in files)
    sent = [[row["insertId"] for row in insert.rows] for insert in server.inserts]
    assert len(sent) == 3
    assert sent[0] == sent[1] == sent[2]


def test_an_answer_that_does_not_come_is_waited_for_within_a_limit(
    engine: Engine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And then the rows are sent again."""
    monkeypatch.setattr(stream_lane, "REQUEST_S", 0.3)
    server.fault = first(HANG)
    http = client(engine, resource=streamed_to(T))
    store(http, one := instance())
    assert drain(http)[T]["delivered"] == 1
    assert current(server.engine) == [one.uid]
    assert len(server.inserts) == 2


def test_google_says_when_to_come_back(engine: Engine, server: Server) -> None:
    """Retry-After is obeyed, also by who is in a hurry; until then the reason and the time are in view."""
    server.fault = first(Refusal(503, "backendError", {"Retry-After": "1"}))
    http = client(engine, resource=streamed_to(T))
    store(http, instance())
    status = waited(lambda: found if (found := stream_status(http)[T])["lastError"] else None)
    assert (status["state"], status["waiting"], status["attempts"]) == ("retrying", 1, 1)
    assert status["lastError"] == "BigQuery answered 503 backendError"
    assert status["nextAttemptTime"] > status["oldestWaitingTime"]
    assert status["lagSeconds"] > 0
    begin = time.monotonic()
    assert drain(http)[T]["delivered"] == 1
    assert time.monotonic() - begin > 0.3
    assert len(server.inserts) == 2


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7), ("0", 0), ("99999", 600), ("soon", None), ("-3", None), ("", None)]
)
def test_retry_after_is_seconds_or_a_date_within_a_limit(value: str, seconds: float | None) -> None:
    """Whatever else it is counts for nothing."""

    assert google_bigquery._retry_after(SimpleNamespace(headers={"Retry-After": value})) == seconds


def test_a_missing_permission_is_told_and_the_rows_wait(engine: Engine, server: Server) -> None:
    """Whoever waits is not kept waiting: another attempt will not mend it. When it is granted, the rows arrive."""
    server.fault = lambda insert: DENIED
    http = client(engine, resource=streamed_to(T))
    store(http, one := instance())
    begin = time.monotonic()
    status = drain(http, 30)[T]
    assert time.monotonic() - begin < 20
    assert (status["waiting"], status["state"]) == (1, "retrying")
    assert status["lastError"].startswith("BigQuery answered 403 accessDenied")
    server.fault = lambda insert: None
    assert drain(http)[T]["delivered"] == 1
    assert current(server.engine) == [one.uid]


def test_credentials_that_are_refused_are_told(server: Server, tmp_path: Path) -> None:
    """With the command that makes new ones."""

    class Refused(Credentials):  # type: ignore[misc]
        def refresh(self, request: object) -> None:
            raise RefreshError("canary")

    with Engine(tmp_path / "home", credentials=Refused()) as engine:  # type: ignore[no-untyped-call]
        http = client(engine, resource=streamed_to(T))
        store(http, instance())
        error = drain(http)[T]["lastError"]
    assert "gcloud auth application-default login" in error
    assert "canary" not in error


def test_a_dataset_of_google_is_not_made(engine: Engine, server: Server) -> None:
    """As by the Cloud Healthcare API; the reason is in view until it is there."""
    uri = f"bq://{PROJECT}.later.ct"
    http = client(engine, resource=streamed_to(uri))
    store(http, one := instance())
    status = drain(http)[uri]
    assert (status["waiting"], status["delivered"]) == (1, 0)
    assert "later" in status["lastError"]
    server.engine.bigquery.ensure_dataset(PROJECT, "later")
    assert drain(http)[uri]["delivered"] == 1
    assert current(server.engine, TableReference(PROJECT, "later", "ct")) == [one.uid]


def test_a_row_that_google_refuses_is_set_aside_and_the_others_go_in(engine: Engine, server: Server) -> None:
    """One bad row stops a request; the rest is sent again without it, and the reason names the column (check C08)."""
    reference = {"projectId": PROJECT, "datasetId": "imaging", "tableId": "ct"}
    fields = [{"name": "PatientID", "type": "INTEGER"}, {"name": "SOPInstanceUID", "type": "STRING"}]
    server.engine.bigquery.create_table({"tableReference": reference, "schema": {"fields": fields}})
    http = client(engine, resource=streamed_to(T))
    files = [instance(PatientID="canary" if place == 4 else str(place)) for place in range(7)]
    assert store(http, *files).status_code == 200
    status = drain(http)[T]
    assert (status["delivered"], status["failed"], status["waiting"]) == (6, 1, 0)
    assert current(server.engine) == [f.uid for f in files if f is not files[4]]
    (error,) = http.get(f"/dicomkit{STORE}:streamErrors").json["errors"]
    assert error["sopInstanceUid"] == files[4].uid
    assert "PatientID" in error["reason"]
    assert "canary" not in str(error)


@pytest.mark.parametrize("reason", ["timeout", "backendError", "internalError", "rateLimitExceeded"])
def test_a_row_that_is_not_to_blame_is_not_set_aside(engine: Engine, server: Server, reason: str) -> None:
    """Some reasons of a row say nothing about it."""
    errors = {"insertErrors": [{"index": 1, "errors": [{"reason": reason, "message": "x"}]}]}
    server.fault = first(errors, errors)
    http = client(engine, resource=streamed_to(T))
    files = made(3)
    store(http, *files)
    status = drain(http)[T]
    assert (status["delivered"], status["failed"]) == (3, 0)
    assert current(server.engine) == [f.uid for f in files]


def test_a_column_that_is_not_known_everywhere_yet_is_waited_for(engine: Engine, server: Server) -> None:
    """What takes rows learns of a new column later than the table has it: nothing is set aside for it, nor doubled."""
    http = client(engine, resource=streamed_to(T))
    store(http, before := instance())
    drain(http)
    refused = [{"reason": "invalid", "location": "BodyPartExamined", "message": "no such field: BodyPartExamined."}]
    stopped = [{"reason": "stopped", "location": "", "message": ""}]
    late = {"insertErrors": [{"index": 0, "errors": refused}, {"index": 1, "errors": stopped}]}
    left = [late] * 5
    server.fault = lambda insert: left.pop() if len(insert.rows) == 2 and left else None
    files = [instance(BodyPartExamined="HEAD"), instance()]
    store(http, *files)
    status = drain(http)[T]
    assert (status["delivered"], status["failed"]) == (3, 0)
    assert current(server.engine) == [before.uid, *(f.uid for f in files)]
    assert len(uids(server.engine)) == 3


def test_a_deleted_table_of_google_is_made_again(engine: Engine, server: Server) -> None:
    """The documented way out of a conflict; the new table holds what came from then on."""
    http = client(engine, resource=streamed_to(T))
    store(http, instance())
    drain(http)
    server.engine.bigquery.delete_table(TABLE)
    later = instance()
    store(http, later)
    status = drain(http)[T]
    assert (status["delivered"], status["lastError"]) == (2, None)
    assert uids(server.engine) == [later.uid]


def test_a_schema_that_others_change_meanwhile_is_merged_anew(engine: Engine, server: Server) -> None:
    """412 for the etag that was read: read again, and both have their columns."""
    http = client(engine, resource=streamed_to(T))
    store(http, instance())
    drain(http)
    races = []

    def race(verb: str, path: str) -> Fault:
        if verb == "PATCH" and len(races) < 2:
            races.append(path)
            bigquery = server.engine.bigquery
            fields = bigquery.get_table(TABLE)["schema"]["fields"]
            name = f"Others{len(races)}"
            fields = [*fields, {"name": name, "type": "STRING"}]
            bigquery.patch_table(TABLE, {"schema": {"fields": fields}})
        return None

    server.other_fault = race
    store(http, one := instance(BodyPartExamined="HEAD"))
    assert drain(http)[T]["delivered"] == 2
    names = [field["name"] for field in server.engine.bigquery.get_table(TABLE)["schema"]["fields"]]
    assert {"Others1", "Others2", "BodyPartExamined"} <= set(names)
    sql = f"SELECT SOPInstanceUID FROM {TABLE.sql} WHERE BodyPartExamined = 'HEAD'"
    assert rows(server.engine, sql) == [(one.uid,)]


def test_a_table_that_somebody_else_makes_at_the_same_time_is_used(engine: Engine, server: Server) -> None:
    """And grown by what it lacks."""

    def race(verb: str, path: str) -> Fault:
        if verb == "POST" and path.partition("?")[0].endswith("/tables"):
            reference = {"projectId": PROJECT, "datasetId": "imaging", "tableId": "ct"}
            fields = [{"name": "Theirs", "type": "STRING"}]
            server.engine.bigquery.create_table({"tableReference": reference, "schema": {"fields": fields}})
        return None

    server.other_fault = race
    http = client(engine, resource=streamed_to(T))
    store(http, one := instance())
    assert drain(http)[T]["delivered"] == 1
    assert current(server.engine) == [one.uid]
    assert server.engine.bigquery.get_table(TABLE)["schema"]["fields"][0]["name"] == "Theirs"


def test_a_request_that_is_too_large_is_sent_in_parts(engine: Engine, server: Server) -> None:
    """Down to the one row that is too large by itself, which is set aside."""
    files = made(8)
    server.fault = lambda insert: TOO_LARGE if len(insert.rows) > 3 or files[5].uid in insert.uids else None
    http = client(engine, resource=streamed_to(T))
    store(http, *files)
    status = drain(http)[T]
    assert (status["delivered"], status["failed"]) == (7, 1)
    assert uids(server.engine) == sorted(f.uid for f in files if f is not files[5])


def test_one_row_for_which_a_request_is_refused_is_found(engine: Engine, server: Server) -> None:
    """The others have gone in, so the table is not to blame."""
    files = made(8)
    server.fault = lambda insert: Refusal(400, "invalid") if files[2].uid in insert.uids else None
    http = client(engine, resource=streamed_to(T))
    store(http, *files)
    status = drain(http)[T]
    assert (status["delivered"], status["failed"]) == (7, 1)
    assert current(server.engine) == [f.uid for f in files if f is not files[2]]


def test_a_table_that_takes_no_row_at_all_keeps_them_waiting(engine: Engine, server: Server) -> None:
    """None of them is set aside for what the table is to blame for; the message of the service is not told."""
    server.fault = lambda insert: Refusal(400, "invalid")
    http = client(engine, resource=streamed_to(T))
    files = made(30)
    store(http, *files)
    status = drain(http)[T]
    assert (status["waiting"], status["failed"]) == (30, 0)
    assert status["lastError"] == "BigQuery answered 400 invalid"
    server.fault = lambda insert: None
    assert drain(http)[T]["delivered"] == 30
    assert current(server.engine) == [f.uid for f in files]


def test_a_dead_destination_holds_up_no_other_and_no_store_request(engine: Engine, server: Server) -> None:
    """Each destination has its own thread; the outbox is all that a store request writes."""
    server.fault = lambda insert: HANG if insert.table == "ct" else None
    http = client(engine, resource=streamed_to(T, U, HERE))
    files = made(6)
    for one in files:
        begin = time.monotonic()
        assert store(http, one).status_code == 200
        assert time.monotonic() - begin < 10
    for uri in (U, HERE):
        waited(lambda uri=uri: stream_status(http)[uri]["delivered"] == 6)  # type: ignore[misc]
    assert stream_status(http)[T]["waiting"] == 6
    server.fault = lambda insert: None
    server.released.set()
    assert drain(http)[T]["delivered"] == 6
    assert current(server.engine) == [f.uid for f in files]


def test_closing_delivers_to_google(server: Server, tmp_path: Path) -> None:
    """A short program that stores and ends leaves nothing waiting."""
    with Engine(tmp_path / "home", credentials=AnonymousCredentials()) as engine:
        store(client(engine, resource=streamed_to(T)), one := instance())
    assert current(server.engine) == [one.uid]


def test_closing_does_not_wait_for_an_answer_that_does_not_come(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are on disk, and go with the next start."""
    server.fault = lambda insert: HANG
    with Engine(tmp_path / "home", credentials=AnonymousCredentials()) as engine:
        store(client(engine, resource=streamed_to(T)), one := instance())
        waited(lambda: server.inserts)
        begin = time.monotonic()
        engine.streaming.close(0.5)
    assert time.monotonic() - begin < 20
    server.fault = lambda insert: None
    server.released.set()
    with Engine(tmp_path / "home", credentials=AnonymousCredentials()) as engine:
        assert drain(Client(engine))[T]["waiting"] == 0
    assert current(server.engine) == [one.uid]


def test_a_thread_that_has_nothing_to_do_ends(engine: Engine, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Destinations may come and go; the next row begins another."""
    monkeypatch.setattr(stream_lane, "IDLE_S", 0.1)
    http = client(engine, resource=streamed_to(T))
    files = made(2)
    for count, one in enumerate(files, 1):
        store(http, one)
        assert drain(http)[T]["delivered"] == count
        lane = engine.streaming._lanes[T]
        waited(lambda lane=lane: lane.has_ended)  # type: ignore[misc]
    assert current(server.engine) == [f.uid for f in files]


def test_many_rows_through_many_faults_are_there_once_and_in_order(
    engine: Engine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request in five goes wrong: nothing is missing, nothing twice in what is current (check C07)."""
    monkeypatch.setattr(streaming, "GOOGLE", stream_lane.Portion(20, 1 << 20))
    chance = random.Random(7)
    faults: list[Fault] = [TOO_MANY, INTERNAL, BUSY, QUOTA, RESET, RESET_AFTER, NO_JSON]
    server.fault = lambda insert: chance.choice(faults) if chance.random() < 0.2 else None
    http = client(engine, resource=streamed_to(T))
    stored: list[Instance] = []
    for _ in range(40):
        portion = made(10)
        assert store(http, *portion).status_code == 200
        stored += portion
    assert http.delete(stored[3].path).status_code == 200
    status = drain(http, 60)[T]
    assert (status["waiting"], status["failed"], status["delivered"]) == (0, 0, 401)
    assert current(server.engine) == [f.uid for f in stored if f is not stored[3]]
    assert len({row["insertId"] for insert in server.inserts for row in insert.rows}) == 401


def test_two_stores_that_stream_to_one_table_lose_nothing(engine: Engine, server: Server) -> None:
    """One thread for the table, whoever its rows are from."""
    http = client(engine, resource=streamed_to(T))
    other = STORE.replace("/ct", "/mr")
    path = STORE.rpartition("/dicomStores/")[0]
    assert http.post(f"{path}/dicomStores?dicomStoreId=mr", json=streamed_to(T)).status_code == 200
    files = [made(20), made(20)]

    def send(prefix: str, portion: list[Instance]) -> None:
        for one in portion:
            assert store(Client(engine), one, path=f"{prefix}/dicomWeb/studies").status_code == 200

    threads = [threading.Thread(target=send, args=pair) for pair in zip((STORE, other), files, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waited(lambda: drain(http)[T]["delivered"] == 20)
    http.post(f"/dicomkit{other}:drainStreams", json={"timeoutSeconds": 20})
    assert sorted(current(server.engine)) == sorted(f.uid for portion in files for f in portion)
