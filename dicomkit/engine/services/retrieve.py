"""Instances and metadata, read back, and kept from being removed until the answer is finished.

Source: DICOM PS3.18 section 10.4 (retrieve transaction), edition 2025b; "DICOM conformance statement" of the Cloud
Healthcare API.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.blob_reader import BlobGone, Hold, Place
from dicomkit.engine.persistence.index_lookup import StoredInstance, instances_below
from dicomkit.engine.persistence.metadata import read_metadata
from dicomkit.engine.persistence.relocation import place_of
from dicomkit.engine.persistence.storage import Storage
from dicomkit.errors import NotFound
from dicomkit.names import DicomStoreName
from dicomkit.pixels import FileRange, Source

__all__ = ["Found", "Retrieve", "Target"]

_METADATA_PORTION = 100
_IN_MEMORY_BYTES = 1 << 20
"""Up to this size an instance is copied to the process that decodes it, and beyond it is read there."""
_TRIES = 8

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Target:
    """What a request's path names: a study, a series in it, or an instance in that."""

    study: str
    series: str | None = None
    instance: str | None = None

    @property
    def kind(self) -> str:
        """``"study"``, ``"series"`` or ``"instance"``."""
        return "instance" if self.instance else "series" if self.series else "study"


class Found(NamedTuple):
    """The instances that a request names, whose files stay until ``hold`` is closed."""

    items: Sequence[StoredInstance]
    hold: Hold


class Retrieve:
    """Reads instances of the stores of a home."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def find(self, name: DicomStoreName, target: Target) -> list[StoredInstance]:
        """The instances that *target* names.

        Raises
        ------
        NotFound
            The store does not exist, or has nothing of that name.
        """
        with self._storage.database.read() as connection:
            store_key = catalog.store(connection, name).key
            found = instances_below(connection, store_key, target.study, target.series, target.instance)
        if not found:
            raise NotFound(f"the store has no such {target.kind}")
        return found

    def held(self, name: DicomStoreName, target: Target) -> Found:
        """What :meth:`find` gives, and a hold on the files: a delete does not cut an answer that has begun.

        The catalog knows at once that the instances are gone; their bytes stay for those who asked before.
        """
        blobs = self._storage.blobs
        for _ in range(_TRIES):
            since = blobs.removals
            items = self.find(name, target)
            hold = blobs.hold((item.place.segment for item in items), since)
            if hold is not None:
                return Found(items, hold)
        # Files go faster than anything is found: whether these do, the reading will show.
        return Found(items, Hold(blobs, ()))

    def chunks(self, item: StoredInstance, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes as they were received, or those from *start* to *stop*, checked against their hash, in pieces.

        Raises
        ------
        NotFound
            The instance was deleted since it was found.
        """

        def begin(place: Place) -> tuple[bytes, Iterator[bytes]]:
            chunks = self._storage.blobs.chunks(place, item.sha256, start, stop)
            return next(chunks, b""), chunks

        first, rest = self._read(item, begin)
        yield first
        yield from rest

    def is_part10(self, item: StoredInstance) -> bool:
        """Whether the instance begins as PS3.10 section 7.1 wants it: some that are stored have no preamble."""
        return self._read(item, lambda place: self._storage.blobs.peek(place, 128, 132)) == b"DICM"

    def view(self, item: StoredInstance) -> bytes | mmap.mmap:
        """The bytes as they were received, checked: mapped where the instance is large."""
        return self._read(item, lambda place: self._storage.blobs.view(place, item.sha256))

    def source(self, item: StoredInstance) -> Source:
        """The bytes as they were received, checked, for whoever reads pixels: large ones by where they are.

        The file of a large one is there as long as there is a hold on it.
        """
        blobs = self._storage.blobs

        def at(place: Place) -> Source:
            if place.length <= _IN_MEMORY_BYTES:
                return blobs.read(place, item.sha256)
            blobs.verify(place, item.sha256)
            return FileRange(str(blobs.path(place.segment)), place.offset, place.length)

        return self._read(item, at)

    def _read(self, item: StoredInstance, read: Callable[[Place], _T]) -> _T:
        """What *read* gives for the place where the instance is now."""
        place = item.place
        while True:
            try:
                return read(place)
            except BlobGone:
                # Compaction has moved the instance, if the file is not lost.
                with self._storage.database.read() as connection:
                    now = place_of(connection, item.key)
                if now is None:
                    raise NotFound("the instance was deleted while it was being retrieved") from None
                if now == place:
                    raise
                place = now

    def metadata(self, items: Sequence[StoredInstance]) -> Iterator[tuple[StoredInstance, bytes]]:
        """Each instance with its metadata in the DICOM JSON model; one that was deleted meanwhile is left out.

        ``BulkDataURI`` holds a path below the instance's ``bulkdata/``.
        """
        for first in range(0, len(items), _METADATA_PORTION):
            portion = items[first : first + _METADATA_PORTION]
            with self._storage.database.read() as connection:
                found = dict(read_metadata(connection, [item.key for item in portion]))
            for item in portion:
                if item.key in found:
                    yield item, found[item.key]
