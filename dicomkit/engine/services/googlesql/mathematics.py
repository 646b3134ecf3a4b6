"""Mathematical functions beyond the plain ones, bits, and operators of bits.

Source: GoogleSQL reference, "Mathematical functions", "Bit functions", "Operators" (bitwise operators).
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.calls import anything, arity, arrays, floats, numbers, of_first, simple
from dicomkit.engine.services.googlesql.scope import Scope
from dicomkit.engine.services.googlesql.types import (
    BOOLEAN,
    FLOAT,
    INTEGER,
    NUMERIC,
    Sql,
    Type,
    check_comparable,
    check_numeric,
    text_literal,
)
from dicomkit.engine.services.googlesql.writer import ExpressionWriter, FunctionWriter, Writer

__all__ = ["BIT_OPERATORS", "MATHEMATICS", "SAFE_MATHEMATICS"]


def _wider(values: list[Sql]) -> Type | None:
    kinds = {value.type for value in values}
    return FLOAT if FLOAT in kinds else NUMERIC if NUMERIC in kinds else INTEGER if kinds == {INTEGER} else None


def _range_bucket(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 2)
    point, bounds = w.expr(args[0], scope), w.expr(args[1], scope)
    arrays(name, [bounds])
    check_comparable(f"function {name}", (point, Sql("", bounds.type.element if bounds.type else None)))
    # How many bounds are not above the point.
    text = f"len(list_filter({bounds.text}, lambda b: b <= {point.text}))"
    return Sql(f"(CASE WHEN {point.text} IS NULL THEN NULL ELSE {text} END)", INTEGER)


def _distance(form: str) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        arity(name, args, 2)
        left, right = (w.expr(arg, scope) for arg in args)
        for value in (left, right):
            if value.type is not None and not (value.type.repeated and value.type.kind in ("FLOAT", "INTEGER")):
                raise not_supported(f"{name} of anything but arrays of FLOAT64")
        return Sql(f"{form}(CAST({left.text} AS DOUBLE[]), CAST({right.text} AS DOUBLE[]))", FLOAT)

    return write


def _error(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 1)
    value = w.expr(args[0], scope)
    return Sql(f"error('ERROR() was called: ' || {value.text})", None)


def _typeof(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 1)
    value = w.expr(args[0], scope)
    if value.type is None:
        raise not_supported("TYPEOF of a value whose type is not known here")
    return Sql(text_literal(str(value.type)), Type("STRING"))


MATHEMATICS: dict[str, FunctionWriter] = {
    **{
        name: simple(f"{name.lower()}(CAST({{0}} AS DOUBLE))", floats, FLOAT, 1)
        for name in ("ACOSH", "ASIN", "ASINH", "ATAN", "COS", "COSH", "SIN", "SINH", "TAN", "TANH", "ACOS", "ATANH")
    },
    "ATAN2": simple("atan2({0}, {1})", floats, FLOAT, 2),
    "CBRT": simple("bq_cbrt(CAST({0} AS DOUBLE))", floats, FLOAT, 1),
    "COT": simple("bq_divide(1, tan({0}))", floats, FLOAT, 1),
    "COTH": simple("bq_divide(1, tanh({0}))", floats, FLOAT, 1),
    "CSC": simple("bq_divide(1, sin({0}))", floats, FLOAT, 1),
    "CSCH": simple("bq_divide(1, sinh({0}))", floats, FLOAT, 1),
    "SEC": simple("(1 / cos({0}))", floats, FLOAT, 1),
    "SECH": simple("(1 / cosh({0}))", floats, FLOAT, 1),
    "IEEE_DIVIDE": simple("bq_ieee_divide(CAST({0} AS DOUBLE), CAST({1} AS DOUBLE))", floats, FLOAT, 2),
    "IS_INF": simple("isinf(CAST({0} AS DOUBLE))", floats, BOOLEAN, 1),
    "IS_NAN": simple("isnan(CAST({0} AS DOUBLE))", floats, BOOLEAN, 1),
    "SAFE_ADD": simple("TRY({0} + {1})", numbers, _wider, 2),
    "SAFE_SUBTRACT": simple("TRY({0} - {1})", numbers, _wider, 2),
    "SAFE_MULTIPLY": simple("TRY({0} * {1})", numbers, _wider, 2),
    "SAFE_NEGATE": simple("TRY(-{0})", numbers, of_first, 1),
    "RANGE_BUCKET": _range_bucket,
    "COSINE_DISTANCE": _distance("list_cosine_distance"),
    "EUCLIDEAN_DISTANCE": _distance("list_distance"),
    "BIT_COUNT": simple("CAST(bit_count(CAST({0} AS BIGINT)) AS BIGINT)", numbers, INTEGER, 1),
    "ERROR": _error,
    "TYPEOF": _typeof,
    "SESSION_USER": simple("'local'", anything, Type("STRING"), 0),
}
"""Name -> how a call is written."""

SAFE_MATHEMATICS: dict[str, FunctionWriter] = {
    name: simple(f"TRY({form})", floats, FLOAT, 1)
    for name, form in (("SQRT", "sqrt({0})"), ("LN", "ln({0})"), ("LOG10", "log10({0})"))
}
"""The same with the prefix ``SAFE.``."""


def _bits(form: str) -> ExpressionWriter:
    def write(w: Writer, node: exp.Expr, scope: Scope) -> Sql:
        values = [w.expr(node.this, scope)]
        if node.args.get("expression"):
            values.append(w.expr(node.args["expression"], scope))
        check_numeric("a bitwise operator", *values)
        if any(value.type in (FLOAT, NUMERIC) for value in values):
            raise invalid_query("No matching signature for a bitwise operator: INT64 is needed")
        return Sql(form.format(*(f"CAST({value.text} AS BIGINT)" for value in values)), INTEGER)

    return write


BIT_OPERATORS: dict[type[exp.Expr], Callable[..., Sql]] = {
    exp.BitwiseAnd: _bits("({0} & {1})"),
    exp.BitwiseOr: _bits("({0} | {1})"),
    exp.BitwiseXor: _bits("xor({0}, {1})"),
    exp.BitwiseNot: _bits("(~{0})"),
    exp.BitwiseLeftShift: _bits("bq_shift_left({0}, {1})"),
    exp.BitwiseRightShift: _bits("bq_shift_right({0}, {1})"),
}
"""Kind of expression -> how it is written."""
