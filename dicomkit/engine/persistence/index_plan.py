"""Which way a search takes through the index.

SQLite without statistics takes a condition on the wrong table as often as the right one, and a search that should
cost microseconds goes through a million rows. So the way is chosen here, and every other index is kept out of it:
either the rows that the most selective condition finds in its index are joined and put in order (*driven*), or the
table of the results is walked in its order until enough rows have passed (*walked*), which costs less where many match.

How many rows a condition has is counted in its index, no farther than to where another way is cheaper. With ``n``
rows found among ``total``, each of which leads to ``fan`` results, being driven looks at ``n * fan`` rows and a walk to
``need`` results at ``need * total / n``; they meet at ``sqrt(need * total / fan)``.
"""

from __future__ import annotations

import math
import sqlite3
from typing import Any, NamedTuple

from dicomkit.dicom.attribute_path import AttributePath
from dicomkit.dicom.matching import Anything, Condition, Exact, Mode
from dicomkit.dicom.query import Query
from dicomkit.engine.persistence.index_terms import (
    COLUMNS,
    MODALITIES,
    MODALITIES_IN_STUDY,
    TABLES,
    Bound,
    Column,
    ranges,
    term,
)

__all__ = ["Selection", "select"]

_LEVELS = ("study", "series", "instance")

_FEW = 50
"""A condition with so few rows is taken without a look at the others."""

_SORTED = 20_000
"""Rows that are put in order at most where all of them are wanted; a longer result is walked, in little memory."""

_DOWN = ("", "series ON series.study_key = studies.key", "instances ON instances.series_key = series.key")
"""Joins from the level above."""

_UP = ("studies ON studies.key = series.study_key", "series ON series.key = instances.series_key")
"""Joins from the level below."""

_EXISTS = {
    (0, 1): "EXISTS (SELECT 1 FROM series WHERE series.study_key = studies.key AND {})",
    (0, 2): "EXISTS (SELECT 1 FROM series CROSS JOIN instances ON instances.series_key = series.key "
    "WHERE series.study_key = studies.key AND {})",
    (1, 2): "EXISTS (SELECT 1 FROM instances WHERE instances.series_key = series.key AND {})",
}
"""(level of the results, level of a condition below it) -> what they have in common."""

_HAS_MODALITY = (
    "EXISTS (SELECT 1 FROM study_modalities m WHERE m.store_key = studies.store_key AND m.modality = ? "
    "AND m.study_key = studies.key)"
)


class Selection(NamedTuple):
    """The rows of a level that a query asks for, as far as the index knows."""

    level: int
    source: str
    """``FROM ... WHERE ...``."""
    values: list[Any]
    rest: list[tuple[AttributePath, Condition]]
    """Conditions on attributes that no column holds; who takes the rows has to look at them."""

    def within(self, after: int, until: int) -> Selection:
        """Those of the rows whose keys are behind *after* and not behind *until*."""
        key = f"{TABLES[self.level]}.key"
        return self._replace(source=f"{self.source} AND {key} > ? AND {key} <= ?", values=[*self.values, after, until])


class _Test(NamedTuple):
    """One condition: how a row is tested, and where an index has the rows that pass."""

    tag: str
    test: Bound
    top: int
    """Highest level whose table the test is about."""
    level: int
    """Level of the keys that the index gives."""
    key: str
    """What in the ranges is a key of that level; ``key`` where the rows themselves are of it."""
    ranges: list[Bound]
    is_one_value: bool
    """Whether rows that pass have the same value, so that an index has them in the order of their keys."""

    def keys(self) -> Bound:
        """The keys of all rows that pass, some perhaps twice."""
        parts = []
        for part in self.ranges:
            source = part.sql
            if self.key == "series.study_key" and source.startswith("FROM instances"):
                source = source.replace(" WHERE ", f" CROSS JOIN {_UP[1]} WHERE ", 1)
            parts.append(f"SELECT {self.key} AS key {source}")
        return Bound(" UNION ALL ".join(parts), [value for part in self.ranges for value in part.values])

    @property
    def is_direct(self) -> bool:
        """Whether the one range is rows of the level's own table."""
        return self.key == "key" and len(self.ranges) == 1


def select(
    connection: sqlite3.Connection,
    store_key: int,
    query: Query,
    mode: Mode,
    *,
    need: int | None = None,
    is_ordered: bool = False,
) -> Selection | None:
    """What a query asks for; ``None`` when its path names nothing that is there.

    Parameters
    ----------
    need
        How many rows are wanted from the beginning, those that are skipped included; ``None`` for all.
    is_ordered
        Whether the order of the rows matters where all are wanted.
    """
    level = _LEVELS.index(query.level)
    rest: list[tuple[AttributePath, Condition]] = []
    tests: list[_Test] = []
    for path, wanted in query.conditions(mode):
        column = COLUMNS.get(path.tag or "")
        if isinstance(wanted, Anything):
            continue
        if column is None:
            rest.append((path, wanted))
        else:
            tests.append(_test(path.tag or "", column, wanted, level, store_key))
    driver: _Test | None = None
    if query.study_instance_uid is not None:
        study = connection.execute(
            "SELECT key FROM studies WHERE store_key = ? AND uid = ?", (store_key, query.study_instance_uid)
        ).fetchone()
        if study is None:
            return None
        begin, source, conditions = _below(study[0], level, query.series_instance_uid)
    else:
        is_ordered = is_ordered or bool(rest) or need is not None
        driver = _driver(connection, tests, level, None if rest else need, is_ordered=is_ordered)
        begin, source, conditions = _begin(driver, level, store_key)
    others = [test for test in tests if test is not driver]
    top = 0 if rest else min((test.top for test in others), default=level)  # the lines of all levels are looked at
    conditions += [test.test for test in others]
    for below in range(begin + 1, level + 1):
        source += f" CROSS JOIN {_DOWN[below]}"
    for above in range(begin - 1, top - 1, -1):
        source += f" CROSS JOIN {_UP[above]}"
    where = " AND ".join(condition.sql for condition in conditions)
    values = [value for condition in conditions for value in condition.values]
    return Selection(level, f"FROM {source} WHERE {where}", values, rest)


def _test(tag: str, column: Column, wanted: Condition, level: int, store_key: int) -> _Test:
    bound = term(column, wanted, f"+{TABLES[column.level]}.{column.name}")
    if tag == MODALITIES_IN_STUDY:
        has = Bound(_HAS_MODALITY, bound.values) if isinstance(wanted, Exact) else _exists(0, 1, bound)
        return _Test(tag, has, 0, 0, "study_key", ranges(MODALITIES, wanted, store_key), False)
    found = ranges(column, wanted, store_key)
    if column.level <= level:
        return _Test(tag, bound, column.level, column.level, "key", found, isinstance(wanted, Exact))
    # One thing is wanted, another is asked about that it has.
    key = ("study_key", "series_key")[column.level - 1] if column.level == level + 1 else "series.study_key"
    return _Test(tag, _exists(level, column.level, bound), level, level, key, found, False)


def _exists(level: int, below: int, bound: Bound) -> Bound:
    return Bound(_EXISTS[level, below].format(bound.sql), bound.values)


def _below(study_key: int, level: int, series: str | None) -> tuple[int, str, list[Bound]]:
    """Level, table and conditions of a search below a study or series."""
    if level == 2 and series is not None:
        sql = "instances.series_key = (SELECT key FROM series WHERE study_key = ? AND uid = ?)"
        return 2, TABLES[2], [Bound(sql, [study_key, series])]
    return 1, TABLES[1], [Bound("series.study_key = ?", [study_key])]


def _begin(driver: _Test | None, level: int, store_key: int) -> tuple[int, str, list[Bound]]:
    """Level, table and conditions of what the other tables are joined to."""
    if driver is None:
        table = TABLES[level]
        return level, f"{table} INDEXED BY {table}_store", [Bound(f"{table}.store_key = ?", [store_key])]
    if driver.is_direct:
        source, _, where = driver.ranges[0].sql.removeprefix("FROM ").partition(" WHERE ")
        return driver.level, source, [Bound(where, driver.ranges[0].values)]
    keys = driver.keys()
    table = TABLES[driver.level]
    return driver.level, table, [Bound(f"{table}.key IN ({keys.sql})", keys.values)]


def _driver(
    connection: sqlite3.Connection, tests: list[_Test], level: int, need: int | None, *, is_ordered: bool
) -> _Test | None:
    """The condition whose rows are fewest, ``None`` where a walk is cheaper."""
    usable = [test for test in tests if test.ranges]
    if not usable or (len(usable) == 1 and not is_ordered):
        return usable[0] if usable else None
    totals = [connection.execute(f"SELECT COALESCE(MAX(key), 1) FROM {table}").fetchone()[0] for table in TABLES]  # noqa: S608
    best: _Test | None = None
    cost = float(totals[level]) * 2
    for test in usable:  # the usual case: something is asked for that few have
        if _count(connection, test, _FEW) <= _FEW:
            return test
    for test in usable:
        total = totals[test.level]
        fan = max(1.0, totals[level] / total)
        if need is not None:
            most = max(_FEW, math.isqrt(int(need * total / fan)))
        else:
            most = int(_SORTED / fan) if is_ordered else total
        most = max(1, min(most, int(cost / fan)))
        count = _count(connection, test, most)
        if count <= most:
            best, cost = test, count * fan
    if best is None:
        # Where an index has the results in their order, no walk is needed to find them in it.
        best = next((test for test in usable if test.is_direct and test.is_one_value and test.level == level), None)
    return best


def _count(connection: sqlite3.Connection, test: _Test, most: int) -> int:
    """How many rows an index has for a condition, *most* + 1 when they are more."""
    keys = test.keys()
    sql = f"SELECT COUNT(*) FROM (SELECT 1 FROM ({keys.sql}) LIMIT ?)"  # noqa: S608 - made of names of this package
    return int(connection.execute(sql, [*keys.values, most + 1]).fetchone()[0])
