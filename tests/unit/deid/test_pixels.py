"""Beside the samples of pixel data nothing is left, and the samples are as they were."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from dicomkit.deid import Deidentifier
from dicomkit.dicom.reader import read_part10
from dicomkit.errors import DicomFormatError
from dicomkit.resources.deidentify_config import DeidentifyConfig
from tests.unit.deid import planted
from tests.unit.deid.planted import BASIC, KEY, Marks, part10
from tests.unit.dicom.instances import WHEEL

MARK = b"DOE^JANE 1970"


def basic(data: bytes) -> bytes:
    return Deidentifier(DeidentifyConfig.from_api(BASIC), key=KEY).instance(data)


def encapsulated(name: str, change: object) -> bytes:
    """A file of the wheel whose first frame is changed."""
    ds = pydicom.dcmread(WHEEL / name)
    frames = list(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames", 1))))
    ds.PixelData = encapsulate([change(frames[0]), *frames[1:]])  # type: ignore[operator]
    ds["PixelData"].is_undefined_length = True
    out = io.BytesIO()
    ds.save_as(out)
    return out.getvalue()


def segment(marker: int, text: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(text) + 2) + text


@pytest.mark.parametrize("marker", [0xFE, 0xE1, 0xED])
def test_comments_and_exif_of_jpeg_go(marker: int) -> None:
    """In front of the samples; decoded, both are the same picture."""
    data = encapsulated("SC_rgb_jpeg_dcmtk.dcm", lambda frame: frame[:2] + segment(marker, MARK) + frame[2:])
    result = basic(data)
    assert MARK in data and MARK not in result
    before, after = (pydicom.dcmread(io.BytesIO(d)) for d in (data, result))
    assert after.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert np.array_equal(before.pixel_array, after.pixel_array)


def test_comment_behind_the_samples_goes() -> None:
    """Between the last sample and the end of the image."""
    data = encapsulated(
        "SC_rgb_jpeg_dcmtk.dcm", lambda frame: frame[: frame.rindex(b"\xff\xd9")] + segment(0xFE, MARK) + b"\xff\xd9"
    )
    assert MARK in data and MARK not in basic(data)


def test_comment_of_jpeg_2000_goes() -> None:
    """Encoders write their names there, and so can anybody else."""

    def commented(frame: bytes) -> bytes:
        tile = frame.index(b"\xff\x90")
        return frame[:tile] + segment(0x64, b"\0\1" + MARK) + frame[tile:]

    data = encapsulated("J2K_pixelrep_mismatch.dcm", commented)
    result = basic(data)
    assert MARK in data and MARK not in result
    before, after = (pydicom.dcmread(io.BytesIO(d)) for d in (data, result))
    assert after.file_meta.TransferSyntaxUID == JPEG2000Lossless
    assert np.array_equal(before.pixel_array, after.pixel_array)


def test_bytes_behind_the_last_frame_go() -> None:
    """Of native pixel data, as far as they are no whole frame: 2 x 2 pixels of 16 bits are 8 bytes."""
    source = planted.ct(Marks())
    source.PixelData += b"JANE"
    ds = pydicom.dcmread(io.BytesIO(basic(part10(source, Marks()))))
    assert ds.PixelData == b"\x01\x00\x02\x00\x03\x00\x04\x00" + bytes(4)
    source.PixelData = bytes(range(16))
    ds = pydicom.dcmread(io.BytesIO(basic(part10(source, Marks()))))
    assert ds.PixelData == bytes(range(16))


@pytest.mark.parametrize(
    "stream", [b"\xff\xd8\xff\xfe", b"\xff\xd8\xff\xfe\xff\xff", b"\xff\x4f\xff\x64\0\0", b"\xff\xd8" + b"\xff" * 40]
)
def test_broken_streams_are_no_crash(stream: bytes) -> None:
    """Lengths that lead nowhere end the search."""
    data = encapsulated("SC_rgb_jpeg_dcmtk.dcm", lambda frame: stream)
    assert len(basic(data)) > 0


def _is_image(path: Path) -> bool:
    try:
        return "7FE00010" in read_part10(path.read_bytes()).elements
    except DicomFormatError:
        return False


@pytest.mark.filterwarnings("ignore:Expected (ex|im)plicit VR")
@pytest.mark.parametrize("name", [path.name for path in sorted(WHEEL.glob("*.dcm")) if _is_image(path)])
def test_streams_of_real_images_keep_their_size(name: str) -> None:
    """And every byte, but for the words in them and what is behind the last frame."""
    before = pydicom.dcmread(WHEEL / name, force=True)
    after = pydicom.dcmread(io.BytesIO(basic((WHEEL / name).read_bytes())))
    assert len(before.PixelData) == len(after.PixelData)
    changed = sum(a != b for a, b in zip(before.PixelData, after.PixelData, strict=True))
    assert changed < 400
