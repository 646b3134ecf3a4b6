"""An array -> one compressed frame, and which images a syntax cannot hold.

Source: DICOM PS3.5 sections 8.2 and A.4 and Annex G, edition 2025b; "DICOM conformance statement" of the Cloud
Healthcare API for what is not transcoded at all.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomkit.errors import FailedPrecondition, NotAcceptable
from dicomkit.pixels.image import Layout
from dicomkit.pixels.syntaxes import (
    DEFLATED_FRAMES,
    HT,
    HTJ2K,
    J2K,
    JLS,
    JPEG,
    JPEG_2000,
    JPEG_BASELINE,
    JPEG_LOSSY,
    JPEG_LS_NEAR,
    JPEG_XL,
    JPEG_XL_RECOMPRESSION,
    JXL,
    LOSSY_METHOD,
    NATIVE,
    RLE,
    WRITABLE,
)

__all__ = ["check_writable", "encode_frame", "photometric_in", "recompressed"]

Array = npt.NDArray[Any]

QUALITY = 90
"""Of lossy JPEG, on the scale of libjpeg."""
NEAR = 2
"""Largest difference of a sample after near-lossless JPEG-LS."""
J2K_DECIBEL = 50
"""Of lossy JPEG 2000: the signal-to-noise ratio asked for."""
HT_STEP = 1 / 2000
"""Of lossy HTJ2K: the quantisation step, as a part of the range."""
JXL_DISTANCE = 0.5
"""Of lossy JPEG XL: butteraugli distance; 1 is said to be not visible."""
JLS_GROWTH = 5
"""How many times larger than its pixels a JPEG-LS image may be: a sample takes up to 4 times its bits (ITU-T T.87
section A.2.1, LIMIT), and after each byte of ones comes a bit more."""
JLS_HEAD = 1024

_LOSSY = JPEG_LOSSY | {JPEG_XL}
_SAMPLED = JPEG | JLS | JXL | J2K | HT


def check_writable(source: str, target: str, layout: Layout) -> None:
    """Refuse a target syntax that cannot hold the image.

    Raises
    ------
    NotAcceptable
        With the reason, and what to ask for instead.
    """
    reason = _reason(source, target, layout)
    if reason is not None:
        raise NotAcceptable(f"the image cannot be transcoded to {target}: {reason}")


def _reason(source: str, target: str, layout: Layout) -> str | None:
    if target not in WRITABLE:
        return "this server does not write that transfer syntax; 1.2.840.10008.1.2.1 or * will do"
    if target in NATIVE:
        return None
    if layout.is_float or layout.bits_allocated in (1, 64):
        return "pixels of 1 bit, floats and doubles are only transcoded between native transfer syntaxes"
    if layout.photometric.startswith("YBR_PARTIAL"):
        return f"{layout.photometric} is retired and not converted"
    if target == JPEG_XL_RECOMPRESSION:
        return None if source == JPEG_BASELINE else "it holds JPEG images, and this is none; ask for ...4.110"
    if target in JPEG and not layout.is_monochrome and layout.bits_stored > 8:
        return "JPEG takes no colours deeper than 8 bits; ask for ...4.80 or ...4.90"
    if target in _SAMPLED and layout.bits_allocated > 16:
        return "its encoder takes up to 16 bits a sample; ask for 1.2.840.10008.1.2.5"
    if target == JPEG_BASELINE and layout.bits_stored > 8:
        return "it has 8 bits a sample; ask for ...4.51 (12 bits), ...4.70 (lossless), or a rendered image"
    if target in JPEG_LOSSY and layout.bits_stored > 12:
        return "it has 12 bits a sample; ask for ...4.70 (lossless), or a rendered image"
    if target in _LOSSY and layout.signed:
        return "its lossy encoder takes no negative values; ask for a lossless transfer syntax"
    if target in _LOSSY | {JPEG_LS_NEAR, JPEG_2000, HTJ2K} and layout.photometric == "PALETTE COLOR":
        return "a lossy codec would change which colours of the palette are meant; ask for a lossless transfer syntax"
    return None


def photometric_in(target: str, photometric: str) -> str:
    """PhotometricInterpretation inside *target*, for pixels that are *photometric* outside (PS3.5 section 8.2)."""
    if photometric == "RGB":
        if target in J2K:
            return "YBR_ICT" if target == JPEG_2000 else "YBR_RCT"
        if target in HT:
            return "YBR_ICT" if target == HTJ2K else "YBR_RCT"
        if target in JPEG_LOSSY or target == JPEG_XL_RECOMPRESSION:
            return "YBR_FULL_422"
        if target == JPEG_XL:
            return "XYB"
    return photometric


def encode_frame(target: str, array: Array, layout: Layout) -> bytes:
    """A frame in *target*; the array is as decoding gives it, in RGB where the target is lossy JPEG or JPEG XL."""
    array = np.ascontiguousarray(array)
    if target in LOSSY_METHOD:
        # What is above BitsStored is no part of the value, and would only be in the way.
        array = array << (spare := 8 * array.dtype.itemsize - layout.bits_stored) >> spare
    if target == RLE:
        return _rle(array, layout)
    if target == DEFLATED_FRAMES:
        engine = zlib.compressobj(6, zlib.DEFLATED, -15)
        return engine.compress(array.tobytes()) + engine.flush()
    try:
        return bytes(_encode(target, array, layout))
    except MemoryError:
        raise
    except Exception as exc:
        # Codecs raise errors of their own, and ValueError for what their wrappers do not take.
        raise FailedPrecondition(f"the encoder of {target} failed on this image") from exc


def recompressed(target: str, data: bytes) -> bytes:
    """A JPEG image inside JPEG XL, or taken out of it again, bit by bit the same.

    Raises
    ------
    FailedPrecondition
        The image is none that JPEG XL can hold so.
    """
    import imagecodecs

    try:
        if target == JPEG_XL_RECOMPRESSION:
            return bytes(imagecodecs.jpegxl_encode_jpeg(data, numthreads=1))
        return bytes(imagecodecs.jpegxl_decode_jpeg(data))  # type: ignore[call-arg]
    except imagecodecs.JpegxlError as exc:
        raise FailedPrecondition("a frame cannot be changed between JPEG and JPEG XL without decoding it") from exc


def _encode(target: str, array: Array, layout: Layout) -> Any:
    import imagecodecs

    colour = layout.photometric == "RGB"
    bits = layout.bits_stored
    if target in J2K:
        options: dict[str, Any] = {"codecformat": "J2K", "mct": colour, "numthreads": 1}
        if _fits(array, bits, layout.signed):
            options["bitspersample"] = bits
        if target == JPEG_2000:
            return imagecodecs.jpeg2k_encode(array, J2K_DECIBEL, reversible=False, **options)
        return imagecodecs.jpeg2k_encode(array, 0, reversible=True, **options)
    if target in HT:
        # OpenJPH writes RPCL by itself. The lowest resolution is to be no larger than 64 (PS3.5 section A.4.12).
        levels = max(0, (max(array.shape[:2]) - 1).bit_length() - 6)
        options = {"rgb": colour, "tlm": True, "resolutions": min(levels, 32)}
        if target == HTJ2K:
            return imagecodecs.htj2k_encode(array, HT_STEP, reversible=False, **options)
        return imagecodecs.htj2k_encode(array, reversible=True, **options)
    # The others know no sign, and hold the two's complement.
    array = array.view(f"u{array.dtype.itemsize}")
    if target in JLS:
        # Noise becomes larger, and the buffer that the codec makes by itself is too small for it.
        size = JLS_GROWTH * array.nbytes + JLS_HEAD
        return imagecodecs.jpegls_encode(array, NEAR if target == JPEG_LS_NEAR else 0, out=size)
    if target == JPEG_XL:
        return imagecodecs.jpegxl_encode(
            array, distance=JXL_DISTANCE, bitspersample=layout.bits_stored, effort=5, numthreads=1
        )
    if target in JXL:
        return imagecodecs.jpegxl_encode(array, lossless=True, effort=3, numthreads=1)
    spaces = imagecodecs.JPEG8.CS
    if target in JPEG_LOSSY:
        depth = 8 if bits <= 8 else 12
        array = array.astype(np.uint8) if bits <= 8 else array
        subsampling = "422" if layout.samples == 3 else None
        return imagecodecs.jpeg8_encode(array, QUALITY, subsampling=subsampling, bitspersample=depth)
    if layout.samples == 3:
        return imagecodecs.jpeg8_encode(
            array, lossless=True, predictor=1, colorspace=spaces.RGB, outcolorspace=spaces.RGB
        )
    return _lossless_jpeg(array, bits, layout.signed)


def _lossless_jpeg(array: Array, bits: int, signed: bool) -> Any:
    """Lossless JPEG of the precision that BitsStored says, where no sample has more."""
    import imagecodecs

    whole = 8 * array.dtype.itemsize
    if signed and _fits(_signed(array), bits, True):
        array = array & ((1 << bits) - 1)
    elif bits == 1 or not _fits(array, bits, False):
        bits = whole
    # Decoders take the precision for the size of the container.
    least = 2 if whole == 8 else 9
    return imagecodecs.jpeg8_encode(array, lossless=True, predictor=1, bitspersample=max(least, bits))


def _signed(array: Array) -> Array:
    return array.view(f"i{array.dtype.itemsize}")


def _fits(array: Array, bits: int, signed: bool) -> bool:
    """Whether every sample can be said in *bits*; the unused bits of the container may hold something."""
    if bits == 8 * array.dtype.itemsize:
        return True
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return bool(array.min() >= low and array.max() <= high)


def _rle(array: Array, layout: Layout) -> bytes:
    """RLE Lossless (PS3.5 Annex G): PackBits of each byte of a sample, most significant first, row by row."""
    import imagecodecs

    size = layout.container_bytes
    split = array.view(np.uint8).reshape(layout.rows, layout.columns, layout.samples, size)
    segments = []
    for sample in range(layout.samples):
        for byte in reversed(range(size)):
            # As bytes: a row of one pixel has strides that the codec refuses.
            segment = b"".join(imagecodecs.packbits_encode(row.tobytes()) for row in split[:, :, sample, byte])
            segments.append(segment + b"\0" * (len(segment) % 2))
    offsets = [64]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    head = struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(offsets)))
    return head + b"".join(segments)
