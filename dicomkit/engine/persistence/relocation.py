"""The instances in one blob file, and their move to another."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from dicomkit.engine.persistence.blob_reader import Place

__all__ = ["Resident", "is_at", "is_used", "move", "place_of", "residents"]


class Resident(NamedTuple):
    """An instance by where its bytes are."""

    key: int
    place: Place
    sha256: bytes


def residents(connection: sqlite3.Connection, segment: int, *, after: int, limit: int) -> list[Resident]:
    """Instances in a blob file that begin behind offset *after*, in the order of their bytes."""
    rows = connection.execute(
        "SELECT key, offset, length, sha256 FROM instances WHERE segment = ? AND offset > ? ORDER BY offset LIMIT ?",
        (segment, after, limit),
    )
    return [Resident(key, Place(segment, offset, length), sha256) for key, offset, length, sha256 in rows]


def place_of(connection: sqlite3.Connection, key: int) -> Place | None:
    """Where an instance's bytes are now; ``None`` when it is there no more."""
    row = connection.execute("SELECT segment, offset, length FROM instances WHERE key = ?", (key,)).fetchone()
    return Place(*row) if row else None


def is_at(connection: sqlite3.Connection, item: Resident) -> bool:
    """Whether the instance is still there, and where it was found."""
    return place_of(connection, item.key) == item.place


def is_used(connection: sqlite3.Connection, segment: int) -> bool:
    """Whether any instance is in the blob file."""
    return connection.execute("SELECT 1 FROM instances WHERE segment = ? LIMIT 1", (segment,)).fetchone() is not None


def move(connection: sqlite3.Connection, moves: Iterable[tuple[Resident, Place]]) -> None:
    """Point instances to new places; one that is no longer where it was found stays as it is."""
    connection.executemany(
        "UPDATE instances SET segment = ?, offset = ? WHERE key = ? AND segment = ? AND offset = ?",
        [(new.segment, new.offset, item.key, item.place.segment, item.place.offset) for item, new in moves],
    )
