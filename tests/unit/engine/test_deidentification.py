"""De-identification as an operation: it goes on where it was, stops when asked, and survives any instance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from dicomkit.engine import Engine
from dicomkit.engine.access import CALLER, Caller
from dicomkit.engine.services import deidentify_copy as copying
from dicomkit.engine.services import deidentify_preview as previewing
from dicomkit.engine.services import deidentify_workers, task
from dicomkit.engine.services import operations as service
from tests.unit.deid import planted
from tests.unit.deid.planted import BASIC, Marks, part10
from tests.unit.engine.factories import DATASET, FILE_AS_STORED, STORE, client, ended, instance, outcomes, store

OUT = STORE.replace("/ct", "/out")
ODD = "tests.unit.engine.odd_child"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home") as engine:
        yield engine


@pytest.fixture
def http(engine: Engine) -> Client:
    """A client of an engine with an empty store for the copies."""
    http = client(engine)
    assert http.post(f"{DATASET}/dicomStores?dicomStoreId=out").status_code == 200
    return http


def body(**fields: Any) -> dict[str, Any]:
    return {"destinationStore": OUT[4:], "config": BASIC, **fields}


def begun(http: Client, **fields: Any) -> Any:
    return http.post(f"{STORE}:deidentify", json=body(**fields))


def found(http: Client, at: str = OUT) -> list[tuple[str, str, str]]:
    """UIDs of the instances of a store."""
    answer = http.get(f"{at}/dicomWeb/instances?limit=5000")
    items = answer.json if answer.status_code == 200 else []
    return [tuple(item[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")) for item in items]  # type: ignore[misc]


def file(http: Client, uids: tuple[str, str, str], at: str = OUT) -> bytes:
    path = "{}/dicomWeb/studies/{}/series/{}/instances/{}".format(at, *uids)
    return http.get(path, headers={"Accept": FILE_AS_STORED}).data


def test_operation_says_what_it_is(http: Client) -> None:
    """Method, types and counters as the API documents them, with the version of the call."""
    store(http, instance(), instance())
    operation = ended(http, begun(http))
    assert (
        operation["metadata"]["apiMethodName"] == "google.cloud.healthcare.v1.dicom.DicomService.DeidentifyDicomStore"
    )
    assert operation["metadata"]["counter"] == {"success": "2"}
    name = "type.googleapis.com/google.cloud.healthcare.v1.deidentify.DeidentifyDicomStoreSummary"
    assert operation["response"] == {"@type": name}


def test_empty_store_is_done_at_once(http: Client) -> None:
    """Nothing to do is no failure."""
    operation = ended(http, begun(http))
    assert "response" in operation and operation["metadata"]["counter"] == {}


def test_source_stays_as_it_is(http: Client) -> None:
    """Each byte of it."""
    made = [instance() for _ in range(3)]
    store(http, *made)
    before = sorted(file(http, uids, STORE) for uids in found(http, STORE))
    ended(http, begun(http))
    assert sorted(file(http, uids, STORE) for uids in found(http, STORE)) == before == sorted(i.data for i in made)


def test_no_key_is_in_an_answer_or_left_behind(engine: Engine, http: Client) -> None:
    """Neither the operation's nor the request's: the catalog's row of an ended operation has none."""
    store(http, instance())
    key = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ="
    text = {"additionalTransformations": [{"cryptoHashConfig": {"cryptoKey": key}}]}
    answer = begun(http, config={"text": text})
    operation = ended(http, answer)
    assert key not in f"{answer.text}{operation}"
    with engine.storage.database.read() as connection:
        rows = connection.execute("SELECT CAST(request AS TEXT), CAST(state AS TEXT) FROM operations").fetchall()
    assert set(rows) == {("{}", "{}")}


def test_interrupted_operation_goes_on_with_the_same_uids(tmp_path: Path) -> None:
    """Closed in the middle and opened again: as many copies as instances, all of one study, each counted once."""
    made = [instance(study="1.2.3", series=f"1.2.3.{n % 3}", uid=f"1.2.4.{n}") for n in range(60)]
    with Engine(tmp_path / "home") as engine, pytest.MonkeyPatch.context() as patch:
        http = client(engine)
        http.post(f"{DATASET}/dicomStores?dicomStoreId=out")
        store(http, *made)
        patch.setattr(copying, "PORTION_S", 0.0)
        name = begun(http).json["name"]
        while len(found(http)) < 5:
            pass
    with Engine(tmp_path / "home") as engine:
        http = Client(engine)
        assert engine.operations.wait(60)
        operation = http.get(f"/v1/{name}").json
        assert operation["metadata"]["counter"] == {"success": "60"}
        copies = found(http)
        assert len(set(copies)) == len(copies) == 60
        assert (len({study for study, _, _ in copies}), len({series for _, series, _ in copies})) == (1, 3)


def test_cancel_stops_it_and_leaves_what_is_done(engine: Engine, http: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even while an instance takes for ever."""
    store(http, instance(), instance(PatientName="HANG"))
    monkeypatch.setattr(deidentify_workers, "MODULE", ODD)
    monkeypatch.setattr(copying, "PORTION_S", 0.0)
    monkeypatch.setattr(task, "SAVE_S", 0.0)
    name = begun(http).json["name"]
    while "cancelRequested" not in (operation := http.get(f"/v1/{name}").json)["metadata"]:
        if operation["metadata"].get("counter", {}).get("pending") == "1":
            assert http.post(f"/v1/{name}:cancel", json={}).status_code == 200
    assert engine.operations.wait(30)
    operation = http.get(f"/v1/{name}").json
    assert operation["error"]["code"] == 1
    assert len(found(http)) <= 1


def test_instance_that_kills_its_process_is_a_failure(
    engine: Engine, http: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is copied, and the reason names the instance and none of its values."""
    made = [instance(), instance(PatientName="DIE"), instance(), instance(PatientID="HANG"), instance()]
    store(http, *made)
    monkeypatch.setattr(deidentify_workers, "MODULE", ODD)
    monkeypatch.setattr(copying, "LIMIT_S", 1.0)
    operation = ended(http, begun(http))
    # What the odd child answers is no DICOM file: it counts as a failure of its own.
    assert operation["metadata"]["counter"]["failure"] == "5"
    errors = http.get(f"/dicomkit/v1/{operation['name']}:errors").json["errors"]
    told = {error["source"].rpartition("/")[2]: error["error"]["message"] for error in errors}
    assert told[made[1].uid] == "the instance ended the process that worked on it"
    assert told[made[3].uid] == "the instance took longer than 1 s"
    assert "DIE" not in str(errors) and "HANG" not in str(errors)


def test_large_instance_goes_through_a_file(http: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one above the limit is a failure."""
    made = [instance(pixels=6 << 20), instance()]
    store(http, *made)
    assert ended(http, begun(http))["metadata"]["counter"] == {"success": "2"}
    assert max(len(file(http, uids)) for uids in found(http)) > 6 << 20
    monkeypatch.setattr(copying, "MAX_INSTANCE_BYTES", 1 << 20)
    operation = ended(http, begun(http))
    assert operation["metadata"]["counter"] == {"success": "1", "failure": "1"}
    (error,) = http.get(f"/dicomkit/v1/{operation['name']}:errors").json["errors"]
    assert error["source"].endswith(made[0].uid) and "larger than" in error["error"]["message"]


def test_caller_needs_the_destination(engine: Engine, http: Client) -> None:
    """``dicomWebWrite`` on it besides ``deidentify`` on the source; a new dataset is for who may make datasets."""
    store(http, instance())
    admin = Caller("user:admin@example.com")

    def post(path: str, payload: dict[str, Any]) -> Any:
        return http.post(path, json=payload, environ_overrides={CALLER: admin})

    assert post(f"{STORE}:deidentify", body()).status_code == 403
    grant(http, STORE, "roles/healthcare.dicomStoreAdmin")
    refused = post(f"{STORE}:deidentify", body())
    assert refused.status_code == 403 and "dicomWebWrite" in refused.text
    assert post(f"{STORE}:deidentify", body(destinationStore=OUT[4:] + "x")).status_code == 403
    assert post(f"/dicomkit{STORE}:previewDeidentify", {"config": BASIC}).status_code == 200
    grant(http, OUT, "roles/healthcare.dicomEditor")
    assert post(f"{STORE}:deidentify", body()).status_code == 200
    grant(http, DATASET, "roles/healthcare.datasetAdmin")
    dataset = post(f"{DATASET}:deidentify", {"destinationDataset": DATASET[4:] + "x", "config": BASIC})
    assert dataset.status_code == 403 and "healthcare.datasets.create" in dataset.text
    assert engine.operations.wait(30)


def grant(http: Client, resource: str, role: str) -> None:
    policy = {"bindings": [{"role": role, "members": ["user:admin@example.com"]}]}
    assert http.post(f"{resource}:setIamPolicy", json={"policy": policy}).status_code == 200


def test_dataset_needs_a_new_name_in_the_same_location(http: Client) -> None:
    """ALREADY_EXISTS, INVALID_ARGUMENT, and nothing is made."""
    for name, status in (
        (DATASET[4:], 409),
        (DATASET[4:].replace("locations/local", "locations/us"), 400),
        ("default", 400),
        ("", 400),
    ):
        answer = http.post(f"{DATASET}:deidentify", json={"destinationDataset": name, "config": BASIC})
        assert answer.status_code == status, name
    missing = http.post(f"{DATASET}x:deidentify", json={"destinationDataset": DATASET[4:] + "y", "config": BASIC})
    assert missing.status_code == 404
    refused = http.post(f"{DATASET}:deidentify", json={"destinationDataset": DATASET[4:] + "x", "config": {"fhir": {}}})
    assert refused.status_code == 501 and "fhir" in refused.text
    assert http.get(f"{DATASET}x").status_code == 404


def test_dataset_made_by_somebody_else_meanwhile_is_left_alone(
    engine: Engine, http: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operation ends with ALREADY_EXISTS."""
    store(http, instance())
    monkeypatch.setattr(service, "WORKERS", 0)
    name = http.post(f"{DATASET}:deidentify", json={"destinationDataset": DATASET[4:] + "x", "config": BASIC}).json[
        "name"
    ]
    assert http.post(DATASET.rpartition("/")[0] + "?datasetId=defaultx").status_code == 200
    monkeypatch.undo()
    ended(http, begun(http))  # a worker is there again, and takes both
    assert engine.operations.wait(30)
    assert http.get(f"/v1/{name}").json["error"]["code"] == 6
    assert http.get(f"{DATASET}x/dicomStores").json == {}


def test_deleted_while_it_waits_is_left_out(engine: Engine, http: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither success nor failure."""
    made = [instance(), instance()]
    assert set(outcomes(store(http, *made)).values()) == {"STORED"}
    monkeypatch.setattr(service, "WORKERS", 0)
    name = begun(http).json["name"]
    assert http.delete(made[0].path).status_code == 200
    monkeypatch.undo()
    ended(http, begun(http))
    assert engine.operations.wait(30)
    assert http.get(f"/v1/{name}").json["metadata"]["counter"] == {"success": "1"}


def test_preview_stops_at_its_limit_of_bytes(http: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how many instances it has looked at."""
    marks = Marks()
    store(http, part10(planted.ct(marks), marks), instance())
    monkeypatch.setattr(previewing, "MAX_BYTES", 1)
    answer = http.post(f"/dicomkit{STORE}:previewDeidentify", json={"config": BASIC}).json
    assert (answer["instances"], answer["total"], answer["unreadable"]) == (1, 2, 0)
    assert marks.found_in(str(answer).encode()) == []


def test_preview_counts_what_would_fail(http: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance that cannot be read has no rows."""
    store(http, instance(PatientName="REFUSE"))
    monkeypatch.setattr(deidentify_workers, "MODULE", ODD)
    answer = http.post(f"/dicomkit{STORE}:previewDeidentify", json={"config": BASIC}).json
    assert answer == {"rows": [], "instances": 1, "total": 1, "unreadable": 1}
