"""Rows on their way to BigQuery tables.

A stored instance and its outbox rows are committed together, so that every acknowledged instance reaches each
table at least once. Rows of one commit that go to the same streams are one bundle, written, compressed, sent and
removed together: instances of one upload resemble each other, and SQLite takes one blob sooner than a hundred. A bundle
leaves the outbox in the transaction that counts its rows as delivered, or as set aside with a reason
(``persistence.stream_errors``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from dicomkit.engine.persistence import stream_errors
from dicomkit.engine.persistence.database import next_keys
from dicomkit.engine.persistence.packing import pack, unpack
from dicomkit.engine.persistence.stream_errors import Refused, Uids

__all__ = ["Bundle", "NewRow", "Outbox", "StreamRow", "Waiting"]


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
    moved: float | None
    """When rows were last delivered."""


class Waiting(NamedTuple):
    """What waits for a stream."""

    rows: int
    oldest: float | None
    """When the first of it was acknowledged."""


class NewRow(NamedTuple):
    """The row of one instance, for the streams that take this form of it."""

    streams: tuple[int, ...]
    row: bytes | None
    """JSON in one line; ``None`` when the row cannot be streamed."""
    reason: str = ""
    """Why it cannot."""
    uids: Uids = ("", "", "")
    """Of the instance, where there is no row to find them in."""
    size: int | None = None
    """Bytes that the row would have."""


class Bundle(NamedTuple):
    """Rows of one commit that wait for one stream."""

    key: int
    """Key of the outbox entry."""
    bundle_key: int
    insert_id: str
    """What the insert ids of the rows begin with; the place of the row follows."""
    rows: list[bytes]
    attempts: int
    """How often a table has refused the rows before."""


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
            "SELECT key, store_key, table_uri, config, active, delivered, failed, COALESCE(stall, refusal), moved "
            "FROM streams"
        )
        rows = connection.execute(
            sql + (" ORDER BY key" if store_key is None else " WHERE store_key = ? ORDER BY key"),
            () if store_key is None else (store_key,),
        )
        return [StreamRow(k, s, u, orjson.loads(c), bool(a), d, f, e, m) for k, s, u, c, a, d, f, e, m in rows]

    def orphan(self, connection: sqlite3.Connection, store_key: int) -> None:
        """A store is deleted: what waits is still delivered, and nobody can ask for what was set aside any more."""
        self.set_streams(connection, store_key, {})
        stream_errors.forget_store(connection, store_key)
        # The store's own key may be given to another one.
        connection.execute("UPDATE streams SET store_key = -key WHERE store_key = ?", (store_key,))
        for stream in connection.execute("SELECT key FROM streams WHERE store_key = -key").fetchall():
            self._drop_if_finished(connection, stream[0])

    def waiting(self, connection: sqlite3.Connection, stream_key: int) -> Waiting:
        """How many rows wait for a stream, and since when the oldest does."""
        found = connection.execute(
            "SELECT COALESCE(SUM(row_count), 0), MIN(created) FROM outbox WHERE stream_key = ?", (stream_key,)
        ).fetchone()
        return Waiting(*found)

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
                stream_errors.add(connection, stream, [Refused(None, new.reason, new.uids, new.size)], created)
        return sum(self._put(connection, streams, lines, created) for streams, lines in waiting.items())

    def retry(self, connection: sqlite3.Connection, store_key: int, keys: Sequence[int] | None, now: float) -> int:
        """Send again what was set aside for the streams of a store, and return how many rows that are.

        Parameters
        ----------
        keys
            Which; ``None`` for all. What was too large to become a row stays where it is.
        """
        count = 0
        while taken := stream_errors.take(connection, store_key, keys, limit=BUNDLE_ROWS):
            groups: dict[tuple[int, int], list[bytes]] = {}
            for row in taken:
                groups.setdefault((row.stream_key, row.attempts), []).append(row.row)
            for (stream, attempts), lines in groups.items():
                count += self._put(connection, (stream,), lines, now, attempts)
        return count

    def _put(
        self,
        connection: sqlite3.Connection,
        streams: tuple[int, ...],
        lines: Sequence[bytes],
        created: float,
        attempts: int = 0,
    ) -> int:
        """Let *lines* wait for each of *streams*."""
        for portion in _portions(lines):
            key = self._next["bundles"]
            self._next["bundles"] = key + 1
            insert_id = f"{self._home_id}-{int(created * 1e6):x}-{key:x}"
            connection.execute("INSERT INTO bundles VALUES (?,?,?)", (key, insert_id, pack(b"\n".join(portion))))
            for stream in streams:
                entry = self._next["outbox"]
                self._next["outbox"] = entry + 1
                connection.execute(
                    "INSERT INTO outbox VALUES (?,?,?,?,?,?)", (entry, stream, key, len(portion), created, attempts)
                )
        return len(lines) * len(streams)

    def take(
        self,
        connection: sqlite3.Connection,
        stream_key: int,
        *,
        max_rows: int,
        max_bytes: int,
        up_to: int | None = None,
    ) -> list[Bundle]:
        """The oldest bundles that wait for a stream: one, and more up to *max_rows* and *max_bytes* together.

        Parameters
        ----------
        up_to
            Take none with a higher key.
        """
        taken: list[Bundle] = []
        count = size = 0
        cursor = connection.execute(
            "SELECT o.key, o.bundle_key, b.insert_id, b.packed, o.attempts, o.row_count FROM outbox o "
            "JOIN bundles b ON b.key = o.bundle_key WHERE o.stream_key = ? AND o.key <= ? ORDER BY o.key",
            (stream_key, self.last_key if up_to is None else up_to),
        )
        for key, bundle_key, insert_id, packed, attempts, row_count in cursor:
            count += row_count
            if taken and count > max_rows:
                break
            text = unpack(packed)
            size += len(text)
            if taken and size > max_bytes:
                break
            taken.append(Bundle(key, bundle_key, insert_id, text.split(b"\n"), attempts))
        cursor.close()
        return taken

    def settle(
        self,
        connection: sqlite3.Connection,
        stream_key: int,
        bundles: Sequence[Bundle],
        refused: Mapping[int, str],
        now: float,
    ) -> None:
        """Take *bundles* out of the outbox: their rows are in the table, but for *refused* (place of the row, why)."""
        connection.executemany("DELETE FROM outbox WHERE key = ?", [(b.key,) for b in bundles])
        connection.executemany(
            "DELETE FROM bundles WHERE key = ? AND NOT EXISTS (SELECT 1 FROM outbox WHERE bundle_key = bundles.key)",
            [(b.bundle_key,) for b in bundles],
        )
        rows = [(row, bundle.attempts) for bundle in bundles for row in bundle.rows]
        stream_errors.add(
            connection, stream_key, [Refused.of(*rows[place], reason) for place, reason in refused.items()], now
        )
        if delivered := len(rows) - len(refused):
            connection.execute(
                "UPDATE streams SET delivered = delivered + ?, moved = ? WHERE key = ?", (delivered, now, stream_key)
            )
        self.note_error(connection, stream_key, None)
        self._drop_if_finished(connection, stream_key)

    def _drop_if_finished(self, connection: sqlite3.Connection, stream_key: int) -> None:
        """Forget a stream that was removed, when nothing waits for it and nothing is set aside."""
        connection.execute(
            "DELETE FROM quarantine WHERE stream_key = ? AND (SELECT store_key FROM streams WHERE key = ?) < 0",
            (stream_key, stream_key),
        )
        connection.execute(
            "DELETE FROM streams WHERE key = ? AND active = 0"
            " AND NOT EXISTS (SELECT 1 FROM outbox WHERE stream_key = streams.key)"
            " AND NOT EXISTS (SELECT 1 FROM quarantine WHERE stream_key = streams.key)",
            (stream_key,),
        )

    def drop(self, connection: sqlite3.Connection, store_key: int, keys: Sequence[int] | None) -> int:
        """Give up what was set aside for the streams of a store; *keys* as for :meth:`retry`."""
        count = stream_errors.drop(connection, store_key, keys)
        for stream in self.streams(connection, store_key):
            self._drop_if_finished(connection, stream.key)
        return count

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
