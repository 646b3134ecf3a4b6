"""Cells of one column (``Value`` arrays of the DICOM JSON model) -> one typed array.

The usual case, every value as its VR wants it, is a comprehension and one pandas or numpy call; a value that is not
sends its column the slow way, which counts what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dicomkit.frames.columns import Column
from dicomkit.frames.scalars import Memo, date_us, instant_us, integer, name_text, number, text, time_us

__all__ = ["BULK", "array_of", "strings"]

BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""VRs whose cells keep the whole element, since InlineBinary and BulkDataURI stand beside ``Value``."""

Cell = list[Any] | None

_NAT = int(np.iinfo(np.int64).min)
_STRINGS = frozenset({str, type(None)})
_INTEGERS = frozenset({int, type(None)})
_NUMBERS = frozenset({int, float, type(None)})

_ALPHABETIC = {"Alphabetic"}

_SCALARS: dict[str, Callable[[Any], Any]] = {
    "DA": date_us,
    "TM": time_us,
    "DT": instant_us,
    "PN": name_text,
    **dict.fromkeys(("IS", "SL", "SS", "SV", "UL", "US", "UV"), integer),
    **dict.fromkeys(("DS", "FD", "FL"), number),
}


def array_of(column: Column, cells: Sequence[Cell], zones: Sequence[Cell]) -> tuple[Any, int]:
    """The typed array of *cells*, and how many values had to be left out of it.

    Parameters
    ----------
    cells
        ``Value`` arrays, ``None`` for an absent or empty attribute.
    zones
        ``Value`` arrays of TimezoneOffsetFromUTC in the same rows.
    """
    if column.vr == "SQ":
        return _objects([cell or [] for cell in cells]), 0
    if column.vr in BULK:
        return _objects(cells), 0
    if column.is_multiple:
        return _tuples(column, cells, zones)
    if any(cells):
        values = [cell[0] if cell else None for cell in cells]
        several = [i for i, cell in enumerate(cells) if cell and len(cell) > 1]
    else:  # most columns of a search that asks for little
        values, several = [None] * len(cells), []
    if column.dtype == "str":
        return _text(column, values, cells, several)
    for i in several:  # more values than the VM allows: none of them is *the* value
        values[i] = None
    array, bad = _numeric(column, values, zones)
    return array, bad + len(several)


def strings(values: Sequence[str | None]) -> Any:
    """A pandas array of text, ``None`` as missing."""
    return pd.array(values, dtype="str")


def _objects(values: Sequence[Any]) -> Any:
    return np.fromiter(values, dtype=object, count=len(values))


def _text(column: Column, values: list[Any], cells: Sequence[Cell], several: list[int]) -> tuple[Any, int]:
    if column.vr == "PN":
        values = [
            value["Alphabetic"] if type(value) is dict and value.keys() == _ALPHABETIC else name_text(value)
            for value in values
        ]
    convert = name_text if column.vr == "PN" else text
    for i in several:  # kept, as DICOM itself writes several values
        values[i] = "\\".join(convert(value) or "" for value in cells[i] or ())
    if _STRINGS.issuperset(map(type, values)):
        return strings(values), 0
    texts = [text(value) for value in values]
    return strings(texts), texts.count(None) - values.count(None)


def _numeric(column: Column, values: list[Any], zones: Sequence[Cell]) -> tuple[Any, int]:
    if column.vr in ("DA", "TM", "DT"):
        return _times(column, values, zones)
    is_integer = column.dtype != "Float64"
    if (_INTEGERS if is_integer else _NUMBERS).issuperset(map(type, values)):
        try:
            # pandas notices a cast that went wrong by its result; numpy would warn of it as well.
            with np.errstate(invalid="ignore"):
                return pd.array(values, dtype=column.dtype), 0  # type: ignore[call-overload]
        except (OverflowError, ValueError, TypeError):
            pass  # a number outside 64 bits: the slow way finds it
    convert = _within(column.dtype) if is_integer else number
    numbers = [convert(value) for value in values]
    array = pd.array(numbers, dtype=column.dtype)  # type: ignore[call-overload]
    return array, numbers.count(None) - _missing(values)


def _within(dtype: str) -> Callable[[Any], int | None]:
    low, high = (0, 2**64) if dtype == "UInt64" else (-(2**63), 2**63)

    def convert(value: Any) -> int | None:
        found = integer(value)
        return found if found is not None and low <= found < high else None

    return convert


def _times(column: Column, values: list[Any], zones: Sequence[Cell]) -> tuple[Any, int]:
    missing = _missing(values)
    if not _STRINGS.issuperset(map(type, values)):
        values = [value if isinstance(value, str) else None for value in values]
    convert = _SCALARS[column.vr]
    memo = Memo(lambda key: _NAT if (found := convert(key)) is None else found)
    if column.vr == "DT":
        keys = [(value, _zone(zone)) for value, zone in zip(values, zones, strict=True)]
        array = np.array([memo[key] for key in keys], dtype=np.int64)
    else:
        array = np.array([memo[value] for value in values], dtype=np.int64)
    bad = int(np.count_nonzero(array == _NAT)) - missing
    if column.vr == "TM":
        return array.view("m8[us]"), bad
    moments = array.view("M8[us]")
    return (pd.DatetimeIndex(moments).tz_localize("UTC") if column.vr == "DT" else moments), bad


def _tuples(column: Column, cells: Sequence[Cell], zones: Sequence[Cell]) -> tuple[Any, int]:
    scalar = _SCALARS.get(column.vr, text)
    if column.vr == "UV" or not column.vr:
        scalar = integer if column.vr else _as_it_is
    bad = 0
    if scalar is text and all(_STRINGS.issuperset(map(type, cell)) for cell in cells if cell):
        return _objects([tuple(cell) if cell else () for cell in cells]), 0
    rows: list[tuple[Any, ...]] = []
    for i, cell in enumerate(cells):
        if not cell:
            rows.append(())
            continue
        values = [(value, _zone(zones[i])) for value in cell] if column.vr == "DT" else cell
        found = [scalar(value) for value in values]
        bad += sum(new is None and old not in (None, "") for old, new in zip(cell, found, strict=True))
        rows.append(tuple(_boxed(column.vr, value) for value in found))
    return _objects(rows), bad


def _boxed(vr: str, value: Any) -> Any:
    """What a cell of a tuple holds: the scalar that the single-valued column would give."""
    if value is None:
        return None
    if vr == "TM":
        return pd.Timedelta(value, unit="us")
    if vr in ("DA", "DT"):
        return pd.Timestamp(value, unit="us", tz="UTC" if vr == "DT" else None)
    return value


def _as_it_is(value: Any) -> Any:
    return value


def _zone(cell: Cell) -> str | None:
    return cell[0] if cell and isinstance(cell[0], str) else None


def _missing(values: Sequence[Any]) -> int:
    """Values that are absent, not wrong: null, and the empty text that some servers send for it."""
    return sum(value is None or value == "" for value in values)
