"""Encapsulated pixel data: from fragments to frames, and from frames to fragments.

Source: DICOM PS3.5 section A.4, edition 2025b; PS3.3 section C.7.6.3.1.8 (extended offset table).
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from dicomkit.dicom.binary_values import fragments_of
from dicomkit.errors import FailedPrecondition
from dicomkit.pixels.elements import LIMITS, Elements
from dicomkit.pixels.image import PIXEL_DATA, Layout
from dicomkit.pixels.syntaxes import DEFLATED_FRAMES, RLE

__all__ = ["EncodedFrames", "encapsulate"]

_ITEM = b"\xfe\xff\x00\xe0"
_SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
_NO_FRAMES = (
    "the fragments of the pixel data cannot be told apart by frame: there is no usable offset table, and their "
    "number is not NumberOfFrames"
)


class EncodedFrames:
    """The frames of encapsulated pixel data, found without being read.

    Raises
    ------
    FailedPrecondition
        The fragments do not make the frames that the image says it has.
    DicomFormatError
        The fragments themselves are damaged.
    """

    def __init__(self, elements: Elements, layout: Layout, syntax: str) -> None:
        element = elements.get(PIXEL_DATA)
        if element is None or not element.undefined:
            raise FailedPrecondition("the transfer syntax is a compressed one, but the pixel data are not in fragments")
        places, _ = fragments_of(
            elements.buffer,
            "OB",
            element.pos,
            elements.end,
            elements.encoding,
            LIMITS,
            element.start,
            PIXEL_DATA,
        )
        if not places:
            raise FailedPrecondition("the pixel data hold no fragment")
        self._buffer = elements.buffer
        self._table = (places[0], places[1])
        self._starts, self._lengths = places[2::2], places[3::2]
        self._first = self._table[0] + self._table[1]
        self._order = elements.encoding.order
        self._bounds = self._frame_bounds(elements, layout.frames, syntax)

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __getitem__(self, frame: int) -> bytes:
        """The bytes of a frame, counted from 0; its fragments joined."""
        first, last = self._bounds[frame], self._bounds[frame + 1]
        return b"".join(self._buffer[self._starts[i] : self._starts[i] + self._lengths[i]] for i in range(first, last))

    def _frame_bounds(self, elements: Elements, frames: int, syntax: str) -> Sequence[int]:
        """Index of the first fragment of each frame, and the number of fragments at the end."""
        fragments = len(self._starts)
        if frames > fragments:
            raise FailedPrecondition(f"{frames} frames are declared, {fragments} fragments are there")
        if fragments == frames:
            return range(frames + 1)
        if frames == 1:
            return (0, fragments)
        for offsets in (self._extended(elements, frames), self._basic(frames)):
            bounds = self._by_offsets(offsets)
            if bounds is not None:
                return bounds
        if syntax not in (RLE, DEFLATED_FRAMES):
            # Every other codec ends its stream with FFD9, which no fragment but a frame's last one ends with.
            bounds = array("Q", [0])
            for i, (start, length) in enumerate(zip(self._starts, self._lengths, strict=True)):
                if b"\xff\xd9" in self._buffer[max(start, start + length - 10) : start + length]:
                    bounds.append(i + 1)
            if len(bounds) == frames + 1:
                bounds[-1] = fragments
                return bounds
        raise FailedPrecondition(_NO_FRAMES)

    def _extended(self, elements: Elements, frames: int) -> Sequence[int] | None:
        raw = elements.raw("7FE00001")
        if raw is None or len(raw) != 8 * frames:
            return None
        return struct.unpack(f"{self._order}{frames}Q", raw)

    def _basic(self, frames: int) -> Sequence[int] | None:
        start, length = self._table
        if length != 4 * frames:
            return None
        return struct.unpack_from(f"{self._order}{frames}I", self._buffer, start)

    def _by_offsets(self, offsets: Sequence[int] | None) -> Sequence[int] | None:
        """The fragments that *offsets* point at, if each is the begin of one and they ascend from the first."""
        if offsets is None or offsets[0] != 0:
            return None
        bounds = array("Q")
        for offset in offsets:
            wanted = self._first + offset + 8
            at = bisect_left(self._starts, wanted)
            if at == len(self._starts) or self._starts[at] != wanted or (bounds and at <= bounds[-1]):
                return None
            bounds.append(at)
        bounds.append(len(self._starts))
        return bounds


def encapsulate(out: bytearray, frames: Iterable[bytes], count: int) -> int:
    """Append frames as the value of encapsulated pixel data: one fragment each, with a basic offset table.

    The table is left out where an offset does not fit into its 32 bits. Gives the bytes of the frames.
    """
    table = len(out) + 8
    out += _ITEM + struct.pack("<I", 4 * count) + bytes(4 * count)
    first = len(out)
    offsets = []
    total = 0
    for frame in frames:
        offsets.append(len(out) - first)
        odd = len(frame) % 2
        # A fragment has an even length (PS3.5 section A.4).
        out += _ITEM + struct.pack("<I", len(frame) + odd)
        out += frame
        out += b"\0" * odd
        total += len(frame)
    if offsets[-1] <= 0xFFFFFFFF:
        struct.pack_into(f"<{count}I", out, table, *offsets)
    else:
        out[table - 4 : first] = bytes(4)
    out += _SEQUENCE_END
    return total
