"""The API's method list against the engine: each method is there, or is a hole with its reason.

The list is the discovery document that google-api-python-client ships; a method that Google adds fails here until it
is placed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

from dicomkit.engine.app import Engine
from dicomkit.engine.handlers import all_routes, unimplemented
from dicomkit.engine.routes import Route, url_map
from tests.discovery import EXCLUDED, Method, document, methods

PREFIX = "healthcare.projects.locations."
_STORES = "datasets.dicomStores"
_OPERATIONS = "every operation of this engine is done when it is answered: nothing is listed or cancelled yet"
_PIXELS = "frames, renderings and bulk data come with the pixel decoders"

HOLES: dict[str, str] = {
    "datasets.deidentify": "needs the profiles of PS3.15",
    "datasets.operations.list": _OPERATIONS,
    "datasets.operations.cancel": _OPERATIONS,
    f"{_STORES}.import": "needs operations that run for long",
    f"{_STORES}.export": "needs operations that run for long",
    f"{_STORES}.deidentify": "needs the profiles of PS3.15",
    f"{_STORES}.setBlobStorageSettings": "needs operations that run for long",
    f"{_STORES}.dicomWeb.studies.setBlobStorageSettings": "needs operations that run for long",
    f"{_STORES}.studies.series.instances.retrieveRendered": _PIXELS,
    f"{_STORES}.studies.series.instances.frames.retrieveFrames": _PIXELS,
    f"{_STORES}.studies.series.instances.frames.retrieveRendered": _PIXELS,
    f"{_STORES}.studies.series.instances.bulkdata.retrieveBulkdata": _PIXELS,
}
"""Methods that the engine answers with 501, and why. One that gets a handler has to leave this table."""

METHODS = sorted(methods(), key=lambda method: method.id)


def _id(method: Method) -> str:
    return method.id.removeprefix(PREFIX)


@pytest.mark.parametrize("method", METHODS, ids=_id)
def test_method_has_a_route(method: Method) -> None:
    """Verb and path of the document lead to the row of this very method."""
    found = url_map(all_routes()).bind("localhost").match(method.example(), method=method.verb)[0]
    assert isinstance(found, Route)
    assert found.method_id == method.id


def test_holes_are_the_listed_ones() -> None:
    """A hole has its reason, and none is listed that was closed."""
    refused = {route.method_id.removeprefix(PREFIX) for route in unimplemented.ROUTES}
    assert refused == HOLES.keys()
    assert all(HOLES.values())


def test_no_route_is_for_a_method_that_the_api_has_not() -> None:
    """The ids of the route table are the document's, but for BigQuery's and our own."""
    known = {method.id for method in METHODS}
    ours = {route.method_id for route in all_routes() if route.method_id.startswith("healthcare.")}
    assert ours == known


def test_what_is_left_out_is_there_to_be_left_out() -> None:
    """Each excluded resource is one of the document's, or was once and is none of ours."""
    text = str(document()["resources"])
    assert {name for name in EXCLUDED if f"'{name}'" not in text} <= {"annotationStores"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A browser's view of an engine."""
    home: Path = tmp_path_factory.mktemp("coverage") / "home"
    with Engine(home) as engine:
        yield Client(engine)


@pytest.mark.parametrize("method", [m for m in METHODS if _id(m) in HOLES], ids=_id)
def test_hole_answers_501_with_its_method_id(client: Client, method: Method) -> None:
    """Never 404, which would say that the resource is missing."""
    answer = client.open(method.example(), method=method.verb)
    assert answer.status_code == 501
    assert answer.json is not None
    assert answer.json["error"]["status"] == "UNIMPLEMENTED"
    assert method.id in answer.json["error"]["message"]
