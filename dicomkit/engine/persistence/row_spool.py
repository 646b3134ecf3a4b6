"""Rows on their way into a table: one gzip file of JSON lines, which grows by a member for each portion.

A portion is on disk when it is counted. What was written behind the last portion that was counted, before the process
died, is cut off when the file is opened again.

Source: RFC 1952 section 2.2 (a gzip file is a series of members).
"""

from __future__ import annotations

import errno
import gzip
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dicomkit.errors import ApiError, ResourceExhausted, Unavailable

__all__ = ["RowSpool"]

_LEVEL = 1


class RowSpool:
    """One file of rows.

    Parameters
    ----------
    path
        The file; made when *size* is 0.
    size
        Bytes of the portions that were counted.

    Raises
    ------
    ApiError
        Portions that were counted are gone.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        self.path = path
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
            there = os.fstat(self._fd).st_size
            os.truncate(self._fd, min(size, there))
        except OSError as exc:
            raise _failed(exc) from exc
        if there < size:
            self.close()
            raise ApiError(
                "rows that were made before the process ended are gone; begin the operation again",
                status=500,
                code="DATA_LOSS",
            )
        self.size = size

    def append(self, lines: Sequence[bytes]) -> None:
        """Add a portion, one JSON object a line; it is on disk when this returns."""
        member = gzip.compress(b"\n".join(lines) + b"\n", _LEVEL, mtime=0)
        try:
            os.lseek(self._fd, self.size, os.SEEK_SET)
            view = memoryview(member)
            while view:
                view = view[os.write(self._fd, view) :]
            os.fsync(self._fd)
        except OSError as exc:
            raise _failed(exc) from exc
        self.size += len(member)

    def open(self) -> BinaryIO:
        """The file, to be read from its beginning."""
        return self.path.open("rb")

    def lines(self) -> Iterator[bytes]:
        """Each row of the portions that were counted."""
        if self.size:
            with self.open() as file, gzip.GzipFile(fileobj=file) as unpacked:
                yield from unpacked

    def close(self) -> None:
        """Let go of the file, and leave it for the next process."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def remove(self) -> None:
        """Let go of the file, and remove it."""
        self.close()
        with suppress(OSError):
            self.path.unlink()


def _failed(exc: OSError) -> ApiError:
    if exc.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return ResourceExhausted("the disk is full; free some space and begin the operation again")
    return Unavailable("the disk failed while rows for a table were written")
