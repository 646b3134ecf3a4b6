"""DICOM JSON -> a typed DataFrame, column by column: no row ever becomes an object.

Source: DICOM PS3.18 Annex F (DICOM JSON model), edition 2025.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dicomkit.errors import LenientValueWarning, warn
from dicomkit.frames.arrays import BULK, array_of
from dicomkit.frames.columns import Column, attribute

__all__ = ["TIMEZONE", "ColumnBuilder", "cells_of", "first_values", "frame_of"]

Rows = Sequence[Mapping[str, Any]]
TIMEZONE = "00080201"
"""TimezoneOffsetFromUTC, by which columns of DT are read."""

PORTION = 20_000
"""Rows whose cells are kept until they become arrays."""


class ColumnBuilder:
    """Columns that grow by pages: each page is taken apart at once and can be let go, and soon becomes typed arrays.

    Parameters
    ----------
    columns
        What the frame has, in this order.
    all_fields
        Whether attributes outside *columns* are wanted too; they follow in the order of their tags.
    """

    def __init__(self, columns: Sequence[Column], *, all_fields: bool = False) -> None:
        self.columns = list(columns)
        self.all_fields = all_fields
        self.length = 0
        self._fixed = len(self.columns)
        self._cells: dict[str, list[Any]] = {column.tag: [] for column in columns}
        self._zones: list[Any] = []
        self._arrays: dict[str, list[Any]] = {column.tag: [] for column in columns}
        self._bad: dict[str, int] = {}
        self._pending = 0

    def __len__(self) -> int:
        return self.length

    def extend(self, rows: Rows) -> None:
        """Take a page of rows."""
        if self.all_fields:
            for tag in sorted(set().union(*rows) - self._cells.keys()):
                self._add(attribute(tag))
        for column in self.columns:
            self._cells[column.tag].extend(cells_of(rows, column))
        if any(column.vr == "DT" for column in self.columns):
            self._zones.extend([None] * (self._pending - len(self._zones)))
            self._zones.extend(_values(rows, TIMEZONE))
        self._pending += len(rows)
        self.length += len(rows)
        if self._pending >= PORTION:
            self._convert()

    def extend_arrays(self, length: int, arrays: Mapping[str, tuple[Any, int]]) -> None:
        """Take *length* rows that are arrays already: of each column what ``array_of`` gives, by its tag."""
        if self._pending:
            self._convert()
        for tag, (array, bad) in arrays.items():
            self._arrays[tag].append(array)
            self._bad[tag] = self._bad.get(tag, 0) + bad
        self.length += length

    def _add(self, column: Column) -> None:
        self.columns.append(column)
        self._cells[column.tag] = [None] * self._pending
        done = self.length - self._pending
        self._arrays[column.tag] = [array_of(column, [None] * done, [None] * done)[0]] if done else []

    def _convert(self) -> None:
        """Make arrays of the cells, which take many times the memory."""
        for column in self.columns:
            array, bad = array_of(column, self._cells[column.tag], self._zones)
            self._arrays[column.tag].append(array)
            self._bad[column.tag] = self._bad.get(column.tag, 0) + bad
            self._cells[column.tag] = []
        self._zones = []
        self._pending = 0

    def frame(self) -> pd.DataFrame:
        """The DataFrame.

        Warns
        -----
        LenientValueWarning
            Values that are none of their VR are missing in the frame; the warning names column and count.
        """
        columns = self.columns[: self._fixed] + sorted(self.columns[self._fixed :], key=lambda column: column.tag)
        if self._pending or not self.length:
            self._convert()
        arrays: dict[str, Any] = {}
        for column in columns:
            arrays[column.name] = _joined(self._arrays[column.tag])
            self._arrays[column.tag] = [arrays[column.name]]
            bad = self._bad[column.tag]
            if bad:
                warn(
                    f"{column.name}: {bad} of {self.length} values break the rules of {column.vr or 'their VR'} "
                    "and are missing here; metadata() gives them as they are",
                    LenientValueWarning,
                )
        return pd.DataFrame(arrays, index=pd.RangeIndex(self.length), copy=False)


def frame_of(rows: Rows, columns: Iterable[Column]) -> pd.DataFrame:
    """A typed frame of DICOM JSON rows (see ``frames.columns`` for the types)."""
    builder = ColumnBuilder(tuple(columns))
    builder.extend(rows)
    return builder.frame()


def first_values(rows: Rows, tag: str) -> list[Any]:
    """The first value of *tag* in each row, ``None`` where it has none."""
    return [value[0] if value else None for value in _values(rows, tag)]


def _joined(arrays: Sequence[Any]) -> Any:
    """One array of several with the same dtype."""
    if len(arrays) == 1:
        return arrays[0]
    if all(isinstance(array, np.ndarray) for array in arrays):
        return np.concatenate(arrays)
    return pd.concat([pd.Series(array, copy=False) for array in arrays], ignore_index=True).array


def cells_of(rows: Rows, column: Column) -> list[Any]:
    """What ``array_of`` takes: the ``Value`` arrays of a column, or its whole elements where its VR is bulk."""
    if column.vr in BULK:
        return [row.get(column.tag) for row in rows]
    values = _values(rows, column.tag)
    if not column.vr:  # nothing is known of it: keep what a Value array does not hold
        for i, row in enumerate(rows):
            element = row.get(column.tag)
            if values[i] is None and isinstance(element, dict) and element.keys() - {"vr"}:
                values[i] = [element]
    return values


def _values(rows: Rows, tag: str) -> list[Any]:
    """The ``Value`` array of *tag* in each row, ``None`` where it has none."""
    try:
        values = [element.get("Value") if (element := row.get(tag)) else None for row in rows]
    except AttributeError:  # a row or an element that is no object
        found = (row.get(tag) if isinstance(row, dict) else None for row in rows)
        values = [element.get("Value") if isinstance(element, dict) else None for element in found]
    if not {list, type(None)}.issuperset(map(type, values)):
        values = [value if isinstance(value, list) else None for value in values]
    return values
