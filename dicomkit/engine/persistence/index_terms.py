"""Conditions of a search in the language of the index: which column, which index, and SQL with bound values.

Names of columns and indexes come from the table below and values are always bound, so that no text of a request is
ever SQL.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from dicomkit.dicom.matching import Between, Condition, Exact, Fuzzy, Number, OneOf, Wildcard
from dicomkit.errors import InvalidArgument

__all__ = ["COLUMNS", "LISTED", "MODALITIES", "MODALITIES_IN_STUDY", "TABLES", "Bound", "Column", "ranges", "term"]

TABLES = ("studies", "series", "instances")
"""Table of each level, from the top."""

LISTED = "(SELECT value FROM json_each(?))"
"""The values of one parameter, which is a JSON array."""


class Column(NamedTuple):
    """Where an attribute can be matched."""

    level: int
    name: str
    found_by: str | None = None
    """Index that finds rows of a store by it."""
    folded: Column | None = None
    """Column of the folded name, where the attribute is a person name."""
    groups: str | None = None
    """Partial index of the few names that have more than one component group."""
    table: str | None = None
    """Its table, where it is not that of its level."""

    @property
    def source(self) -> str:
        """The table."""
        return self.table or TABLES[self.level]


class Bound(NamedTuple):
    """SQL, and what is bound to it."""

    sql: str
    values: list[Any]


_UNIQUE_STUDIES = "sqlite_autoindex_studies_1"  # UNIQUE (store_key, uid)
_UNIQUE_INSTANCES = "sqlite_autoindex_instances_1"  # UNIQUE (uid, series_key)
_PATIENT = Column(0, "patient_folded", "studies_patient_folded", groups="studies_patient_folded_groups")
_REFERRING = Column(0, "referring_folded", "studies_referring_folded", groups="studies_referring_folded_groups")

COLUMNS: dict[str, Column] = {
    "0020000D": Column(0, "uid", _UNIQUE_STUDIES),
    "00100010": Column(0, "patient_name", "studies_patient_name", _PATIENT, "studies_patient_groups"),
    "00100020": Column(0, "patient_id", "studies_patient_id"),
    "00080050": Column(0, "accession_number", "studies_accession_number"),
    "00080090": Column(0, "referring_name", "studies_referring_name", _REFERRING, "studies_referring_groups"),
    "00080020": Column(0, "study_date", "studies_study_date"),
    "00080030": Column(0, "study_time"),
    "00200010": Column(0, "study_id"),
    "00100030": Column(0, "birth_date"),
    "00100040": Column(0, "sex"),
    "00081030": Column(0, "description", "studies_description"),
    "00201206": Column(0, "series_count"),
    "00201208": Column(0, "instance_count"),
    "0020000E": Column(1, "uid", "series_uid"),
    "00080060": Column(1, "modality", "series_modality"),
    "00200011": Column(1, "number"),
    "0008103E": Column(1, "description", "series_description"),
    "00180015": Column(1, "body_part"),
    "00400244": Column(1, "step_date"),
    "00201209": Column(1, "instance_count"),
    "00080061": Column(1, "modality"),
    "00080018": Column(2, "uid", _UNIQUE_INSTANCES),
    "00080016": Column(2, "sop_class"),
    "00200013": Column(2, "number"),
    "00020010": Column(2, "transfer_syntax"),
    "00083002": Column(2, "transfer_syntax"),
}
"""The attributes that have a column, by tag."""

MODALITIES_IN_STUDY = "00080061"

MODALITIES = Column(0, "modality", "sqlite_autoindex_study_modalities_1", table="study_modalities")
"""The summary of the modalities of each study."""


def term(column: Column, wanted: Condition, name: str) -> Bound:
    """The test of a row.

    Parameters
    ----------
    name
        What SQL calls the column; ``+`` before it keeps indexes out.
    """
    match wanted:
        case Exact(value):
            if column.folded is None:
                return Bound(f"{name} = ?", [value])
            return Bound(f"({name} = ? OR (instr({name}, '=') > 0 AND name_is(?, {name})))", [value, value])
        case OneOf(values):
            return Bound(f"{name} IN {LISTED}", [json.dumps(values)])
        case Between(_, low, high):
            return Bound(f"{name} BETWEEN ? AND ?", [low, high])
        case Number(number):
            return Bound(f"{name} = ?", [number])
        case Wildcard(glob, _):
            return _globs(column, [glob], name)
        case Fuzzy(globs):
            return _globs(column, globs, name)
        case _:
            raise InvalidArgument("this kind of match is not supported")


def _globs(column: Column, globs: Sequence[str], name: str) -> Bound:
    function = "text_glob"
    if column.folded is not None:
        function, name = "name_glob", name.replace(column.name, column.folded.name)
    tests = " OR ".join([f"{function}(?, {name})"] * len(globs))
    return Bound(f"({name} IS NOT NULL AND ({tests}))", list(globs))


def ranges(column: Column, wanted: Condition, store_key: int) -> list[Bound]:
    """``FROM ... WHERE ...`` of what an index holds of the rows that a condition lets through: all, and no others.

    Several where they are in several indexes, in which case a row may be in more than one of them; none where no
    index helps.
    """
    if column.found_by is None or isinstance(wanted, Number | Fuzzy):
        return []
    if not isinstance(wanted, Wildcard):
        test = term(column._replace(folded=None), wanted, f"{column.source}.{column.name}")
        found = [_range(column, column.found_by, store_key, test)]
        if column.folded is not None and isinstance(wanted, Exact):
            found.append(_grouped(column, store_key, "name_is", wanted.value))
        return found
    end = next((i for i, c in enumerate(wanted.glob) if c in "*?["), len(wanted.glob))
    prefix, is_prefix = wanted.glob[:end], wanted.glob[end:] == "*"
    after = _after(prefix)
    if not prefix or after is None:
        return []
    searched = column.folded or column
    name = f"{searched.source}.{searched.name}"
    test = Bound(f"{name} >= ? AND {name} < ?", [prefix, after])
    if not is_prefix:
        function = "text_glob" if column.folded is None else "name_glob"
        test = Bound(f"{test.sql} AND {function}(?, {name})", [*test.values, wanted.glob])
    found = [_range(searched, searched.found_by or "", store_key, test)]
    if column.folded is not None:
        found.append(_grouped(searched, store_key, "name_glob", wanted.glob))
    return found


def _range(column: Column, index: str, store_key: int, test: Bound) -> Bound:
    # A table without rowid is its own index.
    hint = "" if column.table else f" INDEXED BY {index}"
    sql = f"FROM {column.source}{hint} WHERE {column.source}.store_key = ? AND {test.sql}"
    return Bound(sql, [store_key, *test.values])


def _grouped(column: Column, store_key: int, function: str, value: str) -> Bound:
    name = f"{column.source}.{column.name}"
    test = Bound(f"instr({name}, '=') > 0 AND {function}(?, {name})", [value])
    return _range(column, column.groups or "", store_key, test)


def _after(prefix: str) -> str | None:
    """The first text, by code points as SQLite compares, behind all that begin with *prefix*."""
    while prefix:
        code = ord(prefix[-1])
        if code < 0x10FFFF:
            return prefix[:-1] + chr(0xE000 if code == 0xD7FF else code + 1)  # surrogates are no characters
        prefix = prefix[:-1]
    return None
