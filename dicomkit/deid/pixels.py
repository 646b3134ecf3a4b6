"""What lies beside the samples in pixel data, where nobody looks: bytes behind the last frame, comments of encoders.

Samples are never touched: what is burned into an image stays there. Whole frames are none of this module's, even
where the instance declares fewer; nor are video streams. Source: DICOM PS3.5 section 8 (native and encapsulated pixel
data), edition 2026c; ISO/IEC 10918-1 section B.2.4 (COM, APPn); ISO/IEC 15444-1 section A.9.2 (CME).
"""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import UID

__all__ = ["clear_beside_samples"]

_PIXEL_DATA = Tag("PixelData")
_ITEM = b"\xfe\xff\x00\xe0"
_COMMENT, _EXIF, _PHOTOSHOP = 0xFE, 0xE1, 0xED
"""JPEG's markers of segments that are words; those of other APPn may say how samples are to be decoded."""


def clear_beside_samples(dataset: Dataset, transfer_syntax: str) -> None:
    """Overwrite what the pixel data of *dataset* hold besides their samples; all lengths stay as they are."""
    if _PIXEL_DATA not in dataset:
        return
    element = dataset.get_item(_PIXEL_DATA)
    data = element.value
    if not isinstance(data, bytes):
        return
    syntax = UID(transfer_syntax)
    is_encapsulated = syntax.is_transfer_syntax and syntax.is_compressed and syntax.is_encapsulated
    places = list(_segments(data) if is_encapsulated else _rest(dataset, data))
    if not places:
        return
    cleared = bytearray(data)
    for start, end in places:
        cleared[start:end] = (b" " if is_encapsulated else b"\0") * (end - start)
    if isinstance(element, RawDataElement):
        dataset[_PIXEL_DATA] = element._replace(value=bytes(cleared))
    else:
        element.value = bytes(cleared)


def _rest(dataset: Dataset, data: bytes) -> Iterator[tuple[int, int]]:
    """What is behind the last whole frame of native pixel data."""
    names = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
    sizes = [dataset.get(name) for name in names]
    if str(dataset.get("PhotometricInterpretation") or "").endswith(("422", "420")):
        return  # of half the samples, or declared so and of all
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        return
    rows, columns, samples, bits = sizes
    frames = dataset.get("NumberOfFrames") or 1
    frame_bits = rows * columns * samples * bits
    if bits % 8:  # frames of single bits follow each other without a gap
        used = -(-frame_bits * int(frames) // 8)
    else:
        frame = frame_bits // 8
        used = len(data) // frame * frame
    if 0 < used < len(data):
        yield used, len(data)


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Text in the streams of encapsulated pixel data."""
    at = 0
    while data[at : at + 4] == _ITEM:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        start, end = at + 8, min(at + 8 + size, len(data))
        head = data[start : start + 2]
        if head == b"\xff\xd8":
            yield from _jpeg(data, start + 2, end)
        elif head == b"\xff\x4f":
            yield from _jpeg2000(data, start + 2, end)
        at = end


def _jpeg(data: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    while at + 4 <= end and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1  # a fill byte
            continue
        stop = min(at + 2 + int.from_bytes(data[at + 2 : at + 4], "big"), end)
        if marker in (_COMMENT, _EXIF, _PHOTOSHOP):
            yield at + 4, stop
        at = stop
        if marker == 0xDA:  # samples follow; none of them looks like the marker of a comment
            while (at := data.find(b"\xff\xfe", at, end)) >= 0 and at + 4 <= end:
                stop = min(at + 2 + int.from_bytes(data[at + 2 : at + 4], "big"), end)
                yield at + 4, stop
                at = max(stop, at + 4)
            return


def _jpeg2000(data: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    while at + 4 <= end and data[at] == 0xFF and data[at + 1] != 0x90:  # the first tile
        stop = min(at + 2 + int.from_bytes(data[at + 2 : at + 4], "big"), end)
        if data[at + 1] == 0x64:
            yield min(at + 6, stop), stop
        at = max(stop, at + 4)
