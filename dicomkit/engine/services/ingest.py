"""Storing instances, in the order that makes "stored" mean "on disk".

Parse and hash; append to the blobs; one sync; one transaction with the index rows and the rows for the tables; only
then the answer. An upload is committed batch by batch; each instance is stored whole or not at all, and one that
fails does not touch the others. The same bytes again are stored already; other bytes under the same three UIDs are
a conflict.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from dicomkit.collection_pause import collection_paused
from dicomkit.dicom.media_type import parse_media_type
from dicomkit.dicom.multipart import Part
from dicomkit.dicom.reader import read_part10
from dicomkit.engine.crash_points import crash_point
from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.blob_reader import Place
from dicomkit.engine.persistence.database import Connection
from dicomkit.engine.persistence.index import NewInstance
from dicomkit.engine.persistence.level_rows import modality
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.commits import GroupCommit
from dicomkit.engine.services.notifications import Audience, Notifications
from dicomkit.engine.services.prepare import StorePlan, prepare, row_forms, rows_of
from dicomkit.engine.services.turns import Turns
from dicomkit.errors import ApiError, DicomFormatError, NotFound
from dicomkit.names import DicomStoreName

__all__ = ["Ingest", "StoreResult"]

_log = logging.getLogger(__name__)

BATCH_PARTS = 100
"""Most instances that one sync and one transaction are for."""

BATCH_BYTES = 32 << 20
"""About the most bytes of instances, and of their rows for tables, in memory at a time."""


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What became of one instance of a request."""

    number: int
    """Place in the request, from 1."""
    outcome: Literal["stored", "already_stored", "failed"]
    study_uid: str = ""
    series_uid: str = ""
    sop_uid: str = ""
    sop_class: str = ""
    reason: str = ""


@dataclass(slots=True, eq=False)
class _Batch:
    """Instances of one request that are committed together."""

    name: DicomStoreName
    store: StorePlan
    action: str
    """What notifications call it."""
    numbers: list[int] = field(default_factory=list)
    items: list[NewInstance] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    size: int = 0
    is_stale: bool = False
    done: bool = False
    error: BaseException | None = None

    def close(self) -> None:
        for part in self.parts:
            part.close()


class Ingest:
    """Stores the instances of uploads.

    Parameters
    ----------
    storage, notifications
        The home's files, and who is told of what is new in them.
    on_rows
        Called with the number of rows that a commit has put into the outbox.
    turns
        Who reads meanwhile goes first.
    """

    def __init__(
        self, storage: Storage, notifications: Notifications, on_rows: Callable[[int], None], turns: Turns
    ) -> None:
        self._storage = storage
        self._notifications = notifications
        self._on_rows = on_rows
        self._turns = turns
        self._commits: GroupCommit[_Batch] = GroupCommit(self._commit)

    def store(
        self,
        name: DicomStoreName,
        parts: Iterable[Part],
        *,
        study_uid: str | None = None,
        storage_class: str = "STANDARD",
        action: str = "StoreInstances",
    ) -> list[StoreResult]:
        """Store *parts* and say what became of each, in their order.

        Parameters
        ----------
        name
            The store.
        parts
            Instances, each as it arrives; closed here.
        study_uid
            Study that the request names; an instance of another one fails.
        storage_class
            Kept with the instances.
        action
            What the store's notifications say was done: ``"StoreInstances"``, ``"ImportDicomData"`` or
            ``"DeidentifyDicomStore"``.

        Raises
        ------
        NotFound
            There is no such store.
        Unavailable, ResourceExhausted
            The disk failed or is full. What was stored before stays; the same request may be sent again.
        """
        results: list[StoreResult] = []
        batch = _Batch(name, self._plan(name), action)
        try:
            for number, part in enumerate(parts, 1):
                self._turns.give_way()
                item = self._prepare(part, number, batch.store, study_uid, storage_class, results)
                if item is None:
                    part.close()
                    continue
                batch.items.append(item)
                batch.parts.append(part)
                batch.numbers.append(number)
                batch.size += (part.size if part.file is None else 0) + sum(len(new.row or b"") for new in item.rows)
                if len(batch.items) >= BATCH_PARTS or batch.size >= BATCH_BYTES:
                    self._finish(batch, results)
                    batch = _Batch(name, batch.store, action)
            if batch.items:
                self._finish(batch, results)
        finally:
            batch.close()
        results.sort(key=lambda result: result.number)
        crash_point("pre_ack")
        return results

    def _plan(self, name: DicomStoreName) -> StorePlan:
        with self._storage.database.read() as connection:
            row = catalog.store(connection, name)
            streams = self._storage.outbox.streams(connection, row.key) if row.resource.get("streamConfigs") else []
        forms = row_forms(str(name), [(s.key, s.config) for s in streams if s.active])
        return StorePlan(row.key, row.generation, forms, Audience.of(row.resource))

    def _prepare(
        self,
        part: Part,
        number: int,
        store: StorePlan,
        study_uid: str | None,
        storage_class: str,
        results: list[StoreResult],
    ) -> NewInstance | None:
        """What will be written of *part*; ``None``, with the reason in *results*, when nothing will."""
        try:
            _check_part_type(part)
            with collection_paused():
                item = prepare(part, store, storage_class, self._storage.metadata)
        except DicomFormatError as exc:
            results.append(StoreResult(number, "failed", reason=str(exc)))
            return None
        except (ApiError, OSError):
            raise
        except Exception:  # noqa: BLE001 - no file takes the server, or the rest of its request, down
            # The traceback would hold values of the file.
            _log.error("an instance could not be read, by a defect of the reader")
            results.append(StoreResult(number, "failed", reason="the instance could not be read"))
            return None
        if study_uid is not None and item.study_uid != study_uid:
            results.append(
                _result(
                    number, item, "failed", "the instance belongs to another study than the one in the request's path"
                )
            )
            return None
        if part.file is not None:
            self._storage.blobs.settle(part.file)
        return item

    def _finish(self, batch: _Batch, results: list[StoreResult]) -> None:
        try:
            self._commits.submit(batch)
            while batch.is_stale:
                self._renew(batch)
                self._commits.submit(batch)
        finally:
            batch.close()
        for number, item in zip(batch.numbers, batch.items, strict=True):
            if item.outcome == "conflict":
                reason = (
                    "an instance with the same study, series and SOP instance UID already exists, "
                    "but the files differ (checksum mismatch)"
                )
                results.append(_result(number, item, "failed", reason))
            else:
                results.append(_result(number, item, item.outcome or "failed"))

    def _renew(self, batch: _Batch) -> None:
        """The store's configuration has changed since the batch was prepared: make the rows that it wants now."""
        batch.store = self._plan(batch.name)
        batch.is_stale = batch.done = False
        for part, item in zip(batch.parts, batch.items, strict=True):
            item.store_key = batch.store.key
            found = read_part10(part.buffer())
            item.modality = modality(found.elements)
            item.rows = rows_of(found, batch.store.forms, item.updated, item.storage_class, part.size)

    def _commit(self, batches: Sequence[_Batch]) -> None:
        """Write the instances of *batches*; runs in one thread at a time."""
        storage = self._storage
        rows = 0
        with storage.turn:
            with storage.transaction() as connection:
                current: list[_Batch] = []
                for batch in batches:
                    store = catalog.store_by_key(connection, batch.store.key)
                    if store is None:
                        batch.error = NotFound(f"there is no DICOM store {str(batch.name)!r} any more")
                    elif store.generation != batch.store.generation:
                        batch.is_stale = True
                    else:
                        current.append(batch)
                plan = storage.index.plan(connection, [item for batch in current for item in batch.items])
                if plan.new:
                    part_of = {id(i): p for batch in current for i, p in zip(batch.items, batch.parts, strict=True)}
                    crash_point("pre_blob")
                    places = self._write_blobs([part_of[id(item)] for item in plan.new])
                    storage.index.write(connection, plan, places)
                    catalog.upsert_segments(connection, storage.blobs.pending())
                    used: Counter[int] = Counter()
                    for place in places:
                        used[place.segment] += place.length
                    catalog.add_live_bytes(connection, used)
                    rows = storage.outbox.add(connection, (row for item in plan.new for row in item.rows), time.time())
                    self._tell(connection, current)
                    crash_point("in_txn")
            # Still in turn: a delete that came first would leave keys in memory that are no more.
            storage.index.remember(plan)
        crash_point("post_commit")
        if rows:
            self._on_rows(rows)

    def _tell(self, connection: Connection, batches: Iterable[_Batch]) -> None:
        """Write the messages of what is new in *batches*."""
        for batch in batches:
            if batch.store.audience:
                new = [item for item in batch.items if item.outcome == "stored"]
                self._notifications.stored(connection, batch.name, batch.store.audience, batch.action, new)

    def _write_blobs(self, parts: Sequence[Part]) -> list[Place]:
        """Write the bytes of *parts* and put them on disk."""
        blobs = self._storage.blobs
        small = iter(blobs.append([part.buffer() for part in parts if part.file is None]))  # type: ignore[misc]
        places = [next(small) if part.file is None else blobs.adopt(part.file, part.size) for part in parts]
        blobs.sync()
        return places


def _check_part_type(part: Part) -> None:
    """A part without a type may be anything; one that says it is something else is not read."""
    if part.content_type and parse_media_type(part.content_type)[0] not in (
        "application/dicom",
        "application/octet-stream",
    ):
        raise DicomFormatError("the part is not application/dicom")


def _result(
    number: int, item: NewInstance, outcome: Literal["stored", "already_stored", "failed"], reason: str = ""
) -> StoreResult:
    return StoreResult(number, outcome, item.study_uid, item.series_uid, item.sop_uid, item.sop_class, reason)
