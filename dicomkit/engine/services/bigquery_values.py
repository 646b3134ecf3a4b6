"""One row of an insertAll request, checked value by value: only for batches that did not pass as a whole.

What comes out is the row in the forms that the batch reader takes; what is wrong is told with the path of the field,
in BigQuery's words.

Source: BigQuery REST v2, ``tabledata.insertAll``; GoogleSQL, "Data types" (canonical formats and ranges).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import decimal
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from dicomkit.engine.persistence.warehouse_types import Field

__all__ = ["checked_row"]

_DATE = r"(\d{4})-(\d{1,2})-(\d{1,2})"
_TIME = r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,6}))?"
_DATE_FORM = re.compile(_DATE, re.ASCII)
_TIME_FORM = re.compile(_TIME, re.ASCII)
_STAMP_FORM = re.compile(rf"{_DATE}(?:[ Tt]{_TIME})?", re.ASCII)
_ZONE_FORM = re.compile(r" ?(?:[Zz]|UTC|([+-])(\d{1,2})(?::?(\d{2}))?)$", re.ASCII)
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 63) - 1
_NUMERIC_MAX = decimal.Decimal(10) ** 29
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class _Wrong(Exception):
    """A value that its column does not take; the text is BigQuery's message, without the value."""


def checked_row(
    row: object, fields: Sequence[Field], *, ignore_unknown: bool
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The row as the batch reader takes it, and what is wrong with it.

    Returns
    -------
    (row, errors)
        *errors* are ``ErrorProto`` objects; the row is to be used only when there are none.
    """
    errors: list[dict[str, str]] = []
    if not isinstance(row, Mapping):
        return {}, [_error("", "The row is not a JSON object")]
    return _record(row, fields, "", errors, ignore_unknown), errors


def _error(location: str, message: str) -> dict[str, str]:
    return {"reason": "invalid", "location": location, "debugInfo": "", "message": message}


def _record(
    row: Mapping[str, Any], fields: Sequence[Field], path: str, errors: list[dict[str, str]], ignore_unknown: bool
) -> dict[str, Any]:
    known = {field["name"].lower(): field for field in fields}
    clean: dict[str, Any] = {}
    for name, value in row.items():
        field = known.get(str(name).lower())
        where = f"{path}.{name}" if path else str(name)
        if field is None:
            if not ignore_unknown:
                errors.append(_error(where[:300], f"no such field: {where[:300]}."))
        elif field["name"] in clean:
            errors.append(_error(where[:300], f"field {field['name']} is given twice."))
        else:
            clean[field["name"]] = _value(value, field, where, errors, ignore_unknown)
    for field in fields:
        if field.get("mode") == "REQUIRED" and clean.get(field["name"]) is None:
            where = f"{path}.{field['name']}" if path else field["name"]
            errors.append(_error(where, f"Missing required field: {where}."))
    return clean


def _value(value: Any, field: Field, path: str, errors: list[dict[str, str]], ignore_unknown: bool) -> Any:
    if field.get("mode") == "REPEATED":
        if value is None:
            return []
        if not isinstance(value, list):
            errors.append(_error(path, f"Repeated field must be imported as a JSON array. Field: {field['name']}."))
            return []
        if any(item is None for item in value):
            errors.append(_error(path, f"Only optional fields can be set to NULL. Field: {field['name']}; Value: NULL"))
            return []
        inner = {**field, "mode": "NULLABLE"}
        return [_value(item, inner, f"{path}[{n}]", errors, ignore_unknown) for n, item in enumerate(value)]
    if value is None:
        return None
    if field["type"] == "RECORD":
        if not isinstance(value, Mapping):
            errors.append(_error(path, f"This field: {field['name']} is a record."))
            return None
        return _record(value, field["fields"], path, errors, ignore_unknown)
    if isinstance(value, dict | list) and field["type"] != "JSON":
        errors.append(_error(path, f"This field: {field['name']} is not a record."))
        return None
    try:
        return _CONVERTERS[field["type"]](value)
    except _Wrong as wrong:
        errors.append(_error(path, str(wrong)))
    return None


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool):
        raise _Wrong("Cannot convert value to integer (bad value)")
    try:
        number = int(value) if not isinstance(value, float) or value.is_integer() else None
    except (ValueError, OverflowError):
        number = None
    if number is None or not _INT_MIN <= number <= _INT_MAX:
        raise _Wrong("Cannot convert value to integer (bad value)")
    return number


def _float(value: Any) -> float:
    # NaN and the infinities are values of FLOAT, but JSON has no number for them.
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or (isinstance(value, str) and "_" in value):
        raise _Wrong("Cannot convert value to double (bad value)")
    return number


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text not in ("true", "false", "1", "0", "t", "f", "yes", "no", "y", "n"):
        raise _Wrong("Cannot convert value to boolean (bad value)")
    return text[0] in "t1y"


def _numeric(value: Any) -> str:
    try:
        number = decimal.Decimal(str(value))
        text = format(number.quantize(decimal.Decimal("1e-9"), context=decimal.Context(prec=60)), "f")
    except (decimal.InvalidOperation, ValueError):
        raise _Wrong("Invalid NUMERIC value") from None
    if not number.is_finite() or abs(number) >= _NUMERIC_MAX or isinstance(value, bool):
        raise _Wrong("Invalid NUMERIC value")
    return text


def _bytes(value: Any) -> str:
    try:
        text = str(value).replace("-", "+").replace("_", "/")
        return base64.b64encode(base64.b64decode(text, validate=True)).decode("ascii")
    except (binascii.Error, ValueError):
        raise _Wrong("Could not decode base64 string to bytes") from None


def _date(value: Any) -> str:
    match = _DATE_FORM.fullmatch(str(value).strip())
    try:
        if match:
            return dt.date(*(int(part) for part in match.groups())).isoformat()
    except ValueError:
        pass
    raise _Wrong("Could not parse as DATE with message 'Invalid date'")


def _time(value: Any) -> str:
    match = _TIME_FORM.fullmatch(str(value).strip())
    try:
        if match:
            return dt.time(*_clock(match.groups())).isoformat()
    except ValueError:
        pass
    raise _Wrong("Could not parse as TIME with message 'Invalid time'")


def _clock(parts: Sequence[str | None]) -> tuple[int, int, int, int]:
    hour, minute, second, fraction = parts
    return int(hour or 0), int(minute or 0), int(second or 0), int((fraction or "").ljust(6, "0"))


def _stamp(text: str) -> dt.datetime | None:
    match = _STAMP_FORM.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day = (int(part) for part in match.groups()[:3])
    try:
        return dt.datetime(year, month, day, *_clock(match.groups()[3:]))  # noqa: DTZ001 - the zone is the caller's
    except ValueError:
        return None


def _datetime(value: Any) -> str:
    stamp = _stamp(str(value))
    if stamp is None:
        raise _Wrong("Could not parse as DATETIME with message 'Invalid datetime string'")
    return stamp.isoformat(sep=" ")


def _timestamp(value: Any) -> str:
    stamp: dt.datetime | None = None
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            # A number is seconds since 1970.
            stamp = _EPOCH + dt.timedelta(seconds=value)
        else:
            text = str(value).strip()
            zone = _ZONE_FORM.search(text)
            local = _stamp(text[: zone.start()] if zone else text)
            if local is not None:
                sign, hours, minutes = zone.groups() if zone else (None, None, None)
                offset = dt.timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
                stamp = local.replace(tzinfo=dt.UTC) - (-offset if sign == "-" else offset)
    except (OverflowError, ValueError):
        stamp = None
    if stamp is None:
        raise _Wrong("Could not parse as TIMESTAMP. Required format is YYYY-MM-DD HH:MM[:SS[.SSSSSS]][time zone]")
    return stamp.isoformat(sep=" ")


def _json(value: Any) -> str:
    if not isinstance(value, str):
        return orjson.dumps(value).decode()
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        raise _Wrong("Invalid JSON") from None
    return value


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "STRING": _string,
    "INTEGER": _integer,
    "FLOAT": _float,
    "BOOLEAN": _boolean,
    "NUMERIC": _numeric,
    "BYTES": _bytes,
    "DATE": _date,
    "TIME": _time,
    "DATETIME": _datetime,
    "TIMESTAMP": _timestamp,
    "JSON": _json,
}
