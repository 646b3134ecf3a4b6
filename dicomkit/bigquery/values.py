"""DICOM values -> values of BigQuery columns.

Each converter takes the ``Value`` array of an element in the DICOM JSON model, the element's VR and the time
zone of its dataset, and gives what the column holds; :class:`DoesNotFit` says that the column cannot hold it.

Decided here, because neither standard nor service says it:

- A TM or DT whose last components are left out means the earliest time it can mean: ``10`` is 10:00:00, the DT
  ``2018`` is 2018-01-01T00:00:00Z. DA has no such form, ``201804`` does not fit.
- The ACR-NEMA spellings ``2018.04.27`` and ``10:30:00`` are read (PS3.5 section 6.2, notes on DA and TM).
- A leap second, second 60, does not fit: TIME and TIMESTAMP end at 59.999999.
- NaN and the infinities do not fit: JSON has no number for them.
- An empty value between others stays as "" among strings and as {} among names; no other column can hold it.
- Several values in a column that holds one do not fit.

Sources: DICOM PS3.5 2025b sections 6.2 (VRs) and 6.2.1 (PN), PS3.18 section F.2; BigQuery documentation,
"Data types"; Cloud Healthcare API, "BigQuery schema for DICOM".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

__all__ = [
    "BINARY_VRS",
    "CONVERTERS",
    "TEXT_OF",
    "UTC_OFFSET",
    "Converter",
    "DoesNotFit",
    "date_of",
    "offset_of",
    "person_name_of",
    "texts_of",
    "time_of",
    "timestamp_of",
    "timestamp_text",
]

Converter = Callable[[Sequence[Any], str, timedelta], Any]
"""``(values, vr, zone) -> column value``; *zone* is the dataset's offset from UTC."""

BINARY_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""VRs whose values are bytes; no column and no text holds them."""

UTC_OFFSET = timedelta(0)

_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1

_DATE = re.compile(r" *(\d{4})(\.?)(\d\d)\2(\d\d) *", re.ASCII)
_TIME = re.compile(r" *(\d\d)(?:(:?)(\d\d)(?:\2(\d\d)(?:\.(\d{1,6}))?)?)? *", re.ASCII)
_DATETIME = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)

_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_NAME_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


class DoesNotFit(ValueError):
    """The column's type or mode cannot hold the value; its raw text belongs in OtherElements."""


def _float_text(value: float) -> str:
    if math.isfinite(value):
        return str(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _name_text(value: dict[str, str]) -> str:
    return "=".join(value.get(group) or "" for group in _NAME_GROUPS).rstrip("=")


TEXT_OF: dict[type, Callable[[Any], str]] = {
    str: str,
    int: str,
    float: _float_text,
    dict: _name_text,
    type(None): lambda value: "",
}
"""Class of a value in the DICOM JSON model (a dict is a PN there) -> its raw text."""


def texts_of(values: Sequence[Any]) -> list[str]:
    """Raw text of each value; "" for an empty one."""
    return [TEXT_OF[value.__class__](value) for value in values]


def date_of(text: str) -> str:
    """DATE ``YYYY-MM-DD`` of a DA value."""
    if not (len(text) == 8 and text.isdigit() and text.isascii()):
        match = _DATE.fullmatch(text)
        if match is None:
            raise DoesNotFit
        text = match[1] + match[3] + match[4]
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise DoesNotFit from None


def time_of(text: str) -> str:
    """TIME ``HH:MM:SS`` or ``HH:MM:SS.ffffff`` of a TM value."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise DoesNotFit
    hour, _, minute, second, fraction = match.groups("00")
    if hour > "23" or minute > "59" or second > "59":
        raise DoesNotFit
    if match[5] is None:
        return f"{hour}:{minute}:{second}"
    return f"{hour}:{minute}:{second}.{fraction:0<6}"


def timestamp_of(text: str, zone: timedelta) -> str:
    """TIMESTAMP in UTC of a DT value.

    Parameters
    ----------
    zone
        Offset from UTC for a value that names none (PS3.5 section 6.2, DT; PS3.3 section C.12.1.1.8).
    """
    match = _DATETIME.fullmatch(text.strip(" "))
    if match is None:
        raise DoesNotFit
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        return timestamp_text(
            datetime(
                int(year),
                int(month or 1),
                int(day or 1),
                int(hour or 0),
                int(minute or 0),
                int(second or 0),
                int((fraction or "0").ljust(6, "0")),
                timezone(zone if offset is None else _offset(offset)),
            )
        )
    except (ValueError, OverflowError):
        raise DoesNotFit from None


def timestamp_text(time: datetime) -> str:
    """``YYYY-MM-DDTHH:MM:SS.ffffffZ`` of a time that has a zone."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def offset_of(text: object, default: timedelta) -> timedelta:
    """Offset from UTC that TimezoneOffsetFromUTC (0008,0201) gives, *default* when it is none."""
    if isinstance(text, str):
        try:
            return _offset(text.strip(" "))
        except DoesNotFit:
            pass
    return default


def person_name_of(value: Any) -> dict[str, dict[str, str]]:
    """The record of one PN value: groups with components, only what is there.

    A name in which nothing but delimiters is written, or more components than DICOM has, does not fit.
    """
    if isinstance(value, str):
        texts = value.split("=")
        if len(texts) > 3:
            raise DoesNotFit
        value = dict(zip(_NAME_GROUPS, texts, strict=False))
    elif not isinstance(value, dict):
        raise DoesNotFit
    record: dict[str, dict[str, str]] = {}
    for group in _NAME_GROUPS:
        text = value.get(group)
        if not text:
            continue
        components = text.split("^")
        if len(components) > 5:
            raise DoesNotFit
        parts = {name: part for name, part in zip(_NAME_COMPONENTS, components, strict=False) if part.strip(" ")}
        if parts:
            record[group] = parts
    if not record:
        raise DoesNotFit
    return record


def _offset(text: str) -> timedelta:
    if len(text) != 5 or text[0] not in "+-" or not (text.isascii() and text[1:].isdigit()):
        raise DoesNotFit
    hours, minutes = int(text[1:3]), int(text[3:])
    # PS3.5 section 6.2: -1200 to +1400.
    size = timedelta(hours=hours, minutes=minutes)
    offset = -size if text[0] == "-" else size
    if minutes > 59 or not timedelta(hours=-12) <= offset <= timedelta(hours=14):
        raise DoesNotFit
    return offset


def _integer(value: Any, vr: str) -> int:
    if isinstance(value, str):
        if vr == "AT":
            try:
                return int(value, 16)
            except ValueError:
                raise DoesNotFit from None
        text = value.strip(" ")
        if not _INTEGER.fullmatch(text):
            raise DoesNotFit
        value = int(text)
    if isinstance(value, int) and _INT64_MIN <= value <= _INT64_MAX:
        return value
    raise DoesNotFit


def _float(value: Any, vr: str) -> float:
    if isinstance(value, str):
        text = value.strip(" ")
        if vr == "AT" or not _DECIMAL.fullmatch(text):
            raise DoesNotFit
        value = float(text)
    if isinstance(value, float | int):
        try:
            number = float(value)
        except OverflowError:
            raise DoesNotFit from None
        if math.isfinite(number):
            return number
    raise DoesNotFit


def _only(values: Sequence[Any]) -> Any:
    if len(values) != 1:
        raise DoesNotFit
    return values[0]


def _one_string(values: Sequence[Any], vr: str, zone: timedelta) -> str | None:
    if len(values) != 1 or vr == "SQ":
        raise DoesNotFit
    value = values[0]
    return TEXT_OF[value.__class__](value) or None


def _strings(values: Sequence[Any], vr: str, zone: timedelta) -> list[str]:
    if vr == "SQ":
        raise DoesNotFit
    texts = texts_of(values)
    return texts if any(texts) else []


def _one_integer(values: Sequence[Any], vr: str, zone: timedelta) -> int | None:
    value = _only(values)
    return None if value is None else _integer(value, vr)


def _integers(values: Sequence[Any], vr: str, zone: timedelta) -> list[int]:
    return [_integer(value, vr) for value in values]


def _one_float(values: Sequence[Any], vr: str, zone: timedelta) -> float | None:
    value = _only(values)
    return None if value is None else _float(value, vr)


def _floats(values: Sequence[Any], vr: str, zone: timedelta) -> list[float]:
    return [_float(value, vr) for value in values]


def _of_text(convert: Callable[[str, timedelta], str]) -> tuple[Converter, Converter]:
    def one(values: Sequence[Any], vr: str, zone: timedelta) -> str | None:
        value = _only(values)
        if value is None:
            return None
        if value.__class__ is not str:
            raise DoesNotFit
        return convert(value, zone)

    def several(values: Sequence[Any], vr: str, zone: timedelta) -> list[str]:
        if not all(value.__class__ is str for value in values):
            raise DoesNotFit
        return [convert(value, zone) for value in values]

    return one, several


def _one_name(values: Sequence[Any], vr: str, zone: timedelta) -> dict[str, dict[str, str]] | None:
    value = _only(values)
    if vr == "SQ":
        raise DoesNotFit
    return None if value is None else person_name_of(value)


def _names(values: Sequence[Any], vr: str, zone: timedelta) -> list[dict[str, dict[str, str]]]:
    if vr == "SQ":
        raise DoesNotFit
    return [{} if value is None else person_name_of(value) for value in values]


CONVERTERS: dict[str, tuple[Converter, Converter]] = {
    "STRING": (_one_string, _strings),
    "INTEGER": (_one_integer, _integers),
    "FLOAT": (_one_float, _floats),
    "DATE": _of_text(lambda text, zone: date_of(text)),
    "TIME": _of_text(lambda text, zone: time_of(text)),
    "TIMESTAMP": _of_text(timestamp_of),
    "NAME": (_one_name, _names),
}
"""Column type, or NAME for a PN record -> (converter of one value, converter of several)."""
