"""Files that were damaged, and files that were never right, the same for the same seed."""

from __future__ import annotations

import random
import struct

from pydicom.datadict import DicomDictionary

from tests.conftest import WHEEL
from tests.unit.dicom.instances import element, raw_part10

__all__ = ["damaged", "odd", "seeds"]

_VRS = (
    *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "OB", "OD", "OF", "OL", "OV", "OW", "PN"),
    *("SH", "SL", "SQ", "SS", "ST", "SV", "TM", "UC", "UI", "UL", "UN", "UR", "US", "UT", "UV"),
)
# A share of them: a table of all of them, nested, would have more columns than BigQuery allows.
_TAGS = sorted(tag for tag in DicomDictionary if 0x00080000 <= tag < 0x7FE00000)[::13]
_TERMS = (
    *(b"ISO_IR 100", b"ISO_IR 192", b"GB18030", b"\\ISO 2022 IR 87", b"ISO 2022 IR 149", b"ISO_IR 13", b"", b"\\\\"),
    *(b"ISO 2022 IR 6\\ISO 2022 IR 58", b"ISO_IR 192\\ISO_IR 100", b"utf_7", b"unicode_escape", b"\x00", b"\xff\xfe"),
)
_VALUES = (
    *(
        b"",
        b" ",
        b"\x00",
        b"\x00\x01",
        b"\\",
        b"\\" * 9,
        b"=",
        b"^^^^=^=",
        b"1",
        b"-1",
        b"1e400",
        b"nan",
        b"inf",
        b"+.5",
    ),
    *(
        b"99999999999999999999",
        b"1.5\\",
        b"20240230",
        b"240000",
        b"10:10:10",
        b"20240101-",
        b"090Y",
        b"1.2.3",
        b"..\\..",
    ),
    *(
        b"\xff\xff\xff\xff",
        b"\x1b$B",
        b"\x1b",
        b"\xc3\x28",
        b"\xed\xa0\x80",
        b"\x7f\xf8\0\0\0\0\0\0",
        b"x" * 70,
        b"\r\n",
    ),
    *(b"<script>", b"' OR 1=1 --", b"%s%n", b"../../../etc/passwd", b"\xe2\x80\xae", b"\xef\xbf\xbf", b"\x80" * 9),
)


def seeds(most_bytes: int) -> list[bytes]:
    """The small files of pydicom's wheel."""
    return [path.read_bytes() for path in sorted(WHEEL.glob("*.dcm")) if path.stat().st_size < most_bytes]


def damaged(rng: random.Random, raw: bytes) -> bytes:
    """*raw* with bytes flipped, cut out, put in, and VRs exchanged."""
    out = bytearray(raw)
    for _ in range(rng.randint(1, 5)):
        at, kind = rng.randrange(len(out)), rng.random()
        if kind < 0.6:
            out[at] = rng.randrange(256)
        elif kind < 0.8:
            out[at : at + rng.randint(1, 4)] = rng.randbytes(rng.randint(0, 5))
        else:
            out[at : at + 2] = rng.choice([b"SQ", b"PN", b"US", b"UN", b"CS", b"AT", b"OB", b"UC", b"DS", b"FD"])
    return bytes(out)


def odd(rng: random.Random, number: int) -> bytes:
    """An instance of its own, put together of elements that are well-formed and senseless."""
    pieces = [element(0x00080005, "CS", _even(rng.choice(_TERMS)))] if rng.random() < 0.7 else []
    pieces += [_element(rng, 0) for _ in range(rng.randint(1, 30))]
    uid = b"1.2.9.%d" % (1_000_000 + number)
    return raw_part10(*pieces).replace(element(0x00080018, "UI", b"1.2.3.4.5\0"), element(0x00080018, "UI", _even(uid)))


def _element(rng: random.Random, depth: int) -> bytes:
    tag, vr = rng.choice(_TAGS), rng.choice(_VRS)
    if rng.random() < 0.6 and DicomDictionary[tag][0] in _VRS:
        vr = DicomDictionary[tag][0]
    if rng.random() < 0.15:
        tag = rng.choice(
            [0x00090010, 0x00091001, 0x7FE00010, 0x7FE00008, 0x00080060, 0x00280010, 0x00280008, 0x54000110]
        )
    if vr == "SQ":
        items = [_item(rng, depth) for _ in range(rng.randint(0, 3) if depth < 2 else 0)]
        return element(tag, "SQ", b"".join(items))
    value = rng.choice(_VALUES) if rng.random() < 0.8 else rng.randbytes(rng.randint(0, 40))
    if vr in ("US", "SS", "UL", "SL", "FL", "FD", "AT", "SV", "UV") and rng.random() < 0.97:
        value = bytes(rng.choice((0, 1, 63)) for _ in range(8 * rng.randint(0, 3)))
    return element(tag, vr, _even(value))


def _item(rng: random.Random, depth: int) -> bytes:
    inside = b"".join(_element(rng, depth + 1) for _ in range(rng.randint(0, 4)))
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(inside)) + inside


def _even(value: bytes) -> bytes:
    return value + b" " * (len(value) % 2)
