"""Blob files as they are read: a few stay open, and nothing is handed out whose hash is wrong.

A hash costs more than sending the bytes. So what was found right is taken to be right for ten minutes, as long as
nothing writes to the file: the system notes when something did, whatever process it was.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import threading
import time
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
_KNOWN_FROM_BYTES = 64 << 10
"""Of smaller instances the hash is made each time: it costs less than the rest of an answer."""
_KNOWN_S = 600.0
_TICK_NS = 100_000_000
"""More than a tick of any system's clock: a second write within one leaves the times of a file as they were."""
_DAMAGED = "the stored bytes of an instance are damaged"


class BlobGone(Internal):
    """There is no such blob file: the instance has moved or was deleted, or else the file is lost."""


class Place(NamedTuple):
    """Where an instance's bytes are."""

    segment: int
    offset: int
    length: int


class OpenFile:
    """A descriptor that is closed when its last user lets go of it, and which of the bytes were found right."""

    __slots__ = ("_known", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        # State of the file, when the first was checked in it, and offset -> hash. One object, for there are threads.
        self._known: tuple[tuple[int, int], float, dict[int, bytes]] = ((0, 0), 0.0, {})

    def state(self) -> tuple[int, int]:
        """Changes with every write to the file, but for one within the same tick of the clock."""
        status = os.fstat(self.fd)
        return status.st_mtime_ns, status.st_ctime_ns

    def is_known(self, place: Place, sha256: bytes) -> bool:
        """Whether the bytes were found right, and nothing was written since; asked after they were read."""
        state, began, hashes = self._known
        return hashes.get(place.offset) == sha256 and time.monotonic() - began < _KNOWN_S and self.state() == state

    def remember(self, place: Place, sha256: bytes, state: tuple[int, int], read_ns: int) -> None:
        """The bytes were found right.

        Parameters
        ----------
        state, read_ns
            What :meth:`state` was, and the time, before they were read.
        """
        if place.length < _KNOWN_FROM_BYTES or read_ns - max(state) < _TICK_NS:
            return
        known = self._known
        if state != known[0] or time.monotonic() - known[1] >= _KNOWN_S:
            known = self._known = (state, time.monotonic(), {})
        known[2][place.offset] = sha256

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
        state, read_ns = file.state(), time.time_ns()
        data = os.pread(file.fd, place.length, place.offset)
        if len(data) != place.length:
            raise _lost()
        if not file.is_known(place, sha256):
            if hashlib.sha256(data).digest() != sha256:
                raise _lost()
            file.remember(place, sha256, state, read_ns)
        return data

    def peek(self, place: Place, start: int, stop: int) -> bytes:
        """A few of the bytes at *place*, not checked; fewer where it ends."""
        end = min(stop, place.length)
        return os.pread(self._open(place.segment).fd, max(0, end - start), place.offset + start)

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
        state, read_ns = file.state(), time.time_ns()
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
                file.remember(place, sha256, state, read_ns)
            yield chunk

    def verify(self, place: Place, sha256: bytes) -> None:
        """Raise ``Internal`` (data loss) when the bytes at *place* are not those that were stored.

        What was found right is not read again for that, for a while.
        """
        file = self._open(place.segment)
        if not file.is_known(place, sha256):
            for _ in self._checked(file, place, sha256):
                pass

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
