"""The elements of a dataset where they stand: their places in the bytes, and the few values that pixels need.

Nothing is copied and nothing below the first level is looked at until it is asked for, so that a slide of a
gigabyte costs what its header costs. Every length is checked against the bytes that are there.

Source: DICOM PS3.5 section 7 (datasets, sequences, delimiters), edition 2025b.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

from dicomkit.dicom.binary_values import fragments_of
from dicomkit.dicom.headers import (
    DELIMITERS,
    ITEM,
    ITEM_END,
    PIXEL_DATA,
    SEQUENCE_END,
    TAG_NAMES,
    UNDEFINED,
    explicit_header,
    implicit_header,
    is_implicit_item,
)
from dicomkit.dicom.json_model import DataSet
from dicomkit.dicom.limits import Limits
from dicomkit.dicom.skim import skim
from dicomkit.dicom.vr import LONG_HEADER, NUMBER_FORMAT, VRS, Encoding
from dicomkit.errors import DicomFormatError

__all__ = ["Element", "Elements"]

Buffer = bytes | mmap

LIMITS = Limits()

_DELIMITER_BYTES = 8
_PADDING = " \0"


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its header begins at *start*, its value at *pos*; *end* is behind it and its delimiter."""

    tag: str
    vr: str
    start: int
    pos: int
    end: int
    undefined: bool

    @property
    def is_sequence(self) -> bool:
        """Whether the value is made of items that are datasets."""
        return self.vr == "SQ" or (self.undefined and self.vr == "UN")


class Elements:
    """The elements of one dataset by tag, in the order of the file.

    Parameters
    ----------
    buffer, pos, end
        Where the dataset is.
    implicit, encoding
        Implicit VR or not, and the byte order.

    Raises
    ------
    DicomFormatError
        A length leads out of the dataset, or a header is none.
    """

    __slots__ = ("_by_tag", "buffer", "depth", "encoding", "end", "implicit")

    def __init__(
        self, buffer: Buffer, pos: int, end: int, *, implicit: bool, encoding: Encoding, depth: int = 0
    ) -> None:
        if depth > LIMITS.depth:
            raise DicomFormatError(f"sequences nested more than {LIMITS.depth} deep", offset=pos)
        self.buffer, self.implicit, self.encoding, self.depth, self.end = buffer, implicit, encoding, depth, end
        self._by_tag: dict[str, Element] = {}
        try:
            self._scan(pos, end)
        except struct.error:
            raise DicomFormatError("the dataset ends inside an element", offset=pos) from None

    def __contains__(self, tag: str) -> bool:
        return tag in self._by_tag

    def __iter__(self) -> Iterator[Element]:
        return iter(self._by_tag.values())

    def get(self, tag: str) -> Element | None:
        """The element of this tag, if there is one."""
        return self._by_tag.get(tag)

    def raw(self, tag: str) -> bytes | None:
        """The value as it stands in the file; ``None`` when it is missing or empty."""
        found = self._by_tag.get(tag)
        return self.buffer[found.pos : found.end] or None if found and not found.undefined else None

    def text(self, tag: str) -> str | None:
        """The value as text of the default repertoire, without its padding."""
        raw = self.raw(tag)
        return raw[:65_536].decode("latin-1").strip(_PADDING) or None if raw else None

    def numbers(self, tag: str) -> tuple[float, ...]:
        """The values as numbers, whatever the VR; empty when there is none.

        Raises
        ------
        DicomFormatError
            The value is no number.
        """
        found, raw = self._by_tag.get(tag), self.raw(tag)
        if found is None or raw is None:
            return ()
        vr = found.vr
        if vr in ("UN", "OW"):
            vr = "US"
        if vr in NUMBER_FORMAT:
            letter, size = NUMBER_FORMAT[vr]
            count = min(len(raw) // size, LIMITS.values)
            return struct.unpack_from(f"{self.encoding.order}{count}{letter}", raw)
        texts = raw[:65_536].decode("latin-1").split("\\")
        try:
            values = tuple(float(t.strip(_PADDING)) for t in texts if t.strip(_PADDING))
        except ValueError:
            values = (float("nan"),)
        if any(v - v != 0.0 for v in values):
            raise DicomFormatError("the value is no number", offset=found.start, tag=tag)
        return values

    def integer(self, tag: str) -> int | None:
        """The first value as a whole number; ``None`` when it is missing."""
        values = self.numbers(tag)
        if not values:
            return None
        if values[0] != int(values[0]):
            raise DicomFormatError("the value is no whole number", tag=tag)
        return int(values[0])

    def items(self, tag: str) -> Iterator[Elements]:
        """The items of a sequence, each looked at when its turn comes; none when there is no such sequence."""
        found = self._by_tag.get(tag)
        if found is None or not found.is_sequence:
            return
        implicit = self.implicit or found.vr == "UN"
        for pos, end, _ in self.item_places(found):
            inner = implicit or (pos + 8 <= end and is_implicit_item(self.buffer, pos, self.encoding))
            yield Elements(self.buffer, pos, end, implicit=inner, encoding=self.encoding, depth=self.depth + 1)

    def item_places(self, sequence: Element) -> Iterator[tuple[int, int, bool]]:
        """Begin and end of each item's dataset, and whether its length was undefined."""
        names, bare = TAG_NAMES[self.encoding.order], self.encoding.implicit.unpack_from
        implicit = self.implicit or sequence.vr == "UN"
        pos, end = sequence.pos, sequence.end
        while pos + _DELIMITER_BYTES <= end:
            raw_tag, length = bare(self.buffer, pos)
            tag = names[raw_tag]
            pos += _DELIMITER_BYTES
            if tag == SEQUENCE_END:
                return
            if tag != ITEM:
                raise DicomFormatError("a sequence holds something that is no item", offset=pos, tag=sequence.tag)
            if length == UNDEFINED:
                stop = _item_end(self.buffer, pos, end, implicit, self.encoding, sequence.tag)
                yield pos, stop - _DELIMITER_BYTES, True
            else:
                stop = pos + length
                if stop > end:
                    raise DicomFormatError("an item is longer than its sequence", offset=pos, tag=sequence.tag)
                yield pos, stop, False
            pos = stop

    def _scan(self, pos: int, end: int) -> None:
        buf, encoding, implicit, found = self.buffer, self.encoding, self.implicit, self._by_tag
        names = TAG_NAMES[encoding.order]
        short, bare = encoding.short.unpack_from, encoding.implicit.unpack_from
        context: DataSet = {}
        signed = False
        count = 0
        while pos < end:
            start = pos
            vr = ""
            raw_tag, length = bare(buf, pos)
            tag = names[raw_tag]
            if tag in DELIMITERS:
                raise DicomFormatError("a delimiter outside any sequence", offset=pos, tag=tag)
            if tag == "00000000" and not any(buf[pos : min(end, pos + 65_536)]):
                return  # some writers fill the last block of a file with zeros
            if implicit:
                vr, _ = implicit_header(raw_tag, tag, length, context, signed, encoding)
                pos += 8
            else:
                key, length = short(buf, pos)
                known = VRS.get(key[4:])
                vr, kind, length = explicit_header(buf, key, tag, length, pos, context, signed, encoding)
                pos += 8
                if known is not None and kind >= 16:
                    (length,) = encoding.length.unpack_from(buf, pos)
                    pos += 4
            if length == UNDEFINED:
                stop, vr = _undefined_end(buf, pos, end, implicit, encoding, tag, vr, start)
            else:
                stop = pos + length
            if stop > end:
                raise DicomFormatError(
                    f"a value of {length} bytes is declared, {max(0, end - pos)} are there", offset=start, tag=tag
                )
            found[tag] = Element(tag, vr, start, pos, stop, length == UNDEFINED)
            if vr == "LO" and tag[3] in "13579BDF" and tag[4:6] == "00":
                context[tag] = {"vr": vr, "Value": [buf[pos:stop][:64].decode("latin-1").strip(_PADDING)]}
            elif tag == "00280103" and length == 2:
                signed = struct.unpack_from(f"{encoding.order}H", buf, pos)[0] == 1
            count += 1
            if count > LIMITS.elements:
                raise DicomFormatError(f"more than {LIMITS.elements} elements", offset=start)
            pos = stop


def _undefined_end(
    buf: Buffer, pos: int, end: int, implicit: bool, encoding: Encoding, tag: str, vr: str, start: int
) -> tuple[int, str]:
    """Where a value of undefined length ends, and its VR."""
    if tag == PIXEL_DATA and vr != "SQ":
        return fragments_of(buf, "OB" if implicit or vr == "UN" else vr, pos, end, encoding, LIMITS, start, tag)[
            1
        ], "OB"
    if vr not in ("SQ", "UN"):
        raise DicomFormatError(f"undefined length with VR {vr}", offset=start, tag=tag)
    return skim(buf, pos, end, implicit or vr == "UN", encoding, tag, LIMITS), vr


def _item_end(buf: Buffer, pos: int, end: int, implicit: bool, encoding: Encoding, tag: str) -> int:
    """Where an item of undefined length ends, behind its delimiter.

    What :func:`skim` finds is the end of a sequence: it is shown the item's elements one by one instead.
    """
    names, bare = TAG_NAMES[encoding.order], encoding.implicit.unpack_from
    inner = implicit or (pos + 8 <= end and is_implicit_item(buf, pos, encoding))
    try:
        for _ in range(LIMITS.skimmed):
            raw_tag, length = bare(buf, pos)
            name = names[raw_tag]
            if name == ITEM_END:
                return pos + _DELIMITER_BYTES
            if name in DELIMITERS:
                break
            vr = "SQ"
            if inner:
                pos += 8
            else:
                key, length = encoding.short.unpack_from(buf, pos)
                vr = VRS.get(key[4:], ("", 0))[0]
                if not vr:
                    raise DicomFormatError("no VR where one must be", offset=pos, tag=name)
                pos += 8
                if vr in LONG_HEADER:
                    (length,) = encoding.length.unpack_from(buf, pos)
                    pos += 4
            if length == UNDEFINED:
                if name == PIXEL_DATA:
                    pos, _ = _undefined_end(buf, pos, end, inner, encoding, name, "OB", pos)
                else:
                    pos, _ = _undefined_end(buf, pos, end, inner, encoding, name, vr, pos)
            else:
                pos += length
            if pos > end:
                break
    except struct.error:
        pass
    raise DicomFormatError("an item is not closed", offset=min(pos, end), tag=tag)
