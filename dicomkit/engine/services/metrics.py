"""Metrics of stores, studies and series, and storage info of instances.

Google computes those of a store from time to time; here they are counted when they are asked for. Source: Cloud
Healthcare API v1, ``DicomStoreMetrics``, ``StudyMetrics``, ``SeriesMetrics``, ``StorageInfo``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.sizes import Sizes, instance_size, series_sizes, store_sizes, study_sizes
from dicomkit.engine.persistence.storage import Storage
from dicomkit.errors import NotFound
from dicomkit.names import DicomStoreName

__all__ = ["Metrics"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Metrics:
    """Counts and sizes of what is in the stores of a home."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def store(self, name: DicomStoreName) -> dict[str, Any]:
        """``DicomStoreMetrics``."""
        with self._storage.database.read() as connection:
            sizes = store_sizes(connection, catalog.store(connection, name).key)
        return {"name": str(name), **_present(studyCount=sizes.studies, seriesCount=sizes.series), **_common(sizes)}

    def study(self, name: DicomStoreName, study: str) -> dict[str, Any]:
        """``StudyMetrics``; ``NotFound`` when the store has no such study."""
        with self._storage.database.read() as connection:
            sizes = study_sizes(connection, catalog.store(connection, name).key, study)
        if sizes is None:
            raise NotFound("the store has no such study")
        return {"study": _path(name, study), **_present(seriesCount=sizes.series), **_common(sizes)}

    def series(self, name: DicomStoreName, study: str, series: str) -> dict[str, Any]:
        """``SeriesMetrics``; ``NotFound`` when the store has no such series."""
        with self._storage.database.read() as connection:
            sizes = series_sizes(connection, catalog.store(connection, name).key, study, series)
        if sizes is None:
            raise NotFound("the store has no such series")
        return {"series": f"{_path(name, study)}/series/{series}", **_common(sizes)}

    def storage_info(self, name: DicomStoreName, study: str, series: str, instance: str) -> dict[str, Any]:
        """``StorageInfo`` of an instance; ``NotFound`` when the store has no such instance."""
        with self._storage.database.read() as connection:
            size = instance_size(connection, catalog.store(connection, name).key, study, series, instance)
        if size is None:
            raise NotFound("the store has no such instance")
        since = _EPOCH + timedelta(microseconds=size.updated)
        return {
            "referencedResource": f"{_path(name, study)}/series/{series}/instances/{instance}",
            "blobStorageInfo": {
                **_present(sizeBytes=size.blob_bytes),
                "storageClass": size.storage_class,
                "storageClassUpdateTime": since.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            },
            "structuredStorageInfo": _present(sizeBytes=size.structured_bytes),
        }


def _path(name: DicomStoreName, study: str) -> str:
    return f"{name}/dicomWeb/studies/{study}"


def _common(sizes: Sizes) -> dict[str, str]:
    return _present(
        instanceCount=sizes.instances,
        structuredStorageSizeBytes=sizes.structured_bytes,
        blobStorageSizeBytes=sizes.blob_bytes,
    )


def _present(**numbers: int) -> dict[str, str]:
    """64-bit numbers as proto3 writes them: as text, and not at all when they are 0."""
    return {name: str(number) for name, number in numbers.items() if number}
