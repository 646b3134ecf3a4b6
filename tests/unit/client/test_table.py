"""What a table of a store does without asking its server, and what it says where it cannot go on."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from requests.adapters import BaseAdapter

from dicomkit.client.connection import CLOUD_URL, Connection
from dicomkit.client.store import Store
from dicomkit.errors import InvalidArgument, SetupError, Unavailable
from dicomkit.resources import DicomStore, stream_configs_from

NAME = "projects/p/locations/l/datasets/d/dicomStores/s"


class Asked(BaseAdapter):
    """A server that notes what it is asked for, and is never there."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        self.urls.append(str(request.url))
        raise requests.ConnectionError("nobody is there")

    def close(self) -> None:
        return None


@pytest.fixture
def server() -> Asked:
    """Nobody's server."""
    return Asked()


@pytest.fixture
def store(server: Asked) -> Store:
    """A store on Google Cloud, which streams to a table."""
    session = AuthorizedSession(AnonymousCredentials())
    session.mount("https://", server)
    connection = Connection(session, base_url=CLOUD_URL, bigquery_endpoint=None, place="Google Cloud")
    return Store(connection, DicomStore(name=NAME, stream_configs=stream_configs_from("bq://p-1.imaging.ct")))


@pytest.mark.parametrize("name", ["a`b", "a'b", 'a"b', "a;b", "a" * 1025, "", "a b", "a..b", ".a", "ä"])
def test_a_name_that_can_be_none_is_refused_before_any_request(store: Store, server: Asked, name: str) -> None:
    """Check C54: back-tick, quote, semicolon, 1025 characters."""
    table = store.table()
    for ask in (
        lambda: table.flatten(name),
        lambda: table.flatten("A.B", keep=[name]),
        lambda: table.private(within=name),
        lambda: table.typed(name),
        lambda: table.facets("Modality", name),
        lambda: table.missing(name),
        lambda: table.missing("Modality", by=name),
        lambda: table.describe(name),
        lambda: store.table(f"bq://p.{name}.t"),
    ):
        with pytest.raises(InvalidArgument):
            ask()
    assert server.urls == []


def test_to_look_at_a_table_asks_nobody(store: Store, server: Asked) -> None:
    """A cell that ends with it must not wait for a network."""
    table = store.table()
    assert "p-1.imaging.ct" in repr(table)
    assert "bq://p-1.imaging.ct" in table._repr_html_()
    assert server.urls == []


def test_bigframes_say_how_to_get_them(store: Store, server: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a large package for what only some need; nothing is asked before it is there."""
    monkeypatch.setitem(sys.modules, "bigframes", None)
    with pytest.raises(SetupError, match=r"pip install 'dicomkit\[bigframes\]'"):
        store.table().to_bigframes()
    assert server.urls == []


def test_googles_bigquery_is_asked_in_the_tables_project(
    store: Store, server: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And for a limited time only: the client's own ten minutes look like a hang."""
    monkeypatch.setattr("dicomkit.client.bigquery.RETRY_S", 0.1)
    with pytest.raises((Unavailable, TimeoutError)):
        store.table().schema()
    assert server.urls[0].startswith(
        "https://bigquery.googleapis.com/bigquery/v2/projects/p-1/datasets/imaging/tables/ct"
    )
