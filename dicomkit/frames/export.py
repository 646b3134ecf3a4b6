"""Rows that come as Arrow record batches, into a Parquet file or a table of DuckDB; never all of them in memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from dicomkit.bigquery.identifiers import identifier
from dicomkit.errors import AlreadyExists, FailedPrecondition

if TYPE_CHECKING:
    import duckdb

__all__ = ["DuckDBTarget", "write_duckdb", "write_parquet"]

DuckDBTarget: TypeAlias = "str | os.PathLike[str] | duckdb.DuckDBPyConnection"
"""A database file, or a connection."""


def write_parquet(schema: Any, batches: Iterator[Any], path: str | os.PathLike[str]) -> Path:
    """Write a Parquet file, and return its path; it appears, or takes the place of one, when it is whole."""
    parquet = import_module("pyarrow.parquet")  # half of its names have no types, and it comes late on purpose
    target = Path(path).expanduser()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:40]}.", suffix=".part")
    os.close(handle)
    try:
        with parquet.ParquetWriter(name, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)
    return target


def write_duckdb(
    schema: Any,
    batches: Iterator[Any],
    target: DuckDBTarget,
    name: str,
    *,
    replace: bool,
) -> None:
    """Write a table of DuckDB.

    Parameters
    ----------
    target
        A connection, or the path of a database file, which is made where there is none.

    Raises
    ------
    AlreadyExists
        The database has a table of this name, and *replace* is false.
    FailedPrecondition
        The database cannot be written to; the message says why.
    """
    import duckdb

    pa: Any = import_module("pyarrow")
    table = '"' + identifier(name).strip("`") + '"'
    rows = "dicomkit_rows"
    try:
        connection = target if isinstance(target, duckdb.DuckDBPyConnection) else duckdb.connect(os.fspath(target))
        try:
            connection.register(rows, pa.RecordBatchReader.from_batches(schema, batches))
            try:
                create = "CREATE OR REPLACE TABLE" if replace else "CREATE TABLE"
                connection.execute(f"{create} {table} AS SELECT * FROM {rows}")  # noqa: S608 - a checked name
            finally:
                connection.unregister(rows)
        finally:
            if connection is not target:
                connection.close()
    except duckdb.CatalogException:
        raise AlreadyExists(
            f"the database has a table {name!a:.80} already; give another name, or replace=True"
        ) from None
    except (duckdb.IOException, duckdb.ConnectionException) as error:
        raise FailedPrecondition(f"DuckDB cannot write there: {str(error).splitlines()[0]:.300}") from None
