"""Blob files as they are read: a few stay open, and nothing is handed out whose hash is wrong."""

from __future__ import annotations

import hashlib
import mmap
import os
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from dicomkit.errors import Internal

__all__ = ["CHUNK_BYTES", "WHOLE_BYTES", "BlobGone", "BlobReader", "Hold", "OpenFile", "Place"]

CHUNK_BYTES = 1 << 20
"""How much of a large instance is in memory while it is read."""

WHOLE_BYTES = 8 << 20
"""Up to this size an instance is read and its hash checked before its first byte is handed out."""

_OPEN_FILES = 64
_VERIFIED = 4096
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


class Hold:
    """Blob files that nobody removes until :meth:`close`; an answer that reads them has one.

    A file that is to be removed meanwhile goes with the last hold on it. If the process dies before that, the next
    start removes it, as no row names it any more.
    """

    __slots__ = ("_keys", "_reader")

    def __init__(self, reader: BlobReader, keys: tuple[int, ...]) -> None:
        self._reader, self._keys = reader, keys

    def close(self) -> None:
        """Let go of the files; again does nothing."""
        keys, self._keys = self._keys, ()
        if keys:
            self._reader.let_go(keys)

    def __del__(self) -> None:
        # Wherever the collector runs, a lock may be held: the next who holds it does the rest.
        if self._keys:
            self._reader.released.append(self._keys)


class BlobReader:
    """Reads blob files, from any thread.

    A file that is removed while somebody reads it stays readable for them: the system keeps its bytes until the last
    descriptor is closed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read_files: OrderedDict[int, OpenFile] = OrderedDict()
        self._read_lock = threading.Lock()
        self._verified: OrderedDict[Place, None] = OrderedDict()
        self._held: Counter[int] = Counter()
        self._doomed: set[int] = set()
        self._removals = 0
        self.released: deque[tuple[int, ...]] = deque()
        """Files of holds that were forgotten and not closed."""

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

    def chunks(self, place: Place, sha256: bytes, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes at *place*, or those from *start* to *stop* of them, checked, in pieces.

        A small instance is checked before anything is yielded. Of a large one the last piece is held back
        until the hash of all is right, so that a damaged instance never arrives complete; before a part of it is
        given, it is read once for its hash.
        """
        end = place.length if stop is None else min(stop, place.length)
        is_whole = start == 0 and end == place.length
        if place.length <= WHOLE_BYTES:
            data = self.read(place, sha256)
            yield data if is_whole else data[start:end]
            return
        file = self._open(place.segment)
        if is_whole:
            yield from self._checked(file, place, sha256)
            return
        self.verify(place, sha256)
        while start < end:
            chunk = os.pread(file.fd, min(CHUNK_BYTES, end - start), place.offset + start)
            if not chunk:
                raise _lost()
            start += len(chunk)
            yield chunk

    def _checked(self, file: OpenFile, place: Place, sha256: bytes) -> Iterator[bytes]:
        digest = hashlib.sha256()
        done = 0
        while done < place.length:
            chunk = os.pread(file.fd, min(CHUNK_BYTES, place.length - done), place.offset + done)
            if not chunk:
                raise _lost()
            digest.update(chunk)
            done += len(chunk)
            if done == place.length:
                if digest.digest() != sha256:
                    raise _lost()
                self._remember(place)
            yield chunk

    def verify(self, place: Place, sha256: bytes) -> None:
        """Raise ``Internal`` (data loss) when the bytes at *place* are not those that were stored.

        What was found right is not read again for that: nothing writes over it while the folder is open.
        """
        file = self._open(place.segment)
        if place not in self._verified:
            for _ in self._checked(file, place, sha256):
                pass

    def _remember(self, place: Place) -> None:
        with self._read_lock:
            self._verified[place] = None
            while len(self._verified) > _VERIFIED:
                self._verified.popitem(last=False)

    def view(self, place: Place, sha256: bytes) -> bytes | mmap.mmap:
        """The bytes at *place*, checked: in memory, or the file mapped where it holds nothing but a large instance."""
        if place.length <= WHOLE_BYTES or place.offset:
            return self.read(place, sha256)
        self.verify(place, sha256)
        return mmap.mmap(self._open(place.segment).fd, place.length, access=mmap.ACCESS_READ)

    def path(self, key: int) -> Path:
        """The file, for a process that reads it while there is a hold on it."""
        return self._file(key)

    # Removing

    @property
    def removals(self) -> int:
        """How many files were removed, or are to be."""
        return self._removals

    def hold(self, keys: Iterable[int], since: int) -> Hold | None:
        """Keep files from being removed; ``None`` when any was since :attr:`removals` was *since*.

        *since* is taken before the rows are read that name the files.
        """
        held = tuple(set(keys))
        with self._read_lock:
            self._settle()
            if self._removals != since:
                return None
            self._held.update(held)
        return Hold(self, held)

    def let_go(self, keys: tuple[int, ...]) -> None:
        """A hold on *keys* ends."""
        self.released.append(keys)
        with self._read_lock:
            self._settle()

    def _settle(self) -> None:
        while self.released:
            for key in self.released.popleft():
                self._held[key] -= 1
                if self._held[key] <= 0:
                    del self._held[key]
                    if key in self._doomed:
                        self._doomed.discard(key)
                        self._drop(key)

    def _unlink(self, key: int) -> None:
        # Under the lock, so that no reader opens the file in between and keeps its bytes on disk.
        with self._read_lock:
            self._settle()
            self._removals += 1
            if key in self._held:
                self._doomed.add(key)
            else:
                self._drop(key)

    def _drop(self, key: int) -> None:
        self._read_files.pop(key, None)
        self._file(key).unlink(missing_ok=True)

    def close(self) -> None:
        """Close every file that no reader uses."""
        with self._read_lock:
            self._read_files.clear()


def _lost() -> Internal:
    return Internal(_DAMAGED, code="DATA_LOSS")
