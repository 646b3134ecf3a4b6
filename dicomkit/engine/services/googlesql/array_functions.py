"""Functions of arrays beyond the plain ones.

Source: GoogleSQL reference, "Array functions".
"""

from __future__ import annotations

from sqlglot import exp

from dicomkit.engine.services.bigquery_errors import invalid_query
from dicomkit.engine.services.googlesql.calls import arity, arrays
from dicomkit.engine.services.googlesql.dates import interval, moment
from dicomkit.engine.services.googlesql.scope import Scope
from dicomkit.engine.services.googlesql.types import TIMESTAMP, Sql, Type, check_numeric
from dicomkit.engine.services.googlesql.writer import FunctionWriter, Writer

__all__ = ["ARRAY_FUNCTIONS"]


def _array(w: Writer, name: str, node: exp.Expr, scope: Scope) -> Sql:
    value = w.expr(node, scope)
    arrays(name, [value])
    return value


def _end(macro: str) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        arity(name, args, 1)
        value = _array(w, name, args[0], scope)
        return Sql(f"{macro}({value.text})", value.type.element if value.type else None)

    return write


def _slice(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 3)
    value, start, end = _array(w, name, args[0], scope), w.expr(args[1], scope), w.expr(args[2], scope)
    check_numeric(name, start, end)
    return Sql(f"bq_array_slice({value.text}, {start.text}, {end.text})", value.type)


def _concat(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    if not args:
        raise invalid_query(f"No matching signature for function {name}: it does not take 0 arguments")
    values = [_array(w, name, arg, scope) for arg in args]
    kinds = {value.type for value in values if value.type is not None}
    if len(kinds) > 1:
        raise invalid_query(f"No matching signature for function {name}: the arrays are of different types")
    return Sql("(" + " || ".join(value.text for value in values) + ")", kinds.pop() if kinds else None)


def _timestamps(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 3)
    start, end = (moment(w, arg, scope, name, TIMESTAMP) for arg in args[:2])
    step = interval(w, args[2], scope, name, ("MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY"))
    return Sql(f"generate_series({start.text}, {end.text}, {step})", Type("TIMESTAMP", True))


ARRAY_FUNCTIONS: dict[str, FunctionWriter] = {
    "ARRAY_CONCAT": _concat,
    "ARRAY_FIRST": _end("bq_array_first"),
    "ARRAY_LAST": _end("bq_array_last"),
    "ARRAY_SLICE": _slice,
    "GENERATE_TIMESTAMP_ARRAY": _timestamps,
}
"""Name -> how a call is written."""
