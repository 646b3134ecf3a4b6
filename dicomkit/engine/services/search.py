"""Searches: rows of the index, as results in the DICOM JSON model or as a stream of columns.

What a row brings along is known by ``search_lines``; no value is encoded twice.

Source: DICOM PS3.18 section 10.6 (search transaction), edition 2025b.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from dicomkit.dicom.matching import Mode
from dicomkit.dicom.query import ALL, Query
from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.database import Connection
from dicomkit.engine.persistence.index_plan import Selection, select
from dicomkit.engine.persistence.index_search import count, last_key, rows_by_key, search
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.search_columns import columns
from dicomkit.engine.services.search_lines import Portion, ResultLines
from dicomkit.engine.services.search_scan import scan, scan_count
from dicomkit.names import DicomStoreName

__all__ = ["Search"]

PORTION = 10_000
"""Results that a stream takes from the index at a time, and a record batch of it has."""


class Search:
    """Searches the stores of a home.

    Parameters
    ----------
    storage
        The home's files.
    mode
        How match values are read; see ``dicom.matching``.
    """

    def __init__(self, storage: Storage, mode: Mode) -> None:
        self._storage = storage
        self._mode: Mode = mode

    def run(self, name: DicomStoreName, query: Query) -> list[bytes]:
        """Results as DICOM JSON objects, in a stable order; at most the query's limit.

        Raises
        ------
        NotFound
            There is no such store.
        DeadlineExceeded
            The query matches attributes that no index has, and too many instances would have to be looked at.
        """
        with self._storage.database.read() as connection:
            store_key = catalog.store(connection, name).key
            need = query.effective_limit + query.offset
            selection = select(connection, store_key, query, self._mode, need=need)
            if selection is None:
                return []
            rows = _rows(connection, selection, query.effective_limit, query.offset)
            return ResultLines(query, is_counted=self._mode == "friendly").objects(connection, rows) if rows else []

    def has_columns(self, query: Query) -> bool:
        """Whether :meth:`stream` can answer: Google cannot, and nobody who does not know the attributes beforehand."""
        return self._mode == "friendly" and not (query.level == "instance" and ALL in query.fields)

    def stream(self, name: DicomStoreName, query: Query) -> Iterator[bytes] | None:
        """Results as an Arrow stream (``search_columns``): all from the query's offset on, or as many as its limit.

        What is counted for a study or series is among the attributes where it is asked for.

        Each portion is a transaction of its own, which goes on behind the last key: the answer has every match that
        was there when it began and still is when its turn comes, once, in the order of :meth:`run`; and no reader
        that is slow keeps the log of the database from being begun anew. What is stored later has a higher key, since
        the one process that gives keys gives none twice.

        Returns
        -------
        iterator of chunks
            The first portion is looked up by this call; an error behind it is told in the stream. ``None`` where
            nothing matches.

        Raises
        ------
        NotFound, DeadlineExceeded
            As by :meth:`run`.
        """
        lines = ResultLines(query)
        portions = self._portions(name, query, lines)
        first = next(portions, None)
        return None if first is None else columns(lines.tags, chain([first], portions))

    def _portions(self, name: DicomStoreName, query: Query, lines: ResultLines) -> Iterator[Portion]:
        left, offset = query.limit, query.offset
        after, until = 0, None
        while left is None or left > 0:
            with self._storage.database.read() as connection:
                store_key = catalog.store(connection, name).key
                selection = select(connection, store_key, query, self._mode, is_ordered=True)
                if selection is None:
                    return
                if until is None:
                    until = last_key(connection, selection.level)
                limit = PORTION if left is None else min(PORTION, left)
                rows = _rows(connection, selection.within(after, until), limit, offset)
                if not rows:
                    return
                portion = lines.of(connection, rows)
            yield portion
            if len(rows) < limit:
                return
            after, offset = rows[-1][0], 0
            left = None if left is None else left - len(rows)

    def count(self, name: DicomStoreName, query: Query) -> int:
        """How many matches a query has in all, whatever its limit; raises as :meth:`run` does."""
        with self._storage.database.read() as connection:
            selection = select(connection, catalog.store(connection, name).key, query, self._mode)
            if selection is None:
                return 0
            return scan_count(connection, selection) if selection.rest else count(connection, selection)


def _rows(connection: Connection, selection: Selection, limit: int, offset: int) -> list[tuple[Any, ...]]:
    """The rows of a page, in the order of their keys."""
    if selection.rest:
        return rows_by_key(connection, selection.level, scan(connection, selection, limit=limit, offset=offset))
    return search(connection, selection, limit=limit, offset=offset)
