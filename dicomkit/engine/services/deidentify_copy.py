"""The work of a de-identification: instances go through child processes from one store into another.

Children compute on the next instances while the last portion is being stored. What is stored and counted goes on disk
before the place to go on at does; what was stored and not counted is done again, comes out as the same bytes, and is
found to be there.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from dicomkit.dicom.multipart import MAX_PART_BYTES, SPOOL_BYTES
from dicomkit.dicom.spool import Part, Sink
from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.index_cursor import SelectedInstance
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.buckets import Buckets
from dicomkit.engine.services.deidentify_workers import DeidentifyWorkers
from dicomkit.engine.services.filter_config import selected
from dicomkit.engine.services.ingest import BATCH_BYTES, BATCH_PARTS, Ingest
from dicomkit.engine.services.retrieve import Retrieve
from dicomkit.engine.services.task import Task
from dicomkit.engine.services.worker_pool import Answer, cpus, result_of
from dicomkit.errors import DicomFormatError, Internal, NotFound
from dicomkit.names import DicomStoreName
from dicomkit.resources.deidentify_config import DeidentifyConfig
from dicomkit.resources.filter_config import DicomFilterConfig

__all__ = ["ACTION", "LIMIT_S", "MAX_INSTANCE_BYTES", "DeidentifiedCopy", "read_whole"]

ACTION = "DeidentifyDicomStore"
"""What notifications of the destination call it."""

LIMIT_S = 120.0
"""How long one instance may take."""

MAX_INSTANCE_BYTES = 1 << 30
"""Largest instance that is taken: it is in memory three times while it is rewritten."""

PORTION_S = 0.5
"""How long results are gathered before they are stored."""

MAX_WORKERS = 8

_AHEAD = 16
"""Instances for each child that are being worked on or wait for it."""


@dataclass(slots=True)
class _Portion:
    """Results that are stored together, and the instances they are of."""

    items: list[SelectedInstance] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    last: int = 0
    """Key of the last instance that is dealt with, stored or not."""
    size: int = 0
    begun: float = field(default_factory=time.monotonic)

    @property
    def is_full(self) -> bool:
        return len(self.parts) >= BATCH_PARTS or self.size >= BATCH_BYTES or time.monotonic() - self.begun > PORTION_S


class DeidentifiedCopy:
    """Copies instances, de-identified."""

    def __init__(self, storage: Storage, retrieve: Retrieve, ingest: Ingest, buckets: Buckets) -> None:
        self._storage = storage
        self._retrieve = retrieve
        self._ingest = ingest
        self._buckets = buckets

    def run(
        self,
        task: Task,
        pairs: Sequence[tuple[DicomStoreName, DicomStoreName]],
        config: DeidentifyConfig,
        key: bytes,
        wanted: DicomFilterConfig | None,
        *,
        make_stores: bool,
    ) -> None:
        """Copy what is in the first store of each pair to the second, from where the task's state says.

        Parameters
        ----------
        wanted
            Which instances; all without one.
        make_stores
            The second stores are to be made, with the labels of the first ones.
        """
        count = cpus(MAX_WORKERS)
        with DeidentifyWorkers(config, key, preview=False, workers=count, time_limit_s=LIMIT_S) as workers:
            for at, (source, destination) in enumerate(pairs):
                if at < task.state.get("at", 0):
                    continue  # done by an earlier attempt
                if make_stores:
                    self._make_store(source, destination)
                self._run_store(task, workers, source, destination, wanted)
                task.state |= {"at": at + 1, "after": 0, "upTo": None}

    def _make_store(self, source: DicomStoreName, destination: DicomStoreName) -> None:
        """Make a store with the labels of another.

        Streams and notifications are left out: nobody has said that the copy is to go where the original goes.
        """
        with self._storage.database.write() as connection:
            labels = catalog.store(connection, source).resource.get("labels")
            dataset, _ = catalog.dataset_key(connection, destination.dataset)
            catalog.insert_store(connection, dataset, destination.store, {"labels": labels} if labels else {})

    def _run_store(
        self,
        task: Task,
        workers: DeidentifyWorkers,
        source: DicomStoreName,
        destination: DicomStoreName,
        wanted: DicomFilterConfig | None,
    ) -> None:
        state = task.state
        chosen = selected(
            self._storage,
            self._buckets,
            source,
            wanted,
            after=state.get("after", 0),
            up_to=state.get("upTo"),
            check=task.check,
        )
        state["upTo"] = chosen.up_to
        left = len(chosen)
        task.pending(left)
        task.save(now=True)
        portion = _Portion()
        for item, result in self._results(task, workers, chosen):
            left -= 1
            portion.last = item.key
            try:
                data = b"" if result is None else result_of(result, task.check)[1][0]
            except DicomFormatError as error:
                task.failure(item.source(source), str(error))
            except Internal as error:
                task.failure(item.source(source), error.message, error.code)
            else:
                if data:
                    portion.items.append(item)
                    portion.parts.append(self._part(data))
                    portion.size += len(data)
            if portion.is_full:
                self._store(task, portion, source, destination, left)
                portion = _Portion()
        self._store(task, portion, source, destination, left)

    def _results(
        self, task: Task, workers: DeidentifyWorkers, chosen: Iterable[SelectedInstance]
    ) -> Iterator[tuple[SelectedInstance, Future[Answer] | None]]:
        """Each instance with what will come of it, in order; ``None`` for one that was deleted meanwhile."""
        waiting: deque[tuple[SelectedInstance, Future[Answer] | None]] = deque()
        size = 0
        for item in chosen:
            task.check()
            waiting.append((item, self._begin(workers, item)))
            size += item.stored.place.length
            while len(waiting) >= _AHEAD * cpus(MAX_WORKERS) or (size > BATCH_BYTES and len(waiting) > 1):
                size -= waiting[0][0].stored.place.length
                yield waiting.popleft()
        yield from waiting

    def _begin(self, workers: DeidentifyWorkers, item: SelectedInstance) -> Future[Answer] | None:
        failed: Future[Answer] = Future()
        try:
            return workers.begin(read_whole(self._retrieve, item))
        except NotFound:
            return None
        except (DicomFormatError, Internal) as error:
            failed.set_exception(error)
            return failed

    def _part(self, data: bytes) -> Part:
        sink = Sink(SPOOL_BYTES, self._storage.home.tmp, MAX_PART_BYTES)
        try:
            sink.write(data)
        except BaseException:
            sink.discard()
            raise
        return sink.part({})

    def _store(
        self, task: Task, portion: _Portion, source: DicomStoreName, destination: DicomStoreName, left: int
    ) -> None:
        if portion.parts:
            results = self._ingest.store(destination, portion.parts, action=ACTION)
            for item, result in zip(portion.items, results, strict=True):
                if result.outcome == "failed":
                    code = "ALREADY_EXISTS" if result.sop_uid else "INVALID_ARGUMENT"
                    task.failure(item.source(source), result.reason, code)
            task.success(sum(result.outcome != "failed" for result in results))
        if portion.last:
            task.state["after"] = portion.last
        task.pending(left)
        task.check()
        task.save()


def read_whole(retrieve: Retrieve, item: SelectedInstance) -> bytes:
    """The bytes of an instance.

    Raises
    ------
    DicomFormatError
        It is too large to be rewritten in memory.
    Internal
        The bytes are damaged.
    NotFound
        It was deleted.
    """
    if item.stored.place.length > MAX_INSTANCE_BYTES:
        raise DicomFormatError(f"the instance is larger than {MAX_INSTANCE_BYTES >> 20} MiB, the most that is taken")
    return b"".join(retrieve.chunks(item.stored))
