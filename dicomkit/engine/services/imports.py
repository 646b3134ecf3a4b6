"""Importing files of a bucket into a store, as a long-running operation.

Source: Cloud Healthcare API v1, ``dicomStores.import`` ("accepts duplicate DICOM instances by ignoring the newly-pushed
instance; it does not overwrite"), "Import and export DICOM data using Cloud Storage", quotas (100 GB a file).

Where the document leaves room:

- what is wrong with the request, a bucket that is no folder of the home and a symbolic link are the caller's answer; a
  bucket of Cloud Storage is asked for by the operation. That nothing matches ends the operation with ``NOT_FOUND``;
- the same bytes under the same UIDs again are a success, as when they are stored; other bytes are a failure with
  ``ALREADY_EXISTS``, and what is in the store stays;
- a file that cannot be imported is a failure with its reason, and the others go in. The operation ends with an error
  only if all of them fail;
- a cancelled import keeps what it has stored, and its counters say how much that is.

Objects are taken in the order of their names. The name of the last one that is done is kept with the counters, so that
an import goes on after it in the next process; what was stored and not yet counted is found to be stored, and counted
then. Objects that come while it runs are imported if their names come later.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, BinaryIO

from dicomkit.dicom.multipart import whole
from dicomkit.dicom.spool import Part
from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.buckets import BucketObject, Buckets, Opener
from dicomkit.engine.services.ingest import Ingest, StoreResult
from dicomkit.engine.services.operations import Operations
from dicomkit.engine.services.task import Stopped, Task
from dicomkit.errors import (
    ApiError,
    InvalidArgument,
    NotFound,
    PayloadTooLarge,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from dicomkit.names import DicomStoreName
from dicomkit.resources.gcs import GcsUri, parse_gcs_uri
from dicomkit.resources.transfer import ImportDicomDataRequest

__all__ = ["Imports"]

IMPORT = "import"
"""Kind of the operations."""

METHOD = "dicom.DicomService.ImportDicomData"
"""``apiMethodName``, without what all begin with."""

MAX_FILE_BYTES = 100 << 30
"""Largest file that is imported."""

PORTION_FILES = 100
PORTION_BYTES = 32 << 20
"""About how much is stored between two notes of how far the import is."""

_CHECK_EVERY = 1_000  # names of a listing between two looks at whether to stop
_OF_ONE_FILE = (InvalidArgument, NotFound, PayloadTooLarge, PermissionDenied)


class Imports:
    """What imports.

    Parameters
    ----------
    storage
        The home's files.
    ingest
        Stores the instances.
    buckets
        Where the files are.
    """

    def __init__(self, storage: Storage, ingest: Ingest, buckets: Buckets) -> None:
        self._storage = storage
        self._ingest = ingest
        self._buckets = buckets

    def register(self, operations: Operations) -> None:
        """Do the imports of *operations*."""
        operations.register(IMPORT, METHOD, self.work)

    def begin(self, operations: Operations, name: DicomStoreName, body: object, *, api: str) -> dict[str, Any]:
        """Have files imported by an operation, and return its name.

        Parameters
        ----------
        operations
            Keeps the operation.
        name
            The store.
        body
            Parsed JSON of an ``ImportDicomDataRequest``.
        api
            Version of the API that was called.

        Raises
        ------
        InvalidArgument
            The request is wrong, or its URI leads through a symbolic link.
        NotFound
            There is no such store, or no such bucket.
        """
        request = ImportDicomDataRequest.from_api(body, strict=True)
        pattern = request.pattern
        with self._storage.database.read() as connection:
            catalog.store(connection, name)
        if self._buckets.is_local(pattern.bucket):
            self._buckets.check_bucket(pattern)
        wanted = {"store": str(name), "uri": str(pattern), "storageClass": request.storage_class, "api": api}
        return operations.start(name.dataset, IMPORT, wanted, api=api)

    def work(self, task: Task) -> Mapping[str, Any]:
        """Do an operation of :meth:`begin`."""
        pattern = parse_gcs_uri(task.request["uri"], wildcards=True)
        self._buckets.check_bucket(pattern)
        after = task.state.get("after", "")
        left = self._count(task, pattern, after)
        if not left and not after:
            raise NotFound(f"no object matches {pattern}; check the uri, and its upper and lower case")
        task.pending(left)
        task.save()
        name = DicomStoreName.parse(task.request["store"])
        with closing(self._buckets.contents(pattern, after=after, check=task.check)) as objects:
            while (portion := _Portion(task, objects, self._storage)).has_more:
                results = self._ingest.store(
                    name, portion.parts(), storage_class=task.request["storageClass"], action="ImportDicomData"
                )
                portion.count(results)
                left = max(0, left - portion.done)
                task.pending(left)
                if portion.last:
                    task.state["after"] = portion.last
                task.save()
                if portion.error is not None:
                    raise portion.error
        return {"@type": f"type.googleapis.com/google.cloud.healthcare.{task.request['api']}.dicom.{_RESPONSE}"}

    def _count(self, task: Task, pattern: GcsUri, after: str) -> int:
        """How many objects there are to import; nothing but names is read."""
        count = 0
        for _ in self._buckets.find(pattern, after=after):
            if count % _CHECK_EVERY == 0:
                task.check()
            count += 1
        return count


_RESPONSE = "ImportDicomDataResponse"


class _Portion:
    """The next files of an import, read one by one as the ingest asks for them.

    Attributes
    ----------
    done
        Files that were met: read, or failed to be.
    last
        Name of the last one of them.
    has_more
        Whether there is a file to begin with.
    error
        What ended the portion before its time; what was read before it is stored, and counted, all the same.
    """

    def __init__(self, task: Task, objects: Iterator[tuple[BucketObject, Opener]], storage: Storage) -> None:
        self._task = task
        self._objects = objects
        self._tmp = storage.home.tmp
        self._first = next(objects, None)
        self._taken: list[str] = []
        self.has_more = self._first is not None
        self.done = 0
        self.last = ""
        self.error: Exception | None = None

    def parts(self) -> Iterator[Part]:
        """The files, whole, the large ones in files of their own."""
        size = 0
        found = self._first
        while found is not None:
            item, opener = found
            try:
                part = self._read(item, opener)
            except (Stopped, ApiError) as exc:
                self.error = exc
                return
            self.done += 1
            self.last = item.uri.split("/", 3)[3]
            size += item.size
            if part is not None:
                self._taken.append(item.uri)
                yield part
            if self.done >= PORTION_FILES or size >= PORTION_BYTES:
                return
            try:
                found = next(self._objects, None)
            except ApiError as exc:
                self.error = exc
                return

    def _read(self, item: BucketObject, opener: Opener) -> Part | None:
        """One file; ``None`` when it is a failure, which is counted."""
        self._task.check()
        try:
            if item.size > MAX_FILE_BYTES:
                raise InvalidArgument(f"the file has more than {MAX_FILE_BYTES >> 30} GB")
            with opener() as stream:
                return whole(
                    _Source(stream, self._task),
                    "application/dicom",
                    tmp_dir=self._tmp,
                    max_part_bytes=MAX_FILE_BYTES,
                )
        except _OF_ONE_FILE as exc:
            self._task.failure(_shown(item.uri), exc.message, exc.code)
            return None
        except _ReadError as exc:
            self._task.failure(_shown(item.uri), f"the file could not be read ({exc})", "UNAVAILABLE")
            return None
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ResourceExhausted("the disk is full; free some space and import again") from exc
            raise Unavailable("a temporary file could not be written; import again") from exc

    def count(self, results: list[StoreResult]) -> None:
        """Count what became of the files."""
        for result in results:
            if result.outcome != "failed":
                self._task.success()
                continue
            # An instance with UIDs failed because it is there already: nothing else is asked of it here.
            code = "ALREADY_EXISTS" if result.sop_uid else "INVALID_ARGUMENT"
            self._task.failure(_shown(self._taken[result.number - 1]), result.reason, code)


class _ReadError(Exception):
    """The source failed, not the file that it is copied to."""


class _Source:
    """A file as it is read, which stops when the operation is to."""

    def __init__(self, stream: BinaryIO, task: Task) -> None:
        self._stream = stream
        self._task = task

    def read(self, size: int, /) -> bytes:
        """The next bytes."""
        self._task.check()
        try:
            return self._stream.read(size)
        except OSError as exc:
            raise _ReadError(exc.strerror or type(exc).__name__) from exc


def _shown(uri: str) -> str:
    """*uri* as a log shows it (Cloud Healthcare API, logging): what is no text becomes a question mark."""
    return "".join(c if c.isprintable() else "?" for c in uri)
