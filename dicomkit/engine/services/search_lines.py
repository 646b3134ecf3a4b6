"""What is returned of the rows of a search: attributes in the DICOM JSON model, a line each, encoded once.

The index keeps an attribute a line, tags ascending. A result is the lines of its own level, those of its parents
where the search is about the whole store, and what else was asked for.

Sources: DICOM PS3.18 section 10.6 (search transaction), edition 2025b; "DICOM conformance statement" of the Cloud
Healthcare API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from dicomkit.dicom.attributes import ALL_FIELDS, COMPUTED, DEFAULTS, UIDS, Level, levels_down_to
from dicomkit.dicom.dictionary import tag_of
from dicomkit.dicom.matching import Mode
from dicomkit.dicom.query import ALL, Query
from dicomkit.engine.persistence.database import Connection
from dicomkit.engine.persistence.index_search import (
    SeriesRow,
    StudyRow,
    first_instances,
    series_by_key,
    studies_by_key,
)
from dicomkit.engine.persistence.level_rows import SERIES_TAGS, STUDY_TAGS
from dicomkit.engine.persistence.metadata import read_metadata

__all__ = ["Lines", "Portion", "ResultLines"]

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

_STUDY_COUNTS: dict[bytes, Callable[[StudyRow], bytes]] = {
    b"00080061": lambda s: b'{"vr":"CS","Value":%s}' % orjson.dumps(s.modalities.split(",")),
    b"00201206": lambda s: b'{"vr":"IS","Value":[%d]}' % s.series_count,
    b"00201208": lambda s: b'{"vr":"IS","Value":[%d]}' % s.instance_count,
}
_SERIES_COUNTS: dict[bytes, Callable[[SeriesRow], bytes]] = {
    b"00201209": lambda s: b'{"vr":"IS","Value":[%d]}' % s.instance_count,
}
_COUNTED = frozenset(tag.decode() for tag in (*_STUDY_COUNTS, *_SERIES_COUNTS))
_COUNTED_AT: dict[Level, frozenset[str]] = {
    level: frozenset(tag_of(k) for k in keywords) for level, keywords in COMPUTED.items()
}

Lines = list[bytes]
Rows = Sequence[tuple[Any, ...]]


class Portion(NamedTuple):
    """Some results; of each, the lines in no particular order."""

    own: list[Lines]
    """What is of the result alone."""
    parents: dict[int, Lines]
    """What results share: the lines of all levels above them, by the key of the level right above."""
    parent_of: list[int]
    """The key in ``parents`` of each result; empty where nothing is shared."""

    def whole(self) -> list[Lines]:
        """All lines of each result."""
        if not self.parent_of:
            return self.own
        return [own + self.parents[key] for own, key in zip(self.own, self.parent_of, strict=True)]


class ResultLines:
    """What is returned of the rows of one search.

    Parameters
    ----------
    query
        The search.
    mode
        What is returned unasked; see ``_COUNTED_AT``.
    """

    def __init__(self, query: Query, mode: Mode) -> None:
        self._level: Level = query.level
        self._everything = ALL in query.fields and query.level == "instance"
        fields = frozenset(f for f in query.fields if f != ALL)
        wanted = _WITH_ALL if ALL in query.fields else _DEFAULT
        # What PS3.18 lets a server count comes with the results of its own level, for viewers list it unasked; below
        # it would make every row longer, and is to be asked for.
        counted = _COUNTED_AT[query.level] if mode == "friendly" else frozenset[str]()
        self._own = _encoded(wanted[query.level] | counted | fields)
        # Below a study the parents' values are left out, but for the UIDs, which name the result.
        carried = wanted if query.study_instance_uid is None else dict.fromkeys(wanted, frozenset[str]())
        self._of_study = _encoded((carried["study"] | fields) - _OF_EVERY_LEVEL | {_STUDY_UID})
        self._of_series = _encoded((carried["series"] | fields) - _OF_EVERY_LEVEL | {_SERIES_UID})
        known = _COUNTED.union(*(_STORED[level] for level in levels_down_to(query.level)))
        self._elsewhere = fields - known

    @property
    def tags(self) -> tuple[str, ...]:
        """The attributes that a result can have, ascending; of whole instances nobody knows them."""
        above = (self._of_study, self._of_series)[: len(levels_down_to(self._level)) - 1]
        return tuple(sorted(tag.decode() for tag in self._own.union(*above)))

    def objects(self, connection: Connection, rows: Rows) -> list[bytes]:
        """The results as DICOM JSON objects, tags ascending."""
        if self._everything:
            return list(_whole_instances(connection, [row[0] for row in rows]))
        results = self.of(connection, rows).whole()
        for lines in results:
            lines.sort()
        return [b"{" + b",".join(lines) + b"}" for lines in results]

    def of(self, connection: Connection, rows: Rows) -> Portion:
        """The lines of *rows*, which are those of the results' own level."""
        parents: dict[int, Lines] = {}
        if self._level == "study":
            own = [self._study_lines(StudyRow._make(row), self._own) for row in rows]
        elif self._level == "series":
            parents = self._studies(connection, {row[3] for row in rows})
            own = [self._series_lines(SeriesRow._make(row), self._own) for row in rows]
        else:
            # What the index keeps of an instance is what is returned of it.
            parents = self._series(connection, {row[3] for row in rows})
            own = [row[1].split(b"\n") for row in rows]
        if self._elsewhere:
            extra = self._from_metadata(connection, [row[0] for row in rows])
            for row, lines in zip(rows, own, strict=True):
                lines += extra.get(row[0], ())
        return Portion(own, parents, [row[3] for row in rows] if parents else [])

    def _studies(self, connection: Connection, keys: Iterable[int]) -> dict[int, Lines]:
        """What results below studies carry of them."""
        return {
            row.key: sorted(self._study_lines(row, self._of_study)) for row in studies_by_key(connection, list(keys))
        }

    def _series(self, connection: Connection, keys: Iterable[int]) -> dict[int, Lines]:
        """What results below series carry of them and of their studies."""
        found = list(series_by_key(connection, list(keys)))
        studies = self._studies(connection, {row.study_key for row in found})
        return {row.key: sorted(self._series_lines(row, self._of_series) + studies[row.study_key]) for row in found}

    def _study_lines(self, row: StudyRow, wanted: frozenset[bytes]) -> Lines:
        counted = [_line(tag, count(row)) for tag, count in _STUDY_COUNTS.items() if tag in wanted]
        return _only(row.lines, wanted) + counted

    def _series_lines(self, row: SeriesRow, wanted: frozenset[bytes]) -> Lines:
        counted = [_line(tag, count(row)) for tag, count in _SERIES_COUNTS.items() if tag in wanted]
        return _only(row.lines, wanted) + counted

    def _from_metadata(self, connection: Connection, keys: Sequence[int]) -> dict[int, Lines]:
        """Attributes that no level keeps, from an instance's own metadata; of a study or series, its first one."""
        instance_of = (
            dict(zip(keys, keys, strict=True))
            if self._level == "instance"
            else first_instances(connection, self._level, keys)
        )
        result_of = {instance: key for key, instance in instance_of.items()}
        return {
            result_of[instance]: [
                _line(tag.encode(), orjson.dumps(elements[tag]))
                for tag in self._elsewhere
                if tag in elements and "BulkDataURI" not in elements[tag]
            ]
            for instance, elements in _metadata(connection, list(result_of))
        }


def _whole_instances(connection: Connection, keys: Sequence[int]) -> Iterator[bytes]:
    """Everything in the instances but bulk data and the file meta group."""
    found = {
        key: orjson.dumps({tag: e for tag, e in elements.items() if tag[:4] != "0002" and "BulkDataURI" not in e})
        for key, elements in _metadata(connection, keys)
    }
    return (found[key] for key in keys)


def _metadata(connection: Connection, keys: Sequence[int]) -> Iterator[tuple[int, dict[str, dict[str, Any]]]]:
    for key, text in read_metadata(connection, keys):
        yield key, orjson.loads(text)


def _encoded(tags: frozenset[str]) -> frozenset[bytes]:
    return frozenset(tag.encode() for tag in tags)


def _only(lines: bytes, wanted: frozenset[bytes]) -> Lines:
    # b'"00080020":...'
    return [line for line in lines.split(b"\n") if line[1:9] in wanted]


def _line(tag: bytes, value: bytes) -> bytes:
    return b'"%s":%s' % (tag, value)
