"""The DuckDB file that holds the tables of the embedded BigQuery.

The instance itself lives in memory and holds only the macros of :mod:`.warehouse_macros`; the file is attached
to it as ``wh``. Once it is open no SQL statement can reach a file, the network or the settings
(``enable_external_access``, ``lock_configuration``), whatever its text.

The file's parameters are measured, for rows of about 150 nested columns: row groups of 16,384 rows in the storage
format of DuckDB 1.5 and a checkpoint for each 64 MB of log take 9,000 rows/s, checkpoints counted in; DuckDB's own
defaults take 2,800, since every checkpoint writes the last row group again. A row group of such rows takes 370 MB while
it is filled; DuckDB would collect five of them in a large transaction before it writes any, and is told to write each.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa

from dicomkit.engine.persistence.warehouse_functions import create_functions
from dicomkit.engine.persistence.warehouse_macros import MACROS
from dicomkit.engine.persistence.warehouse_types import Field, result_fields
from dicomkit.errors import ResourceExhausted, Unavailable

__all__ = ["Cursor", "Result", "Warehouse"]

Cursor: TypeAlias = duckdb.DuckDBPyConnection
"""One connection to the open file; used by one thread at a time."""

_ATTACH = "(ROW_GROUP_SIZE 16384, STORAGE_VERSION 'v1.5.0')"
_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Result:
    """All rows of a query."""

    fields: list[Field]
    table: pa.Table


def _cpus() -> int:
    """CPUs that this process may use. DuckDB counts those of the machine; threads that share a core halve its pace."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


class Warehouse:
    """One DuckDB file, opened by this process alone.

    Parameters
    ----------
    path
        The file; made when missing. Its folder must exist.
    max_result_bytes
        Largest result that is held, in Arrow's memory format.

    Raises
    ------
    Unavailable
        The file is open elsewhere or is no DuckDB file of a version that can be read.
    """

    def __init__(self, path: str | Path, *, max_result_bytes: int = 1 << 30) -> None:
        self.path = Path(path)
        self.max_result_bytes = max_result_bytes
        self.lock = threading.RLock()
        self._closed = False
        spill = str(self.path.with_name(self.path.name + ".tmp"))
        self._connection = duckdb.connect(":memory:", config={"temp_directory": spill})
        try:
            # Neither the name of a file nor an option can be bound in ATTACH.
            self._connection.execute(f"ATTACH '{str(self.path).replace(chr(39), chr(39) * 2)}' AS wh {_ATTACH}")
            self.path.chmod(0o600)
            settings = (f"SET threads = {_cpus()}", "SET TimeZone = 'UTC'", "SET wal_autocheckpoint = '64MB'")
            flush = "SET write_buffer_row_group_count = 1"
            for statement in (*settings, flush, *MACROS):
                self._connection.execute(statement)
            create_functions(self._connection)
            for setting in ("enable_external_access = false", "lock_configuration = true"):
                self._connection.execute(f"SET {setting}")
        except duckdb.Error as error:
            self._connection.close()
            raise Unavailable(f"the warehouse cannot be opened: {error}") from error

    def cursor(self) -> Cursor:
        """A connection of its own; the caller closes it."""
        if self._closed:
            raise Unavailable("the warehouse is closed")
        return self._connection.cursor()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """A cursor inside a transaction: committed at the end, rolled back by an exception.

        There is one writer at a time; DuckDB would let a second one fail with a conflict instead of wait.
        """
        with self.lock, contextlib.closing(self.cursor()) as cursor:
            cursor.begin()
            try:
                yield cursor
                cursor.commit()
            except BaseException as error:
                # After a commit that failed there may be nothing left to roll back.
                with contextlib.suppress(duckdb.Error):
                    cursor.rollback()
                if isinstance(error, duckdb.IOException):
                    raise Unavailable("the warehouse cannot be written; is the disk full?") from error
                raise

    def read(self, sql: str, values: Sequence[Any] = (), *, cursor: Cursor | None = None) -> Result:
        """All rows of *sql*, as Arrow.

        Parameters
        ----------
        sql
            One statement, made by this package; *values* are bound to ``$1``, ``$2``, ...
        cursor
            Used and left open when given, so that another thread can interrupt it.

        Raises
        ------
        ResourceExhausted
            The result is larger than ``max_result_bytes``.
        """
        if cursor is None:
            with contextlib.closing(self.cursor()) as own:
                return self.read(sql, values, cursor=own)
        cursor.execute(sql, list(values))
        fields = result_fields(cursor.description or ())
        reader = cursor.to_arrow_reader(_BATCH_ROWS)
        batches, size = [], 0
        for batch in reader:
            size += batch.nbytes
            if size > self.max_result_bytes:
                raise ResourceExhausted(
                    f"the result is larger than {self.max_result_bytes >> 20} MiB; select fewer columns or rows"
                )
            batches.append(batch)
        return Result(fields, pa.Table.from_batches(batches, schema=reader.schema))

    def close(self) -> None:
        """Write the log into the file and let go of it; a second call does nothing."""
        with self.lock:
            if self._closed:
                return
            self._closed = True
            # A checkpoint that fails loses nothing: the log is read at the next start.
            with contextlib.suppress(duckdb.Error):
                self._connection.execute("CHECKPOINT wh")
            self._connection.close()

    def __enter__(self) -> Warehouse:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
