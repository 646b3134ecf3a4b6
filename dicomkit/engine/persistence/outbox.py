"""Rows on their way to BigQuery tables.

A stored instance and its outbox rows are committed together, so that every acknowledged instance reaches each
table at least once. Rows of one commit that go to the same streams are one bundle, written, compressed, sent and
removed together: instances of one upload resemble each other, and SQLite takes one blob sooner than a hundred. A bundle
leaves the outbox in the transaction that counts its rows as delivered, or as quarantined with a reason.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from dicomkit.engine.persistence.database import next_keys
from dicomkit.engine.persistence.packing import pack, unpack

__all__ = ["Bundle", "NewRow", "Outbox", "StreamRow"]


BUNDLE_ROWS = 500
"""Most rows of a bundle."""

BUNDLE_BYTES = 4 << 20
"""Most JSON of a bundle, unless one row alone is larger."""


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

    streams: tuple[int, ...]
    row: bytes | None
    """JSON in one line; ``None`` when the row cannot be streamed."""
    reason: str
    """Why it cannot."""


class Bundle(NamedTuple):
    """Rows of one commit that wait for one stream."""

    key: int
    """Key of the outbox entry."""
    bundle_key: int
    insert_id: str
    """What the insert ids of the rows begin with; the place of the row follows."""
    rows: list[bytes]


class Outbox:
    """Streams, and the rows that wait for them.

    Every method that takes a connection runs inside the caller's transaction.
    """

    def __init__(self, connection: sqlite3.Connection, home_id: str) -> None:
        self._home_id = home_id
        self._next = next_keys(connection, "bundles", "outbox")

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
            "SELECT COALESCE(SUM(row_count), 0), MIN(created) FROM outbox WHERE stream_key = ?", (stream_key,)
        ).fetchone()
        return count, oldest

    def note_error(self, connection: sqlite3.Connection, stream_key: int, error: str | None) -> None:
        """Keep the reason why a stream does not move; ``None`` when it moves again."""
        connection.execute("UPDATE streams SET stall = ? WHERE key = ?", (error, stream_key))

    # Rows

    def add(self, connection: sqlite3.Connection, rows: Iterable[NewRow], created: float) -> int:
        """Write *rows* and return how many wait for delivery by it."""
        waiting: dict[tuple[int, ...], list[bytes]] = {}
        for new in rows:
            if new.row is not None:
                waiting.setdefault(new.streams, []).append(new.row)
                continue
            for stream in new.streams:
                self._quarantine(connection, stream, None, new.reason, created)
        count = 0
        for streams, lines in waiting.items():
            for bundle in _portions(lines):
                key = self._next["bundles"]
                self._next["bundles"] = key + 1
                insert_id = f"{self._home_id}-{int(created * 1e6):x}-{key:x}"
                packed = pack(b"\n".join(bundle))
                connection.execute("INSERT INTO bundles VALUES (?,?,?)", (key, insert_id, packed))
                for stream in streams:
                    entry = self._next["outbox"]
                    self._next["outbox"] = entry + 1
                    connection.execute(
                        "INSERT INTO outbox VALUES (?,?,?,?,?)", (entry, stream, key, len(bundle), created)
                    )
                    count += len(bundle)
        return count

    def take(self, connection: sqlite3.Connection, stream_key: int, max_rows: int, max_bytes: int) -> list[Bundle]:
        """The oldest bundles that wait for a stream, up to about *max_rows* and *max_bytes* together."""
        taken: list[Bundle] = []
        count = size = 0
        cursor = connection.execute(
            "SELECT o.key, o.bundle_key, b.insert_id, b.packed FROM outbox o JOIN bundles b ON b.key = o.bundle_key "
            "WHERE o.stream_key = ? ORDER BY o.key",
            (stream_key,),
        )
        for key, bundle_key, insert_id, packed in cursor:
            text = unpack(packed)
            rows = text.split(b"\n")
            count += len(rows)
            size += len(text)
            if taken and (count > max_rows or size > max_bytes):
                break
            taken.append(Bundle(key, bundle_key, insert_id, rows))
        cursor.close()
        return taken

    def settle(
        self,
        connection: sqlite3.Connection,
        stream_key: int,
        bundles: Sequence[Bundle],
        rejected: Sequence[tuple[bytes, str]],
        now: float,
    ) -> None:
        """Take *bundles* out of the outbox: their rows are in the table, but for *rejected* (row, reason)."""
        connection.executemany("DELETE FROM outbox WHERE key = ?", [(b.key,) for b in bundles])
        connection.executemany(
            "DELETE FROM bundles WHERE key = ? AND NOT EXISTS (SELECT 1 FROM outbox WHERE bundle_key = bundles.key)",
            [(b.bundle_key,) for b in bundles],
        )
        for row, reason in rejected:
            self._quarantine(connection, stream_key, row, reason, now)
        delivered = sum(len(b.rows) for b in bundles) - len(rejected)
        connection.execute(
            "UPDATE streams SET delivered = delivered + ?, stall = NULL WHERE key = ?", (delivered, stream_key)
        )
        self._drop_if_finished(connection, stream_key)

    def _drop_if_finished(self, connection: sqlite3.Connection, stream_key: int) -> None:
        connection.execute(
            "DELETE FROM streams WHERE key = ? AND active = 0"
            " AND NOT EXISTS (SELECT 1 FROM outbox WHERE stream_key = streams.key)",
            (stream_key,),
        )

    def _quarantine(
        self, connection: sqlite3.Connection, stream_key: int, row: bytes | None, reason: str, now: float
    ) -> None:
        connection.execute(
            "INSERT INTO quarantine (stream_key, row, reason, created) VALUES (?,?,?,?)",
            (stream_key, row, reason, now),
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


def _portions(lines: Sequence[bytes]) -> Iterator[list[bytes]]:
    """*lines* in portions that can be unpacked in memory, and of which several make one insert."""
    portion: list[bytes] = []
    size = 0
    for line in lines:
        if portion and (size + len(line) > BUNDLE_BYTES or len(portion) >= BUNDLE_ROWS):
            yield portion
            portion, size = [], 0
        portion.append(line)
        size += len(line)
    if portion:
        yield portion
