"""Every file of pydicom's wheel, and of a folder of your own, in stores: what was kept, and what was refused and why.

``DICOMKIT_EXTRA_DICOM=FOLDER`` adds the files of a folder to those of the wheel.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pydicom
import requests

import dicomkit as dk
from tests.unit.engine.factories import FILE_AS_STORED, JSON

__all__ = ["DATA", "FILES", "NAMES", "WHEEL_NAMES", "Kept", "keep_all", "read"]

DATA = Path(pydicom.__file__).parent / "data"
EXTRA = os.environ.get("DICOMKIT_EXTRA_DICOM")
FOLDERS = (DATA / "test_files", DATA / "charset_files", DATA / "palettes", *([Path(EXTRA)] if EXTRA else ()))

FILES: dict[str, Path] = {
    path.relative_to(folder.parent).as_posix(): path
    for folder in FOLDERS
    for path in sorted(folder.rglob("*"))
    if path.is_file()
}
"""By a name that begins with that of their folder."""

NAMES = sorted(FILES)

WHEEL_NAMES = [name for name in NAMES if DATA in FILES[name].parents]
"""Of the files that every machine has."""

_CLASH = "already exists"
_BIG_ENDIAN = re.compile(rb"1\.2\.840\.10008\.1\.2\.2\0")


@dataclass(frozen=True)
class Kept:
    """A file that is stored: where, and what pydicom reads in it."""

    store: dk.Store
    path: Path
    url: str
    """Of the instance."""

    @property
    def session(self) -> requests.Session:
        """Of the server."""
        return self.store._rest.session

    @cached_property
    def data(self) -> bytes:
        """The file's bytes."""
        return self.path.read_bytes()

    @property
    def is_big_endian(self) -> bool:
        """Whether the file is."""
        return _BIG_ENDIAN.search(self.data, 0, 1000) is not None

    @property
    def uids(self) -> tuple[str, str, str]:
        """Of study, series and instance."""
        study, series, instance = self.url.rsplit("/", 5)[1::2]
        return study, series, instance

    def dataset(self) -> pydicom.FileDataset:
        """What pydicom reads."""
        return read(self.data)

    def get(self, url: str = "", accept: str = FILE_AS_STORED) -> requests.Response:
        """Answer for the instance, or for what lies below it."""
        answer = self.session.get(url or self.url, headers={"Accept": accept})
        assert answer.status_code == 200, answer.text
        return answer

    def metadata(self) -> dict[str, Any]:
        """DICOM JSON of the instance."""
        (found,) = self.get(f"{self.url}/metadata", "application/dicom+json").json()
        return found

    def bulk(self, uri: str) -> bytes:
        """The value behind a BulkDataURI, as it is stored."""
        return self.get(uri, "application/octet-stream; transfer-syntax=*").content


def read(data: bytes) -> pydicom.FileDataset:
    """What pydicom reads, with a transfer syntax where the file names none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        is_implicit = dataset.original_encoding[0]
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(f"1.2.840.10008.1.2{'' if is_implicit else '.1'}")
    return dataset


def keep_all(dataset: dk.Dataset, names: Sequence[str] = NAMES) -> dict[str, Kept | str]:
    """Store each file in the first store that has no other file of the same UIDs; the reason for those refused."""
    stores: list[dk.Store] = []
    found: dict[str, Kept | str] = {}
    for name in names:
        for number in range(len(names)):
            if number == len(stores):
                stores.append(dataset.create_store(f"files-{number}"))
            kept = _kept(stores[number], FILES[name])
            if isinstance(kept, Kept) or _CLASH not in kept:
                found[name] = kept
                break
    return found


def _kept(store: dk.Store, path: Path) -> Kept | str:
    answer = store._rest.session.post(
        f"{store.dicomweb_url}/studies",
        data=path.read_bytes(),
        headers={"Content-Type": "application/dicom", "Accept": JSON},
    )
    if answer.status_code == 200:
        (item,) = answer.json()["00081199"]["Value"]
        return Kept(store, path, item["00081190"]["Value"][0])
    assert answer.status_code == 409, answer.text
    (item,) = answer.json()["00081198"]["Value"]
    return str(item["00091097"]["Value"][0])
