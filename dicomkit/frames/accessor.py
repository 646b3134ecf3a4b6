"""``frame.dicom``: what every frame with columns of DICOM keywords can do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd

from dicomkit.dicom.attributes import ALL_FIELDS, COMPUTED, DEFAULTS, UIDS, Level, levels_down_to
from dicomkit.dicom.dictionary import name_of, tag_of, vr_of
from dicomkit.errors import InvalidArgument
from dicomkit.frames.cells import missing_cells
from dicomkit.frames.spreadsheet import write_spreadsheet
from dicomkit.frames.table_columns import ATTRIBUTES
from dicomkit.frames.tables import table

__all__ = ["DicomAccessor"]

_OF_LEVEL: dict[Level, frozenset[str]] = {
    level: frozenset((*DEFAULTS[level], *ALL_FIELDS[level], *COMPUTED[level], uid))
    for level, uid in zip(DEFAULTS, UIDS, strict=True)
}
_BELOW = {"SeriesInstanceUID": "series", "SOPInstanceUID": "instances"}


@pd.api.extensions.register_dataframe_accessor("dicom")
class DicomAccessor:
    """Studies, series and attributes of a frame whose columns are DICOM keywords."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def studies(self) -> pd.DataFrame:
        """The studies of the frame: one row each, in the order of their first rows.

        Returns
        -------
        DataFrame
            The columns that belong to a study, from its first row, and ``series`` and ``instances``: how many of
            these the frame has of it, where it has their UIDs.

        Raises
        ------
        InvalidArgument
            The frame has no ``StudyInstanceUID``.
        """
        return self._above("study")

    def series(self) -> pd.DataFrame:
        """The series of the frame: one row each, with the columns of their studies, and ``instances``.

        Raises
        ------
        InvalidArgument
            The frame has no ``SeriesInstanceUID``.
        """
        return self._above("series")

    def uids(self) -> pd.DataFrame:
        """The UIDs alone, each combination once: what ``store.download`` and other verbs need.

        Raises
        ------
        InvalidArgument
            The frame has no ``StudyInstanceUID``.
        """
        self._require("StudyInstanceUID")
        names = [name for name in UIDS if name in self._frame.columns]
        return self._frame[names].dropna(subset=["StudyInstanceUID"]).drop_duplicates(ignore_index=True)

    def describe(self) -> pd.DataFrame:
        """Each column: what it is, how many rows have it, how many different values it has, and their range.

        Returns
        -------
        DataFrame, one row per column, columns ``frames.ATTRIBUTES``.
            ``smallest`` and ``largest`` are of numbers and dates, as text.
        """
        frame = self._frame
        found = [_described(str(name), frame.iloc[:, place]) for place, name in enumerate(frame.columns)]
        return table(ATTRIBUTES, {column.name: [each[column.name] for each in found] for column in ATTRIBUTES})

    def to_excel_safe(self, path: str | os.PathLike[str]) -> Path:
        """Write the frame for a spreadsheet, in which no text is taken for a formula, and return the file's path.

        Parameters
        ----------
        path
            A ``.xlsx`` file (openpyxl writes it) or a ``.csv`` file. An existing one is replaced.

        Raises
        ------
        InvalidArgument
            The suffix is another one, or a sheet cannot hold so many rows or so long a text.
        SetupError
            openpyxl is not installed.
        """
        return write_spreadsheet(self._frame, path)

    def _above(self, level: Level) -> pd.DataFrame:
        levels = levels_down_to(level)
        keys = list(UIDS[: len(levels)])
        self._require(*keys)
        wanted = frozenset[str]().union(*(_OF_LEVEL[each] for each in levels))
        rows = self._frame.dropna(subset=keys)
        names = [*keys, *(name for name in rows.columns if name in wanted and name not in keys)]
        result = rows[names].drop_duplicates(subset=keys, ignore_index=True)
        groups = rows.groupby(keys, sort=False)
        for uid, name in _BELOW.items():
            if uid not in keys and uid in rows.columns and name not in result.columns:
                result[name] = groups[uid].nunique().to_numpy()
        return result

    def _require(self, *names: str) -> None:
        missing = [name for name in names if name not in self._frame.columns]
        if missing:
            raise InvalidArgument(f"the frame has no column {', '.join(missing)}; take one that a search returned")


def _described(name: str, values: pd.Series[Any]) -> dict[str, Any]:
    tag = _tag(name)
    there = values[~missing_cells(values)]
    ranged = there if len(there) and values.dtype.kind in "iufmM" else None
    return {
        "name": name,
        "tag": tag,
        "vr": vr_of(tag) if tag else None,
        "dtype": str(values.dtype),
        "present": len(there),
        "missing": len(values) - len(there),
        "distinct": int(there.map(repr).nunique() if values.dtype == object else there.nunique()),
        "smallest": None if ranged is None else _told(ranged.min()),
        "largest": None if ranged is None else _told(ranged.max()),
        "description": name_of(tag) if tag else None,
    }


def _tag(name: str) -> str | None:
    try:
        return tag_of(name)
    except KeyError:
        return None


def _told(value: Any) -> str:
    if isinstance(value, pd.Timestamp) and value == value.normalize():
        return value.date().isoformat()
    return f"{value:g}" if isinstance(value, float) else str(value)
