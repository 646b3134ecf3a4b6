"""Dates moved by a whole number of days, the same for all of a patient.

Intervals stay, times of day and zones too. Source: DICOM PS3.15 section E.3.6 (modified dates); PS3.5 section 6.2
(DA, DT); Cloud Healthcare API v1, ``DateShiftConfig`` (by patient, or by study without a Patient ID).
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import date, timedelta

from dicomkit.dicom.temporal import is_moment

__all__ = ["MAX_SHIFT_DAYS", "shift", "shift_days"]

MAX_SHIFT_DAYS = 365
"""Farthest that a date moves, forward or back."""


def shift_days(key: bytes, patient_id: str, study_instance_uid: str) -> int:
    """Days by which the dates of a patient move; never 0."""
    subject = f"patient\0{patient_id}" if patient_id else f"study\0{study_instance_uid}"
    digest = hmac.new(key, f"date shift\0{subject}".encode(), hashlib.sha256).digest()
    number = int.from_bytes(digest[:8], "big") % (2 * MAX_SHIFT_DAYS)
    return number + 1 if number < MAX_SHIFT_DAYS else MAX_SHIFT_DAYS - 1 - number


def shift(vr: str, value: str, days: int) -> str | None:
    """One DA or DT value moved; ``None`` when it is none, or leaves the calendar.

    A DT that says only the year or the month is moved from its first day and cut again.
    """
    text = value.strip(" \0")
    if vr == "DA" and len(text) == 10 and text[4] == text[7] == ".":
        text = text.replace(".", "")  # the form of ACR-NEMA, which PS3.5 asks readers to take
    if not is_moment(vr, text):
        return None
    digits = 0
    while digits < len(text) and digits < 8 and text[digits].isdigit():
        digits += 1
    day = text[:digits] + "00010101"[digits:]
    try:
        moved = date(int(day[:4]), int(day[4:6]), int(day[6:])) + timedelta(days=days)
    except (OverflowError, ValueError):
        return None
    return f"{moved.year:04d}{moved.month:02d}{moved.day:02d}"[:digits] + text[digits:]
