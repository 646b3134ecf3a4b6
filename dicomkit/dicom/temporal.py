"""Dates, times and date-times of a search: single values and ranges as bounds that compare as text.

Source: DICOM PS3.4 section C.2.2.2.5 (range matching, both ends inclusive) and PS3.5 section 6.2 (DA, TM, DT),
edition 2024e. DA is ``YYYYMMDD``, TM is ``HH[MM[SS[.F]]]``, DT is ``YYYY[MM[DD[HH[MM[SS[.F]]]]]][+ZZXX]``.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

__all__ = ["TEMPORAL_VRS", "comparable", "is_moment", "range_bounds"]

TEMPORAL_VRS = frozenset({"DA", "TM", "DT"})
"""VRs that match by range."""

_CLOCK = r"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?"
# -1200 to +1400: a hyphen and four digits up to 1259 are an offset and not a year (PS3.5 section 6.2, note to DT).
_OFFSET = re.compile(r"(?:\+(?:0[0-9]|1[0-4])|-(?:0[0-9]|1[0-2]))[0-5][0-9]")
_FORMS = {
    "DA": re.compile(r"[0-9]{8}"),
    "TM": re.compile(_CLOCK),
    "DT": re.compile(rf"[0-9]{{4}}(?:[0-9]{{2}}(?:[0-9]{{2}}(?:{_CLOCK})?)?)?(?:{_OFFSET.pattern})?"),
}

_OPEN_LOW = {"DA": "0000", "TM": "00", "DT": "0000"}
_OPEN_HIGH = {"DA": "99991231", "TM": "235960.999999", "DT": "99991231235960.999999"}


def is_moment(vr: str, text: str) -> bool:
    """Whether *text* is one valid value of the VR: an existing day, a time of the day."""
    if _FORMS[vr].fullmatch(text) is None:
        return False
    return vr == "TM" or _is_day(re.split(r"[-+.]", text, maxsplit=1)[0][:8])


def _is_day(digits: str) -> bool:
    digits += "00010101"[len(digits) :]
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return True


def _split_offset(text: str) -> tuple[str, str]:
    """Date-time and offset from UTC (empty when there is none)."""
    if len(text) > 8 and _OFFSET.fullmatch(text[-5:]):
        return text[:-5], text[-5:]
    return text, ""


def range_bounds(vr: str, text: str) -> tuple[str, str] | None:
    """Lowest and highest text that a value or range stands for, or ``None`` when it is neither.

    Parameters
    ----------
    vr
        ``DA``, ``TM`` or ``DT``.
    text
        One value, or ``a-b``, ``a-``, ``-b``.

    Returns
    -------
    tuple of str
        A stored value lies in the range if ``low <= comparable(vr, stored) <= high`` as text. The low bound is cut
        as far as its own meaning allows and the high bound filled up, so that stored values of any precision
        compare rightly: ``10-1030`` gives ``("10", "103059.999999")``.
    """
    if is_moment(vr, text):
        return _low(vr, text), _high(vr, text)
    # A DT may hold hyphens of its own, so every hyphen is tried; at most one of them leaves two valid ends.
    for at, char in enumerate(text):
        if char != "-":
            continue
        start, end = text[:at].strip(" "), text[at + 1 :].strip(" ")
        if (start or end) and all(not side or is_moment(vr, side) for side in (start, end)):
            low = _low(vr, start) if start else _OPEN_LOW[vr]
            high = _high(vr, end) if end else _OPEN_HIGH[vr]
            return (low, high) if low <= high else None
    return None


def comparable(vr: str, text: str) -> str:
    """A stored value as text that compares with bounds: a DT with an offset is moved to UTC.

    A DT without an offset is taken as it is written, for the zone of the equipment is not known.
    """
    if vr != "DT":
        return text
    body, offset = _split_offset(text)
    return _to_utc(body, offset) if offset and is_moment("DT", text) else body


def _to_utc(body: str, offset: str) -> str:
    """A date-time moved to UTC, with the precision that it had."""
    digits, _, fraction = body.partition(".")
    if len(digits) < 10:  # without an hour, an offset has nothing to shift
        return body
    moment = datetime.strptime((digits + "00")[:12], "%Y%m%d%H%M")  # noqa: DTZ007 (the offset is applied below)
    shift = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))
    try:
        moved = moment - shift if offset[0] == "+" else moment + shift
    except OverflowError:
        return body
    # Half-hour zones move the minutes too, so that an hour alone gets minutes.
    precision = 10 if len(digits) == 10 and offset[3:5] == "00" else 12
    text = f"{moved.year:04d}{moved:%m%d%H%M}"[:precision] + digits[12:]
    return f"{text}.{fraction}" if fraction else text


def _low(vr: str, text: str) -> str:
    """The earliest moment of *text*, cut to the shortest text that means the same."""
    text = comparable(vr, text)
    if vr == "DA":
        return text
    text, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    if fraction:
        return f"{text}.{fraction}"
    shortest = 2 if vr == "TM" else 4
    while len(text) > shortest:
        first = "01" if vr == "DT" and len(text) <= 8 else "00"
        if text[-2:] != first:
            break
        text = text[:-2]
    return text


def _high(vr: str, text: str) -> str:
    """The last moment of *text*, written in full."""
    text = comparable(vr, text)
    if vr == "DA":
        return text
    digits, _, fraction = text.partition(".")
    if vr == "DT" and len(digits) < 8:
        digits += "12" if len(digits) == 4 else ""
        digits += f"{_last_day(int(digits[:4]), int(digits[4:6])):02d}"
    end = "235959" if vr == "TM" else f"{digits[:8]}235959"
    return f"{digits}{end[len(digits) :]}.{fraction}{'999999'[len(fraction) :]}"


def _last_day(year: int, month: int) -> int:
    if month == 12:
        return 31
    return (date(year, month + 1, 1) - timedelta(days=1)).day
