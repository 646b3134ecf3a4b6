"""The validator stands where the other contract tests need it: requests and answers do pass through it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import dicomkit as dk
from dicomkit.engine.handlers import unimplemented
from tests.contract.instances import ct_slice
from tests.discovery import Validator, methods


def test_requests_of_the_client_pass_through_the_validator(conn: dk.Dataset, validator: Validator) -> None:
    """On each deployment; what it looks at is what the client sends."""
    validator.seen.clear()
    store = conn.create_store("ct", labels={"a": "b"})
    store.upload(ct_slice())
    store.patch(labels={})
    conn.stores()
    conn.delete_store("ct")
    ids = {name.removeprefix("healthcare.projects.locations.datasets.dicomStores.") for name in validator.seen}
    assert {"create", "storeInstances", "patch", "list", "delete"} <= ids


def test_request_that_is_none_of_the_api_is_seen(conn: dk.Dataset, validator: Validator) -> None:
    """A field and a parameter that the document has not, and an answer that it knows as an error."""
    url = f"{conn.base_url}/{conn.name}/dicomStores"
    assert conn.session.post(url, params={"storeId": "x"}, json={"lables": {}}).status_code == 400
    found, validator.violations[:] = list(validator.violations), []
    assert [violation.partition(": ")[2] for violation in found] == [
        "parameter storeId: not in the document",
        "parameter dicomStoreId: required, and missing",
        "DicomStore.lables: not in the document",
    ]


def test_every_method_that_answers_in_json_was_looked_at(
    conn: dk.Dataset, validator: Validator, tmp_path: Path
) -> None:
    """All of the engine's methods but DICOMweb's own are called with success, and their answers are the document's."""
    validator.seen.clear()
    location = conn.name.partition("/datasets/")[0]
    store = f"{conn.name}/dicomStores/ct"
    image = ct_slice()
    study = f"{store}/dicomWeb/studies/{image.StudyInstanceUID}"
    series = f"{study}/series/{image.SeriesInstanceUID}"
    instance = f"{series}/instances/{image.SOPInstanceUID}"

    def call(verb: str, path: str, body: Any = None) -> Any:
        answer = conn.session.request(verb, f"{conn.base_url}/{path}", json=body)
        assert answer.status_code == 200, path
        return answer.json()

    def wait(answer: Any) -> None:
        while answer and not answer.get("done"):
            answer = call("GET", answer["name"])
        assert "error" not in answer

    operation = call("POST", f"{location}/datasets?datasetId=other", {"timeZone": "UTC"})
    call("GET", operation["name"])
    call("GET", f"{conn.name}/operations?pageSize=1")
    call("POST", f"{operation['name']}:cancel", {})
    call("GET", f"{location.partition('/locations/')[0]}/locations")
    call("GET", location)
    call("GET", f"{location}/datasets?pageSize=1")
    call("PATCH", f"{location}/datasets/other?updateMask=timeZone", {"timeZone": "Asia/Tokyo"})
    call("GET", f"{location}/datasets/other")
    call("POST", f"{conn.name}/dicomStores?dicomStoreId=ct", {"labels": {"a": "b"}})
    call("GET", f"{conn.name}/dicomStores?filter=labels.a%3Db")
    call("GET", store)
    config = {"bigqueryDestination": {"tableUri": "bq://local.imaging.ct", "schemaFlattened": {}}}
    call("PATCH", f"{store}?updateMask=streamConfigs", {"streamConfigs": [config]})
    for resource in (conn.name, store):
        policy = call("GET", f"{resource}:getIamPolicy?options.requestedPolicyVersion=3")
        binding = {"role": "roles/healthcare.dicomViewer", "members": ["user:a@example.com"]}
        call("POST", f"{resource}:setIamPolicy", {"policy": {**policy, "bindings": [binding]}})
        call("POST", f"{resource}:testIamPermissions", {"permissions": ["healthcare.dicomStores.get"]})
    for doomed in (instance, series, study):
        assert conn.store("ct").upload(image)["outcome"].tolist() == ["stored"]
        call("GET", f"{store}:getDICOMStoreMetrics")
        call("GET", f"{study}:getStudyMetrics")
        call("GET", f"{series}:getSeriesMetrics")
        call("GET", f"{instance}:getStorageInfo")
        for resource in (store, study, series, instance):
            wait(
                call(
                    "POST",
                    f"{resource}:setBlobStorageSettings",
                    {"blobStorageSettings": {"blobStorageClass": "ARCHIVE"}},
                )
            )
        wait(call("DELETE", doomed))
    (tmp_path / "home" / "buckets" / "scans").mkdir(parents=True)
    conn.store("ct").upload(image)
    conn.create_store("copies")
    gcs = {"uriPrefix": "gs://scans/out", "mimeType": "application/dicom; transfer-syntax=*"}
    wait(call("POST", f"{store}:export", {"gcsDestination": gcs}))
    wait(call("POST", f"{store}:import", {"gcsSource": {"uri": "gs://scans/out/**.dcm"}}))
    deidentify: dict[str, Any] = {"config": {"dicom": {"filterProfile": "MINIMAL_KEEP_LIST_PROFILE"}}}
    wait(call("POST", f"{store}:deidentify", {**deidentify, "destinationStore": f"{conn.name}/dicomStores/copies"}))
    wait(call("POST", f"{conn.name}:deidentify", {**deidentify, "destinationDataset": f"{location}/datasets/third"}))
    call("DELETE", store)
    call("DELETE", f"{location}/datasets/other")
    holes = {route.method_id for route in unimplemented.ROUTES}
    assert {method.id for method in methods() if method.response != "HttpBody"} - holes - validator.seen == set()


def test_every_method_of_dicomweb_was_looked_at(conn: dk.Dataset, validator: Validator) -> None:
    """The rest of the document: each is called with success, on each deployment."""
    validator.seen.clear()
    image = ct_slice()
    web = conn.create_store("ct").dicomweb_url
    study = f"{web}/studies/{image.StudyInstanceUID}"
    series = f"{study}/series/{image.SeriesInstanceUID}"
    instance = f"{series}/instances/{image.SOPInstanceUID}"
    part10 = io.BytesIO()
    image.save_as(part10, enforce_file_format=True)
    for url in (f"{web}/studies", study):
        answer = conn.session.post(url, data=part10.getvalue(), headers={"Content-Type": "application/dicom"})
        assert answer.status_code == 200, url
    searches = [f"{web}/studies", f"{web}/series", f"{web}/instances", f"{study}/series"]
    searches += [f"{study}/instances", f"{series}/instances"]
    bulk = [f"{instance}/frames/1", f"{instance}/bulkdata/7FE00010"]
    pictures = [f"{instance}/rendered", f"{instance}/frames/1/rendered"]
    for url in (*searches, study, series, instance, *bulk, *pictures):
        assert conn.session.get(url).status_code == 200, url
    for url in (study, series, instance):
        assert conn.session.get(f"{url}/metadata").status_code == 200
    called = {method.id for method in methods() if method.response == "HttpBody"}
    assert called - validator.seen == set()
