"""The folder that holds everything of an embedded engine, and the lock on it.

::

    catalog.sqlite      datasets, stores, operations, index, outbox
    blobs/              received bytes: shared segment files, and one file for each large instance
    tmp/                parts of uploads on their way in; emptied at start
    exports/            rows on their way into a table; made when there are any
    warehouse.duckdb    the tables of the embedded BigQuery
    buckets/            gs://bucket/... when no cloud is configured
    lock                held by the one process that has the folder open; holds its process id, and its URL if it serves

Folders are made 0700 and files 0600: what is in them are medical images.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dicomkit.errors import InvalidArgument, SetupError, Unavailable

__all__ = ["Home"]

if sys.platform != "win32":
    import fcntl

    def _lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
else:

    def _lock(fd: int) -> bool:
        import msvcrt

        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True


class Home:
    """The folder of an engine, opened by this process alone.

    Parameters
    ----------
    path
        The folder; made when missing, parents too.

    Raises
    ------
    Unavailable
        Another process (or another engine of this one) has the folder open; the message names its process id.
    InvalidArgument
        *path* is a file.
    SetupError
        The folder cannot be made.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().absolute()
        self.blobs = self.path / "blobs"
        self.buckets = self.path / "buckets"
        self.tmp = self.path / "tmp"
        self.exports = self.path / "exports"
        self.catalog = self.path / "catalog.sqlite"
        self.warehouse = self.path / "warehouse.duckdb"
        self._lock_fd = -1
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as exc:
            raise InvalidArgument(f"{str(self.path)!r} is a file; a home is a folder") from exc
        except OSError as exc:
            raise SetupError(
                f"the folder {str(self.path)!r} cannot be made ({exc.strerror}); choose one that you may write to"
            ) from exc
        self._acquire()
        for folder in (self.blobs, self.buckets, self.tmp):
            folder.mkdir(mode=0o700, exist_ok=True)
        # SQLite gives its WAL and shared-memory files the mode of the database file, so that is made first.
        os.close(os.open(self.catalog, os.O_RDWR | os.O_CREAT, 0o600))
        for leftover in self.tmp.iterdir():
            leftover.unlink()

    def _acquire(self) -> None:
        fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        if not _lock(fd):
            text = os.pread(fd, 512, 0).decode("ascii", "replace") if hasattr(os, "pread") else ""
            os.close(fd)
            owner, _, url = text.strip().partition("\n")
            remedy = (
                f", which serves it at {url!r}; connect to that with the token it was given or has printed"
                if url
                else "; close it there, or reach it over HTTP with 'dicomkit serve'"
            )
            raise Unavailable(f"the folder {str(self.path)!r} is open in process {owner or 'unknown'}{remedy}")
        self._lock_fd = fd
        self._write_lock("")

    def advertise(self, url: str) -> None:
        """Let whoever finds the folder in use know where it is served; an empty *url* takes it back."""
        self._write_lock(url)

    def _write_lock(self, url: str) -> None:
        # Written over and then cut, so that a reader in between never finds it empty.
        text = f"{os.getpid()}\n{url}\n".encode("ascii", "replace")
        os.lseek(self._lock_fd, 0, os.SEEK_SET)
        os.write(self._lock_fd, text)
        os.truncate(self._lock_fd, len(text))

    def close(self) -> None:
        """Let another process open the folder."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1
