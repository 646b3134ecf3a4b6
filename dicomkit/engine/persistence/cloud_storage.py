"""Buckets of Cloud Storage, through gcsfs, with credentials that somebody gave on purpose.

``STORAGE_EMULATOR_HOST`` leads to an emulator, as with Google's own libraries. Source: Cloud Storage JSON API v1,
``objects.list`` and ``objects.get``.
"""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from dicomkit.errors import FailedPrecondition, NotFound, PermissionDenied, SetupError, Unavailable
from dicomkit.resources.gcs import GcsUri

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["CloudStorage"]

CHUNK = 2 << 20
"""Bytes of one read; a worker that is to stop waits for one."""

_PAGE = 1_000
_CONNECT_S = 10.0
_READ_S = 60.0


class CloudStorage:
    """The buckets that the credentials reach.

    Parameters
    ----------
    credentials
        Of google-auth.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._lock = threading.Lock()
        self._made: Any = None

    def _fs(self) -> Any:
        with self._lock:
            if self._made is None:
                try:
                    import aiohttp
                    from gcsfs.core import GCSFileSystem
                except ImportError as exc:
                    raise SetupError(
                        "gs:// of Google Cloud needs gcsfs; run: pip install 'dicomkit[gcs]' "
                        "(or put the files into the folder buckets/ of the home)"
                    ) from exc
                # What it has to say of each failure holds names of objects; it is told here, by the error raised.
                logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
                self._made = GCSFileSystem(  # type: ignore[no-untyped-call]
                    token=self._credentials,
                    access="read_write",
                    use_listings_cache=False,
                    skip_instance_cache=True,
                    requests_timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_READ_S),
                )
            return self._made

    def check(self, uri: GcsUri) -> None:
        """Raise ``NotFound`` for a bucket that is not there, as far as the credentials can see."""
        try:
            with _errors(f"bucket {uri.bucket!r}"):
                self._fs().call("GET", "b/{}/o", uri.bucket, maxResults=1, fields="nextPageToken")
        except PermissionDenied:
            pass  # who may only write there cannot look; writing will tell

    def find(self, uri: GcsUri, after: str = "") -> Iterator[tuple[str, int]]:
        """(name, size) of the objects that match, ascending by name, from the one after *after*; a page at a time."""
        wanted = uri.regex()
        query: dict[str, Any] = {
            "prefix": uri.literal,
            "maxResults": _PAGE,
            "fields": "items(name,size),nextPageToken",
        }
        if after:
            query["startOffset"] = after
        while True:
            with _errors(f"bucket {uri.bucket!r}"):
                page = self._fs().call("GET", "b/{}/o", uri.bucket, json_out=True, **query)
            for item in page.get("items", ()):
                name = item["name"]
                # A name that ends with a slash is how consoles show a folder.
                if name > after and not name.endswith("/") and wanted.fullmatch(name):
                    yield name, int(item.get("size", 0))
            token = page.get("nextPageToken")
            if not token:
                return
            query["pageToken"] = token

    def open(self, uri: GcsUri) -> BinaryIO:
        """The content of an object, read in chunks."""
        with _errors(f"object {uri}"):
            found = self._fs().call("GET", "b/{}/o/{}", uri.bucket, uri.object, json_out=True, fields="size,generation")
        reader = _Reader(self._fs(), uri, int(found.get("size", 0)), found.get("generation"))
        return cast(BinaryIO, io.BufferedReader(reader, CHUNK))

    def read(self, uri: GcsUri) -> bytes:
        """The content of a small object, in one request."""
        with _errors(f"object {uri}"):
            _, data = self._fs().call("GET", "b/{}/o/{}", uri.bucket, uri.object, alt="media")
        return bytes(data)

    @contextmanager
    def writer(self, uri: GcsUri) -> Iterator[BinaryIO]:
        """A stream for the content of an object, which is there when the block is left without an error."""
        with _errors(f"object {uri}"):
            stream = self._fs().open(f"{uri.bucket}/{uri.object}", "wb", content_type="application/octet-stream")
        try:
            yield cast(BinaryIO, stream)
        except BaseException:
            with _errors(f"object {uri}"):
                stream.discard()
            stream.closed = True  # so that nobody finishes it
            raise
        with _errors(f"object {uri}"):
            stream.close()


class _Reader(io.RawIOBase):
    """An object, one request for each chunk; all chunks are of the same generation."""

    def __init__(self, fs: Any, uri: GcsUri, size: int, generation: str | None) -> None:
        self._fs = fs
        self._uri = uri
        self._size = size
        self._query = {"generation": generation} if generation else {}
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes."""
        end = min(self._at + min(len(buffer), CHUNK), self._size)
        if end <= self._at:
            return 0
        with _errors(f"object {self._uri}"):
            _, data = self._fs.call(
                "GET",
                "b/{}/o/{}",
                self._uri.bucket,
                self._uri.object,
                headers={"Range": f"bytes={self._at}-{end - 1}"},
                alt="media",
                **self._query,
            )
        if len(data) != end - self._at:
            raise Unavailable(f"{self._uri} was cut off while it was read; try again")
        buffer[: len(data)] = data
        self._at = end
        return len(data)


@contextmanager
def _errors(what: str) -> Iterator[None]:
    """Raise dicomkit's errors for those of gcsfs, aiohttp and google-auth, without their texts."""
    try:
        yield
    except FileNotFoundError as exc:
        raise NotFound(f"there is no {what}") from exc
    except OSError as exc:
        # gcsfs gives 403 a plain OSError with no number; what the network raises has one, or a class of its own.
        if type(exc) is OSError and exc.errno is None:
            raise PermissionDenied(
                f"the credentials may not reach {what}; grant roles/storage.objectViewer (to read) or "
                "roles/storage.objectAdmin (to write)"
            ) from exc
        raise Unavailable(f"{what} could not be reached; try again") from exc
    except Exception as exc:
        from google.auth.exceptions import GoogleAuthError

        if isinstance(exc, GoogleAuthError) or str(getattr(exc, "code", "")) == "401":
            raise FailedPrecondition(f"the credentials were not taken for {what}; sign in again") from exc
        if isinstance(exc, SetupError):
            raise
        raise Unavailable(f"{what} could not be reached ({type(exc).__name__}); try again") from exc
