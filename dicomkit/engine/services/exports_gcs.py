"""Instances, or their frames, as objects in Cloud Storage.

Objects are written by a few threads and counted in the order of the instances, so that an export that goes on after a
crash repeats no more than those few. An object is there whole or not at all; one that is there already is overwritten.
An instance that cannot be exported as asked is a failure, and the others go on; a bucket that cannot be written to
ends the export.

Source: Cloud Healthcare API v1, ``GoogleCloudHealthcareV1DicomGcsDestination``.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple, TypeVar

from dicomkit.engine.persistence.index_cursor import SelectedInstance
from dicomkit.engine.persistence.index_lookup import StoredInstance
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.buckets import Buckets
from dicomkit.engine.services.filter_config import selected
from dicomkit.engine.services.renderings import Renderings
from dicomkit.engine.services.retrieve import Retrieve, Target
from dicomkit.engine.services.task import Cancelled, Stopped, Task
from dicomkit.errors import ApiError, DicomFormatError, InvalidArgument, NotFound
from dicomkit.names import DicomStoreName
from dicomkit.resources.export_request import RAW, ExportDicomDataRequest, ExportFormat
from dicomkit.resources.gcs import GcsUri

__all__ = ["GcsExport"]

_T = TypeVar("_T")

Check = Callable[[], None]
"""Raises ``Stopped`` in a thread that is to stop."""

THREADS = 4
"""Instances that are copied at a time: a disk, and more so a network, keeps one waiting."""

PIXEL_THREADS = 2
"""Instances that are decoded at a time; each may be whole in memory, and waits for a worker process."""

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
    renderings
        Makes other forms of them.
    """

    def __init__(self, storage: Storage, buckets: Buckets, retrieve: Retrieve, renderings: Renderings) -> None:
        self._storage = storage
        self._buckets = buckets
        self._retrieve = retrieve
        self._renderings = renderings

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
        threads = THREADS if form.is_as_stored else PIXEL_THREADS
        pool = ThreadPoolExecutor(threads, thread_name_prefix="dicomkit-export")
        is_over = threading.Event()

        def check() -> None:
            task.check()
            if is_over.is_set():
                raise Cancelled

        try:
            for item in items:
                while progress.is_full:
                    progress.settle()
                task.check()
                progress.add(item, pool.submit(self._export, check, store, folder, form, item))
            while progress.waiting:
                progress.settle()
        except Stopped:
            # What was written by then is counted.
            pool.shutdown(wait=False, cancel_futures=True)
            progress.settle_done()
            raise
        finally:
            # What still runs stops at its next check, and leaves no object behind.
            is_over.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _export(
        self, check: Check, store: DicomStoreName, folder: GcsUri, form: ExportFormat, item: SelectedInstance
    ) -> None:
        """Write the objects of one instance; runs in a thread of the pool.

        Raises
        ------
        NotFound
            The instance is gone.
        """
        uri = folder.below(f"{item.study_uid}/{item.series_uid}/{item.uid}")
        # Its file stays although the instance may be moved or deleted: another process may be reading it.
        found = self._retrieve.held(store, Target(item.study_uid, item.series_uid, item.uid))
        try:
            for ending, pieces in _readable(self._objects(form, found.items[0])):
                check()
                self._write(check, uri, ending, pieces)
        finally:
            found.hold.close()

    def _objects(self, form: ExportFormat, item: StoredInstance) -> Iterator[_Object]:
        """What is written of an instance, made as it is asked for."""
        media, syntax, extension = form.media_type, form.transfer_syntax or "*", form.extension
        if not form.is_by_frame:
            is_stored_so = syntax in ("*", item.transfer_syntax)
            yield _Object(
                extension, self._retrieve.chunks(item) if is_stored_so else self._renderings.transcoded(item, syntax)
            )
            return
        count = self._renderings.frame_count(item)
        endings = [extension] if count == 1 else [f"/{number}{extension}" for number in range(1, count + 1)]
        if media == RAW:
            frames = self._renderings.frames(item, range(1, count + 1), syntax)
        else:
            frames = (self._renderings.rendered(item, number, media, None) for number in range(1, count + 1))
        for ending in endings:
            yield _Object(ending, (next(frames),))

    def _write(self, check: Check, instance: GcsUri, ending: str, pieces: Iterable[bytes]) -> None:
        gone: NotFound | None = None
        try:
            with self._buckets.writer(GcsUri(instance.bucket, instance.object + ending)) as stream:
                try:
                    for piece in _readable(pieces):
                        check()
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


def _readable(parts: Iterable[_T]) -> Iterator[_T]:
    """*parts* of an instance; what goes wrong while they are made is the instance's failure."""
    try:
        yield from parts
    except NotFound:
        raise
    except DicomFormatError as exc:
        raise _Failed(str(exc)) from exc
    except ApiError as exc:
        raise _Failed(exc.message, exc.code) from exc
