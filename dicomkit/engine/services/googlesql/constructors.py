"""Values that are put together with their type written beside them: ``ARRAY<T>[...]``, ``STRUCT<...>(...)``.

Source: GoogleSQL reference, "Data types" (constructing an array, constructing a STRUCT).
"""

from __future__ import annotations

from sqlglot import exp

from dicomkit.engine.persistence.warehouse_types import column_type
from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.definitions import type_field
from dicomkit.engine.services.googlesql.scope import Scope
from dicomkit.engine.services.googlesql.types import Sql, from_field
from dicomkit.engine.services.googlesql.writer import Writer

__all__ = ["constructed", "is_constructor"]


def is_constructor(node: exp.Cast) -> bool:
    """Whether a cast is what the parser makes of a constructor with a type."""
    return node.args["to"].this in (exp.DType.ARRAY, exp.DType.STRUCT) and isinstance(node.this, exp.Array | exp.Struct)


def constructed(w: Writer, node: exp.Cast, scope: Scope) -> Sql:
    """The value, of the type that is written."""
    field = type_field("value", node.args["to"])
    kind, inner = from_field(field), node.this
    if isinstance(inner, exp.Array):
        items = [w.expr(item, scope) for item in inner.expressions]
        for item in items:
            if item.type is not None and item.text != "NULL" and not _fits(item, field["type"]):
                raise invalid_query(f"Array element type {item.type} does not coerce to {kind.element}")
        return Sql(f"CAST([{', '.join(item.text for item in items)}] AS {column_type(field)})", kind)
    if field["type"] != "RECORD" or len(inner.expressions) != len(field["fields"]):
        raise invalid_query("STRUCT type has another number of fields than the values that are given")
    parts = []
    for part, item in zip(field["fields"], inner.expressions, strict=True):
        if isinstance(item, exp.Alias | exp.PropertyEQ):
            raise invalid_query("STRUCT constructors cannot specify both an explicit type and field names")
        value = w.expr(item, scope)
        if value.type is not None and value.text != "NULL" and not _fits(value, part["type"]):
            raise invalid_query(f"Struct field of type {value.type} does not coerce to {part['type']}")
        parts.append(f'"{part["name"]}" := CAST({value.text} AS {column_type(part)})')
    return Sql(f"struct_pack({', '.join(parts)})", kind)


def _fits(value: Sql, kind: str) -> bool:
    numbers = ("INTEGER", "NUMERIC", "FLOAT")
    if value.type is None or value.type.kind == kind:
        return True
    if value.type.kind in numbers and kind in numbers:
        return numbers.index(value.type.kind) <= numbers.index(kind)
    if value.literal and value.type.kind == "STRING" and kind in ("DATE", "TIME", "DATETIME", "TIMESTAMP"):
        return True
    if kind == "RECORD":
        raise not_supported("a constructor with a type that has STRUCT in it, of another value")
    return False
