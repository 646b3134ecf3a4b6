"""Native pixel data: frames as they lie one behind the other.

Source: DICOM PS3.5 sections 8.1 and 8.2 and Annex D (bits), PS3.3 section C.7.6.3.1 (planes, subsampling),
edition 2025b.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomkit.dicom.vr import BIG
from dicomkit.errors import FailedPrecondition
from dicomkit.pixels.image import Image, Layout

__all__ = ["check_length", "frame_array", "native_frame", "packed", "swapped"]

Array = npt.NDArray[Any]


def check_length(image: Image) -> None:
    """Refuse an image that has fewer bytes of pixel data than it says.

    Raises
    ------
    FailedPrecondition
        Bytes are missing, or the pixel data are in fragments although the transfer syntax is a native one.
    """
    element = image.elements.get(image.pixel_tag or "")
    layout = image.layout
    if element is None or element.undefined:
        raise FailedPrecondition("the pixel data are in fragments, which this transfer syntax does not allow")
    if layout.photometric == "YBR_PARTIAL_420":
        raise FailedPrecondition("YBR_PARTIAL_420 is a photometric interpretation for compressed pixels only")
    wanted = (layout.frame_bits * layout.frames + 7) // 8
    if wanted > element.end - element.pos:
        raise FailedPrecondition(
            f"the attributes of the image ask for {wanted} bytes of pixel data, {element.end - element.pos} are there"
        )


def native_frame(image: Image, frame: int) -> bytes:
    """The bytes of a frame, counted from 0, in little endian; its first bit is the first of the first byte."""
    layout, element = image.layout, image.elements.get(image.pixel_tag or "")
    if element is None:
        raise FailedPrecondition("the instance has no pixel data")
    buffer = image.elements.buffer
    if layout.bits_allocated == 1:
        return _bit_frame(image, frame, element.pos, element.end, element.vr)
    size = layout.frame_bytes
    start = element.pos + frame * size
    if image.elements.encoding is not BIG:
        return buffer[start : start + size]
    word = 2 if element.vr == "OW" and layout.bits_allocated == 8 else layout.container_bytes
    # Words do not end with a frame when a frame has an odd length.
    low = start - (frame * size) % word
    high = min(element.end, low + -(-(start + size - low) // word) * word)
    little = swapped(buffer[low:high], word)
    return little[start - low : start - low + size]


def packed(frames: Sequence[Array]) -> bytes:
    """Frames of zeros and ones as bits, without a gap between them."""
    return np.packbits(np.concatenate([frame.reshape(-1) for frame in frames]), bitorder="little").tobytes()


def swapped(data: bytes, word: int) -> bytes:
    """Words of big endian as little endian; what is no whole word stays."""
    whole = len(data) - len(data) % word
    return np.frombuffer(data[:whole], dtype=f">u{word}").astype(f"<u{word}").tobytes() + data[whole:]


def _bit_frame(image: Image, frame: int, pos: int, end: int, vr: str) -> bytes:
    """A frame of one bit a pixel, moved so that it begins on a byte."""
    bits = image.layout.frame_bits
    first, last = frame * bits, (frame + 1) * bits
    low, high = first // 8, -(-last // 8)
    buffer = image.elements.buffer
    if image.elements.encoding is BIG and vr == "OW":
        low -= low % 2
        raw = swapped(buffer[pos + low : min(end, pos + high + high % 2)], 2)
    else:
        raw = buffer[pos + low : pos + high]
    if first == low * 8 and not bits % 8:
        return raw[: bits // 8]
    unpacked = np.unpackbits(np.frombuffer(raw, dtype=np.uint8), bitorder="little")
    return np.packbits(unpacked[first - low * 8 : last - low * 8], bitorder="little").tobytes()


def frame_array(data: bytes, layout: Layout) -> Array:
    """The bytes of one native frame as rows x columns (x samples), colour by pixel and not subsampled."""
    rows, columns, samples = layout.rows, layout.columns, layout.samples
    if layout.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little", count=rows * columns)
        return bits.reshape(rows, columns)
    flat = np.frombuffer(data, dtype=layout.dtype)
    if samples == 1:
        return flat.reshape(rows, columns)
    if layout.is_subsampled:
        # Y Y Cb Cr for two pixels (PS3.3 section C.7.6.3.1.2).
        if columns % 2:
            raise FailedPrecondition("a subsampled image must have an even number of Columns")
        pairs = flat.reshape(rows, columns // 2, 4)
        out = np.empty((rows, columns, 3), dtype=flat.dtype)
        out[:, 0::2, 0], out[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
        for sample in (1, 2):
            out[:, 0::2, sample] = out[:, 1::2, sample] = pairs[..., sample + 1]
        return out
    if layout.planar:
        return flat.reshape(samples, rows, columns).transpose(1, 2, 0)
    return flat.reshape(rows, columns, samples)
