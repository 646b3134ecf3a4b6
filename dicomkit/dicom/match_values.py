"""Python values of a search as the text of match keys.

Source: DICOM PS3.18 section 8.3.4.1 (attribute matching), edition 2024e; the forms of the VRs are those of PS3.5
section 6.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from numbers import Integral, Real

from pydicom.valuerep import PersonName

from dicomkit.dicom.temporal import TEMPORAL_VRS, is_moment
from dicomkit.errors import InvalidArgument

__all__ = ["match_text"]


def match_text(name: str, vr: str, value: object) -> str:
    """The text that asks for *value*.

    Parameters
    ----------
    name
        The attribute as the caller wrote it, for messages.
    vr
        Its VR; empty when it is not known.
    value
        ``str`` as it stands; ``int``, ``float`` and ``Decimal`` in digits; ``date``, ``datetime`` and ``time`` in the
        form of the VR; for DA, TM and DT ``(start, end)`` or a ``slice``, ``None`` for an open end; for UI any
        iterable of UIDs.

    Raises
    ------
    InvalidArgument
        The value is none of these; the message says what to give instead.
    """
    if isinstance(value, (str, PersonName)):
        return str(value).strip(" ")
    if vr in TEMPORAL_VRS and isinstance(value, (tuple, slice)):
        return _range(name, vr, value)
    if vr == "UI" and isinstance(value, Iterable) and not isinstance(value, (bytes, Mapping)):
        return _uid_list(name, value)
    return _single(name, vr, value)


def _single(name: str, vr: str, value: object) -> str:
    if value is None or value != value:  # NaN and NaT stand for a missing value
        raise InvalidArgument(f"{name} is given without a value; leave it out, or give '' to match anything")
    if isinstance(value, (date, time)):
        return _moment(name, vr, value)
    if isinstance(value, Integral) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Real) and not isinstance(value, bool):
        # NumPy's numbers are Real too, and their repr() is no number.
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    if isinstance(value, Iterable):
        raise InvalidArgument(
            f"{name} takes one value and got a {type(value).__name__}; search once for each value "
            "(only UIDs can be listed, and only dates and times take a (start, end) range)"
        )
    raise InvalidArgument(f"{name} takes text, a number or a date and got a {type(value).__name__}")


def _moment(name: str, vr: str, value: date | time) -> str:
    if vr == "DA" and isinstance(value, date):
        return f"{value.year:04d}{value:%m%d}"
    if vr == "TM" and isinstance(value, (datetime, time)):
        return f"{value:%H%M%S.%f}".removesuffix(".000000")
    if vr == "DT" and isinstance(value, datetime):
        text = f"{value.year:04d}{value:%m%d%H%M%S.%f}".removesuffix(".000000")
        return text + f"{value:%z}"[:5]
    if vr == "DT" and isinstance(value, date):
        return f"{value.year:04d}{value:%m%d}"
    raise InvalidArgument(f"{name} (VR {vr or 'unknown'}) takes no {type(value).__name__}; give its value as text")


def _range(name: str, vr: str, value: tuple[object, ...] | slice) -> str:
    if isinstance(value, slice):
        if value.step is not None:
            raise InvalidArgument(f"{name} takes a slice(start, end) without a step")
        value = (value.start, value.stop)
    if len(value) != 2:
        raise InvalidArgument(f"{name} takes a range as (start, end), None for an open end; got {len(value)} values")
    start, end = ("" if side is None or side == "" else _end(name, vr, side) for side in value)
    if not start and not end:
        raise InvalidArgument(f"{name} is a range without a start and an end; give one of them, or leave it out")
    return f"{start}-{end}"


def _end(name: str, vr: str, side: object) -> str:
    text = side.strip(" ") if isinstance(side, str) else _single(name, vr, side)
    if not is_moment(vr, text):
        form = {"DA": "YYYYMMDD", "TM": "HHMMSS", "DT": "YYYYMMDDHHMMSS"}[vr]
        raise InvalidArgument(f"{name} takes a range of texts {form} that exist, or of Python dates and times")
    return text


def _uid_list(name: str, values: Iterable[object]) -> str:
    uids = list(dict.fromkeys(str(uid).strip(" ") for uid in values))
    if not uids:
        raise InvalidArgument(f"{name} is an empty list, which nothing can match; leave it out to match anything")
    if not all(uids):
        raise InvalidArgument(f"{name} lists an empty UID; leave it out")
    return ",".join(uids)
