"""DICOM stores: create, get, list, patch, delete."""

from __future__ import annotations

import pytest

import dicomkit as dk
from dicomkit.errors import AlreadyExists, InvalidArgument, NotFound
from dicomkit.frames import STORES, STREAMS
from tests.contract.instances import ct_slice

TOPIC = "projects/p/topics/images"


def test_created_store_is_what_was_asked_for(conn: dk.Dataset) -> None:
    """Labels, streams and topics come back from the server."""
    store = conn.create_store(
        "ct", labels={"site": "a"}, stream_to="bq://local.imaging.ct", notification_configs=[TOPIC]
    )
    assert store.id == "ct"
    assert store.name == f"{conn.name}/dicomStores/ct"
    again = conn.store("ct").resource
    assert again == store.resource
    assert again.labels == {"site": "a"}
    assert [config.table.uri for config in again.stream_configs or () if config.table] == ["bq://local.imaging.ct"]
    assert [config.pubsub_topic for config in again.notification_configs or ()] == [TOPIC]


def test_store_without_settings_has_a_name_only(conn: dk.Dataset) -> None:
    """What Google answers for a fresh store: its name, and nothing else."""
    assert conn.create_store("plain").resource.to_api() == {"name": f"{conn.name}/dicomStores/plain"}


def test_second_store_of_the_same_id_is_refused(conn: dk.Dataset) -> None:
    """409 ALREADY_EXISTS."""
    conn.create_store("ct")
    with pytest.raises(AlreadyExists):
        conn.create_store("ct")


def test_missing_store_is_not_found(conn: dk.Dataset) -> None:
    """A typed error for get and delete, which names method and URL."""
    for attempt in (lambda: conn.store("none"), lambda: conn.delete_store("none")):
        with pytest.raises(NotFound) as caught:
            attempt()
        assert caught.value.status == 404
        assert caught.value.method in ("GET", "DELETE")
        assert str(caught.value.url).endswith("/dicomStores/none")


@pytest.mark.parametrize("store_id", ["", "a b", "a/b", "..", "x" * 257, "a?b", "a\n"])
def test_id_that_is_none_is_refused_before_it_is_sent(conn: dk.Dataset, store_id: str) -> None:
    """Letters, digits, '_', '-' and '.', at most 256."""
    with pytest.raises(InvalidArgument):
        conn.create_store(store_id)


def test_id_may_have_letters_of_any_script(conn: dk.Dataset) -> None:
    """The API's pattern is by Unicode categories; the path is percent-encoded on its way."""
    store = conn.create_store("Röntgen-東京.1")
    assert conn.store("Röntgen-東京.1").name == store.name
    assert conn.stores()["id"].tolist() == ["Röntgen-東京.1"]
    assert store.upload(ct_slice())["outcome"].tolist() == ["stored"]
    assert len(store.search_studies()) == 1


def test_setting_that_breaks_a_rule_names_the_field(conn: dk.Dataset) -> None:
    """The rule is the resource's own, so no request is needed to see it broken."""
    with pytest.raises(InvalidArgument, match="labels"):
        conn.create_store("ct", labels={"NOT A KEY": "x"})
    with pytest.raises(InvalidArgument, match="streamConfigs"):
        conn.create_store("ct", stream_to="not a table")
    with pytest.raises(NotFound):
        conn.store("ct")


def test_list_of_stores_is_a_frame(conn: dk.Dataset) -> None:
    """One row per store, sorted by id, with dtypes that do not depend on there being any."""
    empty = conn.stores()
    assert {name: str(dtype) for name, dtype in empty.dtypes.items()} == {c.name: c.dtype for c in STORES}
    conn.create_store("b", labels={"k": "v"}, stream_to=["bq://local.x.a", "bq://local.x.b"])
    conn.create_store("a", notification_configs=[TOPIC])
    stores = conn.stores()
    assert stores["id"].tolist() == ["a", "b"]
    assert stores["labels"].tolist() == [{}, {"k": "v"}]
    assert stores["stream_to"].tolist() == [(), ("bq://local.x.a", "bq://local.x.b")]
    assert stores["notification_topics"].tolist() == [(TOPIC,), ()]
    assert stores.dtypes.equals(empty.dtypes)


def test_list_goes_on_to_its_last_page(conn: dk.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """More stores than a page holds."""
    monkeypatch.setattr("dicomkit.client.paging.PAGE_SIZE", 2)
    for i in range(5):
        conn.create_store(f"s{i}")
    assert conn.stores()["id"].tolist() == [f"s{i}" for i in range(5)]


def test_list_can_be_filtered_by_labels(conn: dk.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """On every page, with quotes and boolean operators; what is no filter is refused."""
    monkeypatch.setattr("dicomkit.client.paging.PAGE_SIZE", 2)
    for i in range(7):
        conn.create_store(f"s{i}", labels={"env": "test" if i % 2 else "live", "n": str(i)})
    conn.create_store("bare")
    assert conn.stores(filter="labels.env=test")["id"].tolist() == ["s1", "s3", "s5"]
    assert conn.stores(filter='NOT labels.env="test" AND NOT labels.n=0')["id"].tolist() == ["bare", "s2", "s4", "s6"]
    assert conn.stores(filter="labels.env=none").empty
    assert len(conn.stores(filter=" ")) == 8
    with pytest.raises(InvalidArgument, match="filter"):
        conn.stores(filter="name=s1")


def test_patch_changes_what_it_names_and_nothing_else(conn: dk.Dataset) -> None:
    """The update mask holds just what was given."""
    store = conn.create_store("ct", labels={"a": "1"}, stream_to="bq://local.imaging.ct")
    assert store.patch(labels={"b": "2"}) is store
    assert store.resource.labels == {"b": "2"}
    assert len(store.resource.stream_configs or ()) == 1
    store.patch(stream_to=())
    fresh = conn.store("ct").resource
    assert not fresh.stream_configs
    assert fresh.labels == {"b": "2"}
    assert not store.patch(labels={}).resource.labels


def test_patch_of_nothing_is_refused(conn: dk.Dataset) -> None:
    """The API wants an update mask."""
    with pytest.raises(InvalidArgument):
        conn.create_store("ct").patch()


def test_refresh_sees_what_others_changed(conn: dk.Dataset) -> None:
    """The resource is the last that this object heard of."""
    store = conn.create_store("ct")
    conn.store("ct").patch(labels={"a": "1"})
    assert not store.resource.labels
    assert store.refresh().resource.labels == {"a": "1"}


def test_deleted_store_is_gone_with_its_instances(conn: dk.Dataset) -> None:
    """A new store of the same id is empty."""
    store = conn.create_store("ct")
    store.upload(ct_slice())
    conn.delete_store("ct")
    with pytest.raises(NotFound):
        store.search_studies()
    with pytest.raises(NotFound):
        store.upload(ct_slice())
    assert len(conn.create_store("ct").search_instances()) == 0
    conn.store("ct").delete()
    assert conn.stores().empty


def test_stream_status_has_one_row_per_table(conn: dk.Dataset) -> None:
    """A frame also where nothing streams."""
    dtypes = {column.name: column.dtype for column in STREAMS}
    plain = conn.create_store("plain").stream_status()
    assert {name: str(dtype) for name, dtype in plain.dtypes.items()} == dtypes
    status = conn.create_store("ct", stream_to=["bq://local.imaging.a", "bq://local.imaging.b"]).stream_status()
    assert status["table_uri"].tolist() == ["bq://local.imaging.a", "bq://local.imaging.b"]
    assert {name: str(dtype) for name, dtype in status.dtypes.items()} == dtypes


def test_card_shows_what_is_known_and_escapes_it(conn: dk.Dataset) -> None:
    """A card sends no request: it works after the connection is closed."""
    store = conn.create_store("ct", labels={"site": "a"}, stream_to="bq://local.imaging.ct")
    conn.close()
    card = store._repr_html_()
    for text in ("ct", "site: a", "local.imaging.ct", store.dicomweb_url):
        assert text in card
    assert repr(store).startswith("<Store projects/")


def test_newer_notifications_take_the_place_of_the_older_form(conn: dk.Dataset) -> None:
    """The service refuses both together, so that the older field is cleared in the same request."""
    store = conn.create_store("ct")
    body = {"notificationConfig": {"pubsubTopic": TOPIC}}
    conn.session.patch(
        f"{store.dicomweb_url.removesuffix('/dicomWeb')}?updateMask=notificationConfig", json=body
    ).raise_for_status()
    store.refresh().patch(notification_configs=[TOPIC])
    assert store.resource.notification_config is None
    assert [config.pubsub_topic for config in store.resource.notification_configs or ()] == [TOPIC]
