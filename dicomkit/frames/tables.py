"""Plain rows -> a frame with the columns of a table in ``frames.columns``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dicomkit.frames.arrays import strings
from dicomkit.frames.columns import Column

__all__ = ["table"]


def table(columns: Sequence[Column], cells: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """A frame of *columns*, whose dtypes do not depend on the cells.

    Parameters
    ----------
    cells
        A sequence for each column name, all of the same length; ``None`` is missing.
    """
    length = len(cells[columns[0].name])
    arrays = {column.name: _array(column.dtype, cells[column.name]) for column in columns}
    return pd.DataFrame(arrays, index=pd.RangeIndex(length), copy=False)


def _array(dtype: str, values: Sequence[Any]) -> Any:
    if dtype == "str":
        return strings(list(values))
    if dtype == "object":
        return np.fromiter(values, dtype=object, count=len(values))
    if dtype.startswith("datetime64"):
        return pd.DatetimeIndex(pd.to_datetime(list(values), utc=", UTC" in dtype, format="ISO8601")).astype(dtype)
    return pd.array(list(values), dtype=dtype)  # type: ignore[call-overload]
