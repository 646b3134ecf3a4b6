"""Element headers: tags as they stand in a file, delimiters, and the VR of elements that name none.

Sources: DICOM PS3.5 sections 7.1 (headers), 7.5 (delimiters), 7.8 (private blocks) and Annex A.1 (implicit VR).
"""

from __future__ import annotations

from mmap import mmap
from struct import Struct

from dicomkit.dicom.dictionary import private_vr, vr_of
from dicomkit.dicom.json_model import DataSet
from dicomkit.dicom.vr import BIG, LONG_HEADER, VRS, Encoding
from dicomkit.errors import DicomFormatError

__all__ = [
    "DELIMITERS",
    "HEADERS",
    "ITEM",
    "ITEM_END",
    "PIXEL_DATA",
    "SEQUENCE_END",
    "TAG_NAMES",
    "UNDEFINED",
    "explicit_header",
    "implicit_header",
    "is_implicit_item",
    "unknown_vr",
]

UNDEFINED = 0xFFFFFFFF
"""The length that says: until the delimiter."""

ITEM, ITEM_END, SEQUENCE_END = "FFFEE000", "FFFEE00D", "FFFEE0DD"
DELIMITERS = frozenset({ITEM, ITEM_END, SEQUENCE_END})
PIXEL_DATA = "7FE00010"

_PRIVATE = "13579BDF"

# VR of the dictionary where it depends on more than the tag (PS3.6; PS3.5 Annex A.1 for OW).
_AMBIGUOUS = {"OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}


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


TAG_NAMES = {"<": _TagNames("<"), ">": _TagNames(">")}
"""By byte order."""

HEADERS: dict[str, dict[bytes, tuple[str, str, int]]] = {"<": {}, ">": {}}
"""Tag and VR as they stand in the file (explicit), or the tag alone (implicit; public tags whose VR is certain)
-> tag, VR, kind; the kind is 16 higher where the header has 12 bytes. Holds no value, and is bounded."""

_MOST_HEADERS = 65_536


def _learn(key: bytes, order: str, known: tuple[str, str, int]) -> None:
    headers = HEADERS[order]
    if len(headers) > _MOST_HEADERS:
        headers.clear()
    headers[key] = known


def explicit_header(
    buffer: bytes | mmap, key: bytes, tag: str, length: int, pos: int, cur: DataSet, signed: bool, encoding: Encoding
) -> tuple[str, int, int]:
    """VR, kind and length of an explicit element whose tag and VR come for the first time, or are odd."""
    known = VRS.get(key[4:])
    if known is not None:
        vr, kind = known
        if vr in LONG_HEADER:
            kind += 16
        _learn(key, encoding.order, (tag, vr, kind))
        return vr, kind, length
    if key[4:].isalpha():
        raise DicomFormatError("an unknown VR", offset=pos, tag=tag)
    # Some writers slip an implicit element into an explicit dataset.
    (length,) = encoding.length.unpack_from(buffer, pos + 4)
    if vr_of(tag) is None or length > len(buffer) - pos:
        raise DicomFormatError("no VR where one must be", offset=pos, tag=tag)
    vr = _implicit_vr(tag, cur, signed)
    return vr, VRS[vr.encode()][1], length


def implicit_header(
    key: bytes, tag: str, length: int, cur: DataSet, signed: bool, encoding: Encoding
) -> tuple[str, int]:
    """VR and kind of an implicit element that comes for the first time, or depends on its dataset."""
    vr = _implicit_vr(tag, cur, signed)
    kind = VRS[vr.encode()][1]
    if tag[3] not in _PRIVATE and tag[:4] != "0000" and vr_of(tag) != "US or SS":
        # Public, and the VR depends on nothing but the tag. Group 0000 may be padding, and is looked at anew.
        _learn(key, encoding.order, (tag, vr, kind))
    if length == UNDEFINED and tag != PIXEL_DATA:
        return ("SQ", 8)
    return vr, kind


def unknown_vr(tag: str, length: int, cur: DataSet, signed: bool, encoding: Encoding) -> tuple[str, int]:
    """VR and kind for UN: of the dictionary where it knows better.

    Real files have UN for public elements when they passed an older system.
    """
    if length == UNDEFINED:
        return ("SQ", 8)
    if encoding is BIG or (length > 0xFFFE and tag[3] not in _PRIVATE):
        return ("UN", 9)
    return VRS[_implicit_vr(tag, cur, signed).encode()]


def is_implicit_item(buffer: bytes | mmap, pos: int, encoding: Encoding) -> bool:
    """Whether an item of an explicit dataset is in implicit VR, which some writers do."""
    key, _ = encoding.short.unpack_from(buffer, pos)
    raw_vr = key[4:]
    return raw_vr not in VRS and TAG_NAMES[encoding.order][key[:4]] not in DELIMITERS and not raw_vr.isalpha()


def _implicit_vr(tag: str, cur: DataSet, signed: bool) -> str:
    """VR of an element that names none: by the dictionary (PS3.5 Annex A.1)."""
    if tag[3] in _PRIVATE:
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
