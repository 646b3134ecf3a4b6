"""Datasets and connections."""

from __future__ import annotations

import gc
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials

import dicomkit as dk
from dicomkit.engine.app import Engine
from dicomkit.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    to_body,
)
from dicomkit.frames import DATASETS, LOCATIONS
from tests.conftest import served
from tests.contract.instances import ct_slice


def test_default_dataset_has_the_name_of_a_home(conn: dk.Dataset) -> None:
    """A home is projects/local/locations/local/datasets/default unless it is told otherwise."""
    assert conn.name == "projects/local/locations/local/datasets/default"
    assert conn.id == "default"
    assert conn.base_url.endswith("/v1")


def test_dataset_answers_at_its_name(conn: dk.Dataset) -> None:
    """The resource is there for any client of the API: datasets.get over the session."""
    answer = conn.session.get(f"{conn.base_url}/{conn.name}")
    assert answer.status_code == 200
    assert answer.json()["name"] == conn.name


def test_folder_is_made_and_for_its_owner_only(tmp_path: Path) -> None:
    """The home holds patient data: nobody else may look into it."""
    home = tmp_path / "a" / "b"
    with dk.connect(home):
        assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_what_was_stored_is_there_after_reopening(tmp_path: Path) -> None:
    """A home outlives the process that filled it."""
    with dk.connect(tmp_path / "home") as first:
        first.create_store("ct", labels={"a": "b"}).upload(ct_slice())
    with dk.connect(tmp_path / "home") as second:
        assert second.store("ct").resource.labels == {"a": "b"}
        assert len(second.store("ct").search_instances()) == 1


def test_several_datasets_live_in_one_home(tmp_path: Path) -> None:
    """Each has stores of its own, by id or by whole name."""
    with dk.connect(tmp_path, dataset="one") as one, dk.connect(tmp_path, dataset="two") as two:
        one.create_store("ct")
        assert one.stores()["id"].tolist() == ["ct"]
        assert two.stores()["id"].tolist() == []
    with dk.connect(tmp_path, dataset="projects/p/locations/l/datasets/d") as whole:
        assert whole.name == "projects/p/locations/l/datasets/d"


def test_connecting_again_shares_the_engine(tmp_path: Path) -> None:
    """A cell with connect() is run twice: both datasets work, and closing one does not close the other."""
    first = dk.connect(tmp_path)
    second = dk.connect(tmp_path)
    first.create_store("ct")
    first.close()
    assert second.stores()["id"].tolist() == ["ct"]
    second.close()
    second.close()


def test_forgotten_dataset_lets_go_of_its_folder(tmp_path: Path) -> None:
    """The engine is closed with the last reference to its dataset and stores."""
    store = dk.connect(tmp_path).create_store("ct")
    assert len(store.search_studies()) == 0
    del store
    gc.collect()
    with dk.connect(tmp_path, mode="google") as dataset:
        assert dataset.stores()["id"].tolist() == ["ct"]


def test_search_keeps_its_connection(tmp_path: Path) -> None:
    """A search that has not run yet is enough to keep the engine open."""
    with dk.connect(tmp_path) as dataset:
        dataset.create_store("ct").upload(ct_slice())
    search = dk.connect(tmp_path).store("ct").search("instance")
    gc.collect()
    assert len(search.to_frame()) == 1


def test_one_folder_has_one_mode_at_a_time(tmp_path: Path) -> None:
    """A second mode would change the answers under the first user's feet."""
    with dk.connect(tmp_path), pytest.raises(InvalidArgument, match="close that dataset first"):
        dk.connect(tmp_path, mode="google")


def test_folder_in_use_by_another_process_is_refused(tmp_path: Path) -> None:
    """The message names the process, so that its user can be found."""
    code = (
        "import sys, dicomkit as dk\ntry: dk.connect(sys.argv[1])\nexcept dk.errors.Unavailable as error: print(error)"
    )
    with dk.connect(tmp_path):
        command = [sys.executable, "-c", code, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert str(os.getpid()) in done.stdout


def test_embedded_session_reaches_no_network(tmp_path: Path) -> None:
    """A local notebook cannot reach the cloud by accident."""
    with dk.connect(tmp_path) as dataset, pytest.raises(PermissionDenied):
        dataset.session.get("https://healthcare.googleapis.com/v1/projects/p")


@pytest.mark.parametrize("target", ["", "gs://bucket/x", "ftp://host", "http://", "http://user:pw@127.0.0.1:1"])
def test_what_is_nothing_to_connect_to_is_refused(target: str) -> None:
    """The message lists what can be connected to."""
    with pytest.raises(InvalidArgument):
        dk.connect(target)


def test_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    """No answer is Unavailable, with a hint."""
    with served(lambda environ, start: []) as origin:
        pass
    with pytest.raises(Unavailable, match="is the server running"):
        dk.connect(origin)


def test_something_else_on_the_port_is_told() -> None:
    """A web server that answers, but not with this API."""

    def page(environ: dict, start_response) -> list[bytes]:  # type: ignore[no-untyped-def,type-arg]
        start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", "15")])
        return [b"<html>it works!"]

    with served(page) as origin, pytest.raises(dk.errors.ApiError, match="not JSON"):
        dk.connect(origin)


def test_server_url_may_name_the_dataset(tmp_path: Path) -> None:
    """The form of the design: http://host:port/v1/projects/..."""
    with Engine(tmp_path) as engine, served(engine) as origin:
        with dk.connect(f"{origin}/v1/projects/local/locations/local/datasets/other") as dataset:
            assert dataset.id == "other"
            with pytest.raises(NotFound):
                dataset.store("none")


def test_closed_dataset_takes_no_more_requests(conn: dk.Dataset) -> None:
    """Neither it nor its stores reach an engine that may belong to another process by now."""
    store = conn.create_store("ct", stream_to="bq://local.imaging.ct")
    conn.close()
    for attempt in (conn.stores, store.search_studies, store.stream_status, lambda: store.upload(ct_slice())):
        with pytest.raises(FailedPrecondition, match="connect again"):
            attempt()


def test_session_of_a_closed_home_is_closed(tmp_path: Path) -> None:
    """Another client over the session is told the same, at once."""
    dataset = dk.connect(tmp_path)
    dataset.close()
    with pytest.raises(FailedPrecondition, match="connect again"):
        dataset.session.get(f"{dataset.base_url}/{dataset.name}")


class Guarded:
    """An engine behind a token, as a server has it."""

    def __init__(self, engine: Engine, token: str) -> None:
        self.engine, self.token = engine, token

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("HTTP_AUTHORIZATION") == f"Bearer {self.token}":
            return self.engine(environ, start_response)
        body = json.dumps(to_body(Unauthenticated("no valid token"))).encode()
        start_response("401 Unauthorized", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


def test_server_is_shown_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By argument or by environment variable; a wrong one is Unauthenticated, and SQL carries it, too."""
    with Engine(tmp_path) as engine, served(Guarded(engine, "s3cret")) as origin:
        with pytest.raises(Unauthenticated):
            dk.connect(origin)
        with pytest.raises(Unauthenticated):
            dk.connect(origin, token="wrong")
        with dk.connect(origin, token="s3cret") as dataset:
            assert dataset.sql("SELECT 1 AS one")["one"].tolist() == [1]
        monkeypatch.setenv("DICOMKIT_TOKEN", "s3cret")
        with dk.connect(origin) as dataset:
            assert dataset.stores().empty


def test_cloud_dataset_is_reached_only_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a resource connects to Google with default credentials; nothing is sent for it."""
    monkeypatch.setattr("google.auth.default", lambda **kwargs: (AnonymousCredentials(), "p"))
    with dk.connect("projects/p/locations/l/datasets/d") as dataset:
        assert dataset.name == "projects/p/locations/l/datasets/d"
        assert dataset.base_url == "https://healthcare.googleapis.com/v1"
        assert dataset.bigquery_endpoint is None
        assert "Google Cloud" in repr(dataset)


def test_card_and_repr_say_where_it_is(conn: dk.Dataset) -> None:
    """One line in a terminal, a small card in a notebook; neither sends a request, also when closed."""
    conn.close()
    assert conn.name in repr(conn)
    assert "\n" not in repr(conn)
    card = conn._repr_html_()
    assert "default" in card
    assert "closed" in card


def test_datasets_around_are_a_frame(conn: dk.Dataset) -> None:
    """All of the location, with their time zones; the names are what connect takes."""
    location = conn.name.partition("/datasets/")[0]
    for id_ in ("research", "archive"):
        made = conn.session.post(f"{conn.base_url}/{location}/datasets", params={"datasetId": id_}, json={})
        assert made.status_code == 200
    assert conn.patch(time_zone="America/New_York") is conn
    frame = conn.datasets()
    assert [(c.name, c.dtype) for c in DATASETS] == [(name, str(dtype)) for name, dtype in frame.dtypes.items()]
    assert frame["id"].tolist() == ["archive", "default", "research"]
    assert frame["name"][1] == conn.name
    assert frame["time_zone"].tolist() == ["UTC", "America/New_York", "UTC"]
    conn.patch(time_zone="")
    assert conn.datasets()["time_zone"].unique().tolist() == ["UTC"]
    with pytest.raises(InvalidArgument, match="timeZone"):
        conn.patch(time_zone="Mars/Olympus")


def test_locations_are_a_frame(conn: dk.Dataset) -> None:
    """At least the one of this dataset."""
    frame = conn.locations()
    assert [(c.name, c.dtype) for c in LOCATIONS] == [(name, str(dtype)) for name, dtype in frame.dtypes.items()]
    assert frame["name"].tolist() == [conn.name.partition("/datasets/")[0]]
