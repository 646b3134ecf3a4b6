"""Colours: YBR to RGB, and palettes.

Source: DICOM PS3.3 sections C.7.6.3.1.2 (photometric interpretation), C.7.6.3.1.5 and C.7.6.3.1.6 (palettes) and
C.7.9.2 (segmented palettes), edition 2025b.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomkit.errors import FailedPrecondition
from dicomkit.pixels.elements import Elements

__all__ = ["palette_of", "to_rgb"]

Array = npt.NDArray[Any]

_LUT_TAGS = ("0028120", "0028122")
_MOST_ENTRIES = 65_536


def to_rgb(array: Array, photometric: str) -> Array:
    """RGB of 8 or 16 bits from *photometric*, by pixel."""
    if photometric == "RGB":
        return array
    full = array.dtype.type(np.iinfo(array.dtype).max)
    half = (int(full) + 1) / 2
    y, blue, red = (array[..., i].astype(np.float32) for i in range(3))
    blue -= half
    red -= half
    if photometric.startswith("YBR_PARTIAL"):
        # Luma from 16 to 235 and chroma from 16 to 240, for 8 bits (ITU-R BT.601).
        step = (int(full) + 1) / 256
        y = (y - 16 * step) * np.float32(255 / 219)
        blue *= np.float32(255 / 224)
        red *= np.float32(255 / 224)
    out = np.empty(array.shape, dtype=array.dtype)
    for i, colour in enumerate((y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue)):
        out[..., i] = np.clip(np.floor(colour + 0.5), 0, full)
    return out


def palette_of(elements: Elements) -> tuple[Array, int]:
    """The palette as entries x 3 of 8 bits, and the pixel value of its first entry.

    Raises
    ------
    FailedPrecondition
        Tables are missing, differ in length or are damaged.
    """
    columns = []
    first = 0
    for colour in (1, 2, 3):
        descriptor = [int(v) for v in elements.numbers(f"0028110{colour}")]
        if len(descriptor) != 3:
            raise FailedPrecondition("a PALETTE COLOR image without descriptors of its three tables")
        entries, first, bits = descriptor[0] % 65_536 or 65_536, descriptor[1], descriptor[2]
        if bits not in (8, 16):
            raise FailedPrecondition("a palette has 8 or 16 bits an entry")
        columns.append(_table(elements, colour, entries, bits))
        if colour == 1:
            start = first
    return np.stack(columns, axis=-1), start


def _table(elements: Elements, colour: int, entries: int, bits: int) -> Array:
    plain = elements.raw(f"0028120{colour}")
    order = elements.encoding.order
    if plain is not None:
        if len(plain) >= 2 * entries:
            words = np.frombuffer(plain, dtype=f"{order}u2", count=entries)
            # A table of 8 bits in words of 16 is met as well; its values are small.
            return (words if bits == 8 else words >> 8).astype(np.uint8)
        if len(plain) >= entries:
            data = plain
            if order == ">" and elements.get(f"0028120{colour}") is not None:
                data = np.frombuffer(plain[: len(plain) & ~1], dtype=">u2").astype("<u2").tobytes()
            return np.frombuffer(data, dtype=np.uint8, count=entries)
        raise FailedPrecondition("a palette has fewer entries than its descriptor says")
    segmented = elements.raw(f"0028122{colour}")
    if segmented is None:
        raise FailedPrecondition("a PALETTE COLOR image without its tables")
    kind = "u1" if bits == 8 else f"{order}u2"
    values = np.frombuffer(segmented[: len(segmented) & ~1], dtype=kind).tolist()
    expanded = np.asarray(_expand(values, bits == 16), dtype=np.int64)
    if len(expanded) < entries:
        raise FailedPrecondition("a segmented palette has fewer entries than its descriptor says")
    expanded = expanded[:entries]
    return (expanded if bits == 8 else expanded >> 8).astype(np.uint8)


def _expand(data: Sequence[int], wide: bool) -> list[int]:
    """Discrete, linear and indirect segments written out (PS3.3 section C.7.9.2)."""
    out: list[int] = []
    pos = 0
    try:
        while pos + 1 < len(data) and len(out) <= _MOST_ENTRIES:
            code, count = data[pos], data[pos + 1]
            if code in (0, 1):
                pos = _segment(data, pos, out)
            elif code == 2:
                # The offset is in bytes in two words of 16 bits or four of 8, the least significant first.
                low = data[pos + 2] + (data[pos + 3] << 16) if wide else _bytes_offset(data, pos)
                at = low // 2 if wide else low
                for _ in range(count):
                    if data[at] not in (0, 1) or len(out) > _MOST_ENTRIES:
                        raise IndexError
                    at = _segment(data, at, out)
                pos += 4 if wide else 6
            else:
                raise IndexError
    except IndexError:
        raise FailedPrecondition("a segmented palette is damaged") from None
    return out


def _bytes_offset(data: Sequence[int], pos: int) -> int:
    return data[pos + 2] + (data[pos + 3] << 8) + (data[pos + 4] << 16) + (data[pos + 5] << 24)


def _segment(data: Sequence[int], pos: int, out: list[int]) -> int:
    """Write out a discrete or linear segment; gives where the next one begins."""
    code, count = data[pos], data[pos + 1]
    if code == 0:
        values = data[pos + 2 : pos + 2 + count]
        if len(values) < count:
            raise IndexError
        out.extend(values)
        return pos + 2 + count
    if not out:
        raise IndexError
    begin, end = out[-1], data[pos + 2]
    out.extend(round(begin + (end - begin) * i / count) for i in range(1, count + 1))
    return pos + 3
