"""The index of what is stored: a row per study, series and instance, written in one transaction per batch.

Counts and modalities of the parents are kept true by the same transaction, so that no search counts anything.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from dicomkit.engine.persistence.blob_reader import Place
from dicomkit.engine.persistence.database import next_keys
from dicomkit.engine.persistence.level_rows import ParentFacts, parent_facts
from dicomkit.engine.persistence.metadata import Dictionary, Metadata, SeriesName, unpack
from dicomkit.engine.persistence.outbox import NewRow

__all__ = ["Index", "NewInstance", "Outcome", "Plan"]

Outcome = Literal["stored", "already_stored", "conflict"]

_CACHED_PARENTS = 20_000

_FORGET_MODALITY = (
    "DELETE FROM study_modalities WHERE store_key = ?1 AND modality = ?2 AND study_key = ?3 "
    "AND NOT EXISTS (SELECT 1 FROM series WHERE study_key = ?3 AND modality = ?2)"
)


@dataclass(slots=True, kw_only=True, eq=False)
class NewInstance:
    """One instance that was read and hashed, ready to be stored."""

    store_key: int
    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    transfer_syntax: str
    number: int | None
    length: int
    sha256: bytes
    storage_class: str
    updated: int
    """Microseconds since 1970."""
    lines: bytes
    packed: bytes
    """Whole metadata, DICOM JSON, compressed with *dictionary*."""
    dictionary: Dictionary
    rows: Sequence[NewRow] = ()
    """For tables."""
    modality: str | None = None
    """For notifications."""
    parents: ParentFacts | None = None
    """What the rows of its study and series keep, where that is known already."""
    outcome: Outcome | None = None
    key: int = 0
    series_key: int = 0

    def parent_facts(self) -> ParentFacts:
        """What the rows of its study and series keep; read back from *packed* when it is not known yet."""
        if self.parents is None:
            self.parents = parent_facts(orjson.loads(unpack(self.packed, self.dictionary.data)))
        return self.parents

    @property
    def series_name(self) -> SeriesName:
        """What the series is known by."""
        return self.store_key, self.study_uid, self.series_uid


@dataclass(slots=True)
class Plan:
    """What a batch adds: decided under the write lock, before a byte is written."""

    new: list[NewInstance] = field(default_factory=list)
    studies: dict[tuple[int, str], tuple[int, NewInstance]] = field(default_factory=dict)
    series: dict[tuple[int, str], tuple[int, NewInstance]] = field(default_factory=dict)
    study_of: dict[int, int] = field(default_factory=dict)
    """Study of each series that gets instances."""

    def dictionaries(self) -> dict[int, Dictionary]:
        """What the metadata of each new series is packed with: that of its first instance."""
        return {key: item.dictionary for key, item in self.series.values()}


class Index:
    """Studies, series and instances of all stores of a home.

    Every method that takes a connection runs inside the caller's transaction.
    """

    def __init__(self, connection: sqlite3.Connection, metadata: Metadata) -> None:
        self._metadata = metadata
        self._next = next_keys(connection, "studies", "series", "instances")
        self._study_keys: dict[tuple[int, str], int] = {}
        self._series_keys: dict[tuple[int, str], int] = {}

    def _take(self, table: str) -> int:
        key: int = self._next[table]
        self._next[table] = key + 1
        return key

    def plan(self, connection: sqlite3.Connection, items: Iterable[NewInstance]) -> Plan:
        """Decide which of *items* are new, and give them keys; sets ``outcome`` of each.

        The first of two instances with the same three UIDs wins, within a batch as between batches.
        """
        plan = Plan()
        seen: dict[tuple[int, str], bytes] = {}
        for item in items:
            study, is_new_study = self._study(connection, plan, item)
            series, is_new_series = self._one_series(connection, plan, study, is_new_study, item)
            item.series_key = series
            known = seen.get((series, item.sop_uid))
            if known is None and not is_new_series:
                row = connection.execute(
                    "SELECT sha256 FROM instances WHERE uid = ? AND series_key = ?", (item.sop_uid, series)
                ).fetchone()
                known = row[0] if row else None
            if known is not None:
                item.outcome = "already_stored" if known == item.sha256 else "conflict"
                continue
            seen[series, item.sop_uid] = item.sha256
            item.outcome = "stored"
            item.key = self._take("instances")
            plan.study_of[series] = study
            plan.new.append(item)
        return plan

    def _study(self, connection: sqlite3.Connection, plan: Plan, item: NewInstance) -> tuple[int, bool]:
        name = (item.store_key, item.study_uid)
        if name in plan.studies:
            return plan.studies[name][0], True
        key = self._study_keys.get(name)
        if key is None:
            row = connection.execute("SELECT key FROM studies WHERE store_key = ? AND uid = ?", name).fetchone()
            if row is None:
                key = self._take("studies")
                plan.studies[name] = key, item
                return key, True
            key = int(row[0])
            _remember(self._study_keys, name, key)
        return key, False

    def _one_series(
        self, connection: sqlite3.Connection, plan: Plan, study: int, is_new_study: bool, item: NewInstance
    ) -> tuple[int, bool]:
        name = (study, item.series_uid)
        if name in plan.series:
            return plan.series[name][0], True
        key = None if is_new_study else self._series_keys.get(name)
        if key is None:
            row = None
            if not is_new_study:
                row = connection.execute("SELECT key FROM series WHERE study_key = ? AND uid = ?", name).fetchone()
            if row is None:
                key = self._take("series")
                plan.series[name] = key, item
                return key, True
            key = int(row[0])
            _remember(self._series_keys, name, key)
        return key, False

    def write(self, connection: sqlite3.Connection, plan: Plan, places: Sequence[Place]) -> None:
        """Write the rows of *plan*, whose new instances are at *places*."""
        per_series = Counter(item.series_key for item in plan.new)
        per_study: Counter[int] = Counter()
        for series, count in per_series.items():
            per_study[plan.study_of[series]] += count
        new_studies = {key for key, _ in plan.studies.values()}
        new_series = {key for key, _ in plan.series.values()}
        connection.executemany(
            "INSERT INTO studies VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,'',0,?,?)",
            [_study_row(key, item, per_study[key]) for key, item in plan.studies.values()],
        )
        connection.executemany(
            "INSERT INTO series VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            [_series_row(key, study, item, per_series[key]) for (study, _), (key, item) in plan.series.items()],
        )
        connection.executemany(
            "INSERT OR IGNORE INTO study_modalities VALUES (?,?,?)",
            {(i.store_key, m, study) for (study, _), (_, i) in plan.series.items() if (m := _modality(i)) is not None},
        )
        connection.executemany(
            "INSERT INTO instances VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", map(_instance_row, plan.new, places)
        )
        connection.executemany(
            "UPDATE series SET instance_count = instance_count + ? WHERE key = ?",
            [(count, key) for key, count in per_series.items() if key not in new_series],
        )
        connection.executemany(
            "UPDATE studies SET instance_count = instance_count + ? WHERE key = ?",
            [(count, key) for key, count in per_study.items() if key not in new_studies],
        )
        refresh_series_facts(connection, {study for study, _ in plan.series})
        self._metadata.write(
            connection, plan.new, plan.dictionaries(), {item.series_key: item.series_name for item in plan.new}
        )

    def remember(self, plan: Plan) -> None:
        """The transaction of *plan* is committed: its parents can be found without a look at the database."""
        for study_name, (key, _) in plan.studies.items():
            _remember(self._study_keys, study_name, key)
        for series_name, (key, _) in plan.series.items():
            _remember(self._series_keys, series_name, key)
        self._metadata.remember(plan.dictionaries())

    def forget(self) -> None:
        """Parents may have gone: ask the database for them again."""
        self._metadata.forget()
        self._study_keys.clear()
        self._series_keys.clear()

    def delete(self, connection: sqlite3.Connection, instances: Sequence[tuple[int, int]]) -> None:
        """Remove instances, given as (key, key of the series), and the parents they leave empty."""
        keys = [(key,) for key, _ in instances]
        connection.executemany("DELETE FROM instances WHERE key = ?", keys)
        connection.executemany("DELETE FROM metadata WHERE key = ?", keys)
        per_series = Counter(series for _, series in instances)
        studies: set[int] = set()
        for series, count in per_series.items():
            study, left = connection.execute(
                "UPDATE series SET instance_count = instance_count - ? WHERE key = ? "
                "RETURNING study_key, instance_count",
                (count, series),
            ).fetchone()
            studies.add(study)
            connection.execute("UPDATE studies SET instance_count = instance_count - ? WHERE key = ?", (count, study))
            if not left:
                gone = connection.execute(
                    "DELETE FROM series WHERE key = ? RETURNING store_key, modality, study_key", (series,)
                ).fetchone()
                connection.execute(_FORGET_MODALITY, gone)
                connection.execute("DELETE FROM dictionaries WHERE series_key = ?", (series,))
        refresh_series_facts(connection, studies)
        connection.executemany("DELETE FROM studies WHERE key = ? AND instance_count = 0", [(s,) for s in studies])

    def delete_store(self, connection: sqlite3.Connection, store_key: int) -> None:
        """Remove everything of a store."""
        connection.execute(
            "DELETE FROM metadata WHERE key IN (SELECT key FROM instances WHERE store_key = ?)", (store_key,)
        )
        connection.execute(
            "DELETE FROM dictionaries WHERE series_key IN (SELECT key FROM series WHERE store_key = ?)", (store_key,)
        )
        connection.execute("DELETE FROM instances WHERE store_key = ?", (store_key,))
        connection.execute("DELETE FROM study_modalities WHERE store_key = ?", (store_key,))
        connection.execute("DELETE FROM series WHERE store_key = ?", (store_key,))
        connection.execute("DELETE FROM studies WHERE store_key = ?", (store_key,))


def _study_row(key: int, item: NewInstance, count: int) -> tuple[Any, ...]:
    facts = item.parent_facts()
    return (key, item.store_key, item.study_uid, *facts.study_columns, count, facts.study_lines)


def _series_row(key: int, study: int, item: NewInstance, count: int) -> tuple[Any, ...]:
    facts = item.parent_facts()
    return (key, item.store_key, study, item.series_uid, *facts.series_columns, count, facts.series_lines)


def _modality(item: NewInstance) -> Any:
    return item.parent_facts().series_columns[0]


def _instance_row(item: NewInstance, place: Place) -> tuple[Any, ...]:
    return (
        item.key,
        item.store_key,
        item.series_key,
        item.sop_uid,
        item.sop_class,
        item.number,
        item.transfer_syntax,
        *place,
        item.sha256,
        item.storage_class,
        item.updated,
        item.lines,
    )


def refresh_series_facts(connection: sqlite3.Connection, studies: Iterable[int]) -> None:
    """Bring the number and the modalities of the series of *studies* up to date."""
    connection.executemany(
        "UPDATE studies SET (series_count, modalities) = "
        "(SELECT COUNT(*), COALESCE(GROUP_CONCAT(DISTINCT modality), '') FROM series WHERE study_key = studies.key) "
        "WHERE key = ?",
        [(study,) for study in studies],
    )


def _remember(cache: dict[Any, int], name: tuple[int, str], key: int) -> None:
    if len(cache) >= _CACHED_PARENTS:
        cache.clear()
    cache[name] = key
