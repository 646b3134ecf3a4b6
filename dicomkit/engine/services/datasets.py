"""Datasets. Source: Cloud Healthcare API v1, ``projects.locations.datasets``."""

from __future__ import annotations

from typing import Any

from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.operations import Operations
from dicomkit.engine.services.removal import Removal
from dicomkit.errors import AlreadyExists
from dicomkit.names import DatasetName
from dicomkit.resources import Dataset

__all__ = ["Datasets"]

HOME_LOCATION = "local"
"""The location that every project has here, with datasets or without."""

_TYPE = "type.googleapis.com/google.cloud.healthcare.{api}.dataset.Dataset"


class Datasets:
    """The datasets of a home."""

    def __init__(self, storage: Storage, operations: Operations, removal: Removal) -> None:
        self._storage = storage
        self._operations = operations
        self._removal = removal

    def create(self, name: DatasetName, body: dict[str, Any], *, api: str = "v1") -> dict[str, Any]:
        """Make a dataset and return the finished operation, as the version *api* of the API writes it.

        Raises
        ------
        AlreadyExists
            There is one of this name.
        InvalidArgument
            The body has a field that no dataset has, or a value that it cannot have.
        """
        resource = _resource(body)
        with self._storage.database.write() as connection:
            if not catalog.insert_dataset(connection, name, resource):
                raise AlreadyExists(f"already exists: {name}")
            key, _ = catalog.dataset_key(connection, name)
            return self._operations.finished(
                connection,
                name,
                key,
                "dataset.DatasetService.CreateDataset",
                {"@type": _TYPE.format(api=api), "name": str(name), **resource},
                api=api,
            )

    def get(self, name: DatasetName) -> dict[str, Any]:
        """The dataset's JSON."""
        with self._storage.database.read() as connection:
            _, resource = catalog.dataset_key(connection, name)
        return {"name": str(name), **resource}

    def locations(self, project: str, *, after: str, limit: int) -> list[dict[str, Any]]:
        """Locations in which *project* has datasets, and the home's own, by id, from the one after *after*."""
        self.location(project, HOME_LOCATION)
        with self._storage.database.read() as connection:
            ids = {HOME_LOCATION, *catalog.list_locations(connection, project)}
        return [self.location(project, id_) for id_ in sorted(ids) if id_ > after][:limit]

    def location(self, project: str, location: str) -> dict[str, Any]:
        """A location; any well-formed one is there, because datasets can be made in it."""
        # Any dataset id will do: the name checks project and location.
        return {"name": DatasetName(project, location, "-").parent, "locationId": location}

    def list(self, parent: str, *, after: str, limit: int) -> list[dict[str, Any]]:
        """Datasets of a location, by id, from the one after *after*."""
        with self._storage.database.read() as connection:
            rows = catalog.list_datasets(connection, parent, after, limit)
        return [{"name": f"{parent}/datasets/{id_}", **resource} for id_, resource in rows]

    def patch(self, name: DatasetName, body: dict[str, Any], mask: str | None) -> dict[str, Any]:
        """Change the fields that *mask* names, and return the whole dataset."""
        with self._storage.database.write() as connection:
            key, current = catalog.dataset_key(connection, name)
            resource = Dataset.from_api(current).patched(body, mask).to_api(omit_defaults=True)
            catalog.update_dataset(connection, key, resource)
        return {"name": str(name), **resource}

    def delete(self, name: DatasetName) -> None:
        """Delete a dataset and all that is in it."""
        self._removal.dataset(name)


def _resource(body: dict[str, Any]) -> dict[str, Any]:
    checked = Dataset.from_api({k: v for k, v in body.items() if k != "name"}, strict=True)
    return checked.to_api(omit_defaults=True)
