"""Instances, or their frames, as objects in Cloud Storage.

Objects are written by a few threads and counted in the order of the instances, so that an export that goes on after a
crash repeats no more than those few. An object is there whole or not at all; one that is there already is overwritten.
An instance that cannot be exported as asked is a failure, and the others go on; a bucket that cannot be written to
ends the export.

Source: Cloud Healthcare API v1, ``GoogleCloudHealthcareV1DicomGcsDestination``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from dicomkit.engine.persistence.index_cursor import SelectedInstance
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.buckets import Buckets
from dicomkit.engine.services.filter_config import selected
from dicomkit.engine.services.retrieve import Retrieve
from dicomkit.engine.services.task import Stopped, Task
from dicomkit.errors import ApiError, DicomFormatError, InvalidArgument, NotFound
from dicomkit.names import DicomStoreName
from dicomkit.resources.export_request import ExportDicomDataRequest, ExportFormat
from dicomkit.resources.gcs import GcsUri

__all__ = ["GcsExport"]

THREADS = 4
"""Instances that are written at a time: a disk, and more so a network, keeps one waiting."""

_POLL_S = 0.2
_STOP_S = 0.5

_OF_THE_OBJECT = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION"})
"""Codes of a write that fails for the name of the object, and not for the bucket or the disk."""


class _Failed(Exception):
    """An instance cannot be exported as asked."""

    def __init__(self, message: str, code: str = "INVALID_ARGUMENT") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class _Object(NamedTuple):
    """One object of an instance: what its name has after the UIDs, and its bytes."""

    ending: str
    pieces: Iterable[bytes]


class _Progress:
    """Instances that are being written, counted in their order."""

    def __init__(self, task: Task, store: DicomStoreName, left: int) -> None:
        self._task = task
        self._store = store
        self._left = left
        self.waiting: deque[tuple[SelectedInstance, Future[None]]] = deque()
        task.pending(left)

    @property
    def is_full(self) -> bool:
        """Whether there is enough to do for all threads."""
        return len(self.waiting) >= 2 * THREADS

    def add(self, item: SelectedInstance, future: Future[None]) -> None:
        """An instance is being written."""
        self.waiting.append((item, future))

    def settle(self) -> None:
        """Wait for the first instance, count it, and note that the export goes on behind it."""
        task = self._task
        item, future = self.waiting[0]
        try:
            while not future.done():
                wait((future,), _POLL_S)
                task.check()
            future.result()
            task.success()
        except _Failed as exc:
            task.failure(item.source(self._store), exc.message, exc.code)
        except NotFound:
            pass  # it was deleted before its turn
        self.waiting.popleft()
        self._left -= 1
        task.state["after"] = item.key
        task.pending(self._left)
        task.save()

    def settle_done(self) -> None:
        """Count the instances that were written although the task is to stop, up to the first that was not."""
        running = [future for _, future in self.waiting]
        wait(running, _STOP_S)
        while self.waiting and _is_settled(self.waiting[0][1]):
            self.settle()


def _is_settled(future: Future[None]) -> bool:
    return future.done() and not future.cancelled() and not isinstance(future.exception(), Stopped)


class GcsExport:
    """Does exports into buckets.

    Parameters
    ----------
    storage
        The home's files.
    buckets
        Where objects go, and where filter files are.
    retrieve
        Reads instances.
    """

    def __init__(self, storage: Storage, buckets: Buckets, retrieve: Retrieve) -> None:
        self._storage = storage
        self._buckets = buckets
        self._retrieve = retrieve

    def work(self, task: Task, store: DicomStoreName, request: ExportDicomDataRequest) -> None:
        """Do an export whose request has a folder."""
        destination = request.gcs_destination
        if destination is None:
            raise InvalidArgument("the export has no folder")
        folder, form = destination.folder, destination.format
        state = task.state
        items = selected(
            self._storage,
            self._buckets,
            store,
            request.filter_config,
            after=state.get("after", 0),
            up_to=state.get("upTo"),
            check=task.check,
        )
        state["upTo"] = items.up_to
        progress = _Progress(task, store, left=len(items))
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="dicomkit-export")
        try:
            for item in items:
                while progress.is_full:
                    progress.settle()
                task.check()
                progress.add(item, pool.submit(self._export, task, folder, form, item))
            while progress.waiting:
                progress.settle()
        except Stopped:
            # What runs stops at its next look at the task, and leaves no object behind; what is done is counted.
            pool.shutdown(wait=False, cancel_futures=True)
            progress.settle_done()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _export(self, task: Task, folder: GcsUri, form: ExportFormat, item: SelectedInstance) -> None:
        """Write the objects of one instance; runs in a thread of the pool.

        Raises
        ------
        NotFound
            The instance is gone.
        """
        name = f"{item.study_uid}/{item.series_uid}/{item.uid}"
        for ending, pieces in self._objects(form, item):
            task.check()
            self._write(task, folder.below(name + ending), pieces)

    def _objects(self, form: ExportFormat, item: SelectedInstance) -> Iterator[_Object]:
        """What is written of an instance."""
        yield _Object(form.extension, self._retrieve.chunks(item.stored))

    def _write(self, task: Task, uri: GcsUri, pieces: Iterable[bytes]) -> None:
        gone: NotFound | None = None
        try:
            with self._buckets.writer(uri) as stream:
                try:
                    for piece in _readable(pieces):
                        task.check()
                        stream.write(piece)
                except NotFound as exc:
                    gone = exc
                    raise
        except NotFound as exc:
            if exc is gone:
                raise
            # In place of NotFound, which says that the instance is gone.
            raise ApiError(exc.message, status=exc.status, code=exc.code) from exc
        except ApiError as exc:
            if exc.code in _OF_THE_OBJECT:
                raise _Failed(exc.message, exc.code) from exc
            raise


def _readable(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """*pieces*, whose errors are those of the instance."""
    try:
        yield from pieces
    except NotFound:
        raise
    except DicomFormatError as exc:
        raise _Failed(str(exc)) from exc
    except ApiError as exc:
        raise _Failed(exc.message, exc.code) from exc
