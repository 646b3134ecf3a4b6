"""Statements over whole tables: from one into another, out of one, and what a query gave into one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from dicomkit.engine.persistence.warehouse import Cursor
from dicomkit.engine.persistence.warehouse_catalog import TableEntry
from dicomkit.engine.persistence.warehouse_types import Field, column_type, is_repeated, quote

__all__ = ["changed_rows", "copy_rows", "has_rows", "insert_result", "merged_rows", "returns_rows", "scan"]

_BATCH_ROWS = 4_096


def has_rows(cursor: Cursor, entry: TableEntry) -> bool:
    """Whether there is a row."""
    return returns_rows(cursor, f"SELECT 1 FROM {entry.physical} LIMIT 1")  # noqa: S608 - our name


def returns_rows(cursor: Cursor, sql: str, values: Sequence[Any] = ()) -> bool:
    """Whether *sql* has a row."""
    return cursor.execute(sql, list(values)).fetchone() is not None


def copy_rows(cursor: Cursor, source: TableEntry, target: TableEntry) -> int:
    """Insert the rows of *source*, whose columns *target* has, in their order; how many there were."""
    known = {field["name"].lower(): field for field in source.fields}
    names, values = [], []
    for field in target.fields:
        given = known.get(field["name"].lower())
        if given is None and not is_repeated(field):
            continue
        names.append(quote(field["name"]))
        text = quote(given["name"]) if given is not None else "[]"
        # A struct is cast by the names of its fields.
        values.append(f"CAST({text} AS {column_type(field)})")
    if not names:
        return 0
    into = f"INSERT INTO {target.physical} ({', '.join(names)})"
    return changed_rows(cursor, f"{into} SELECT {', '.join(values)} FROM {source.physical} ORDER BY rowid")  # noqa: S608


def insert_result(cursor: Cursor, target: TableEntry, rows: pa.Table, fields: Sequence[Field]) -> int:
    """Insert the rows of a query, whose *fields* are columns of *target*, by name."""
    names, values = [], []
    given = {field["name"].lower(): field["name"] for field in fields}
    for field in target.fields:
        name = given.get(field["name"].lower())
        if name is None and not is_repeated(field):
            continue
        names.append(quote(field["name"]))
        text = quote(name) if name is not None else "[]"
        values.append(f"CAST({f'coalesce({text}, [])' if is_repeated(field) else text} AS {column_type(field)})")
    cursor.register("__dk_result", rows)
    try:
        into = f"INSERT INTO {target.physical} ({', '.join(names)})"
        return changed_rows(cursor, f"{into} SELECT {', '.join(values)} FROM __dk_result")  # noqa: S608 - quoted names
    finally:
        cursor.unregister("__dk_result")


def changed_rows(cursor: Cursor, sql: str, values: Sequence[Any] = ()) -> int:
    """Run INSERT, UPDATE or DELETE; how many rows it changed."""
    (count,) = cursor.execute(sql, list(values)).fetchone() or (0,)
    return int(count)


def merged_rows(cursor: Cursor, sql: str, values: Sequence[Any] = ()) -> dict[str, int]:
    """Run MERGE; how many rows it inserted, updated and deleted, by DuckDB's words for it."""
    counts = dict.fromkeys(("INSERT", "UPDATE", "DELETE"), 0)
    cursor.execute(sql, list(values))
    while rows := cursor.fetchmany(_BATCH_ROWS):
        for (action,) in rows:
            counts[action] += 1
    return counts


def scan(cursor: Cursor, entry: TableEntry) -> Iterator[pa.RecordBatch]:
    """All rows in their order, in batches."""
    names = ", ".join(quote(field["name"]) for field in entry.fields)
    if names:
        cursor.execute(f"SELECT {names} FROM {entry.physical}")  # noqa: S608 - quoted names
        yield from cursor.to_arrow_reader(_BATCH_ROWS)
