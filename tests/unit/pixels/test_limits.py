"""Hostile sizes: refused before anything is decoded or allocated, in bounded memory."""

from __future__ import annotations

import io
import struct
import tracemalloc
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from dicomkit import pixels
from dicomkit.errors import DicomkitError, FailedPrecondition
from dicomkit.pixels import Viewport
from dicomkit.pixels.codestream import read_header
from dicomkit.pixels.limits import FILE_BYTES
from dicomkit.pixels.syntaxes import NATIVE
from tests.unit.pixels.images import image, part10

ROOM = 100 << 20
"""More than any of these files may take; what they ask for is more."""


def refused(data: bytes) -> list[str]:
    """What the four functions say; each must refuse, and none may take much memory."""
    said = []
    # To its own transfer syntax, and from a native one to another, a file goes as it is.
    is_native = any(b"%b\0" % syntax.encode() in data[:500] for syntax in sorted(NATIVE))
    target = "1.2.840.10008.1.2.4.90" if b"1.2.840.10008.1.2.5\0" in data[:500] else RLELossless
    calls = [
        lambda: pixels.transcode(data, target if is_native else ExplicitVRLittleEndian),
        lambda: pixels.transcode(data, target),
        lambda: pixels.frame_bytes(data, [1], transfer_syntax=target),
        lambda: pixels.render(data, 1, media_type="image/png"),
    ]
    tracemalloc.start()
    try:
        for call in calls:
            with pytest.raises(DicomkitError) as caught:
                call()
            said.append(str(caught.value))
        assert tracemalloc.get_traced_memory()[1] < ROOM
    finally:
        tracemalloc.stop()
    return said


def changed(data: bytes, **values: Any) -> bytes:
    """An image with other attributes, its pixel data as they were."""
    ds = pydicom.dcmread(io.BytesIO(data))
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return part10(ds, ds.file_meta.TransferSyntaxUID)


COMPRESSED = {
    syntax: pixels.transcode(image(), syntax)
    for syntax in sorted(pixels.WRITABLE)
    if syntax not in NATIVE and syntax != "1.2.840.10008.1.2.4.111"
}


@pytest.mark.parametrize("syntax", sorted(COMPRESSED))
@pytest.mark.parametrize(
    "values",
    [
        {"Rows": 0},
        {"Columns": 0},
        {"Rows": 37},
        {"Columns": 65_535},
        {"Rows": 65_535, "Columns": 65_535},
        {"NumberOfFrames": 10**9},
        {"NumberOfFrames": -3},
        {"SamplesPerPixel": 3},
        {"SamplesPerPixel": 60_000},
        {"BitsAllocated": 7},
        {"BitsAllocated": 64_000},
        {"BitsStored": 0},
        {"BitsStored": 9},
        {"PhotometricInterpretation": "CMYK"},
    ],
)
def test_attributes_that_do_not_fit_the_stream(syntax: str, values: dict[str, Any]) -> None:
    """Sizes that the stream does not have, and senseless ones, are refused whatever the codec."""
    refused(changed(COMPRESSED[syntax], **values))


@pytest.mark.parametrize(
    "values",
    [
        {"Rows": 37},
        {"Rows": 60_000, "Columns": 60_000, "BitsAllocated": 64, "BitsStored": 64},
        {"NumberOfFrames": 10**9},
        {"NumberOfFrames": 2},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"},
    ],
)
def test_native_pixels_must_be_there(values: dict[str, Any]) -> None:
    """Rows x Columns x samples x bits x frames is held against the bytes of the pixel data."""
    data = changed(image(), **values)
    with pytest.raises(FailedPrecondition, match="are there|up to"):
        pixels.transcode(data, RLELossless)
    with pytest.raises(FailedPrecondition, match="are there|up to"):
        pixels.render(data, 1, media_type="image/jpeg")


def test_frames_have_a_largest_size() -> None:
    """A frame of more than 150 MB is refused, as the service does, without its pixels being looked at."""
    big = changed(image(), Rows=20_000, Columns=10_000)
    assert all("up to 150000000" in text for text in refused(changed(big, NumberOfFrames=1))[2:])


def test_files_have_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of more than 1 GB is refused before it is read."""
    data = image()
    monkeypatch.setattr("dicomkit.pixels.image.FILE_BYTES", len(data) - 1)
    assert FILE_BYTES == 1 << 30
    assert "up to" in refused(data)[0]


def test_viewports_have_a_largest_frame() -> None:
    """With a viewport 10,000 pixels a side and 50 MB are the limit."""
    wide = image(rows=2, columns=10_001)
    assert pixels.render(wide, 1, media_type="image/png")
    for data in (wide, changed(image(), Rows=9_000, Columns=9_000)):
        with pytest.raises(FailedPrecondition, match="with a viewport"):
            pixels.render(data, 1, media_type="image/png", viewport=Viewport(10, 10))


def test_results_have_a_largest_size() -> None:
    """Small frames that become more than 2 GiB together are refused before the first is decoded."""
    black = image(array=np.zeros((4_000, 4_000), "u1"), rows=4_000, columns=4_000)
    (frame,) = pixels.frame_bytes(black, [1], transfer_syntax=JPEGLSLossless)
    ds = pydicom.dcmread(io.BytesIO(image()))
    ds.Rows = ds.Columns = 4_000
    ds.NumberOfFrames = 200
    ds.add_new("PixelData", "OB", encapsulate([frame] * 200))
    ds["PixelData"].is_undefined_length = True
    tracemalloc.start()
    with pytest.raises(FailedPrecondition, match="without compression"):
        pixels.transcode(part10(ds, JPEGLSLossless), ExplicitVRLittleEndian)
    assert tracemalloc.get_traced_memory()[1] < ROOM
    tracemalloc.stop()


def encapsulated(frame: bytes, syntax: str, **values: Any) -> bytes:
    ds = pydicom.dcmread(io.BytesIO(image()))
    item = struct.pack("<I", len(frame) + len(frame) % 2) + frame + b"\0" * (len(frame) % 2)
    ds.add_new("PixelData", "OB", b"\xfe\xff\0\xe0\0\0\0\0" + b"\xfe\xff\0\xe0" + item)
    ds["PixelData"].is_undefined_length = True
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return part10(ds, syntax)


def test_run_lengths_are_no_bomb() -> None:
    """RLE that goes on past the last pixel, or stops before it, is refused."""
    head = struct.pack("<16I", 1, 64, *[0] * 14)
    for runs in (b"\x81\0" * 500_000, b"\x81\0" * 3, b"\x7f", b""):
        refused(encapsulated(head + runs, RLELossless))
    for bad in (b"", b"\0" * 63, struct.pack("<16I", 1, 60, *[0] * 14), struct.pack("<16I", 15, *range(64, 79))):
        refused(encapsulated(bad, RLELossless))


def test_deflated_frames_are_no_bomb() -> None:
    """A deflated frame is inflated up to its size and no further."""
    import zlib

    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = engine.compress(bytes(300 << 20)) + engine.flush()
    refused(encapsulated(bomb, "1.2.840.10008.1.2.8.1"))


def test_deflated_datasets_are_no_bomb() -> None:
    """A deflated dataset of zeros is not inflated beyond 200 times its size."""
    data = image(array=np.zeros((1, 36, 52, 1), "u1"))
    import zlib

    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    at = data.index(b"\x08\0\x16\0")
    body = engine.compress(data[at:] + b"\x20\x7f\x10\0OB\0\0" + struct.pack("<I", 200 << 20) + bytes(200 << 20))
    body += engine.flush()
    head = pixels.transcode(data, DeflatedExplicitVRLittleEndian)
    meta_end = 144 + struct.unpack_from("<I", head, 140)[0]
    said = refused(head[:meta_end] + body)
    assert "deflated dataset is larger" in said[0]


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLSLossless, JPEG2000Lossless, "1.2.840.10008.1.2.4.110"])
@pytest.mark.parametrize("size", [(37, 52), (36, 51), (4000, 4000)])
def test_a_stream_of_another_size_is_refused(syntax: str, size: tuple[int, int]) -> None:
    """The header of the stream is held against Rows and Columns before it is decoded."""
    (frame,) = pixels.frame_bytes(
        image(rows=size[0], columns=size[1], array=np.zeros(size, "u1")), [1], transfer_syntax=syntax
    )
    assert "another size than Rows and Columns" in refused(encapsulated(frame, syntax))[0]


@pytest.mark.parametrize(
    "size", [(1, 1), (8, 8), (256, 256), (100, 150), (257, 300), (9000, 3), (480, 640), (1080, 1920)]
)
def test_sizes_in_headers_are_read(size: tuple[int, int]) -> None:
    """Each codec's header has the size that its encoder was given, small, large and in JPEG XL's own ratios."""
    array = np.zeros(size, "u1")
    for syntax, stream in {
        "1.2.840.10008.1.2.4.50": imagecodecs.jpeg8_encode(array),
        "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode(array),
        "1.2.840.10008.1.2.4.90": imagecodecs.jpeg2k_encode(array, 0, codecformat="J2K"),
        "1.2.840.10008.1.2.4.91": imagecodecs.jpeg2k_encode(array, 0, codecformat="JP2"),
        "1.2.840.10008.1.2.4.201": imagecodecs.htj2k_encode(array),
        "1.2.840.10008.1.2.4.110": imagecodecs.jpegxl_encode(array, lossless=True, effort=1),
        "1.2.840.10008.1.2.4.112": imagecodecs.jpegxl_encode(array, lossless=True, effort=1, usecontainer=True),
    }.items():
        header = read_header(syntax, bytes(stream))
        assert (header.rows, header.columns) == size, syntax


@pytest.mark.parametrize("syntax", sorted(COMPRESSED))
def test_streams_may_end_anywhere(syntax: str) -> None:
    """A frame that is cut is refused, or decoded as far as its codec forgives; nothing else happens."""
    (frame,) = pixels.frame_bytes(COMPRESSED[syntax], [1], transfer_syntax="*")
    for end in (0, 1, 2, 3, 7, 20, len(frame) // 2, len(frame) - 9):
        data = encapsulated(frame[:end], syntax)
        try:
            assert len(pixels.transcode(data, ExplicitVRLittleEndian)) > 36 * 52
        except DicomkitError:
            continue
