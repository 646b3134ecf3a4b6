"""IAM policies as rows of the catalog, each kept with the resource that it belongs to."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Literal

import orjson

__all__ = ["Kind", "policy", "set_policy"]

Kind = Literal["dataset", "store"]


def policy(connection: sqlite3.Connection, kind: Kind, key: int) -> dict[str, Any] | None:
    """The policy of a dataset or a store, by its key; ``None`` where none was ever set."""
    row = connection.execute("SELECT body FROM policies WHERE kind = ? AND key = ?", (kind, key)).fetchone()
    return orjson.loads(row[0]) if row else None


def set_policy(connection: sqlite3.Connection, kind: Kind, key: int, body: Mapping[str, Any]) -> None:
    """Set the policy of a dataset or a store; ``catalog`` deletes it with its resource."""
    connection.execute(
        "INSERT INTO policies VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
        (kind, key, orjson.dumps(body)),
    )
