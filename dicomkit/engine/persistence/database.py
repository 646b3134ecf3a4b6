"""The SQLite file of a home: one writer, many readers, and commits that are on disk when they return.

WAL with ``synchronous=FULL``: a commit is one fsync of the log, readers see the last commit without waiting,
and a reader that starts after a commit sees it. One process has the file open (``home.Home`` holds a lock), so
writers need only a lock among threads, and keys can be counted in memory.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dicomkit.dicom.wildcards import glob_match
from dicomkit.engine.persistence.schema import SCHEMA, UPGRADES, VERSION
from dicomkit.errors import ApiError, FailedPrecondition, ResourceExhausted, Unavailable

__all__ = ["CommitFailed", "Connection", "Database", "next_keys"]

Connection = sqlite3.Connection
"""What methods of this package take that run inside a caller's transaction."""

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA busy_timeout=10000",
    "PRAGMA foreign_keys=OFF",
    # A checkpoint copies pages twice and syncs; every 16 MiB of log is often enough.
    "PRAGMA wal_autocheckpoint=4000",
    "PRAGMA cache_size=-32768",
    "PRAGMA temp_store=MEMORY",
    # What is deleted is written over with zeros: names of patients and keys of operations do not stay in free pages.
    # Some builds of SQLite do so by themselves. FAST leaves pages as they become free, and saves nothing here: 2,000
    # instances are uploaded at 1,200 to 1,500 a second, and deleted in 0.1 s, with OFF, FAST and ON. The log has old
    # pages until it is begun anew, or the folder is closed.
    "PRAGMA secure_delete=ON",
)


class CommitFailed(Unavailable):
    """COMMIT itself failed: whether the transaction reached the disk is not known until the file is opened again."""


class Database:
    """Connections to ``catalog.sqlite``.

    Parameters
    ----------
    path
        The file; its tables are made when they are missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._pool: list[sqlite3.Connection] = []
        self._closed = False
        self._read_only: str | None = None
        self._after_commit: list[Callable[[], None]] = []
        self._writer = self._connect()
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._writer.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version={VERSION}; COMMIT")
        elif not 0 < version <= VERSION:
            self._writer.close()
            raise FailedPrecondition(
                f"the folder was written by another version of dicomkit (catalog {version}, this one is {VERSION})"
            )
        for step in range(version or VERSION, VERSION):
            self._writer.executescript(f"BEGIN; {UPGRADES[step]} PRAGMA user_version={step + 1}; COMMIT")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, cached_statements=256)
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        # SQLite's own GLOB takes exponential time for patterns with many stars.
        connection.create_function("text_glob", 2, glob_match, deterministic=True)
        connection.create_function("name_glob", 2, _name_glob, deterministic=True)
        connection.create_function("name_is", 2, _name_is, deterministic=True)
        return connection

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the database while the block runs."""
        try:
            connection = self._pool.pop()
        except IndexError:
            connection = self._connect()
        try:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except sqlite3.OperationalError as exc:
            raise _translated(exc) from exc
        finally:
            if self._closed:
                connection.close()
            else:
                self._pool.append(connection)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """The writer's connection inside a transaction that is committed, and on disk, at the block's end.

        Raises
        ------
        CommitFailed
            COMMIT failed; the block's changes are not visible, but may come back when the file is opened again.
        Unavailable, ResourceExhausted
            The disk failed, or is full. After a failed write of the log the database stays read-only until it is
            opened again, because a second fsync would report success for pages that are lost.
        """
        with self._lock:
            if self._read_only:
                raise Unavailable(self._read_only)
            connection = self._writer
            self._after_commit.clear()
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
            except BaseException as exc:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if isinstance(exc, sqlite3.OperationalError):
                    self._note_failure(exc)
                    raise _translated(exc) from exc
                raise
            try:
                connection.execute("COMMIT")
            except sqlite3.OperationalError as exc:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._note_failure(exc)
                raise CommitFailed(_translated(exc).message) from exc
            for call in self._after_commit:
                call()

    def after_commit(self, call: Callable[[], None]) -> None:
        """Have *call* called when the transaction that this thread is in has been committed, and not otherwise."""
        self._after_commit.append(call)

    def make_read_only(self, reason: str) -> None:
        """Refuse every later write with *reason*."""
        self._read_only = reason

    def _note_failure(self, exc: sqlite3.OperationalError) -> None:
        if exc.sqlite_errorcode & 0xFF == sqlite3.SQLITE_IOERR:
            self.make_read_only("the disk failed while the catalog was written; open the folder again after a check")

    def close(self) -> None:
        """Close every connection; those in use are closed when their block ends."""
        self._closed = True
        while self._pool:
            self._pool.pop().close()
        with self._lock:
            self._writer.close()


def next_keys(connection: sqlite3.Connection, *tables: str) -> dict[str, int]:
    """The first key of each table that is greater than all in use; tables are named by this package only."""
    return {
        table: int(connection.execute(f"SELECT COALESCE(MAX(key), 0) + 1 FROM {table}").fetchone()[0])  # noqa: S608
        for table in tables
    }


def _name_glob(glob: str, name: str) -> bool:
    """Whether a person name, or one of its component groups, fits."""
    return glob_match(glob, name) or ("=" in name and any(glob_match(glob, group) for group in name.split("=")))


def _name_is(text: str, name: str) -> bool:
    """Whether one component group of a person name is *text*."""
    return text in name.split("=")


def _translated(exc: sqlite3.OperationalError) -> ApiError:
    """The API error for a failure of SQLite."""
    primary = exc.sqlite_errorcode & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return ResourceExhausted("the disk is full; free some space and repeat the request")
    if primary == sqlite3.SQLITE_IOERR:
        return Unavailable("the disk failed while the catalog was used")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable("the catalog is busy; repeat the request")
    return ApiError("the catalog cannot be used", status=500, code="INTERNAL")
