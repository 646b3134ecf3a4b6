"""The bytes as received: append-only segment files, and one file for each large instance.

No name is derived from a UID. Bytes become part of the store only when the catalog commits a row that names
them; what lies past a segment's committed size is cut off when the folder is opened. One call of :meth:`BlobStore.sync`
puts a whole batch on disk, whose rows may be committed only after it.

After a failed sync nothing is written again until the folder is opened anew: the kernel may have dropped the
pages, and a second sync would report success for them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from dicomkit.engine.crash_points import armed, crash_point
from dicomkit.errors import ApiError, Internal, ResourceExhausted, Unavailable

__all__ = ["BlobStore", "Place", "SegmentRow"]

SEGMENT_BYTES = 256 << 20
"""A segment file that has reached this size gets no more instances."""

CHUNK_BYTES = 1 << 20
"""How much of a large instance is in memory while it is read."""

WHOLE_BYTES = 8 << 20
"""Up to this size an instance is read and its hash checked before its first byte is handed out."""

_OPEN_FILES = 64
_PIECES_PER_WRITE = 512

# macOS has no fdatasync.
_data_sync = getattr(os, "fdatasync", os.fsync)


class Place(NamedTuple):
    """Where an instance's bytes are."""

    segment: int
    offset: int
    length: int


class SegmentRow(NamedTuple):
    """A blob file as the catalog knows it."""

    key: int
    own: bool
    size: int


class _File:
    """A descriptor that is closed when its last user lets go of it."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class BlobStore:
    """The blob files of a home.

    Appending, syncing, committing and rolling back belong to one writer at a time (the holder of the catalog's write
    lock); reading is safe from any thread.

    Parameters
    ----------
    folder
        ``blobs/`` of the home.
    segments
        Every blob file that the catalog names. A file that it does not name is removed, one that is longer than its
        committed size is cut.
    """

    def __init__(self, folder: Path, segments: Sequence[SegmentRow]) -> None:
        self._folder = folder
        self._read_files: OrderedDict[int, _File] = OrderedDict()
        self._read_lock = threading.Lock()
        self._broken: str | None = None
        self._recover(segments)
        self._next_key = max((s.key for s in segments), default=0) + 1
        self._current: int | None = None
        self._end = 0
        last = max((s for s in segments if not s.own), default=None)
        if last and last.size < SEGMENT_BYTES and self._size(last.key) == last.size:
            self._current, self._end = last.key, last.size
        self._committed_end = self._end
        self._writer: _File | None = None
        self._new: list[int] = []
        self._touched: dict[int, SegmentRow] = {}
        self._folder_changed = False

    def _file(self, key: int) -> Path:
        return self._folder / f"{key:010d}.blob"

    def _size(self, key: int) -> int:
        try:
            return self._file(key).stat().st_size
        except FileNotFoundError:
            return -1

    def _recover(self, segments: Sequence[SegmentRow]) -> None:
        known = {self._file(s.key).name: s.size for s in segments}
        for path in self._folder.iterdir():
            size = known.get(path.name)
            if size is None:
                path.unlink()
            elif path.stat().st_size > size:
                with path.open("r+b") as file:
                    file.truncate(size)
                    os.fsync(file.fileno())

    # Writing

    def append(self, instances: Sequence[bytes | memoryview]) -> list[Place]:
        """Write *instances* one after another; they are on disk after :meth:`sync`, and stay after :meth:`commit`."""
        self._check_writable()
        places: list[Place] = []
        run: list[bytes | memoryview] = []
        start = self._end
        for data in instances:
            current = self._current
            if current is None or self._end >= SEGMENT_BYTES:
                self._write(run, start)
                if run:
                    self.sync()
                current = self._start_segment()
                run, start = [], 0
            places.append(Place(current, self._end, len(data)))
            run.append(data)
            self._end += len(data)
            self._touched[current] = SegmentRow(current, False, self._end)
        self._write(run, start)
        return places

    def _start_segment(self) -> int:
        key = self._next_key
        self._next_key += 1
        try:
            fd = os.open(self._file(key), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as exc:
            raise self._failed(exc) from exc
        self._writer = _File(fd)
        self._current = key
        self._end = self._committed_end = 0
        self._new.append(key)
        self._folder_changed = True
        return key

    def _write(self, pieces: Sequence[bytes | memoryview], offset: int) -> None:
        if not pieces:
            return
        if self._writer is None:
            self._writer = _File(os.open(self._file(self._current or 0), os.O_RDWR))
        fd = self._writer.fd
        try:
            if armed("mid_blob"):
                half = b"".join(pieces)
                os.pwrite(fd, half[: len(half) // 2], offset)
                crash_point("mid_blob")
            for first in range(0, len(pieces), _PIECES_PER_WRITE):
                offset = _write_all(fd, pieces[first : first + _PIECES_PER_WRITE], offset)
        except OSError as exc:
            raise self._failed(exc) from exc
        crash_point("post_blob")

    def settle(self, path: Path) -> None:
        """Put the bytes of a finished temporary file on disk, so that :meth:`adopt` has only to rename it."""
        fd = os.open(path, os.O_RDONLY)
        try:
            _data_sync(fd)
        except OSError as exc:
            raise self._failed(exc, sync=True) from exc
        finally:
            os.close(fd)

    def adopt(self, path: Path, length: int) -> Place:
        """Make a settled temporary file of the same file system a blob file of its own."""
        self._check_writable()
        key = self._next_key
        self._next_key += 1
        try:
            os.rename(path, self._file(key))
        except OSError as exc:
            raise self._failed(exc) from exc
        self._new.append(key)
        self._touched[key] = SegmentRow(key, True, length)
        self._folder_changed = True
        crash_point("post_rename")
        return Place(key, 0, length)

    def sync(self) -> None:
        """Put everything that was written, and the names of new files, on disk."""
        try:
            if self._writer is not None and self._end > self._committed_end:
                _data_sync(self._writer.fd)
            if self._folder_changed:
                _sync_folder(self._folder)
                self._folder_changed = False
        except OSError as exc:
            raise self._failed(exc, sync=True) from exc
        crash_point("post_fsync")

    def commit(self) -> None:
        """The catalog has committed the rows that name what was written."""
        self._committed_end = self._end
        self._new.clear()
        self._touched.clear()

    def rollback(self) -> None:
        """No row names what was written since the last commit: take it back."""
        for key in self._new:
            self._unlink(key)
            if key == self._current:
                self._leave_segment()
        self._new.clear()
        self._touched.clear()
        if self._writer is not None and self._end > self._committed_end and not self._broken:
            try:
                os.ftruncate(self._writer.fd, self._committed_end)
            except OSError as exc:
                self._failed(exc, sync=True)
        self._end = self._committed_end

    def abandon(self) -> None:
        """Whether the catalog committed is not known: keep the bytes, and never write over them."""
        self._leave_segment()
        self._new.clear()
        self._touched.clear()

    def _leave_segment(self) -> None:
        self._current, self._writer, self._end, self._committed_end = None, None, 0, 0

    def _failed(self, exc: OSError, *, sync: bool = False) -> ApiError:
        if sync or exc.errno == errno.EIO:
            self._broken = "the disk failed while images were written; check it, then open the folder again"
            return Unavailable(self._broken)
        if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return ResourceExhausted("the disk is full; free some space and repeat the request")
        return Unavailable(f"images cannot be written: {os.strerror(exc.errno or 0)}")

    def _check_writable(self) -> None:
        if self._broken:
            raise Unavailable(self._broken)

    # Reading

    def _open(self, key: int) -> _File:
        with self._read_lock:
            file = self._read_files.get(key)
            if file is not None:
                self._read_files.move_to_end(key)
                return file
            try:
                file = _File(os.open(self._file(key), os.O_RDONLY))
            except OSError as exc:
                raise _lost() from exc
            self._read_files[key] = file
            while len(self._read_files) > _OPEN_FILES:
                self._read_files.popitem(last=False)
            return file

    def read(self, place: Place, sha256: bytes) -> bytes:
        """The bytes at *place*; ``Internal`` (data loss) when they are not those that were stored."""
        data = os.pread(self._open(place.segment).fd, place.length, place.offset)
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

    # Removing

    def remove(self, keys: Sequence[int]) -> None:
        """Remove blob files that no row names any more."""
        for key in keys:
            self._unlink(key)

    def is_current(self, key: int) -> bool:
        """Whether instances are still appended to the file."""
        return key == self._current

    def _unlink(self, key: int) -> None:
        with self._read_lock:
            self._read_files.pop(key, None)
        self._file(key).unlink(missing_ok=True)

    def pending(self) -> list[SegmentRow]:
        """Blob files written since the last commit, with the sizes that the next one makes true."""
        return list(self._touched.values())

    def close(self) -> None:
        """Close every file that no reader uses."""
        self._writer = None
        with self._read_lock:
            self._read_files.clear()


def _write_all(fd: int, pieces: Sequence[bytes | memoryview], offset: int) -> int:
    """Write *pieces* at *offset* and return where they end."""
    total = sum(len(p) for p in pieces)
    written = os.pwritev(fd, pieces, offset)
    if written < total:
        rest = memoryview(b"".join(pieces))
        while written < total:
            written += os.pwrite(fd, rest[written:], offset + written)
    return offset + total


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _lost() -> Internal:
    return Internal("the stored bytes of an instance are damaged", code="DATA_LOSS")
