"""What is returned of the rows of a search: attributes in the DICOM JSON model, a line each, encoded once.

The index keeps an attribute a line, tags ascending. A result is the lines of its own level, those of its parents
where the search is about the whole store, and what else was asked for.

Sources: DICOM PS3.18 section 10.6 (search transaction), edition 2025b; "DICOM conformance statement" of the Cloud
Healthcare API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from dicomkit.dicom.attributes import ALL_FIELDS, COMPUTED, DEFAULTS, UIDS, Level, levels_down_to
from dicomkit.dicom.dictionary import tag_of
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

Counts = Mapping[bytes, Callable[[tuple[Any, ...]], bytes]]


def _modalities(row: tuple[Any, ...]) -> bytes:
    modalities = StudyRow(*row).modalities
    return b'{"vr":"CS","Value":%s}' % orjson.dumps(modalities.split(",")) if modalities else b'{"vr":"CS"}'


_STUDY_COUNTS: Counts = {
    b"00080061": _modalities,
    b"00201206": lambda row: b'{"vr":"IS","Value":[%d]}' % StudyRow(*row).series_count,
    b"00201208": lambda row: b'{"vr":"IS","Value":[%d]}' % StudyRow(*row).instance_count,
}
_SERIES_COUNTS: Counts = {
    b"00201209": lambda row: b'{"vr":"IS","Value":[%d]}' % SeriesRow(*row).instance_count,
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
    """What is of the result alone, and perhaps more than is wanted."""
    wanted: frozenset[bytes] | None
    """Tags of ``own`` that are wanted; ``None`` for all."""
    parents: dict[int, Lines]
    """What results share: the lines of all levels above them, by the key of the level right above."""
    parent_of: list[int]
    """The key in ``parents`` of each result; empty where nothing is shared."""

    def whole(self) -> list[Lines]:
        """All lines of each result that are wanted."""
        wanted = self.wanted
        own = self.own if wanted is None else [_only(lines, wanted) for lines in self.own]
        if not self.parent_of:
            return own
        return [lines + self.parents[key] for lines, key in zip(own, self.parent_of, strict=True)]


class ResultLines:
    """What is returned of the rows of one search.

    Parameters
    ----------
    query
        The search.
    is_counted
        Whether what PS3.18 lets a server count comes unasked with the results of its own level, as viewers list it;
        below it would make every row longer, and is to be asked for.
    """

    def __init__(self, query: Query, *, is_counted: bool = False) -> None:
        self._level: Level = query.level
        self._everything = ALL in query.fields and query.level == "instance"
        fields = frozenset(f for f in query.fields if f != ALL)
        wanted = _WITH_ALL if ALL in query.fields else _DEFAULT
        counted = _COUNTED_AT[query.level] if is_counted else frozenset[str]()
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
            own = _split(rows, _STUDY_COUNTS, self._own)
        elif self._level == "series":
            parents = self._studies(connection, {row[3] for row in rows})
            own = _split(rows, _SERIES_COUNTS, self._own)
        else:
            parents = self._series(connection, {row[3] for row in rows})
            own = _split(rows)
        if self._elsewhere:
            extra = self._from_metadata(connection, [row[0] for row in rows])
            for row, lines in zip(rows, own, strict=True):
                lines += extra.get(row[0], ())
        # What the index keeps of an instance is what is returned of it.
        wanted = None if self._level == "instance" else self._own
        return Portion(own, wanted, parents, [row[3] for row in rows] if parents else [])

    def _studies(self, connection: Connection, keys: Iterable[int]) -> dict[int, Lines]:
        """What results below studies carry of them."""
        rows = list(studies_by_key(connection, list(keys)))
        found = _split(rows, _STUDY_COUNTS, self._of_study)
        return {row.key: _only(lines, self._of_study) for row, lines in zip(rows, found, strict=True)}

    def _series(self, connection: Connection, keys: Iterable[int]) -> dict[int, Lines]:
        """What results below series carry of them and of their studies."""
        rows = list(series_by_key(connection, list(keys)))
        found = _split(rows, _SERIES_COUNTS, self._of_series)
        studies = self._studies(connection, {row.study_key for row in rows})
        return {
            row.key: _only(lines, self._of_series) + studies[row.study_key]
            for row, lines in zip(rows, found, strict=True)
        }

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


def _split(rows: Rows, counts: Counts = MappingProxyType({}), wanted: frozenset[bytes] = frozenset()) -> list[Lines]:
    """The lines of rows, those of their counts behind them where they are wanted."""
    found: list[Lines] = [row[1].split(b"\n") for row in rows]
    for tag, count in counts.items():
        if tag in wanted:
            for row, lines in zip(rows, found, strict=True):
                lines.append(_line(tag, count(row)))
    return found


def _only(lines: Lines, wanted: frozenset[bytes]) -> Lines:
    # b'"00080020":...'
    return [line for line in lines if line[1:9] in wanted]


def _line(tag: bytes, value: bytes) -> bytes:
    return b'"%s":%s' % (tag, value)
