"""The bytes as received: append-only segment files, and one file for each large instance.

No name is derived from a UID. Bytes become part of the store only when the catalog commits a row that names
them; what lies past a segment's committed size is cut off when the folder is opened. One call of :meth:`BlobStore.sync`
puts a whole batch on disk, whose rows may be committed only after it.

After a failed sync nothing is written again until the folder is opened anew: the kernel may have dropped the
pages, and a second sync would report success for them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dicomkit.engine.crash_points import armed, crash_point
from dicomkit.engine.persistence.blob_reader import BlobReader, OpenFile, Place
from dicomkit.errors import ApiError, ResourceExhausted, Unavailable

__all__ = ["SEGMENT_BYTES", "BlobStore", "SegmentRow"]

SEGMENT_BYTES = 256 << 20
"""A segment file that has reached this size is sealed: it gets no more instances."""

_PIECES_PER_WRITE = 512

# macOS has no fdatasync.
_data_sync = getattr(os, "fdatasync", os.fsync)


class SegmentRow(NamedTuple):
    """A blob file as the catalog knows it."""

    key: int
    own: bool
    size: int


class BlobStore(BlobReader):
    """The blob files of a home.

    Appending, syncing, committing, rolling back and sealing belong to one writer at a time (the holder of
    ``Storage.turn``); reading is safe from any thread.

    Parameters
    ----------
    folder
        ``blobs/`` of the home.
    segments
        Every blob file that the catalog names. A file that it does not name is removed, one that is longer than its
        committed size is cut.
    segment_bytes
        A segment file that has reached this size is sealed.
    """

    def __init__(self, folder: Path, segments: Sequence[SegmentRow], *, segment_bytes: int = SEGMENT_BYTES) -> None:
        super().__init__(folder)
        self.segment_bytes = segment_bytes
        self._broken: str | None = None
        self._recover(segments)
        self._next_key = max((s.key for s in segments), default=0) + 1
        self._current: int | None = None
        self._end = 0
        last = max((s for s in segments if not s.own), default=None)
        if last and last.size < segment_bytes and self._size(last.key) == last.size:
            self._current, self._end = last.key, last.size
        self._committed_end = self._end
        self._writer: OpenFile | None = None
        self._new: list[int] = []
        self._touched: dict[int, SegmentRow] = {}
        self._folder_changed = False

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
            if current is None or self._end >= self.segment_bytes:
                self._write(run, start)
                if self._end > self._committed_end:
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
        self._writer = OpenFile(fd)
        self._current = key
        self._end = self._committed_end = 0
        self._new.append(key)
        self._folder_changed = True
        return key

    def _write(self, pieces: Sequence[bytes | memoryview], offset: int) -> None:
        if not pieces:
            return
        if self._writer is None:
            self._writer = OpenFile(os.open(self._file(self._current or 0), os.O_RDWR))
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
        if self._end >= self.segment_bytes:
            self._leave_segment()

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

    def seal(self) -> None:
        """Append nothing more to the current segment; not while a batch is being written."""
        self._leave_segment()

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

    # Removing

    def remove(self, keys: Sequence[int]) -> None:
        """Remove blob files that no row names any more."""
        for key in keys:
            self._unlink(key)

    def is_current(self, key: int) -> bool:
        """Whether instances are still appended to the file."""
        return key == self._current

    def pending(self) -> list[SegmentRow]:
        """Blob files written since the last commit, with the sizes that the next one makes true."""
        return list(self._touched.values())

    def close(self) -> None:
        """Close every file that no reader uses."""
        self._writer = None
        super().close()


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
