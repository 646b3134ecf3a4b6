"""What the index keeps of an instance: columns to search in, and JSON lines to answer with.

The lines of a level are its attributes in the DICOM JSON model, one ``"TAG":{...}`` a line, tags ascending.
Which attributes belong to which level is data in ``dicom.attributes``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from dicomkit.dicom.attributes import ALL_FIELDS, DEFAULTS
from dicomkit.dicom.dictionary import tag_of
from dicomkit.dicom.matching import fold_name, name_text

__all__ = [
    "INSTANCE_TAGS",
    "SERIES_TAGS",
    "STUDY_TAGS",
    "ParentFacts",
    "integer",
    "lines",
    "modality",
    "parent_facts",
    "series_columns",
    "study_columns",
]

Elements = Mapping[str, Mapping[str, Any]]

STUDY_TAGS = tuple(sorted(tag_of(k) for k in DEFAULTS["study"] + ALL_FIELDS["study"]))
"""Attributes in a study's lines."""

SERIES_TAGS = tuple(sorted(tag_of(k) for k in DEFAULTS["series"] + ALL_FIELDS["series"]))
"""Attributes in a series' lines."""

INSTANCE_TAGS = tuple(sorted(tag_of(k) for k in DEFAULTS["instance"]))
"""Attributes in an instance's lines."""

MAX_TEXT = 256
"""Most characters of a value in a search column; VRs that can be matched hold at most 64 for each part."""

_INT64 = 1 << 63


def lines(elements: Elements, tags: Sequence[str]) -> bytes:
    """The attributes *tags* of *elements*, those that are present."""
    dumps = orjson.dumps
    return b"\n".join([b'"%s":%s' % (t.encode(), dumps(elements[t])) for t in tags if t in elements])


def _first(elements: Elements, tag: str) -> Any:
    element = elements.get(tag)
    values = element.get("Value") if element else None
    return values[0] if values else None


def _text(elements: Elements, tag: str) -> str | None:
    value = _first(elements, tag)
    return None if value is None else str(value)[:MAX_TEXT]


def _name(elements: Elements, tag: str) -> tuple[str | None, str | None]:
    """A person name as it is compared exactly, and as wildcards compare it."""
    value = _first(elements, tag)
    text = name_text(value)[:MAX_TEXT] if isinstance(value, Mapping) else None
    return (text, fold_name(text)) if text else (None, None)


def integer(elements: Elements, tag: str) -> int | None:
    """The first value as a number that SQLite can hold, ``None`` when it is none."""
    try:
        number = int(_first(elements, tag))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if -_INT64 <= number < _INT64 else None


def study_columns(elements: Elements) -> tuple[str | None, ...]:
    """Values of the columns ``patient_name`` to ``description`` of table ``studies``."""
    return (
        *_name(elements, "00100010"),
        _text(elements, "00100020"),
        _text(elements, "00080050"),
        *_name(elements, "00080090"),
        _text(elements, "00080020"),
        _text(elements, "00080030"),
        _text(elements, "00200010"),
        _text(elements, "00100030"),
        _text(elements, "00100040"),
        _text(elements, "00081030"),
    )


def modality(elements: Elements) -> str | None:
    """Modality of an instance."""
    return _text(elements, "00080060")


def series_columns(elements: Elements) -> tuple[str | int | None, ...]:
    """Values of the columns ``modality`` to ``step_date`` of table ``series``."""
    return (
        modality(elements),
        integer(elements, "00200011"),
        _text(elements, "0008103E"),
        _text(elements, "00180015"),
        _text(elements, "00400244"),
    )


class ParentFacts(NamedTuple):
    """What the rows of a study and a series keep of the first instance that is stored in them."""

    study_columns: tuple[str | None, ...]
    study_lines: bytes
    series_columns: tuple[str | int | None, ...]
    series_lines: bytes


def parent_facts(elements: Elements) -> ParentFacts:
    """The facts of an instance's metadata."""
    return ParentFacts(
        study_columns(elements), lines(elements, STUDY_TAGS), series_columns(elements), lines(elements, SERIES_TAGS)
    )
