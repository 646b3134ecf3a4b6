"""Messages on their way to Pub/Sub: each at least once, in order, late rather than never, never in the way."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from werkzeug.test import Client

from dicomkit.engine import Engine
from dicomkit.engine.services import pubsub
from dicomkit.errors import SetupError
from tests.pubsub_server import STARTERS, Server, free_port, own_server
from tests.unit.engine.factories import DATASET, STORE, client, instance, store

TOPIC, OTHER = "projects/local/topics/changes", "projects/elsewhere/topics/changes"
PATH = "/dicomkit/v1/projects/local/topics"
MISSING = "pip install 'dicomkit\\[pubsub\\]'"


def to(*topics: str) -> dict[str, Any]:
    """A store resource that notifies *topics*."""
    return {"notificationConfigs": [{"pubsubTopic": topic} for topic in topics]}


def status(http: Client) -> dict[str, Any]:
    """State of the topic."""
    (found,) = http.get(PATH).json["topics"]
    return dict(found)


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Where the environment says that an emulator listens."""
    number = free_port()
    monkeypatch.setenv(pubsub.EMULATOR, f"127.0.0.1:{number}")
    return number


@pytest.fixture
def engine(port: int, tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home") as made:
        yield made


@pytest.fixture
def server(port: int) -> Iterator[Server]:
    made = Server(port)
    yield made
    made.close()


def drained(engine: Engine) -> bool:
    """Whether everything has arrived within a time that is enough."""
    assert engine.publishing is not None
    return engine.publishing.drain(20)


@pytest.mark.parametrize("starter", STARTERS)
def test_messages_arrive_as_the_topic_in_the_home_has_them(
    starter: Callable[..., Any], engine: Engine, port: int
) -> None:
    """Data, attributes and order, in each topic; what was stored before Pub/Sub was up arrives with the rest."""
    http = client(engine, resource=to(TOPIC, OTHER))
    early, late = [instance() for _ in range(3)], [instance() for _ in range(2)]
    assert store(http, *early).status_code == 200
    _wait_for(lambda: status(http)["lastError"])
    assert status(http)["waiting"] == 3
    with starter(port, [TOPIC, OTHER]) as there:
        store(http, *late)
        assert http.delete(early[0].path).status_code == 200
        assert drained(engine)
        for topic in (TOPIC, OTHER):
            kept = http.get(f"/dicomkit/v1/{topic}:messages").json["messages"]
            received = there.received(topic)
            if starter is not own_server:  # a subscription promises no order
                received.sort(key=lambda m: [k["attributes"] for k in kept].index(m.attributes))
            assert [m.attributes for m in received] == [m["attributes"] for m in kept]
            assert [f"/v1/{m.data}" for m in received] == [item.path for item in (*early, *late, early[0])]
        assert status(http) | {"name": ""} == {
            "name": "",
            "messages": 6,
            "waiting": 0,
            "delivered": 6,
            "oldestWaitingTime": None,
            "lastError": None,
        }


def test_older_form_is_forwarded_without_attributes(engine: Engine, server: Server) -> None:
    """The name is all that it says."""
    http = client(engine, resource={"notificationConfig": {"pubsubTopic": TOPIC}})
    item = instance()
    store(http, item)
    assert drained(engine)
    (message,) = server.received(TOPIC)
    assert (f"/v1/{message.data}", message.attributes) == (item.path, {})


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED])
def test_what_is_refused_waits_with_the_reason_in_view(engine: Engine, server: Server, code: grpc.StatusCode) -> None:
    """Stores go on meanwhile; when Pub/Sub takes messages again, each is there once."""
    server.fail = lambda number: (code, False)
    http = client(engine, resource=to(TOPIC))
    items = [instance() for _ in range(5)]
    for item in items:
        assert store(http, item).status_code == 200
    _wait_for(lambda: status(http)["lastError"])
    found = status(http)
    assert code.name in found["lastError"]
    assert (found["messages"], found["waiting"], found["delivered"]) == (5, 5, 0)
    assert found["oldestWaitingTime"] is not None
    server.fail = lambda number: None
    assert drained(engine)
    assert [f"/v1/{m.data}" for m in server.received(TOPIC)] == [item.path for item in items]
    assert status(http)["lastError"] is None


def test_a_lost_answer_makes_a_message_come_again(engine: Engine, server: Server) -> None:
    """At least once: Pub/Sub had it, but nobody knew."""
    server.fail = lambda number: (grpc.StatusCode.DEADLINE_EXCEEDED, True) if number == 1 else None
    http = client(engine, resource=to(TOPIC))
    item = instance()
    store(http, item)
    assert drained(engine)
    assert [f"/v1/{m.data}" for m in server.received(TOPIC)] == [item.path, item.path]
    assert status(http)["delivered"] == 1


def test_a_topic_that_is_refused_does_not_hold_up_another(engine: Engine, server: Server) -> None:
    """Each topic has its own queue."""
    server.fail = lambda number: (
        (grpc.StatusCode.NOT_FOUND, False) if server.requests[number - 1].topic == TOPIC else None
    )
    http = client(engine, resource=to(TOPIC, OTHER))
    items = [instance() for _ in range(3)]
    for item in items:
        store(http, item)
    _wait_for(lambda: len(server.received(OTHER)) == 3)
    assert "NOT_FOUND" in _wait_for(lambda: status(http)["lastError"])
    assert server.received(TOPIC) == []
    server.fail = lambda number: None
    assert drained(engine)


def test_what_waits_is_forwarded_by_the_next_process(port: int, tmp_path: Path) -> None:
    """Closing does not wait for a Pub/Sub that is down, and nothing is lost by it."""
    items = [instance() for _ in range(3)]
    with Engine(tmp_path) as engine:
        store(client(engine, resource=to(TOPIC)), *items)
    server = Server(port)
    try:
        with Engine(tmp_path) as engine:
            assert drained(engine)
        assert [f"/v1/{m.data}" for m in server.received(TOPIC)] == [item.path for item in items]
    finally:
        server.close()


def test_closing_forwards_what_waits(port: int, server: Server, tmp_path: Path) -> None:
    """A short program that stores and ends has told everybody."""
    item = instance()
    with Engine(tmp_path) as engine:
        store(client(engine, resource=to(TOPIC)), item)
    assert [f"/v1/{m.data}" for m in server.received(TOPIC)] == [item.path]


def test_requests_keep_to_the_limit_of_pubsub(engine: Engine, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 1,000 messages of a request, and not one request for each."""
    server.fail = lambda number: (grpc.StatusCode.UNAVAILABLE, False)
    http = client(engine, resource=to(TOPIC))
    items = [instance() for _ in range(7)]
    monkeypatch.setattr("dicomkit.engine.services.publishing.MAX_MESSAGES", 3)
    for item in items:
        store(http, item)
    _wait_for(lambda: status(http)["lastError"])
    server.fail = lambda number: None
    before = len(server.requests)
    assert drained(engine)
    assert [f"/v1/{m.data}" for m in server.received(TOPIC)] == [item.path for item in items]
    good = [len(request.messages) for request in server.requests if not _failed(server, request)]
    assert max(good) == 3
    assert len(server.requests) - before <= 5


def _failed(server: Server, request: Any) -> bool:
    """Whether none of a request's messages was kept."""
    return request.messages[0].data.decode() not in {m.data for m in server.received(TOPIC)}


def test_an_attribute_that_pubsub_would_refuse_is_left_out(engine: Engine, server: Server) -> None:
    """A store's name may be longer than the 1,024 bytes of an attribute; a message must not be stuck for it."""
    http = client(engine)
    long = "ö" * 256
    parent = f"{DATASET.rpartition('/')[0]}/{long}"
    assert http.post(f"{DATASET.rpartition('/datasets/')[0]}/datasets?datasetId={long}").status_code == 200
    long = "字" * 256
    assert http.post(f"{parent}/dicomStores?dicomStoreId={long}", json=to(TOPIC)).status_code == 200
    item = instance()
    store(http, item, path=f"{parent}/dicomStores/{long}/dicomWeb/studies")
    assert drained(engine)
    (message,) = server.received(TOPIC)
    assert "storeName" not in message.attributes
    assert message.attributes["sopInstanceUID"] == item.uid
    assert f"/dicomStores/{long}/" in message.data


def test_what_waits_is_kept_for_a_month(port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not for ever: what Pub/Sub has not taken in 31 days is given up, and said so."""
    with Engine(tmp_path) as engine:
        http = client(engine, resource=to(TOPIC))
        for days in (32, 30):
            store(http, instance())
            published = int((time.time() - days * 86_400) * 1e6)
            with engine.storage.database.write() as connection:
                connection.execute(
                    "UPDATE messages SET published = ? WHERE last = (SELECT MAX(last) FROM messages)", (published,)
                )
    with Engine(tmp_path) as engine:
        assert status(Client(engine))["waiting"] == 1
    assert "1 messages are given up" in caplog.text


def test_without_a_pubsub_nothing_waits(tmp_path: Path) -> None:
    """The topic in the home is all there is, and a Pub/Sub that comes later is not sent the past."""
    with Engine(tmp_path) as engine:
        assert engine.publishing is None
        http = client(engine, resource=to(TOPIC))
        store(http, instance())
        assert (status(http)["messages"], status(http)["waiting"]) == (1, 0)


class Credentials:
    """Google's credentials, as far as an engine looks at them."""


def test_credentials_alone_lead_to_google() -> None:
    """Without the variable, and only then; nothing is sent by accident."""
    assert pubsub.sender(None) is None
    made = pubsub.sender(Credentials())  # type: ignore[arg-type]
    assert made is not None
    assert made.args[0] is None


def test_sender_without_an_emulator_is_for_google() -> None:
    """The service's own address; nothing is sent by making it."""
    from google.auth.credentials import AnonymousCredentials

    sender = pubsub.Sender(None, AnonymousCredentials())
    assert sender._client.transport.host == "pubsub.googleapis.com:443"
    sender.close()


def test_missing_client_is_said_with_the_command(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a store is to notify a topic; no store gets a topic that nothing will reach."""
    http = client(engine)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(pubsub, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=MISSING):
        pubsub.check_installed()
    answer = http.patch(f"{STORE}?updateMask=notificationConfigs", json=to(TOPIC))
    assert answer.status_code == 400
    assert "pip install 'dicomkit[pubsub]'" in answer.json["error"]["message"]
    assert "notificationConfigs" not in http.get(STORE).json


def test_missing_client_keeps_messages_waiting(engine: Engine, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that names a topic already can be stored into; what is missing is in view."""
    http = client(engine, resource=to(TOPIC))
    monkeypatch.setattr(pubsub, "find_spec", lambda name: None)
    item = instance()
    assert store(http, item).status_code == 200
    assert "pip install 'dicomkit[pubsub]'" in _wait_for(lambda: status(http)["lastError"])
    monkeypatch.undo()
    assert drained(engine)
    assert [f"/v1/{m.data}" for m in server.received(TOPIC)] == [item.path]


def _wait_for(condition: Callable[[], Any]) -> Any:
    until = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found
