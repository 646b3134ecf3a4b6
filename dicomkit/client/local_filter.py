"""What a search asks for and Google's service does not know, applied to the rows that it gives.

Source: Cloud Healthcare API, DICOM conformance statement, search transaction (page of 2026-04-14): which attributes
can be matched at which level, single values only but for StudyDate, and what ``includefield`` takes.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dicomkit.dicom.attribute_path import AttributePath
from dicomkit.dicom.attributes import NOT_STORED, SEARCHABLE, Level, legal_fields
from dicomkit.dicom.matching import Anything, Condition, OneOf, condition, matches
from dicomkit.dicom.query import ALL, Query
from dicomkit.errors import InvalidArgument

__all__ = ["LocalFilter", "split"]

Row = Mapping[str, Any]

_WILDCARD = re.compile(r"[*?]")


@dataclass(frozen=True, slots=True)
class LocalFilter:
    """The conditions of a search that are applied after fetching."""

    wire: Query
    """What is sent: the other conditions, and the attributes that these are about."""
    conditions: tuple[tuple[AttributePath, Condition], ...]

    @property
    def names(self) -> str:
        """The attributes, for a message."""
        return ", ".join(path.label for path, _ in self.conditions)

    def keeps(self, row: Row) -> bool:
        """Whether a row meets all of them."""
        return all(
            any(matches(wanted, found) for found in path.find(row)) or matches(wanted, None)
            for path, wanted in self.conditions
        )


def split(query: Query) -> LocalFilter | None:
    """What of *query* is left to do after Google's service has answered; ``None`` where it does all of it.

    Raises
    ------
    InvalidArgument
        A condition is on an attribute that the service does not return at this level, so that nobody can apply it.
    """
    match: list[tuple[str, str]] = []
    later: list[tuple[AttributePath, Condition]] = []
    fields = dict.fromkeys(query.fields)
    for text, value in query.match:
        path = AttributePath.parse(text)
        wanted = condition(path, value, fuzzymatching=query.fuzzymatching)
        if isinstance(wanted, Anything):
            continue
        is_literal = path.vr == "UI" or path.tag == "00080020" or not _WILDCARD.search(value)
        if path.label in SEARCHABLE[query.level] and is_literal and not isinstance(wanted, OneOf):
            match.append((text, value))
            continue
        later.append((path, wanted))
        fields[_field(path, query.level)] = None
    if not later and len(match) == len(query.match):
        return None
    wire = dataclasses.replace(query, match=tuple(match), fields=_all_first(fields, query.level))
    return LocalFilter(wire, tuple(later))


def _field(path: AttributePath, level: Level) -> str:
    """What to ask for, so that the attribute is in the rows."""
    first = path.steps[0]
    if level != "instance":
        if first.creator is None and first.tag in legal_fields(level):
            return first.tag
        below = "instances" if level == "series" else "series or instances"
        raise InvalidArgument(
            f"Google does not match {path.label} at {level} level and does not return it there, so that the condition "
            f"cannot be applied after fetching, either; search for {below} with it"
        )
    if first.label in NOT_STORED:
        raise InvalidArgument(f"{first.label} is in no instance, and cannot be matched")
    return ALL if first.creator is not None else first.tag  # which block a creator has is in the instance


def _all_first(fields: Mapping[str, None], level: Level) -> tuple[str, ...]:
    if ALL not in fields:
        return tuple(fields)
    return (ALL, *(tag for tag in fields if tag != ALL and level != "instance"))
