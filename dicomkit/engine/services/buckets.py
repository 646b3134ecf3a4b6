"""``gs://`` URIs: folders of the home first, and Cloud Storage only for who gave credentials.

A bucket that is a folder in ``buckets/`` is that folder, whatever there is in the cloud. Any other bucket is one of
Cloud Storage if the engine was given credentials, and else is missing: nothing is connected to by accident.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from dicomkit.engine.persistence.bucket_folder import BucketFolder
from dicomkit.engine.persistence.cloud_storage import CloudStorage
from dicomkit.errors import InvalidArgument, NotFound
from dicomkit.resources.gcs import GcsUri, parse_gcs_uri

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["BucketObject", "Buckets"]


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


def _parsed(uri: str | GcsUri, *, prefix: bool = False) -> GcsUri:
    return uri if isinstance(uri, GcsUri) else parse_gcs_uri(uri, prefix=prefix)
