"""Instances by their place in the DICOM hierarchy."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from dicomkit.engine.persistence.blob_reader import Place

__all__ = ["StoredInstance", "instances_below", "live_bytes_of_store"]


_BELOW = (
    "SELECT i.key, i.series_key, se.uid, i.uid, i.transfer_syntax, i.segment, i.offset, i.length, i.sha256 "
    "FROM series se JOIN instances i ON i.series_key = se.key WHERE se.study_key = ?"
)
_OF_STUDY = f"{_BELOW} ORDER BY i.key"
_OF_SERIES = f"{_BELOW} AND se.uid = ? ORDER BY i.key"
_ONE = f"{_BELOW} AND se.uid = ? AND i.uid = ?"


class StoredInstance(NamedTuple):
    """One instance, and where its bytes are."""

    key: int
    series_key: int
    series_uid: str
    uid: str
    transfer_syntax: str
    place: Place
    sha256: bytes


def instances_below(
    connection: sqlite3.Connection, store_key: int, study: str, series: str | None = None, instance: str | None = None
) -> list[StoredInstance]:
    """All instances of a study or series, or the one instance, in the order in which they were stored."""
    row = connection.execute("SELECT key FROM studies WHERE store_key = ? AND uid = ?", (store_key, study)).fetchone()
    if row is None:
        return []
    if series is None:
        rows = connection.execute(_OF_STUDY, row)
    elif instance is None:
        rows = connection.execute(_OF_SERIES, (row[0], series))
    else:
        rows = connection.execute(_ONE, (row[0], series, instance))
    return [StoredInstance(k, sk, su, u, t, Place(g, o, n), h) for k, sk, su, u, t, g, o, n, h in rows]


def live_bytes_of_store(connection: sqlite3.Connection, store_key: int) -> Sequence[tuple[int, int]]:
    """(blob file, bytes of it) that the instances of a store use."""
    return connection.execute(
        "SELECT segment, SUM(length) FROM instances WHERE store_key = ? GROUP BY segment", (store_key,)
    ).fetchall()
