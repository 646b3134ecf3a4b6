"""Calls of functions that are written from a form: how many arguments, of which types, and where they go."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.scope import Scope
from dicomkit.engine.services.googlesql.types import BYTES, NUMERIC, STRING, Sql, Type, check_numeric
from dicomkit.engine.services.googlesql.writer import FunctionWriter, Writer

__all__ = [
    "Check",
    "Result",
    "anything",
    "arity",
    "arrays",
    "first_array",
    "first_text",
    "floats",
    "numbers",
    "of_first",
    "simple",
    "text_argument",
    "texts",
]

Check = Callable[[str, list[Sql]], None]
Result = Type | Callable[[list[Sql]], Type | None] | None


def texts(name: str, values: list[Sql]) -> None:
    """Text or bytes, all of them."""
    for value in values:
        if value.type is not None and value.type not in (STRING, BYTES):
            raise invalid_query(f"No matching signature for function {name} for argument type: {value.type}")


def first_text(name: str, values: list[Sql]) -> None:
    """Text first, then numbers."""
    texts(name, values[:1])
    check_numeric(name, *values[1:])


def numbers(name: str, values: list[Sql]) -> None:
    """Numbers, all of them."""
    check_numeric(name, *values)


def floats(name: str, values: list[Sql]) -> None:
    """Numbers that are no NUMERIC."""
    check_numeric(name, *values)
    if any(value.type == NUMERIC for value in values):
        raise not_supported(f"{name} of NUMERIC")


def anything(name: str, values: list[Sql]) -> None:
    """No check."""


def arrays(name: str, values: list[Sql]) -> None:
    """Arrays, all of them."""
    for value in values:
        if value.type is not None and not value.type.repeated:
            raise invalid_query(f"No matching signature for function {name} for argument type: {value.type}")


def first_array(name: str, values: list[Sql]) -> None:
    """An array first, then text."""
    arrays(name, values[:1])
    texts(name, values[1:])


def of_first(values: list[Sql]) -> Type | None:
    """The type of the first argument."""
    return values[0].type


def simple(
    form: str,
    check: Check,
    result: Result,
    least: int,
    most: int | None = None,
) -> FunctionWriter:
    """A function whose arguments go where ``{0}``, ``{1}`` or ``{all}`` stand in *form*.

    Parameters
    ----------
    form
        For calls of different length: their forms by count, separated by `` | ``.
    result
        The type, or a function that makes it from the arguments.
    """
    forms = form.split(" | ")

    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        if not least <= len(args) <= (least if most is None else most):
            raise invalid_query(f"No matching signature for function {name}: it does not take {len(args)} arguments")
        values = [w.expr(arg, scope) for arg in args]
        check(name, values)
        chosen = forms[min(len(args) - least, len(forms) - 1)]
        texts = [value.text for value in values]
        text = chosen.format(*texts, all=", ".join(texts))
        return Sql(text, result(values) if callable(result) else result)

    return write


def arity(name: str, args: list[exp.Expr], least: int, most: int | None = None) -> None:
    """Refuse a call with fewer than *least* or more than *most* arguments."""
    if not least <= len(args) <= (least if most is None else most):
        raise invalid_query(f"No matching signature for function {name}: it does not take {len(args)} arguments")


def text_argument(node: exp.Expr, name: str, what: str) -> str:
    """The text of an argument that has to be a literal."""
    if isinstance(node, exp.RawString) or (isinstance(node, exp.Literal) and node.is_string):
        return str(node.this)
    raise not_supported(f"{name} with {what} that is no literal")
