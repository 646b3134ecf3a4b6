"""The storage class of instances that are stored already."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

__all__ = ["set_storage_class"]


def set_storage_class(
    connection: sqlite3.Connection, keys: Sequence[int], storage_class: str, now: int
) -> dict[int, str]:
    """Move instances to a class, and return the former class of each that was in another one, by key.

    Parameters
    ----------
    keys
        Keys of the instances; those that are no more are passed over.
    now
        When that is, in microseconds since 1970. What is in the class already keeps its time: fees for an early
        deletion are reckoned from it.
    """
    listed = json.dumps(list(keys))
    former: dict[int, str] = dict(
        connection.execute(
            "SELECT key, storage_class FROM instances "
            "WHERE key IN (SELECT value FROM json_each(?)) AND storage_class <> ? ORDER BY key",
            (listed, storage_class),
        ).fetchall()
    )
    connection.executemany(
        "UPDATE instances SET storage_class = ?, updated = ? WHERE key = ?",
        [(storage_class, now, key) for key in former],
    )
    return former
