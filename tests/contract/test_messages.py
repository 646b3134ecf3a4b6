"""Messages of a topic as frames, and an iterator that follows; on each deployment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
import requests

import dicomkit as dk
from dicomkit import frames
from dicomkit.client import messages
from dicomkit.client.connection import CLOUD_URL, Connection
from dicomkit.client.dataset import Dataset
from dicomkit.errors import InvalidArgument, NotFound, Unimplemented
from dicomkit.names import DatasetName
from dicomkit.transport import RefusingAdapter
from tests.contract.instances import ct_slice

TOPIC = "projects/local/topics/changes"


@pytest.fixture
def store(conn: dk.Dataset) -> dk.Store:
    """A store that notifies the topic."""
    return conn.create_store("ct", notification_configs=[TOPIC])


def dtypes(columns: tuple[frames.Column, ...]) -> dict[str, str]:
    """Name -> dtype, as the table of columns says."""
    return {column.name: column.dtype for column in columns}


def test_messages_are_rows(conn: dk.Dataset, store: dk.Store) -> None:
    """What was stored and deleted, decoded and typed, oldest first."""
    before = pd.Timestamp.now(tz=UTC).floor("s")
    one, two = ct_slice(1, 1, 1), ct_slice(1, 1, 2)
    store.upload([one, two])
    store.delete_instance(one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID)
    found = conn.messages("changes")
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == dtypes(frames.MESSAGES)
    assert found["action"].tolist() == ["StoreInstances", "StoreInstances", "DeleteInstances"]
    assert found["SOPInstanceUID"].tolist() == [i.SOPInstanceUID for i in (one, two, one)]
    assert found["message_id"].tolist() == ["1", "2", "3"]
    assert set(found["StudyInstanceUID"]) == {one.StudyInstanceUID}
    assert set(found["SeriesInstanceUID"]) == {one.SeriesInstanceUID}
    assert set(found["Modality"]) == {"CT"}
    assert set(found["storage_class"]) == {"STANDARD"}
    assert found["previous_storage_class"].isna().all()
    assert set(found["store"]) == {store.name}
    assert found["name"][1] == (
        f"{store.name}/dicomWeb/studies/{two.StudyInstanceUID}/series/{two.SeriesInstanceUID}"
        f"/instances/{two.SOPInstanceUID}"
    )
    assert found["version_id"][0] == found["version_id"][2]
    for column in ("publish_time", "last_updated_time"):
        assert found[column].between(before, pd.Timestamp.now(tz=UTC)).all()
        assert found[column].is_monotonic_increasing or column == "last_updated_time"


def test_message_without_attributes_is_read_from_its_name(conn: dk.Dataset) -> None:
    """The older form says the name only."""
    body = {"notificationConfig": {"pubsubTopic": TOPIC}}
    url = f"{conn.base_url}/{conn.name}/dicomStores"
    assert conn.session.post(url, params={"dicomStoreId": "ct"}, json=body).status_code == 200
    image = ct_slice()
    conn.store("ct").upload(image)
    (row,) = conn.messages(TOPIC).to_dict("records")
    assert row["SOPInstanceUID"] == image.SOPInstanceUID
    assert row["StudyInstanceUID"] == image.StudyInstanceUID
    assert row["store"] == f"{conn.name}/dicomStores/ct"
    for column in ("action", "Modality", "storage_class", "last_updated_time", "version_id"):
        assert pd.isna(row[column])


def test_topic_may_be_given_by_its_whole_name(conn: dk.Dataset) -> None:
    """And belong to another project."""
    topic = "projects/elsewhere/topics/a.b_c~d+e%25f"
    conn.create_store("ct", notification_configs=[topic]).upload(ct_slice())
    assert len(conn.messages(topic)) == 1
    assert conn.topics().empty
    with pytest.raises(NotFound, match="no store notifies"):
        conn.messages("changes")


def test_since_takes_an_id_or_a_time(conn: dk.Dataset, store: dk.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the message, or from the time on; in pages of any size."""
    monkeypatch.setattr(messages, "PAGE_SIZE", 2)
    store.upload([ct_slice(1, 1, i) for i in range(1, 4)])
    store.upload([ct_slice(2, 1, i) for i in range(1, 3)])
    everything = conn.messages("changes")
    assert len(everything) == 5
    second = everything["publish_time"][3]

    def ids(since: Any) -> list[str]:
        return conn.messages("changes", since=since)["message_id"].tolist()

    assert ids("2") == ids(2) == ["3", "4", "5"]
    assert ids("5") == []
    assert ids(second) == ids(second.isoformat()) == ids(second.to_pydatetime()) == ["4", "5"]
    assert ids(second.tz_localize(None).isoformat()) == ["4", "5"]  # UTC unless it says otherwise
    assert ids(second.tz_convert("Asia/Tokyo")) == ["4", "5"]
    assert ids(datetime.now(UTC) + timedelta(days=1)) == []
    assert len(ids(datetime.now(UTC).date() - timedelta(days=1))) == 5
    assert len(ids("2020-01-01")) == 5


def test_empty_answer_has_the_same_columns(conn: dk.Dataset, store: dk.Store) -> None:
    """Typed, however many rows there are."""
    del store
    found = conn.messages("changes")
    assert found.empty
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == dtypes(frames.MESSAGES)


@pytest.mark.parametrize("since", ["yesterday", True, [], "2026-13-01", -1.5e300])
def test_odd_since_is_refused(conn: dk.Dataset, store: dk.Store, since: Any) -> None:
    """Before anything is sent."""
    del store
    with pytest.raises(InvalidArgument, match="since is the id of a message"):
        conn.messages("changes", since=since)
    with pytest.raises(InvalidArgument, match="since is the id of a message"):
        conn.follow_messages("changes", since=since)


@pytest.mark.parametrize("topic", ["", "ab", "projects/p/subscriptions/abc", "../../v1/x", "goog-x", "a b c"])
def test_odd_topic_is_refused(conn: dk.Dataset, topic: str) -> None:
    """By the same rule as in a store's configuration."""
    with pytest.raises(InvalidArgument, match="projects/{project}/topics/{topic}"):
        conn.messages(topic)


def test_topics_are_rows(conn: dk.Dataset, store: dk.Store) -> None:
    """How many messages are kept, and that none waits where there is no Pub/Sub."""
    store.upload([ct_slice(1, 1, i) for i in range(1, 4)])
    found = conn.topics()
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == dtypes(frames.TOPICS)
    (row,) = found.to_dict("records")
    assert (row["id"], row["name"], row["messages"], row["waiting"]) == ("changes", TOPIC, 3, 0)
    assert pd.isna(row["last_error"])


def test_following_gives_what_is_there_and_then_what_comes(conn: dk.Dataset, store: dk.Store) -> None:
    """Each message once, in order, over several steps; what comes between two steps is not lost."""
    store.upload(ct_slice(1, 1, 1))
    steps = conn.follow_messages("changes", poll_s=0.01)
    assert next(steps)["message_id"].tolist() == ["1"]
    store.upload([ct_slice(1, 1, 2), ct_slice(1, 1, 3)])
    assert next(steps)["message_id"].tolist() == ["2", "3"]
    later = threading.Timer(0.2, store.upload, [ct_slice(1, 1, 4)])
    later.start()
    found = next(steps)
    assert found["message_id"].tolist() == ["4"]
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == dtypes(frames.MESSAGES)
    later.join()


def test_following_goes_on_from_where_it_is_told(conn: dk.Dataset, store: dk.Store) -> None:
    """From an id, as after a restart."""
    store.upload([ct_slice(1, 1, i) for i in range(1, 4)])
    assert next(conn.follow_messages("changes", since="2"))["message_id"].tolist() == ["3"]


def test_following_ends_when_the_dataset_is_closed(conn: dk.Dataset, store: dk.Store) -> None:
    """Without an error, also in the middle of a wait."""
    store.upload(ct_slice())
    closing = threading.Timer(0.3, conn.close)
    closing.start()
    found = [len(step) for step in conn.follow_messages("changes", poll_s=30)]
    closing.join()
    assert found == [1]


def test_following_ends_when_it_is_interrupted(
    conn: dk.Dataset, store: dk.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notebook's stop button ends the loop, and the cell goes on."""
    store.upload(ct_slice())

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    steps = conn.follow_messages("changes")
    assert len(next(steps)) == 1
    with monkeypatch.context() as patch:
        patch.setattr(messages.time, "sleep", interrupted)
        assert list(steps) == []
    assert len(conn.messages("changes")) == 1


@pytest.mark.parametrize("poll_s", [0, -1, float("nan")])
def test_following_needs_a_pause(conn: dk.Dataset, store: dk.Store, poll_s: float) -> None:
    """A loop without one would keep the engine busy for nothing."""
    del store
    with pytest.raises(InvalidArgument, match="poll_s"):
        conn.follow_messages("changes", poll_s=poll_s)


@pytest.fixture
def cloud() -> Iterator[dk.Dataset]:
    """Google's, which no request reaches."""
    session = requests.Session()
    session.mount("https://", RefusingAdapter("nothing"))
    connection = Connection(session, base_url=CLOUD_URL, bigquery_endpoint=None, place="Google Cloud")
    with Dataset(connection, DatasetName("p", "l", "d")) as dataset:
        yield dataset


def test_google_says_what_to_use_instead(cloud: dk.Dataset) -> None:
    """A subscription; nothing is sent."""
    for ask in (cloud.messages, cloud.follow_messages):
        with pytest.raises(Unimplemented, match="subscriptions create NAME --topic=projects/p/topics/changes"):
            ask("changes")
    with pytest.raises(Unimplemented, match="gcloud pubsub topics list"):
        cloud.topics()
