"""What the head of a compressed frame says about itself, read before anything is decoded.

A decoder believes its stream: one that says 65,535 x 65,535 in an image of 512 x 512 would be given the memory.
So the size is read here first, by rules that fit on a page.

Sources: ISO/IEC 10918-1 Annex B (JPEG), 14495-1 Annex C (JPEG-LS), 15444-1 Annex A and I (JPEG 2000, and JP2 around
it), 18181-1 Annex D and 18181-2 (JPEG XL: size header and boxes).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from dicomkit.errors import FailedPrecondition
from dicomkit.pixels.syntaxes import HT, J2K, JLS, JPEG, JXL

__all__ = ["Header", "read_header"]

_FRAME_MARKERS = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xF7})
"""Begin of a frame: JPEG baseline, extended, progressive, lossless; JPEG-LS."""
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})
_DAMAGED = "the compressed frame is damaged: its header cannot be read"
_MOST_TILES = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Size of a compressed frame."""

    rows: int
    columns: int
    samples: int | None = None
    bits: int | None = None
    signed: bool | None = None
    is_rgb: bool | None = None
    """Three components are red, green and blue (``True``), are not (``False``), or the stream does not say."""
    transformed: bool = False
    """The codec's own colour transform was used, and undone by decoding."""


def read_header(syntax: str, data: bytes) -> Header:
    """The header of a frame in *syntax*.

    Raises
    ------
    FailedPrecondition
        The bytes do not begin like a stream of that syntax.
    """
    try:
        if syntax in JPEG or syntax in JLS:
            return _jpeg(data)
        if syntax in J2K or syntax in HT:
            return _jpeg_2000(data)
        if syntax in JXL:
            return _jpeg_xl(data)
    except (struct.error, IndexError):
        pass
    raise FailedPrecondition(_DAMAGED)


def _jpeg(data: bytes) -> Header:
    if data[:2] != b"\xff\xd8":
        raise FailedPrecondition(_DAMAGED)
    pos, jfif, adobe = 2, False, None
    while True:
        if data[pos] != 0xFF:
            raise FailedPrecondition(_DAMAGED)
        marker = data[pos + 1]
        if marker == 0xFF:
            pos += 1
            continue
        pos += 2
        if marker in _BARE_MARKERS:
            continue
        (length,) = struct.unpack_from(">H", data, pos)
        if marker in _FRAME_MARKERS:
            bits, rows, columns, samples = struct.unpack_from(">BHHB", data, pos + 2)
            ids = bytes(data[pos + 8 + 3 * i] for i in range(samples))
            rgb: bool | None = None
            if ids in (b"RGB", b"rgb"):
                rgb = True
            elif adobe is not None:
                rgb = adobe == 0
            elif jfif:
                rgb = False
            return Header(rows=rows, columns=columns, samples=samples, bits=bits, is_rgb=rgb)
        if marker in (0xD9, 0xDA) or length < 2:
            raise FailedPrecondition(_DAMAGED)
        body = data[pos + 2 : pos + length]
        if marker == 0xE0 and body[:4] == b"JFIF":
            jfif = True
        elif marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        pos += length


def _jpeg_2000(data: bytes) -> Header:
    # A file format around the codestream (JP2) is not allowed by PS3.5 section A.4.4, and is met all the same.
    pos = 0 if data[:4] == b"\xff\x4f\xff\x51" else data.find(b"\xff\x4f\xff\x51")
    if pos < 0:
        raise FailedPrecondition(_DAMAGED)
    _, _, _, width, height, x0, y0, tile_w, tile_h, tile_x, tile_y, samples = struct.unpack_from(
        ">HHHIIIIIIIIH", data, pos + 2
    )
    depths = [struct.unpack_from("BBB", data, pos + 42 + 3 * i) for i in range(min(samples, 4))]
    if not depths or x0 >= width or y0 >= height or not tile_w or not tile_h:
        raise FailedPrecondition(_DAMAGED)
    if any(d != depths[0] or d[1:] != (1, 1) for d in depths):
        raise FailedPrecondition("the components of the JPEG 2000 stream differ in size or depth")
    tiles = -(-(width - tile_x) // tile_w) * -(-(height - tile_y) // tile_h)
    if not 0 < tiles <= _MOST_TILES:
        raise FailedPrecondition(_DAMAGED)
    style = data.find(b"\xff\x52", pos + 42)
    return Header(
        rows=height - y0,
        columns=width - x0,
        samples=samples,
        bits=(depths[0][0] & 0x7F) + 1,
        signed=depths[0][0] >= 0x80,
        transformed=style > 0 and data[style + 8] == 1,
    )


class _Bits:
    """Bits from the least significant one on, as JPEG XL packs them."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        if count > self._left:
            raise FailedPrecondition(_DAMAGED)
        bits = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return bits

    def size(self) -> int:
        """``U32(u(9), u(13), u(18), u(30))``, counted from 1."""
        return self.read((9, 13, 18, 30)[self.read(2)]) + 1


# Width by height, for the ratios that have a number of their own.
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


def _jpeg_xl(data: bytes) -> Header:
    stream = data[:64] if data[:2] == b"\xff\x0a" else _jpeg_xl_stream(data)
    bits = _Bits(stream[2:])
    small = bits.read(1)
    rows = (bits.read(5) + 1) * 8 if small else bits.size()
    ratio = bits.read(3)
    if ratio:
        wide, high = _RATIOS[ratio]
        columns = rows * wide // high
    else:
        columns = (bits.read(5) + 1) * 8 if small else bits.size()
    return Header(rows=rows, columns=columns)


def _jpeg_xl_stream(data: bytes) -> bytes:
    """The begin of the codestream in a container of boxes."""
    pos = 0
    while pos + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, pos)
        head = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, pos + 8)
            head = 16
        if kind in (b"jxlc", b"jxlp"):
            start = pos + head + (4 if kind == b"jxlp" else 0)
            if data[start : start + 2] == b"\xff\x0a":
                return data[start : start + 64]
            break
        if length < head:
            break
        pos += length
    raise FailedPrecondition(_DAMAGED)
