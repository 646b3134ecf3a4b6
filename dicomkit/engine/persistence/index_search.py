"""Searches in the index: a ``Query`` becomes one SELECT with bound parameters.

Column names come from the table below and values are always bound, so that no text of a request is ever SQL.
Results come in the order in which their level's rows were stored, which is stable from page to page.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from dicomkit.dicom.attribute_path import AttributePath
from dicomkit.dicom.matching import Anything, Between, Condition, Exact, Fuzzy, Mode, Number, OneOf, Wildcard
from dicomkit.dicom.query import Query
from dicomkit.errors import InvalidArgument

__all__ = [
    "Candidate",
    "InstanceRow",
    "Selection",
    "SeriesRow",
    "StudyRow",
    "candidates",
    "count",
    "first_instances",
    "instance_keys",
    "rows_by_key",
    "search",
    "select",
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
    "00201206": _Column(0, "studies.series_count"),
    "00201208": _Column(0, "studies.instance_count"),
    "0020000E": _Column(1, "series.uid"),
    "00080060": _Column(1, "series.modality"),
    "00200011": _Column(1, "series.number"),
    "0008103E": _Column(1, "series.description"),
    "00180015": _Column(1, "series.body_part"),
    "00400244": _Column(1, "series.step_date"),
    "00201209": _Column(1, "series.instance_count"),
    "00080061": _Column(1, "series.modality"),
    "00080018": _Column(2, "instances.uid"),
    "00080016": _Column(2, "instances.sop_class"),
    "00200013": _Column(2, "instances.number"),
    "00020010": _Column(2, "instances.transfer_syntax"),
    "00083002": _Column(2, "instances.transfer_syntax"),
}
_MODALITIES_IN_STUDY = "00080061"

_SELECT = (
    "SELECT studies.key, studies.json, studies.uid, studies.modalities, studies.series_count, studies.instance_count",
    "SELECT series.key, series.json, series.uid, series.study_key, series.instance_count",
    "SELECT instances.key, instances.json, instances.uid, instances.series_key",
)
_TABLES = ("studies", "series", "instances")
_HAVING = {
    (0, 1): "studies.key IN (SELECT study_key FROM series WHERE store_key = ? AND {})",
    (0, 2): "studies.key IN (SELECT series.study_key FROM instances JOIN series ON series.key = instances.series_key "
    "WHERE instances.store_key = ? AND {})",
    (1, 2): "series.key IN (SELECT series_key FROM instances WHERE store_key = ? AND {})",
}
"""(level of the results, level of a condition below it) -> what they have in common."""
_LISTED = "(SELECT value FROM json_each(?))"
_STUDIES_BY_KEY = f"{_SELECT[0]} FROM studies WHERE key IN {_LISTED}"
_SERIES_BY_KEY = f"{_SELECT[1]} FROM series WHERE key IN {_LISTED}"
_ROWS_BY_KEY = tuple(
    f"{sql} FROM {table} WHERE key IN {_LISTED} ORDER BY key" for sql, table in zip(_SELECT, _TABLES, strict=True)
)
_OF_STUDY = "SELECT i.key FROM series s JOIN instances i ON i.series_key = s.key WHERE s.study_key = ?"
_OF_SERIES = "SELECT key FROM instances WHERE series_key = ?"
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


class Selection(NamedTuple):
    """The rows of a level that a query asks for, as far as the index knows."""

    level: int
    source: str
    """``FROM ... WHERE ...``."""
    values: list[Any]
    rest: list[tuple[AttributePath, Condition]]
    """Conditions on attributes that no column holds; who takes the rows has to look at them."""


class Candidate(NamedTuple):
    """A row of a selection, with what the levels above it and it keep of themselves."""

    key: int
    lines: tuple[bytes, ...]
    """From the study down to the row's own level."""


def select(connection: sqlite3.Connection, store_key: int, query: Query, mode: Mode) -> Selection | None:
    """What a query asks for; ``None`` when its path names nothing that is there."""
    level = _LEVELS.index(query.level)
    terms: list[str] = []
    values: list[Any] = []
    rest: list[tuple[AttributePath, Condition]] = []
    top = level
    if query.study_instance_uid is not None:
        study = connection.execute(
            "SELECT key FROM studies WHERE store_key = ? AND uid = ?", (store_key, query.study_instance_uid)
        ).fetchone()
        if study is None:
            return None
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
    for path, wanted in query.conditions(mode):
        if isinstance(wanted, Anything):
            continue
        column = _COLUMNS.get(path.tag or "")
        if column is None:
            rest.append((path, wanted))
            continue
        term, bound = _term(column, wanted)
        about = 0 if path.tag == _MODALITIES_IN_STUDY else level
        if column.level > about:
            # One thing is wanted, another is asked about that it has.
            term = _HAVING[about, column.level].format(term)
            bound = [store_key, *bound]
        top = min(top, about, column.level)
        terms.append(term)
        values += bound
    if rest:
        top = 0  # its lines are looked at
    if top < level and top == 0:
        terms.append("studies.store_key = ?")
        values.append(store_key)
    return Selection(level, f"FROM {_from(level, top)} WHERE {' AND '.join(terms)}", values, rest)


def search(
    connection: sqlite3.Connection, selection: Selection, *, limit: int, offset: int = 0
) -> list[tuple[Any, ...]]:
    """Rows in the fields of ``StudyRow``, ``SeriesRow`` or ``InstanceRow``; ``rest`` is not looked at."""
    sql = f"{_SELECT[selection.level]} {selection.source} ORDER BY {_TABLES[selection.level]}.key LIMIT ? OFFSET ?"
    return connection.execute(sql, [*selection.values, limit, offset]).fetchall()


def count(connection: sqlite3.Connection, selection: Selection) -> int:
    """How many rows a selection has; ``rest`` is not looked at."""
    sql = f"SELECT COUNT(*) {selection.source}"
    return int(connection.execute(sql, selection.values).fetchone()[0])


def candidates(connection: sqlite3.Connection, selection: Selection) -> Iterator[Candidate]:
    """Every row of a selection, in the order of :func:`search`."""
    tables = _TABLES[: selection.level + 1]
    columns = ", ".join(f"{table}.json" for table in tables)
    sql = f"SELECT {tables[-1]}.key, {columns} {selection.source} ORDER BY {tables[-1]}.key"
    for key, *lines in connection.execute(sql, selection.values):
        yield Candidate(key, tuple(lines))


def instance_keys(connection: sqlite3.Connection, level: int, key: int) -> Iterator[int]:
    """Keys of the instances of a study or series, or of the instance itself."""
    sql = (_OF_STUDY, _OF_SERIES)[level] if level < 2 else ""
    if not sql:
        yield key
        return
    for (found,) in connection.execute(sql, (key,)):
        yield found


def rows_by_key(connection: sqlite3.Connection, level: int, keys: Sequence[int]) -> list[tuple[Any, ...]]:
    """Rows as :func:`search` gives them, in the order of *keys*, which ascend."""
    return connection.execute(_ROWS_BY_KEY[level], (json.dumps(keys),)).fetchall()


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
