"""Files of pydicom's wheel in stores of their own, since many of them share their UIDs."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import pydicom
from werkzeug.test import Client, TestResponse

from dicomkit.dicom.multipart import parts
from tests.conftest import WHEEL
from tests.unit.engine.factories import DATASET, PARENT


@dataclass(frozen=True)
class Stored:
    """A file of the wheel that is stored: where, its bytes, and what pydicom reads in them."""

    path: str
    data: bytes
    dataset: pydicom.Dataset

    @property
    def series(self) -> str:
        """Path of the series."""
        return self.path.partition("/instances/")[0]


def stored(http: Client, *names: str) -> Stored:
    """Store files, and give the first; the store is made when it is missing."""
    web = f"{DATASET}/dicomStores/{re.sub('[^A-Za-z0-9]', '-', names[0])}"
    if http.get(web).status_code != 200:
        http.post(f"{PARENT}/datasets?datasetId=default")
        answer = http.post(f"{DATASET}/dicomStores?dicomStoreId={web.rpartition('/')[2]}", json={})
        assert answer.status_code == 200, answer.text
    for name in names:
        data = (WHEEL / name).read_bytes()
        answer = http.post(f"{web}/dicomWeb/studies", data=data, content_type="application/dicom")
        assert answer.status_code == 200, answer.text
    data = (WHEEL / names[0]).read_bytes()
    dataset = pydicom.dcmread(io.BytesIO(data))
    path = (
        f"{web}/dicomWeb/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}"
    )
    return Stored(path, data, dataset)


def bodies(answer: TestResponse) -> list[bytes]:
    """The parts of a multipart answer."""
    return [body for _, body in typed_bodies(answer)]


def typed_bodies(answer: TestResponse) -> list[tuple[str, bytes]]:
    """The parts of a multipart answer with their content types."""
    assert answer.status_code == 200, answer.text
    found = parts(io.BytesIO(answer.data), answer.headers["Content-Type"])
    return [(part.content_type, bytes(part.buffer())) for part in found]


def refusal(answer: TestResponse) -> tuple[int, str]:
    """Status and canonical code of an error."""
    return answer.status_code, answer.json["error"]["status"]
