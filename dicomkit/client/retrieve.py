"""Instances and their metadata, back from a store.

Source: DICOM PS3.18 section 10.4 (retrieve transaction) and Annex F (DICOM JSON model), edition 2024e; Cloud
Healthcare API v1, ``retrieveInstance`` and ``retrieveMetadata`` (``transfer-syntax=*`` gives the stored bytes).
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pydicom
import requests
from pydicom.dataset import Dataset, FileMetaDataset

from dicomkit.client.rest import Rest
from dicomkit.dicom.dictionary import keyword_of
from dicomkit.errors import InvalidArgument, LenientValueWarning, warn
from dicomkit.names import is_uid
from dicomkit.whole_file import whole_file

__all__ = [
    "as_stored",
    "instance_path",
    "metadata_of",
    "metadata_rows",
    "read_dataset",
    "receive",
    "save",
    "uid_path",
]

AS_STORED = "application/dicom; transfer-syntax=*"
"""The file as it was uploaded; without the parameter Google decompresses it."""

SPOOL_BYTES = 64 << 20
"""An instance above this is held in a temporary file while it is read."""


def uid_path(study: str, series: str | None = None, instance: str | None = None) -> str:
    """``studies/{study}/series/{series}/instances/{instance}``, as far as it goes.

    Raises
    ------
    InvalidArgument
        One of them is no UID, or an instance is named without its series.
    """
    if instance is not None and series is None:
        raise InvalidArgument("an instance is found in its series: give series_instance_uid, too")
    parts = [("studies", study)]
    parts += [] if series is None else [("series", series)]
    parts += [] if instance is None else [("instances", instance)]
    return _joined(parts)


def instance_path(study: str, series: str, instance: str) -> str:
    """``studies/{study}/series/{series}/instances/{instance}``; ``InvalidArgument`` where one is no UID."""
    return _joined([("studies", study), ("series", series), ("instances", instance)])


def _joined(parts: list[tuple[str, str]]) -> str:
    for name, uid in parts:
        if not isinstance(uid, str) or not is_uid(uid):
            raise InvalidArgument(f"the UID for {name} is none: a UID is 1 to 64 digits and dots")
    return "/".join(f"{name}/{uid}" for name, uid in parts)


class Writable(Protocol):
    """What an instance is written to."""

    def write(self, data: bytes, /) -> int:
        """Take the next bytes."""
        ...

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place."""
        ...

    def tell(self) -> int:
        """Where writing goes on."""
        ...

    def truncate(self) -> int:
        """Forget what is behind this place."""
        ...


def as_stored(rest: Rest, path: str, target: Writable) -> None:
    """Write the bytes of the instance at *path* to *target*; see :func:`receive`."""
    receive(rest, path, target)


def receive(
    rest: Rest,
    path: str,
    target: Writable,
    *,
    accept: str = AS_STORED,
    etag: str | None = None,
    is_same: Callable[[requests.Response], bool] = lambda _: False,
) -> bool:
    """Write the bytes of the instance at *path* to *target*, which is empty and can be truncated, piece by piece.

    A download that breaks off goes on where it was if the server knows ranges and the instance is still the same (RFC
    9110 section 14), and begins anew otherwise.

    Parameters
    ----------
    etag
        What the server would call the bytes that are here already.
    is_same
        Judges by the head of an answer, which is not read then, whether they are here.

    Returns
    -------
    bool
        Whether bytes were written: not where they are here already.
    """
    headers = {"Accept": accept, "Accept-Encoding": "identity"}  # ranges are those of what is sent
    if etag is not None:
        headers["If-None-Match"] = f'"{etag}"'

    def take(response: requests.Response) -> bool:
        if response.status_code == 304 or (response.status_code == 200 and not target.tell() and is_same(response)):
            return False
        headers.pop("If-None-Match", None)
        if response.status_code != 206:
            target.seek(0)
            target.truncate()
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {target.tell()}-"):
            raise rest.odd(response, "another part of the instance than the one that was asked for")
        try:
            for chunk in rest.chunks(response):
                target.write(chunk)
        finally:
            tag = response.headers.get("ETag", "")
            if tag.startswith('"') and target.tell():  # a weak one does not promise the same bytes
                headers.update({"Range": f"bytes={target.tell()}-", "If-Range": tag})
            else:
                headers.pop("Range", None)
                headers.pop("If-Range", None)
        return True

    return rest.receive("GET", path, take, headers=headers, good=(304,))


def read_dataset(rest: Rest, path: str, accept: str = AS_STORED) -> pydicom.FileDataset:
    """The instance at *path* as pydicom reads it."""
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
        receive(rest, path, spool, accept=accept)
        spool.seek(0)
        dataset = pydicom.dcmread(spool, force=True)  # reads every value: none is deferred
    dataset.buffer = None  # or a copy of the data set would reach for the file
    return dataset


def save(rest: Rest, path: str, target: Path, name: str) -> Path:
    """Write the instance at *path* to the file *target*, or to *name* in the folder *target*.

    The file appears under its name only when it is whole; its mode is 0600.
    """
    target = target.expanduser()
    if target.is_dir():
        target = target / name
    with whole_file(target) as file:
        as_stored(rest, path, file)
    return target


def metadata_rows(rest: Rest, path: str) -> list[dict[str, Any]]:
    """The metadata at *path* (without ``/metadata``), each instance in the DICOM JSON model."""

    def take(response: requests.Response) -> list[dict[str, Any]]:
        rows = rest.parse(response) or []
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise rest.odd(response, "something that is not a list of metadata")
        return rows

    return rest.receive("GET", f"{path}/metadata", take, headers={"Accept": "application/dicom+json"})


def metadata_of(rest: Rest, path: str) -> list[Dataset]:
    """The metadata at *path* (without ``/metadata``), a data set for each instance, without its bulk data.

    Warns
    -----
    LenientValueWarning
        pydicom has no form for some values; the elements are left out, and the warning counts them.
    """
    rows = metadata_rows(rest, path)
    unread: Counter[str] = Counter()
    with pydicom.config.disable_value_validation():
        datasets = [_dataset(row, unread) for row in rows]
    if unread:
        what = ", ".join(f"{name} ({count})" for name, count in sorted(unread.items()))
        warn(f"pydicom cannot hold these elements, left out: {what}", LenientValueWarning)
    return datasets


def _dataset(row: Mapping[str, Any], unread: Counter[str]) -> Dataset:
    elements = _without_bulk(row)
    meta = {tag: elements.pop(tag) for tag in list(elements) if tag.startswith("0002")}
    dataset = _from_json(elements, unread)
    dataset.file_meta = FileMetaDataset(_from_json(meta, unread))
    return dataset


def _without_bulk(item: Mapping[str, Any]) -> dict[str, Any]:
    """The elements of *item* whose value is in the JSON, at every depth."""
    kept: dict[str, Any] = {}
    for tag, element in item.items():
        if not isinstance(element, Mapping) or "BulkDataURI" in element:
            continue
        if element.get("vr") == "SQ" and element.get("Value"):
            element = {**element, "Value": [_without_bulk(below or {}) for below in element["Value"]]}
        kept[tag] = element
    return kept


def _from_json(elements: Mapping[str, Any], unread: Counter[str]) -> Dataset:
    try:
        return Dataset.from_json(dict(elements))
    except Exception:  # noqa: BLE001, S110 - some element is at fault: the loop below finds which
        pass
    dataset = Dataset()
    for tag, element in elements.items():
        try:
            dataset.update(Dataset.from_json({tag: element}))
        except Exception:  # noqa: BLE001 - pydicom raises whatever its value classes meet
            unread[keyword_of(tag) or tag] += 1
    return dataset
