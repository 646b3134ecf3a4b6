"""Searches: rows of the index, merged into DICOM JSON without encoding anything twice.

The index keeps an attribute a line, tags ascending. A result is the lines of its own level, those of its parents
where the search is about the whole store, and what else was asked for; sorting the lines puts the tags in order.

Sources: DICOM PS3.18 section 10.6 (search transaction), edition 2025b; "DICOM conformance statement" of the Cloud
Healthcare API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import orjson

from dicomkit.dicom.attributes import ALL_FIELDS, COMPUTED, DEFAULTS, UIDS, Level, levels_down_to
from dicomkit.dicom.dictionary import tag_of
from dicomkit.dicom.matching import Mode
from dicomkit.dicom.query import ALL, Query
from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.database import Connection
from dicomkit.engine.persistence.index_plan import select
from dicomkit.engine.persistence.index_search import (
    SeriesRow,
    StudyRow,
    count,
    first_instances,
    rows_by_key,
    search,
    series_by_key,
    studies_by_key,
)
from dicomkit.engine.persistence.level_rows import SERIES_TAGS, STUDY_TAGS
from dicomkit.engine.persistence.metadata import read_metadata
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.search_scan import scan, scan_count
from dicomkit.names import DicomStoreName

__all__ = ["Search"]

_DEFAULT: dict[Level, frozenset[str]] = {level: frozenset(tag_of(k) for k in DEFAULTS[level]) for level in DEFAULTS}
_WITH_ALL: dict[Level, frozenset[str]] = {
    level: _DEFAULT[level] | {tag_of(k) for k in ALL_FIELDS[level]} for level in DEFAULTS
}
_STORED: dict[Level, frozenset[str]] = {
    "study": frozenset(STUDY_TAGS),
    "series": frozenset(SERIES_TAGS),
    "instance": _DEFAULT["instance"],
}
_STUDY_UID, _SERIES_UID, _ = (tag_of(k) for k in UIDS)
# These belong to every level; a result carries its own.
_OF_EVERY_LEVEL = _DEFAULT["study"] & _DEFAULT["series"] & _DEFAULT["instance"] | {"00080056"}

_STUDY_COUNTS: dict[str, Callable[[StudyRow], bytes]] = {
    "00080061": lambda s: b'{"vr":"CS","Value":%s}' % orjson.dumps(s.modalities.split(",")),
    "00201206": lambda s: b'{"vr":"IS","Value":[%d]}' % s.series_count,
    "00201208": lambda s: b'{"vr":"IS","Value":[%d]}' % s.instance_count,
}
_SERIES_COUNTS: dict[str, Callable[[SeriesRow], bytes]] = {
    "00201209": lambda s: b'{"vr":"IS","Value":[%d]}' % s.instance_count,
}
_COUNTED = _STUDY_COUNTS.keys() | _SERIES_COUNTS.keys()
_COUNTED_AT: dict[Level, frozenset[str]] = {
    level: frozenset(tag_of(k) for k in keywords) for level, keywords in COMPUTED.items()
}

Lines = list[bytes]


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
            page = {"limit": query.effective_limit, "offset": query.offset}
            if selection.rest:
                keys = scan(connection, selection, **page)
                rows = rows_by_key(connection, selection.level, keys)
            else:
                rows = search(connection, selection, **page)
            return _Rendering(connection, query, self._mode).render(rows) if rows else []

    def count(self, name: DicomStoreName, query: Query) -> int:
        """How many matches a query has in all, whatever its limit; raises as :meth:`run` does."""
        with self._storage.database.read() as connection:
            selection = select(connection, catalog.store(connection, name).key, query, self._mode)
            if selection is None:
                return 0
            return scan_count(connection, selection) if selection.rest else count(connection, selection)


class _Rendering:
    """Makes JSON of the rows of one search."""

    def __init__(self, connection: Connection, query: Query, mode: Mode) -> None:
        self._connection = connection
        self._level: Level = query.level
        self._everything = ALL in query.fields and query.level == "instance"
        self._fields = frozenset(f for f in query.fields if f != ALL)
        wanted = _WITH_ALL if ALL in query.fields else _DEFAULT
        # What PS3.18 lets a server count comes with the results of its own level, for viewers list it unasked; below
        # it would make every row longer, and is to be asked for.
        counted = _COUNTED_AT[query.level] if mode == "friendly" else frozenset[str]()
        self._own = wanted[query.level] | counted | self._fields
        # Below a study the parents' values are left out, but for the UIDs, which name the result.
        carried = wanted if query.study_instance_uid is None else dict.fromkeys(wanted, frozenset[str]())
        self._of_study = ((carried["study"] | self._fields) - _OF_EVERY_LEVEL) | {_STUDY_UID}
        self._of_series = ((carried["series"] | self._fields) - _OF_EVERY_LEVEL) | {_SERIES_UID}
        known = frozenset(_COUNTED).union(*(_STORED[level] for level in levels_down_to(query.level)))
        self._elsewhere = self._fields - known

    def render(self, rows: Sequence[tuple[Any, ...]]) -> list[bytes]:
        """One JSON object a row."""
        keys = [row[0] for row in rows]
        if self._everything:
            return list(self._whole_instances(keys))
        extra = self._from_metadata(keys) if self._elsewhere else {}
        if self._level == "study":
            own = [self._study_lines(StudyRow._make(row), self._own) for row in rows]
        elif self._level == "series":
            studies = self._studies({row[3] for row in rows})
            own = [self._series_lines(SeriesRow._make(row), self._own) + studies[row[3]] for row in rows]
        else:
            # What the index keeps of an instance is what is returned of it.
            series = self._series({row[3] for row in rows})
            own = [row[1].split(b"\n") + series[row[3]] for row in rows]
        if extra:
            for key, lines in zip(keys, own, strict=True):
                lines += extra.get(key, ())
        for lines in own:
            lines.sort()
        return [b"{" + b",".join(lines) + b"}" for lines in own]

    def _studies(self, keys: Iterable[int]) -> dict[int, Lines]:
        """What results below studies carry of them."""
        return {
            row.key: sorted(self._study_lines(row, self._of_study))
            for row in studies_by_key(self._connection, list(keys))
        }

    def _series(self, keys: Iterable[int]) -> dict[int, Lines]:
        """What results below series carry of them and of their studies."""
        found = list(series_by_key(self._connection, list(keys)))
        studies = self._studies({row.study_key for row in found})
        return {row.key: sorted(self._series_lines(row, self._of_series) + studies[row.study_key]) for row in found}

    def _study_lines(self, row: StudyRow, wanted: frozenset[str]) -> Lines:
        counted = [_line(tag, count(row)) for tag, count in _STUDY_COUNTS.items() if tag in wanted]
        return _only(row.lines, wanted) + counted

    def _series_lines(self, row: SeriesRow, wanted: frozenset[str]) -> Lines:
        counted = [_line(tag, count(row)) for tag, count in _SERIES_COUNTS.items() if tag in wanted]
        return _only(row.lines, wanted) + counted

    def _from_metadata(self, keys: Sequence[int]) -> dict[int, Lines]:
        """Attributes that no level keeps, from an instance's own metadata; of a study or series, its first one."""
        instance_of = (
            dict(zip(keys, keys, strict=True))
            if self._level == "instance"
            else first_instances(self._connection, self._level, keys)
        )
        result_of = {instance: key for key, instance in instance_of.items()}
        return {
            result_of[instance]: [
                _line(tag, orjson.dumps(elements[tag]))
                for tag in self._elsewhere
                if tag in elements and "BulkDataURI" not in elements[tag]
            ]
            for instance, elements in self._metadata(list(result_of))
        }

    def _whole_instances(self, keys: Sequence[int]) -> Iterator[bytes]:
        """Everything in the instances but bulk data and the file meta group."""
        found = {
            key: orjson.dumps({tag: e for tag, e in elements.items() if tag[:4] != "0002" and "BulkDataURI" not in e})
            for key, elements in self._metadata(keys)
        }
        return (found[key] for key in keys)

    def _metadata(self, keys: Sequence[int]) -> Iterator[tuple[int, dict[str, dict[str, Any]]]]:
        for key, text in read_metadata(self._connection, keys):
            yield key, orjson.loads(text)


def _only(lines: bytes, wanted: frozenset[str]) -> Lines:
    # b'"00080020":...'
    return [line for line in lines.split(b"\n") if line[1:9].decode() in wanted]


def _line(tag: str, value: bytes) -> bytes:
    return b'"%s":%s' % (tag.encode(), value)
