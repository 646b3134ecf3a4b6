"""Files that are DICOM and something else: what a store gives back of the 128 bytes that may hold anything.

The preamble (PS3.10 section 7.1) can make an instance a program or a page as well (CVE-2019-11687). What was stored
comes back bit by bit, or it could not be compared with what was sent; the answer says what it is, that nobody may
guess otherwise, and that it is to be saved, not shown. Every file that is made here has an empty one.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian
from werkzeug.test import Client

from dicomkit.dicom.multipart import parts
from dicomkit.engine import Engine
from tests.unit.deid.planted import BASIC
from tests.unit.engine.factories import (
    AS_STORED,
    DATASET,
    FILE_AS_STORED,
    STORE,
    WEB,
    Instance,
    client,
    dataset,
    ended,
    instance,
    store,
    written,
)

PREAMBLES = {
    "a program of Windows": b"MZ\x90\x00" + b"\x03" * 56 + (0x80).to_bytes(4, "little"),
    "a program of Linux": b"\x7fELF\x02\x01\x01",
    "a program of macOS": b"\xcf\xfa\xed\xfe",
    "a script": b"#!/bin/sh\ntouch /tmp/x\n",
    "a page": b"<html><script>alert(1)</script>",
    "a picture": b"II*\x00\x08\x00\x00\x00",
    "a patient": b"Doe^Jane",
}


@pytest.fixture
def http(tmp_path: Path) -> Iterator[Client]:
    with Engine(tmp_path / "home") as engine:
        yield client(engine)


@pytest.fixture(params=PREAMBLES)
def one(request: pytest.FixtureRequest, http: Client) -> Instance:
    """A stored instance in implicit VR, so that the default answer is made anew."""
    made = instance(syntax=ImplicitVRLittleEndian)
    made = Instance(PREAMBLES[request.param].ljust(128, b"\0") + made.data[128:], made.study, made.series, made.uid)
    assert store(http, made).status_code == 200
    return made


def bodies(answer: object) -> list[bytes]:
    return [bytes(p.buffer()) for p in parts(io.BytesIO(answer.data), answer.headers["Content-Type"])]  # type: ignore[attr-defined]


def test_what_was_stored_comes_back_with_it_and_is_no_page(http: Client, one: Instance) -> None:
    """Bit by bit, alone and among others; with its type, nosniff, and as an attachment, a part of it and none alike."""
    alone = http.get(one.path, headers={"Accept": FILE_AS_STORED})
    assert alone.data == one.data
    assert alone.mimetype == "application/dicom"
    part = http.get(one.path, headers={"Accept": FILE_AS_STORED, "Range": "bytes=0-127"})
    assert (part.status_code, part.data) == (206, one.data[:128])
    unchanged = http.get(one.path, headers={"Accept": FILE_AS_STORED, "If-None-Match": alone.headers["ETag"]})
    assert unchanged.status_code == 304
    study = http.get(f"{WEB}/studies/{one.study}", headers={"Accept": AS_STORED})
    assert bodies(study) == [one.data]
    for answer in (alone, part, unchanged, study):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"] == "attachment"


def test_what_is_made_anew_has_none(http: Client, one: Instance) -> None:
    """Transcoded, as an answer by default is."""
    for answer in (http.get(one.path, headers={"Accept": "application/dicom"}), http.get(one.path)):
        (data,) = bodies(answer) if answer.mimetype == "multipart/related" else [answer.data]
        assert data[:132] == bytes(128) + b"DICM"
        assert pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID == one.uid
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"] == "attachment"


def test_a_deidentified_copy_has_none(http: Client, one: Instance) -> None:
    """Whatever the profile keeps."""
    assert http.post(f"{DATASET}/dicomStores?dicomStoreId=out").status_code == 200
    for config in (BASIC, {"dicom": {"filterProfile": "KEEP_ALL_PROFILE"}}):
        body = {"destinationStore": f"{DATASET[4:]}/dicomStores/out", "config": config}
        assert "error" not in ended(http, http.post(f"{STORE}:deidentify", json=body))
    found = http.get(f"{DATASET}/dicomStores/out/dicomWeb/instances").json
    assert len(found) == 2
    for item in found:
        study, series, uid = (item[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
        path = f"{DATASET}/dicomStores/out/dicomWeb/studies/{study}/series/{series}/instances/{uid}"
        assert http.get(path, headers={"Accept": FILE_AS_STORED}).data[:132] == bytes(128) + b"DICM"


def test_an_instance_sent_as_json_has_none(http: Client) -> None:
    """There is no place for it in the model."""
    ds = dataset()
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    model = ds.to_json_dict() | {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00020010": {"vr": "UI", "Value": ["1.2.840.10008.1.2.1"]},
    }
    body = b"--b\r\nContent-Type: application/dicom+json\r\n\r\n" + json.dumps([model]).encode() + b"\r\n--b--\r\n"
    kind = 'multipart/related; type="application/dicom+json"; boundary=b'
    assert http.post(f"{WEB}/studies", data=body, content_type=kind).status_code == 200
    path = f"{WEB}/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
    assert http.get(path, headers={"Accept": FILE_AS_STORED}).data[:132] == bytes(128) + b"DICM"


def test_errors_and_metadata_are_no_page_either(http: Client) -> None:
    """Text of a file that looks like HTML is answered as JSON, or as XML in which it is escaped."""
    one = written(dataset(PatientName="<script>alert(1)</script>", StudyDescription="<img src=x onerror=alert(1)>"))
    store(http, one)
    for path, accept, kind in (
        (f"{one.path}/metadata", "application/dicom+json", "application/dicom+json"),
        (f"{one.path}/metadata", 'multipart/related; type="application/dicom+xml"', "multipart/related"),
        (f"{WEB}/studies?PatientName=<script>", "application/dicom+json", None),
        (f"{WEB}/studies?<script>=1", "text/html", "application/json"),
        (f"{WEB}/<script>", "text/html", "application/json"),
        (f"{one.path}/rendered", "image/png", "image/png"),
    ):
        answer = http.get(path, headers={"Accept": accept})
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert kind is None or answer.mimetype == kind
        assert "xml" not in accept or b"<script" not in answer.data
