"""Frames: counted, found among fragments, cut out of native pixel data."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from dicomkit import pixels
from dicomkit.errors import FailedPrecondition, InvalidArgument, NotAcceptable, NotFound
from tests.conftest import WHEEL
from tests.unit.pixels.images import image, part10, ramp

FRAMES = ramp((3, 5, 8, 1), "u1", 8)


def encoded(count: int = 3) -> list[bytes]:
    """JPEG-LS frames, each of another length."""
    data = image(array=FRAMES, rows=5, columns=8, frames=3)
    return pixels.frame_bytes(data, range(1, count + 1), transfer_syntax=JPEGLSLossless)


def compressed(value: bytes, frames: int = 3, syntax: str = JPEGLSLossless, **values: object) -> bytes:
    """An image of 5 x 8 pixels whose pixel data are *value*."""
    ds = pydicom.dcmread(io.BytesIO(image(array=FRAMES, rows=5, columns=8, frames=3)))
    ds.NumberOfFrames = frames
    ds.add_new("PixelData", "OB", value)
    ds["PixelData"].is_undefined_length = True
    for keyword, new in values.items():
        setattr(ds, keyword, new)
    return part10(ds, syntax)


def padded(frames: list[bytes]) -> list[bytes]:
    return [frame + b"\0" * (len(frame) % 2) for frame in frames]


@pytest.mark.parametrize("has_table", [True, False])
@pytest.mark.parametrize("fragments", [1, 2, 3])
def test_frames_are_found_with_and_without_a_table(fragments: int, has_table: bool) -> None:
    """One or several fragments a frame, told apart by the basic offset table or by the ends of the streams."""
    data = compressed(encapsulate(encoded(), fragments_per_frame=fragments, has_bot=has_table))
    assert pixels.frame_count(data) == 3
    assert pixels.frame_bytes(data, [1, 2, 3], transfer_syntax="*") == padded(encoded())
    plain = pixels.frame_bytes(data, [3, 1, 3], transfer_syntax=ExplicitVRLittleEndian)
    assert plain == [FRAMES[i].tobytes() for i in (2, 0, 2)]


def test_frames_are_found_by_an_extended_table() -> None:
    """The extended offset table serves where the basic one is empty."""
    value, table, lengths = encapsulate_extended(encoded())
    data = compressed(value, ExtendedOffsetTable=table, ExtendedOffsetTableLengths=lengths)
    assert pixels.frame_bytes(data, [2], transfer_syntax="*") == padded(encoded())[1:2]


def test_a_wrong_table_is_not_believed() -> None:
    """Offsets that point between fragments are ignored when the fragments speak for themselves."""
    value = bytearray(encapsulate(encoded(), fragments_per_frame=2))
    struct.pack_into("<3I", value, 8, 0, 6, 12)
    assert pixels.frame_bytes(compressed(bytes(value)), [3], transfer_syntax="*") == padded(encoded())[2:]


def test_one_frame_of_many_fragments_needs_no_table() -> None:
    """All fragments are the one frame's."""
    data = compressed(encapsulate(encoded(1), fragments_per_frame=4, has_bot=False), frames=1)
    assert pixels.frame_bytes(data, [1], transfer_syntax="*") == padded(encoded(1))


@pytest.mark.parametrize(
    ("value", "frames", "reason"),
    [
        (encapsulate(encoded()), 4, "4 frames are declared, 3"),
        (encapsulate([b"\0" * 80] * 5, has_bot=False), 3, "cannot be told apart"),
        (b"\xfe\xff\x00\xe0\0\0\0\0", 1, "1 frames are declared, 0"),
    ],
)
def test_fragments_that_make_no_frames_are_refused(value: bytes, frames: int, reason: str) -> None:
    """Too few fragments, or a number of them that nothing explains."""
    with pytest.raises(FailedPrecondition, match=reason):
        pixels.frame_bytes(compressed(value, frames, RLELossless), [1], transfer_syntax="*")


@pytest.mark.parametrize("numbers", [[], [0], [-1], [4], [1, 4], [10**12], [True]])
def test_frame_numbers_are_checked(numbers: list[int]) -> None:
    """Numbers are counted from 1; one that the image lacks is named as an argument error."""
    with pytest.raises(InvalidArgument, match="counted from 1; this image has 3"):
        pixels.frame_bytes(image(frames=3), numbers, transfer_syntax="*")


@pytest.mark.parametrize("columns", [8, 5, 3, 1])
def test_bits_do_not_end_on_a_byte(columns: int) -> None:
    """Frames of one bit a pixel follow each other without a gap, and each begins on a byte when it is cut out."""
    rows, frames = 3, 5
    bits = np.random.default_rng(3).integers(0, 2, (frames, rows, columns)).astype("u1")
    packed = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    packed += b"\0" * (len(packed) % 2)
    data = image(rows=rows, columns=columns, frames=frames, BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=packed)
    found = pixels.frame_bytes(data, range(1, frames + 1), transfer_syntax=ExplicitVRLittleEndian)
    for frame, raw in zip(bits, found, strict=True):
        assert len(raw) == -(-rows * columns // 8)
        assert np.array_equal(
            np.unpackbits(np.frombuffer(raw, "u1"), bitorder="little")[: rows * columns].reshape(rows, columns), frame
        )
    for number, frame in enumerate(bits, 1):
        from PIL import Image

        picture = np.asarray(Image.open(io.BytesIO(pixels.render(data, number, media_type="image/png"))))
        assert np.array_equal(picture, frame * 255 if frame.any() and not frame.all() else frame * 0)


def test_native_frames_are_cut_as_they_lie() -> None:
    """Uncompressed frames as stored, by plane or by pixel."""
    data = image(samples=3, planar=1, frames=2)
    size = 36 * 52 * 3
    stored = pydicom.dcmread(io.BytesIO(data)).PixelData
    for syntax in ("*", ExplicitVRLittleEndian):
        assert pixels.frame_bytes(data, [1, 2], transfer_syntax=syntax) == [stored[:size], stored[size:]]


def test_unknown_targets_are_not_acceptable() -> None:
    """A transfer syntax that is not written is refused for frames as for files."""
    with pytest.raises(NotAcceptable, match="ask for"):
        pixels.frame_bytes(image(), [1], transfer_syntax="1.2.840.10008.1.2.4.102")


def test_frames_come_from_a_range_of_a_file(tmp_path: Path) -> None:
    """A file inside a larger one is read where it lies, wherever that is."""
    data = (WHEEL / "CT_small.dcm").read_bytes()
    path = tmp_path / "segment"
    path.write_bytes(b"x" * 70_001 + data + b"y" * 11)
    source = pixels.FileRange(str(path), 70_001, len(data))
    for syntax in ("*", "1.2.840.10008.1.2.4.90"):
        assert pixels.frame_bytes(source, [1], transfer_syntax=syntax) == pixels.frame_bytes(
            data, [1], transfer_syntax=syntax
        )
    assert pixels.transcode(source, ExplicitVRLittleEndian) == pixels.transcode(data, ExplicitVRLittleEndian)
    with pytest.raises(NotFound):
        pixels.frame_count(pixels.FileRange(str(tmp_path / "gone"), 0, 10))
