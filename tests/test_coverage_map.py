"""The API's method list against the engine: each method is there, or is a hole with its reason.

The list is the discovery document that google-api-python-client ships; a method that Google adds fails here until it
is placed.
"""

from __future__ import annotations

import inspect
import operator
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

import dicomkit
from dicomkit.engine.app import Engine
from dicomkit.engine.handlers import all_routes, unimplemented
from dicomkit.engine.routes import Route, url_map
from tests.discovery import EXCLUDED, VERSIONS, Method, document, methods

PREFIX = "healthcare.projects.locations."
_STORES = "datasets.dicomStores"

HOLES: dict[str, str] = {}
"""Methods that the engine answers with 501, and why. One that gets a handler has to leave this table."""

VERBS: dict[str, str] = {
    "list": "Dataset.locations",
    "datasets.list": "Dataset.datasets",
    "datasets.patch": "Dataset.patch",
    "datasets.create": "connect",
    "datasets.get": "connect",
    "datasets.deidentify": "Dataset.deidentify",
    "datasets.getIamPolicy": "Dataset.iam",
    "datasets.setIamPolicy": "Dataset.grant",
    "datasets.testIamPermissions": "Dataset.test_iam_permissions",
    "datasets.operations.get": "Dataset.operation",
    "datasets.operations.list": "Dataset.operations",
    "datasets.operations.cancel": "Operation.cancel",
    f"{_STORES}.create": "Dataset.create_store",
    f"{_STORES}.delete": "Dataset.delete_store",
    f"{_STORES}.get": "Dataset.store",
    f"{_STORES}.list": "Dataset.stores",
    f"{_STORES}.patch": "Store.patch",
    f"{_STORES}.getIamPolicy": "Store.iam",
    f"{_STORES}.setIamPolicy": "Store.grant",
    f"{_STORES}.testIamPermissions": "Store.test_iam_permissions",
    f"{_STORES}.getDICOMStoreMetrics": "Store.metrics",
    f"{_STORES}.import": "Store.import_dicom",
    f"{_STORES}.export": "Store.export",
    f"{_STORES}.deidentify": "Store.deidentify",
    f"{_STORES}.setBlobStorageSettings": "Store.set_blob_storage_settings",
    f"{_STORES}.dicomWeb.studies.setBlobStorageSettings": "Store.set_blob_storage_settings",
    f"{_STORES}.dicomWeb.studies.getStudyMetrics": "Store.metrics",
    f"{_STORES}.dicomWeb.studies.series.getSeriesMetrics": "Store.metrics",
    f"{_STORES}.dicomWeb.studies.series.instances.getStorageInfo": "Store.storage_info",
    f"{_STORES}.studies.delete": "Store.delete_study",
    f"{_STORES}.studies.series.delete": "Store.delete_series",
    f"{_STORES}.studies.series.instances.delete": "Store.delete_instance",
    f"{_STORES}.storeInstances": "Store.upload",
    f"{_STORES}.searchForStudies": "Store.search_studies",
    f"{_STORES}.searchForSeries": "Store.search_series",
    f"{_STORES}.searchForInstances": "Store.search_instances",
    f"{_STORES}.studies.searchForSeries": "Store.search_series",
    f"{_STORES}.studies.searchForInstances": "Store.search_instances",
    f"{_STORES}.studies.series.searchForInstances": "Store.search_instances",
    f"{_STORES}.studies.retrieveMetadata": "Store.metadata",
    f"{_STORES}.studies.series.retrieveMetadata": "Store.metadata",
    f"{_STORES}.studies.series.instances.retrieveMetadata": "Store.metadata",
    f"{_STORES}.studies.series.instances.retrieveInstance": "Store.retrieve",
    f"{_STORES}.studies.series.instances.frames.retrieveFrames": "Store.frames",
    f"{_STORES}.studies.series.instances.frames.retrieveRendered": "Store.render",
}
"""What a user calls to have a method called."""

_BULK = "by dicomweb-client on Dataset.session: the client reads whole instances"
_BY_INSTANCE = "the client reads and keeps single instances"
_RAW = "by Dataset.session: "

NO_VERB: dict[str, str] = {
    "get": f"{_RAW}a location is a part of the name that connect takes",
    "datasets.delete": f"{_RAW}too much to lose by one call",
    f"{_STORES}.studies.storeInstances": "Store.upload takes instances of any study, which is the wider method",
    f"{_STORES}.studies.retrieveStudy": _BY_INSTANCE,
    f"{_STORES}.studies.series.retrieveSeries": _BY_INSTANCE,
    f"{_STORES}.studies.series.instances.retrieveRendered": "Store.render takes one frame, the first unless told",
    f"{_STORES}.studies.series.instances.bulkdata.retrieveBulkdata": _BULK,
}
"""Methods that the engine has, and the client no verb of its own for, and why."""

METHODS = sorted(methods(), key=lambda method: method.id)


def _id(method: Method) -> str:
    return method.id.removeprefix(PREFIX)


@pytest.mark.parametrize(
    "method", [*METHODS, *methods("v1beta1")], ids=lambda method: f"{method.version}-{_id(method)}"
)
def test_method_has_a_route(method: Method) -> None:
    """Verb and path of each version's document lead to the row of this very method, the same for both."""
    found = url_map(all_routes()).bind("localhost").match(method.example(), method=method.verb)[0]
    assert isinstance(found, Route)
    assert found.method_id == method.id


def test_holes_are_the_listed_ones() -> None:
    """A hole has its reason, and none is listed that was closed."""
    refused = {route.method_id.removeprefix(PREFIX) for route in unimplemented.ROUTES}
    assert refused == HOLES.keys()
    assert all(HOLES.values())


def test_method_has_a_verb_of_the_client_or_a_reason() -> None:
    """Each method is in one of the three tables, and none is in two."""
    placed = [*HOLES, *VERBS, *NO_VERB]
    assert sorted(placed) == [_id(method) for method in METHODS]
    assert all(NO_VERB.values())


@pytest.mark.parametrize("verb", sorted(set(VERBS.values())))
def test_verb_is_there_and_documented(verb: str) -> None:
    """A verb is a public function with a docstring, the entry of the reference."""
    value = operator.attrgetter(verb)(dicomkit)
    assert inspect.isfunction(value)
    assert inspect.getdoc(value)


def test_documentation_has_a_row_for_each_method() -> None:
    """With what to call, word for word as in the tables above, or with the reason why there is nothing."""
    text = (Path(__file__).parents[1] / "docs" / "methods.md").read_text(encoding="utf-8")
    rows = {row[0].strip("` "): row[1].strip("` ") for row in re.findall(r"^\| (`[^`]+`) \| ([^|]+) \|", text, re.M)}
    assert sorted(rows) == [_id(method) for method in METHODS]
    for method, said in rows.items():
        assert said == VERBS.get(method) or NO_VERB.get(method, "").endswith(said), method


def test_no_route_is_for_a_method_that_the_api_has_not() -> None:
    """The ids of the route table are those of the two documents, but for BigQuery's and our own."""
    known = {method.id for version in VERSIONS for method in methods(version)}
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


BETA = [method for method in methods("v1beta1") if method.id not in {m.id for m in METHODS}]
"""What v1beta1 has and v1 has not; none of it is here."""


def test_what_only_v1beta1_has_is_listed_as_such() -> None:
    """Neither forgotten nor taken for a method of both."""
    assert {route.method_id for route in unimplemented.BETA} == {method.id for method in BETA}


@pytest.mark.parametrize("method", [*(m for m in METHODS if _id(m) in HOLES), *BETA], ids=_id)
def test_hole_answers_501_with_its_method_id(client: Client, method: Method) -> None:
    """Never 404, which would say that the resource is missing."""
    answer = client.open(method.example(), method=method.verb)
    assert answer.status_code == 501
    assert answer.json is not None
    assert answer.json["error"]["status"] == "UNIMPLEMENTED"
    assert method.id in answer.json["error"]["message"]
