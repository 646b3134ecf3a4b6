"""Who is told what of which change: the topics of a store, kept in the home."""

from __future__ import annotations

import base64
import email.utils
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from dicomkit.dicom.multipart import Part
from dicomkit.engine import Engine
from dicomkit.engine.persistence import messages as rows
from dicomkit.engine.services import notifications
from dicomkit.names import DicomStoreName
from tests.unit.engine.factories import (
    DATASET,
    STORE,
    WEB,
    Instance,
    client,
    ended,
    instance,
    outcomes,
    store,
)

TOPIC = "projects/local/topics/changes"
NAME = STORE.removeprefix("/v1/")
NEWER = {"notificationConfigs": [{"pubsubTopic": TOPIC}]}
OLDER = {"notificationConfig": {"pubsubTopic": TOPIC}}
WITH_IMPORTS = {"notificationConfig": {"pubsubTopic": TOPIC, "sendForBulkImport": True}}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home") as made:
        yield made


def told(http: Client, topic: str = TOPIC, **query: Any) -> list[dict[str, Any]]:
    """Messages of a topic."""
    answer = http.get(f"/dicomkit/v1/{topic}:messages", query_string=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json["messages"]
    return found


def name_in(message: dict[str, Any]) -> str:
    """The instance that a message is about, as a path."""
    return f"/v1/{base64.b64decode(message['data']).decode()}"


def actions(http: Client) -> list[tuple[str, str]]:
    """(action, instance) of each message."""
    return [(message["attributes"].get("action", ""), name_in(message)) for message in told(http)]


def imported(engine: Engine, http: Client, *items: Instance) -> dict[str, Any]:
    """An import of *items*, ended."""
    folder = engine.home.buckets / "inbox"
    folder.mkdir(exist_ok=True)
    for item in items:
        (folder / f"{item.uid}.dcm").write_bytes(item.data)
    return ended(http, http.post(f"{STORE}:import", json={"gcsSource": {"uri": "gs://inbox/*.dcm"}}))


# What a message says


def test_message_of_a_new_instance_is_the_documented_one(engine: Engine) -> None:
    """Data and attributes as in "Configure DICOM Pub/Sub notifications"; the version is a time in nanoseconds."""
    http = client(engine, resource=NEWER)
    before = int(time.time() * 1e6)
    item = instance(Modality="MR")
    store(http, item)
    (message,) = told(http)
    assert set(message) == {"data", "attributes", "messageId", "publishTime"}
    assert name_in(message) == item.path
    attributes = message["attributes"]
    updated, version = attributes.pop("lastUpdatedTime"), attributes.pop("versionId")
    assert attributes == {
        "action": "StoreInstances",
        "storeName": NAME,
        "studyInstanceUID": item.study,
        "seriesInstanceUID": item.series,
        "sopInstanceUID": item.uid,
        "modality": "MR",
        "storageClass": "STANDARD",
    }
    nanoseconds = int(base64.b64decode(version + "=" * (-len(version) % 4)))
    assert before <= nanoseconds // 1_000 <= time.time() * 1e6
    assert "=" not in version
    assert updated.endswith(" UTC")
    assert email.utils.parsedate_to_datetime(updated).timestamp() == nanoseconds // 10**9
    published = datetime.fromisoformat(message["publishTime"])
    assert nanoseconds / 1e9 <= published.timestamp() <= time.time()


def test_attribute_without_a_value_is_left_out(engine: Engine) -> None:
    """An instance without Modality."""
    http = client(engine, resource=NEWER)
    store(http, instance(Modality=None))
    assert "modality" not in told(http)[0]["attributes"]


def test_every_topic_of_the_store_is_told_once(engine: Engine) -> None:
    """Also one that is named twice; each topic counts its own messages."""
    other = "projects/elsewhere/topics/all"
    http = client(engine, resource={"notificationConfigs": [{"pubsubTopic": t} for t in (TOPIC, other, TOPIC)]})
    first, second = instance(), instance()
    store(http, first)
    store(http, second)
    for topic in (TOPIC, other):
        assert [name_in(message) for message in told(http, topic)] == [first.path, second.path]
        assert [message["messageId"] for message in told(http, topic)] == ["1", "2"]


def test_what_is_not_stored_tells_nobody(engine: Engine) -> None:
    """An instance that was there, a conflict, and a broken file."""
    http = client(engine, resource=NEWER)
    item = instance()
    store(http, item)
    other = instance(study=item.study, series=item.series, uid=item.uid, PatientName="Other")
    answer = store(http, item, other, b"no DICOM", item)
    assert "STORED" not in outcomes(answer).values()
    assert [name_in(message) for message in told(http)] == [item.path]


def test_store_without_topics_makes_none(engine: Engine) -> None:
    """Nothing is written for nobody."""
    http = client(engine)
    store(http, instance())
    with engine.storage.database.read() as connection:
        assert rows.list_topics(connection, "") == []


# Which changes


def test_deletes_are_told_instance_by_instance(engine: Engine) -> None:
    """Of one instance, a series and a study, with what the instance was."""
    http = client(engine, resource=NEWER)
    one = instance()
    series = [instance(study=one.study, series="1.2.3.4") for _ in range(2)]
    rest = [instance(study=one.study, series="1.2.3.5") for _ in range(2)]
    store(http, one, *series, *rest)
    stored = {name_in(message): message["attributes"] for message in told(http)}
    assert http.delete(one.path).status_code == 200
    ended(http, http.delete(f"{WEB}/studies/{one.study}/series/1.2.3.4"))
    ended(http, http.delete(f"{WEB}/studies/{one.study}"))
    found = told(http)[5:]
    assert [name_in(message) for message in found] == [i.path for i in (one, *series, *rest)]
    for message in found:
        assert message["attributes"] == {**stored[name_in(message)], "action": "DeleteInstances"}


def test_a_change_of_storage_class_is_told_with_the_class_before(engine: Engine) -> None:
    """previousStorageClass is there for a change of it only."""
    http = client(engine, resource=NEWER)
    item = instance()
    store(http, item)
    body = {"blobStorageSettings": {"blobStorageClass": "NEARLINE"}}
    ended(http, http.post(f"{STORE}:setBlobStorageSettings", json=body))
    first, second = (message["attributes"] for message in told(http))
    assert "previousStorageClass" not in first
    assert second["action"] == "SetBlobSettings"
    assert second["storageClass"] == "NEARLINE"
    assert second["previousStorageClass"] == "STANDARD"


@pytest.mark.parametrize(("resource", "expected"), [(NEWER, 1), (OLDER, 0), (WITH_IMPORTS, 1)])
def test_imports_are_told_to_who_wants_them(engine: Engine, resource: dict[str, Any], expected: int) -> None:
    """The older form hears of an import with sendForBulkImport only; what was there already is not told again."""
    http = client(engine, resource=resource)
    there, new = instance(), instance()
    store(http, there)
    assert imported(engine, http, there, new)["metadata"]["counter"]["success"] in ("1", "2")
    found = told(http)
    assert [name_in(message) for message in found] == [there.path, new.path][: 1 + expected]
    if resource is NEWER:
        assert found[1]["attributes"]["action"] == "ImportDicomData"


@pytest.mark.parametrize(("resource", "expected"), [(NEWER, 1), (OLDER, 0), (WITH_IMPORTS, 0)])
def test_copies_of_a_deidentification_are_told_by_the_newer_form(
    engine: Engine, resource: dict[str, Any], expected: int
) -> None:
    """They come under the action of that endpoint."""
    http = client(engine, resource=resource)
    item = instance()
    part = Part({}, len(item.data), item.data, None)
    (result,) = engine.ingest.store(DicomStoreName.parse(NAME), [part], action=notifications.DEIDENTIFY)
    assert result.outcome == "stored"
    assert actions(http) == [("DeidentifyDicomStore", item.path)][:expected]


@pytest.mark.parametrize("resource", [OLDER, WITH_IMPORTS])
def test_older_form_says_the_name_of_what_is_new_and_nothing_else(engine: Engine, resource: dict[str, Any]) -> None:
    """No attributes, and not a word of deletes and moves."""
    http = client(engine, resource=resource)
    kept, gone = instance(), instance()
    store(http, kept, gone)
    assert http.delete(gone.path).status_code == 200
    body = {"blobStorageSettings": {"blobStorageClass": "NEARLINE"}}
    ended(http, http.post(f"{STORE}:setBlobStorageSettings", json=body))
    found = told(http)
    assert [name_in(message) for message in found] == [kept.path, gone.path]
    assert [message["attributes"] for message in found] == [{}, {}]


def test_older_form_without_a_topic_tells_nobody(engine: Engine) -> None:
    """Notifications are only sent if the topic is non-empty."""
    http = client(engine, resource={"notificationConfig": {"sendForBulkImport": True}})
    store(http, instance())
    assert http.get("/dicomkit/v1/projects/local/topics").json == {"topics": []}


def test_messages_stay_when_the_store_goes(engine: Engine) -> None:
    """A deleted store says nothing more, also not of the instances that it takes with it."""
    http = client(engine, resource=NEWER)
    item = instance()
    store(http, item)
    assert http.delete(STORE).status_code == 200
    assert actions(http) == [("StoreInstances", item.path)]


def test_a_change_that_fails_tells_nobody(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are part of the transaction: one that is undone leaves none."""
    http = client(engine, resource=NEWER)
    item = instance()
    store(http, item)

    def full(*args: object) -> None:
        raise OSError(28, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(engine.storage.index, "delete", full)
        assert http.delete(item.path).status_code == 500
    assert actions(http) == [("StoreInstances", item.path)]


# Configuration


def test_topics_are_those_of_the_configuration_at_the_time(engine: Engine) -> None:
    """One that is added hears what comes, one that is removed nothing more."""
    http = client(engine)
    unheard, heard, after = instance(), instance(), instance()
    store(http, unheard)
    assert http.patch(f"{STORE}?updateMask=notificationConfigs", json=NEWER).status_code == 200
    assert told(http) == []
    store(http, heard)
    assert http.patch(f"{STORE}?updateMask=notificationConfigs", json={}).status_code == 200
    store(http, after)
    assert actions(http) == [("StoreInstances", heard.path)]


def test_an_upload_on_its_way_tells_who_is_named_when_it_is_committed(engine: Engine) -> None:
    """A topic that is added between reading an instance and writing it hears of it."""
    http = client(engine)
    item = instance()

    def parts() -> Iterator[Part]:
        yield Part({}, len(item.data), item.data, None)
        http.patch(f"{STORE}?updateMask=notificationConfigs", json=NEWER)

    engine.ingest.store(DicomStoreName.parse(NAME), parts())
    (message,) = told(http)
    assert message["attributes"]["modality"] == "CT"


def test_both_forms_at_once_are_refused(engine: Engine) -> None:
    """On create and on patch, in the documented sense, and nothing changes."""
    http = client(engine, resource=OLDER)
    answers = [
        http.post(f"{DATASET}/dicomStores?dicomStoreId=both", json=OLDER | NEWER),
        http.patch(f"{STORE}?updateMask=notificationConfigs", json=NEWER),
        http.patch(f"{STORE}?updateMask=notificationConfig,notificationConfigs", json=OLDER | NEWER),
    ]
    for answer in answers:
        assert answer.status_code == 400
        assert answer.json["error"]["status"] == "INVALID_ARGUMENT"
        assert "not compatible" in answer.json["error"]["message"]
        assert "deprecated" in answer.json["error"]["message"]
    assert http.get(STORE).json == {"name": NAME, **OLDER}


def test_a_store_moves_from_the_older_form_to_the_newer(engine: Engine) -> None:
    """By the documented mask: what it names and the body has not is cleared."""
    http = client(engine, resource=WITH_IMPORTS)
    answer = http.patch(f"{STORE}?updateMask=notificationConfig,notificationConfigs", json=NEWER)
    assert answer.json == {"name": NAME, **NEWER}
    item = instance()
    store(http, item)
    assert actions(http) == [("StoreInstances", item.path)]


def test_a_part_of_the_older_form_can_be_patched(engine: Engine) -> None:
    """Sub-paths of the mask."""
    http = client(engine, resource=WITH_IMPORTS)
    body = {"notificationConfig": {"pubsubTopic": f"{TOPIC}-2"}}
    answer = http.patch(f"{STORE}?updateMask=notificationConfig.pubsubTopic", json=body)
    assert answer.json["notificationConfig"] == {"pubsubTopic": f"{TOPIC}-2", "sendForBulkImport": True}


# What a topic is asked


def test_messages_are_read_in_portions(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an id, from a time on, no more than asked for: the same messages, whatever the portions."""
    monkeypatch.setattr(rows, "BUNDLE_MESSAGES", 3)
    http = client(engine, resource=NEWER)
    items = [instance() for _ in range(10)]
    store(http, *items[:7])
    store(http, *items[7:])
    everything = told(http)
    assert [name_in(message) for message in everything] == [item.path for item in items]
    assert [message["messageId"] for message in everything] == [str(n) for n in range(1, 11)]
    for after in range(11):
        for most in (1, 2, 3, 4, 1000, 5000):
            assert told(http, after=after, maxMessages=most) == everything[after : after + most]
    assert told(http, since=everything[7]["publishTime"]) == everything[7:]
    assert told(http, since=everything[7]["publishTime"], after=8) == everything[8:]
    assert told(http, since="2100-01-01T00:00:00Z") == []


def test_ids_go_on_after_a_restart_and_after_messages_have_gone(tmp_path: Path) -> None:
    """An id names one message of a topic for ever."""
    with Engine(tmp_path) as engine:
        store(client(engine, resource=NEWER), instance(), instance())
        with engine.storage.database.write() as connection:
            connection.execute("DELETE FROM messages")
    with Engine(tmp_path) as engine:
        http = Client(engine)
        store(http, instance())
        assert [message["messageId"] for message in told(http)] == ["3"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("after=x", 400),
        ("after=-1", 400),
        ("after=1e3", 400),
        ("maxMessages=all", 400),
        ("since=yesterday", 400),
        ("since=2026-13-01T00:00:00Z", 400),
        ("since=0001-01-01T00:00:00%2B14:00", 400),
        ("after=9223372036854775807", 400),
        ("after=999999999999999999", 200),
    ],
)
def test_odd_questions_are_refused(engine: Engine, query: str, status: int) -> None:
    """A documented error, and never a 500."""
    http = client(engine, resource=NEWER)
    assert http.get(f"/dicomkit/v1/{TOPIC}:messages?{query}").status_code == status


def test_a_topic_that_nobody_notifies_is_not_found(engine: Engine) -> None:
    """A misspelled one would be followed for ever; one that is configured is there from the start."""
    http = client(engine, resource=NEWER)
    assert told(http) == []
    assert http.get(f"/dicomkit/v1/{TOPIC}x:messages").status_code == 404
    answer = http.get("/dicomkit/v1/projects/local/topics/x:messages")
    assert answer.status_code == 400
    assert "projects/{project}/topics/{topic}" in answer.json["error"]["message"]


def test_topics_are_listed_by_project(engine: Engine) -> None:
    """A project whose id another begins with is another project."""
    names = ["projects/a/topics/two", "projects/a/topics/one", "projects/ab/topics/one"]
    http = client(engine, resource={"notificationConfigs": [{"pubsubTopic": name} for name in names]})
    store(http, instance(), instance())
    found = http.get("/dicomkit/v1/projects/a/topics").json["topics"]
    assert [topic["name"] for topic in found] == sorted(names[:2])
    assert {(t["messages"], t["waiting"], t["delivered"], t["lastError"]) for t in found} == {(2, 0, 0, None)}


# What is kept


def test_messages_are_kept_for_a_week(tmp_path: Path) -> None:
    """Seven days, by the time of publication."""
    with Engine(tmp_path) as engine:
        http = client(engine, resource=NEWER)
        for _ in range(3):
            store(http, instance())
        age(engine, 1, days=7.1)
        age(engine, 2, days=6.9)
    with Engine(tmp_path) as engine:
        assert [message["messageId"] for message in told(Client(engine))] == ["2", "3"]


def test_the_last_messages_of_a_topic_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit in number, too; each topic has its own."""
    monkeypatch.setattr(notifications, "KEPT_MESSAGES", 2)
    other = "projects/local/topics/quiet"
    with Engine(tmp_path) as engine:
        http = client(engine, resource={"notificationConfigs": [{"pubsubTopic": other}]})
        store(http, instance())
        http.patch(f"{STORE}?updateMask=notificationConfigs", json=NEWER)
        for _ in range(4):
            store(http, instance())
    with Engine(tmp_path) as engine:
        assert [message["messageId"] for message in told(Client(engine))] == ["3", "4"]
        assert len(told(Client(engine), other)) == 1


def test_old_messages_go_while_new_ones_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is never restarted does not grow for ever."""
    monkeypatch.setattr(notifications, "_CLEAN_EVERY_S", 0.0)
    with Engine(tmp_path) as engine:
        http = client(engine, resource=NEWER)
        store(http, instance())
        age(engine, 1, days=8)
        store(http, instance())
        assert [message["messageId"] for message in told(http)] == ["2"]


def age(engine: Engine, number: int, *, days: float) -> None:
    """Make a message so many days old."""
    published = int((datetime.now(UTC).timestamp() - days * 86_400) * 1e6)
    with engine.storage.database.write() as connection:
        connection.execute("UPDATE messages SET published = ? WHERE last = ?", (published, number))
