"""Moving instances to another storage class, as a long-running operation.

The bytes stay where they are, for a folder has one kind of storage: what changes is what ``getStorageInfo``, the tables
and the notifications say. A table that the store streams to gets the whole row of the instance again, with its new
class, so that the newest row is true. Its ``Type`` is ``UPDATE``: the API documents that changes of the storage class
are streamed, and not what their ``Type`` is; ``UPDATE`` is what the streams of FHIR stores call such a change.

Source: Cloud Healthcare API v1, ``dicomStores.setBlobStorageSettings`` (discovery document, revision 20261013), "DICOM
storage class", "Stream DICOM metadata to BigQuery"; ``SetBlobSettings`` in "Configure DICOM Pub/Sub notifications".
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from dicomkit.dicom.reader import read_part10
from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.index_cursor import SelectedInstance, keys_below, last_key
from dicomkit.engine.persistence.outbox import NewRow
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.persistence.storage_classes import set_storage_class
from dicomkit.engine.services.filter_config import FilterFiles, Selection, selected
from dicomkit.engine.services.notifications import SET_BLOB_SETTINGS, Notifications
from dicomkit.engine.services.operations import EMPTY, Operations
from dicomkit.engine.services.prepare import RowForm, row_forms, rows_of
from dicomkit.engine.services.retrieve import Retrieve
from dicomkit.engine.services.task import Task
from dicomkit.errors import ApiError, DicomFormatError, NotFound
from dicomkit.names import DicomStoreName
from dicomkit.resources.blob_storage import SetBlobStorageSettingsRequest

__all__ = ["KIND", "METHOD", "StorageSettings"]

KIND = "setBlobStorageSettings"
"""Kind of the operations."""

METHOD = "storageinfo.StorageInfoService.SetBlobStorageSettings"
"""Their ``apiMethodName``, without what all begin with."""

EVENT = "UPDATE"
"""``Type`` of the rows that a move streams."""

PORTION = 100
"""Instances of one transaction."""

_UNREADABLE = "the stored bytes of an instance that was moved to another storage class cannot be read"


class StorageSettings:
    """What moves instances between storage classes.

    Parameters
    ----------
    storage, notifications
        The home's files, and who is told of what is moved.
    retrieve
        Reads the instances whose rows are streamed.
    buckets
        Where filter files are.
    on_rows
        Called with the number of rows for tables that a portion has put into the outbox.
    """

    def __init__(
        self,
        storage: Storage,
        notifications: Notifications,
        retrieve: Retrieve,
        buckets: FilterFiles,
        on_rows: Callable[[int], None],
    ) -> None:
        self._storage = storage
        self._notifications = notifications
        self._retrieve = retrieve
        self._buckets = buckets
        self._on_rows = on_rows

    def register(self, operations: Operations) -> None:
        """Do the changes of storage class of *operations*."""
        operations.register(KIND, METHOD, self.work)

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
            self._move(task, name, portion, request.storage_class)
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

    def _move(self, task: Task, name: DicomStoreName, items: Sequence[SelectedInstance], storage_class: str) -> None:
        """Move a portion; what is in the class already, perhaps since before a crash, is left alone and not told."""
        storage = self._storage
        while True:
            with storage.database.read() as connection:
                store = catalog.store(connection, name)
                streams = storage.outbox.streams(connection, store.key) if store.resource.get("streamConfigs") else []
            now = time.time_ns() // 1_000
            forms = row_forms(str(name), [(s.key, s.config) for s in streams if s.active])
            # Files are not read while others wait for the catalog.
            rows = self._rows(task, forms, items, storage_class, now) if forms else {}
            with storage.database.write() as connection:
                current = catalog.store(connection, name)
                if (current.key, current.generation) != (store.key, store.generation):
                    continue  # it may stream to other tables now
                former = set_storage_class(connection, [item.key for item in items], storage_class, now)
                if former:
                    self._notifications.changed(
                        connection, name, current.resource, SET_BLOB_SETTINGS, former, previous=former
                    )
                moved = [row for key in former for row in rows.get(key, ())]
                count = storage.outbox.add(connection, moved, time.time()) if moved else 0
            if count:
                self._on_rows(count)
            return

    def _rows(
        self, task: Task, forms: Sequence[RowForm], items: Sequence[SelectedInstance], storage_class: str, now: int
    ) -> dict[int, list[NewRow]]:
        """Rows for tables by key of the instance; one that cannot be read has rows that say it."""
        made: dict[int, list[NewRow]] = {}
        for item in items:
            if item.storage_class == storage_class:
                continue
            task.check()
            try:
                found = read_part10(self._retrieve.view(item.stored))
            except NotFound:
                continue
            except (ApiError, DicomFormatError):
                uids = item.study_uid, item.series_uid, item.uid
                made[item.key] = [NewRow(form.streams, None, _UNREADABLE, uids) for form in forms]
                continue
            made[item.key] = rows_of(found, forms, now, storage_class, item.stored.place.length, EVENT)
        return made


_LEVELS = ("study", "series", "instance")


def _path(uids: Mapping[str, str]) -> tuple[str, str | None, str | None]:
    return uids["study"], uids.get("series"), uids.get("instance")
