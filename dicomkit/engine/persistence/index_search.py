"""Rows of the index: those of a selection (``index_plan`` makes one of a query), and those with known keys.

Results come in the order in which their level's rows were stored, which is stable from page to page.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from dicomkit.engine.persistence.index_plan import Selection
from dicomkit.engine.persistence.index_terms import LISTED, TABLES

__all__ = [
    "Candidate",
    "InstanceRow",
    "SeriesRow",
    "StudyRow",
    "candidates",
    "count",
    "first_instances",
    "instance_keys",
    "last_key",
    "rows_by_key",
    "search",
    "series_by_key",
    "studies_by_key",
]

_SELECT = (
    "SELECT studies.key, studies.json, studies.uid, studies.modalities, studies.series_count, studies.instance_count",
    "SELECT series.key, series.json, series.uid, series.study_key, series.instance_count",
    "SELECT instances.key, instances.json, instances.uid, instances.series_key",
)
_STUDIES_BY_KEY = f"{_SELECT[0]} FROM studies WHERE key IN {LISTED}"
_SERIES_BY_KEY = f"{_SELECT[1]} FROM series WHERE key IN {LISTED}"
_ROWS_BY_KEY = tuple(
    f"{sql} FROM {table} WHERE key IN {LISTED} ORDER BY key" for sql, table in zip(_SELECT, TABLES, strict=True)
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


class Candidate(NamedTuple):
    """A row of a selection, with what the levels above it and it keep of themselves."""

    key: int
    lines: tuple[bytes, ...]
    """From the study down to the row's own level."""


def search(
    connection: sqlite3.Connection, selection: Selection, *, limit: int, offset: int = 0
) -> list[tuple[Any, ...]]:
    """Rows in the fields of ``StudyRow``, ``SeriesRow`` or ``InstanceRow``; ``rest`` is not looked at."""
    sql = f"{_SELECT[selection.level]} {selection.source} ORDER BY {TABLES[selection.level]}.key LIMIT ? OFFSET ?"
    return connection.execute(sql, [*selection.values, limit, offset]).fetchall()


def count(connection: sqlite3.Connection, selection: Selection) -> int:
    """How many rows a selection has; ``rest`` is not looked at."""
    sql = f"SELECT COUNT(*) {selection.source}"
    return int(connection.execute(sql, selection.values).fetchone()[0])


def last_key(connection: sqlite3.Connection, level: int) -> int:
    """The greatest key of a level, of all stores; 0 where it has no rows."""
    sql = f"SELECT COALESCE(MAX(key), 0) FROM {TABLES[level]}"  # noqa: S608 - made of names of this package
    return int(connection.execute(sql).fetchone()[0])


def candidates(connection: sqlite3.Connection, selection: Selection) -> Iterator[Candidate]:
    """Every row of a selection, in the order of :func:`search`."""
    tables = TABLES[: selection.level + 1]
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
