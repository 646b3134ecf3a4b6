"""Frames of an instance as arrays: the server decompresses, and the metadata say how the bytes are laid out.

Source: DICOM PS3.18 section 10.4.1.1.6 (frame resources), edition 2025b; Cloud Healthcare API v1, ``retrieveFrames``
with ``application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import requests

from dicomkit.client.rest import Rest
from dicomkit.client.slices import MAX_FRAMES, number_of
from dicomkit.dicom.dictionary import tag_of
from dicomkit.dicom.multipart import ChunkStream, parts
from dicomkit.errors import DicomFormatError, FailedPrecondition, InvalidArgument, PayloadTooLarge, Unavailable

if TYPE_CHECKING:
    from dicomkit.pixels.image import Layout

__all__ = ["frame_arrays", "frame_numbers", "layout_of_row"]

Array = npt.NDArray[Any]
Row = Mapping[str, Any]

UNCOMPRESSED = 'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1'

FRAMES_A_REQUEST = 64
"""Most frames of one request, so that no URL grows without limit."""

BYTES_A_REQUEST = 32 << 20
"""Bytes of one request, unless a single frame has more; they are in memory at once."""

_FLOATS = {tag_of("FloatPixelData"): 32, tag_of("DoubleFloatPixelData"): 64}
_PIXELS = (tag_of("PixelData"), *_FLOATS)
_SYNTAX = "00020010"
_AVAILABLE_SYNTAX = tag_of("AvailableTransferSyntaxUID")


def frame_numbers(numbers: int | Sequence[int] | None, count: int) -> list[int]:
    """The frames that are wanted, all of them where nothing is said.

    Raises
    ------
    InvalidArgument
        A number is none of the image's.
    """
    if numbers is None and count > MAX_FRAMES:
        raise InvalidArgument(f"the image says that it has {count} frames, more than {MAX_FRAMES}; choose by numbers=")
    several = range(1, count + 1) if numbers is None else numbers if isinstance(numbers, Iterable) else [numbers]
    try:
        wanted = [index(number) for number in several if not isinstance(number, bool)]
    except TypeError:
        wanted = []
    if not wanted or not all(1 <= number <= count for number in wanted):
        raise InvalidArgument(f"numbers are those of frames, counted from 1; this image has {count}")
    return wanted


def layout_of_row(row: Row) -> Layout:
    """How the frames of an instance are laid out when they come uncompressed.

    Raises
    ------
    FailedPrecondition
        The metadata are those of no image.
    """
    from dicomkit.pixels.decoding import photometric_of
    from dicomkit.pixels.image import Layout
    from dicomkit.pixels.syntaxes import NATIVE

    def whole(keyword: str, default: int | None = None) -> int:
        value = number_of(row, keyword)
        value = default if value is None else value
        if value is None:
            raise FailedPrecondition(f"the instance is no image: its metadata have no {keyword}")
        return value

    tag = next((tag for tag in _PIXELS if tag in row), None)
    if tag is None:
        raise FailedPrecondition("the instance has no pixel data")
    samples = whole("SamplesPerPixel", 1)
    allocated = whole("BitsAllocated", _FLOATS.get(tag))
    layout = Layout(
        rows=whole("Rows"),
        columns=whole("Columns"),
        samples=samples,
        bits_allocated=allocated,
        bits_stored=whole("BitsStored", allocated),
        signed=whole("PixelRepresentation", 0) == 1,
        photometric=_first(row, tag_of("PhotometricInterpretation")) or ("MONOCHROME2" if samples == 1 else "RGB"),
        planar=samples > 1 and whole("PlanarConfiguration", 0) == 1,
        frames=max(1, whole("NumberOfFrames", 1)),
        is_float=tag in _FLOATS,
    )
    if layout.rows < 1 or layout.columns < 1 or samples not in (1, 3) or allocated not in (1, 8, 16, 32, 64):
        raise FailedPrecondition("the instance describes an image that is none: rows, columns, samples or bits")
    syntax = _first(row, _SYNTAX) or _first(row, _AVAILABLE_SYNTAX)
    if syntax is None or syntax in NATIVE:
        return layout
    return layout.with_colour(photometric_of(syntax, layout))


def _first(row: Row, tag: str) -> str | None:
    element = row.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return values[0] if isinstance(values, list) and values and isinstance(values[0], str) else None


def frame_arrays(rest: Rest, path: str, layout: Layout, numbers: Sequence[int]) -> Iterator[Array]:
    """Frames of the instance at *path*, each rows x columns (x samples), without bits above BitsStored.

    Raises
    ------
    NotAcceptable, FailedPrecondition
        The server cannot decompress them.
    """
    from dicomkit.pixels.native import frame_array

    size = layout.frame_bytes
    portion = max(1, min(FRAMES_A_REQUEST, BYTES_A_REQUEST // size))
    for start in range(0, len(numbers), portion):
        chosen = numbers[start : start + portion]

        def take(response: requests.Response, chosen: Sequence[int] = chosen) -> list[bytes]:
            found = _bodies(rest, response, size)
            if len(found) != len(chosen) or any(not size <= len(body) <= size + 1 for body in found):
                raise rest.odd(response, f"other frames than {len(chosen)} of {size} bytes")
            return found

        url = f"{path}/frames/{','.join(map(str, chosen))}"
        for body in rest.receive("GET", url, take, headers={"Accept": UNCOMPRESSED}):
            yield _only_stored_bits(frame_array(body[:size], layout), layout)


def _bodies(rest: Rest, response: requests.Response, size: int) -> list[bytes]:
    content_type = response.headers.get("Content-Type", "")
    if not content_type.lower().startswith("multipart/"):
        return [rest.body(response)]
    found = []
    try:
        # A frame of an odd length may be padded; whatever is longer is none.
        for part in parts(
            ChunkStream(rest.chunks(response)), content_type, spool_bytes=size + 2, max_part_bytes=size + 2
        ):
            with part:
                found.append(bytes(part.buffer()))
    except PayloadTooLarge as error:
        raise rest.odd(response, f"frames of more than {size} bytes") from error
    except DicomFormatError as error:
        raise Unavailable("the answer broke off; try again") from error
    return found


def _only_stored_bits(array: Array, layout: Layout) -> Array:
    """Values without the bits above BitsStored, which are none of theirs (PS3.5 section 8.1.1)."""
    unused = 8 * array.dtype.itemsize - layout.bits_stored
    if layout.is_float or unused <= 0 or array.dtype.kind not in "iu":
        return array
    shift = np.array(unused, dtype=array.dtype)
    kept: Array = np.right_shift(np.left_shift(array, shift), shift)
    return kept
