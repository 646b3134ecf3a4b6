"""All instances of a store, or chosen ones, read in portions in the order of their keys.

A key is never given twice while it is in use, and it grows: who knows the last one that was read can go on behind it,
in another transaction or another process.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dicomkit.engine.persistence.blob_reader import Place
from dicomkit.engine.persistence.index_lookup import StoredInstance
from dicomkit.names import DicomStoreName

__all__ = ["SelectedInstance", "count_after", "instances_after", "instances_of", "keys_below", "last_key"]

_SELECT = (
    "SELECT i.key, i.series_key, se.uid, i.uid, i.transfer_syntax, i.segment, i.offset, i.length, i.sha256, "
    "st.uid, i.storage_class, i.updated "
    "FROM instances i CROSS JOIN series se ON se.key = i.series_key CROSS JOIN studies st ON st.key = se.study_key "
)
"""The joins are CROSS so that SQLite goes through the instances, whatever it thinks of the tables' sizes."""


class SelectedInstance(NamedTuple):
    """One instance, and what a copy or a row of it is made from."""

    stored: StoredInstance
    study_uid: str
    storage_class: str
    updated: int
    """Microseconds since 1970."""

    @property
    def key(self) -> int:
        """Where it comes in the order."""
        return self.stored.key

    @property
    def series_uid(self) -> str:
        """UID of its series."""
        return self.stored.series_uid

    @property
    def uid(self) -> str:
        """Its own UID."""
        return self.stored.uid

    def source(self, store: DicomStoreName) -> str:
        """Its DICOMweb resource, by which an operation's failures name it."""
        path = f"studies/{self.study_uid}/series/{self.series_uid}/instances/{self.uid}"
        return f"{store}/dicomWeb/{path}"


def _instances(rows: sqlite3.Cursor) -> list[SelectedInstance]:
    return [
        SelectedInstance(StoredInstance(k, sk, su, u, t, Place(g, o, n), h), study, storage_class, updated)
        for k, sk, su, u, t, g, o, n, h, study, storage_class, updated in rows
    ]


def last_key(connection: sqlite3.Connection, store_key: int) -> int:
    """The highest key of a store, 0 when it is empty."""
    row = connection.execute("SELECT MAX(key) FROM instances WHERE store_key = ?", (store_key,)).fetchone()
    return int(row[0] or 0)


def count_after(connection: sqlite3.Connection, store_key: int, after: int, up_to: int) -> int:
    """How many instances of a store have keys behind *after*, up to *up_to*."""
    row = connection.execute(
        "SELECT COUNT(*) FROM instances WHERE store_key = ? AND key > ? AND key <= ?", (store_key, after, up_to)
    ).fetchone()
    return int(row[0])


def instances_after(
    connection: sqlite3.Connection, store_key: int, after: int, up_to: int, limit: int
) -> list[SelectedInstance]:
    """The first *limit* instances of a store with keys behind *after*, up to *up_to*, by key."""
    return _instances(
        connection.execute(
            f"{_SELECT} WHERE i.store_key = ? AND i.key > ? AND i.key <= ? ORDER BY i.key LIMIT ?",
            (store_key, after, up_to, limit),
        )
    )


def instances_of(connection: sqlite3.Connection, store_key: int, keys: Sequence[int]) -> list[SelectedInstance]:
    """Those of *keys* that are still in the store, by key."""
    return _instances(
        connection.execute(
            # The plus keeps the index of stores out of it.
            f"{_SELECT} WHERE i.key IN (SELECT value FROM json_each(?)) AND +i.store_key = ? ORDER BY i.key",  # noqa: S608
            (json.dumps(list(keys)), store_key),
        )
    )


def keys_below(
    connection: sqlite3.Connection, store_key: int, study: str, series: str | None, instance: str | None
) -> Iterator[int]:
    """Keys of the instances of a study or series, or of one instance, in no particular order."""
    sql = (
        "SELECT i.key FROM studies st JOIN series se ON se.study_key = st.key "
        "JOIN instances i ON i.series_key = se.key WHERE st.store_key = ? AND st.uid = ?"
    )
    values: list[str | int] = [store_key, study]
    for condition, uid in ((" AND se.uid = ?", series), (" AND i.uid = ?", instance)):
        if uid is not None:
            sql += condition
            values.append(uid)
    return (key for (key,) in connection.execute(sql, values))
