"""Functions of JSON: out of it, into it, and the type itself.

Source: GoogleSQL reference, "JSON functions" (JSONPath, JSON encodings, LAX conversions).
"""

from __future__ import annotations

import re

import orjson
from sqlglot import exp

from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.calls import arity, simple, text_argument, texts
from dicomkit.engine.services.googlesql.scope import Scope, member
from dicomkit.engine.services.googlesql.types import BOOLEAN, FLOAT, INTEGER, STRING, Sql, Type, text_literal
from dicomkit.engine.services.googlesql.writer import FunctionWriter, Writer

__all__ = ["JSON_FUNCTIONS", "SAFE_JSON_FUNCTIONS", "json_literal", "json_string", "member_of"]

JSON = Type("JSON")
_PATH = re.compile(r"\$(?:\.[A-Za-z_0-9]+|\[[0-9]+\])*")


def _path(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> tuple[Sql, str]:
    arity(name, args, 1, 2)
    path = text_argument(args[1], name, "a JSONPath") if len(args) == 2 else "$"
    # Both read JSONPath alike as far as this; wildcards are DuckDB's own.
    if not _PATH.fullmatch(path):
        raise not_supported(f"{name} with this JSONPath")
    value = w.expr(args[0], scope)
    if value.type is not None and value.type not in (STRING, JSON):
        raise invalid_query(f"No matching signature for function {name} for argument type: {value.type}")
    return value, f"'{path}'"


def _read(macro: str, *, repeated: bool = False, same: bool = False) -> FunctionWriter:
    """A function whose result is STRING, or with *same* of the type that it reads."""

    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        value, path = _path(w, name, args, scope)
        text = f"{macro}({value.text}, {path})"
        if same and value.type == JSON:
            return Sql(f"CAST({text} AS JSON{'[]' if repeated else ''})", Type("JSON", repeated))
        return Sql(text, Type("STRING", repeated))

    return write


def _json_only(form: str, result: Type) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        arity(name, args, 1)
        value = w.expr(args[0], scope)
        if value.type is not None and value.type != JSON:
            raise invalid_query(f"No matching signature for function {name} for argument type: {value.type}")
        return Sql(form.format(value.text), result)

    return write


def json_literal(w: Writer, node: exp.ParseJSON, scope: Scope) -> Sql:
    """``JSON '...'``, also with members after it, which the parser puts inside."""
    path: list[exp.Expr] = []
    inner: exp.Expr = node.this
    while isinstance(inner, exp.Dot | exp.Bracket):
        path.append(inner)
        inner = inner.this
    if not (isinstance(inner, exp.RawString) or (isinstance(inner, exp.Literal) and inner.is_string)):
        raise not_supported("PARSE_JSON of this")
    value = _checked(str(inner.this))
    for step in reversed(path):
        value = member_of(w, value, step, scope)
    return value


def _checked(text: str) -> Sql:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        raise invalid_query("Invalid JSON literal: syntax error while parsing value") from None
    return Sql(f"CAST({text_literal(text)} AS JSON)", JSON, literal=True)


def member_of(w: Writer, value: Sql, step: exp.Expr, scope: Scope) -> Sql:
    """A member of an object, ``value.name`` or ``value['name']``, or an element, ``value[0]``."""
    if isinstance(step, exp.Dot):
        return member(value, [step.expression.name])
    if len(step.expressions) != 1:
        raise not_supported("a subscript with several values")
    index = step.expressions[0]
    if isinstance(index, exp.Literal) and index.is_string:
        return member(value, [str(index.this)])
    number = w.expr(index, scope)
    if number.type not in (INTEGER, None):
        raise invalid_query("A subscript of JSON is an INT64 or a STRING literal")
    return Sql(f"json_extract({value.text}, '/' || CAST({number.text} AS VARCHAR))", JSON)


def json_text(value: Sql, name: str) -> str:
    """*value* as what DuckDB's ``to_json`` writes as GoogleSQL would: other types have another text there.

    An INT64 beyond 2^53 is text, a FLOAT64 has no ``.0``, a TIMESTAMP is ``2020-01-02T03:04:05Z``, BYTES are base64.
    """
    if value.text == "NULL":
        return value.text
    if value.type is None:
        raise not_supported(f"{name} of a value whose type is not known here")
    return _encoded(value.text, value.type, name, 0)


_LEAVES = {
    "INTEGER": "bq_json_integer({})",
    "FLOAT": "bq_json_float({})",
    "NUMERIC": "bq_json_numeric({})",
    "BYTES": "to_base64({})",
    "TIME": "bq_json_time({})",
    "DATETIME": "bq_json_datetime({})",
    "TIMESTAMP": "bq_json_timestamp({})",
}


def _encoded(text: str, kind: Type, name: str, depth: int) -> str:
    if _is_plain(kind):
        return text
    if kind.repeated:
        item = f"__dk_j{depth}"
        return f"list_transform(coalesce({text}, []), lambda {item}: {_encoded(item, kind.element, name, depth + 1)})"
    if kind.kind == "RECORD":
        if kind.fields is None:
            raise not_supported(f"{name} of a STRUCT whose fields are not known here")
        parts = ", ".join(
            f'"{own}" := {_encoded(f"{text}.{chr(34)}{own}{chr(34)}", inner, name, depth)}'
            for own, inner in kind.fields.values()
        )
        return f"CASE WHEN {text} IS NULL THEN NULL ELSE struct_pack({parts}) END"
    return _LEAVES[kind.kind].format(text)


def _is_plain(kind: Type) -> bool:
    """Whether ``to_json`` writes it as it shall be."""
    if kind.kind == "RECORD" and not kind.repeated:
        return kind.fields is not None and all(_is_plain(inner) for _, inner in kind.fields.values())
    return kind.kind in ("STRING", "BOOLEAN", "DATE", "JSON") and not kind.repeated


def json_string(value: Sql) -> Sql:
    """``STRING`` of JSON."""
    return Sql(f"bq_json_string({value.text})", STRING)


def _to_json_string(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 1)
    value = w.expr(args[0], scope)
    # NULL is the text null, unlike what to_json makes of it.
    return Sql(f"coalesce(CAST(to_json({json_text(value, name)}) AS VARCHAR), 'null')", STRING)


def _to_json(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 1)
    return Sql(f"coalesce(to_json({json_text(w.expr(args[0], scope), name)}), CAST('null' AS JSON))", JSON)


def _array(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    values = ", ".join(json_text(w.expr(arg, scope), name) for arg in args)
    return Sql(f"json_array({values})", JSON)


def _object(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    if len(args) % 2:
        raise invalid_query("JSON_OBJECT takes keys and values in pairs")
    parts = []
    for place, arg in enumerate(args):
        value = w.expr(arg, scope)
        if place % 2 == 0:
            texts(name, [value])
            parts.append(value.text)
        else:
            parts.append(json_text(value, name))
    return Sql(f"json_object({', '.join(parts)})", JSON)


JSON_FUNCTIONS: dict[str, FunctionWriter] = {
    "JSON_VALUE": _read("bq_json_value"),
    "JSON_EXTRACT_SCALAR": _read("bq_json_value"),
    "JSON_QUERY": _read("bq_json_query", same=True),
    "JSON_EXTRACT": _read("bq_json_query", same=True),
    "JSON_QUERY_ARRAY": _read("bq_json_query_array", repeated=True, same=True),
    "JSON_EXTRACT_ARRAY": _read("bq_json_query_array", repeated=True, same=True),
    "JSON_VALUE_ARRAY": _read("bq_json_value_array", repeated=True),
    "JSON_EXTRACT_STRING_ARRAY": _read("bq_json_value_array", repeated=True),
    "JSON_TYPE": _json_only("bq_json_type({})", STRING),
    "JSON_KEYS": _json_only("bq_json_keys({})", Type("STRING", True)),
    "JSON_ARRAY": _array,
    "JSON_OBJECT": _object,
    "PARSE_JSON": simple("CAST({0} AS JSON)", texts, JSON, 1),
    "TO_JSON": _to_json,
    "TO_JSON_STRING": _to_json_string,
    "BOOL": _json_only("bq_json_bool({})", BOOLEAN),
    "INT64": _json_only("bq_json_int64({})", INTEGER),
    "FLOAT64": _json_only("bq_json_float64({})", FLOAT),
    "LAX_BOOL": _json_only("bq_lax_bool({})", BOOLEAN),
    "LAX_INT64": _json_only("bq_lax_int64({})", INTEGER),
    "LAX_FLOAT64": _json_only("bq_lax_float64({})", FLOAT),
    "LAX_STRING": _json_only("bq_lax_string({})", STRING),
}
"""Name -> how a call is written; STRING is both of JSON and of timestamps, and stands with the latter."""

SAFE_JSON_FUNCTIONS: dict[str, FunctionWriter] = {
    "PARSE_JSON": simple("TRY_CAST({0} AS JSON)", texts, JSON, 1),
    "JSON_VALUE": JSON_FUNCTIONS["JSON_VALUE"],
    "JSON_QUERY": JSON_FUNCTIONS["JSON_QUERY"],
}
"""The same with the prefix ``SAFE.``."""
