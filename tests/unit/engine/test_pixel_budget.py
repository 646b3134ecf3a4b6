"""Images that say they are larger than they are: what is asked of them is refused, in bounded memory."""

from __future__ import annotations

import io
import struct
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless
from werkzeug.test import Client

from dicomkit.engine import Engine
from tests.unit.engine.factories import WEB, Instance, client, dataset, store, written

ROOM = 150 << 20
"""How much the processes, this one and those that decode, may grow together."""

RUNS = struct.pack("<16I", 1, 64, *[0] * 14)

IMAGES: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "four gigapixels, native": (ExplicitVRLittleEndian, bytes(64), {"Rows": 65_535, "Columns": 65_535}),
    "two milliard frames, native": (ExplicitVRLittleEndian, bytes(64), {"NumberOfFrames": 2**31 - 1}),
    "sixty thousand samples": (ExplicitVRLittleEndian, bytes(64), {"SamplesPerPixel": 60_000}),
    "64,000 bits": (ExplicitVRLittleEndian, bytes(64), {"BitsAllocated": 64_000, "BitsStored": 64_000}),
    "30,000 squared in runs": (RLELossless, RUNS + b"\x81\0" * 60_000, {"Rows": 30_000, "Columns": 30_000}),
    "12,000 squared in runs of zero": (RLELossless, RUNS + b"\x81\0" * 600_000, {"Rows": 12_000, "Columns": 12_000}),
    "runs that do not end": (RLELossless, RUNS + b"\x81\0" * 2_000_000, {}),
    "a codestream of another size": (JPEG2000Lossless, b"\xff\x4f\xff\x51" + bytes(60), {"Rows": 65_535}),
    "a deflated frame": (DeflatedExplicitVRLittleEndian, bytes(64), {"Rows": 65_535, "Columns": 65_535}),
}

ASKED = (
    ("/rendered", "image/png"),
    ("/rendered?viewport=100,100", "image/jpeg"),
    ("/frames/1", 'multipart/related; type="application/octet-stream"'),
    ("/frames/1", "image/png"),
    ("/frames/2147483647", 'multipart/related; type="application/octet-stream"'),
    ("/frames/1", 'multipart/related; type="image/jls"; transfer-syntax=1.2.840.10008.1.2.4.80'),
    ("", "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90"),
    ("", "application/dicom; transfer-syntax=1.2.840.10008.1.2.5"),
)


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Engine(tmp_path_factory.mktemp("budget") / "home") as engine:
        yield client(engine)


def image(syntax: str, pixels: bytes, values: dict[str, Any]) -> Instance:
    made = written(dataset(), pixels=64)
    ds = pydicom.dcmread(io.BytesIO(made.data))
    ds.Rows = ds.Columns = 8
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.PixelData = (
        pixels if syntax in (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian) else encapsulate([pixels])
    )
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = syntax in (RLELossless, JPEG2000Lossless)
    ds.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    return Instance(buffer.getvalue(), made.study, made.series, made.uid)


def memory() -> int:
    """Bytes of this process and of those that it has started."""
    total = 0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


@pytest.mark.parametrize("name", IMAGES)
def test_no_image_costs_more_than_its_file(http: Client, name: str) -> None:
    """400 with a reason, 404 for a frame that is not there, or 406; the instance itself is stored and can be had."""
    one = image(*IMAGES[name])
    assert store(http, one).status_code == 200
    http.get(f"{one.path}/rendered", headers={"Accept": "image/png"})  # from now on the processes run
    samples, is_over = [memory()], threading.Event()

    def sample() -> None:
        while not is_over.wait(0.005):
            samples.append(memory())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        for tail, accept in ASKED:
            answer = http.get(one.path + tail, headers={"Accept": accept})
            if accept.endswith(f"={IMAGES[name][0]}"):
                assert answer.data == one.data  # it is in that syntax already
                continue
            assert answer.status_code in (400, 404, 406, 413, 429), (tail, accept, answer.status_code)
            assert len(answer.json["error"]["message"]) > 10
    finally:
        is_over.set()
        thread.join()
    assert max(samples) - samples[0] < ROOM
    as_stored = {"Accept": "application/dicom; transfer-syntax=*"}
    assert http.get(one.path, headers=as_stored).data == one.data
    assert http.get(f"{WEB}/studies/{one.study}/metadata").status_code == 200
