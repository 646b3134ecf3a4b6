"""Text of one DICOM value -> the number that a typed column holds; ``None`` for what is no value of the VR.

Dates and times become microseconds, since the epoch or since midnight, because a column of them is one integer array.
Each function sees a text once: :class:`Memo` keeps what it answered, and columns repeat themselves.

Source: DICOM PS3.5 section 6.2, edition 2025, with the older forms that its notes for DA and TM name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

__all__ = ["Memo", "date_us", "instant_us", "integer", "name_text", "number", "text", "time_us"]

_EPOCH = date(1970, 1, 1).toordinal()
_DAY = 86_400_000_000
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)|(\d{4})[.-](\d\d)[.-](\d\d)", re.ASCII)
# PS3.5 allows trailing parts to be left out; "HH:MM:SS" is the form of ACR-NEMA.
_TIME = re.compile(r"([01]\d|2[0-3])(?::?([0-5]\d)(?::?([0-5]\d|60)(?:\.(\d{1,6}))?)?)?", re.ASCII)
_MOMENT = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_OFFSET = re.compile(r"([+-])(\d\d)([0-5]\d)", re.ASCII)


class Memo(dict[Any, Any]):
    """A dict that asks *convert* for what it does not hold yet, and stops keeping at *most* entries."""

    def __init__(self, convert: Callable[[Any], Any], most: int = 100_000) -> None:
        super().__init__()
        self.convert = convert
        self.most = most

    def __missing__(self, key: Any) -> Any:
        value = self.convert(key)
        if len(self) < self.most:
            self[key] = value
        return value


def date_us(value: object) -> int | None:
    """DA as microseconds since 1970-01-01."""
    found = _DATE.fullmatch(value.strip(" \0")) if isinstance(value, str) else None
    if found is None:
        return None
    year, month, day = found.group(1, 2, 3) if found[1] else found.group(4, 5, 6)
    try:
        return (date(int(year), int(month), int(day)).toordinal() - _EPOCH) * _DAY
    except ValueError:
        return None


def time_us(value: object) -> int | None:
    """TM as microseconds since midnight; a leap second counts as the second after."""
    found = _TIME.fullmatch(value.strip(" \0")) if isinstance(value, str) else None
    if found is None:
        return None
    hour, minute, second, fraction = found.groups()
    seconds = int(hour) * 3600 + int(minute or 0) * 60 + int(second or 0)
    return seconds * 1_000_000 + int((fraction or "").ljust(6, "0"))


def _offset_us(value: object) -> int | None:
    """``+HHMM`` or ``-HHMM``, at most 14 hours (PS3.3 section C.12.1.1.8)."""
    found = _OFFSET.fullmatch(value.strip(" \0")) if isinstance(value, str) else None
    if found is None:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    if minutes > 14 * 60:
        return None
    return minutes * 60_000_000 * (-1 if found[1] == "-" else 1)


def instant_us(value: tuple[object, object] | object) -> int | None:
    """DT as microseconds since 1970-01-01 UTC.

    Parameters
    ----------
    value
        The text, or (text, TimezoneOffsetFromUTC of its row). Without any offset the value is taken as UTC.
    """
    moment, zone = value if isinstance(value, tuple) else (value, None)
    found = _MOMENT.fullmatch(moment.strip(" \0")) if isinstance(moment, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, own = found.groups()
    try:
        day_number = date(int(year), int(month or 1), int(day or 1)).toordinal() - _EPOCH
    except ValueError:
        return None
    of_day = time_us((hour or "00") + (minute or "") + (second or "") + (f".{fraction}" if fraction else ""))
    shift = _offset_us(own) if own else _offset_us(zone) or 0
    if of_day is None or shift is None:
        return None
    return day_number * _DAY + of_day - shift


def integer(value: object) -> int | None:
    """IS and the binary integers; a whole number written as a float passes."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = int(value.strip(" \0")) if len(value) <= 32 else None
        except ValueError:
            return None
    if isinstance(value, float):
        value = int(value) if value.is_integer() else None
    return value if isinstance(value, int) and -(2**63) <= value < 2**64 else None


def number(value: object) -> float | None:
    """DS and the binary floats; no number, and a number too large for 64 bits, is no value."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value.strip(" \0")) if len(value) <= 64 else None
        except ValueError:
            return None
    if not isinstance(value, int | float):
        return None
    try:
        return None if value != value else float(value)
    except OverflowError:
        return None


def text(value: object) -> str | None:
    """Any text VR, AT and UI; a number, which a lenient server may send, becomes its text."""
    if isinstance(value, str):
        return value
    return None if value is None or isinstance(value, dict | list | bool) else str(value)


def name_text(value: object) -> str | None:
    """PN as DICOM writes it: ``Alphabetic=Ideographic=Phonetic``, trailing empty groups left out (PS3.5 6.2.1)."""
    if isinstance(value, dict):
        groups = (value.get("Alphabetic"), value.get("Ideographic"), value.get("Phonetic"))
        return "=".join(g if isinstance(g, str) else "" for g in groups).rstrip("=") or None
    return value if isinstance(value, str) else None
