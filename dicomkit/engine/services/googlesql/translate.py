"""One GoogleSQL statement into one statement of DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from dicomkit.engine.services.bigquery_errors import invalid_query
from dicomkit.engine.services.googlesql.aggregates import AGGREGATES
from dicomkit.engine.services.googlesql.array_functions import ARRAY_FUNCTIONS
from dicomkit.engine.services.googlesql.date_formats import DATE_FORMATS, SAFE_DATE_FORMATS
from dicomkit.engine.services.googlesql.dates import DATE_FUNCTIONS
from dicomkit.engine.services.googlesql.expressions import EXPRESSIONS
from dicomkit.engine.services.googlesql.functions import FUNCTIONS, SAFE_FUNCTIONS
from dicomkit.engine.services.googlesql.json_functions import JSON_FUNCTIONS, SAFE_JSON_FUNCTIONS
from dicomkit.engine.services.googlesql.mathematics import MATHEMATICS, SAFE_MATHEMATICS
from dicomkit.engine.services.googlesql.parser import POSITIONAL, parse
from dicomkit.engine.services.googlesql.scope import Scope
from dicomkit.engine.services.googlesql.select import write_query
from dicomkit.engine.services.googlesql.strings import SAFE_STRINGS, STRINGS
from dicomkit.engine.services.googlesql.writer import Parameter, PhysicalTable, Writer

__all__ = ["Translation", "new_writer", "supported_functions", "translate"]

_ALL = {
    **FUNCTIONS,
    **STRINGS,
    **MATHEMATICS,
    **ARRAY_FUNCTIONS,
    **JSON_FUNCTIONS,
    **DATE_FUNCTIONS,
    **DATE_FORMATS,
    **AGGREGATES,
}
_SAFE = {**SAFE_FUNCTIONS, **SAFE_STRINGS, **SAFE_MATHEMATICS, **SAFE_JSON_FUNCTIONS, **SAFE_DATE_FORMATS}


@dataclass(frozen=True, slots=True)
class Translation:
    """What DuckDB runs."""

    sql: str
    values: list[Any]
    """Bound to ``$1``, ``$2``, ..."""
    tables: list[tuple[PhysicalTable, frozenset[str] | None]]
    """The tables that are read, each with the columns (lower case) that the statement may name, ``None`` for all."""


def translate(
    query: str | exp.Expr,
    find_table: Callable[[Sequence[str]], PhysicalTable],
    parameters: Mapping[str, Parameter] | Sequence[Parameter] = (),
) -> Translation:
    """The statement for DuckDB.

    Parameters
    ----------
    query
        One query in GoogleSQL, or what :func:`.parser.parse` made of it.
    find_table
        Table of a path of one to three names, or more where a name has dots; raises ``NotFound``.
    parameters
        By lower-case name, or in order.

    Raises
    ------
    InvalidArgument
        With the reason ``invalidQuery``: an error of syntax or of names and types, or something that BigQuery has and
        the embedded engine does not; the message names it.
    """
    tree = parse(query) if isinstance(query, str) else query
    writer = new_writer(find_table, parameters)
    try:
        text, outputs = writer.query(tree, Scope())
        star = any(True for _ in tree.find_all(exp.Star))
    except RecursionError:
        raise invalid_query("The query is nested too deeply") from None
    names = [output.name.lower() for output in outputs]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise invalid_query(f"Duplicate column names in the result are not supported. Found duplicate(s): {twice}")
    named = None if star else frozenset(part.name.lower() for part in tree.find_all(exp.Identifier))
    return Translation(text, writer.values, [(table, named) for table in writer.tables.values()])


def new_writer(
    find_table: Callable[[Sequence[str]], PhysicalTable], parameters: Mapping[str, Parameter] | Sequence[Parameter] = ()
) -> Writer:
    """A writer for one statement that knows everything that can be written."""
    if not isinstance(parameters, Mapping):
        parameters = {f"{POSITIONAL}{number}": parameter for number, parameter in enumerate(parameters, 1)}
    return Writer(find_table, parameters, EXPRESSIONS, _ALL, _SAFE, write_query)


def supported_functions() -> list[str]:
    """Names of the functions that can be called, for documents and messages."""
    return sorted(_ALL)
