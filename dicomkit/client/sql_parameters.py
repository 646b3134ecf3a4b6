"""Values of Python -> query parameters of BigQuery, whose types follow the values.

====================================  ===============================
value                                 type
====================================  ===============================
bool, int, float, str, bytes          BOOL, INT64, FLOAT64, STRING, BYTES
datetime.date, datetime.time          DATE, TIME
datetime.datetime, pandas.Timestamp   DATETIME; with a zone TIMESTAMP
decimal.Decimal                       NUMERIC; BIGNUMERIC where it has more digits
list, tuple, Series, Index, array     ARRAY, of the first element's type
dict                                  STRUCT
====================================  ===============================

numpy's scalars count as Python's. What has no value to tell its type by (``None``, an empty list) is given as a
parameter of ``google.cloud.bigquery``, and so is any other type.

Source: BigQuery documentation, "Running parameterized queries"; GoogleSQL reference, "Data types".
"""

from __future__ import annotations

import copy
import datetime
import decimal
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dicomkit.errors import InvalidArgument

__all__ = ["parameters"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_INT64 = range(-(1 << 63), 1 << 63)


def parameters(params: Mapping[str, Any] | None) -> list[Any]:
    """Query parameters for ``QueryJobConfig``.

    Raises
    ------
    InvalidArgument
        A name is none, or a value has no type here; the message says which.
    """
    return [_parameter(name, value) for name, value in (params or {}).items()]


def _parameter(name: str, value: Any) -> Any:
    from google.cloud import bigquery

    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidArgument(f"a parameter is named by letters, digits and underscores; got {name!a:.60}")
    return _named(bigquery, name, value, name)


def _named(bigquery: Any, name: str | None, value: Any, path: str) -> Any:
    kinds = (bigquery.ScalarQueryParameter, bigquery.ArrayQueryParameter, bigquery.StructQueryParameter)
    if isinstance(value, kinds):
        given: Any = copy.copy(value)
        given.name = name
        return given
    value = _plain(value)
    if isinstance(value, Mapping):
        if not value:
            raise InvalidArgument(f"the parameter {path!a:.60} is an empty dict, and a STRUCT has fields")
        fields = [_named(bigquery, str(key), each, f"{path}.{key}") for key, each in value.items()]
        return bigquery.StructQueryParameter(name, *fields)
    if isinstance(value, list):
        return _array(bigquery, name, value, path)
    return bigquery.ScalarQueryParameter(name, _type_of(path, value), value)


def _array(bigquery: Any, name: str | None, values: list[Any], path: str) -> Any:
    if not values:
        raise InvalidArgument(
            f"the parameter {path!a:.60} is an empty list, whose type cannot be told; give "
            f"google.cloud.bigquery.ArrayQueryParameter({path!a:.60}, 'STRING', [])"
        )
    items = [_plain(each) for each in values]
    if any(isinstance(each, list) for each in items):
        raise InvalidArgument(f"the parameter {path!a:.60} is a list of lists, and BigQuery has no ARRAY of ARRAY")
    if isinstance(items[0], Mapping):
        return bigquery.ArrayQueryParameter(
            name, "STRUCT", [_named(bigquery, None, each, f"{path}[{n}]") for n, each in enumerate(items)]
        )
    types = {_type_of(f"{path}[{n}]", each) for n, each in enumerate(items)}
    if types == {"INT64", "FLOAT64"}:
        types = {"FLOAT64"}
    if len(types) > 1:
        raise InvalidArgument(f"the parameter {path!a:.60} has elements of several types: {', '.join(sorted(types))}")
    return bigquery.ArrayQueryParameter(name, types.pop(), items)


def _plain(value: Any) -> Any:
    """Python's own form of what pandas and numpy have; a list of what holds several values."""
    if isinstance(value, pd.Series | pd.Index | np.ndarray | pd.api.extensions.ExtensionArray):
        return list(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime(warn=False)
    return value.item() if isinstance(value, np.generic) else value


def _type_of(path: str, value: Any) -> str:
    if isinstance(value, datetime.datetime) and value is not pd.NaT:
        return "DATETIME" if value.tzinfo is None else "TIMESTAMP"
    if isinstance(value, decimal.Decimal) and value.is_finite():
        exponent = value.as_tuple().exponent
        digits = value.adjusted() + 1
        return "NUMERIC" if isinstance(exponent, int) and exponent >= -9 and digits <= 29 else "BIGNUMERIC"
    if isinstance(value, int) and not isinstance(value, bool) and value not in _INT64:
        raise InvalidArgument(f"the parameter {path!a:.60} does not fit INT64")
    types = ((bool, "BOOL"), (int, "INT64"), (float, "FLOAT64"), (str, "STRING"), (bytes, "BYTES"))
    for kind, type_name in (*types, (datetime.date, "DATE"), (datetime.time, "TIME")):
        if isinstance(value, kind) and value is not pd.NaT:
            return type_name
    raise InvalidArgument(
        f"the parameter {path!a:.60} is a {type(value).__name__}, whose type in SQL cannot be told; SQL takes text, "
        "numbers, dates and times, lists and dicts of them, and parameters of google.cloud.bigquery"
    )
