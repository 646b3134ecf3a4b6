"""Long-running operations: what the API says of them while they run, when they end, and after a crash."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from dicomkit.engine import Engine
from dicomkit.engine.persistence.database import Database
from dicomkit.engine.services import operations as service
from dicomkit.engine.services import task as tasks
from dicomkit.engine.services.operations import EMPTY, Operations
from dicomkit.engine.services.task import Task
from dicomkit.errors import FailedPrecondition, NotFound
from dicomkit.names import DatasetName
from tests.unit.engine.factories import DATASET, PARENT, WEB, client, instance, store

NAME = DatasetName.parse(DATASET.removeprefix("/v1/"))
RESPONSE = {"@type": EMPTY}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home") as engine:
        client(engine)
        yield engine


@pytest.fixture
def operations(engine: Engine) -> Operations:
    return engine.operations


class Gate:
    """A worker that goes as far as it is let."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        self.calls: list[dict[str, Any]] = []

    def __call__(self, task: Task) -> dict[str, Any]:
        self.calls.append(dict(task.state))
        task.pending(2)
        task.save(now=True)
        self.begun.set()
        while not self.go.wait(0.01):
            task.check()
        task.success(2)
        return RESPONSE


@pytest.fixture
def gate(operations: Operations) -> Iterator[Gate]:
    gate = Gate()
    operations.register("gate", "dicom.DicomService.ImportDicomData", gate)
    yield gate
    gate.go.set()


def outcome(operations: Operations, name: str) -> dict[str, Any]:
    assert operations.wait(30)
    return operations.get(NAME, name.rpartition("/")[2])


def test_first_answer_is_the_name_alone(operations: Operations, gate: Gate) -> None:
    """``{"name": ...}``, with an id of 19 digits (section 5.4)."""
    begun = operations.start(NAME, "gate", {})
    assert list(begun) == ["name"]
    prefix, _, id_ = begun["name"].rpartition("/")
    assert prefix == f"{NAME}/operations"
    assert id_.isdigit() and len(id_) == 19


def test_running_operation_shows_metadata_and_counters_and_is_not_done(operations: Operations, gate: Gate) -> None:
    """No ``done`` and no ``endTime``; counters are text, and those of zero are left out."""
    id_ = operations.start(NAME, "gate", {})["name"].rpartition("/")[2]
    assert gate.begun.wait(10)
    body = operations.get(NAME, id_)
    assert body.keys() == {"name", "metadata"}
    assert body["metadata"].keys() == {"@type", "apiMethodName", "createTime", "counter"}
    assert body["metadata"]["@type"] == "type.googleapis.com/google.cloud.healthcare.v1.OperationMetadata"
    assert body["metadata"]["apiMethodName"] == "google.cloud.healthcare.v1.dicom.DicomService.ImportDicomData"
    assert body["metadata"]["counter"] == {"pending": "2"}


def test_ended_operation_has_a_response_and_an_end(operations: Operations, gate: Gate) -> None:
    """Nothing is pending any more."""
    gate.go.set()
    body = outcome(operations, operations.start(NAME, "gate", {})["name"])
    assert body["done"] is True
    assert body["response"] == RESPONSE
    assert "error" not in body
    assert body["metadata"]["counter"] == {"success": "2"}
    assert body["metadata"]["endTime"] >= body["metadata"]["createTime"]


def test_version_of_the_call_is_the_version_of_the_metadata(operations: Operations, gate: Gate) -> None:
    """Begun by v1beta1, it says so whoever asks (section 5.4)."""
    gate.go.set()
    body = outcome(operations, operations.start(NAME, "gate", {}, api="v1beta1")["name"])
    assert body["metadata"]["@type"] == "type.googleapis.com/google.cloud.healthcare.v1beta1.OperationMetadata"
    assert body["metadata"]["apiMethodName"].startswith("google.cloud.healthcare.v1beta1.")


def test_cancelled_operation_ends_with_code_1(operations: Operations, gate: Gate) -> None:
    """``cancelRequested``, error 1 (CANCELLED), and what was done stays done."""
    name = operations.start(NAME, "gate", {})["name"]
    assert gate.begun.wait(10)
    operations.cancel(NAME, name.rpartition("/")[2])
    body = outcome(operations, name)
    assert body["metadata"]["cancelRequested"] is True
    assert body["error"]["code"] == 1
    assert body["done"] is True
    assert "response" not in body


def test_operation_that_waits_for_its_turn_is_cancelled_at_once(operations: Operations, gate: Gate) -> None:
    """Its worker is never called."""
    for _ in range(service.WORKERS):
        operations.start(NAME, "gate", {})
    waiting = operations.start(NAME, "gate", {})["name"].rpartition("/")[2]
    operations.cancel(NAME, waiting)
    assert operations.get(NAME, waiting)["error"]["code"] == 1
    gate.go.set()
    assert operations.wait(30)
    assert len(gate.calls) <= service.WORKERS


def test_cancelling_what_has_ended_changes_nothing(operations: Operations, gate: Gate) -> None:
    """Best effort: the answer is ``{}`` and the operation stays as it was."""
    gate.go.set()
    name = operations.start(NAME, "gate", {})["name"]
    before = outcome(operations, name)
    operations.cancel(NAME, name.rpartition("/")[2])
    assert operations.get(NAME, name.rpartition("/")[2]) == before


def test_failures_are_counted_and_listed_with_their_sources(operations: Operations) -> None:
    """Some failed: a response, and the counter says how many."""

    def work(task: Task) -> dict[str, Any]:
        task.success()
        task.failure("gs://b/one", "no DICOM file")
        task.failure("gs://b/two", "exists already", "ALREADY_EXISTS")
        return RESPONSE

    operations.register("some", "x", work)
    body = outcome(operations, operations.start(NAME, "some", {})["name"])
    assert body["response"] == RESPONSE
    assert body["metadata"]["counter"] == {"success": "1", "failure": "2"}
    found = operations.failures(NAME, body["name"].rpartition("/")[2], after=0, limit=10)
    assert [(f["source"], f["error"]) for f in found] == [
        ("gs://b/one", {"code": 3, "message": "no DICOM file"}),
        ("gs://b/two", {"code": 6, "message": "exists already"}),
    ]
    rest = operations.failures(NAME, body["name"].rpartition("/")[2], after=found[0]["key"], limit=10)
    assert rest == found[1:]


def test_operation_of_which_nothing_succeeded_has_failed(operations: Operations) -> None:
    """An error in place of the response (section 5.1)."""

    def work(task: Task) -> dict[str, Any]:
        task.failure("gs://b/one", "no DICOM file")
        return RESPONSE

    operations.register("none", "x", work)
    body = outcome(operations, operations.start(NAME, "none", {})["name"])
    assert body["error"]["code"] == 3
    assert "response" not in body


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (FailedPrecondition("the table has rows"), 9, "the table has rows"),
        (NotFound("there is no bucket"), 5, "there is no bucket"),
        (ValueError("Doe^Jane"), 13, "internal error"),
    ],
)
def test_worker_that_raises_ends_the_operation(
    operations: Operations, caplog: pytest.LogCaptureFixture, raised: Exception, code: int, message: str
) -> None:
    """An error of the API with its code and text; a defect without its text, which may hold values."""

    def work(task: Task) -> dict[str, Any]:
        raise raised

    operations.register("bad", "x", work)
    body = outcome(operations, operations.start(NAME, "bad", {})["name"])
    assert body["error"] == {"code": code, "message": message}
    assert "Doe" not in caplog.text


def test_more_failures_than_are_kept_are_counted(operations: Operations, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list is bounded, the counter is not."""
    monkeypatch.setattr(tasks, "MAX_FAILURES", 3)

    def work(task: Task) -> dict[str, Any]:
        for n in range(5):
            task.failure(f"gs://b/{n}", "no")
            task.save(now=True)
        task.success()
        return RESPONSE

    operations.register("many", "x", work)
    body = outcome(operations, operations.start(NAME, "many", {})["name"])
    assert body["metadata"]["counter"]["failure"] == "5"
    assert len(operations.failures(NAME, body["name"].rpartition("/")[2], after=0, limit=10)) == 3


@pytest.fixture
def interrupted(tmp_path: Path) -> tuple[Path, str, Gate]:
    """A home that was closed while an operation ran, its name, and the worker that had saved what it did."""
    gate = Gate()

    def work(task: Task) -> dict[str, Any]:
        task.state["at"] = 3
        task.success(3)
        task.save(now=True)
        return gate(task)

    with Engine(tmp_path) as engine:
        client(engine)
        engine.operations.register("work", "x", work)
        name = engine.operations.start(NAME, "work", {})["name"]
        assert gate.begun.wait(10)
    return tmp_path, name, gate


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, interrupted: tuple[Path, str, Gate]) -> None:
    """Engines that are opened from here on know the worker before they resume, as with the kinds of the product."""
    resume = Operations.resume

    def with_kind(self: Operations) -> None:
        self.register("work", "x", interrupted[2])
        resume(self)

    monkeypatch.setattr(Operations, "resume", with_kind)


@pytest.mark.usefixtures("known")
def test_closing_interrupts_and_the_next_engine_goes_on(interrupted: tuple[Path, str, Gate]) -> None:
    """With what the worker saved; the operation keeps its name and its counters."""
    home, name, gate = interrupted
    gate.go.set()
    with Engine(home) as engine:
        body = outcome(engine.operations, name)
    assert gate.calls[-1] == {"at": 3}
    assert body["response"] == RESPONSE
    assert body["metadata"]["counter"] == {"success": "5"}


def test_operation_that_nobody_knows_any_more_ends_with_an_error(interrupted: tuple[Path, str, Gate]) -> None:
    """A version without its worker says so, and does not leave it running for ever."""
    home, name, _ = interrupted
    with Engine(home) as engine:
        assert outcome(engine.operations, name)["error"]["code"] == 12


@pytest.mark.usefixtures("known")
def test_operation_that_kills_its_process_again_and_again_is_given_up(interrupted: tuple[Path, str, Gate]) -> None:
    """After some attempts that got no further it ends with an error that says so."""
    home, name, gate = interrupted
    # What that many crashes leave behind.
    database = Database(home / "catalog.sqlite")
    with database.write() as connection:
        connection.execute("UPDATE operations SET attempts = ? WHERE kind = 'work'", (service.MAX_ATTEMPTS,))
    database.close()
    with Engine(home) as engine:
        assert outcome(engine.operations, name)["error"]["code"] == 13
    assert len(gate.calls) == 1


def test_operations_are_listed_in_their_order_page_by_page(engine: Engine, gate: Gate) -> None:
    """Per dataset; a token leads to the next page."""
    gate.go.set()
    names = [engine.operations.start(NAME, "gate", {})["name"] for _ in range(3)]
    assert engine.operations.wait(30)
    http = Client(engine)
    first = http.get(f"{DATASET}/operations?pageSize=3").json
    rest = http.get(f"{DATASET}/operations?pageSize=3&pageToken={first['nextPageToken']}").json
    listed = [operation["name"] for operation in first["operations"] + rest["operations"]]
    assert listed[1:] == names  # the first one made the dataset
    http.post(f"{PARENT}/datasets?datasetId=other")
    others = http.get(f"{PARENT}/datasets/other/operations").json["operations"]
    assert len(others) == 1
    assert http.get(f"{PARENT}/datasets/other/operations/{names[0].rpartition('/')[2]}").status_code == 404


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [("filter=done%3Dtrue", 400, "INVALID_ARGUMENT"), ("returnPartialSuccess=true", 501, "UNIMPLEMENTED")],
)
def test_what_a_list_cannot_do_is_refused(engine: Engine, query: str, status: int, code: str) -> None:
    """And not ignored."""
    answer = Client(engine).get(f"{DATASET}/operations?{query}")
    assert (answer.status_code, answer.json["error"]["status"]) == (status, code)


def test_cancel_takes_an_empty_body_only(engine: Engine) -> None:
    """An unknown field is an error as everywhere (section 1.1)."""
    http = Client(engine)
    name = http.get(f"{DATASET}/operations").json["operations"][0]["name"]
    assert http.post(f"/v1/{name}:cancel", json={}).json == {}
    assert http.post(f"/v1/{name}:cancel", json={"force": True}).status_code == 400
    assert http.post(f"{DATASET}/operations/1:cancel").status_code == 404


def test_operations_end_with_their_dataset(engine: Engine, gate: Gate) -> None:
    """One that runs stops, and nothing of it is left."""
    engine.operations.start(NAME, "gate", {})
    assert gate.begun.wait(10)
    assert Client(engine).delete(DATASET).status_code == 200
    gate.go.set()
    assert engine.operations.wait(30)
    with engine.storage.database.read() as connection:
        assert connection.execute("SELECT COUNT(*) FROM operations").fetchone() == (0,)


def test_operations_are_forgotten_after_30_days(engine: Engine, gate: Gate) -> None:
    """Counted from their end (section 5.4); the next operation makes room."""
    gate.go.set()
    old = outcome(engine.operations, engine.operations.start(NAME, "gate", {})["name"])
    with engine.storage.database.write() as connection:
        connection.execute("UPDATE operations SET ended = ended - ?", (30 * 24 * 3600 * 1_000_000 + 1,))
    engine.operations.start(NAME, "gate", {})
    with pytest.raises(NotFound):
        engine.operations.get(NAME, old["name"].rpartition("/")[2])


def test_deleting_a_study_is_an_operation(engine: Engine) -> None:
    """It counts instances and answers Empty (section 4.4); done with its answer, so that nothing stored later goes."""
    http = Client(engine)
    one = instance()
    store(http, one, instance(study=one.study))
    body = http.delete(f"{WEB}/studies/{one.study}").json
    assert body["metadata"]["apiMethodName"] == "google.cloud.healthcare.v1.dicomweb.DicomWebService.DeleteStudy"
    assert body["metadata"]["counter"] == {"success": "2"}
    assert (body["done"], body["response"]) == (True, RESPONSE)
    assert http.get(f"/v1/{body['name']}").json == body
    assert http.get(f"{WEB}/studies/{one.study}/metadata").status_code == 404
    store(http, one)
    assert http.get(f"{WEB}/studies/{one.study}/metadata").status_code == 200
