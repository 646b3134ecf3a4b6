"""Matching attributes that no index has: what a level keeps of itself, or the metadata of its instances, is looked at.

An attribute that the results' own level or one above it keeps is compared there, which costs one look a row. Any
other is compared in the metadata of the instances: a study or series matches if one of its instances does (DICOM
PS3.4 section C.2.2.2: a key matches an attribute of the entity or of one below it in relational queries).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import orjson

from dicomkit.dicom.attribute_path import AttributePath
from dicomkit.dicom.matching import Condition, matches
from dicomkit.engine.persistence.database import Connection
from dicomkit.engine.persistence.index_plan import Selection
from dicomkit.engine.persistence.index_search import Candidate, candidates, instance_keys
from dicomkit.engine.persistence.level_rows import INSTANCE_TAGS, SERIES_TAGS, STUDY_TAGS
from dicomkit.engine.persistence.metadata import read_metadata
from dicomkit.errors import DeadlineExceeded

__all__ = ["SCAN_S", "scan", "scan_count"]

SCAN_S = 60.0
"""How long one search may look at metadata; about a million instances."""

PORTION = 250
"""Rows that are looked at together."""

_KEPT = tuple(frozenset(tags) for tags in (STUDY_TAGS, SERIES_TAGS, INSTANCE_TAGS))

Conditions = Sequence[tuple[AttributePath, Condition]]


def scan(connection: Connection, selection: Selection, *, limit: int, offset: int = 0) -> list[int]:
    """Keys of the rows that meet all conditions of a selection, in its order.

    Raises
    ------
    DeadlineExceeded
        It takes longer than ``SCAN_S``; the message says how to narrow the search.
    """
    found = islice(_matching(connection, selection), offset, offset + limit)
    return list(found)


def scan_count(connection: Connection, selection: Selection) -> int:
    """How many rows meet all conditions of a selection; raises as :func:`scan` does."""
    return sum(1 for _ in _matching(connection, selection))


def _matching(connection: Connection, selection: Selection) -> Iterator[int]:
    kept: list[tuple[int, AttributePath, Condition]] = []
    others: list[tuple[AttributePath, Condition]] = []
    for path, wanted in selection.rest:
        at = next((n for n in range(selection.level + 1) if path.steps[0].tag in _KEPT[n]), None)
        if at is None or path.steps[0].creator is not None:
            others.append((path, wanted))
        else:
            kept.append((at, path, wanted))
    until = time.monotonic() + SCAN_S
    looked = 0
    rows = candidates(connection, selection)
    while portion := list(islice(rows, PORTION)):
        if time.monotonic() > until:
            names = ", ".join(path.label for path, _ in selection.rest)
            raise DeadlineExceeded(
                f"the search was stopped after {looked} results of the index, because no index has {names}; "
                "narrow it by an attribute that has one, such as StudyDate, PatientID or Modality"
            )
        looked += len(portion)
        left = [row for row in portion if _is_kept(row, kept)]
        yield from _in_metadata(connection, selection.level, left, others) if others else (row.key for row in left)


def _is_kept(row: Candidate, conditions: Sequence[tuple[int, AttributePath, Condition]]) -> bool:
    return all(_meets(path, wanted, _element(row.lines[at], path.steps[0].tag)) for at, path, wanted in conditions)


def _element(lines: bytes, tag: str) -> dict[str, Any]:
    """The data set of one attribute among the lines of a level."""
    begin = lines.find(b'"%s":' % tag.encode()) if lines[1:9] == tag.encode() else lines.find(b'\n"%s":' % tag.encode())
    if begin < 0:
        return {}
    end = lines.find(b"\n", begin + 1)
    element: dict[str, Any] = orjson.loads(b"{%s}" % lines[begin : end if end >= 0 else None])
    return element


def _in_metadata(
    connection: Connection, level: int, rows: Sequence[Candidate], conditions: Conditions
) -> Iterator[int]:
    """Keys of the rows of which an instance meets all conditions."""
    if level == 2:
        met = {key for key, text in read_metadata(connection, [row.key for row in rows]) if _is_met(text, conditions)}
        yield from (row.key for row in rows if row.key in met)
        return
    for row in rows:
        keys = instance_keys(connection, level, row.key)
        while portion := list(islice(keys, PORTION)):
            if any(_is_met(text, conditions) for _, text in read_metadata(connection, portion)):
                yield row.key
                break


def _is_met(text: bytes, conditions: Conditions) -> bool:
    # Most instances lack the attribute; its tag is found a hundred times faster than the text is decoded.
    if not all(b'"%s":' % path.steps[-1].tag.encode() in text for path, _ in conditions if _is_literal(path)):
        return False
    elements = orjson.loads(text)
    return all(_meets(path, wanted, elements) for path, wanted in conditions)


def _is_literal(path: AttributePath) -> bool:
    return path.steps[-1].creator is None


def _meets(path: AttributePath, wanted: Condition, elements: dict[str, Any]) -> bool:
    return any(matches(wanted, attribute) for attribute in path.find(elements))
