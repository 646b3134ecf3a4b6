"""Small files that cost a reader much, and what they are to cost here."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

from tests.unit.dicom.instances import element, raw_part10

__all__ = ["BOMBS", "deflated", "nested"]

DEFLATED = "1.2.840.10008.1.2.1.99"
IMPLICIT = "1.2.840.10008.1.2"
_SEQUENCE, _ITEM = 0x00400275, b"\xfe\xff\x00\xe0"
_OPEN = 0xFFFFFFFF


def deflated(data: bytes = b"", zeros: int = 0) -> bytes:
    """A file of Deflated Explicit VR Little Endian: the required attributes, *data*, and so many MiB of zeros."""
    engine = zlib.compressobj(1 if data else 9, zlib.DEFLATED, -15)
    whole = raw_part10(syntax=DEFLATED)
    start = whole.index(b"\x08\x00\x16\x00UI")
    first = engine.compress(whole[start:] + data) + engine.flush(zlib.Z_FULL_FLUSH)
    # After a full flush the same input is the same output, which need not be computed again.
    block = engine.compress(bytes(1 << 20)) + engine.flush(zlib.Z_FULL_FLUSH)
    return whole[:start] + first + block * zeros + engine.flush()


def nested(depth: int, *, is_open: bool) -> bytes:
    """Sequences inside sequences, with their lengths or with delimiters."""
    if is_open:
        inside = element(_SEQUENCE, "SQ", b"", _OPEN) + _ITEM + struct.pack("<I", _OPEN)
        outside = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
        return raw_part10(inside * depth + element(0x00080100, "SH", b"A1") + outside * depth)
    inner = element(0x00080100, "SH", b"A1")
    for _ in range(depth):
        inner = element(_SEQUENCE, "SQ", _ITEM + struct.pack("<I", len(inner)) + inner)
    return raw_part10(inner)


def _implicit(*tags_and_value: Any) -> bytes:
    """A file whose last elements, all with the same value, have no VR, and so lengths of four bytes whatever the VR."""
    *tags, value = tags_and_value
    whole = raw_part10(syntax=IMPLICIT)
    start = whole.index(b"\x08\x00\x16\x00UI")
    body = b"".join(
        struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(text)) + text
        for tag, text in (
            (0x00080016, b"1.2.840.10008.5.1.4.1.1.88.11\0"),
            (0x00080018, b"1.2.3.4.5\0"),
            (0x0020000D, b"1.2.3\0"),
            (0x0020000E, b"1.2.3.4\0"),
            *((tag, value) for tag in tags),
        )
    )
    return whole[:start] + body


def _elements(count: int, value: bytes = b"") -> bytes:
    return b"".join(
        struct.pack("<HH2sH", 0x0043 + 2 * (n >> 16), n & 0xFFFF, b"LO", len(value)) + value for n in range(count)
    )


_OPEN_LENGTH = struct.pack("<I", _OPEN)
_EMPTY_ITEM = _ITEM + bytes(4)
_SEVEN = (0x00200012, 0x00200013, 0x00200019, 0x00200022, 0x00200024, 0x00200026, 0x00200100)
_SEVEN_NAMES = (0x00100010, 0x00101001, 0x00101005, 0x00101060, 0x00102297, 0x00321032, 0x00380300)

BOMBS: dict[str, Callable[[], bytes]] = {
    "65 KB inflate to 64 MB": lambda: deflated(element(0x00420011, "OB", b"", 64 << 20), 64),
    "260 KB inflate to 256 MB": lambda: deflated(zeros=256),
    "1 MB inflates to 1 GB": lambda: deflated(zeros=1024),
    "a million elements, deflated": lambda: deflated(_elements(1_000_000)),
    "a million elements": lambda: raw_part10(_elements(1_000_000)),
    "a million items": lambda: raw_part10(element(_SEQUENCE, "SQ", _EMPTY_ITEM * 1_000_000)),
    "a million items without an end": lambda: raw_part10(element(_SEQUENCE, "SQ", _EMPTY_ITEM * 1_000_000, _OPEN)),
    "half a million values of IS": lambda: _implicit(0x00200013, b"1\\" * 500_000),
    "two million values of IS": lambda: _implicit(0x00200013, b"1\\" * 2_000_000),
    "half a million values of DS": lambda: _implicit(0x00200032, b"1\\" * 500_000),
    "eight million values of DS": lambda: _implicit(0x00200032, b"1\\" * 8_000_000),
    "two million values of PN": lambda: _implicit(0x00100010, b"a\\" * 2_000_000),
    "a million values of UI": lambda: _implicit(0x00081155, b"1\\" * 1_000_000),
    "two million values of UC": lambda: raw_part10(element(0x00080119, "UC", b"a\\" * 2_000_000)),
    "zeros after UN without a length": lambda: raw_part10(element(0x00091001, "UN", bytes(4_000_000), _OPEN)),
    "sixteen megabytes of zeros": lambda: bytes(16 << 20),
    "sixteen megabytes of zeros after the required": lambda: raw_part10(bytes(16 << 20)),
    "a length of four gigabytes": lambda: raw_part10(element(0x00420011, "OB", b"0123456789", 0xFFFFFFFE)),
    "a text of a megabyte, a hundred times": lambda: raw_part10(
        *[element(0x00091000 + n, "UT", b"x" * (1 << 20)) for n in range(100)]
    ),
    "a text of 60,000 characters, two thousand times": lambda: raw_part10(
        *[element(0x00431000 + n, "LT", b"x" * 60_000) for n in range(2_000)]
    ),
    "two million fragments": lambda: raw_part10(
        element(0x7FE00010, "OB", _EMPTY_ITEM * 2_000_010 + b"\xfe\xff\xdd\xe0\0\0\0\0", _OPEN)
    ),
    "seven times 65,535 values of IS": lambda: _implicit(*_SEVEN, b"123456789012345\\" * 65_534 + b"1 "),
    "seven times 65,535 values of PN": lambda: _implicit(*_SEVEN_NAMES, b"a=b=c\\" * 65_534 + b"a "),
    "sixty-three times 65,535 values of UC": lambda: raw_part10(
        *[element(0x00431000 + n, "UC", b"12\\" * 65_534 + b"1 ") for n in range(63)]
    ),
    "fifteen texts of a megabyte that JSON writes six times as long": lambda: raw_part10(
        *[element(0x00431000 + n, "UT", b"\x01" * (1 << 20)) for n in range(15)]
    ),
    "199,000 elements of two values": lambda: raw_part10(_elements(199_000, b"x" * 31 + b"\\" + b"y" * 32)),
    "60,000 small binary values": lambda: raw_part10(
        *[
            struct.pack("<HH2sHI", 0x43 + 2 * (n >> 16), n & 0xFFFF, b"OD", 0, 2_048) + bytes(2_048)
            for n in range(99_999)
        ]
    ),
    "a long sequence with a million items in one": lambda: raw_part10(
        element(_SEQUENCE, "SQ", _ITEM + _OPEN_LENGTH + element(_SEQUENCE, "SQ", _EMPTY_ITEM * 1_000_000, _OPEN), _OPEN)
    ),
    "199 sequences inside each other": lambda: nested(199, is_open=True),
    "100,000 sequences inside each other": lambda: nested(100_000, is_open=True),
}
"""Name -> file; a store refuses each, or holds it cheaply."""
