"""DICOM stores. Source: Cloud Healthcare API v1, ``projects.locations.datasets.dicomStores``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.database import Connection
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.notifications import Notifications
from dicomkit.engine.services.removal import Removal
from dicomkit.errors import AlreadyExists
from dicomkit.names import DatasetName, DicomStoreName
from dicomkit.resources import DicomStore
from dicomkit.resources.label_filter import LabelFilter

__all__ = ["DicomStores"]


class DicomStores:
    """The DICOM stores of a home.

    Parameters
    ----------
    storage, removal, notifications
        The home's files, what deletes, and who is told of what is stored.
    on_streams
        Called when a store was given something to stream to.
    """

    def __init__(
        self, storage: Storage, removal: Removal, notifications: Notifications, on_streams: Callable[[], None]
    ) -> None:
        self._storage = storage
        self._notifications = notifications
        self._removal = removal
        self._on_streams = on_streams

    def create(self, name: DicomStoreName, body: dict[str, Any]) -> dict[str, Any]:
        """Make a store and return it.

        Raises
        ------
        AlreadyExists
            The dataset has a store with this id.
        InvalidArgument
            The body breaks a rule of the resource; the message names field, rule and remedy.
        NotFound
            The dataset does not exist.
        """
        wanted = DicomStore.from_api({k: v for k, v in body.items() if k != "name"}, strict=True)
        resource = wanted.to_api(omit_defaults=True)
        with self._storage.database.write() as connection:
            dataset, _ = catalog.dataset_key(connection, name.dataset)
            key = catalog.insert_store(connection, dataset, name.store, resource)
            if key is None:
                raise AlreadyExists(f"already exists: {name}")
            self._set_destinations(connection, key, resource)
        return {"name": str(name), **resource}

    def get(self, name: DicomStoreName) -> dict[str, Any]:
        """The store's JSON."""
        with self._storage.database.read() as connection:
            return {"name": str(name), **catalog.store(connection, name).resource}

    def list(
        self, dataset: DatasetName, *, after: str, limit: int, wanted: LabelFilter | None = None
    ) -> list[dict[str, Any]]:
        """Stores of a dataset whose labels fit, by id, from the one after *after*."""
        found: list[dict[str, Any]] = []
        with self._storage.database.read() as connection:
            key, _ = catalog.dataset_key(connection, dataset)
            while len(found) < limit:
                rows = catalog.list_stores(connection, key, after, limit)
                for row in rows:
                    if wanted is None or wanted.matches(row.resource.get("labels", {})):
                        found.append({"name": str(dataset.store(row.id)), **row.resource})
                if len(rows) < limit:
                    break
                after = rows[-1].id
        return found[:limit]

    def patch(self, name: DicomStoreName, body: dict[str, Any], mask: str | None) -> dict[str, Any]:
        """Change the fields that *mask* names, and return the whole store.

        A stream config that is added gets every instance stored from now on, one that is removed gets none.
        """
        with self._storage.database.write() as connection:
            row = catalog.store(connection, name)
            changed = DicomStore.from_api(row.resource).patched(body, mask)
            resource = changed.to_api(omit_defaults=True)
            catalog.update_store(connection, row.key, resource)
            self._set_destinations(connection, row.key, resource)
        return {"name": str(name), **resource}

    def delete(self, name: DicomStoreName) -> None:
        """Delete a store and every instance in it."""
        self._removal.store(name)

    def _set_destinations(self, connection: Connection, key: int, resource: Mapping[str, Any]) -> None:
        self._notifications.set_topics(connection, resource)
        destinations = [config.get("bigqueryDestination") for config in resource.get("streamConfigs", ())]
        self._storage.outbox.set_streams(connection, key, {d["tableUri"]: d for d in destinations if d})
        if any(destinations):
            self._on_streams()
