"""Frames of an image, without a file around them.

Source: DICOM PS3.18 section 10.4.1.1.6 (frame resources), edition 2025b; "DICOM conformance statement" of the Cloud
Healthcare API.
"""

from __future__ import annotations

from collections.abc import Sequence

from dicomkit.errors import InvalidArgument, NotAcceptable
from dicomkit.pixels.encapsulation import EncodedFrames
from dicomkit.pixels.encoding import check_writable
from dicomkit.pixels.image import Image
from dicomkit.pixels.native import check_length, native_frame
from dicomkit.pixels.syntaxes import NATIVE, WRITABLE
from dicomkit.pixels.transcoding import FrameReader, encoded_frames

__all__ = ["checked_numbers", "read_frames"]


def checked_numbers(image: Image, frames: Sequence[int]) -> list[int]:
    """Frame numbers counted from 0.

    Raises
    ------
    InvalidArgument
        A number is none of the image's.
    """
    count = image.layout.frames
    if not frames or any(isinstance(n, bool) or not 1 <= n <= count for n in frames):
        raise InvalidArgument(f"frame numbers are counted from 1; this image has {count} of them")
    return [n - 1 for n in frames]


def read_frames(image: Image, frames: Sequence[int], target: str) -> list[bytes]:
    """See :func:`dicomkit.pixels.frame_bytes`."""
    indexes = checked_numbers(image, frames)
    if target in ("*", image.syntax) and image.is_encapsulated:
        encoded = EncodedFrames(image.elements, image.layout, image.syntax)
        return [encoded[index] for index in indexes]
    if target == "*" or (target in NATIVE and not image.is_encapsulated):
        check_length(image)
        return [native_frame(image, index) for index in indexes]
    if target not in WRITABLE:
        raise NotAcceptable(f"{target:.64} is no transfer syntax that this server writes; ask for *")
    reader = FrameReader(image)
    if target in NATIVE:
        return [reader.native(index) for index in indexes]
    check_writable(image.syntax, target, reader.layout)
    return list(encoded_frames(reader, image.syntax, target, indexes))
