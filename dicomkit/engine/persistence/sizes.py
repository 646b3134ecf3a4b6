"""How many studies, series and instances there are below a name, and how many bytes they take.

Bytes of a blob are those of the instance as it was received. Structured bytes are what the catalog keeps of it:
metadata, compressed, and the lines that searches answer with; a series adds its own lines and what its metadata is
compressed with, a study its lines. So the sums of a level are those of what is below it and its own.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

__all__ = ["InstanceSize", "Sizes", "instance_size", "series_sizes", "store_sizes", "study_sizes"]


class Sizes(NamedTuple):
    """Counts and bytes."""

    studies: int
    series: int
    instances: int
    structured_bytes: int
    blob_bytes: int


class InstanceSize(NamedTuple):
    """Bytes of one instance, its storage class, and since when it has that, in microseconds since 1970."""

    structured_bytes: int
    blob_bytes: int
    storage_class: str
    updated: int


_STUDIES = "SELECT COUNT(*), COALESCE(SUM(LENGTH(json)), 0) FROM studies WHERE "
_SERIES = (
    "SELECT COUNT(*), COALESCE(SUM(LENGTH(s.json) + COALESCE(LENGTH(d.packed), 0)), 0) "
    "FROM series s LEFT JOIN dictionaries d ON d.series_key = s.key WHERE "
)
# LENGTH of a column reads its header and none of its pages.
_BYTES = "LENGTH(i.json) + LENGTH(m.packed)"
_INSTANCES = (
    f"SELECT COUNT(*), COALESCE(SUM({_BYTES}), 0), COALESCE(SUM(i.length), 0) "  # noqa: S608 - constants
    "FROM instances i JOIN metadata m ON m.key = i.key WHERE "
)
_ONE = (
    f"SELECT {_BYTES}, i.length, i.storage_class, i.updated "  # noqa: S608 - constants
    "FROM instances i JOIN metadata m ON m.key = i.key WHERE i.series_key = ? AND i.uid = ?"
)


def _sizes(connection: sqlite3.Connection, key: int, studies: str, series: str, instances: str) -> Sizes:
    study_count, study_bytes = connection.execute(_STUDIES + studies, (key,)).fetchone()
    series_count, series_bytes = connection.execute(_SERIES + series, (key,)).fetchone()
    count, structured, blob = connection.execute(_INSTANCES + instances, (key,)).fetchone()
    return Sizes(study_count, series_count, count, study_bytes + series_bytes + structured, blob)


def store_sizes(connection: sqlite3.Connection, store_key: int) -> Sizes:
    """All that is in a store."""
    return _sizes(connection, store_key, "store_key = ?", "s.store_key = ?", "i.store_key = ?")


def study_sizes(connection: sqlite3.Connection, store_key: int, study: str) -> Sizes | None:
    """A study and all that is in it; ``None`` when there is no such study."""
    row = connection.execute("SELECT key FROM studies WHERE store_key = ? AND uid = ?", (store_key, study)).fetchone()
    if row is None:
        return None
    below = "i.series_key IN (SELECT key FROM series WHERE study_key = ?)"
    return _sizes(connection, row[0], "key = ?", "s.study_key = ?", below)


def series_sizes(connection: sqlite3.Connection, store_key: int, study: str, series: str) -> Sizes | None:
    """A series and all that is in it; ``None`` when there is no such series."""
    key = _series_key(connection, store_key, study, series)
    # Its study does not count.
    return None if key is None else _sizes(connection, key, "key = ? AND 0", "s.key = ?", "i.series_key = ?")


def instance_size(
    connection: sqlite3.Connection, store_key: int, study: str, series: str, instance: str
) -> InstanceSize | None:
    """One instance; ``None`` when there is no such instance."""
    key = _series_key(connection, store_key, study, series)
    row = connection.execute(_ONE, (key, instance)).fetchone()
    return InstanceSize(*row) if row else None


def _series_key(connection: sqlite3.Connection, store_key: int, study: str, series: str) -> int | None:
    row = connection.execute(
        "SELECT se.key FROM series se JOIN studies st ON st.key = se.study_key "
        "WHERE st.store_key = ? AND st.uid = ? AND se.uid = ?",
        (store_key, study, series),
    ).fetchone()
    return row[0] if row else None
