"""Blob files as they are read: a few stay open, and nothing is handed out whose hash is wrong."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dicomkit.errors import Internal

__all__ = ["CHUNK_BYTES", "WHOLE_BYTES", "BlobGone", "BlobReader", "OpenFile", "Place"]

CHUNK_BYTES = 1 << 20
"""How much of a large instance is in memory while it is read."""

WHOLE_BYTES = 8 << 20
"""Up to this size an instance is read and its hash checked before its first byte is handed out."""

_OPEN_FILES = 64
_DAMAGED = "the stored bytes of an instance are damaged"


class BlobGone(Internal):
    """There is no such blob file: the instance has moved or was deleted, or else the file is lost."""


class Place(NamedTuple):
    """Where an instance's bytes are."""

    segment: int
    offset: int
    length: int


class OpenFile:
    """A descriptor that is closed when its last user lets go of it."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class BlobReader:
    """Reads blob files, from any thread.

    A file that is removed while somebody reads it stays readable for them: the system keeps its bytes until the last
    descriptor is closed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read_files: OrderedDict[int, OpenFile] = OrderedDict()
        self._read_lock = threading.Lock()

    def _file(self, key: int) -> Path:
        return self._folder / f"{key:010d}.blob"

    def _open(self, key: int) -> OpenFile:
        with self._read_lock:
            file = self._read_files.get(key)
            if file is not None:
                self._read_files.move_to_end(key)
                return file
            try:
                file = OpenFile(os.open(self._file(key), os.O_RDONLY))
            except FileNotFoundError as exc:
                raise BlobGone(_DAMAGED, code="DATA_LOSS") from exc
            except OSError as exc:
                raise _lost() from exc
            self._read_files[key] = file
            while len(self._read_files) > _OPEN_FILES:
                self._read_files.popitem(last=False)
            return file

    def read(self, place: Place, sha256: bytes) -> bytes:
        """The bytes at *place*; ``Internal`` (data loss) when they are not those that were stored."""
        # The name keeps the descriptor open: another thread may take the file out of the cache.
        file = self._open(place.segment)
        data = os.pread(file.fd, place.length, place.offset)
        if len(data) != place.length or hashlib.sha256(data).digest() != sha256:
            raise _lost()
        return data

    def chunks(self, place: Place, sha256: bytes) -> Iterator[bytes]:
        """The bytes at *place*, checked, in pieces.

        A small instance is checked before anything is yielded. Of a large one the last piece is held back
        until the hash of all is right, so that a damaged instance never arrives complete.
        """
        if place.length <= WHOLE_BYTES:
            yield self.read(place, sha256)
            return
        file = self._open(place.segment)
        digest = hashlib.sha256()
        done = 0
        while done < place.length:
            chunk = os.pread(file.fd, min(CHUNK_BYTES, place.length - done), place.offset + done)
            if not chunk:
                raise _lost()
            digest.update(chunk)
            done += len(chunk)
            if done == place.length and digest.digest() != sha256:
                raise _lost()
            yield chunk

    def _unlink(self, key: int) -> None:
        # Under the lock, so that no reader opens the file in between and keeps its bytes on disk.
        with self._read_lock:
            self._read_files.pop(key, None)
            self._file(key).unlink(missing_ok=True)

    def close(self) -> None:
        """Close every file that no reader uses."""
        with self._read_lock:
            self._read_files.clear()


def _lost() -> Internal:
    return Internal(_DAMAGED, code="DATA_LOSS")
