"""PNG of samples as they are: 8 or 16 bits, grey or RGB, nothing windowed and nothing lost.

Source: W3C Portable Network Graphics, third edition, sections 5 (chunks) and 7.2 (scan lines; 16 bits are big endian).
"""

from __future__ import annotations

import struct
import zlib

__all__ = ["png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LEVEL = 3
_COLOUR_TYPES = {1: 0, 3: 2}


def png(data: bytes, *, columns: int, rows: int, samples: int, bits: int) -> bytes:
    """The file.

    Parameters
    ----------
    data
        Samples by pixel, little endian.
    samples
        1 for grey, 3 for RGB.
    bits
        8 or 16, of each sample.

    Raises
    ------
    ValueError
        *data* are not of that size.
    """
    line = columns * samples * bits // 8
    if bits not in (8, 16) or samples not in _COLOUR_TYPES or len(data) < line * rows:
        raise ValueError("these are no samples of 8 or 16 bits for a picture of that size")
    if bits == 16:
        big = bytearray(line * rows)
        big[0::2], big[1::2] = data[1 : line * rows : 2], data[0 : line * rows : 2]
        data = bytes(big)
    # Each line begins with the number of its filter; 0 is none.
    lines = b"".join(part for at in range(0, line * rows, line) for part in (b"\0", data[at : at + line]))
    head = struct.pack(">IIBBBBB", columns, rows, bits, _COLOUR_TYPES[samples], 0, 0, 0)
    return b"".join(
        (_SIGNATURE, _chunk(b"IHDR", head), _chunk(b"IDAT", zlib.compress(lines, _LEVEL)), _chunk(b"IEND", b""))
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
