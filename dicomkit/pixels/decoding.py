"""One compressed frame -> an array.

Source: DICOM PS3.5 sections 8.2 and A.4 (which codec, and what the colours of its stream are), Annex G (RLE),
edition 2025b. The codecs are those of imagecodecs.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomkit.errors import FailedPrecondition
from dicomkit.pixels.codestream import Header, read_header
from dicomkit.pixels.image import Layout
from dicomkit.pixels.syntaxes import DEFLATED_FRAMES, HT, J2K, JLS, JPEG, JPEG_LOSSY, JXL, RLE

__all__ = ["decode_frame", "photometric_of"]

Array = npt.NDArray[Any]

_END_OF_IMAGE = b"\xff\xd9"
_DAMAGED = "the compressed frame is damaged: it cannot be decoded"


def photometric_of(syntax: str, layout: Layout) -> str:
    """PhotometricInterpretation of what :func:`decode_frame` gives, where it is the same for all frames.

    Lossy JPEG comes out as RGB whatever it was inside, and the colour transforms of JPEG 2000 and JPEG XL are
    undone by decoding; everything else keeps its colours, so that lossless stays lossless.
    """
    if layout.samples == 1:
        return layout.photometric
    if syntax in JPEG_LOSSY or layout.photometric in ("YBR_RCT", "YBR_ICT", "XYB"):
        return "RGB"
    if syntax in JXL and layout.photometric == "YBR_FULL_422":
        return "RGB"
    return "YBR_FULL" if layout.photometric == "YBR_FULL_422" else layout.photometric


def decode_frame(syntax: str, data: bytes, layout: Layout) -> Array:
    """A frame as an array of rows x columns (x samples), little endian, in the image's own sample type.

    Raises
    ------
    FailedPrecondition
        The stream is damaged, or is of another size than the image.
    """
    if syntax == RLE:
        return _rle(data, layout)
    if syntax == DEFLATED_FRAMES:
        return _deflated(data, layout)
    header = read_header(syntax, data)
    _check(header, layout)
    try:
        array: Array = np.asarray(_decoder(syntax)(data, header, layout))
    except MemoryError:
        raise
    except Exception as exc:
        raise FailedPrecondition(_DAMAGED) from exc
    shape = (layout.rows, layout.columns) if layout.samples == 1 else (layout.rows, layout.columns, layout.samples)
    if array.shape != shape or array.dtype.kind not in "iu":
        raise FailedPrecondition(_DAMAGED)
    return _as_stored(array, header.bits or 8 * array.dtype.itemsize, layout)


def _check(header: Header, layout: Layout) -> None:
    if (header.rows, header.columns) != (layout.rows, layout.columns):
        raise FailedPrecondition("a compressed frame has another size than Rows and Columns say")
    if header.samples is not None and header.samples != layout.samples:
        raise FailedPrecondition("a compressed frame has another number of samples than SamplesPerPixel says")
    if header.bits is not None and header.bits > layout.bits_allocated:
        raise FailedPrecondition("a compressed frame has more bits a sample than BitsAllocated")


def _as_stored(array: Array, bits: int, layout: Layout) -> Array:
    """The samples in the type that the image says, with the sign that its stream could not carry."""
    wanted = np.dtype(layout.dtype)
    if layout.signed and array.dtype.kind == "u":
        # JPEG, JPEG-LS and JPEG XL know no sign: the stream holds the two's complement (PS3.5 section 8.2).
        container = 8 * array.dtype.itemsize
        array = array.view(f"i{array.dtype.itemsize}")
        if bits < container:
            shift = container - bits
            array = np.right_shift(np.left_shift(array, shift), shift)
    elif not layout.signed and array.dtype.kind == "i":
        array = array.astype(wanted) & np.array((1 << bits) - 1, dtype=wanted)
    return array.astype(wanted, copy=False)


@cache
def _decoder(syntax: str) -> Callable[[bytes, Header, Layout], Any]:
    import imagecodecs

    spaces = imagecodecs.JPEG8.CS

    def jpeg(data: bytes, header: Header, layout: Layout) -> Any:
        if layout.samples == 1:
            return imagecodecs.jpeg8_decode(data, colorspace=spaces.GRAYSCALE, outcolorspace=spaces.GRAYSCALE)
        rgb = header.is_rgb if header.is_rgb is not None else layout.photometric == "RGB"
        inside = spaces.RGB if rgb or syntax not in JPEG_LOSSY else spaces.YCbCr
        return imagecodecs.jpeg8_decode(data, colorspace=inside, outcolorspace=spaces.RGB)

    if syntax in JPEG:
        return jpeg
    if syntax in JLS:
        return lambda data, header, layout: imagecodecs.jpegls_decode(_ended(data))
    if syntax in J2K or syntax in HT:
        # OpenJPEG reads HTJ2K as well; OpenJPH, which writes it here, dies of damaged streams.
        return lambda data, header, layout: imagecodecs.jpeg2k_decode(data, planar=False, numthreads=1)
    # The first image only: JPEG XL has animations.
    return lambda data, header, layout: imagecodecs.jpegxl_decode(data, 0, keeporientation=True, numthreads=1)


def _ended(data: bytes) -> bytes:
    """JPEG-LS with the marker of its end: CharLS takes seconds to find out that a stream without it is cut."""
    return data if _END_OF_IMAGE in data[-16:] else data + _END_OF_IMAGE


def _rle(data: bytes, layout: Layout) -> Array:
    """RLE Lossless: one run of PackBits for each byte of a sample, most significant first (PS3.5 Annex G)."""
    import imagecodecs

    planes = layout.samples * layout.container_bytes
    if len(data) < 64 or struct.unpack_from("<I", data)[0] != planes:
        raise FailedPrecondition("the RLE header does not have one segment for each byte of a pixel")
    offsets = [*struct.unpack_from(f"<{planes}I", data, 4), len(data)]
    if offsets[0] < 64 or any(a > b for a, b in pairwise(offsets)):
        raise FailedPrecondition("the offsets of the RLE segments do not ascend")
    pixels = layout.rows * layout.columns
    out = np.empty((layout.samples, pixels, layout.container_bytes), dtype=np.uint8)
    for plane in range(planes):
        segment = data[offsets[plane] : offsets[plane + 1]]
        try:
            # A few encoders write a run too many.
            run = imagecodecs.packbits_decode(segment, out=pixels + 4096)
        except Exception as exc:
            raise FailedPrecondition(_DAMAGED) from exc
        if len(run) < pixels:
            raise FailedPrecondition("an RLE segment ends before the last pixel")
        sample, byte = divmod(plane, layout.container_bytes)
        out[sample, :, layout.container_bytes - 1 - byte] = np.frombuffer(run, dtype=np.uint8, count=pixels)
    array = out.reshape(-1).view(layout.dtype).reshape(layout.samples, layout.rows, layout.columns)
    return array[0] if layout.samples == 1 else np.ascontiguousarray(array.transpose(1, 2, 0))


def _deflated(data: bytes, layout: Layout) -> Array:
    """Deflated Image Frame Compression: a native frame by itself, deflated (PS3.5 section A.4.14)."""
    from dicomkit.pixels.native import frame_array

    engine = zlib.decompressobj(-15)
    try:
        raw = engine.decompress(data, layout.frame_bytes + 2)
    except zlib.error:
        raise FailedPrecondition(_DAMAGED) from None
    # A frame of an odd length may have been padded.
    if not engine.eof or not layout.frame_bytes <= len(raw) <= layout.frame_bytes + 1:
        raise FailedPrecondition("a deflated frame has another size than the image says")
    return frame_array(raw[: layout.frame_bytes], layout)
