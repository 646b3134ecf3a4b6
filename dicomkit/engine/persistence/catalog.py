"""Datasets, stores and blob files as rows of the catalog.

Resources are kept as the JSON they are on the wire, without their ``name``, which is made of the keys.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from dicomkit.engine.persistence.blobs import SegmentRow
from dicomkit.errors import NotFound
from dicomkit.names import DatasetName, DicomStoreName

__all__ = [
    "SparseSegment",
    "StoreRow",
    "add_live_bytes",
    "dataset_key",
    "dataset_name",
    "delete_dataset",
    "delete_segments",
    "delete_store",
    "delete_unused_segments",
    "insert_dataset",
    "insert_store",
    "list_datasets",
    "list_locations",
    "list_stores",
    "segments",
    "setting",
    "sparse_segments",
    "store",
    "store_by_key",
    "update_dataset",
    "update_store",
    "upsert_segments",
]


class SparseSegment(NamedTuple):
    """A shared blob file of which instances use less than half."""

    key: int
    size: int
    live: int


class StoreRow(NamedTuple):
    """A DICOM store."""

    key: int
    dataset_key: int
    id: str
    resource: dict[str, Any]
    generation: int
    """Grows with every change of the configuration."""


def setting(connection: sqlite3.Connection, name: str, default: str) -> str:
    """A value of the home as a whole, set to *default* when it is missing."""
    connection.execute("INSERT INTO settings VALUES (?, ?) ON CONFLICT DO NOTHING", (name, default))
    value: str = connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()[0]
    return value


# Datasets


def insert_dataset(connection: sqlite3.Connection, name: DatasetName, resource: Mapping[str, Any]) -> bool:
    """Add a dataset; ``False`` when there is one of this name."""
    done = connection.execute(
        "INSERT INTO datasets (parent, id, resource) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (name.parent, name.dataset, orjson.dumps(resource)),
    )
    return done.rowcount == 1


def dataset_key(connection: sqlite3.Connection, name: DatasetName) -> tuple[int, dict[str, Any]]:
    """Key and resource of a dataset; ``NotFound`` when there is none."""
    row = connection.execute(
        "SELECT key, resource FROM datasets WHERE parent = ? AND id = ?", (name.parent, name.dataset)
    ).fetchone()
    if row is None:
        raise NotFound(f"there is no dataset {str(name)!r}; create it first")
    return row[0], orjson.loads(row[1])


def dataset_name(connection: sqlite3.Connection, key: int) -> DatasetName | None:
    """Name of the dataset with a key, if it is still there."""
    row = connection.execute("SELECT parent, id FROM datasets WHERE key = ?", (key,)).fetchone()
    return DatasetName.parse(f"{row[0]}/datasets/{row[1]}") if row else None


def list_datasets(
    connection: sqlite3.Connection, parent: str, after: str, limit: int
) -> list[tuple[str, dict[str, Any]]]:
    """(id, resource) of the datasets of a location whose ids come after *after*, by id."""
    rows = connection.execute(
        "SELECT id, resource FROM datasets WHERE parent = ? AND id > ? ORDER BY id LIMIT ?", (parent, after, limit)
    )
    return [(id_, orjson.loads(resource)) for id_, resource in rows]


def list_locations(connection: sqlite3.Connection, project: str) -> list[str]:
    """Ids of the locations in which a project has datasets."""
    prefix = f"projects/{project}/locations/"
    rows = connection.execute(
        "SELECT DISTINCT parent FROM datasets WHERE substr(parent, 1, ?) = ?", (len(prefix), prefix)
    )
    return [parent[len(prefix) :] for (parent,) in rows]


def update_dataset(connection: sqlite3.Connection, key: int, resource: Mapping[str, Any]) -> None:
    """Give a dataset other settings."""
    connection.execute("UPDATE datasets SET resource = ? WHERE key = ?", (orjson.dumps(resource), key))


def delete_dataset(connection: sqlite3.Connection, key: int) -> None:
    """Remove a dataset whose stores and operations have gone, and its policy."""
    connection.execute("DELETE FROM policies WHERE kind = 'dataset' AND key = ?", (key,))
    connection.execute("DELETE FROM datasets WHERE key = ?", (key,))


# Stores


def insert_store(connection: sqlite3.Connection, dataset: int, id_: str, resource: Mapping[str, Any]) -> int | None:
    """Add a store and return its key; ``None`` when there is one with this id."""
    done = connection.execute(
        "INSERT INTO stores (dataset_key, id, resource, generation) VALUES (?, ?, ?, 1) ON CONFLICT DO NOTHING",
        (dataset, id_, orjson.dumps(resource)),
    )
    return done.lastrowid if done.rowcount == 1 else None


def store(connection: sqlite3.Connection, name: DicomStoreName) -> StoreRow:
    """The store named *name*; ``NotFound`` when it, or its dataset, is missing."""
    row = connection.execute(
        "SELECT s.key, s.dataset_key, s.id, s.resource, s.generation FROM stores s JOIN datasets d "
        "ON d.key = s.dataset_key WHERE d.parent = ? AND d.id = ? AND s.id = ?",
        (name.dataset.parent, name.dataset.dataset, name.store),
    ).fetchone()
    if row is None:
        raise NotFound(f"there is no DICOM store {str(name)!r}; create it first")
    return StoreRow(row[0], row[1], row[2], orjson.loads(row[3]), row[4])


def store_by_key(connection: sqlite3.Connection, key: int) -> StoreRow | None:
    """The store with a key, if it is still there."""
    row = connection.execute(
        "SELECT key, dataset_key, id, resource, generation FROM stores WHERE key = ?", (key,)
    ).fetchone()
    return StoreRow(row[0], row[1], row[2], orjson.loads(row[3]), row[4]) if row else None


def list_stores(connection: sqlite3.Connection, dataset: int, after: str, limit: int) -> list[StoreRow]:
    """Stores of a dataset whose ids come after *after*, by id."""
    rows = connection.execute(
        "SELECT key, dataset_key, id, resource, generation FROM stores WHERE dataset_key = ? AND id > ? "
        "ORDER BY id LIMIT ?",
        (dataset, after, limit),
    )
    return [StoreRow(k, d, i, orjson.loads(r), g) for k, d, i, r, g in rows]


def update_store(connection: sqlite3.Connection, key: int, resource: Mapping[str, Any]) -> None:
    """Give a store another configuration."""
    connection.execute(
        "UPDATE stores SET resource = ?, generation = generation + 1 WHERE key = ?", (orjson.dumps(resource), key)
    )


def delete_store(connection: sqlite3.Connection, key: int) -> None:
    """Remove a store's own row and its policy; what is in it goes through ``Index.delete_store``."""
    connection.execute("DELETE FROM policies WHERE kind = 'store' AND key = ?", (key,))
    connection.execute("DELETE FROM stores WHERE key = ?", (key,))


# Blob files


def segments(connection: sqlite3.Connection) -> list[SegmentRow]:
    """Every blob file."""
    return [SegmentRow(k, bool(o), s) for k, o, s in connection.execute("SELECT key, own, size FROM segments")]


def upsert_segments(connection: sqlite3.Connection, rows: Iterable[SegmentRow]) -> None:
    """Note blob files that are new or have grown; the bytes come alive by :func:`add_live_bytes`."""
    connection.executemany(
        "INSERT INTO segments VALUES (?, ?, ?, 0) ON CONFLICT (key) DO UPDATE SET size = excluded.size",
        [(row.key, int(row.own), row.size) for row in rows],
    )


def add_live_bytes(connection: sqlite3.Connection, changes: Mapping[int, int]) -> list[SegmentRow]:
    """Change how many bytes of each blob file instances use, and return the files that none uses any more."""
    empty = []
    for key, change in changes.items():
        row = connection.execute(
            "UPDATE segments SET live = live + ? WHERE key = ? RETURNING own, size, live", (change, key)
        ).fetchone()
        if row is not None and row[2] == 0:
            empty.append(SegmentRow(key, bool(row[0]), row[1]))
    return empty


def sparse_segments(connection: sqlite3.Connection) -> list[SparseSegment]:
    """Shared blob files of which instances use less than half, the emptiest first."""
    rows = connection.execute(
        "SELECT key, size, live FROM segments WHERE own = 0 AND live * 2 < size ORDER BY live * 1.0 / size"
    )
    return [SparseSegment(*row) for row in rows]


def delete_unused_segments(connection: sqlite3.Connection) -> None:
    """Forget blob files that no instance is in; for the start, when no file is being appended to."""
    connection.execute(
        "DELETE FROM segments WHERE live = 0 AND NOT EXISTS (SELECT 1 FROM instances WHERE segment = segments.key)"
    )


def delete_segments(connection: sqlite3.Connection, keys: Iterable[int]) -> None:
    """Forget blob files; their removal follows the commit, or the next start."""
    connection.executemany("DELETE FROM segments WHERE key = ?", [(key,) for key in keys])
