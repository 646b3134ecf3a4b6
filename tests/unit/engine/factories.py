"""Instances made by pydicom, and an engine to put them into."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from werkzeug.test import Client, TestResponse

from dicomkit.dicom.multipart_writer import Writer
from dicomkit.engine import Engine

JSON = "application/dicom+json"
PARENT = "/v1/projects/local/locations/local"
DATASET = f"{PARENT}/datasets/default"
STORE = f"{DATASET}/dicomStores/ct"
WEB = f"{STORE}/dicomWeb"
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FILE_AS_STORED = "application/dicom; transfer-syntax=*"


@dataclass(frozen=True)
class Instance:
    """A DICOM file in memory, and its UIDs."""

    data: bytes
    study: str
    series: str
    uid: str

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def path(self) -> str:
        return f"{WEB}/studies/{self.study}/series/{self.series}/instances/{self.uid}"


def dataset(*, study: str | None = None, series: str | None = None, uid: str | None = None, **values: Any) -> Dataset:
    """A CT header with unique UIDs; *values* are attributes by keyword, ``None`` leaves one out."""
    ds = Dataset()
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = uid or generate_uid()
    ds.StudyInstanceUID = study or generate_uid()
    ds.SeriesInstanceUID = series or generate_uid()
    defaults = {
        "PatientName": "Doe^Jane",
        "PatientID": "P-1",
        "PatientBirthDate": "",
        "PatientSex": "F",
        "StudyDate": "20240131",
        "StudyTime": "101500",
        "StudyID": "1",
        "AccessionNumber": "A-1",
        "ReferringPhysicianName": "",
        "Modality": "CT",
        "SeriesNumber": 2,
        "InstanceNumber": 1,
        "SliceThickness": "1.25",
    }
    for keyword, value in (defaults | values).items():
        if value is not None:
            setattr(ds, keyword, value)
    return ds


def instance(*, pixels: int = 200, syntax: str = ExplicitVRLittleEndian, **values: Any) -> Instance:
    """An instance in Part 10 form with *pixels* bytes of pixel data; see :func:`dataset`."""
    return written(dataset(**values), pixels=pixels, syntax=syntax)


def written(ds: Dataset, *, pixels: int = 200, syntax: str = ExplicitVRLittleEndian) -> Instance:
    """A dataset in Part 10 form."""
    ds.Columns = min(pixels, 200)
    ds.Rows = pixels // ds.Columns
    ds.SamplesPerPixel, ds.BitsAllocated, ds.BitsStored = 1, 8, 8
    ds.HighBit, ds.PixelRepresentation, ds.PhotometricInterpretation = 7, 0, "MONOCHROME2"
    ds.PixelData = bytes(pixels)
    ds["PixelData"].VR = "OB"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return Instance(buffer.getvalue(), ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)


def client(engine: Engine, *, resource: Mapping[str, Any] | None = None) -> Client:
    """A WSGI client of an engine in which the store ``ct`` was just made."""
    http = Client(engine)
    assert http.post(f"{PARENT}/datasets?datasetId=default").status_code == 200
    answer = http.post(f"{DATASET}/dicomStores?dicomStoreId=ct", json=dict(resource or {}))
    assert answer.status_code == 200, answer.text
    return http


def streamed_to(*tables: str) -> dict[str, Any]:
    """A store resource with these stream destinations."""
    return {"streamConfigs": [{"bigqueryDestination": {"tableUri": table}} for table in tables]}


def body_of(*files: Instance | bytes) -> Writer:
    """A multipart body with *files*."""
    return Writer([("application/dicom", f.data if isinstance(f, Instance) else f) for f in files])


def store(http: Client, *files: Instance | bytes, path: str = f"{WEB}/studies", accept: str = JSON) -> TestResponse:
    """POST *files* in one request."""
    body = body_of(*files)
    return http.post(path, data=b"".join(body), content_type=body.content_type, headers={"Accept": accept})


def outcomes(answer: TestResponse) -> dict[int, str]:
    """Number in the request -> outcome, of a JSON answer to a store request."""
    items = [i for tag in ("00081198", "00081199") for i in answer.json.get(tag, {}).get("Value", [])]
    return {i["00091102"]["Value"][0]: i["00091101"]["Value"][0] for i in items}


def reasons(answer: TestResponse) -> list[str]:
    """Texts of the failures in a JSON answer to a store request."""
    return [i["00091097"]["Value"][0] for i in answer.json.get("00081198", {}).get("Value", [])]


def rows(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
    """Result of a query in the embedded BigQuery, as tuples of text."""
    answer = json.loads(engine.bigquery.query("local", {"query": sql, "useLegacySql": False, "maxResults": 100_000}))
    assert answer["jobComplete"]
    assert "pageToken" not in answer
    return [tuple(cell["v"] for cell in row["f"]) for row in answer.get("rows", ())]


def stream_status(http: Client) -> dict[str, dict[str, Any]]:
    """Status of the streams of the store ``ct``, by table."""
    return {s["tableUri"]: s for s in http.get(f"/dicomkit{STORE}:streamStatus").json["streams"]}


def drain(http: Client, timeout: float = 20) -> dict[str, dict[str, Any]]:
    """Wait until what was stored is delivered; status of the streams after it."""
    answer = http.post(f"/dicomkit{STORE}:drainStreams", json={"timeoutSeconds": timeout})
    assert answer.status_code == 200, answer.text
    return {s["tableUri"]: s for s in answer.json["streams"]}


def ended(http: Client, answer: TestResponse, *, prefix: str = "/v1/") -> dict[str, Any]:
    """The operation that *answer* has begun, when it has ended."""
    assert answer.status_code == 200, answer.text
    operation = answer.json
    while not operation.get("done"):
        time.sleep(0.01)
        operation = http.get(prefix + operation["name"]).json
    return operation
