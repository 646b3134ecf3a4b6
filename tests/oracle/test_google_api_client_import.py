"""Google's own generic client imports from a bucket and follows the operation."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.contract.instances import ct_files
from tests.oracle.test_google_api_client import DATASET, STORE, datasets, errors, locations, stores

__all__ = ["datasets", "locations", "stores"]


def test_an_import_is_followed_to_its_end(stores: Any, datasets: Any, tmp_path: Path) -> None:
    """The names, types and texts of the documented samples: first a name, then metadata with counters, then done."""
    stores.create(parent=DATASET, dicomStoreId="ct", body={}).execute()
    ct_files(tmp_path / "home" / "buckets" / "bucket", studies=1)
    body = {"gcsSource": {"uri": "gs://bucket/**.dcm"}, "blobStorageSettings": {"blobStorageClass": "NEARLINE"}}
    begun = stores.import_(name=STORE, body=body).execute()
    assert begun.keys() == {"name"}
    assert begun["name"].startswith(f"{DATASET}/operations/")
    for _ in range(3_000):
        operation = datasets.operations().get(name=begun["name"]).execute()
        if operation.get("done"):
            break
        time.sleep(0.02)
    assert operation["response"] == {
        "@type": "type.googleapis.com/google.cloud.healthcare.v1.dicom.ImportDicomDataResponse"
    }
    assert operation["metadata"]["counter"] == {"success": "6"}
    assert operation["metadata"]["apiMethodName"] == "google.cloud.healthcare.v1.dicom.DicomService.ImportDicomData"
    assert len(stores.searchForInstances(parent=STORE, dicomWebPath="instances").execute()) == 6


def test_a_wrong_import_says_what_is_wrong(stores: Any) -> None:
    """The reason that the client shows names the field."""
    stores.create(parent=DATASET, dicomStoreId="ct", body={}).execute()
    with pytest.raises(errors.HttpError) as caught:
        stores.import_(name=STORE, body={"gcsSource": {"uri": "file:///etc/passwd"}}).execute()
    assert caught.value.status_code == 400
    assert caught.value.reason.startswith("gcsSource.uri: must be gs://")
