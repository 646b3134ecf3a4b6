"""STOW-RS with DICOM JSON: what pydicom writes as JSON is stored as what pydicom reads (healthcare-api 4.2)."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames
from werkzeug.test import Client, TestResponse

from dicomkit.engine import Engine
from tests.conftest import WHEEL
from tests.unit.engine.factories import FILE_AS_STORED, JSON, WEB, client, dataset, outcomes, reasons

TYPE = 'multipart/related; type="application/dicom+json"; boundary=b'
PIXELS = "pixels/1"
LITTLE = "1.2.840.10008.1.2.1"

Part = tuple[dict[str, str], bytes]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path) as made:
        yield made


@pytest.fixture
def http(engine: Engine) -> Client:
    return client(engine)


def post(http: Client, *parts: Part, accept: str = JSON) -> TestResponse:
    body = b""
    for headers, content in parts:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        body += b"--b\r\n" + head.encode() + b"\r\n" + content + b"\r\n"
    return http.post(f"{WEB}/studies", data=body + b"--b--\r\n", content_type=TYPE, headers={"Accept": accept})


def metadata(*instances: dict[str, Any], syntax: str | None = LITTLE) -> Part:
    kind = "application/dicom+json" + (f"; transfer-syntax={syntax}" if syntax else "")
    return {"Content-Type": kind}, json.dumps(instances).encode()


def bulk(content: bytes, location: str = PIXELS, kind: str = "application/octet-stream") -> Part:
    return {"Content-Type": kind, "Content-Location": location}, content


def as_json(ds: pydicom.Dataset, syntax: str = LITTLE) -> dict[str, Any]:
    """The data set in the JSON model, with what the service wants of each instance."""
    found: dict[str, Any] = ds.to_json_dict()
    return found | {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00020010": {"vr": "UI", "Value": [syntax]},
    }


def read(http: Client, ds: pydicom.Dataset) -> pydicom.FileDataset:
    path = f"{WEB}/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
    answer = http.get(path, headers={"Accept": FILE_AS_STORED})
    assert answer.status_code == 200, answer.text
    return pydicom.dcmread(io.BytesIO(answer.data))


@pytest.fixture
def image() -> pydicom.Dataset:
    """A real CT slice without its pixels, which :func:`pixels_of` gives."""
    return pydicom.dcmread(WHEEL / "CT_small.dcm")


def without_pixels(ds: pydicom.Dataset, uri: str = PIXELS) -> dict[str, Any]:
    data = ds.PixelData
    vr = ds["PixelData"].VR
    del ds.PixelData
    found = as_json(ds)
    ds.PixelData = data
    return found | {"7FE00010": {"vr": vr, "BulkDataURI": uri}}


def test_an_image_comes_back_as_it_was(http: Client, image: pydicom.Dataset) -> None:
    """Every attribute and every pixel, as pydicom reads both; the text is UTF-8 now."""
    assert post(http, metadata(without_pixels(image)), bulk(image.PixelData)).status_code == 200
    found = read(http, image)
    assert np.array_equal(found.pixel_array, image.pixel_array)
    expected = as_json(image)
    del expected["00020010"]
    expected["7FE00010"]["vr"] = "OW"  # pydicom leaves the choice open until it is written
    assert found.to_json_dict() == expected


def test_several_instances_share_one_metadata_part(http: Client, image: pydicom.Dataset) -> None:
    """Each finds its own bulk data by its Content-Location."""
    other = pydicom.dcmread(WHEEL / "MR_small.dcm")
    answer = post(
        http,
        metadata(without_pixels(image, "a"), as_json(dataset()), without_pixels(other, "b")),
        bulk(other.PixelData, "b"),
        bulk(image.PixelData, "a"),
    )
    # A CT without pixels may be a file that was cut off, which is not stored.
    assert outcomes(answer) == {1: "STORED", 2: "FAILED", 3: "STORED"}
    for ds in (image, other):
        assert np.array_equal(read(http, ds).pixel_array, ds.pixel_array)


def test_compressed_pixels_keep_their_transfer_syntax(http: Client) -> None:
    """One frame, sent as image/jp2, is one fragment of the stored instance."""
    ds = pydicom.dcmread(WHEEL / "693_J2KI.dcm")
    syntax = ds.file_meta.TransferSyntaxUID
    frame = next(generate_frames(ds.PixelData, number_of_frames=1))
    sent = without_pixels(ds) | {"00020010": {"vr": "UI", "Value": [syntax]}}
    answer = post(http, metadata(sent, syntax=syntax), bulk(frame, kind=f"image/jp2; transfer-syntax={syntax}"))
    assert answer.status_code == 200, answer.text
    found = read(http, ds)
    assert found.file_meta.TransferSyntaxUID == syntax
    assert next(generate_frames(found.PixelData, number_of_frames=1)) == frame


def test_large_pixels_never_are_in_memory_whole(http: Client, engine: Engine, image: pydicom.Dataset) -> None:
    """They go from the part's file to the instance's, and nothing stays behind."""
    image.Rows = image.Columns = 4096
    image.PixelData = bytes(range(256)) * (2 * 4096 * 4096 // 256)
    assert post(http, metadata(without_pixels(image)), bulk(image.PixelData)).status_code == 200
    assert read(http, image).PixelData == image.PixelData
    assert list(engine.home.tmp.iterdir()) == []


def change(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda instance: instance | {tag.removeprefix("t"): element for tag, element in changes.items()}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (change(t00080005={"vr": "CS", "Value": ["ISO_IR 100"]}), "ISO_IR 192"),
        (change(t00020010={"vr": "UI"}), "TransferSyntaxUID"),
        (change(t00020010={"vr": "UI", "Value": ["1.2.840.10008.1.2.2"]}), "big endian"),
        (change(t00020010={"vr": "UI", "Value": ["1.2.840.10008.1.2.1.99"]}), "deflated"),
        (change(t0020000D={"vr": "UI", "Value": ["../x"]}), "StudyInstanceUID"),
        (change(t00080018={"vr": "UI", "Value": ["1.2", "1.3"]}), "SOPInstanceUID"),
        (change(t7FE00010={"vr": "OW", "InlineBinary": "AAAA"}), "part of its own"),
        (change(t7FE00010={"vr": "OW", "BulkDataURI": "nowhere"}), "no part"),
        (change(t00100010={"vr": "PN", "BulkDataURI": PIXELS}), "OB, OW, UN"),
        (change(t00281101={"vr": "OW", "BulkDataURI": PIXELS}), "more than one"),
        (change(t00281101={"vr": "OW", "InlineBinary": "!"}), "base64"),
        (change(t00281101={"vr": "LO", "InlineBinary": "AAAA"}), "binary attributes"),
        (change(t00100020={"vr": "LO", "Value": "x"}), "array"),
        (change(t00100020={"vr": "LO", "Value": [7]}), "text"),
        (change(t00100020={"vr": "LO", "Value": ["x"], "BulkDataURI": "y"}), "one of Value"),
        (change(t00280010={"vr": "US", "Value": ["7"]}), "number"),
        (change(t00280010={"vr": "US", "Value": [70000]}), "US can hold"),
        (change(t00280010={"vr": "US", "Value": [7.5]}), "US can hold"),
        (change(t00280010={"vr": "ZZ", "Value": [7]}), "no VR"),
        (change(t0028={"vr": "US", "Value": [7]}), "eight hex digits"),
        (lambda _: [], "JSON object"),
        (lambda _: None, "JSON object"),
    ],
)
def test_what_breaks_a_rule_fails_with_the_reason(
    http: Client, image: pydicom.Dataset, wrong: Callable[[Any], Any], reason: str
) -> None:
    """One instance, and not the request; nothing of it is stored, and another one is."""
    good = pydicom.dcmread(WHEEL / "MR_small.dcm")
    answer = post(
        http,
        metadata(wrong(without_pixels(image)), without_pixels(good, "good")),
        bulk(good.PixelData, "good"),
        *([bulk(image.PixelData)] if PIXELS in json.dumps(wrong(without_pixels(image))) else []),
    )
    assert answer.status_code == 409, answer.text
    assert outcomes(answer) == {1: "FAILED", 2: "STORED"}
    assert reason in reasons(answer)[0]


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [({"Content-Type": "application/dicom+json"}, b"{")],
        [({"Content-Type": "application/dicom+json"}, b"[]")],
        [({"Content-Type": "application/dicom+json"}, b"7")],
        [({"Content-Type": "application/dicom+json"}, b"[" * 100_000)],
        [({"Content-Type": "application/dicom"}, b"")],
        [({}, b"[{}]"), ({}, b"x")],
        [({"Content-Type": "application/dicom+json"}, b"[{}]"), bulk(b"x", "a"), bulk(b"x", "a")],
        [({"Content-Type": "application/dicom+json"}, b"[{}]"), bulk(b"x", "a")],
    ],
)
def test_a_body_that_is_none_is_refused_as_a_whole(http: Client, parts: list[Part]) -> None:
    """400, never a 5xx."""
    assert post(http, *parts).status_code == 400


def test_deep_sequences_end(http: Client, image: pydicom.Dataset) -> None:
    """As deep as JSON itself may be."""
    item: dict[str, Any] = {}
    for _ in range(300):
        item = {"0040A730": {"vr": "SQ", "Value": [item]}}
    answer = post(http, metadata(without_pixels(image) | item), bulk(image.PixelData))
    assert answer.status_code in (400, 409)


def test_no_value_of_the_metadata_is_in_an_answer(http: Client, image: pydicom.Dataset) -> None:
    """The reasons are about rules."""
    sent = without_pixels(image) | {
        "00100020": {"vr": "DS", "Value": ["SECRET"]},
        "00280010": {"vr": "AT", "Value": ["SECRET"]},
    }
    answer = post(http, metadata(sent), bulk(image.PixelData))
    assert "SECRET" not in answer.text
