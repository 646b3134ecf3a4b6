"""Rows on their way to BigQuery tables.

A stored instance and its outbox rows are committed together, so that every acknowledged instance reaches each
table at least once. A row leaves the outbox in the transaction that counts it as delivered, or as quarantined
with its reason.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from dicomkit.engine.persistence.database import next_keys

__all__ = ["NewRow", "Outbox", "Rejected", "StreamRow", "Waiting"]


class StreamRow(NamedTuple):
    """One table that a store streams to."""

    key: int
    store_key: int
    table_uri: str
    config: dict[str, Any]
    """``bigqueryDestination`` in its JSON form."""
    active: bool
    delivered: int
    failed: int
    last_error: str | None
    """Why it does not move; if it moves, why the last row that failed did."""


class NewRow(NamedTuple):
    """The row of one instance, for the streams that take this form of it."""

    streams: Sequence[int]
    insert_id: str
    row: bytes | None
    """``None`` when the row cannot be streamed."""
    reason: str
    """Why it cannot."""
    instance_key: int


class Waiting(NamedTuple):
    """A row in the outbox."""

    key: int
    payload_key: int
    insert_id: str
    row: bytes


class Rejected(NamedTuple):
    """A row that the table refused."""

    waiting: Waiting
    reason: str


class Outbox:
    """Streams, and the rows that wait for them.

    Every method that takes a connection runs inside the caller's transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._next = next_keys(connection, "payloads", "outbox")

    @property
    def last_key(self) -> int:
        """Key of the newest row that was ever written since the folder was opened."""
        return self._next["outbox"] - 1

    # Streams

    def set_streams(self, connection: sqlite3.Connection, store_key: int, configs: dict[str, Any]) -> None:
        """Make the streams of a store those of *configs* (table URI -> destination).

        What waits for a stream that is no longer there is still delivered, for it was acknowledged before.
        """
        for uri, config in configs.items():
            connection.execute(
                "INSERT INTO streams (store_key, table_uri, config, active, delivered, failed) VALUES (?,?,?,1,0,0)"
                " ON CONFLICT (store_key, table_uri) DO UPDATE SET config = excluded.config, active = 1",
                (store_key, uri, orjson.dumps(config)),
            )
        for stream in self.streams(connection, store_key):
            if stream.table_uri not in configs:
                connection.execute("UPDATE streams SET active = 0 WHERE key = ?", (stream.key,))
                self._drop_if_finished(connection, stream.key)

    def streams(self, connection: sqlite3.Connection, store_key: int | None = None) -> list[StreamRow]:
        """Streams of a store, or of all; those that were removed are among them."""
        sql = (
            "SELECT key, store_key, table_uri, config, active, delivered, failed, COALESCE(stall, refusal) FROM streams"
        )
        rows = connection.execute(
            sql + (" ORDER BY key" if store_key is None else " WHERE store_key = ? ORDER BY key"),
            () if store_key is None else (store_key,),
        )
        return [StreamRow(k, s, u, orjson.loads(c), bool(a), d, f, e) for k, s, u, c, a, d, f, e in rows]

    def waiting_facts(self, connection: sqlite3.Connection, stream_key: int) -> tuple[int, float | None]:
        """How many rows wait for a stream, and since when the oldest does."""
        count, oldest = connection.execute(
            "SELECT COUNT(*), MIN(created) FROM outbox WHERE stream_key = ?", (stream_key,)
        ).fetchone()
        return count, oldest

    def note_error(self, connection: sqlite3.Connection, stream_key: int, error: str | None) -> None:
        """Keep the reason why a stream does not move; ``None`` when it moves again."""
        connection.execute("UPDATE streams SET stall = ? WHERE key = ?", (error, stream_key))

    # Rows

    def add(self, connection: sqlite3.Connection, rows: Iterable[NewRow], created: float) -> int:
        """Write *rows* and return how many wait for delivery by it."""
        payloads: list[tuple[Any, ...]] = []
        outbox: list[tuple[Any, ...]] = []
        for new in rows:
            if new.row is None:
                for stream in new.streams:
                    self._quarantine(connection, stream, None, new.instance_key, new.reason, created)
                continue
            payload = self._next["payloads"]
            self._next["payloads"] = payload + 1
            payloads.append((payload, new.insert_id, new.row))
            for stream in new.streams:
                outbox.append((self._next["outbox"], stream, payload, created))
                self._next["outbox"] += 1
        connection.executemany("INSERT INTO payloads VALUES (?,?,?)", payloads)
        connection.executemany("INSERT INTO outbox VALUES (?,?,?,?)", outbox)
        return len(outbox)

    def take(self, connection: sqlite3.Connection, stream_key: int, limit: int, max_bytes: int) -> list[Waiting]:
        """The oldest rows that wait for a stream, at most *limit* of them and about *max_bytes*."""
        taken: list[Waiting] = []
        size = 0
        cursor = connection.execute(
            "SELECT o.key, o.payload_key, p.insert_id, p.row FROM outbox o JOIN payloads p ON p.key = o.payload_key "
            "WHERE o.stream_key = ? ORDER BY o.key LIMIT ?",
            (stream_key, limit),
        )
        for row in cursor:
            taken.append(Waiting(*row))
            size += len(row[3])
            if size >= max_bytes:
                break
        return taken

    def settle(
        self,
        connection: sqlite3.Connection,
        stream_key: int,
        delivered: Sequence[Waiting],
        rejected: Sequence[Rejected],
        now: float,
    ) -> None:
        """Take rows out of the outbox: *delivered* are in the table, *rejected* never will be."""
        connection.executemany(
            "DELETE FROM outbox WHERE key = ?", [(w.key,) for w in (*delivered, *(r.waiting for r in rejected))]
        )
        for refused in rejected:
            self._quarantine(connection, stream_key, refused.waiting.payload_key, None, refused.reason, now)
        connection.executemany(
            "DELETE FROM payloads WHERE key = ? AND NOT EXISTS (SELECT 1 FROM outbox WHERE payload_key = payloads.key)"
            " AND NOT EXISTS (SELECT 1 FROM quarantine WHERE payload_key = payloads.key)",
            [(w.payload_key,) for w in delivered],
        )
        connection.execute(
            "UPDATE streams SET delivered = delivered + ?, stall = NULL WHERE key = ?", (len(delivered), stream_key)
        )
        self._drop_if_finished(connection, stream_key)

    def _drop_if_finished(self, connection: sqlite3.Connection, stream_key: int) -> None:
        connection.execute(
            "DELETE FROM streams WHERE key = ? AND active = 0"
            " AND NOT EXISTS (SELECT 1 FROM outbox WHERE stream_key = streams.key)",
            (stream_key,),
        )

    def _quarantine(
        self,
        connection: sqlite3.Connection,
        stream_key: int,
        payload_key: int | None,
        instance_key: int | None,
        reason: str,
        now: float,
    ) -> None:
        connection.execute(
            "INSERT INTO quarantine (stream_key, payload_key, instance_key, reason, created) VALUES (?,?,?,?,?)",
            (stream_key, payload_key, instance_key, reason, now),
        )
        connection.execute("UPDATE streams SET failed = failed + 1, refusal = ? WHERE key = ?", (reason, stream_key))

    def pending_streams(self, connection: sqlite3.Connection) -> list[StreamRow]:
        """Every stream that something waits for."""
        return [s for s in self.streams(connection) if self._waits(connection, s.key)]

    def _waits(self, connection: sqlite3.Connection, stream_key: int) -> bool:
        row = connection.execute("SELECT 1 FROM outbox WHERE stream_key = ? LIMIT 1", (stream_key,)).fetchone()
        return row is not None

    def waits(self, connection: sqlite3.Connection, store_key: int, up_to: int) -> list[int]:
        """Streams of a store for which rows up to a key wait."""
        rows = connection.execute(
            "SELECT key FROM streams WHERE store_key = ? AND EXISTS "
            "(SELECT 1 FROM outbox WHERE stream_key = streams.key AND key <= ?)",
            (store_key, up_to),
        )
        return [row[0] for row in rows]
