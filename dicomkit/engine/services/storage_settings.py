"""Moving instances to another storage class, as a long-running operation.

The bytes stay where they are, for a folder has one kind of storage: what changes is what ``getStorageInfo`` and the
notifications say. No row is streamed to tables. The API's reference says that streams get "every DICOM instance
insertion", and this is none; a newer page speaks of changes of the storage class too, but what such a row looks like is
not published, and the embedded engine does not guess (as for deletes).

Source: Cloud Healthcare API v1, ``dicomStores.setBlobStorageSettings`` (discovery document, revision 20261013), "DICOM
storage class"; ``SetBlobSettings`` in "Configure DICOM Pub/Sub notifications".
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from itertools import islice
from typing import Any

from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.index_cursor import keys_below, last_key
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.persistence.storage_classes import set_storage_class
from dicomkit.engine.services.filter_config import FilterFiles, Selection, selected
from dicomkit.engine.services.notifications import SET_BLOB_SETTINGS, Notifications
from dicomkit.engine.services.operations import EMPTY, Operations
from dicomkit.engine.services.task import Task
from dicomkit.errors import NotFound
from dicomkit.names import DicomStoreName
from dicomkit.resources.blob_storage import SetBlobStorageSettingsRequest

__all__ = ["KIND", "METHOD", "StorageSettings"]

KIND = "setBlobStorageSettings"
"""Kind of the operations."""

METHOD = "storageinfo.StorageInfoService.SetBlobStorageSettings"
"""Their ``apiMethodName``, without what all begin with."""

PORTION = 500
"""Instances of one transaction."""


class StorageSettings:
    """What moves instances between storage classes.

    Parameters
    ----------
    storage, notifications
        The home's files, and who is told of what is moved.
    buckets
        Where filter files are.
    """

    def __init__(self, storage: Storage, notifications: Notifications, buckets: FilterFiles) -> None:
        self._storage = storage
        self._notifications = notifications
        self._buckets = buckets

    def begin(
        self,
        operations: Operations,
        name: DicomStoreName,
        uids: Mapping[str, str],
        body: Mapping[str, Any],
        *,
        api: str,
    ) -> dict[str, Any]:
        """Have instances moved by an operation, and return its name.

        Parameters
        ----------
        name
            The store.
        uids
            ``study``, and perhaps ``series`` and ``instance``: only what is below them.
        body
            JSON of the request.

        Raises
        ------
        InvalidArgument
            The request breaks a rule.
        NotFound
            The store, what is below it, or the filter file does not exist.
        """
        request = SetBlobStorageSettingsRequest.from_api(body, strict=True)
        if uids:
            request.check_below_store()
        with self._storage.database.read() as connection:
            store = catalog.store(connection, name).key
            if uids and next(keys_below(connection, store, *_path(uids)), None) is None:
                raise NotFound(f"there is no such {_LEVELS[len(uids) - 1]}")
        if request.filter_config is not None:
            self._buckets.open(str(request.filter_config.uri)).close()
        kept = {"store": str(name), "uids": dict(uids), "request": request.to_api()}
        return operations.start(name.dataset, KIND, kept, api=api)

    def work(self, task: Task) -> dict[str, Any]:
        """Do an operation of :meth:`begin`, or go on with it."""
        name = DicomStoreName.parse(task.request["store"])
        request = SetBlobStorageSettingsRequest.from_api(task.request["request"])
        selection = self._selection(task, name, request)
        task.state["upTo"] = selection.up_to
        left = len(selection)
        task.pending(left)
        task.save()
        instances = iter(selection)
        while portion := list(islice(instances, PORTION)):
            task.check()
            self._move(name, [item.key for item in portion], request.storage_class)
            left -= len(portion)
            task.success(len(portion))
            task.pending(max(left, 0))
            task.state["after"] = portion[-1].key
            task.save()
        return {"@type": EMPTY}

    def _selection(self, task: Task, name: DicomStoreName, request: SetBlobStorageSettingsRequest) -> Selection:
        after, up_to = task.state.get("after", 0), task.state.get("upTo")
        uids = task.request["uids"]
        if not uids:
            config = request.filter_config
            return selected(self._storage, self._buckets, name, config, after=after, up_to=up_to, check=task.check)
        with self._storage.database.read() as connection:
            store = catalog.store(connection, name).key
            last = last_key(connection, store) if up_to is None else up_to
            keys = array("q", sorted(keys_below(connection, store, *_path(uids))))
        keys = keys[bisect_right(keys, after) : bisect_right(keys, last)]
        return Selection(self._storage, store, after, last, keys)

    def _move(self, name: DicomStoreName, keys: list[int], storage_class: str) -> None:
        """Move a portion; what is in the class already, perhaps since before a crash, is left alone and not told."""
        with self._storage.database.write() as connection:
            store = catalog.store(connection, name)
            former = set_storage_class(connection, keys, storage_class, time.time_ns() // 1_000)
            if former:
                self._notifications.changed(
                    connection, name, store.resource, SET_BLOB_SETTINGS, former, previous=former
                )


_LEVELS = ("study", "series", "instance")


def _path(uids: Mapping[str, str]) -> tuple[str, str | None, str | None]:
    return uids["study"], uids.get("series"), uids.get("instance")
