"""The state of one translation, and the dispatch over kinds of expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlglot import exp

from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.parser import POSITIONAL, what
from dicomkit.engine.services.googlesql.scope import Output, Scope
from dicomkit.engine.services.googlesql.types import Sql, Type

__all__ = ["ExpressionWriter", "FunctionWriter", "Parameter", "PhysicalTable", "QueryWriter", "Writer"]

MAX_DEPTH = 200
"""Deepest nesting of expressions and queries that is written."""


@dataclass(frozen=True, slots=True)
class PhysicalTable:
    """A table of the catalogue, as the translator needs it."""

    key: str
    """``project.dataset.table``."""
    sql: str
    """Its name in DuckDB, ready for SQL."""
    columns: Sequence[tuple[str, Type]]
    """Names as declared, and types, in order."""
    hidden: Sequence[tuple[str, Type]] = ()
    """Columns that are there when they are named and not in ``*``."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter: its type, the cast that makes DuckDB see that type, and the value to bind."""

    type: Type
    cast: str
    value: Any


ExpressionWriter: TypeAlias = Callable[["Writer", Any, Scope], Sql]
FunctionWriter: TypeAlias = Callable[["Writer", str, list[exp.Expr], Scope], Sql]
QueryWriter: TypeAlias = Callable[["Writer", exp.Query, Scope], tuple[str, list[Output]]]


@dataclass(slots=True)
class Writer:
    """Writes one statement.

    The tables of what can be written are given by :mod:`.translate`, so that the modules that hold them need not
    know each other.
    """

    find_table: Callable[[Sequence[str]], PhysicalTable]
    parameters: Mapping[str, Parameter]
    """By lower-case name."""
    expressions: Mapping[type[exp.Expr], ExpressionWriter]
    functions: Mapping[str, FunctionWriter]
    safe_functions: Mapping[str, FunctionWriter]
    write_query: QueryWriter
    values: list[Any] = field(default_factory=list)
    """What is bound, in order."""
    tables: dict[str, PhysicalTable] = field(default_factory=dict)
    """The tables that are read."""
    _bound: dict[str, int] = field(default_factory=dict)
    _count: int = 0
    _depth: int = 0

    def alias(self, kind: str) -> str:
        """A name in DuckDB that nothing else has."""
        self._count += 1
        return f"__dk_{kind}{self._count}"

    def expr(self, node: exp.Expr, scope: Scope) -> Sql:
        """The text of an expression."""
        write = self.expressions.get(type(node))
        if write is None:
            raise not_supported(what(node))
        self._deeper()
        written = write(self, node, scope)
        self._depth -= 1
        return written

    def text(self, node: exp.Expr, scope: Scope) -> str:
        """The text of an expression, whatever its type."""
        return self.expr(node, scope).text

    def query(self, node: exp.Expr, scope: Scope) -> tuple[str, list[Output]]:
        """The text of a query, and its columns."""
        if not isinstance(node, exp.Query):
            raise not_supported(what(node))
        self._deeper()
        written = self.write_query(self, node, scope)
        self._depth -= 1
        return written

    def call(self, name: str, args: list[exp.Expr], scope: Scope, *, safe: bool = False) -> Sql:
        """A function call; *safe* with the prefix ``SAFE.``."""
        table = self.safe_functions if safe else self.functions
        write = table.get(name.upper())
        if write is None:
            raise not_supported(f"the function {'SAFE.' if safe else ''}{name.upper()[:80]}")
        return write(self, name.upper(), args, scope)

    def parameter(self, name: str) -> Sql:
        """A query parameter."""
        parameter = self.parameters.get(name.lower())
        if parameter is None:
            wanted = "?" if name.startswith(POSITIONAL) else name[:80]
            raise invalid_query(f"Query parameter '{wanted}' not found")
        if name.lower() not in self._bound:
            self.values.append(parameter.value)
            self._bound[name.lower()] = len(self.values)
        return Sql(f"CAST(${self._bound[name.lower()]} AS {parameter.cast})", parameter.type, literal=True)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise invalid_query("The query is nested too deeply")
