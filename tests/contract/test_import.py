"""Imports from buckets, on each deployment, with the discovery document in front."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

import dicomkit as dk
from dicomkit.errors import NotFound, OperationError, PartialResultsWarning
from tests.contract.instances import ct_files, ct_slice, part10
from tests.unit.resources.test_gcs import BAD_URIS


@pytest.fixture
def bucket(conn: dk.Dataset, tmp_path: Path) -> Path:
    """The folder of ``gs://bucket``, in the home of ``conn`` wherever its engine runs."""
    folder = tmp_path / "home" / "buckets" / "bucket"
    folder.mkdir()
    return folder


def uids(store: dk.Store) -> set[str]:
    """SOP instance UIDs of what is stored."""
    return set(store.search_instances()["SOPInstanceUID"])


def done(store: dk.Store, uri: str, *, failures: int = 0) -> dk.Operation:
    """An import when it has ended, of which *failures* files failed."""
    operation = store.import_dicom(uri)
    if failures:
        with pytest.warns(PartialResultsWarning, match=f"{failures} failed"):
            return operation.result(60)
    return operation.result(60)


def counted(operation: dk.Operation) -> dict[str, int]:
    """The counters that are not zero."""
    return {name: count for name, count in operation.counters.items() if count}


def post(store: dk.Store, body: dict[str, Any]) -> tuple[int, str, str]:
    """Status, code and message of the answer to an import that the client would not have sent."""
    answer = store._rest.session.post(f"{store._rest.base_url}/{store.name}:import", json=body)
    error = answer.json().get("error", {})
    return answer.status_code, error.get("status", ""), error.get("message", "")


def test_files_of_a_bucket_go_in_and_what_is_no_dicom_is_told(conn: dk.Dataset, bucket: Path) -> None:
    """Success and failure are counted; a failure has its gs:// URI and its reason."""
    ct_files(bucket / "scans")
    (bucket / "scans" / "notes.txt").write_text("not DICOM")
    (bucket / "scans" / "empty.dcm").touch()
    (bucket / "other.dcm").write_bytes(part10(ct_slice(9)))
    store = conn.create_store("ct")
    operation = done(store, "gs://bucket/scans/**", failures=2)
    assert counted(operation) == {"success": 12, "failure": 2}
    assert operation.resource.response == {
        "@type": "type.googleapis.com/google.cloud.healthcare.v1.dicom.ImportDicomDataResponse"
    }
    assert operation.resource.metadata["apiMethodName"].endswith("v1.dicom.DicomService.ImportDicomData")
    errors = operation.errors()
    assert list(errors["source"]) == ["gs://bucket/scans/empty.dcm", "gs://bucket/scans/notes.txt"]
    assert errors["reason"].str.len().min() > 10
    assert len(uids(store)) == 12
    assert counted(done(store, "gs://bucket/*.dcm")) == {"success": 1}


def test_what_is_stored_already_is_kept(conn: dk.Dataset, bucket: Path) -> None:
    """The same bytes are a success, and stored once; other bytes under the same UIDs fail, and nothing changes."""
    (bucket / "1.dcm").write_bytes(part10(ct_slice(1, PatientID="first")))
    (bucket / "2.dcm").write_bytes(part10(ct_slice(1, PatientID="first")))
    store = conn.create_store("ct", stream_to="bq://local.imaging.ct")
    for _ in range(2):
        assert counted(done(store, "gs://bucket/**")) == {"success": 2}
    (bucket / "3.dcm").write_bytes(part10(ct_slice(1, PatientID="other")))
    operation = done(store, "gs://bucket/**", failures=1)
    assert counted(operation) == {"success": 2, "failure": 1}
    (error,) = operation.errors().to_dict("records")
    assert error["source"] == "gs://bucket/3.dcm"
    assert "already exists" in error["reason"]
    assert list(store.search_instances()["SOPInstanceUID"]) == [ct_slice(1).SOPInstanceUID]
    assert list(store.search_studies()["PatientID"]) == ["first"]
    assert len(store.sql("SELECT SOPInstanceUID FROM {table}")) == 1


def test_all_failures_are_an_error(conn: dk.Dataset, bucket: Path) -> None:
    """An import that stored nothing ends with INVALID_ARGUMENT."""
    (bucket / "a.txt").write_text("text")
    store = conn.create_store("ct")
    with pytest.raises(OperationError, match="all 1 items failed"):
        store.import_dicom("gs://bucket/*").result(60)


def test_nothing_to_import_is_an_error(conn: dk.Dataset, bucket: Path) -> None:
    """A bucket that is not there is the caller's answer; that nothing matches, the operation's."""
    store = conn.create_store("ct")
    with pytest.raises(NotFound, match="there is no bucket 'nowhere'"):
        store.import_dicom("gs://nowhere/*")
    with pytest.raises(OperationError, match=r"no object matches gs://bucket/\*\.dcm"):
        store.import_dicom("gs://bucket/*.dcm").result(60)
    assert post(store, {"gcsSource": {"uri": "gs://bucket/x"}})[0] == 200
    conn.delete_store("ct")
    assert post(store, {"gcsSource": {"uri": "gs://bucket/x"}})[:2] == (404, "NOT_FOUND")


def test_storage_class_is_kept(conn: dk.Dataset, bucket: Path) -> None:
    """blobStorageSettings of the request are those of the instances."""
    image = ct_slice()
    (bucket / "1.dcm").write_bytes(part10(image))
    store = conn.create_store("ct")
    store.import_dicom("gs://bucket/1.dcm", storage_class="COLDLINE").result(60)
    path = f"studies/{image.StudyInstanceUID}/series/{image.SeriesInstanceUID}/instances/{image.SOPInstanceUID}"
    info = store._rest.json("GET", f"{store.name}/dicomWeb/{path}:getStorageInfo")
    assert info["blobStorageInfo"]["storageClass"] == "COLDLINE"


def test_large_files_go_in_whole(conn: dk.Dataset, bucket: Path) -> None:
    """A file beyond what is kept in memory is stored byte for byte."""
    image = ct_slice(Rows=2_000, Columns=1_500, PixelData=os.urandom(6_000_000))
    (bucket / "large.dcm").write_bytes(part10(image))
    store = conn.create_store("ct")
    assert counted(done(store, "gs://bucket/large.dcm")) == {"success": 1}
    kept = store.dataset(image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID)
    assert kept.PixelData == image.PixelData


def test_an_import_by_the_older_version(conn: dk.Dataset, bucket: Path) -> None:
    """The operation's metadata are of the version that was called."""
    (bucket / "1.dcm").write_bytes(part10(ct_slice()))
    store = conn.create_store("ct")
    url = f"{store._rest.base_url.removesuffix('v1')}v1beta1/{store.name}:import"
    answer = store._rest.session.post(url, json={"gcsSource": {"uri": "gs://bucket/1.dcm"}})
    assert answer.status_code == 200
    operation = conn.operation(answer.json()["name"]).result(60)
    assert operation.resource.metadata["apiMethodName"].startswith("google.cloud.healthcare.v1beta1.")
    assert operation.resource.response["@type"].startswith("type.googleapis.com/google.cloud.healthcare.v1beta1.")


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Addresses that anything of this process connects to, but for the loopback port of a served engine."""
    seen: list[Any] = []
    connect = socket.socket.connect

    def noted(self: socket.socket, address: Any) -> None:
        if not isinstance(address, tuple) or address[0] != "127.0.0.1":
            seen.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    monkeypatch.setattr(socket, "getaddrinfo", _no_names(socket.getaddrinfo, seen))
    return seen


def _no_names(resolve: Any, seen: list[Any]) -> Any:
    def noted(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in ("127.0.0.1", None):
            seen.append(host)
        return resolve(host, *args, **kwargs)

    return noted


def test_bad_uris_are_refused_and_nothing_connects(conn: dk.Dataset, bucket: Path, connections: list[Any]) -> None:
    """Sixty URIs (other schemes, metadata addresses, traversal, escapes, look-alikes): 400, and no operation begins."""
    store = conn.create_store("ct")
    before = sorted(path.name for path in bucket.parent.rglob("*"))
    for uri in BAD_URIS:
        status, code, message = post(store, {"gcsSource": {"uri": uri}})
        assert (status, code) == (400, "INVALID_ARGUMENT"), uri
        assert message.startswith("gcsSource.uri: "), uri
    assert "ImportDicomData" not in set(conn.operations()["method"])
    assert connections == []
    assert sorted(path.name for path in bucket.parent.rglob("*")) == before


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_links_lead_nowhere(conn: dk.Dataset, bucket: Path, tmp_path: Path) -> None:
    """A URI through a symbolic link is refused; a wildcard passes over links."""
    outside = tmp_path / "outside"
    ct_files(outside, studies=1, series=1, instances=1)
    file = next(outside.rglob("*.dcm"))
    (bucket / "link.dcm").symlink_to(file)
    (bucket / "dir").symlink_to(outside, target_is_directory=True)
    (bucket.parent / "linked").symlink_to(outside, target_is_directory=True)
    (bucket / "real.dcm").write_bytes(part10(ct_slice(7)))
    store = conn.create_store("ct")
    for uri in ("gs://bucket/link.dcm", "gs://bucket/dir/**", "gs://bucket/dir/study1/x", "gs://linked/**"):
        status, code, message = post(store, {"gcsSource": {"uri": uri}})
        assert (status, code) == (400, "INVALID_ARGUMENT"), uri
        assert "symbolic link" in message
    assert counted(done(store, "gs://bucket/**")) == {"success": 1}
    assert uids(store) == {ct_slice(7).SOPInstanceUID}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"gcsSource": {}},
        {"gcsSource": {"uri": ["gs://bucket/x"]}},
        {"gcsSource": {"uri": "gs://bucket/x", "contentStructure": "DICOM"}},
        {"inputConfig": {"gcsSource": "gs://bucket/x"}},
        {"gcsSource": {"uri": "gs://bucket/x"}, "blobStorageSettings": {"blobStorageClass": "GLACIER"}},
    ],
)
def test_wrong_requests_are_refused(conn: dk.Dataset, validator: Any, body: dict[str, Any]) -> None:
    """400 INVALID_ARGUMENT, and the message names the field."""
    store = conn.create_store("ct")
    assert post(store, body)[:2] == (400, "INVALID_ARGUMENT")
    validator.violations.clear()  # these requests are none of the document's
