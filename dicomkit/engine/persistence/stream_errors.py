"""Rows that a table has refused, or that were too large to be sent, with the reason: set aside, and not lost.

Whoever looks after a stream sends them again, when what the reason names is mended, or gives them up. Every function
runs inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import orjson

__all__ = ["ErrorRow", "Refused", "Taken", "Uids", "add", "drop", "forget_store", "list_errors", "take"]

Uids = tuple[str, str, str]
"""Study, series and SOP instance UID."""

_UID_COLUMNS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


class Refused(NamedTuple):
    """A row that is to be set aside."""

    row: bytes | None
    """JSON in one line; ``None`` when there is none."""
    reason: str
    uids: Uids
    size: int | None
    attempts: int = 1

    @classmethod
    def of(cls, row: bytes, attempts: int, reason: str) -> Self:
        """A row that a table has refused, as often before as *attempts* says."""
        values = orjson.loads(row)
        study, series, instance = (str(values.get(name) or "") for name in _UID_COLUMNS)
        return cls(row, reason, (study, series, instance), len(row), attempts + 1)


class ErrorRow(NamedTuple):
    """What is told of a row that was set aside."""

    key: int
    table_uri: str
    study: str | None
    series: str | None
    instance: str | None
    reason: str
    created: float
    """When it was refused last."""
    attempts: int
    size: int | None
    """Bytes of the row; ``None`` when it is not known."""
    has_row: bool
    """Whether it can be sent again."""


class Taken(NamedTuple):
    """A row that is to be sent again."""

    stream_key: int
    row: bytes
    attempts: int


def add(connection: sqlite3.Connection, stream_key: int, rows: Sequence[Refused], now: float) -> None:
    """Set *rows* aside."""
    if not rows:
        return
    connection.executemany(
        "INSERT INTO quarantine (stream_key, row, reason, created, study, series, instance, size, attempts) "
        "VALUES (?,?,?,?,?,?,?,?,?)",
        [(stream_key, r.row, r.reason, now, *r.uids, r.size, r.attempts) for r in rows],
    )
    connection.execute(
        "UPDATE streams SET failed = failed + ?, refusal = ? WHERE key = ?", (len(rows), rows[-1].reason, stream_key)
    )


def list_errors(connection: sqlite3.Connection, store_key: int, *, after: int, limit: int) -> list[ErrorRow]:
    """Rows of the streams of a store that were set aside, in the order of their keys."""
    found = connection.execute(
        "SELECT q.key, s.table_uri, q.study, q.series, q.instance, q.reason, q.created, q.attempts, q.size, "
        "q.row IS NOT NULL FROM quarantine q JOIN streams s ON s.key = q.stream_key "
        "WHERE s.store_key = ? AND q.key > ? ORDER BY q.key LIMIT ?",
        (store_key, after, limit),
    )
    return [ErrorRow._make((*row[:-1], bool(row[-1]))) for row in found]


def take(connection: sqlite3.Connection, store_key: int, keys: Sequence[int] | None, *, limit: int) -> list[Taken]:
    """Take out up to *limit* rows of a store that can be sent again; *keys* says which, ``None`` any."""
    found = connection.execute(
        f"SELECT q.key, q.stream_key, q.row, q.attempts FROM quarantine q WHERE {_CHOSEN} "  # noqa: S608 - a constant
        "AND q.row IS NOT NULL ORDER BY q.key LIMIT ?",
        (*_chosen(store_key, keys), limit),
    ).fetchall()
    _remove(connection, ((key, stream) for key, stream, _, _ in found))
    return [Taken(stream, row, attempts) for _, stream, row, attempts in found]


def drop(connection: sqlite3.Connection, store_key: int, keys: Sequence[int] | None) -> int:
    """Give rows of a store up, and return how many; *keys* says which, ``None`` all."""
    found = connection.execute(
        f"SELECT q.key, q.stream_key FROM quarantine q WHERE {_CHOSEN}",  # noqa: S608 - a constant
        _chosen(store_key, keys),
    ).fetchall()
    _remove(connection, found)
    return len(found)


def forget_store(connection: sqlite3.Connection, store_key: int) -> None:
    """Give up everything that was set aside for the streams of a store."""
    connection.execute(
        "DELETE FROM quarantine WHERE stream_key IN (SELECT key FROM streams WHERE store_key = ?)", (store_key,)
    )


_CHOSEN = (
    "q.stream_key IN (SELECT key FROM streams WHERE store_key = ?) "
    "AND (? IS NULL OR q.key IN (SELECT value FROM json_each(?)))"
)


def _chosen(store_key: int, keys: Sequence[int] | None) -> tuple[int, str | None, str | None]:
    text = None if keys is None else orjson.dumps(list(keys)).decode()
    return store_key, text, text


def _remove(connection: sqlite3.Connection, rows: Iterable[tuple[int, int]]) -> None:
    """Remove rows, given by their keys and those of their streams."""
    for key, stream in rows:
        connection.execute("DELETE FROM quarantine WHERE key = ?", (key,))
        connection.execute(
            "UPDATE streams SET failed = failed - 1, refusal = CASE WHEN failed > 1 THEN refusal END WHERE key = ?",
            (stream,),
        )
