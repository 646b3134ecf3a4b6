"""Topics and the messages in them: what a store's notifications say, kept in the order in which it happened.

Messages of one commit that go to one topic are a bundle, one compressed row, for instances of one upload resemble each
other. A topic counts its messages from 1 and never again uses a number, so that a number names a message for good.
Every function runs inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import orjson

from dicomkit.engine.persistence.packing import pack, unpack

__all__ = [
    "Bundle",
    "Change",
    "Message",
    "TopicRow",
    "add",
    "add_topics",
    "changes_of",
    "forget",
    "list_topics",
    "note_stall",
    "read",
    "settle",
    "take",
    "topic_key",
    "waiting_topics",
]

BUNDLE_MESSAGES = 500
"""Most messages of a bundle."""


class Change(NamedTuple):
    """One instance that was stored, deleted or moved."""

    study_uid: str
    series_uid: str
    sop_uid: str
    modality: str | None
    storage_class: str
    updated: int
    """When the instance was last changed, in microseconds since 1970."""
    previous_storage_class: str | None = None


class Message(NamedTuple):
    """One message of a topic."""

    number: int
    """Its place in the topic."""
    published: int
    """Microseconds since 1970."""
    store: str
    """Resource name of the store."""
    action: str | None
    """What was done; ``None`` in a message that says the instance's name alone."""
    change: Change


class Bundle(NamedTuple):
    """Messages that wait to be forwarded together."""

    key: int
    messages: list[Message]


class TopicRow(NamedTuple):
    """A topic, and how far its messages are."""

    key: int
    name: str
    kept: int
    """Messages that are kept."""
    waiting: int
    """Those of them that are not forwarded yet."""
    oldest_waiting: int | None
    """When the first of these was published."""
    delivered: int
    """Messages that were forwarded, ever."""
    stall: str | None
    """Why it does not move."""


def add_topics(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    """Make the topics that are not there yet."""
    connection.executemany(
        "INSERT INTO topics (name, last, delivered) VALUES (?, 0, 0) ON CONFLICT DO NOTHING", [(n,) for n in names]
    )


def add(
    connection: sqlite3.Connection,
    topics: Sequence[str],
    store: str,
    action: str | None,
    changes: Sequence[Change],
    *,
    published: int,
    waiting: bool,
) -> None:
    """Write a message of each of *changes* into each of *topics*, which are made when they are missing.

    Parameters
    ----------
    waiting
        Whether the messages are to be forwarded.
    """
    for start in range(0, len(changes), BUNDLE_MESSAGES):
        portion = changes[start : start + BUNDLE_MESSAGES]
        packed = pack(orjson.dumps([tuple(change) for change in portion]))
        for topic in topics:
            key, last = connection.execute(
                "INSERT INTO topics (name, last, delivered) VALUES (?, ?, 0) "
                "ON CONFLICT (name) DO UPDATE SET last = last + excluded.last RETURNING key, last",
                (topic, len(portion)),
            ).fetchone()
            connection.execute(
                "INSERT INTO messages (topic_key, first, last, store, action, published, waiting, packed) "
                "VALUES (?,?,?,?,?,?,?,?)",
                (key, last - len(portion) + 1, last, store, action, published, int(waiting), packed),
            )


def changes_of(
    connection: sqlite3.Connection, keys: Iterable[int], previous: Mapping[int, str] | None = None
) -> Iterator[Change]:
    """What is to be said of the instances with these keys, as they are now, in the order of the keys.

    Parameters
    ----------
    previous
        Former storage class of an instance, by its key.
    """
    before = previous or {}
    for key in keys:
        row = connection.execute(
            "SELECT t.uid, s.uid, i.uid, s.modality, i.storage_class, i.updated FROM instances i "
            "JOIN series s ON s.key = i.series_key JOIN studies t ON t.key = s.study_key WHERE i.key = ?",
            (key,),
        ).fetchone()
        if row is not None:
            yield Change._make((*row, before.get(key)))


# What a topic is asked


def topic_key(connection: sqlite3.Connection, name: str) -> int | None:
    """Key of a topic, if it is there."""
    row = connection.execute("SELECT key FROM topics WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def read(connection: sqlite3.Connection, topic: int, *, after: int, since: int, limit: int) -> list[Message]:
    """Messages of a topic in their order.

    Parameters
    ----------
    after
        Only those with a higher number.
    since
        Only those that were published then or later, in microseconds since 1970.
    limit
        Most of them.
    """
    found: list[Message] = []
    cursor = connection.execute(
        "SELECT first, store, action, published, packed FROM messages "
        "WHERE topic_key = ? AND last > ? AND published >= ? ORDER BY last",
        (topic, after, since),
    )
    for first, store, action, published, packed in cursor:
        found += [m for m in _messages(first, store, action, published, packed) if m.number > after]
        if len(found) >= limit:
            break
    cursor.close()
    return found[:limit]


def list_topics(connection: sqlite3.Connection, prefix: str) -> list[TopicRow]:
    """Topics whose names begin with *prefix*, by name."""
    rows = connection.execute(
        "SELECT t.key, t.name, COALESCE(SUM(m.last - m.first + 1), 0), "
        "COALESCE(SUM((m.last - m.first + 1) * m.waiting), 0), MIN(CASE WHEN m.waiting THEN m.published END), "
        "t.delivered, t.stall FROM topics t LEFT JOIN messages m ON m.topic_key = t.key "
        "WHERE substr(t.name, 1, ?) = ? GROUP BY t.key ORDER BY t.name",
        (len(prefix), prefix),
    )
    return [TopicRow(*row) for row in rows]


# What forwards messages


def waiting_topics(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    """(key, name) of the topics for which something waits."""
    return connection.execute(
        "SELECT key, name FROM topics t WHERE EXISTS (SELECT 1 FROM messages WHERE topic_key = t.key AND waiting = 1)"
    ).fetchall()


def take(connection: sqlite3.Connection, topic: int, most: int) -> list[Bundle]:
    """The oldest bundles that wait for a topic: at least one, if there is one, and up to *most* messages."""
    taken: list[Bundle] = []
    count = 0
    cursor = connection.execute(
        "SELECT key, first, store, action, published, packed FROM messages INDEXED BY messages_waiting "
        "WHERE topic_key = ? AND waiting = 1 ORDER BY last",
        (topic,),
    )
    for key, first, store, action, published, packed in cursor:
        messages = list(_messages(first, store, action, published, packed))
        count += len(messages)
        if taken and count > most:
            break
        taken.append(Bundle(key, messages))
    cursor.close()
    return taken


def settle(connection: sqlite3.Connection, topic: int, bundles: Sequence[Bundle]) -> None:
    """The messages of *bundles* have been forwarded."""
    connection.executemany("UPDATE messages SET waiting = 0 WHERE key = ?", [(b.key,) for b in bundles])
    connection.execute(
        "UPDATE topics SET delivered = delivered + ?, stall = NULL WHERE key = ?",
        (sum(len(b.messages) for b in bundles), topic),
    )


def note_stall(connection: sqlite3.Connection, topic: int, reason: str) -> None:
    """Keep the reason why nothing can be forwarded."""
    connection.execute("UPDATE topics SET stall = ? WHERE key = ?", (reason, topic))


def forget(connection: sqlite3.Connection, *, published_before: int, waiting_before: int, kept: int) -> int:
    """Remove old messages, and return how many of them were never forwarded.

    Parameters
    ----------
    published_before, waiting_before
        Times in microseconds since 1970: for messages in general, and for those that wait to be forwarded.
    kept
        Most messages of a topic beside those that wait.
    """
    lost: int = connection.execute(
        "SELECT COALESCE(SUM(last - first + 1), 0) FROM messages WHERE waiting = 1 AND published < ?",
        (waiting_before,),
    ).fetchone()[0]
    connection.execute(
        "DELETE FROM messages WHERE published < ? AND (waiting = 0 OR published < ?)",
        (published_before, waiting_before),
    )
    for topic, last in connection.execute("SELECT key, last - ? FROM topics WHERE last > ?", (kept, kept)).fetchall():
        connection.execute("DELETE FROM messages WHERE topic_key = ? AND last <= ? AND waiting = 0", (topic, last))
    return lost


def _messages(first: int, store: str, action: str | None, published: int, packed: bytes) -> Iterator[Message]:
    for number, cells in enumerate(orjson.loads(unpack(packed)), first):
        yield Message(number, published, store, action, Change(*cells))
