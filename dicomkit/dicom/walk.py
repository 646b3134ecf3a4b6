"""The walk over a dataset's bytes: one pass, no recursion, every length checked against the bytes that are there.

This is the hot loop of dicomkit. It is one long function on purpose: a call per element would cost a third of
the whole. The values that rarely occur, and everything that can be checked once per sequence, live in functions
of their own.

Sources: DICOM PS3.5 section 7 (datasets, sequences, delimiters), PS3.18 Annex F (the JSON model that is built).
"""

from __future__ import annotations

import base64
from array import array
from dataclasses import dataclass, field
from mmap import mmap
from struct import Struct
from struct import error as StructError
from typing import Any, NamedTuple

from dicomkit.dicom.charset import (
    DEFAULT,
    NAME_DELIMITERS,
    TEXT_DELIMITERS,
    Charset,
    UnknownCharacterSet,
    charset_for,
    decode,
)
from dicomkit.dicom.dictionary import private_vr, vr_of
from dicomkit.dicom.vr import BIG, LITTLE, LONG_HEADER, NUMBER_FORMAT, SWAP_SIZE, VRS, Encoding
from dicomkit.errors import DicomFormatError

__all__ = ["BulkValue", "Limits", "Walk"]

UNDEFINED = 0xFFFFFFFF

Element = dict[str, Any]
DataSet = dict[str, Element]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a file the reader is willing to look at; what is beyond is a ``DicomFormatError``.

    The defaults let every file of the test corpora through and keep the worst input under two seconds and
    150 MB (``docs/adr/0003``).
    """

    depth: int = 64
    """Sequences inside sequences."""
    elements: int = 200_000
    """Elements of all datasets together."""
    items: int = 100_000
    """Sequence items of all sequences together."""
    fragments: int = 2_000_000
    """Fragments of encapsulated pixel data."""
    values: int = 65_536
    """Values of one element that are parsed as text."""
    text_bytes: int = 1 << 20
    """Bytes of one text value; longer prose becomes a bulk value."""
    header_bytes: int = 64 << 20
    """Bytes of all values longer than 4 KiB that are kept in memory."""
    sequence_bytes: int = 1 << 20
    """Longest sequence that is part of the metadata; Google's limit is about 1 MiB."""
    skimmed: int = 4_000_000
    """Elements inside sequences that are longer than ``sequence_bytes``."""
    inflated_bytes: int = 512 << 20
    """Bytes of a deflated dataset after inflation."""
    inflated_ratio: int = 200
    """Inflated bytes per deflated byte, beyond the first 16 MiB."""


class BulkValue(NamedTuple):
    """Where one bulk value stands in the file."""

    path: str
    """Path below ``bulkdata/``: a tag, or ``{sequence tag}/{item index from 0}/{tag}`` nested."""
    vr: str
    offset: int
    """Of the value's first byte; of the first item for encapsulated pixel data."""
    length: int
    """Bytes of the value, delimiters of encapsulated pixel data included."""
    fragments: array[int] | None = None
    """Encapsulated pixel data: offset and length of each item in turn, the offset table first."""


class _TagNames(dict[bytes, str]):
    """Four bytes of a file -> eight hex digits. Bounded, since a hostile file can name every tag there is."""

    __slots__ = ("_struct",)

    def __init__(self, order: str) -> None:
        self._struct = Struct(f"{order}HH")

    def __missing__(self, raw: bytes) -> str:
        if len(self) > 65_536:
            self.clear()
        group, element = self._struct.unpack(raw)
        name = self[raw] = f"{group:04X}{element:04X}"
        return name


_NAMES = {"<": _TagNames("<"), ">": _TagNames(">")}

# Tag and VR as they stand in the file (explicit), or the tag alone (implicit; public tags whose VR is certain)
# -> tag, VR, kind; the kind is 16 higher where the header has 12 bytes. Holds no value, and is bounded.
_HEADERS: dict[str, dict[bytes, tuple[str, str, int]]] = {"<": {}, ">": {}}
_MOST_HEADERS = 65_536

_HEAD = 65_536
"""Bytes of a dataset that are decoded at once, for the text in them."""

_NOT_FINITE = "a number is not finite, and JSON has no such number"

_ITEM, _ITEM_END, _SEQUENCE_END = "FFFEE000", "FFFEE00D", "FFFEE0DD"
_DELIMITERS = frozenset({_ITEM, _ITEM_END, _SEQUENCE_END})

# Google's rule (Cloud Healthcare API, DICOM conformance statement): these binary VRs are always bulk data,
_ALWAYS_BULK = frozenset({"OB", "OW", "UN"})
# these only above 2 KiB, and numbers with more than 512 values.
_INLINE_BYTES = 2048
_INLINE_VALUES = 512

# VR of the dictionary where it depends on more than the tag (PS3.6; PS3.5 Annex A.1 for OW).
_AMBIGUOUS = {"OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}

_PIXEL_DATA = "7FE00010"

# Text that PS3.5 section 6.2 pads with spaces on both sides may be stripped on both; UI and real files pad with NUL.
_PADDING = " \x00"


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
    _skimmed: int = 0
    _kept: int = 0

    def use_numbers(self) -> None:
        """Replace the text of IS and DS by numbers, in place and once."""
        for element, numbers in self.decimals:
            element["Value"] = numbers
        self.decimals = []

    # ---------------------------------------------------------------- the hot loop

    def run(self, pos: int, end: int, *, implicit: bool, encoding: Encoding = LITTLE) -> None:
        """Walk the dataset in ``buffer[pos:end]``.

        Parameters
        ----------
        implicit, encoding
            The transfer syntax: implicit VR or not, and the byte order.
        """
        buf = self.buffer
        # Text is cut out of this; what lies behind it, which is rare, is decoded value by value.
        head = buf[:_HEAD].decode("latin-1")
        headers = _HEADERS[encoding.order]
        names = _NAMES[encoding.order]
        short = encoding.short.unpack_from
        bare = encoding.implicit.unpack_from
        long_length = encoding.length.unpack_from
        one = encoding.one
        decimals = self.decimals
        limits = self.limits
        max_values = limits.values
        counter = iter(range(limits.elements))
        charset: Charset = DEFAULT
        signed = False
        closed = True  # the dataset's length is known
        cur = self.elements
        # Enclosing datasets and their sequences, innermost last.
        stack: list[tuple[Any, ...]] = []
        sequence: tuple[Any, ...] = ()
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
                            if tag in _DELIMITERS:
                                pos = start
                                break
                            vr, kind = self._implicit_vr(key, tag, length, cur, signed, headers)
                        else:
                            tag, vr, kind = known
                            if length == UNDEFINED and tag != _PIXEL_DATA:
                                # Only a sequence can have no length, whatever the dictionary says.
                                vr, kind = "SQ", 8
                    else:
                        key, length = short(buf, pos)
                        known = headers.get(key)
                        if known is None:
                            tag = names[key[:4]]
                            if tag in _DELIMITERS:
                                break
                            if tag == "00000000" and not stack and self._only_zeros(pos, end):
                                pos = end
                                break
                            vr, kind, length = self._new_header(key, tag, length, pos, cur, signed, encoding)
                        else:
                            tag, vr, kind = known
                        if kind < 16:
                            pos += 8
                        else:
                            kind -= 16
                            (length,) = long_length(buf, pos + 8)
                            pos += 12
                            if vr == "UN":
                                vr, kind = self._unknown_vr(tag, length, cur, signed, encoding)
                    value_end = pos + length
                    if value_end > end and length != UNDEFINED:
                        raise DicomFormatError(
                            f"a value of {length} bytes is declared, {max(0, end - pos)} are there",
                            offset=start,
                            tag=tag,
                        )
                    if kind <= 5:  # text
                        if length > 4096:
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
                            cur[tag] = _foreign_text(buf[pos:value_end], vr, kind, charset, max_values, start, tag)
                            pos = value_end
                            continue
                        pos = value_end
                        text = text.rstrip(_PADDING) if kind >= 4 else text.strip(_PADDING)
                        if not text:
                            cur[tag] = {"vr": vr}
                        elif kind == 4:
                            cur[tag] = _names_element(text, max_values, start, tag)
                        elif "\\" in text and kind != 5:
                            value = _split(text, max_values, start, tag)
                            cur[tag] = element = {"vr": vr, "Value": value}
                            if kind == 1 or kind == 2:
                                decimals.append((element, [_number(vr, t, start, tag) for t in value]))
                        elif kind == 1 or kind == 2:
                            cur[tag] = element = {"vr": vr, "Value": [text]}
                            if text.isdigit() and len(text) < 16:
                                # The common case of _number, without its call.
                                decimals.append((element, [float(text) if kind == 1 else int(text)]))
                            else:
                                decimals.append((element, [_number(vr, text, start, tag)]))
                        else:
                            cur[tag] = {"vr": vr, "Value": [text]}
                        # (0008,0005) is CS, so it came through here; text that follows is read with it.
                        if tag == "00080005":
                            charset = _charset(cur[tag], start)
                    elif kind == 6:  # numbers
                        unpack = one[vr]
                        if length == unpack.size:
                            (number,) = unpack.unpack_from(buf, pos)
                            if vr[0] == "F" and number - number != 0.0:
                                raise DicomFormatError(_NOT_FINITE, offset=start, tag=tag)
                            if tag == "00280103":
                                signed = number == 1
                            elif tag[4:] == "0000":
                                # A group length is not part of the JSON model (PS3.18 section F.2.2).
                                pos = value_end
                                continue
                            cur[tag] = {"vr": vr, "Value": [number]}
                        else:
                            cur[tag] = self._numbers(tag, vr, pos, length, start, stack, encoding)
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
                        items: list[DataSet] = []
                        cur[tag] = {"vr": "SQ", "Value": items}
                        stack.append((cur, end, closed, implicit, charset, signed, sequence, tag, items))
                        # A sequence that does not say SQ (UN, or an element without VR) holds implicit VR
                        # (PS3.5 section 6.2.2, note on UN).
                        if not implicit and key[4:] != b"SQ":
                            implicit = True
                        sequence = (tag, items, stop, known_end, start, len(decimals), len(self.bulk))
                        break
                    elif kind == 9:  # binary
                        if length == UNDEFINED:
                            # The dictionary has "OB or OW"; encapsulated pixel data are OB (PS3.5 section A.4).
                            vr = "OB" if implicit else vr
                            pos = self._encapsulated(tag, vr, pos, end, start, cur, stack, encoding)
                        else:
                            if length == 0:
                                cur[tag] = {"vr": vr}
                            else:
                                cur[tag] = self._binary(tag, vr, pos, length, stack, encoding)
                            pos = value_end
                    else:
                        cur[tag] = self._pointers(tag, vr, pos, length, start, stack, encoding)
                        pos = value_end
                else:
                    raise DicomFormatError(f"more than {limits.elements} elements", offset=start)

                # Between items: of the sequence that was just entered, or of the one whose item just ended.
                if not stack:
                    if tag in _DELIMITERS:
                        raise DicomFormatError("a delimiter outside any sequence", offset=pos, tag=tag)
                    break
                if cur is not stack[-1][0]:
                    # An item ends: by its delimiter, or because its length is used up.
                    if tag == _ITEM_END and pos + 8 <= end:
                        pos += 8
                        if closed and pos != end:
                            raise DicomFormatError("an item ends before its length", offset=pos, tag=tag)
                    elif not closed:
                        raise DicomFormatError("an item is not closed", offset=pos, tag=sequence[0])
                    elif pos != end:
                        raise DicomFormatError("a delimiter inside an item", offset=pos, tag=tag)
                seq_tag, items, stop, known_end, seq_start, n_decimals, n_bulk = sequence
                parent = stack[-1]
                tag = ""
                if len(stack) == 1 and pos - seq_start > limits.sequence_bytes:
                    # Too long for the metadata: what was built goes, the rest is only checked.
                    pos = self._skim(pos, stop, known_end, implicit, encoding, seq_tag)
                    parent[0][seq_tag] = {"vr": "SQ"}
                    self._drop(seq_tag, [])
                    del decimals[n_decimals:]
                    del self.bulk[n_bulk:]
                    cur, end, closed, implicit, charset, signed, sequence, _, _ = stack.pop()
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
                if tag == _SEQUENCE_END:
                    pos += 8
                    if known_end and pos != stop:
                        raise DicomFormatError("a sequence ends before its length", offset=pos, tag=seq_tag)
                    if not items:
                        del parent[0][seq_tag]["Value"]
                    cur, end, closed, implicit, charset, signed, sequence, _, _ = stack.pop()
                    tag = ""
                    continue
                if tag != _ITEM:
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
                if not implicit and pos + 8 <= end and parent[3] is False:
                    # Some writers switch to implicit VR inside an item of an explicit file.
                    implicit = self._is_implicit_item(pos, encoding)
        except StructError:
            raise DicomFormatError("the file ends inside an element", offset=start, tag=tag or None) from None
        self.end = pos

    # ---------------------------------------------------------------- what rarely happens

    def _new_header(
        self, key: bytes, tag: str, length: int, pos: int, cur: DataSet, signed: bool, encoding: Encoding
    ) -> tuple[str, int, int]:
        """VR, kind and length of an explicit element whose tag and VR come for the first time, or are odd."""
        known = VRS.get(key[4:])
        if known is None:
            return self._odd_vr(tag, key, pos, cur, signed, encoding)
        vr, kind = known
        if vr in LONG_HEADER:
            kind += 16
        headers = _HEADERS[encoding.order]
        if len(headers) > _MOST_HEADERS:
            headers.clear()
        headers[key] = (tag, vr, kind)
        return vr, kind, length

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

    def _numbers(
        self,
        tag: str,
        vr: str,
        pos: int,
        length: int,
        start: int,
        stack: list[tuple[Any, ...]],
        encoding: Encoding,
    ) -> Element:
        """Several numbers, or none."""
        if length == 0:
            return {"vr": vr}
        char, size = NUMBER_FORMAT[vr]
        count, rest = divmod(length, size)
        if length == UNDEFINED or rest:
            raise DicomFormatError(f"{length} bytes are no whole number of {vr} values", offset=start, tag=tag)
        if count > _INLINE_VALUES and (vr not in ("SL", "SS") or count > self.limits.values):
            return self._bulk(tag, vr, pos, length, stack)
        numbers = list(Struct(f"{encoding.order}{count}{char}").unpack_from(self.buffer, pos))
        if vr[0] == "F" and any(n - n != 0.0 for n in numbers):
            raise DicomFormatError(_NOT_FINITE, offset=start, tag=tag)
        return {"vr": vr, "Value": numbers}

    def _pointers(
        self,
        tag: str,
        vr: str,
        pos: int,
        length: int,
        start: int,
        stack: list[tuple[Any, ...]],
        encoding: Encoding,
    ) -> Element:
        """AT: tags as values (PS3.18 section F.2.3: eight hex digits)."""
        if length == 0:
            return {"vr": vr}
        if length == UNDEFINED or length % 4:
            raise DicomFormatError(f"{length} bytes are no whole number of AT values", offset=start, tag=tag)
        if length // 4 > _INLINE_VALUES:
            return self._bulk(tag, vr, pos, length, stack)
        raw = self.buffer[pos : pos + length]
        names = _NAMES[encoding.order]
        return {"vr": vr, "Value": [names[raw[i : i + 4]] for i in range(0, length, 4)]}

    def _binary(
        self, tag: str, vr: str, pos: int, length: int, stack: list[tuple[Any, ...]], encoding: Encoding
    ) -> Element:
        if vr in _ALWAYS_BULK or length > _INLINE_BYTES:
            return self._bulk(tag, vr, pos, length, stack)
        raw = bytes(self.buffer[pos : pos + length])
        if encoding is BIG and length % SWAP_SIZE[vr] == 0:
            # InlineBinary is little endian (PS3.18 section F.2.7).
            size = SWAP_SIZE[vr]
            raw = b"".join(raw[i : i + size][::-1] for i in range(0, length, size))
        return {"vr": vr, "InlineBinary": base64.b64encode(raw).decode("ascii")}

    def _drop(self, tag: str, stack: list[tuple[Any, ...]]) -> None:
        outer = stack[0][7] if stack else tag
        if outer not in self.dropped:
            self.dropped.append(outer)

    def _implicit_vr(
        self,
        key: bytes,
        tag: str,
        length: int,
        cur: DataSet,
        signed: bool,
        headers: dict[bytes, tuple[str, str, int]],
    ) -> tuple[str, int]:
        vr = _implicit_vr(tag, cur, signed)
        kind = VRS[vr.encode()][1]
        if tag[3] not in "13579BDF" and vr_of(tag) != "US or SS":
            # Public, and the VR depends on nothing but the tag.
            if len(headers) > _MOST_HEADERS:
                headers.clear()
            headers[key] = (tag, vr, kind)
        if length == UNDEFINED and tag != _PIXEL_DATA:
            return ("SQ", 8)
        return vr, kind

    def _odd_vr(
        self, tag: str, key: bytes, pos: int, cur: DataSet, signed: bool, encoding: Encoding
    ) -> tuple[str, int, int]:
        """An element of an explicit dataset whose VR is none: implicit VR in disguise, or damage."""
        if key[4:].isalpha():
            raise DicomFormatError("an unknown VR", offset=pos, tag=tag)
        (length,) = encoding.length.unpack_from(self.buffer, pos + 4)
        if vr_of(tag) is None or length > len(self.buffer) - pos:
            raise DicomFormatError("no VR where one must be", offset=pos, tag=tag)
        vr = _implicit_vr(tag, cur, signed)
        return vr, VRS[vr.encode()][1], length

    def _unknown_vr(self, tag: str, length: int, cur: DataSet, signed: bool, encoding: Encoding) -> tuple[str, int]:
        """UN where the dictionary knows better, which real files have when they passed an older system."""
        if length == UNDEFINED:
            return ("SQ", 8)
        if encoding is BIG or (length > 0xFFFE and tag[3] not in "13579BDF"):
            return ("UN", 9)
        return VRS[_implicit_vr(tag, cur, signed).encode()]

    def _is_implicit_item(self, pos: int, encoding: Encoding) -> bool:
        key, _ = encoding.short.unpack_from(self.buffer, pos)
        raw_vr = key[4:]
        return raw_vr not in VRS and _NAMES[encoding.order][key[:4]] not in _DELIMITERS and not raw_vr.isalpha()

    def _only_zeros(self, pos: int, end: int) -> bool:
        """Whether nothing but padding follows; some writers fill the last block of a file with zeros."""
        return end - pos <= 1 << 16 and not any(self.buffer[pos:end])

    def _encapsulated(
        self,
        tag: str,
        vr: str,
        pos: int,
        end: int,
        start: int,
        cur: DataSet,
        stack: list[tuple[Any, ...]],
        encoding: Encoding,
    ) -> int:
        """Items of encapsulated pixel data (PS3.5 section A.4); gives the position behind them."""
        if vr not in ("OB", "OW") or (tag != _PIXEL_DATA and vr != "OB"):
            raise DicomFormatError(f"undefined length with VR {vr}", offset=start, tag=tag)
        first = pos
        buf = self.buffer
        bare = encoding.implicit.unpack_from
        item, done = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
        if encoding is BIG:
            item, done = b"\xff\xfe\xe0\x00", b"\xff\xfe\xe0\xdd"
        fragments = array("Q")
        room = self.limits.fragments * 2
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
                raise DicomFormatError(f"more than {self.limits.fragments} fragments", offset=pos, tag=tag)
            pos += length
        cur[tag] = self._bulk(tag, vr, first, pos - first, stack, fragments)
        return pos

    def _skim(self, pos: int, stop: int, known_end: bool, implicit: bool, encoding: Encoding, tag: str) -> int:
        """Find the end of a sequence that is too long to be kept, and check the lengths on the way.

        ``pos`` is between two items of that sequence.
        """
        if known_end:
            return stop
        buf, names = self.buffer, _NAMES[encoding.order]
        short, bare = encoding.short.unpack_from, encoding.implicit.unpack_from
        long_length = encoding.length.unpack_from
        # One entry a level, whether it is in implicit VR; odd depth: between items, even: inside an item.
        levels = [implicit]
        while True:
            self._skimmed += 1
            if self._skimmed > self.limits.skimmed:
                raise DicomFormatError(
                    f"more than {self.limits.skimmed} elements in long sequences", offset=pos, tag=tag
                )
            implicit = levels[-1]
            raw_tag, length = bare(buf, pos)
            name = names[raw_tag]
            inside = len(levels) % 2 == 0
            if name in _DELIMITERS:
                pos += 8
                if name == _ITEM:
                    if inside:
                        raise DicomFormatError("an item inside an item", offset=pos, tag=tag)
                    if length == UNDEFINED:
                        levels.append(implicit)
                    else:
                        pos += length
                elif (name == _ITEM_END) != inside:
                    raise DicomFormatError("delimiters do not match", offset=pos, tag=tag)
                else:
                    levels.pop()
                    if not levels:
                        return pos
            else:
                if not inside:
                    raise DicomFormatError("a sequence holds something that is no item", offset=pos, tag=tag)
                vr = "SQ"
                if implicit:
                    pos += 8
                else:
                    key, length = short(buf, pos)
                    raw_vr = key[4:]
                    if raw_vr not in VRS:
                        raise DicomFormatError("no VR where one must be", offset=pos, tag=name)
                    vr = VRS[raw_vr][0]
                    if vr in LONG_HEADER:
                        (length,) = long_length(buf, pos + 8)
                        pos += 12
                    else:
                        pos += 8
                if length == UNDEFINED:
                    if vr not in ("SQ", "UN", "OB", "OW"):
                        raise DicomFormatError(f"undefined length with VR {vr}", offset=pos, tag=name)
                    # Fragments of encapsulated pixel data are items as well, and end as a sequence does.
                    levels.append(implicit or vr == "UN")
                    if len(levels) > 2 * self.limits.depth:
                        raise DicomFormatError(
                            f"sequences nested more than {self.limits.depth} deep", offset=pos, tag=tag
                        )
                else:
                    pos += length
            if pos > stop:
                raise DicomFormatError("a sequence is cut off", offset=pos, tag=tag)


def _implicit_vr(tag: str, cur: DataSet, signed: bool) -> str:
    """VR of an element that names none: by the dictionary (PS3.5 Annex A.1)."""
    if tag[3] in "13579BDF":
        if tag[4:6] == "00":
            # (gggg,0010-00FF) reserve blocks of private elements (PS3.5 section 7.8.1).
            return "LO" if tag[6] != "0" else ("UL" if tag[6:] == "00" else "UN")
        creator = cur.get(f"{tag[:4]}00{tag[4:6]}")
        named = creator.get("Value") if creator else None
        vr = (private_vr(named[0], tag) if named and isinstance(named[0], str) else None) or "UN"
    elif tag[4:] == "0000":
        return "UL"
    else:
        vr = vr_of(tag) or "UN"
    if vr == "US or SS":
        return "SS" if signed else "US"
    vr = _AMBIGUOUS.get(vr, vr)
    return vr if vr.encode() in VRS else "UN"


def _charset(element: Element, start: int) -> Charset:
    try:
        return charset_for(element.get("Value", ()))
    except UnknownCharacterSet as e:
        raise DicomFormatError(str(e), offset=start, tag="00080005") from None


def _split(text: str, most: int, start: int, tag: str) -> list[Any]:
    """The values of multi-valued text; an empty one is ``None`` (PS3.18 section F.2.5)."""
    if text.count("\\") >= most:
        raise DicomFormatError(f"more than {most} values", offset=start, tag=tag)
    return [t.strip(_PADDING) or None for t in text.split("\\")]


def _foreign_text(raw: bytes, vr: str, kind: int, charset: Charset, most: int, start: int, tag: str) -> Element:
    """Text that is not plain ASCII, in the dataset's character set."""
    if kind == 4 and charset.__class__ is tuple:
        # An escape sequence ends at the delimiters of PN, so that each group is decoded on its own.
        names: list[Any] = [
            _groups([decode(group, charset, NAME_DELIMITERS) for group in one.split(b"=")])
            for one in raw.split(b"\\", most)
        ]
        return {"vr": vr, "Value": names} if names != [None] else {"vr": vr}
    text = decode(raw, charset, TEXT_DELIMITERS)
    text = text.rstrip(_PADDING) if kind >= 4 else text.strip(_PADDING)
    if not text:
        return {"vr": vr}
    if kind == 4:
        return _names_element(text, most, start, tag)
    if kind == 3 and "\\" in text:
        return {"vr": vr, "Value": _split(text, most, start, tag)}
    return {"vr": vr, "Value": [text]}


def _names_element(text: str, most: int, start: int, tag: str) -> Element:
    """PN as PS3.18 section F.2.2 has it: up to three component groups, ``None`` for an empty value."""
    if "=" not in text and "\\" not in text:
        return {"vr": "PN", "Value": [{"Alphabetic": text}]}
    if text.count("\\") >= most:
        raise DicomFormatError(f"more than {most} values", offset=start, tag=tag)
    value = [_groups(one.split("=")) for one in text.split("\\")]
    return {"vr": "PN", "Value": value} if value != [None] else {"vr": "PN"}


def _groups(groups: list[str]) -> dict[str, str] | None:
    named = {}
    for key, group in zip(("Alphabetic", "Ideographic", "Phonetic"), groups, strict=False):
        text = group.rstrip(_PADDING)
        if text:
            named[key] = text
    return named or None


def _number(vr: str, text: str | None, start: int, tag: str) -> Any:
    """The number that IS or DS text stands for; text that is no number stays text (PS3.18 section F.2.3)."""
    if text is None:
        return None
    try:
        if vr == "DS":
            number = float(text)
            if number - number != 0.0:
                raise DicomFormatError(_NOT_FINITE, offset=start, tag=tag)
        elif len(text) < 19:
            return int(text) if "_" not in text else text
        else:
            return text
    except ValueError as e:
        if isinstance(e, DicomFormatError):
            raise
        return _odd_integer(text) if vr == "IS" else text
    # Python takes "1_000" for a number, PS3.5 section 6.2 does not.
    return number if "_" not in text else text


def _odd_integer(text: str) -> int | str:
    """IS written as ``1.0``, which real files have."""
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number - number == 0.0 and number.is_integer() and "_" not in text else text
