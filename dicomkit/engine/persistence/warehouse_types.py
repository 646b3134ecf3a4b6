"""BigQuery's column types in DuckDB and in Arrow, and the one place where an identifier is quoted.

================ ============================ =====================================
BigQuery         DuckDB                       what a row brings in JSON
================ ============================ =====================================
STRING           VARCHAR                      text
INTEGER          BIGINT                       a number
FLOAT            DOUBLE                       a number
BOOLEAN          BOOLEAN                      true, false
NUMERIC          DECIMAL(38, 9)               text
BYTES            BLOB                         base64 text
DATE             DATE                         ``2018-04-27``
TIME             TIME                         ``20:08:07.000001``
DATETIME         TIMESTAMP                    ``2018-04-27 20:08:07``
TIMESTAMP        TIMESTAMP WITH TIME ZONE     ``2018-04-27T20:08:07Z``
JSON             JSON                         text
RECORD           STRUCT                       an object
mode REPEATED    a list of the type           an array
================ ============================ =====================================

Source: BigQuery REST v2, ``TableFieldSchema``; GoogleSQL, "Data types"; DuckDB, "Data types".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import pyarrow as pa

from dicomkit.errors import InvalidArgument

__all__ = [
    "Field",
    "arrow_type",
    "canonical_type",
    "column_type",
    "is_repeated",
    "json_type",
    "quote",
    "result_fields",
    "scalar_type",
]

Field: TypeAlias = dict[str, Any]
"""``TableFieldSchema``: ``{"name", "type", "mode", "fields"?}``."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")

_ALIASES = {
    "INT64": "INTEGER",
    "FLOAT64": "FLOAT",
    "BOOL": "BOOLEAN",
    "STRUCT": "RECORD",
    "DECIMAL": "NUMERIC",
}

_SCALARS = {
    "STRING": "VARCHAR",
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "NUMERIC": "DECIMAL(38,9)",
    "BYTES": "BLOB",
    "DATE": "DATE",
    "TIME": "TIME",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "JSON": "JSON",
}

_JSON: dict[str, pa.DataType] = {"INTEGER": pa.int64(), "FLOAT": pa.float64(), "BOOLEAN": pa.bool_()}
"""Types that JSON itself has; everything else arrives as text."""

_RESULTS = {
    "varchar": "STRING",
    "boolean": "BOOLEAN",
    "double": "FLOAT",
    "float": "FLOAT",
    "blob": "BYTES",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "DATETIME",
    "timestamp with time zone": "TIMESTAMP",
    "decimal": "NUMERIC",
    # An aggregate of integers is wider in DuckDB than BigQuery's INT64; the encoder checks the range.
    **dict.fromkeys(
        ("tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint"),
        "INTEGER",
    ),
    # The type of a bare NULL; BigQuery calls it INT64.
    '"null"': "INTEGER",
    "null": "INTEGER",
    "sqlnull": "INTEGER",
}


def quote(name: str) -> str:
    """*name* as an SQL identifier.

    Raises
    ------
    InvalidArgument
        *name* is no BigQuery column name: letters, digits and underscores, not a digit first, at most 300.
    """
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            "a column name is made of ASCII letters, digits and underscores, does not begin with a digit and has "
            f"at most 300 characters; got {name!r:.80}"
        )
    return f'"{name}"'


def canonical_type(name: object) -> str:
    """BigQuery's type *name* in the spelling of its REST API (``INT64`` is ``INTEGER``)."""
    upper = str(name).upper()
    return _ALIASES.get(upper, upper)


def scalar_type(kind: str) -> str:
    """DuckDB's type for a BigQuery type that is no RECORD."""
    try:
        return _SCALARS[canonical_type(kind)]
    except KeyError:
        raise InvalidArgument(f"the type {kind!r:.40} is not supported by the embedded BigQuery") from None


def is_repeated(field: Field) -> bool:
    """Whether the mode is REPEATED."""
    return str(field.get("mode", "")).upper() == "REPEATED"


def column_type(field: Field) -> str:
    """DuckDB's type for *field*, nested fields and mode included."""
    kind = canonical_type(field.get("type"))
    if kind == "RECORD":
        inner = ", ".join(f"{quote(part['name'])} {column_type(part)}" for part in field.get("fields", ()))
        kind = f"STRUCT({inner})"
    else:
        kind = scalar_type(kind)
    return f"{kind}[]" if is_repeated(field) else kind


def json_type(field: Field) -> pa.DataType:
    """The Arrow type in which a row's JSON is read for *field*; the cast to the column's type is DuckDB's."""
    kind = canonical_type(field.get("type"))
    if kind == "RECORD":
        inner: pa.DataType = pa.struct([(part["name"], json_type(part)) for part in field.get("fields", ())])
    else:
        inner = _JSON.get(kind, pa.string())
    return pa.list_(inner) if is_repeated(field) else inner


_ARROW: dict[str, pa.DataType] = {
    "STRING": pa.string(),
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "NUMERIC": pa.decimal128(38, 9),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "JSON": pa.string(),
}


def arrow_type(field: Field) -> pa.DataType:
    """The Arrow type that holds what *field* holds, without a text in between."""
    kind = canonical_type(field.get("type"))
    if kind == "RECORD":
        inner: pa.DataType = pa.struct([(part["name"], arrow_type(part)) for part in field.get("fields", ())])
    else:
        scalar_type(kind)
        inner = _ARROW[kind]
    return pa.list_(inner) if is_repeated(field) else inner


def result_fields(description: Sequence[Sequence[Any]]) -> list[Field]:
    """The schema of a query's result, from the cursor's description (PEP 249)."""
    return [_result_field(name, kind) for name, kind, *_ in description]


def _result_field(name: str, kind: Any) -> Field:
    if kind.id == "list":
        inner = _result_field(name, kind.children[0][1])
        return inner | {"mode": "REPEATED"}
    if kind.id == "struct":
        fields = [_result_field(part, inner) for part, inner in kind.children]
        return {"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": fields}
    if str(kind) == "JSON":
        return {"name": name, "type": "JSON", "mode": "NULLABLE"}
    if kind.id not in _RESULTS:
        raise InvalidArgument(f"a result of type {kind} is not supported by the embedded BigQuery")
    return {"name": name, "type": _RESULTS[kind.id], "mode": "NULLABLE"}
