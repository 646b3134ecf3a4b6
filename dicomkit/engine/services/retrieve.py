"""Instances and metadata, read back.

Source: DICOM PS3.18 section 10.4 (retrieve transaction), edition 2025b; "DICOM conformance statement" of the Cloud
Healthcare API.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.blob_reader import BlobGone
from dicomkit.engine.persistence.index_lookup import StoredInstance, instances_below
from dicomkit.engine.persistence.metadata import read_metadata
from dicomkit.engine.persistence.relocation import place_of
from dicomkit.engine.persistence.storage import Storage
from dicomkit.errors import NotFound
from dicomkit.names import DicomStoreName

__all__ = ["Retrieve", "Target"]

_METADATA_PORTION = 100


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

    def chunks(self, item: StoredInstance) -> Iterator[bytes]:
        """The bytes as they were received, checked against their hash, in pieces.

        Raises
        ------
        NotFound
            The instance was deleted since it was found.
        """
        place = item.place
        while True:
            chunks = self._storage.blobs.chunks(place, item.sha256)
            try:
                first = next(chunks)
                break
            except BlobGone:
                # Compaction has moved the instance, if the file is not lost.
                with self._storage.database.read() as connection:
                    now = place_of(connection, item.key)
                if now is None:
                    raise NotFound("the instance was deleted while it was being retrieved") from None
                if now == place:
                    raise
                place = now
        yield first
        yield from chunks

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
