"""Aggregate functions, with DISTINCT, IGNORE NULLS, ORDER BY and LIMIT inside the call.

Source: GoogleSQL reference, "Aggregate function calls", "Aggregate functions", "Approximate aggregate functions".
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.parser import what
from dicomkit.engine.services.googlesql.scope import Scope
from dicomkit.engine.services.googlesql.types import BOOLEAN, BYTES, FLOAT, INTEGER, STRING, Sql, Type, check_numeric
from dicomkit.engine.services.googlesql.writer import FunctionWriter, Writer

__all__ = ["AGGREGATES", "OVER_AGGREGATES"]

_MAX_LIMIT = 1_000_000


@dataclass(slots=True)
class _Call:
    """The arguments of an aggregate call, taken out of what wraps them."""

    args: list[exp.Expr]
    distinct: bool = False
    nulls: bool | None = None
    """``False`` for IGNORE NULLS, ``True`` for RESPECT NULLS."""
    order: list[exp.Expr] | None = None
    limit: int | None = None
    having: exp.HavingMax | None = None


def _unwrapped(name: str, args: list[exp.Expr]) -> _Call:
    call = _Call(list(args))
    for place, arg in enumerate(args):
        inner = arg
        if isinstance(inner, exp.Limit):
            count = inner.expression
            if not (isinstance(count, exp.Literal) and str(count.this).isdigit() and int(count.this) <= _MAX_LIMIT):
                raise not_supported(f"{name} with a LIMIT that is no literal")
            call.limit, inner = int(count.this), inner.this
        if isinstance(inner, exp.HavingMax):
            call.having, inner = inner, inner.this
        if isinstance(inner, exp.Order):
            call.order, inner = list(inner.expressions), inner.this
        if isinstance(inner, exp.IgnoreNulls | exp.RespectNulls):
            call.nulls, inner = isinstance(inner, exp.RespectNulls), inner.this
        if isinstance(inner, exp.Distinct):
            if inner.args.get("on"):
                raise not_supported(f"{name} with DISTINCT ON")
            call.distinct = True
            call.args[place : place + 1] = inner.expressions
        elif inner is not arg:
            call.args[place] = inner
    for arg in call.args:
        if isinstance(arg, exp.Order | exp.Limit | exp.HavingMax | exp.Distinct | exp.IgnoreNulls | exp.RespectNulls):
            raise not_supported(f"{name} with {what(arg)}")
    return call


def _only(name: str, call: _Call, count: int, *allowed: str) -> None:
    if len(call.args) != count:
        raise invalid_query(f"No matching signature for function {name}: it does not take {len(call.args)} arguments")
    for part, given in (
        ("DISTINCT", call.distinct),
        ("NULLS", call.nulls is not None),
        ("ORDER BY", call.order is not None),
        ("LIMIT", call.limit is not None),
        ("HAVING MAX or MIN", call.having is not None),
    ):
        if given and part not in allowed:
            raise not_supported(f"{name} with {'IGNORE or RESPECT NULLS' if part == 'NULLS' else part}")


def _ordering(w: Writer, call: _Call, scope: Scope) -> str:
    if call.order is None:
        return ""
    parts = []
    for item in call.order:
        desc, first = bool(item.args.get("desc")), bool(item.args.get("nulls_first"))
        parts.append(f"{w.text(item.this, scope)}{' DESC' if desc else ''} NULLS {'FIRST' if first else 'LAST'}")
    return " ORDER BY " + ", ".join(parts)


def _count(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    if len(args) == 1 and isinstance(args[0], exp.Star) and not any(args[0].args.values()):
        return Sql("count(*)", INTEGER)
    call = _unwrapped(name, args)
    _only(name, call, 1, "DISTINCT")
    value = w.expr(call.args[0], scope)
    if call.distinct and value.type is not None and (value.type.repeated or value.type.kind == "RECORD"):
        raise invalid_query(f"Aggregate functions with DISTINCT cannot be used with arguments of type {value.type}")
    return Sql(f"count({'DISTINCT ' if call.distinct else ''}{value.text})", INTEGER)


def _count_if(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    call = _unwrapped(name, args)
    _only(name, call, 1)
    # DuckDB's count_if gives a HUGEINT.
    return Sql(f"count(CASE WHEN {w.text(call.args[0], scope)} THEN 1 END)", INTEGER)


def _number(function: str, result: Type | None, *, distinct: bool = True) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        call = _unwrapped(name, args)
        _only(name, call, 1, *(("DISTINCT",) if distinct else ()))
        value = w.expr(call.args[0], scope)
        check_numeric(name, value)
        return Sql(f"{function}({'DISTINCT ' if call.distinct else ''}{value.text})", result or value.type)

    return write


def _of_same(function: str) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        call = _unwrapped(name, args)
        _only(name, call, 1, "DISTINCT")
        value = w.expr(call.args[0], scope)
        if name in ("MIN", "MAX") and value.type is not None and (value.type.repeated or value.type.kind == "RECORD"):
            raise invalid_query(f"{name} is not defined for arguments of type {value.type}")
        return Sql(f"{function}({value.text})", value.type)

    return write


def _logical(function: str) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        call = _unwrapped(name, args)
        _only(name, call, 1)
        return Sql(f"{function}({w.text(call.args[0], scope)})", BOOLEAN)

    return write


def _string_agg(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    call = _unwrapped(name, args)
    _only(name, call, 2 if len(call.args) == 2 else 1, "DISTINCT", "ORDER BY", "LIMIT")
    value = w.expr(call.args[0], scope)
    if value.type not in (STRING, BYTES, None):
        raise invalid_query(f"No matching signature for aggregate function STRING_AGG for argument type: {value.type}")
    separator = w.text(call.args[1], scope) if len(call.args) == 2 else "','"
    inner = f"{'DISTINCT ' if call.distinct else ''}{value.text}"
    if call.limit is None:
        return Sql(f"string_agg({inner}, {separator}{_ordering(w, call, scope)})", STRING)
    kept = f"list({inner}{_ordering(w, call, scope)}) FILTER (WHERE {value.text} IS NOT NULL)"
    return Sql(f"array_to_string(({kept})[1:{call.limit}], {separator})", STRING)


def _array_agg(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    call = _unwrapped(name, args)
    _only(name, call, 1, "DISTINCT", "NULLS", "ORDER BY", "LIMIT")
    value = w.expr(call.args[0], scope)
    if value.type is not None and value.type.repeated:
        raise invalid_query("The argument to ARRAY_AGG must not be an array type")
    text = f"list({'DISTINCT ' if call.distinct else ''}{value.text}{_ordering(w, call, scope)})"
    if call.nulls is False:
        text += f" FILTER (WHERE {value.text} IS NOT NULL)"
    if call.limit is not None:
        text = f"({text})[1:{call.limit}]"
    return Sql(text, Type(value.type.kind, True, value.type.fields) if value.type else None)


def _approximate_count(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    call = _unwrapped(name, args)
    _only(name, call, 1)
    return Sql(f"approx_count_distinct({w.text(call.args[0], scope)})", INTEGER)


def _whole(node: exp.Expr, name: str) -> int:
    if isinstance(node, exp.Literal) and str(node.this).isdigit() and 0 < int(node.this) <= 10_000:
        return int(node.this)
    raise not_supported(f"{name} with a number that is no literal from 1 to 10000")


def _quantiles(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    call = _unwrapped(name, args)
    _only(name, call, 2)
    value, count = w.expr(call.args[0], scope), _whole(call.args[1], name)
    # Exact values where GoogleSQL allows approximate ones: count + 1 boundaries.
    points = ", ".join(repr(step / count) for step in range(count + 1))
    return Sql(f"quantile_disc({value.text}, [{points}])", Type(value.type.kind, True) if value.type else None)


def _top_count(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    call = _unwrapped(name, args)
    _only(name, call, 2)
    value, count = w.expr(call.args[0], scope), _whole(call.args[1], name)
    fields = {"value": ("value", value.type), "count": ("count", INTEGER)} if value.type else None
    return Sql(f"bq_top_count({value.text}, {count})", Type("RECORD", True, fields))


def _two_numbers(function: str) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        call = _unwrapped(name, args)
        _only(name, call, 2)
        left, right = (w.expr(arg, scope) for arg in call.args)
        check_numeric(name, left, right)
        return Sql(f"{function}({left.text}, {right.text})", FLOAT)

    return write


def _any_value(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    call = _unwrapped(name, args)
    _only(name, call, 1, "HAVING MAX or MIN")
    value = w.expr(call.args[0], scope)
    if call.having is None:
        return Sql(f"any_value({value.text})", value.type)
    by = w.expr(call.having.expression, scope)
    # Of the row with the largest value, NULL too.
    return Sql(f"arg_{'max' if call.having.args.get('max') else 'min'}_null({value.text}, {by.text})", value.type)


def _by(function: str) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        call = _unwrapped(name, args)
        _only(name, call, 2)
        value, by = (w.expr(arg, scope) for arg in call.args)
        return Sql(f"{function}({value.text}, {by.text})", value.type)

    return write


def _bits(function: str) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        call = _unwrapped(name, args)
        _only(name, call, 1, *(("DISTINCT",) if name == "BIT_XOR" else ()))
        value = w.expr(call.args[0], scope)
        if value.type not in (INTEGER, None):
            raise invalid_query(f"No matching signature for aggregate function {name} for argument type: {value.type}")
        return Sql(f"{function}({'DISTINCT ' if call.distinct else ''}CAST({value.text} AS BIGINT))", INTEGER)

    return write


def _concat_agg(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    call = _unwrapped(name, args)
    _only(name, call, 1, "ORDER BY", "LIMIT")
    value = w.expr(call.args[0], scope)
    if value.type is not None and not value.type.repeated:
        raise invalid_query(f"The argument to ARRAY_CONCAT_AGG must be an array; it is {value.type}")
    kept = f"list({value.text}{_ordering(w, call, scope)}) FILTER (WHERE {value.text} IS NOT NULL)"
    return Sql(f"flatten({f'({kept})[1:{call.limit}]' if call.limit is not None else kept})", value.type)


def _top_sum(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    call = _unwrapped(name, args)
    _only(name, call, 3)
    value, weight, count = w.expr(call.args[0], scope), w.expr(call.args[1], scope), _whole(call.args[2], name)
    check_numeric(name, weight)
    fields = {"value": ("value", value.type), "sum": ("sum", weight.type)} if value.type and weight.type else None
    return Sql(f"bq_top_sum({value.text}, {weight.text}, {count})", Type("RECORD", True, fields))


def _grouping(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    call = _unwrapped(name, args)
    _only(name, call, 1)
    return Sql(f"CAST(grouping({w.text(call.args[0], scope)}) AS BIGINT)", INTEGER)


AGGREGATES: dict[str, FunctionWriter] = {
    "COUNT": _count,
    "COUNTIF": _count_if,
    "SUM": _number("sum", None),
    "AVG": _number("avg", FLOAT),
    "MIN": _of_same("min"),
    "MAX": _of_same("max"),
    "ANY_VALUE": _any_value,
    "MAX_BY": _by("arg_max_null"),
    "MIN_BY": _by("arg_min_null"),
    "BIT_AND": _bits("bit_and"),
    "BIT_OR": _bits("bit_or"),
    "BIT_XOR": _bits("bit_xor"),
    "ARRAY_CONCAT_AGG": _concat_agg,
    "GROUPING": _grouping,
    "APPROX_TOP_SUM": _top_sum,
    "STRING_AGG": _string_agg,
    "ARRAY_AGG": _array_agg,
    "LOGICAL_AND": _logical("bool_and"),
    "LOGICAL_OR": _logical("bool_or"),
    "STDDEV": _number("stddev_samp", FLOAT),
    "STDDEV_SAMP": _number("stddev_samp", FLOAT),
    "STDDEV_POP": _number("stddev_pop", FLOAT),
    "VARIANCE": _number("var_samp", FLOAT),
    "VAR_SAMP": _number("var_samp", FLOAT),
    "VAR_POP": _number("var_pop", FLOAT),
    "CORR": _two_numbers("corr"),
    "COVAR_POP": _two_numbers("covar_pop"),
    "COVAR_SAMP": _two_numbers("covar_samp"),
    "APPROX_COUNT_DISTINCT": _approximate_count,
    "APPROX_QUANTILES": _quantiles,
    "APPROX_TOP_COUNT": _top_count,
}
"""Name -> how a call is written."""

OVER_AGGREGATES = frozenset(
    {"COUNT", "COUNTIF", "SUM", "AVG", "MIN", "MAX", "ANY_VALUE", "LOGICAL_AND", "LOGICAL_OR", "STDDEV", "STDDEV_SAMP",
     "STDDEV_POP", "VARIANCE", "VAR_SAMP", "VAR_POP", "CORR", "COVAR_POP", "COVAR_SAMP", "BIT_AND", "BIT_OR"}
)  # fmt: skip
"""Those whose text stands before an OVER as it is."""
