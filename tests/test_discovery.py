"""The validator of the contract tests sees a breach: planted ones are found, each kind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.discovery import Method, answer_violations, find, request_violations

DATASET = "/v1/projects/p/locations/l/datasets/d"
STORE = f"{DATASET}/dicomStores/s"


def _method(verb: str, path: str) -> Method:
    method = find(verb, path)
    assert method is not None
    return method


@pytest.mark.parametrize(
    ("verb", "path", "method_id"),
    [
        ("GET", STORE, "dicomStores.get"),
        ("GET", f"{STORE}:getIamPolicy", "dicomStores.getIamPolicy"),
        ("POST", f"{STORE}:import", "dicomStores.import"),
        ("GET", f"{STORE}/dicomWeb/studies/1.2:getStudyMetrics", "dicomStores.dicomWeb.studies.getStudyMetrics"),
        ("GET", f"{STORE}/dicomWeb/studies/1.2", "dicomStores.studies.retrieveStudy"),
        (
            "GET",
            f"{STORE}/dicomWeb/studies/1.2/series/3/instances/4/bulkdata/1/2/3/4",
            "dicomStores.studies.series.instances.bulkdata.retrieveBulkdata",
        ),
        ("PUT", STORE, None),
        ("GET", f"{DATASET}/stores", None),
        ("GET", "/v1/projects/a/b/locations", None),
    ],
)
def test_method_is_found_by_verb_and_path(verb: str, path: str, method_id: str | None) -> None:
    """The most literal path wins, as in the service."""
    method = find(verb, path)
    assert (method.id if method else None) == (method_id and f"healthcare.projects.locations.datasets.{method_id}")


@pytest.mark.parametrize(
    ("verb", "path", "query", "body", "violation"),
    [
        ("POST", f"{DATASET}/dicomStores", "dicomStoreId=s", {"labels": {"a": "b"}}, None),
        ("POST", f"{DATASET}/dicomStores", "dicomStoreId=s&prettyPrint=false", {}, None),
        ("POST", f"{DATASET}/dicomStores", "", {}, "dicomStoreId: required"),
        ("POST", f"{DATASET}/dicomStores", "dicomStoreId=s&dicomStoreId=t", {}, "given 2 times"),
        ("POST", f"{DATASET}/dicomStores", "dicomStoreId=s&storeId=s", {}, "storeId: not in the document"),
        ("POST", f"{DATASET}/dicomStores", "dicomStoreId=s", {"label": {}}, "DicomStore.label: not in the document"),
        ("POST", f"{DATASET}/dicomStores", "dicomStoreId=s", {"labels": {"a": 1}}, "DicomStore.labels[]: no string"),
        ("POST", f"{DATASET}/dicomStores", "dicomStoreId=s", [], "DicomStore: no object"),
        (
            "PATCH",
            STORE,
            "updateMask=streamConfigs",
            {"streamConfigs": [{"bigqueryDestination": {"writeDisposition": "WRITE"}}]},
            "DicomStore.streamConfigs[0].bigqueryDestination.writeDisposition: not in the enum",
        ),
        (
            "PATCH",
            STORE,
            "updateMask=streamConfigs",
            {"streamConfigs": [{"bigqueryDestination": {"force": "true"}}]},
            "force: no boolean",
        ),
        ("PATCH", STORE, "updateMask=a b", {}, "no google-fieldmask"),
        ("GET", f"{DATASET}/dicomStores", "pageSize=many", None, "pageSize: no number"),
        ("GET", f"{DATASET}/dicomStores", "pageSize=99999999999", None, "outside of int32"),
        ("GET", f"{DATASET}/dicomStores", "prettyPrint=yes", None, "no boolean"),
        ("GET", f"{DATASET}/dicomStores", "alt=xml", None, "not in the enum"),
        ("DELETE", STORE, "", {"a": 1}, "a body where none belongs"),
    ],
)
def test_request(verb: str, path: str, query: str, body: Any, violation: str | None) -> None:
    """Parameters, fields, types, formats and enums of what a client sends."""
    raw = b"" if body is None else json.dumps(body).encode()
    found = list(request_violations(_method(verb, path), query, raw))
    assert (found == []) if violation is None else (len(found) == 1 and violation in found[0])


JSON = "application/json; charset=UTF-8"
OPERATION = {"@type": "type.googleapis.com/google.cloud.healthcare.v1.OperationMetadata"}


@pytest.mark.parametrize(
    ("verb", "path", "status", "content_type", "body", "violation"),
    [
        ("GET", STORE, 200, JSON, {"name": "x", "streamConfigs": []}, None),
        ("GET", STORE, 200, "text/plain", {"name": "x"}, "no application/json"),
        ("GET", STORE, 200, JSON, {"name": "x", "key": 7}, "DicomStore.key: not in the document"),
        ("DELETE", STORE, 200, JSON, {"name": "x"}, "Empty.name: not in the document"),
        ("GET", f"{STORE}:getDICOMStoreMetrics", 200, JSON, {"studyCount": "7"}, None),
        ("GET", f"{STORE}:getDICOMStoreMetrics", 200, JSON, {"studyCount": 7}, "studyCount: no string"),
        ("GET", f"{STORE}:getDICOMStoreMetrics", 200, JSON, {"studyCount": "many"}, "studyCount: no int64"),
        ("DELETE", f"{STORE}/dicomWeb/studies/1", 200, JSON, {"done": True, "metadata": OPERATION}, None),
        (
            "DELETE",
            f"{STORE}/dicomWeb/studies/1",
            200,
            JSON,
            {"metadata": {**OPERATION, "counter": {"success": 1}}},
            "counter.success: no string",
        ),
        (
            "DELETE",
            f"{STORE}/dicomWeb/studies/1",
            200,
            JSON,
            {"metadata": {**OPERATION, "createTime": "2024-01-01 00:00:00"}},
            "createTime: no google-datetime",
        ),
        ("GET", STORE, 404, JSON, {"error": {"code": 404, "status": "NOT_FOUND", "message": "x"}}, None),
        ("GET", STORE, 404, JSON, {"error": {"code": 403, "status": "NOT_FOUND", "message": "x"}}, "not the HTTP"),
        ("GET", STORE, 404, JSON, {"error": {"code": 404, "status": "LOST", "message": "x"}}, "no canonical code"),
        ("GET", STORE, 404, JSON, {"error": {"code": 404, "status": "NOT_FOUND"}}, "error.message is missing"),
        ("GET", STORE, 404, "text/html", {}, "the error is no application/json"),
        ("GET", STORE, 500, JSON, {"detail": "x"}, "no object `error`"),
    ],
)
def test_answer(verb: str, path: str, status: int, content_type: str, body: Any, violation: str | None) -> None:
    """Bodies, 64-bit numbers as text, what an operation carries, and errors."""
    found = list(answer_violations(_method(verb, path), status, content_type, json.dumps(body).encode()))
    assert (found == []) if violation is None else (len(found) == 1 and violation in found[0])
