"""``gs://`` URIs: folders of the home first, and Cloud Storage only for who gave credentials.

A bucket that is a folder in ``buckets/`` is that folder, whatever there is in the cloud. Any other bucket is one of
Cloud Storage if the engine was given credentials, and else is missing: nothing is connected to by accident.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from dicomkit.engine.persistence.bucket_folder import BucketFolder
from dicomkit.engine.persistence.cloud_storage import CloudStorage
from dicomkit.errors import InvalidArgument, NotFound
from dicomkit.resources.gcs import GcsUri, parse_gcs_uri

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["BucketObject", "Buckets", "Opener"]

READERS = 8
"""Objects of Cloud Storage that are read at a time: most of the time of a small one is the way there and back."""

AHEAD_FILES = 32
AHEAD_BYTES = 32 << 20
"""How much is read before it is asked for."""

SMALL_BYTES = 4 << 20
"""An object above this is read when it is asked for, in chunks."""

_CHECK_S = 0.2

Opener = Callable[[], BinaryIO]
"""Opens the content of one object."""


class BucketObject(NamedTuple):
    """An object as a listing shows it."""

    uri: str
    size: int


class Buckets:
    """Objects by their ``gs://`` URIs.

    Parameters
    ----------
    folder
        ``buckets/`` of the home.
    credentials
        Of google-auth; without them no bucket of Cloud Storage is reached.
    """

    def __init__(self, folder: Path, credentials: Credentials | None = None) -> None:
        self._folder = BucketFolder(folder)
        self._cloud = CloudStorage(credentials) if credentials is not None else None

    def is_local(self, bucket: str) -> bool:
        """Whether the bucket is a folder of the home, or nothing at all: whether no network is needed to say."""
        return self._folder.has(bucket) or self._cloud is None

    def check_bucket(self, uri: str | GcsUri) -> None:
        """Raise where nothing can be read from or written to *uri*, whatever objects there are.

        Raises
        ------
        NotFound
            There is no such bucket.
        InvalidArgument
            The URI is none, or leads through a symbolic link.
        """
        parsed = _parsed(uri, prefix=True)
        self._place(parsed).check(parsed)

    def find(self, pattern: GcsUri, *, after: str = "") -> Iterator[BucketObject]:
        """Find the objects that *pattern* matches, ascending by name.

        Parameters
        ----------
        pattern
            With or without wildcards.
        after
            Name of an object: only those after it are found.

        Raises
        ------
        NotFound
            There is no such bucket.
        """
        bucket = pattern.bucket
        for name, size in self._place(pattern).find(pattern, after):
            yield BucketObject(f"gs://{bucket}/{name}", size)

    def contents(
        self, pattern: GcsUri, *, after: str = "", check: Callable[[], None]
    ) -> Generator[tuple[BucketObject, Opener], None, None]:
        """Find objects as :meth:`find` does, each with what opens it; those of Cloud Storage are read ahead.

        Parameters
        ----------
        pattern, after
            As for :meth:`find`.
        check
            Called while an object is waited for; what it raises ends the waiting.
        """
        objects = self.find(pattern, after=after)
        if self.is_local(pattern.bucket):
            for item in objects:
                yield item, partial(self.open, item.uri)
            return
        pool = ThreadPoolExecutor(READERS, "dicomkit-buckets")
        waiting: deque[tuple[BucketObject, Future[BinaryIO] | None]] = deque()
        size = 0
        try:
            while True:
                while len(waiting) < AHEAD_FILES and size < AHEAD_BYTES and (found := next(objects, None)) is not None:
                    is_small = found.size <= SMALL_BYTES
                    waiting.append((found, pool.submit(self._read_small, found.uri) if is_small else None))
                    size += found.size if is_small else 0
                if not waiting:
                    return
                item, future = waiting.popleft()
                if future is None:
                    yield item, partial(self.open, item.uri)
                else:
                    size -= item.size
                    yield item, partial(_wait, future, check)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _read_small(self, uri: str) -> BinaryIO:
        parsed = _parsed(uri)
        place = self._place(parsed)
        return io.BytesIO(place.read(parsed)) if isinstance(place, CloudStorage) else place.open(parsed)

    def open(self, uri: str | GcsUri) -> BinaryIO:
        """The content of an object as a stream, to be closed by the caller.

        Raises
        ------
        NotFound
            There is no such object.
        """
        parsed = _parsed(uri)
        return self._place(parsed).open(parsed)

    def read_bytes(self, uri: str | GcsUri, max_bytes: int) -> bytes:
        """The content of a small object.

        Raises
        ------
        InvalidArgument
            It has more than *max_bytes* bytes.
        """
        with self.open(uri) as stream:
            data = stream.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise InvalidArgument(f"{uri} has more than {max_bytes} bytes; make it smaller")
        return data

    def read_text(self, uri: str | GcsUri, max_bytes: int) -> str:
        """The content of a small object that is UTF-8; a byte order mark at its beginning is left out.

        Raises
        ------
        InvalidArgument
            It is too large, or is not UTF-8.
        """
        try:
            return self.read_bytes(uri, max_bytes).decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            raise InvalidArgument(f"{uri} is not UTF-8; write it in that encoding") from exc

    def writer(self, uri: str | GcsUri) -> AbstractContextManager[BinaryIO]:
        """A stream for the content of an object.

        The object is there, whole, when the block is left; after an error in the block it is as it was before.

        Raises
        ------
        NotFound
            There is no such bucket.
        """
        parsed = _parsed(uri)
        return self._place(parsed).writer(parsed)

    def _place(self, uri: GcsUri) -> BucketFolder | CloudStorage:
        if self._folder.has(uri.bucket):
            return self._folder
        if self._cloud is None:
            raise NotFound(
                f"there is no bucket {uri.bucket!r}; make the folder buckets/{uri.bucket} in the home, or give the "
                "engine credentials to reach Cloud Storage"
            )
        return self._cloud


def _wait(future: Future[BinaryIO], check: Callable[[], None]) -> BinaryIO:
    while True:
        check()
        try:
            return future.result(_CHECK_S)
        except NotYet:
            if future.done():
                raise


def _parsed(uri: str | GcsUri, *, prefix: bool = False) -> GcsUri:
    return uri if isinstance(uri, GcsUri) else parse_gcs_uri(uri, prefix=prefix)
