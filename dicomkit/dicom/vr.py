"""Value representations: how each is encoded and which part of the reader takes it.

Source: DICOM PS3.5 sections 6.2 (value representations) and 7.1.2 (explicit VR headers).
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

__all__ = ["LONG_HEADER", "NUMBER_FORMAT", "VRS", "Kind"]


class Kind(IntEnum):
    """What the reader does with a value."""

    ASCII = 0
    """Text of the default repertoire, several values."""
    DECIMAL = 1
    """DS: text that stands for a number."""
    INTEGER = 2
    """IS: text that stands for a whole number."""
    TEXT = 3
    """Text in the dataset's character set, several values."""
    NAME = 4
    """PN."""
    PROSE = 5
    """Text in the dataset's character set, one value, a backslash is a character."""
    NUMBER = 6
    """Binary numbers."""
    POINTER = 7
    """AT."""
    SEQUENCE = 8
    BINARY = 9
    """OB and its like: bulk data."""


_KINDS: dict[Kind, str] = {
    Kind.ASCII: "AE AS CS DA DT TM UI",
    Kind.DECIMAL: "DS",
    Kind.INTEGER: "IS",
    Kind.TEXT: "LO SH UC",
    Kind.NAME: "PN",
    Kind.PROSE: "LT ST UT UR",
    Kind.NUMBER: "FD FL SL SS SV UL US UV",
    Kind.POINTER: "AT",
    Kind.SEQUENCE: "SQ",
    Kind.BINARY: "OB OD OF OL OV OW UN",
}

VRS: dict[bytes, tuple[str, int]] = {
    vr.encode(): (vr, int(kind)) for kind, names in _KINDS.items() for vr in names.split()
}
"""VR as it stands in the file -> (VR, kind)."""

LONG_HEADER = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
"""VRs whose explicit header is 12 bytes: two reserved, four of length (PS3.5 section 7.1.2)."""

NUMBER_FORMAT: dict[str, tuple[str, int]] = {
    "US": ("H", 2),
    "SS": ("h", 2),
    "UL": ("I", 4),
    "SL": ("i", 4),
    "FL": ("f", 4),
    "FD": ("d", 8),
    "UV": ("Q", 8),
    "SV": ("q", 8),
    "AT": ("H", 4),
}
"""VR -> (struct character, bytes of one value)."""

SWAP_SIZE: dict[str, int] = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
"""Bytes of one word of the binary VRs that depend on the byte order."""


class Encoding:
    """The structs of one byte order."""

    __slots__ = ("implicit", "length", "one", "order", "short")

    def __init__(self, order: str) -> None:
        self.order = order
        self.short = Struct(f"{order}6sH")
        self.implicit = Struct(f"{order}4sI")
        self.length = Struct(f"{order}I")
        self.one = {vr: Struct(order + c) for vr, (c, _) in NUMBER_FORMAT.items() if vr != "AT"}


LITTLE = Encoding("<")
BIG = Encoding(">")
