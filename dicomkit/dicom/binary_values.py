"""Values that are binary in the file: numbers, tags, bytes, and the fragments of encapsulated pixel data.

Sources: DICOM PS3.5 sections 6.2 and A.4, PS3.18 section F.2.7 (InlineBinary); the Cloud Healthcare API's DICOM
conformance statement for what is bulk data.
"""

from __future__ import annotations

import base64
from array import array
from mmap import mmap
from struct import Struct

from dicomkit.dicom.headers import PIXEL_DATA, TAG_NAMES, UNDEFINED
from dicomkit.dicom.json_model import Element
from dicomkit.dicom.limits import Limits
from dicomkit.dicom.text_values import NOT_FINITE
from dicomkit.dicom.vr import BIG, NUMBER_FORMAT, SWAP_SIZE, Encoding
from dicomkit.errors import DicomFormatError

__all__ = ["binary_element", "fragments_of", "numbers_element", "pointers_element"]

# These binary VRs are always bulk data,
_ALWAYS_BULK = frozenset({"OB", "OW", "UN"})
# these only above 2 KiB, and numbers with more than 512 values.
_INLINE_BYTES = 2048
_INLINE_VALUES = 512


def numbers_element(
    buffer: bytes | mmap, vr: str, pos: int, length: int, encoding: Encoding, limits: Limits, start: int, tag: str
) -> Element | None:
    """Several numbers, or none; ``None`` where they are bulk data."""
    if length == 0:
        return {"vr": vr}
    char, size = NUMBER_FORMAT[vr]
    count, rest = divmod(length, size)
    if length == UNDEFINED or rest:
        raise DicomFormatError(f"{length} bytes are no whole number of {vr} values", offset=start, tag=tag)
    if count > _INLINE_VALUES and (vr not in ("SL", "SS") or count > limits.values):
        return None
    numbers = list(Struct(f"{encoding.order}{count}{char}").unpack_from(buffer, pos))
    if vr[0] == "F" and any(n - n != 0.0 for n in numbers):
        raise DicomFormatError(NOT_FINITE, offset=start, tag=tag)
    return {"vr": vr, "Value": numbers}


def pointers_element(
    buffer: bytes | mmap, vr: str, pos: int, length: int, encoding: Encoding, start: int, tag: str
) -> Element | None:
    """AT: tags as values (PS3.18 section F.2.3: eight hex digits); ``None`` where they are bulk data."""
    if length == 0:
        return {"vr": vr}
    if length == UNDEFINED or length % 4:
        raise DicomFormatError(f"{length} bytes are no whole number of AT values", offset=start, tag=tag)
    if length // 4 > _INLINE_VALUES:
        return None
    raw = buffer[pos : pos + length]
    names = TAG_NAMES[encoding.order]
    return {"vr": vr, "Value": [names[raw[i : i + 4]] for i in range(0, length, 4)]}


def binary_element(buffer: bytes | mmap, vr: str, pos: int, length: int, encoding: Encoding) -> Element | None:
    """A small binary value inline; ``None`` where it is bulk data."""
    if vr in _ALWAYS_BULK or length > _INLINE_BYTES:
        return None
    raw = bytes(buffer[pos : pos + length])
    if encoding is BIG and length % SWAP_SIZE[vr] == 0:
        # InlineBinary is little endian (PS3.18 section F.2.7).
        size = SWAP_SIZE[vr]
        raw = b"".join(raw[i : i + size][::-1] for i in range(0, length, size))
    return {"vr": vr, "InlineBinary": base64.b64encode(raw).decode("ascii")}


def fragments_of(
    buf: bytes | mmap, vr: str, pos: int, end: int, encoding: Encoding, limits: Limits, start: int, tag: str
) -> tuple[array[int], int]:
    """Items of encapsulated pixel data (PS3.5 section A.4); offset and length of each in turn, and where they end."""
    if vr not in ("OB", "OW") or (tag != PIXEL_DATA and vr != "OB"):
        raise DicomFormatError(f"undefined length with VR {vr}", offset=start, tag=tag)
    bare = encoding.implicit.unpack_from
    item, done = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
    if encoding is BIG:
        item, done = b"\xff\xfe\xe0\x00", b"\xff\xfe\xe0\xdd"
    fragments = array("Q")
    room = limits.fragments * 2
    while True:
        if pos + 8 > end:
            raise DicomFormatError("pixel data end without their delimiter", offset=pos, tag=tag)
        raw_tag, length = bare(buf, pos)
        pos += 8
        if raw_tag == done:
            break
        if raw_tag != item:
            raise DicomFormatError("pixel data hold something that is no item", offset=pos - 8, tag=tag)
        if length > end - pos:
            raise DicomFormatError(
                f"a fragment of {length} bytes is declared, {end - pos} are there", offset=pos - 8, tag=tag
            )
        fragments.append(pos)
        fragments.append(length)
        if len(fragments) > room:
            raise DicomFormatError(f"more than {limits.fragments} fragments", offset=pos, tag=tag)
        pos += length
    return fragments, pos
