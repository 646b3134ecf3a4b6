"""Instances in other forms than that of the store: transcoded, as frames, as pictures.

Whatever decodes or encodes is done by worker processes. Frames that are stored as they are wanted are only cut out,
and that is done here.

Source: DICOM PS3.18 section 10.4, edition 2025b; "DICOM conformance statement" of the Cloud Healthcare API.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from dicomkit import pixels
from dicomkit.dicom.png_writer import png
from dicomkit.dicom.reader import read_part10
from dicomkit.engine.persistence.index_lookup import StoredInstance
from dicomkit.engine.services.ahead import ahead
from dicomkit.engine.services.pixel_workers import PixelWorkers
from dicomkit.engine.services.retrieve import Retrieve
from dicomkit.errors import InvalidArgument, NotAcceptable, NotFound
from dicomkit.pixels.syntaxes import EXPLICIT_LITTLE, NATIVE
from dicomkit.pixels.viewport import Viewport

__all__ = ["Renderings", "frame_numbers"]

_LIST = re.compile(r"[1-9][0-9]{0,8}(?:,[1-9][0-9]{0,8})*")
_PNG_COLOURS = frozenset({(1, "MONOCHROME1"), (1, "MONOCHROME2"), (3, "RGB"), (3, "YBR_RCT"), (3, "YBR_ICT")})
"""Samples a pixel and photometric interpretations; those of JPEG 2000 are RGB when they are decoded."""

_BATCH_BYTES = 8 << 20
_BATCH_FRAMES = 64

_T = TypeVar("_T")


def frame_numbers(text: str) -> list[int]:
    """The numbers of a frame list, ``1,2,3``.

    Raises
    ------
    InvalidArgument
        It is none: numbers from 1, separated by commas, none twice.
    """
    if not _LIST.fullmatch(text):
        raise InvalidArgument("the frame list must be numbers from 1, separated by commas")
    numbers = [int(number) for number in text.split(",")]
    if len(set(numbers)) != len(numbers):
        raise InvalidArgument("the frame list names a frame twice")
    return numbers


class Renderings:
    """Makes other forms of stored instances.

    Parameters
    ----------
    retrieve
        Reads what is stored.
    workers
        Do what needs a codec.
    """

    def __init__(self, retrieve: Retrieve, workers: PixelWorkers) -> None:
        self._retrieve = retrieve
        self._workers = workers

    def transcode(self, item: StoredInstance, transfer_syntax: str) -> bytes:
        """The instance as a file of another transfer syntax.

        Raises
        ------
        NotAcceptable, FailedPrecondition
            The instance cannot be had in it; the message says why.
        """
        return self._of(item, lambda source: self._workers.transcode(source, transfer_syntax))

    def transcoded(self, item: StoredInstance, transfer_syntax: str) -> Iterator[bytes]:
        """The same, made when it is asked for."""
        yield self.transcode(item, transfer_syntax)

    def all_transcoded(self, items: Sequence[StoredInstance], transfer_syntax: str) -> Iterator[bytes]:
        """The same of several instances, the next ones made while one is sent."""
        return ahead(partial(self.transcode, item, transfer_syntax) for item in items)

    def frame_count(self, item: StoredInstance) -> int:
        """How many frames the instance has; ``FailedPrecondition`` when it is no image."""
        return self._of(item, pixels.frame_count)

    def check_frames(self, item: StoredInstance, numbers: Sequence[int]) -> None:
        """Raise ``NotFound`` for a frame that the instance does not have."""
        count = self.frame_count(item)
        if max(numbers) > count:
            raise NotFound(f"there is no frame {max(numbers)}: the instance has {count}")

    def frames(self, item: StoredInstance, numbers: Sequence[int], transfer_syntax: str) -> Iterator[bytes]:
        """Frames one after another, a few at a time in memory.

        Parameters
        ----------
        numbers
            Counted from 1.
        transfer_syntax
            ``"*"`` as stored; Explicit VR Little Endian for uncompressed ones; else of the codec.

        Raises
        ------
        NotAcceptable, FailedPrecondition
            The frames cannot be had in it; the message says why.
        """
        stored = item.transfer_syntax
        is_cut = transfer_syntax in ("*", stored) or (transfer_syntax in NATIVE and stored in NATIVE)
        cut = pixels.frame_bytes if is_cut else self._workers.frame_bytes

        def made(part: Sequence[int]) -> list[bytes]:
            return self._of(item, lambda source: cut(source, part, transfer_syntax=transfer_syntax))

        (first,) = made(numbers[:1])
        yield first
        # A frame tells how large the others are.
        count = max(1, min(_BATCH_FRAMES, _BATCH_BYTES // max(1, len(first))))
        calls = (partial(made, numbers[at : at + count]) for at in range(1, len(numbers), count))
        for batch in (call() for call in calls) if is_cut else ahead(calls):
            yield from batch

    def frames_as_png(self, item: StoredInstance, numbers: Sequence[int]) -> Iterator[bytes]:
        """Frames one after another as PNG that holds their very samples.

        Raises
        ------
        NotAcceptable
            PNG has no form for them: it knows unsigned grey and RGB of 8 or 16 bits.
        """
        elements = read_part10(self._retrieve.view(item), require_uids=False).elements

        def value(tag: str, default: object = None) -> Any:
            return (elements.get(tag, {}).get("Value") or [default])[0]

        samples, bits, colours = value("00280002", 1), value("00280100"), value("00280004")
        by_plane = samples == 3 and value("00280006", 0) == 1 and item.transfer_syntax in NATIVE
        if (samples, colours) not in _PNG_COLOURS or bits not in (8, 16) or value("00280103", 0) == 1 or by_plane:
            raise NotAcceptable(
                "as image/png a frame must be unsigned, grey or RGB by pixel, of 8 or 16 bits; "
                "ask for application/octet-stream, or for the rendered frame"
            )
        for data in self.frames(item, numbers, EXPLICIT_LITTLE):
            yield png(data, columns=value("00280011"), rows=value("00280010"), samples=samples, bits=bits)

    def rendered(self, item: StoredInstance, number: int, media_type: str, viewport: Viewport | None) -> bytes:
        """A frame as a picture.

        Raises
        ------
        NotAcceptable, FailedPrecondition, InvalidArgument
            The frame cannot be shown, or not so; the message says why.
        """
        render = partial(self._workers.render, frame=number, media_type=media_type, viewport=viewport)
        return self._of(item, render)

    def all_rendered(
        self, item: StoredInstance, numbers: Sequence[int], media_type: str, viewport: Viewport | None
    ) -> Iterator[bytes]:
        """Several frames as pictures, the next ones made while one is sent."""
        return ahead(partial(self.rendered, item, number, media_type, viewport) for number in numbers)

    def _of(self, item: StoredInstance, make: Callable[[pixels.Source], _T]) -> _T:
        """What *make* makes of the bytes of the instance, wherever they are now."""
        try:
            return make(self._retrieve.source(item))
        except NotFound:
            # Where nothing holds the file, the instance may have moved out of it just then.
            return make(self._retrieve.source(item))
