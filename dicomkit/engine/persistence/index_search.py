"""Searches in the index: a ``Query`` becomes one SELECT with bound parameters.

Column names come from the table below and values are always bound, so that no text of a request is ever SQL.
Results come in the order in which their level's rows were stored, which is stable from page to page.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from dicomkit.dicom.dictionary import keyword_of
from dicomkit.dicom.matching import Anything, Between, Condition, Exact, Fuzzy, Mode, Number, OneOf, Wildcard
from dicomkit.dicom.query import Query
from dicomkit.errors import InvalidArgument

__all__ = [
    "InstanceRow",
    "SeriesRow",
    "StudyRow",
    "first_instances",
    "search",
    "series_by_key",
    "studies_by_key",
]

_LEVELS = ("study", "series", "instance")


class _Column(NamedTuple):
    """Where an attribute can be matched."""

    level: int
    sql: str
    folded: str | None = None
    """Column of the folded name, where the attribute is a person name."""


_COLUMNS: dict[str, _Column] = {
    "0020000D": _Column(0, "studies.uid"),
    "00100010": _Column(0, "studies.patient_name", "studies.patient_folded"),
    "00100020": _Column(0, "studies.patient_id"),
    "00080050": _Column(0, "studies.accession_number"),
    "00080090": _Column(0, "studies.referring_name", "studies.referring_folded"),
    "00080020": _Column(0, "studies.study_date"),
    "00080030": _Column(0, "studies.study_time"),
    "00200010": _Column(0, "studies.study_id"),
    "00100030": _Column(0, "studies.birth_date"),
    "00100040": _Column(0, "studies.sex"),
    "00081030": _Column(0, "studies.description"),
    "0020000E": _Column(1, "series.uid"),
    "00080060": _Column(1, "series.modality"),
    "00200011": _Column(1, "series.number"),
    "0008103E": _Column(1, "series.description"),
    "00180015": _Column(1, "series.body_part"),
    "00400244": _Column(1, "series.step_date"),
    "00080018": _Column(2, "instances.uid"),
    "00080016": _Column(2, "instances.sop_class"),
    "00200013": _Column(2, "instances.number"),
}
_MODALITIES_IN_STUDY = "00080061"

_SELECT = (
    "SELECT studies.key, studies.json, studies.uid, studies.modalities, studies.series_count, studies.instance_count",
    "SELECT series.key, series.json, series.uid, series.study_key, series.instance_count",
    "SELECT instances.key, instances.json, instances.uid, instances.series_key",
)
_TABLES = ("studies", "series", "instances")
_IN_STUDY = "studies.key IN (SELECT study_key FROM series WHERE store_key = ? AND {})"
_LISTED = "(SELECT value FROM json_each(?))"
_STUDIES_BY_KEY = f"{_SELECT[0]} FROM studies WHERE key IN {_LISTED}"
_SERIES_BY_KEY = f"{_SELECT[1]} FROM series WHERE key IN {_LISTED}"
_FIRST_OF_SERIES = (
    "SELECT series_key, MIN(key) FROM instances "
    "WHERE series_key IN (SELECT value FROM json_each(?)) GROUP BY series_key"
)
_FIRST_OF_STUDY = (
    "SELECT s.study_key, MIN(i.key) FROM series s JOIN instances i ON i.series_key = s.key "
    "WHERE s.study_key IN (SELECT value FROM json_each(?)) GROUP BY s.study_key"
)


class StudyRow(NamedTuple):
    """One study found."""

    key: int
    lines: bytes
    uid: str
    modalities: str
    series_count: int
    instance_count: int


class SeriesRow(NamedTuple):
    """One series found."""

    key: int
    lines: bytes
    uid: str
    study_key: int
    instance_count: int


class InstanceRow(NamedTuple):
    """One instance found."""

    key: int
    lines: bytes
    uid: str
    series_key: int


def search(connection: sqlite3.Connection, store_key: int, query: Query, mode: Mode) -> list[tuple[Any, ...]]:
    """Rows of the query's level, in the fields of ``StudyRow``, ``SeriesRow`` or ``InstanceRow``.

    Raises
    ------
    InvalidArgument
        The query matches an attribute that is not in the index.
    """
    level = _LEVELS.index(query.level)
    terms: list[str] = []
    values: list[Any] = []
    top = level
    if query.study_instance_uid is not None:
        study = connection.execute(
            "SELECT key FROM studies WHERE store_key = ? AND uid = ?", (store_key, query.study_instance_uid)
        ).fetchone()
        if study is None:
            return []
        if level == 1:
            terms.append("series.study_key = ?")
            values.append(study[0])
        elif query.series_instance_uid is not None:
            terms.append("instances.series_key = (SELECT key FROM series WHERE study_key = ? AND uid = ?)")
            values += [study[0], query.series_instance_uid]
        else:
            terms.append("instances.series_key IN (SELECT key FROM series WHERE study_key = ?)")
            values.append(study[0])
    else:
        terms.append(f"{_TABLES[level]}.store_key = ?")
        values.append(store_key)
    for tag, wanted in query.conditions(mode):
        if isinstance(wanted, Anything):
            continue
        column, own = _column(tag, level)
        if column.level < top:
            top = column.level
        term, bound = _term(column, wanted)
        if not own:
            # The study is wanted, a series of it is asked about.
            term = _IN_STUDY.format(term)
            bound = [store_key, *bound]
        terms.append(term)
        values += bound
    if top < level and top == 0:
        terms.append("studies.store_key = ?")
        values.append(store_key)
    table = _TABLES[level]
    sql = f"{_SELECT[level]} FROM {_from(level, top)} WHERE {' AND '.join(terms)} ORDER BY {table}.key LIMIT ? OFFSET ?"
    return connection.execute(sql, [*values, query.effective_limit, query.offset]).fetchall()


def _column(tag: str, level: int) -> tuple[_Column, bool]:
    """The column of an attribute, and whether it describes the result itself or a parent of it."""
    if level == 0 and tag in (_MODALITIES_IN_STUDY, "00080060"):
        return _COLUMNS["00080060"], False
    column = _COLUMNS.get(tag)
    if column is None or column.level > level:
        legal = sorted(keyword_of(t) or t for t, c in _COLUMNS.items() if c.level <= level)
        raise InvalidArgument(
            f"{keyword_of(tag) or tag} is not a supported {_LEVELS[level]} attribute; one of: {', '.join(legal)}"
        )
    return column, True


def _from(level: int, top: int) -> str:
    """The tables of a search, from that of the results up to the highest that a condition is about."""
    sql = _TABLES[level]
    if level == 2 and top < 2:
        sql += " JOIN series ON series.key = instances.series_key"
    if level > 0 and top == 0:
        sql += " JOIN studies ON studies.key = series.study_key"
    return sql


def _term(column: _Column, wanted: Condition) -> tuple[str, list[Any]]:
    """SQL for one condition, and what is bound to it."""
    name = column.sql
    match wanted:
        case Exact(value):
            if column.folded is None:
                return f"{name} = ?", [value]
            # Partial indexes hold the few names that have more than one component group.
            return f"({name} = ? OR (instr({name}, '=') > 0 AND name_is(?, {name})))", [value, value]
        case OneOf(values):
            return f"{name} IN {_LISTED}", [json.dumps(values)]
        case Between(_, low, high):
            return f"{name} BETWEEN ? AND ?", [low, high]
        case Number(value):
            return f"{name} = ?", [value]
        case Wildcard(glob, _):
            return _glob(column, [glob])
        case Fuzzy(globs):
            return _glob(column, globs)
        case _:
            raise InvalidArgument("this kind of match is not supported")


def _glob(column: _Column, globs: Sequence[str]) -> tuple[str, list[Any]]:
    name, function = (column.sql, "text_glob") if column.folded is None else (column.folded, "name_glob")
    terms: list[str] = []
    values: list[Any] = []
    for glob in globs:
        term = f"{function}(?, {name})"
        bound = [glob]
        prefix = _literal_prefix(glob)
        if prefix:
            # What begins with the prefix is one range of the column's index.
            term = f"{name} >= ? AND {name} < ? AND {term}"
            bound = [prefix, prefix + "\U0010ffff", glob]
            if column.folded is not None:
                term = f"({term}) OR (instr({name}, '=') > 0 AND {function}(?, {name}))"
                bound.append(glob)
        terms.append(f"({term})")
        values += bound
    return f"({name} IS NOT NULL AND ({' OR '.join(terms)}))", values


def _literal_prefix(glob: str) -> str:
    end = next((i for i, c in enumerate(glob) if c in "*?["), len(glob))
    return glob[:end]


def studies_by_key(connection: sqlite3.Connection, keys: Sequence[int]) -> Iterator[StudyRow]:
    """The studies with these keys."""
    return map(StudyRow._make, connection.execute(_STUDIES_BY_KEY, (json.dumps(keys),)))


def series_by_key(connection: sqlite3.Connection, keys: Sequence[int]) -> Iterator[SeriesRow]:
    """The series with these keys."""
    return map(SeriesRow._make, connection.execute(_SERIES_BY_KEY, (json.dumps(keys),)))


def first_instances(connection: sqlite3.Connection, level: str, keys: Sequence[int]) -> dict[int, int]:
    """The instance that was stored first, of each study or series that has one."""
    sql = _FIRST_OF_SERIES if level == "series" else _FIRST_OF_STUDY
    return dict(connection.execute(sql, (json.dumps(keys),)).fetchall())
