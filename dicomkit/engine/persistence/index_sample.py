"""A few instances of a store that show what there is in it."""

from __future__ import annotations

import sqlite3

__all__ = ["sample_keys"]


def sample_keys(connection: sqlite3.Connection, store_key: int, up_to: int, limit: int) -> list[int]:
    """Keys of the first instance of each series, ascending, and where that leaves room, of the store's first ones."""
    found = [
        key
        for (key,) in connection.execute(
            "SELECT MIN(key) FROM instances WHERE store_key = ? AND key <= ? GROUP BY series_key ORDER BY 1 LIMIT ?",
            (store_key, up_to, limit),
        )
    ]
    if len(found) < limit:
        first = connection.execute(
            "SELECT key FROM instances WHERE store_key = ? AND key <= ? ORDER BY key LIMIT ?", (store_key, up_to, limit)
        )
        wanted = dict.fromkeys(found)
        for (key,) in first:
            if len(wanted) == limit:
                break
            wanted[key] = None
        found = sorted(wanted)
    return found
