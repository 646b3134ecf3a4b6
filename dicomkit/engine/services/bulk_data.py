"""Bulk data: the values that metadata only refer to, read from where they stand in the stored file.

Sources: DICOM PS3.18 sections 10.4.1.1.5 (bulk data resources), 8.7.3.3.2 (uncompressed bulk data are little endian),
edition 2025b; Cloud Healthcare API v1, ``retrieveBulkdata`` ("uncompressed, unencoded bytes of the tag").
"""

from __future__ import annotations

import mmap
import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dicomkit.dicom.json_model import BulkValue
from dicomkit.dicom.reader import Part10, read_part10
from dicomkit.dicom.vr import NUMBER_FORMAT, SWAP_SIZE
from dicomkit.engine.persistence.blob_reader import CHUNK_BYTES
from dicomkit.engine.persistence.index_lookup import StoredInstance
from dicomkit.engine.services.renderings import Renderings
from dicomkit.engine.services.retrieve import Retrieve
from dicomkit.errors import InvalidArgument, NotAcceptable, NotFound

__all__ = ["BulkContent", "BulkData", "bulk_path"]

_PATH = re.compile(r"[0-9A-F]{8}(?:/(?:0|[1-9][0-9]{0,6})/[0-9A-F]{8}){0,64}")
_EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
_EXPLICIT_BIG = "1.2.840.10008.1.2.2"
_PIXEL_DATA = "7FE00010"
_WORDS = {2: "H", 4: "I", 8: "Q"}


def bulk_path(text: str) -> str:
    """*text*, the part of a path below ``bulkdata/``, in the form in which the reader names bulk values.

    Raises
    ------
    InvalidArgument
        It is none: a tag, or ``{sequence tag}/{item index from 0}/{tag}`` and so on.
    """
    path = text.upper()
    if not _PATH.fullmatch(path):
        raise InvalidArgument(
            "the path below bulkdata/ must be a tag of eight hex digits, "
            "or {sequence tag}/{item index from 0}/{tag} for one that is nested"
        )
    return path


@dataclass(frozen=True, slots=True)
class BulkContent:
    """One bulk value of an instance, opened."""

    value: BulkValue
    transfer_syntax: str
    """Of the file that the value is read from."""
    read: Callable[[int, int], bytes]
    """``read(start, stop)`` gives those bytes of what the value's offset counts in."""

    @property
    def is_encapsulated(self) -> bool:
        """Whether the bytes are items with compressed frames."""
        return self.value.fragments is not None

    @property
    def length(self) -> int:
        """Bytes of the value."""
        return self.value.length

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The value, or its bytes from *start* to *stop*, little endian and in pieces."""
        end = self.length if stop is None else min(stop, self.length)
        word = self._swapped_word()
        first = self.value.offset
        for at in range(start - start % word, end, CHUNK_BYTES):
            chunk = self.read(first + at, first + min(at + CHUNK_BYTES, end + -end % word))
            if word > 1:
                numbers = array(_WORDS[word], chunk)
                numbers.byteswap()
                chunk = numbers.tobytes()
            yield chunk[max(0, start - at) : end - at]

    def _swapped_word(self) -> int:
        """Bytes of the words that have to be turned round; 1 where none has."""
        if self.transfer_syntax != _EXPLICIT_BIG or self.is_encapsulated:
            return 1
        vr = self.value.vr
        # AT is two words, each of which is turned round.
        size = SWAP_SIZE.get(vr) or (2 if vr == "AT" else NUMBER_FORMAT[vr][1] if vr in NUMBER_FORMAT else 1)
        return 1 if self.length % size else size


class BulkData:
    """Opens the bulk values of stored instances."""

    def __init__(self, retrieve: Retrieve, renderings: Renderings) -> None:
        self._retrieve = retrieve
        self._renderings = renderings

    def open(self, item: StoredInstance, path: str, *, as_stored: bool) -> BulkContent:
        """The value of that :func:`bulk_path`, compressed pixel data uncompressed unless *as_stored*.

        Raises
        ------
        NotFound
            The instance has no bulk value there. Short values stand in the metadata, and what is in a sequence of
            more than 1 MiB cannot be had alone.
        NotAcceptable, FailedPrecondition
            The pixel data cannot be uncompressed.
        """
        buffer = self._retrieve.view(item)
        part = read_part10(buffer, require_uids=False)
        value = _find(part, path)
        # Big endian pixels are turned round by the size of a pixel, which the VR does not tell.
        is_big = path == _PIXEL_DATA and part.transfer_syntax_uid == _EXPLICIT_BIG
        if not is_big and (value.fragments is None or as_stored):
            return BulkContent(value, part.transfer_syntax_uid, self._reader(item, part))
        part = read_part10(self._renderings.transcode(item, _EXPLICIT_LITTLE), require_uids=False)
        value = _find(part, path)
        if value.fragments is not None:
            raise NotAcceptable(
                "these pixel data, which are not those of the image, are not uncompressed; ask for transfer-syntax=* "
                "to get them as they were stored"
            )
        return BulkContent(value, _EXPLICIT_LITTLE, lambda start, stop: part.buffer[start:stop])

    def _reader(self, item: StoredInstance, part: Part10) -> Callable[[int, int], bytes]:
        buffer = part.buffer
        if isinstance(buffer, mmap.mmap) and not part.deflated:
            # Not through the map, whose pages would count as this process's memory.
            return lambda start, stop: b"".join(self._retrieve.chunks(item, start, stop))
        return lambda start, stop: buffer[start:stop]


def _find(part: Part10, path: str) -> BulkValue:
    for value in part.bulk:
        if value.path == path:
            return value
    raise NotFound("the instance has no bulk data of this path; the BulkDataURI of its metadata name those it has")
