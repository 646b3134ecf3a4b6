"""The instances that a filter config chooses, in the order of their keys.

However large the store is, the rows of one portion are in memory, and of what a filter file names no more than a key
of 8 bytes for each instance. An instance that several lines name comes once, a line that matches nothing is no error
(the service's operations succeed with such lines as well). An operation that goes on after a crash reads its filter
file again and passes over the keys that it is done with.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import islice
from typing import BinaryIO, Protocol

from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence import index_cursor as cursor
from dicomkit.engine.persistence.index_cursor import SelectedInstance
from dicomkit.engine.persistence.storage import Storage
from dicomkit.errors import NotFound
from dicomkit.names import DicomStoreName
from dicomkit.resources.filter_config import MAX_LINE_BYTES, DicomFilterConfig, parse_resource_paths

__all__ = ["FilterFiles", "Selection", "selected"]

PORTION = 500
"""Rows of one read."""

MAX_KEYS = 1 << 22
"""Keys that are collected before those named twice are taken out."""


class FilterFiles(Protocol):
    """What is used of the buckets."""

    def open(self, uri: str) -> BinaryIO:
        """An object's bytes; ``NotFound`` when there is none."""


class Selection:
    """Instances of one store, by key; those that are deleted before their turn are left out.

    Parameters
    ----------
    store_key
        Key of the store.
    after, up_to
        Keys that are chosen lie behind the one and not behind the other.
    keys
        The chosen ones, ascending; ``None`` for all.

    Attributes
    ----------
    up_to
        The last key that can come: what is stored after the selection was made has a higher one.
    """

    def __init__(self, storage: Storage, store_key: int, after: int, up_to: int, keys: array[int] | None) -> None:
        self._storage = storage
        self._store_key = store_key
        self._after = after
        self._keys = keys
        self.up_to = up_to

    def __len__(self) -> int:
        """How many there are."""
        if self._keys is not None:
            return len(self._keys)
        with self._storage.database.read() as connection:
            return cursor.count_after(connection, self._store_key, self._after, self.up_to)

    def __iter__(self) -> Iterator[SelectedInstance]:
        """Each instance, as it is when its portion is read; ``NotFound`` in the end when the store was deleted."""
        if self._keys is None:
            after = self._after
            while found := self._read_after(after):
                yield from found
                after = found[-1].key
        else:
            for first in range(0, len(self._keys), PORTION):
                keys = self._keys[first : first + PORTION]
                with self._storage.database.read() as connection:
                    found = cursor.instances_of(connection, self._store_key, keys)
                yield from found
        with self._storage.database.read() as connection:
            if catalog.store_by_key(connection, self._store_key) is None:
                raise NotFound("the DICOM store was deleted before all of its instances had their turn")

    def _read_after(self, after: int) -> list[SelectedInstance]:
        with self._storage.database.read() as connection:
            return cursor.instances_after(connection, self._store_key, after, self.up_to, PORTION)


def selected(
    storage: Storage,
    buckets: FilterFiles,
    store: DicomStoreName,
    config: DicomFilterConfig | None,
    *,
    after: int = 0,
    up_to: int | None = None,
    check: Callable[[], None] = lambda: None,
) -> Selection:
    """The instances of a store that *config* chooses, all of them without one.

    Parameters
    ----------
    buckets
        Where the filter file is.
    after
        Leave out instances up to this key: they were done before.
    up_to
        Leave out instances behind this key. At first the store's last one, which the selection tells; who goes on
        with an operation gives that one again, so that the operation ends although the store goes on growing.
    check
        Called every so often while the filter file is read; what it raises is passed on.

    Raises
    ------
    NotFound
        There is no such store, or no such filter file.
    InvalidArgument
        A line of the filter file is malformed; the message names its number.
    """
    with storage.database.read() as connection:
        key = catalog.store(connection, store).key
        last = cursor.last_key(connection, key) if up_to is None else up_to
    keys = None if config is None else _keys(storage, buckets, key, config, check)
    if keys is not None:
        keys = keys[bisect_right(keys, after) : bisect_right(keys, last)]
    return Selection(storage, key, after, last, keys)


def _keys(
    storage: Storage, buckets: FilterFiles, store_key: int, config: DicomFilterConfig, check: Callable[[], None]
) -> array[int]:
    """What the lines of the filter file name: keys, ascending, each once."""
    keys = array("q")
    limit = MAX_KEYS
    with buckets.open(str(config.uri)) as file:
        paths = parse_resource_paths(iter(lambda: file.readline(MAX_LINE_BYTES), b""))
        while portion := list(islice(paths, PORTION)):
            with storage.database.read() as connection:
                for path in portion:
                    check()
                    keys.extend(cursor.keys_below(connection, store_key, path.study, path.series, path.instance))
            if len(keys) > limit:
                # A study that is named on every line must not fill the memory.
                keys = _distinct(keys)
                limit = 2 * len(keys) + MAX_KEYS
    return _distinct(keys)


def _distinct(keys: array[int]) -> array[int]:
    import numpy as np

    return array("q", np.unique(np.frombuffer(keys, dtype=np.int64)).tobytes()) if keys else keys
