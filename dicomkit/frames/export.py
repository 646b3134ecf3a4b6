"""Rows that come as Arrow record batches, into a Parquet file or a table of DuckDB; never all of them in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from dicomkit.bigquery.identifiers import identifier
from dicomkit.errors import AlreadyExists, FailedPrecondition
from dicomkit.whole_file import whole_file

if TYPE_CHECKING:
    import duckdb

__all__ = ["DuckDBTarget", "Read", "write_duckdb", "write_parquet"]

DuckDBTarget: TypeAlias = "str | os.PathLike[str] | duckdb.DuckDBPyConnection"
"""A database file, or a connection."""

Read: TypeAlias = Callable[[], tuple[Any, Iterator[Any]]]
"""Runs a query; gives the Arrow schema and the record batches. Called when the target is known to be good."""


def write_parquet(read: Read, path: str | os.PathLike[str]) -> Path:
    """Write a Parquet file, and return its path; it appears, or takes the place of one, when it is whole."""
    parquet = import_module("pyarrow.parquet")  # half of its names have no types, and it comes late on purpose
    target = Path(path).expanduser()
    with whole_file(target) as file:
        schema, batches = read()
        with parquet.ParquetWriter(file, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
    return target


def write_duckdb(read: Read, target: DuckDBTarget, name: str, *, replace: bool) -> None:
    """Write a table of DuckDB.

    Parameters
    ----------
    target
        A connection, or the path of a database file, which is made where there is none.

    Raises
    ------
    InvalidArgument
        The name is not made of letters, digits and underscores.
    AlreadyExists
        The database has a table of this name, and *replace* is false.
    FailedPrecondition
        The database cannot be written to; the message says why.
    """
    import duckdb

    table = f'"{identifier(name)[1:-1]}"'
    try:
        if isinstance(target, duckdb.DuckDBPyConnection):
            _write(target, table, name, read, replace=replace)
            return
        with duckdb.connect(os.fspath(Path(target).expanduser())) as connection:
            _write(connection, table, name, read, replace=replace)
    except (duckdb.IOException, duckdb.ConnectionException, duckdb.InvalidInputException) as error:
        raise FailedPrecondition(f"DuckDB cannot write there: {str(error).splitlines()[0]:.300}") from None


def _write(connection: duckdb.DuckDBPyConnection, table: str, name: str, read: Read, *, replace: bool) -> None:
    import duckdb

    pa: Any = import_module("pyarrow")
    if not replace:
        try:
            connection.execute(f"SELECT 1 FROM {table} LIMIT 0")  # noqa: S608 - a checked name
        except duckdb.CatalogException:
            pass
        else:
            raise AlreadyExists(f"there is a table {name!a:.80} already; give another name, or replace=True")
    rows = "dicomkit_rows"
    connection.register(rows, pa.RecordBatchReader.from_batches(*read()))
    try:
        connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM {rows}")  # noqa: S608 - as above
    finally:
        connection.unregister(rows)
