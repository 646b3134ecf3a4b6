"""``CAST`` and ``SAFE_CAST``.

Source: GoogleSQL reference, "Conversion functions", "Conversion rules".
"""

from __future__ import annotations

from sqlglot import exp

from dicomkit.engine.services.bigquery_errors import invalid_query
from dicomkit.engine.services.googlesql.constructors import constructed, is_constructor
from dicomkit.engine.services.googlesql.parser import only
from dicomkit.engine.services.googlesql.scope import Scope
from dicomkit.engine.services.googlesql.types import (
    BOOLEAN,
    BYTES,
    DATE,
    DATETIME,
    FLOAT,
    INTEGER,
    NUMERIC,
    STRING,
    TIME,
    TIMESTAMP,
    Sql,
    Type,
    cast_name,
)
from dicomkit.engine.services.googlesql.writer import Writer

__all__ = ["write_cast"]

_CASTS = {
    STRING: "string", INTEGER: "int64", FLOAT: "float64", BOOLEAN: "bool",
    DATE: "date", TIME: "time", DATETIME: "datetime", TIMESTAMP: "timestamp",
}  # fmt: skip


def write_cast(w: Writer, node: exp.Cast, scope: Scope) -> Sql:
    """``CAST`` and ``SAFE_CAST``, and what the parser makes casts of."""
    only(node, "this", "to", "safe")
    safe = isinstance(node, exp.TryCast)
    if is_constructor(node):
        return constructed(w, node, scope)
    target, inner = cast_name(node.args["to"]), w.expr(node.this, scope)
    if inner.type is not None and (inner.type.repeated or inner.type.kind == "RECORD"):
        raise invalid_query(f"Invalid cast from {inner.type} to {target}")
    if target == inner.type:
        return Sql(inner.text, target, inner.literal)
    if target in (BYTES, Type("JSON")) or inner.type in (BYTES, Type("JSON")):
        return _cast_bytes(inner, target, safe=safe)
    if target == NUMERIC:
        return Sql(f"{'TRY_CAST' if safe else 'CAST'}({inner.text} AS DECIMAL(38,9))", NUMERIC)
    if (inner.type, target) == (TIMESTAMP, TIME):
        inner = inner._replace(text=f"CAST({inner.text} AS TIMESTAMP)")
    prefix = "bq_safe_cast_" if safe and target != STRING else "bq_cast_"
    return Sql(f"{prefix}{_CASTS[target]}({inner.text})", target, inner.literal)


def _cast_bytes(inner: Sql, target: Type, *, safe: bool) -> Sql:
    """Between BYTES and STRING, which are each other's UTF-8; JSON has its own functions."""
    if (inner.type, target) == (STRING, BYTES):
        return Sql(f"encode({inner.text})", BYTES, inner.literal)
    if (inner.type, target) == (BYTES, STRING):
        return Sql(f"TRY(decode({inner.text}))" if safe else f"decode({inner.text})", STRING, inner.literal)
    if inner.text == "NULL":
        return Sql(f"CAST(NULL AS {'BLOB' if target == BYTES else 'JSON'})", target)
    raise invalid_query(f"Invalid cast from {inner.type or 'a type that is not known here'} to {target}")
