"""Storage classes of instances: who is moved, what is told of it, and that a move goes on after an interruption."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid
from werkzeug.test import Client

from dicomkit.engine import Engine
from dicomkit.engine.services import storage_settings
from dicomkit.engine.services.task import Interrupted, Task
from tests.unit.engine.factories import DATASET, STORE, Instance, client, drain, ended, instance, rows, store

TOPIC = "projects/local/topics/changes"
TOLD = {"notificationConfigs": [{"pubsubTopic": TOPIC}]}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home") as engine:
        yield engine


def settings(storage_class: str, **fields: Any) -> dict[str, Any]:
    """A request."""
    return {"blobStorageSettings": {"blobStorageClass": storage_class}, **fields}


def move(http: Client, path: str, storage_class: str, **fields: Any) -> dict[str, Any]:
    """The operation, ended."""
    return ended(http, http.post(f"{path}:setBlobStorageSettings", json=settings(storage_class, **fields)))


def info(http: Client, item: Instance) -> dict[str, Any]:
    """``blobStorageInfo`` of an instance."""
    found: dict[str, Any] = http.get(f"{item.path}:getStorageInfo").json["blobStorageInfo"]
    return found


def messages(engine: Engine) -> list[dict[str, str]]:
    """Attributes of the messages about moves."""
    found = engine.notifications.messages(TOPIC, after=0, since=None, limit=1000)
    return [m["attributes"] for m in found if m["attributes"]["action"] == "SetBlobSettings"]


def test_whole_store_is_moved(engine: Engine) -> None:
    """Each instance counts; the document's method name, and Empty at the end."""
    http = client(engine)
    items = [instance() for _ in range(3)]
    store(http, *items)
    before = [info(http, item) for item in items]
    operation = move(http, STORE, "NEARLINE")
    assert operation["metadata"]["apiMethodName"] == (
        "google.cloud.healthcare.v1.storageinfo.StorageInfoService.SetBlobStorageSettings"
    )
    assert operation["metadata"]["counter"] == {"success": "3"}
    assert operation["response"] == {"@type": "type.googleapis.com/google.protobuf.Empty"}
    for item, was in zip(items, before, strict=True):
        now = info(http, item)
        assert (was["storageClass"], now["storageClass"]) == ("STANDARD", "NEARLINE")
        assert now["storageClassUpdateTime"] > was["storageClassUpdateTime"]
        assert now["sizeBytes"] == was["sizeBytes"]


def test_only_what_is_below_the_resource_is_moved(engine: Engine) -> None:
    """A study, a series in it, an instance in that; the series also with the slash of the document."""
    http = client(engine)
    study, series = generate_uid(), generate_uid()
    one, two = instance(study=study, series=series), instance(study=study, series=series)
    three, four = instance(study=study), instance()
    store(http, one, two, three, four)
    web = f"{STORE}/dicomWeb/studies/{study}"
    assert move(http, one.path, "ARCHIVE")["metadata"]["counter"] == {"success": "1"}
    assert [info(http, i)["storageClass"] for i in (one, two)] == ["ARCHIVE", "STANDARD"]
    assert move(http, f"{web}/series/{series}", "COLDLINE")["metadata"]["counter"] == {"success": "2"}
    assert move(http, f"{web}/series/{series}/", "COLDLINE")["metadata"]["counter"] == {"success": "2"}
    assert move(http, web, "NEARLINE")["metadata"]["counter"] == {"success": "3"}
    assert [info(http, i)["storageClass"] for i in (one, two, three, four)] == ["NEARLINE"] * 3 + ["STANDARD"]


def test_filter_file_says_who_is_moved(engine: Engine) -> None:
    """Lines that match nothing are no error."""
    http = client(engine)
    one, two, three = instance(), instance(), instance()
    store(http, one, two, three)
    bucket = engine.home.buckets / "lists"
    bucket.mkdir(parents=True)
    lines = [f"/studies/{one.study}", "/studies/1.2.3", f"/studies/{two.study}/series/{two.series}"]
    (bucket / "a.txt").write_text("\r\n".join(lines))
    config = {"filterConfig": {"resourcePathsGcsUri": "gs://lists/a.txt"}}
    assert move(http, STORE, "COLDLINE", **config)["metadata"]["counter"] == {"success": "2"}
    assert [info(http, i)["storageClass"] for i in (one, two, three)] == ["COLDLINE", "COLDLINE", "STANDARD"]


@pytest.mark.parametrize(
    ("below", "body", "status", "words"),
    [
        ("", {}, 400, "blobStorageSettings.blobStorageClass: is required"),
        ("", {"blobStorageSettings": {}}, 400, "blobStorageClass: is required"),
        ("", settings("BLOB_STORAGE_CLASS_UNSPECIFIED"), 400, "is required"),
        ("", settings("GLACIER"), 400, "must be one of"),
        ("", settings("ARCHIVE", updateMask="x"), 400, 'Unknown name "updateMask"'),
        ("", settings("ARCHIVE", filterConfig={}), 400, "resourcePathsGcsUri"),
        ("", settings("ARCHIVE", filterConfig={"resourcePathsGcsUri": "file:///etc/passwd"}), 400, "gs://"),
        ("", settings("ARCHIVE", filterConfig={"resourcePathsGcsUri": "gs://none/a"}), 404, "bucket"),
        ("/dicomWeb/studies/1.2", settings("ARCHIVE"), 404, "no such study"),
        ("/dicomWeb/studies/1.2/series/3", settings("ARCHIVE"), 404, "no such series"),
        ("/dicomWeb/studies/1.2/series/3/instances/4", settings("ARCHIVE"), 404, "no such instance"),
        ("/dicomWeb/studies/x", settings("ARCHIVE"), 400, "not a DICOM UID"),
        (
            "/dicomWeb/studies/1.2",
            settings("ARCHIVE", filterConfig={"resourcePathsGcsUri": "gs://lists/a"}),
            400,
            "filterConfig: must not be set",
        ),
    ],
)
def test_what_is_wrong_is_said_at_once(
    engine: Engine, below: str, body: dict[str, Any], status: int, words: str
) -> None:
    """No operation is begun, and nothing is changed."""
    http = client(engine)
    item = instance()
    store(http, item)
    before = http.get(f"{DATASET}/operations").json
    answer = http.post(f"{STORE}{below}:setBlobStorageSettings", json=body)
    assert answer.status_code == status, answer.text
    assert words in answer.json["error"]["message"]
    assert http.get(f"{DATASET}/operations").json == before
    assert info(http, item)["storageClass"] == "STANDARD"


def test_who_listens_is_told_of_each_move(engine: Engine) -> None:
    """The class before and after; what is in the class already is not moved, keeps its time, and is not told."""
    http = client(engine, resource=TOLD)
    one, two = instance(), instance()
    store(http, one, two)
    move(http, one.path, "COLDLINE")
    since = info(http, one)["storageClassUpdateTime"]
    assert move(http, STORE, "COLDLINE")["metadata"]["counter"] == {"success": "2"}
    assert info(http, one)["storageClassUpdateTime"] == since
    told = messages(engine)
    assert [m["sopInstanceUID"] for m in told] == [one.uid, two.uid]
    assert {m["storageClass"] for m in told} == {"COLDLINE"}
    assert {m["previousStorageClass"] for m in told} == {"STANDARD"}


def test_streams_get_the_row_again_with_the_new_class(engine: Engine) -> None:
    """Whole, in both schemas, so that the newest row of an instance is true; none for what was in the class already."""
    flat, as_json = "bq://local.imaging.ct", "bq://local.imaging.raw"
    configs = [
        {"bigqueryDestination": {"tableUri": flat}},
        {"bigqueryDestination": {"tableUri": as_json, "schemaJson": {}}},
    ]
    http = client(engine, resource={"streamConfigs": configs})
    one, two = instance(PatientID="P-7"), instance()
    store(http, one)
    move(http, STORE, "ARCHIVE")
    store(http, two)
    move(http, two.path, "NEARLINE")
    move(http, STORE, "ARCHIVE")
    drain(http)
    select = "SELECT SOPInstanceUID, Type, StorageClass, BlobStorageSize FROM"
    size, other = str(len(one.data)), str(len(two.data))
    expected = [
        (one.uid, "CREATE", "STANDARD", size),
        (one.uid, "UPDATE", "ARCHIVE", size),
        (two.uid, "CREATE", "STANDARD", other),
        (two.uid, "UPDATE", "NEARLINE", other),
        (two.uid, "UPDATE", "ARCHIVE", other),
    ]
    for table in ("local.imaging.ct", "local.imaging.raw"):
        assert rows(engine, f"{select} `{table}` ORDER BY LastUpdated") == expected
    newest = "SELECT PatientID, LastUpdated FROM `local.imaging.ct` WHERE SOPInstanceUID = '%s' AND Type = 'UPDATE'"
    [(patient, updated)] = rows(engine, newest % one.uid)
    assert patient == "P-7"
    since = datetime.fromisoformat(info(http, one)["storageClassUpdateTime"])
    assert abs(float(updated) - since.timestamp()) < 1e-3


def test_instance_whose_bytes_are_damaged_is_moved_and_its_row_reported(engine: Engine) -> None:
    """The class is the catalog's own; the row that cannot be made is counted as failed, with the reason."""
    table = "bq://local.imaging.ct"
    http = client(engine, resource={"streamConfigs": [{"bigqueryDestination": {"tableUri": table}}]})
    item = instance()
    store(http, item)
    drain(http)
    for path in engine.home.blobs.iterdir():
        path.write_bytes(bytes(path.stat().st_size))
    assert move(http, STORE, "ARCHIVE")["metadata"]["counter"] == {"success": "1"}
    status = drain(http)[table]
    assert (status["delivered"], status["failed"]) == (1, 1)
    assert "cannot be read" in status["lastError"]


def test_tables_that_change_meanwhile_are_those_that_get_rows(engine: Engine) -> None:
    """A move that was prepared for other tables is prepared again."""
    table = "bq://local.imaging.new"
    http = client(engine, resource={"streamConfigs": [{"bigqueryDestination": {"tableUri": "bq://local.imaging.old"}}]})
    store(http, instance())
    drain(http)
    real = engine.storage_settings._rows
    patches = iter([{"streamConfigs": [{"bigqueryDestination": {"tableUri": table}}]}])

    def patched(*args: Any) -> Any:
        for body in patches:
            assert http.patch(f"{STORE}?updateMask=streamConfigs", json=body).status_code == 200
        return real(*args)

    engine.storage_settings._rows = patched  # type: ignore[method-assign]
    move(http, STORE, "ARCHIVE")
    drain(http)
    assert rows(engine, "SELECT StorageClass FROM `local.imaging.new`") == [("ARCHIVE",)]


def test_move_goes_on_after_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every instance counts once, and is told of once, though a portion was moved and not yet counted."""
    monkeypatch.setattr(storage_settings, "PORTION", 2)
    items = [instance() for _ in range(7)]
    with Engine(tmp_path / "home") as engine:
        http = client(engine, resource=TOLD)
        store(http, *items)
        real = engine.storage_settings

        def cut_short(task: Task) -> dict[str, Any]:
            checks = iter([None, None])
            monkeypatch.setattr(task, "check", lambda: next(checks, Interrupted))
            moved = real._move

            def then_die(*args: Any) -> None:
                moved(*args)
                if task.check() is Interrupted:  # after the commit, before the counters are saved
                    raise Interrupted

            monkeypatch.setattr(real, "_move", then_die)
            return dict(real.work(task))

        engine.operations.register(storage_settings.KIND, storage_settings.METHOD, cut_short)
        name = http.post(f"{STORE}:setBlobStorageSettings", json=settings("NEARLINE")).json["name"]
        assert engine.operations.wait(20)
        half = http.get(f"/v1/{name}").json
        assert "done" not in half
        assert len(messages(engine)) > int(half["metadata"]["counter"].get("success", 0))
    with Engine(tmp_path / "home") as engine:
        http = Client(engine)
        assert engine.operations.wait(20)
        operation = http.get(f"/v1/{name}").json
        assert operation["done"] is True
        assert operation["metadata"]["counter"] == {"success": "7"}
        assert {info(http, item)["storageClass"] for item in items} == {"NEARLINE"}
        assert sorted(m["sopInstanceUID"] for m in messages(engine)) == sorted(item.uid for item in items)


def test_what_comes_after_the_beginning_is_not_moved(tmp_path: Path) -> None:
    """An operation ends although the store goes on growing."""
    with Engine(tmp_path / "home") as engine:
        http = client(engine)
        store(http, instance())
        real = engine.storage_settings.work
        late = instance()

        def with_more(task: Task) -> dict[str, Any]:
            task.state["upTo"] = 1
            store(http, late)
            return dict(real(task))

        engine.operations.register(storage_settings.KIND, storage_settings.METHOD, with_more)
        assert move(http, STORE, "ARCHIVE")["metadata"]["counter"] == {"success": "1"}
        assert info(http, late)["storageClass"] == "STANDARD"


def test_store_that_goes_ends_the_operation_with_an_error(engine: Engine) -> None:
    """NOT_FOUND, number 5."""
    http = client(engine)
    store(http, instance())
    real = engine.storage_settings.work

    def without_store(task: Task) -> dict[str, Any]:
        assert http.delete(STORE).status_code == 200
        return dict(real(task))

    engine.operations.register(storage_settings.KIND, storage_settings.METHOD, without_store)
    operation = move(http, STORE, "ARCHIVE")
    assert operation["error"]["code"] == 5
    assert json.dumps(operation).count("DOE") == 0
