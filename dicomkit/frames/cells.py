"""Cells of a frame as plain values, column by column, for formats that know no dtypes.

========================  =====================================================================================
dtype                     becomes
========================  =====================================================================================
``datetime64``            ``"2004-01-19"``; ``"2004-01-19T07:27:30"`` in a column in which any has a time of day
``datetime64``, UTC       ``"2004-01-19T07:27:30.123000Z"``
``timedelta64``           ``"07:27:30"``, ``"07:27:30.123000"``: a time of day
``Int64``, ``Float64``    a number; what is not finite is missing
an Arrow decimal          text, so that no digit is lost
bytes                     Base64
a tuple, a list           a list of these
missing                   ``None``
========================  =====================================================================================

Source: RFC 8259 (JSON), ISO 8601-1.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["missing_cells", "plain_cells"]


def plain_cells(column: pd.Series) -> list[Any]:
    """The cells of a column: text, numbers, booleans, lists and dicts of these, and ``None``."""
    kind = column.dtype
    if isinstance(kind, pd.DatetimeTZDtype):
        return _each(column.dt.tz_convert("UTC"), _moment)
    if kind.kind == "M":
        there = column.dropna()
        is_dates = bool((there == there.dt.normalize()).all())
        return _each(column, _date if is_dates else _local)
    if kind.kind == "m":
        return _each(column, _time)
    return _each(column, _plain)


def missing_cells(column: pd.Series[Any]) -> pd.Series[bool]:
    """Which cells hold no value; where there can be several, none of them."""
    if column.dtype != object:
        return column.isna()
    return column.map(_is_nothing).astype(bool)


def _is_nothing(cell: Any) -> bool:
    return not cell if isinstance(cell, tuple | list | str) else bool(pd.isna(cell))


def _each(column: pd.Series, plain: Callable[[Any], Any]) -> list[Any]:
    return [None if is_missing else plain(cell) for cell, is_missing in zip(column, _missing(column), strict=True)]


def _missing(column: pd.Series) -> np.ndarray[Any, Any]:
    return np.asarray(column.isna(), dtype=bool)


def _date(value: pd.Timestamp) -> str:
    return value.date().isoformat()


def _local(value: pd.Timestamp) -> str:
    return value.isoformat()


def _moment(value: pd.Timestamp) -> str:
    return value.tz_localize(None).isoformat() + "Z"


def _time(value: pd.Timedelta) -> str:
    seconds, microseconds = divmod(value // pd.Timedelta(1, "us"), 1_000_000)
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    text = f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{microseconds:06}" if microseconds else text


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, str | bool):
        return value
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    return _of_library(value)


def _of_library(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        return _local(value) if value.tzinfo is None else _moment(value.tz_convert("UTC"))
    if isinstance(value, pd.Timedelta | datetime.timedelta):
        return _time(pd.Timedelta(value))
    if isinstance(value, datetime.datetime):
        return _plain(pd.Timestamp(value))
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return str(value)
