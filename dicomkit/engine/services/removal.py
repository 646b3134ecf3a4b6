"""Deleting instances, series, studies, stores and datasets.

A delete is one transaction; files that nothing uses any more are removed after it. If the process dies in between,
the next start removes them. What a delete leaves in a shared file is for ``services.compaction``. Rows of a table stay;
a delete of instances adds rows that say so. Deleting a store adds none, as its streams go with it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dicomkit.engine.crash_points import crash_point
from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.catalog import StoreRow
from dicomkit.engine.persistence.database import Connection
from dicomkit.engine.persistence.index_lookup import instances_below, live_bytes_of_store
from dicomkit.engine.persistence.operations import delete_operations
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.notifications import DELETE, Notifications
from dicomkit.engine.services.operations import EMPTY, Operations
from dicomkit.engine.services.prepare import deleted_rows, row_forms
from dicomkit.errors import NotFound
from dicomkit.names import DatasetName, DicomStoreName

__all__ = ["Removal"]

_PORTION = 1_000


class Removal:
    """What deletes.

    Parameters
    ----------
    storage, notifications
        The home's files, and who is told of what is deleted from them.
    on_delete
        Called after each delete.
    on_rows
        Called with the number of rows for tables that a delete has put into the outbox.
    """

    def __init__(
        self,
        storage: Storage,
        notifications: Notifications,
        on_delete: Callable[[], None],
        on_rows: Callable[[int], None],
    ) -> None:
        self._storage = storage
        self._notifications = notifications
        self._on_delete = on_delete
        self._on_rows = on_rows

    def instance(self, name: DicomStoreName, study: str, series: str, instance: str) -> None:
        """Delete one instance.

        Raises
        ------
        NotFound
            The store or the instance does not exist.
        """
        self._delete(name, study, series, instance)

    def study(
        self, name: DicomStoreName, study: str, series: str | None, operations: Operations, *, api: str
    ) -> dict[str, Any]:
        """Delete a study, or a series of it, and return the operation that stands for it, which is done.

        Google forbids to store anything in a study while it is being deleted. Here it is deleted when the operation
        is answered, in one transaction with it, so that what is stored afterwards stays.

        Raises
        ------
        NotFound
            The store, or what is to be deleted, does not exist.
        """
        method = f"dicomweb.DicomWebService.Delete{'Series' if series else 'Study'}"

        def record(connection: Connection, dataset_key: int, count: int) -> dict[str, Any]:
            return operations.finished(
                connection, name.dataset, dataset_key, method, {"@type": EMPTY}, api=api, counter={"success": count}
            )

        return self._delete(name, study, series, None, record)

    def _delete(
        self,
        name: DicomStoreName,
        study: str,
        series: str | None,
        instance: str | None,
        record: Callable[[Connection, int, int], dict[str, Any]] = lambda _connection, _dataset, _count: {},
    ) -> dict[str, Any]:
        """Delete what a path names, and call *record* in the same transaction; what that gives."""
        storage = self._storage
        with storage.transaction() as connection:
            store = catalog.store(connection, name)
            found = instances_below(connection, store.key, study, series, instance)
            if not found:
                raise NotFound(f"there is no such {'instance' if instance else 'series' if series else 'study'}")
            self._notifications.changed(connection, name, store.resource, DELETE, [i.key for i in found])
            rows = self._tell_streams(connection, name, store, [(study, i.series_uid, i.uid) for i in found])
            storage.index.delete(connection, [(i.key, i.series_key) for i in found])
            used: Counter[int] = Counter()
            for item in found:
                used[item.place.segment] -= item.place.length
            unused = self._release(connection, used)
            recorded = record(connection, store.dataset_key, len(found))
            crash_point("in_delete")
            storage.index.forget()
        crash_point("post_delete")
        self._finish(unused)
        if rows:
            self._on_rows(rows)
        return recorded

    def _tell_streams(
        self, connection: Connection, name: DicomStoreName, store: StoreRow, uids: Sequence[tuple[str, str, str]]
    ) -> int:
        """Put a row for each deleted instance into the outbox, for the tables that the store streams to."""
        if not store.resource.get("streamConfigs"):
            return 0
        outbox = self._storage.outbox
        forms = row_forms(str(name), [(s.key, s.config) for s in outbox.streams(connection, store.key) if s.active])
        return outbox.add(connection, deleted_rows(forms, uids, time.time_ns() // 1_000), time.time())

    def store(self, name: DicomStoreName) -> None:
        """Delete a store and every instance in it."""
        with self._storage.transaction() as connection:
            unused = self._store(connection, catalog.store(connection, name).key)
        self._finish(unused)

    def dataset(self, name: DatasetName) -> None:
        """Delete a dataset with its stores and operations."""
        unused: list[int] = []
        with self._storage.transaction() as connection:
            key, _ = catalog.dataset_key(connection, name)
            while stores := catalog.list_stores(connection, key, "", _PORTION):
                for store in stores:
                    unused += self._store(connection, store.key)
            delete_operations(connection, key)
            catalog.delete_dataset(connection, key)
        self._finish(unused)

    def _finish(self, unused: Sequence[int]) -> None:
        """The delete is committed."""
        self._storage.blobs.remove(unused)
        self._on_delete()

    def _store(self, connection: Connection, key: int) -> list[int]:
        storage = self._storage
        used = {segment: -length for segment, length in live_bytes_of_store(connection, key)}
        storage.index.delete_store(connection, key)
        storage.index.forget()
        storage.outbox.orphan(connection, key)
        catalog.delete_store(connection, key)
        return self._release(connection, used)

    def _release(self, connection: Connection, changes: Mapping[int, int]) -> list[int]:
        """Take bytes out of use, and forget the files that nothing is appended to and nothing uses."""
        empty = catalog.add_live_bytes(connection, changes)
        unused = [row.key for row in empty if row.own or not self._storage.blobs.is_current(row.key)]
        catalog.delete_segments(connection, unused)
        return unused
