"""Exports by Google's own generic client; what they wrote, read by pydicom and by Google's BigQuery client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from pydicom.dataset import Dataset
from werkzeug.test import Client

from dicomkit.engine.app import Engine
from tests.conftest import WHEEL, served
from tests.unit.engine.factories import PARENT, outcomes, store

discovery = pytest.importorskip("googleapiclient.discovery")
errors = pytest.importorskip("googleapiclient.errors")
httplib2 = pytest.importorskip("httplib2")

# pydicom says so of some of the wheel's files, and `to_dataframe` that pandas-gbq will take over one day.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]

NAME = "projects/local/locations/local/datasets/default/dicomStores/ct"
DICOM = "application/dicom"
TABLE = "local.imaging.exported"


class World:
    """A served engine in Google's mode with the wheel's files in a store, and the clients of it."""

    def __init__(self, engine: Engine, origin: str, service: Any, stored: list[Path]) -> None:
        self.out = engine.home.buckets / "out"
        self.out.mkdir()
        self.stored = stored
        self.datasets = service.projects().locations().datasets()
        self.bigquery = bigquery.Client(
            project="local", credentials=AnonymousCredentials(), client_options={"api_endpoint": origin}
        )

    def export(self, body: dict[str, Any]) -> dict[str, Any]:
        """Do an export; its operation."""
        name = self.datasets.dicomStores().export(name=NAME, body=body).execute()["name"]
        while True:
            operation: dict[str, Any] = self.datasets.operations().get(name=name).execute()
            if operation.get("done"):
                return operation
            time.sleep(0.02)


def filled(home: Path) -> list[Path]:
    """Put the wheel's files into a store; those that it took."""
    with Engine(home) as engine:
        http = Client(engine)
        assert http.post(f"{PARENT}/datasets?datasetId=default").status_code == 200
        assert http.post(f"/v1/{NAME.rpartition('/')[0]}?dicomStoreId=ct", json={}).status_code == 200
        paths = sorted(WHEEL.glob("*.dcm"))
        done = outcomes(store(http, *(path.read_bytes() for path in paths)))
        return [paths[number - 1] for number, outcome in done.items() if outcome == "STORED"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("oracle") / "home"
    stored = filled(home)
    with Engine(home, mode="google") as engine, served(engine) as origin:
        http = httplib2.Http(timeout=60, proxy_info=None)
        with discovery.build(
            "healthcare", "v1", http=http, static_discovery=True, client_options={"api_endpoint": origin}
        ) as service:
            yield World(engine, origin, service, stored)


def datasets(folder: Path) -> dict[str, Dataset]:
    """What pydicom reads of the objects of a folder, by the instance's UID in their names."""
    return {path.name.removesuffix(".dcm"): pydicom.dcmread(path, force=True) for path in folder.rglob("*.dcm")}


def test_files_are_read_back_by_pydicom(world: World) -> None:
    """Every data set equals that of the file that was stored."""
    operation = world.export({"gcsDestination": {"uriPrefix": "gs://out/stored"}})
    assert operation["metadata"]["counter"] == {"success": str(len(world.stored))}
    found = datasets(world.out / "stored")
    assert len(found) == len(world.stored)
    for path in world.stored:
        ds = pydicom.dcmread(path, force=True)
        assert found[ds.SOPInstanceUID] == ds


def test_transcoded_files_are_read_back_by_pydicom(world: World) -> None:
    """In the transfer syntax that was asked for; of each that is not, the operation says why."""
    syntax = "1.2.840.10008.1.2"
    operation = world.export(
        {
            "gcsDestination": {
                "uriPrefix": "gs://out/implicit",
                "mimeType": f"application/dicom; transfer-syntax={syntax}",
            }
        }
    )
    counter = operation["metadata"]["counter"]
    assert int(counter["success"]) + int(counter.get("failure", 0)) == len(world.stored)
    found = datasets(world.out / "implicit")
    assert len(found) == int(counter["success"]) > len(world.stored) // 2
    assert {ds.file_meta.get("TransferSyntaxUID", syntax) for ds in found.values()} == {syntax}
    for path in world.stored:
        ds = pydicom.dcmread(path, force=True)
        if ds.SOPInstanceUID in found:
            assert found[ds.SOPInstanceUID].get("PatientName") == ds.get("PatientName")


def test_the_table_is_read_by_googles_client(world: World) -> None:
    """A row for each file, its values those of pydicom."""
    world.bigquery.create_dataset("imaging")
    operation = world.export({"bigqueryDestination": {"tableUri": f"bq://{TABLE}"}})
    assert operation["metadata"]["counter"] == {"success": str(len(world.stored))}
    table = world.bigquery.get_table(TABLE)
    assert table.num_rows == len(world.stored)
    assert [field.name for field in table.schema][-4:] == ["Type", "LastUpdated", "StorageClass", "BlobStorageSize"]
    rows = {row["SOPInstanceUID"]: row for row in world.bigquery.list_rows(table)}
    for path in world.stored:
        ds = pydicom.dcmread(path, force=True)
        row = rows[ds.SOPInstanceUID]
        assert row["BlobStorageSize"] == path.stat().st_size
        assert row["StudyInstanceUID"] == ds.StudyInstanceUID
        assert row["Modality"] == (ds.get("Modality") or None)
        assert row["Rows"] == ds.get("Rows")
        assert row["TransferSyntaxUID"] == ds.file_meta.get("TransferSyntaxUID")
    again = world.export({"bigqueryDestination": {"tableUri": f"bq://{TABLE}"}})
    assert again["error"]["code"] == 6
    assert world.bigquery.get_table(TABLE).num_rows == len(world.stored)


def test_a_dataset_that_is_missing_is_an_error_there(world: World) -> None:
    """Google's mode makes none."""
    operation = world.export({"bigqueryDestination": {"tableUri": "bq://local.none.t"}})
    assert operation["error"]["code"] == 5
    with pytest.raises(errors.HttpError) as caught:
        world.export({"bigqueryDestination": {"tableUri": "bq://other.imaging.t"}})
    assert caught.value.status_code == 400
