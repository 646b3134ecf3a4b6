"""Long-running operations as rows of the catalog: what is to be done, how far it is, how it ended."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

__all__ = [
    "OperationFailure",
    "OperationRow",
    "begin_attempt",
    "delete_operations",
    "finish",
    "forget_ended_before",
    "insert_operation",
    "list_failures",
    "list_operations",
    "operation",
    "request_cancel",
    "save",
    "unfinished",
]

_COLUMNS = "id, dataset_key, kind, method, request, state, counter, attempts, cancel_requested, created, ended, outcome"


class OperationRow(NamedTuple):
    """One operation. Times are microseconds since 1970."""

    id: str
    dataset_key: int
    kind: str
    """Which worker does it."""
    method: str
    """``apiMethodName`` of its metadata."""
    request: dict[str, Any]
    state: dict[str, Any]
    """What the worker needs to go on where it stopped."""
    counter: dict[str, int]
    attempts: int
    """How often it was begun since it last got any further."""
    cancel_requested: bool
    created: int
    ended: int | None
    outcome: dict[str, Any] | None
    """``{"response": ...}`` or ``{"error": ...}``, once it has ended."""


class OperationFailure(NamedTuple):
    """What one operation could not do to one thing."""

    source: str
    """The thing: a URI, or the path of an instance."""
    code: int
    """A number of ``google.rpc.Code``."""
    message: str


def _row(row: tuple[Any, ...]) -> OperationRow:
    found = OperationRow(*row)
    return found._replace(
        request=orjson.loads(row[4]),
        state=orjson.loads(row[5]),
        counter={name: int(count) for name, count in orjson.loads(row[6]).items()},
        cancel_requested=bool(row[8]),
        outcome=orjson.loads(row[11]) if row[11] is not None else None,
    )


def insert_operation(connection: sqlite3.Connection, row: OperationRow) -> None:
    """Keep an operation."""
    packed = [orjson.dumps(value) if isinstance(value, dict) else value for value in row]
    connection.execute("INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", packed)


def operation(connection: sqlite3.Connection, id_: str) -> OperationRow | None:
    """The operation with this id."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM operations WHERE id = ?", (id_,)).fetchone()  # noqa: S608
    return _row(row) if row else None


def list_operations(connection: sqlite3.Connection, dataset: int, after: str, limit: int) -> list[OperationRow]:
    """Operations of a dataset whose ids come after *after*, by id, which is the order they were begun in."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM operations WHERE dataset_key = ? AND id > ? ORDER BY id LIMIT ?",  # noqa: S608
        (dataset, after, limit),
    )
    return [_row(row) for row in rows]


def unfinished(connection: sqlite3.Connection) -> list[str]:
    """Ids of the operations that have not ended, the oldest first."""
    return [id_ for (id_,) in connection.execute("SELECT id FROM operations WHERE ended IS NULL ORDER BY id")]


def begin_attempt(connection: sqlite3.Connection, id_: str) -> OperationRow | None:
    """Count an attempt, and return the operation as it is now; ``None`` when it has ended, or is gone."""
    connection.execute("UPDATE operations SET attempts = attempts + 1 WHERE id = ? AND ended IS NULL", (id_,))
    row = operation(connection, id_)
    return row if row is not None and row.ended is None else None


def save(
    connection: sqlite3.Connection,
    id_: str,
    state: Mapping[str, Any],
    counter: Mapping[str, int],
    failures: Iterable[OperationFailure],
) -> bool:
    """Note how far an operation is; ``False`` when it is gone."""
    done = connection.execute(
        "UPDATE operations SET state = ?, counter = ?, attempts = 0 WHERE id = ?",
        (orjson.dumps(state), orjson.dumps(counter), id_),
    )
    if not done.rowcount:
        return False
    connection.executemany(
        "INSERT INTO operation_errors (operation, source, code, message) VALUES (?, ?, ?, ?)",
        [(id_, *failure) for failure in failures],
    )
    return True


def request_cancel(connection: sqlite3.Connection, id_: str) -> None:
    """Note that somebody wants an operation to stop."""
    connection.execute("UPDATE operations SET cancel_requested = 1 WHERE id = ? AND ended IS NULL", (id_,))


def finish(connection: sqlite3.Connection, id_: str, outcome: Mapping[str, Any], ended: int) -> None:
    """Note how an operation ended; what only its worker needed, keys among it, is dropped."""
    connection.execute(
        "UPDATE operations SET outcome = ?, ended = ?, request = '{}', state = '{}' WHERE id = ?",
        (orjson.dumps(outcome), ended, id_),
    )


def list_failures(
    connection: sqlite3.Connection, id_: str, after: int, limit: int
) -> list[tuple[int, OperationFailure]]:
    """(key, failure) of an operation whose keys come after *after*, in the order they were met."""
    rows = connection.execute(
        "SELECT key, source, code, message FROM operation_errors WHERE operation = ? AND key > ? ORDER BY key LIMIT ?",
        (id_, after, limit),
    )
    return [(key, OperationFailure(*failure)) for key, *failure in rows]


def delete_operations(connection: sqlite3.Connection, dataset: int) -> None:
    """Forget the operations of a dataset; a worker that is busy with one stops when it next saves."""
    connection.execute(
        "DELETE FROM operation_errors WHERE operation IN (SELECT id FROM operations WHERE dataset_key = ?)", (dataset,)
    )
    connection.execute("DELETE FROM operations WHERE dataset_key = ?", (dataset,))


def forget_ended_before(connection: sqlite3.Connection, time: int) -> None:
    """Forget operations that ended before *time*."""
    connection.execute(
        "DELETE FROM operation_errors WHERE operation IN (SELECT id FROM operations WHERE ended < ?)", (time,)
    )
    connection.execute("DELETE FROM operations WHERE ended < ?", (time,))
