"""A BigQuery result, as the Arrow table that its official client makes -> a frame that merges with a search.

=====================  =======================  ===========================================================
BigQuery               dtype                    remark
=====================  =======================  ===========================================================
INTEGER                ``Int64``
FLOAT                  ``Float64``
BOOLEAN                ``boolean``
STRING, JSON           ``str``
DATE                   ``datetime64[us]``       as DA in a search
TIME                   ``timedelta64[us]``      since midnight, as TM in a search
DATETIME               ``datetime64[us]``
TIMESTAMP              ``datetime64[us, UTC]``  as DT in a search
NUMERIC, BIGNUMERIC    an Arrow decimal         no digit is lost
BYTES                  ``object``               bytes
REPEATED               ``object``               a tuple, ``()`` when empty, as VM above 1 in a search
RECORD                 ``object``               a dict
REPEATED RECORD        ``object``               a list of dicts, as SQ in a search
=====================  =======================  ===========================================================

Nothing depends on the rows: an empty result has the same dtypes. ``dtypes="arrow"`` leaves every column as Arrow has
it, dates and nested records included. Source: BigQuery data types; pandas 3.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from dicomkit.errors import InvalidArgument

__all__ = ["Dtypes", "check_dtypes", "frame_of_arrow"]

Dtypes = Literal["pandas", "arrow"]
"""Types that merge with a search, or those of Arrow."""


def check_dtypes(dtypes: Dtypes) -> None:
    """Raise ``InvalidArgument`` for what is none."""
    if dtypes not in get_args(Dtypes):
        raise InvalidArgument(f"dtypes is 'pandas' or 'arrow'; got {dtypes!a:.40}")


def frame_of_arrow(table: Any, dtypes: Dtypes = "pandas") -> pd.DataFrame:
    """The frame of a ``pyarrow.Table``; see the module for the types."""
    if dtypes == "arrow":
        frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
        return frame
    columns = {name: _array(column) for name, column in zip(table.column_names, table.columns, strict=True)}
    return pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows), copy=False)


def _array(column: Any) -> Any:
    pa = import_module("pyarrow")  # half of its names have no types, and it comes late on purpose
    kind = column.type
    if pa.types.is_list(kind):
        cells = column.to_pylist()
        if pa.types.is_struct(kind.value_type):
            return _objects([cell or [] for cell in cells])
        return _objects([tuple(cell or ()) for cell in cells])
    if pa.types.is_date32(kind):
        return column.cast(pa.timestamp("us")).to_numpy()
    if pa.types.is_time64(kind):
        return column.cast(pa.int64()).cast(pa.duration("us")).to_numpy()
    if pa.types.is_timestamp(kind):
        moments = column.cast(pa.timestamp("us", kind.tz))
        return moments.to_pandas().array if kind.tz else moments.to_numpy()
    if pa.types.is_decimal(kind):
        return pd.array(column, dtype=pd.ArrowDtype(kind))
    dtype = _dtype(kind)
    return _objects(column.to_pylist()) if dtype is None else column.to_pandas(types_mapper=lambda _: dtype).array


def _dtype(kind: Any) -> Any:
    pa = import_module("pyarrow")
    if pa.types.is_boolean(kind):
        return pd.BooleanDtype()
    if pa.types.is_integer(kind):
        return pd.Int64Dtype()
    if pa.types.is_floating(kind):
        return pd.Float64Dtype()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pd.StringDtype(na_value=np.nan)
    return None


def _objects(values: list[Any]) -> Any:
    return np.fromiter(values, dtype=object, count=len(values))
