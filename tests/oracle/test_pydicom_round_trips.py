"""What pydicom makes, stored and read again: as files of every native transfer syntax, and as DICOM JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import config
from pydicom.dataelem import empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

import dicomkit as dk
from tests.contract.instances import ct_slice
from tests.oracle.every_file import FILES, WHEEL_NAMES, read

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

JSON = "application/dicom+json"

VALUES: dict[str, Any] = {
    "AE": "STATION",
    "AS": "034Y",
    "AT": [0x00100010, 0x7FE00010],
    "CS": ["A", "B C"],
    "DA": "20240229",
    "DS": ["1.5", "-2e-3"],
    "DT": "20240229101112.123456+0130",
    "FD": [0.1, -1e300],
    "FL": [0.5, -2.25],
    "IS": ["7", "-9"],
    "LO": ["Größe", "山田"],
    "LT": "a\r\nback\\slash",
    "OB": bytes(range(10)),
    "OD": bytes(range(16)),
    "OF": bytes(range(8)),
    "OL": bytes(range(8)),
    "OV": bytes(range(16)),
    "OW": bytes(range(12)),
    "PN": ["Yamada^Tarou=山田^太郎=やまだ^たろう", "Müller^Jörg"],
    "SH": ["x", "y"],
    "SL": [-(2**31), 5],
    "SS": [-(2**15), 5],
    "ST": "text",
    "SV": [-(2**63), 5],
    "TM": "101112.5",
    "UC": ["many", "characters"],
    "UI": ["1.2.3", "1.2.4"],
    "UL": [2**32 - 1, 0],
    "UN": b"\x01\x02",
    "UR": "http://example.org/a?b=c",
    "US": [2**16 - 1, 0],
    "UT": "long " * 500 + "text",
    "UV": [2**64 - 1, 0],
}
"""A value, or several, of each VR of PS3.5 section 6.2 but SQ."""


NO_JSON = {
    "test_files/badVR.dcm": "IS holds no number, and pydicom fails",
    "test_files/examples_overlay.dcm": "an icon has pixels, which the service takes inline from no depth",
}
"""Files that cannot be sent as JSON, and why."""


def with_every_vr(**attributes: Any) -> Dataset:
    """A slice with a private block that holds a value of each VR, an empty element of each, and both in an item."""
    dataset = ct_slice(**attributes)
    for holder in (dataset, nested := Dataset()):
        block = holder.private_block(0x0011, "DICOMKIT TEST", create=True)
        empty = holder.private_block(0x0013, "DICOMKIT TEST", create=True)
        for number, (vr, value) in enumerate(VALUES.items(), 1):
            block.add_new(number, vr, value)
            empty.add_new(number, vr, empty_value_for_VR(vr))
    dataset.private_block(0x0011, "DICOMKIT TEST").add_new(0xF0, "SQ", Items([nested, Dataset()]))
    dataset.RequestAttributesSequence = []
    return dataset


@pytest.fixture
def store(conn: dk.Dataset) -> dk.Store:
    """An empty store."""
    return conn.create_store("round-trips")


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[dk.Store]:
    """One in this process, for what is long."""
    with dk.connect(tmp_path / "embedded") as dataset:
        yield dataset.create_store("round-trips")


@pytest.fixture(autouse=True)
def _no_validation() -> Iterator[None]:
    before = config.settings.reading_validation_mode, config.settings.writing_validation_mode
    config.settings.reading_validation_mode = config.settings.writing_validation_mode = config.IGNORE
    yield
    config.settings.reading_validation_mode, config.settings.writing_validation_mode = before


def uids_of(dataset: Dataset) -> tuple[str, str, str]:
    return dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID


def test_every_vr_is_tried() -> None:
    """Those that pydicom knows, which are those of the standard."""
    assert {vr.value for vr in pydicom.valuerep.VR if " " not in vr.value} == VALUES.keys() | {"SQ"}


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian],
    ids=lambda syntax: syntax.name,
)
def test_a_data_set_comes_back_as_it_was(store: dk.Store, syntax: pydicom.uid.UID) -> None:
    """A value of each VR, none of each, private, nested and many; with the file meta information."""
    dataset = with_every_vr()
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == ImplicitVRLittleEndian:
        dataset.remove_private_tags()  # which have no VR there
    (outcome,) = store.upload(dataset)["outcome"]
    assert outcome == "stored"
    got = store.dataset(*uids_of(dataset))
    assert got == dataset
    assert got.file_meta.TransferSyntaxUID == syntax


def test_data_sets_of_real_files_come_back_as_they_were(embedded: dk.Store) -> None:
    """Whatever pydicom read in a file of its wheel, written by it with UIDs of its own."""
    compared = 0
    for name in WHEEL_NAMES:
        path = FILES[name]
        if not name.startswith("test_files/") or path.suffix != ".dcm":
            continue
        dataset = read(path.read_bytes())
        for tag in [tag for tag in dataset.keys() if tag.element == 0]:
            del dataset[tag]  # pydicom does not write lengths of groups, which are retired (PS3.5 section 7.2)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        (row,) = embedded.upload(dataset).itertuples()
        if row.outcome == "stored":
            assert embedded.dataset(*uids_of(dataset)) == dataset, name
            compared += 1
    assert compared > 60


def as_json(dataset: Dataset) -> tuple[dict[str, Any], bytes]:
    """The data set in DICOM JSON with what the service wants of it, and its pixel data."""
    pixels = dataset.PixelData
    found: dict[str, Any] = dataset.to_json_dict()
    found["7FE00010"] = {"vr": "OW", "BulkDataURI": "pixels"}
    found["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    found["00020010"] = {"vr": "UI", "Value": [ExplicitVRLittleEndian]}
    return found, pixels


def stow(store: dk.Store, dataset: Dataset) -> int:
    """Store a data set as DICOM JSON, and give the status."""
    metadata, pixels = as_json(dataset)
    boundary = "of-this-test"
    body = b"".join(
        f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Location: {place}\r\n\r\n".encode() + content + b"\r\n"
        for kind, place, content in (
            (f"{JSON}; transfer-syntax={ExplicitVRLittleEndian}", "metadata", json.dumps([metadata]).encode()),
            ("application/octet-stream", "pixels", pixels),
        )
    )
    headers = {"Content-Type": f'multipart/related; type="{JSON}"; boundary={boundary}', "Accept": JSON}
    answer = store._rest.session.post(
        f"{store.dicomweb_url}/studies", data=body + f"--{boundary}--\r\n".encode(), headers=headers
    )
    assert answer.status_code in (200, 409), answer.text
    return answer.status_code


def test_a_data_set_sent_as_json_comes_back_as_it_was(store: dk.Store) -> None:
    """A value of each VR, none of each, private and nested, and the pixels in a part of their own."""
    dataset = with_every_vr()
    assert stow(store, dataset) == 200
    got = store.dataset(*uids_of(dataset))
    assert got.to_json_dict() == dataset.to_json_dict()
    assert got.PixelData == dataset.PixelData


def test_data_sets_of_real_files_sent_as_json_come_back_as_they_were(embedded: dk.Store) -> None:
    """Text becomes UTF-8; every value, and every byte of the pixels, stays."""
    compared = 0
    for name in WHEEL_NAMES:
        path = FILES[name]
        dataset = read(path.read_bytes())
        is_native = "PixelData" in dataset and not dataset["PixelData"].is_undefined_length
        if not name.startswith("test_files/") or not is_native or not dataset.is_little_endian or name in NO_JSON:
            continue
        dataset.SOPInstanceUID = generate_uid()
        if stow(embedded, dataset) != 200:
            assert not dataset.get("StudyInstanceUID"), name
            continue
        got = embedded.dataset(*uids_of(dataset))
        ours, theirs = got.to_json_dict(), dataset.to_json_dict()
        assert got.SpecificCharacterSet == "ISO_IR 192"
        for each in (ours, theirs):
            for tag in [tag for tag in each if tag.endswith("0000") or tag in ("00080005", "7FE00010")]:
                del each[tag]
        assert ours == theirs, name
        assert got.PixelData == dataset.PixelData, name
        compared += 1
    assert compared > 20
