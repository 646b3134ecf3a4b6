"""The walk over a dataset's bytes: one pass, no recursion, every length checked against the bytes that are there.

This is the hot loop of dicomkit. It is one long function on purpose: a call per element would cost a third of
the whole. The values that rarely occur, and everything that can be checked once per sequence, live in functions
of their own.

Sources: DICOM PS3.5 section 7 (datasets, sequences, delimiters), PS3.18 Annex F (the JSON model that is built).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from mmap import mmap
from struct import error as StructError
from typing import Any

from dicomkit.dicom.binary_values import binary_element, fragments_of, numbers_element, pointers_element
from dicomkit.dicom.charset import DEFAULT, Charset
from dicomkit.dicom.headers import (
    DELIMITERS,
    HEADERS,
    ITEM,
    ITEM_END,
    PIXEL_DATA,
    SEQUENCE_END,
    TAG_NAMES,
    UNDEFINED,
    explicit_header,
    implicit_header,
    is_implicit_item,
    unknown_vr,
)
from dicomkit.dicom.json_model import BulkValue, DataSet, Element
from dicomkit.dicom.limits import Limits
from dicomkit.dicom.skim import skim
from dicomkit.dicom.text_values import (
    NOT_FINITE,
    PADDING,
    charset_of,
    foreign_text,
    names_element,
    number_of,
    split_values,
)
from dicomkit.dicom.vr import LITTLE, Encoding
from dicomkit.errors import DicomFormatError

__all__ = ["Walk"]

_SHORT = 128
"""A value of so many bytes is not counted: there are not enough elements for them to matter."""

_HEAD = 16_384
"""Bytes of a dataset that are decoded at once, for the text in them."""


@dataclass(slots=True)
class Walk:
    """A dataset in the DICOM JSON model, while and after it is read.

    IS and DS hold their text until :meth:`use_numbers`; ``decimals`` remembers the elements and the numbers.
    """

    buffer: bytes | mmap
    limits: Limits
    elements: DataSet = field(default_factory=dict)
    bulk: list[BulkValue] = field(default_factory=list)
    decimals: list[tuple[Element, list[Any]]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    """Tags of top-level sequences that are too long for the metadata."""
    end: int = 0
    """Where the walk stopped."""
    _items: int = 0
    _kept: int = 0

    def use_numbers(self) -> None:
        """Replace the text of IS and DS by numbers, in place and once."""
        for element, numbers in self.decimals:
            element["Value"] = numbers
        self.decimals = []

    def run(self, pos: int, end: int, *, implicit: bool, encoding: Encoding = LITTLE) -> None:
        """Walk the dataset in ``buffer[pos:end]``.

        Parameters
        ----------
        implicit, encoding
            The transfer syntax: implicit VR or not, and the byte order.
        """
        buf = self.buffer
        # Text is cut out of this; what lies behind it, which is rare, is decoded value by value.
        head = buf[: min(end, _HEAD)].decode("latin-1")
        headers = HEADERS[encoding.order]
        names = TAG_NAMES[encoding.order]
        short = encoding.short.unpack_from
        bare = encoding.implicit.unpack_from
        long_length = encoding.length.unpack_from
        one = encoding.one
        decimals = self.decimals
        limits = self.limits
        max_values = limits.values
        room = limits.all_values
        counter = iter(range(limits.elements))
        charset: Charset = DEFAULT
        signed = False
        closed = True  # the dataset's length is known
        cur = self.elements
        # Enclosing datasets and their sequences, innermost last.
        stack: list[tuple[Any, ...]] = []
        sequence: tuple[Any, ...] = ()
        # Of the outermost sequence: where its items are, and what there was before it, should it be too long.
        top_pos = n_decimals = n_bulk = kept_before = room_before = 0
        top_implicit = False
        tag = ""
        start = pos
        try:
            while True:
                # Elements of the dataset `cur`.
                for _ in counter:
                    if pos >= end:
                        tag = ""
                        break
                    start = pos
                    if implicit:
                        key, length = bare(buf, pos)
                        known = headers.get(key)
                        pos += 8
                        if known is None:
                            tag = names[key]
                            if tag in DELIMITERS:
                                pos = start
                                break
                            if tag == "00000000" and not stack and _only_zeros(buf, start, end):
                                pos = end
                                break
                            vr, kind = implicit_header(key, tag, length, cur, signed, encoding)
                        else:
                            tag, vr, kind = known
                            if length == UNDEFINED and tag != PIXEL_DATA:
                                # Only a sequence can have no length, whatever the dictionary says.
                                vr, kind = "SQ", 8
                    else:
                        key, length = short(buf, pos)
                        known = headers.get(key)
                        if known is None:
                            tag = names[key[:4]]
                            if tag in DELIMITERS:
                                break
                            if tag == "00000000" and not stack and _only_zeros(buf, pos, end):
                                pos = end
                                break
                            vr, kind, length = explicit_header(buf, key, tag, length, pos, cur, signed, encoding)
                        else:
                            tag, vr, kind = known
                        if kind < 16:
                            pos += 8
                        else:
                            kind -= 16
                            (length,) = long_length(buf, pos + 8)
                            pos += 12
                            if vr == "UN":
                                vr, kind = unknown_vr(tag, length, cur, signed, encoding)
                    value_end = pos + length
                    if value_end > end and length != UNDEFINED:
                        raise DicomFormatError(
                            f"a value of {length} bytes is declared, {max(0, end - pos)} are there",
                            offset=start,
                            tag=tag,
                        )
                    if kind <= 5:  # text
                        if length > _SHORT:
                            if length == UNDEFINED:
                                raise DicomFormatError(f"undefined length with VR {vr}", offset=start, tag=tag)
                            if length > limits.text_bytes:
                                cur[tag] = self._long_text(tag, vr, kind, pos, length, stack, start)
                                pos = value_end
                                continue
                            self._keep(length, start, tag)
                        if value_end <= _HEAD:
                            text = head[pos:value_end]
                        else:
                            text = buf[pos:value_end].decode("latin-1")
                        if kind >= 3 and (charset.__class__ is tuple or not text.isascii()):
                            cur[tag] = element = foreign_text(
                                buf[pos:value_end], vr, kind, charset, max_values, start, tag
                            )
                            room -= len(element.get("Value", ())) - 1
                            if room < 0:
                                raise _too_many(limits, start, tag)
                            pos = value_end
                            continue
                        pos = value_end
                        text = text.rstrip(PADDING) if kind >= 4 else text.strip(PADDING)
                        if not text:
                            cur[tag] = {"vr": vr}
                        elif kind == 4:
                            cur[tag] = element = names_element(text, max_values, start, tag)
                            room -= len(element.get("Value", ())) - 1
                        elif "\\" in text and kind != 5:
                            value = split_values(text, max_values, start, tag)
                            room -= len(value)
                            cur[tag] = element = {"vr": vr, "Value": value}
                            if kind == 1 or kind == 2:
                                decimals.append((element, [number_of(vr, t, start, tag) for t in value]))
                        elif kind == 1 or kind == 2:
                            cur[tag] = element = {"vr": vr, "Value": [text]}
                            if text.isdecimal() and len(text) < 16:
                                # The common case of number_of. (A superscript is a digit, and no decimal.)
                                decimals.append((element, [float(text) if kind == 1 else int(text)]))
                            else:
                                decimals.append((element, [number_of(vr, text, start, tag)]))
                        else:
                            cur[tag] = {"vr": vr, "Value": [text]}
                        # (0008,0005) is CS, so it came through here; text that follows is read with it.
                        if tag == "00080005":
                            charset = charset_of(cur[tag], start)
                        if room < 0:
                            raise _too_many(limits, start, tag)
                    elif kind == 6:  # numbers
                        unpack = one[vr]
                        if length == unpack.size:
                            (number,) = unpack.unpack_from(buf, pos)
                            if vr[0] == "F" and number - number != 0.0:
                                raise DicomFormatError(NOT_FINITE, offset=start, tag=tag)
                            if tag == "00280103":
                                signed = number == 1
                            elif tag[4:] == "0000":
                                # A group length is not part of the JSON model (PS3.18 section F.2.2).
                                pos = value_end
                                continue
                            cur[tag] = {"vr": vr, "Value": [number]}
                        else:
                            several = numbers_element(buf, vr, pos, length, encoding, limits, start, tag)
                            cur[tag] = several or self._bulk(tag, vr, pos, length, stack)
                            room -= len(cur[tag].get("Value", ()))
                            if room < 0:
                                raise _too_many(limits, start, tag)
                        pos = value_end
                    elif kind == 8:  # sequence
                        if length == UNDEFINED:
                            stop, known_end = end, False
                        else:
                            stop, known_end = value_end, True
                            if length > limits.sequence_bytes:
                                cur[tag] = {"vr": "SQ"}
                                self._drop(tag, stack)
                                pos = value_end
                                continue
                        if len(stack) >= limits.depth:
                            raise DicomFormatError(
                                f"sequences nested more than {limits.depth} deep", offset=start, tag=tag
                            )
                        if not stack:
                            top_pos, n_decimals, n_bulk = pos, len(decimals), len(self.bulk)
                            kept_before, room_before = self._kept, room
                            top_implicit = implicit or key[4:] != b"SQ"
                        items: list[DataSet] = []
                        cur[tag] = {"vr": "SQ", "Value": items}
                        stack.append((cur, end, closed, implicit, charset, signed, sequence, tag, items))
                        # A sequence that does not say SQ (UN, or an element without VR) holds implicit VR
                        # (PS3.5 section 6.2.2, note on UN).
                        if not implicit and key[4:] != b"SQ":
                            implicit = True
                        sequence = (tag, items, stop, known_end, implicit)
                        break
                    elif kind == 9:  # binary
                        if length == UNDEFINED:
                            # The dictionary has "OB or OW"; encapsulated pixel data are OB (PS3.5 section A.4).
                            vr = "OB" if implicit else vr
                            fragments, stop = fragments_of(buf, vr, pos, end, encoding, limits, start, tag)
                            cur[tag] = self._bulk(tag, vr, pos, stop - pos, stack, fragments)
                            pos = stop
                        else:
                            if length == 0:
                                cur[tag] = {"vr": vr}
                            else:
                                several = binary_element(buf, vr, pos, length, encoding)
                                if several is not None and length > _SHORT:
                                    self._keep(length, start, tag)
                                cur[tag] = several or self._bulk(tag, vr, pos, length, stack)
                            pos = value_end
                    else:
                        several = pointers_element(buf, vr, pos, length, encoding, start, tag)
                        cur[tag] = several or self._bulk(tag, vr, pos, length, stack)
                        room -= len(cur[tag].get("Value", ()))
                        if room < 0:
                            raise _too_many(limits, start, tag)
                        pos = value_end
                else:
                    raise DicomFormatError(f"more than {limits.elements} elements", offset=start)

                # Between items: of the sequence that was just entered, or of the one whose item just ended.
                if not stack:
                    if tag in DELIMITERS:
                        raise DicomFormatError("a delimiter outside any sequence", offset=pos, tag=tag)
                    break
                if cur is not stack[-1][0]:
                    # An item ends: by its delimiter, or because its length is used up.
                    if tag == ITEM_END and pos + 8 <= end:
                        pos += 8
                        if closed and pos != end:
                            raise DicomFormatError("an item ends before its length", offset=pos, tag=tag)
                    elif not closed:
                        raise DicomFormatError("an item is not closed", offset=pos, tag=sequence[0])
                    elif pos != end:
                        raise DicomFormatError("a delimiter inside an item", offset=pos, tag=tag)
                seq_tag, items, stop, known_end, implicit = sequence
                parent = stack[-1]
                tag = ""
                if pos - top_pos > limits.sequence_bytes:
                    # Too long for the metadata, and so without a length: what was built goes, the rest is only checked.
                    cur, end, closed, implicit, charset, signed, sequence, seq_tag, _ = stack[0]
                    stack.clear()
                    pos = skim(buf, top_pos, end, top_implicit, encoding, seq_tag, limits)
                    cur[seq_tag] = {"vr": "SQ"}
                    self._drop(seq_tag, [])
                    del decimals[n_decimals:]
                    del self.bulk[n_bulk:]
                    self._kept, room = kept_before, room_before
                    continue
                if known_end and pos >= stop:
                    if not items:
                        del parent[0][seq_tag]["Value"]
                    cur, end, closed, implicit, charset, signed, sequence, _, _ = stack.pop()
                    continue
                raw_tag, length = bare(buf, pos)
                tag = names[raw_tag]
                if pos + 8 > stop:
                    raise DicomFormatError("a sequence is cut off", offset=pos, tag=seq_tag)
                if tag == SEQUENCE_END:
                    pos += 8
                    if known_end and pos != stop:
                        raise DicomFormatError("a sequence ends before its length", offset=pos, tag=seq_tag)
                    if not items:
                        del parent[0][seq_tag]["Value"]
                    cur, end, closed, implicit, charset, signed, sequence, _, _ = stack.pop()
                    tag = ""
                    continue
                if tag != ITEM:
                    raise DicomFormatError("a sequence holds something that is no item", offset=pos, tag=seq_tag)
                self._items += 1
                if self._items > limits.items:
                    raise DicomFormatError(f"more than {limits.items} sequence items", offset=pos, tag=seq_tag)
                pos += 8
                cur = {}
                items.append(cur)
                closed = length != UNDEFINED
                end = pos + length if closed else stop
                if end > stop:
                    raise DicomFormatError(
                        f"an item of {length} bytes is declared, {stop - pos} are there", offset=pos, tag=seq_tag
                    )
                # An item starts from its parent's character set and pixel representation.
                charset, signed = parent[4], parent[5]
                if not implicit and pos + 8 <= end:
                    # Some writers switch to implicit VR inside an item of an explicit file.
                    implicit = is_implicit_item(buf, pos, encoding)
        except StructError:
            raise DicomFormatError("the file ends inside an element", offset=start, tag=tag or None) from None
        self.end = pos

    def _keep(self, length: int, start: int, tag: str) -> None:
        self._kept += length
        if self._kept > self.limits.header_bytes:
            raise DicomFormatError(f"more than {self.limits.header_bytes >> 20} MiB of metadata", offset=start, tag=tag)

    def _path(self, tag: str, stack: list[tuple[Any, ...]]) -> str:
        """Path of an element below ``bulkdata/``."""
        return "".join([f"{frame[7]}/{len(frame[8]) - 1}/" for frame in stack]) + tag if stack else tag

    def _bulk(
        self, tag: str, vr: str, offset: int, length: int, stack: list[tuple[Any, ...]], fragments: Any = None
    ) -> Element:
        path = self._path(tag, stack)
        self.bulk.append(BulkValue(path, vr, offset, length, fragments))
        return {"vr": vr, "BulkDataURI": path}

    def _long_text(
        self, tag: str, vr: str, kind: int, pos: int, length: int, stack: list[tuple[Any, ...]], start: int
    ) -> Element:
        if kind == 5 or vr == "UC":
            return self._bulk(tag, vr, pos, length, stack)
        raise DicomFormatError(f"{length} bytes of {vr}, the limit is {self.limits.text_bytes}", offset=start, tag=tag)

    def _drop(self, tag: str, stack: list[tuple[Any, ...]]) -> None:
        outer = stack[0][7] if stack else tag
        if outer not in self.dropped:
            self.dropped.append(outer)


def _too_many(limits: Limits, start: int, tag: str) -> DicomFormatError:
    return DicomFormatError(f"more than {limits.all_values} values", offset=start, tag=tag)


def _only_zeros(buffer: bytes | mmap, pos: int, end: int) -> bool:
    """Whether nothing but padding follows; some writers fill the last block of a file with zeros."""
    return end - pos <= 1 << 16 and not any(buffer[pos:end])
