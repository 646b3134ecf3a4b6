"""Pixels: transfer syntaxes, frames and pictures of one Part 10 file.

Four functions, each from a whole file: :func:`transcode`, :func:`frame_count`, :func:`frame_bytes` and
:func:`render`. They check the limits before they decode, and end in a ``DicomkitError`` or well. Codecs are C
libraries that meet hostile bytes: a server calls them in a process of their own
(:mod:`dicomkit.engine.services.pixel_workers`).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dicomkit.errors import DicomFormatError, DicomkitError, NotFound, Unavailable
from dicomkit.pixels.image import Image
from dicomkit.pixels.syntaxes import DOCUMENTED, READABLE, WRITABLE
from dicomkit.pixels.viewport import Viewport

__all__ = [
    "DOCUMENTED",
    "READABLE",
    "WRITABLE",
    "FileRange",
    "Source",
    "Viewport",
    "frame_bytes",
    "frame_count",
    "render",
    "transcode",
]


@dataclass(frozen=True, slots=True)
class FileRange:
    """A Part 10 file inside a file on disk, so that its bytes need not be carried about."""

    path: str
    offset: int
    length: int


Source = bytes | FileRange
"""A whole Part 10 file."""


def transcode(source: Source, transfer_syntax: str) -> bytes:
    """A whole Part 10 file in another transfer syntax.

    What is not about pixels keeps its values: private and unknown elements, their order, and the UIDs of the
    instance. The same transfer syntax gives the same bytes.

    Parameters
    ----------
    source
        The file. One that is no image is encoded again as the target says.
    transfer_syntax
        One of ``WRITABLE``.

    Raises
    ------
    NotAcceptable
        The target cannot hold the image, or is not written here, or the source is not read here.
    FailedPrecondition
        The image is damaged, contradicts itself, or is larger than the limits.
    DicomFormatError
        The bytes are no DICOM file.
    """
    from dicomkit.pixels.transcoding import transcode_image

    with opened(source) as image:
        return bytes(transcode_image(image, transfer_syntax))


def frame_count(source: Source) -> int:
    """How many frames the image has.

    Raises
    ------
    FailedPrecondition
        The instance has no pixel data.
    DicomFormatError
        The bytes are no DICOM file.
    """
    with opened(source) as image:
        return image.layout.frames


def frame_bytes(source: Source, frames: Sequence[int], *, transfer_syntax: str) -> list[bytes]:
    """Frames of an image, without a file around them.

    Parameters
    ----------
    frames
        Numbers, counted from 1.
    transfer_syntax
        ``"*"`` as stored; Explicit VR Little Endian for uncompressed frames; else one of ``WRITABLE``.

    Raises
    ------
    InvalidArgument
        A number is none of the image's.
    NotAcceptable, FailedPrecondition, DicomFormatError
        As for :func:`transcode`.
    """
    from dicomkit.pixels.frames import read_frames

    with opened(source) as image:
        return read_frames(image, frames, transfer_syntax)


def render(source: Source, frame: int, *, media_type: str, viewport: Viewport | None = None) -> bytes:
    """A frame as a picture.

    Grey values go through the image's modality LUT and its first VOI LUT or window; without one, from the
    frame's lowest value to its highest. Palettes and YBR become RGB. The picture has 8 bits a sample.

    Parameters
    ----------
    frame
        Number, counted from 1.
    media_type
        ``"image/jpeg"`` or ``"image/png"``.
    viewport
        Region and size; the whole frame in its own size when left out.

    Raises
    ------
    InvalidArgument
        The number is none of the image's, or the viewport does not fit it.
    NotAcceptable, FailedPrecondition, DicomFormatError
        As for :func:`transcode`.
    """
    from dicomkit.pixels.frames import checked_numbers
    from dicomkit.pixels.rendering import render_frame

    with opened(source) as image:
        (index,) = checked_numbers(image, [frame])
        return render_frame(image, index, media_type, viewport)


@contextmanager
def opened(source: Source) -> Iterator[Image]:
    """The image, for as long as it is looked at; whatever its bytes do to a decoder becomes an error of ours."""
    try:
        if isinstance(source, bytes):
            yield Image(source)
            return
        with _mapped(source) as (mapped, start):
            yield Image(mapped, start, start + source.length)
    except (DicomkitError, MemoryError):
        raise
    except (ArithmeticError, LookupError, ValueError, TypeError, struct.error, RecursionError) as exc:
        raise DicomFormatError("the file is damaged: its pixels or what describes them cannot be read") from exc


@contextmanager
def _mapped(source: FileRange) -> Iterator[tuple[mmap.mmap, int]]:
    try:
        with open(source.path, "rb") as file:
            start = source.offset - source.offset % mmap.ALLOCATIONGRANULARITY
            length = source.offset - start + source.length
            mapped = mmap.mmap(file.fileno(), length, offset=start, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise NotFound("the file of the instance is not there any more") from None
    except (OSError, ValueError):
        raise Unavailable("the file of the instance cannot be read") from None
    with mapped:
        yield mapped, source.offset - start
