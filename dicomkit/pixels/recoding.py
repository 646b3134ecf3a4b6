"""A dataset's elements written again: in explicit or implicit VR, little endian, with nothing else changed.

Where the source is already encoded as the target is, the bytes of an element are copied as they stand, nested
sequences included. Otherwise headers are made anew, and values of big endian are swapped.

Source: DICOM PS3.5 sections 7.1, 7.5 and Annex A, edition 2025b.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dicomkit.dicom.headers import UNDEFINED
from dicomkit.dicom.vr import BIG, LONG_HEADER, SWAP_SIZE
from dicomkit.errors import DicomFormatError
from dicomkit.pixels.elements import Element, Elements
from dicomkit.pixels.native import swapped

__all__ = ["UNDEFINED", "NativePixels", "Replacement", "header", "write_dataset"]

_WORDS = {"US": 2, "SS": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "UV": 8, "SV": 8} | SWAP_SIZE
_PIXELS = b"\xe0\x7f\x10\x00"


@dataclass(frozen=True, slots=True)
class Replacement:
    """A new value of an element. *append* writes it where it is long; *length* may then be undefined."""

    vr: str
    value: bytes = b""
    length: int | None = None
    append: Callable[[bytearray], None] | None = None


NativePixels = Callable[[Elements], Mapping[str, Replacement | None]]
"""Makes what is to be replaced in an item that holds a compressed image, as an icon is."""


def header(tag: str, vr: str, length: int, *, implicit: bool) -> bytes:
    """The header of an element, little endian."""
    name = struct.pack("<HH", int(tag[:4], 16), int(tag[4:], 16))
    if implicit:
        return name + struct.pack("<I", length)
    if vr in LONG_HEADER:
        return name + vr.encode("ascii") + struct.pack("<HI", 0, length)
    if length > 0xFFFF:
        # A length that the VR's header has no room for (PS3.5 section 6.2.2, note 5).
        return name + b"UN" + struct.pack("<HI", 0, length)
    return name + vr.encode("ascii") + struct.pack("<H", length)


def write_dataset(
    out: bytearray,
    elements: Elements,
    *,
    implicit: bool,
    replace: Mapping[str, Replacement | None] | None = None,
    native_pixels: NativePixels | None = None,
) -> None:
    """Append a dataset to *out*.

    Parameters
    ----------
    implicit
        Whether the target is in implicit VR.
    replace
        Elements of the first level by tag: a new value, or ``None`` to leave one out.
    native_pixels
        What becomes of pixel data in fragments inside sequences; ``None`` copies them.
    """
    changed = dict(replace or {})
    places = {element.tag: element for element in elements}
    for tag in sorted(places.keys() | changed.keys()):
        if tag in changed:
            new = changed[tag]
            if new is not None:
                length = len(new.value) if new.length is None else new.length
                out += header(tag, new.vr, length, implicit=implicit)
                out += new.value
                if new.append is not None:
                    new.append(out)
        elif tag[4:] != "0000" or tag == "00020000":
            # A group length is retired, and would be wrong now (PS3.5 section 7.2).
            _write_element(out, elements, places[tag], implicit, native_pixels)


def _write_element(
    out: bytearray, elements: Elements, element: Element, implicit: bool, native_pixels: NativePixels | None
) -> None:
    buffer = elements.buffer
    same = elements.implicit == implicit and elements.encoding is not BIG
    if element.is_sequence:
        icon = native_pixels is not None and _PIXELS in buffer[element.pos : element.end]
        if (same or (implicit and element.vr == "UN")) and not icon:
            out += buffer[element.start : element.end] if same else b""
            if not same:
                out += header(element.tag, "UN", _length(element), implicit=True)
                out += buffer[element.pos : element.end]
            return
        _write_sequence(out, elements, element, implicit, native_pixels)
        return
    if same:
        out += buffer[element.start : element.end]
        return
    if element.undefined:
        raise DicomFormatError("pixel data in fragments under a native transfer syntax", tag=element.tag)
    value = buffer[element.pos : element.end]
    if elements.encoding is BIG:
        value = swapped(value, _WORDS.get(element.vr, 1))
    out += header(element.tag, element.vr, len(value), implicit=implicit)
    out += value


def _length(element: Element) -> int:
    return UNDEFINED if element.undefined else element.end - element.pos


def _write_sequence(
    out: bytearray, elements: Elements, sequence: Element, implicit: bool, native_pixels: NativePixels | None
) -> None:
    places = list(elements.item_places(sequence))
    body = bytearray()
    for (_, _, undefined), item in zip(places, elements.items(sequence.tag), strict=True):
        replace: Mapping[str, Replacement | None] = {}
        pixels = item.get("7FE00010")
        if native_pixels is not None and pixels is not None and pixels.undefined:
            replace = native_pixels(item)
        inner = bytearray()
        write_dataset(inner, item, implicit=implicit, replace=replace, native_pixels=native_pixels)
        body += b"\xfe\xff\x00\xe0" + struct.pack("<I", UNDEFINED if undefined else len(inner))
        body += inner
        if undefined:
            body += b"\xfe\xff\x0d\xe0\0\0\0\0"
    if sequence.undefined:
        out += header(sequence.tag, "SQ", UNDEFINED, implicit=implicit) + body
        out += b"\xfe\xff\xdd\xe0\0\0\0\0"
    else:
        out += header(sequence.tag, "SQ", len(body), implicit=implicit) + body
