"""Every method of the API by Google's own generic client, unchanged, against a process of ``dicomkit serve``.

Only the endpoint and the token are ours. The list of methods is that of the discovery document which the client ships:
one that is not called, or not answered with success, fails the test.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.contract.instances import ct_slice, part10
from tests.discovery import VERSIONS, methods
from tests.process import TOKEN, Process, serve

discovery = pytest.importorskip("googleapiclient.discovery")
errors = pytest.importorskip("googleapiclient.errors")
credentials = pytest.importorskip("google.oauth2.credentials")

LOCATION = "projects/p/locations/us-central1"
PREFIX = "healthcare.projects.locations."
JSON = "application/dicom+json"
ICON = b"a picture, small"
VIEWER = {"role": "roles/healthcare.dicomViewer", "members": ["user:alice@example.com"]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "home"
    bucket = folder / "buckets" / "hospital"
    bucket.mkdir(parents=True, mode=0o700)
    for number in (1, 2):
        (bucket / f"{number}.dcm").write_bytes(part10(ct_slice(9, 1, number)))
    return folder


@pytest.fixture(scope="module")
def process(home: Path) -> Iterator[Process]:
    with serve(home, "--mode", "google", "--quiet") as running:
        yield running
        assert running.stop() == 0


class Caller:
    """Calls methods by their ids, and remembers which were answered."""

    def __init__(self, url: str, version: str) -> None:
        self.version = version
        self.seen: set[str] = set()
        self.service = discovery.build(
            "healthcare",
            version,
            static_discovery=True,
            credentials=credentials.Credentials(TOKEN),
            client_options={"api_endpoint": url},
        )

    def close(self) -> None:
        """Close the connections."""
        self.service.close()

    def request(self, method: str, **parameters: Any) -> Any:
        """The client's own request for a method, below ``projects.locations``."""
        *resources, name = method.split(".")
        resource = self.service.projects().locations()
        for part in resources:
            resource = getattr(resource, part)()
        return getattr(resource, {"import": "import_"}.get(name, name))(**parameters)

    def __call__(self, method: str, **parameters: Any) -> Any:
        """The JSON of an answer."""
        answer = self.request(method, **parameters).execute()
        self.seen.add(PREFIX + method)
        return answer

    def bytes(self, method: str, accept: str, *, body: bytes = b"", content_type: str = "", **parameters: Any) -> bytes:
        """The bytes of an answer; what the client takes for JSON is sent and read as what it is."""
        request = self.request(method, **parameters)
        request.headers["accept"] = accept
        if body:
            request.body, request.body_size = body, len(body)
            request.headers["content-type"] = content_type
        request.postproc = lambda response, content: content if response.status < 300 else _fail(response, content)
        answer = request.execute()
        self.seen.add(PREFIX + method)
        assert isinstance(answer, bytes)
        return answer

    def operation(self, method: str, **parameters: Any) -> Any:
        """An operation, waited for as Google documents it; it says by which version of the API it was begun."""
        operation = self(method, **parameters)
        until = time.monotonic() + 60
        while not operation.get("done"):
            assert time.monotonic() < until
            time.sleep(0.02)
            operation = self("datasets.operations.get", name=operation["name"])
        assert "error" not in operation
        kinds = (operation["metadata"]["@type"], operation["metadata"]["apiMethodName"])
        assert all(f"google.cloud.healthcare.{self.version}." in kind for kind in kinds)
        return operation


def _fail(response: Any, content: bytes) -> None:
    raise errors.HttpError(response, content)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_method_is_answered(process: Process, home: Path, version: str) -> None:
    """Stores made, filled, searched, read, moved, guarded and deleted, in each version of the API."""
    with closing(Caller(process.url, version)) as call:
        _every_method(call, process, home)
        assert call.seen == {method.id for method in methods()}


def _every_method(call: Caller, process: Process, home: Path) -> None:
    version = call.version
    dataset = f"{LOCATION}/datasets/{version}"
    store, other = f"{dataset}/dicomStores/ct", f"{dataset}/dicomStores/other"
    image = ct_slice()
    icon = pydicom.Dataset()
    icon.Rows, icon.Columns, icon.BitsAllocated, icon.SamplesPerPixel = 4, 4, 8, 1
    icon.add_new("PixelData", "OW", ICON)
    image.IconImageSequence = [icon]
    study = f"{store}/dicomWeb/studies/{image.StudyInstanceUID}"
    series = f"{study}/series/{image.SeriesInstanceUID}"
    instance = f"{series}/instances/{image.SOPInstanceUID}"

    def web(name: str) -> dict[str, str]:
        return {"parent": store, "dicomWebPath": name.partition("/dicomWeb/")[2] or name}

    # Locations, datasets, stores
    made = call.operation("datasets.create", parent=LOCATION, datasetId=version, body={"timeZone": "UTC"})
    assert made["response"]["name"] == dataset
    assert call("get", name=LOCATION)["locationId"] == "us-central1"
    assert LOCATION in [item["name"] for item in call("list", name="projects/p")["locations"]]
    assert call("datasets.get", name=dataset)["timeZone"] == "UTC"
    assert dataset in [item["name"] for item in call("datasets.list", parent=LOCATION)["datasets"]]
    zone = {"timeZone": "Asia/Tokyo"}
    assert call("datasets.patch", name=dataset, updateMask="timeZone", body=zone) == {"name": dataset, **zone}
    for name in ("ct", "other"):
        call("datasets.dicomStores.create", parent=dataset, dicomStoreId=name, body={})
    assert call("datasets.dicomStores.get", name=store) == {"name": store}
    assert len(call("datasets.dicomStores.list", parent=dataset)["dicomStores"]) == 2
    labels = {"labels": {"site": "a"}}
    assert call("datasets.dicomStores.patch", name=store, updateMask="labels", body=labels)["labels"] == {"site": "a"}

    # Policies
    for kind, resource in (("datasets", dataset), ("datasets.dicomStores", store)):
        policy = call(f"{kind}.getIamPolicy", resource=resource)
        written = call(f"{kind}.setIamPolicy", resource=resource, body={"policy": {**policy, "bindings": [VIEWER]}})
        assert written["bindings"] == [VIEWER]
        asked = {"permissions": ["healthcare.dicomStores.get"]}
        assert call(f"{kind}.testIamPermissions", resource=resource, body=asked) == asked

    # Instances in
    stored = {"accept": JSON, "body": part10(image), "content_type": "application/dicom", "parent": store}
    call.bytes("datasets.dicomStores.storeInstances", dicomWebPath="studies", **stored)
    again = call.bytes("datasets.dicomStores.studies.storeInstances", dicomWebPath=web(study)["dicomWebPath"], **stored)
    assert image.SOPInstanceUID.encode() in again

    # Searches
    for method, path, count in (
        ("searchForStudies", "studies", 1),
        ("searchForSeries", "series", 1),
        ("searchForInstances", "instances", 1),
        ("studies.searchForSeries", f"{study}/series", 1),
        ("studies.searchForInstances", f"{study}/instances", 1),
        ("studies.series.searchForInstances", f"{series}/instances", 1),
    ):
        found = call(f"datasets.dicomStores.{method}", **web(path))
        assert len(found) == count
        assert found[0]["0020000D"]["Value"] == [image.StudyInstanceUID]

    # Retrievals
    for method, path in (
        ("studies.retrieveMetadata", study),
        ("studies.series.retrieveMetadata", series),
        ("studies.series.instances.retrieveMetadata", instance),
    ):
        (metadata,) = call(f"datasets.dicomStores.{method}", **web(f"{path}/metadata"))
        assert metadata["00080018"]["Value"] == [image.SOPInstanceUID]
    multipart = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    for method, path in (("studies.retrieveStudy", study), ("studies.series.retrieveSeries", series)):
        assert part10(image) in call.bytes(f"datasets.dicomStores.{method}", multipart, **web(path))
    whole = call.bytes(
        "datasets.dicomStores.studies.series.instances.retrieveInstance",
        "application/dicom; transfer-syntax=*",
        **web(instance),
    )
    assert whole == part10(image)
    below = "datasets.dicomStores.studies.series.instances"
    octets = 'multipart/related; type="application/octet-stream"'
    pixels = bytes(image.PixelData)
    assert pixels in call.bytes(f"{below}.frames.retrieveFrames", octets, **web(f"{instance}/frames/1"))
    for method, path in (("retrieveRendered", "rendered"), ("frames.retrieveRendered", "frames/1/rendered")):
        rendered = call.bytes(f"{below}.{method}", "image/png", **web(f"{instance}/{path}"))
        assert rendered.startswith(b"\x89PNG")
    # The client takes paths of bulk data in sequences only: that is what the pattern of the document says.
    bulk = metadata["00880200"]["Value"][0]["7FE00010"]["BulkDataURI"]
    assert bulk.startswith(f"{process.url}/{version}/")
    path = bulk.partition("/dicomWeb/")[2]
    assert ICON in call.bytes(f"{below}.bulkdata.retrieveBulkdata", octets, parent=store, dicomWebPath=path)

    # Metrics
    assert call("datasets.dicomStores.getDICOMStoreMetrics", name=store)["instanceCount"] == "1"
    assert call("datasets.dicomStores.dicomWeb.studies.getStudyMetrics", study=study)["seriesCount"] == "1"
    assert call("datasets.dicomStores.dicomWeb.studies.series.getSeriesMetrics", series=series)["instanceCount"] == "1"
    info = call("datasets.dicomStores.dicomWeb.studies.series.instances.getStorageInfo", resource=instance)
    assert info["blobStorageInfo"]["sizeBytes"] == str(len(part10(image)))

    # Operations
    settings = {"blobStorageSettings": {"blobStorageClass": "NEARLINE"}}
    call.operation("datasets.dicomStores.setBlobStorageSettings", resource=store, body=settings)
    call.operation("datasets.dicomStores.dicomWeb.studies.setBlobStorageSettings", resource=study, body=settings)
    source = {"gcsSource": {"uri": "gs://hospital/*.dcm"}}
    imported = call.operation("datasets.dicomStores.import", name=store, body=source)
    assert imported["metadata"]["counter"] == {"success": "2"}
    target = {"gcsDestination": {"uriPrefix": f"gs://hospital/out-{version}"}}
    call.operation("datasets.dicomStores.export", name=store, body=target)
    written_files = list((home / "buckets" / "hospital" / f"out-{version}").rglob("*.dcm"))
    assert [pydicom.dcmread(file).Modality for file in written_files] == ["CT"] * 3
    config = {"dicom": {"filterProfile": "ATTRIBUTE_CONFIDENTIALITY_BASIC_PROFILE"}}
    body = {"destinationStore": other, "config": config}
    call.operation("datasets.dicomStores.deidentify", sourceStore=store, body=body)
    everything = {"parent": other, "dicomWebPath": "instances"}
    assert len(call("datasets.dicomStores.searchForInstances", **everything)) == 3
    body = {"destinationDataset": f"{dataset}-deid", "config": config}
    call.operation("datasets.deidentify", sourceDataset=dataset, body=body)
    copy = {"parent": f"{dataset}-deid/dicomStores/ct", "dicomWebPath": "instances"}
    assert len(call("datasets.dicomStores.searchForInstances", **copy)) == 3
    listed = call("datasets.operations.list", name=dataset)["operations"]
    assert {operation["done"] for operation in listed} == {True}
    assert call("datasets.operations.cancel", name=listed[0]["name"], body={}) == {}

    # The end
    nearer = ct_slice(9, 1, 1)
    path = f"studies/{nearer.StudyInstanceUID}/series/{nearer.SeriesInstanceUID}/instances/{nearer.SOPInstanceUID}"
    assert call(f"{below}.delete", parent=store, dicomWebPath=path) == {}
    call.operation("datasets.dicomStores.studies.series.delete", **web(series))
    call.operation("datasets.dicomStores.studies.delete", parent=store, dicomWebPath=path.partition("/series")[0])
    assert call("datasets.dicomStores.getDICOMStoreMetrics", name=store) == {"name": store}
    for name in (store, other):
        assert call("datasets.dicomStores.delete", name=name) == {}
    assert call("datasets.delete", name=dataset) == {}


def test_what_only_v1beta1_has_says_which_method_it_is(process: Process) -> None:
    """501 with the method id, so that nobody looks for a missing study."""
    parent = f"{LOCATION}/datasets/d/dicomStores/s"
    shared = {method.id for method in methods()}
    with closing(Caller(process.url, "v1beta1")) as call:
        for method in methods("v1beta1"):
            if method.id not in shared:
                path = method.parameters["dicomWebPath"]["pattern"].strip("^$").replace("[^/]+", "1.2")
                with pytest.raises(errors.HttpError) as caught:
                    call(method.id.removeprefix(PREFIX), parent=parent, dicomWebPath=path, body={})
                assert caught.value.status_code == 501
                assert method.id in caught.value.reason


def test_wrong_token_is_refused(process: Process) -> None:
    """google-auth tries to get a new one, and says that it has nothing to get it with."""
    from google.auth.exceptions import RefreshError

    service = discovery.build(
        "healthcare",
        "v1",
        static_discovery=True,
        credentials=credentials.Credentials("token-of-nobody"),
        client_options={"api_endpoint": process.url},
    )
    with closing(service), pytest.raises(RefreshError):
        service.projects().locations().list(name="projects/p").execute()
