"""Names: what a column, an alias or a range variable stands for at a place of the query.

Every name is written with the internal alias of its source, so that DuckDB never resolves one by its own rules.

Source: GoogleSQL reference, "Query syntax" (range variables, aliases, ambiguity, UNNEST of an array of STRUCTs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from dicomkit.engine.persistence.warehouse_types import quote
from dicomkit.engine.services.bigquery_errors import invalid_query
from dicomkit.engine.services.googlesql.types import Sql, Type, text_literal

__all__ = ["Output", "Scope", "Source", "member"]


@dataclass(frozen=True, slots=True)
class Output:
    """A column that a query or a source has: its name as declared, and what it is."""

    name: str
    value: Sql


@dataclass(slots=True)
class Source:
    """One item of FROM: its range variable and its columns."""

    alias: str | None
    columns: dict[str, Output] = field(default_factory=dict)
    """Lower-case name -> column, in order."""
    hidden: dict[str, Output] = field(default_factory=dict)
    """Columns that are not in ``*``."""
    value: Sql | None = None
    """What the range variable itself is; a table's has no value here."""
    implicit: bool = False
    """The range variable was not written: columns come before it."""
    opaque: bool = False
    """An element whose type is not known may have fields of any name."""

    def named(self, lower: str) -> Output | None:
        """The column of this name."""
        return self.columns.get(lower) or self.hidden.get(lower)


@dataclass(slots=True)
class Scope:
    """The sources of one SELECT, and the queries around it."""

    parent: Scope | None = None
    sources: list[Source] = field(default_factory=list)
    merged: set[str] = field(default_factory=set)
    """Names that USING made one."""
    outputs: dict[str, Output] = field(default_factory=dict)
    """Aliases of the SELECT list, where they can be used: GROUP BY, HAVING, QUALIFY, ORDER BY."""
    windows: dict[str, exp.Window] = field(default_factory=dict)
    """Lower-case name of a WINDOW clause -> what it says."""
    ctes: dict[str, tuple[str, list[Output]]] = field(default_factory=dict)
    """Lower-case name of a WITH query -> its name in DuckDB, its columns."""

    def cte(self, name: str) -> tuple[str, list[Output]] | None:
        """The WITH query *name*, of this query or one around it."""
        scope: Scope | None = self
        while scope is not None:
            if name.lower() in scope.ctes:
                return scope.ctes[name.lower()]
            scope = scope.parent
        return None

    def column(self, name: str) -> Sql | None:
        """The column *name* of this scope alone."""
        lower = name.lower()
        found = [source.named(lower) for source in self.sources if source.named(lower) is not None]
        if len(found) > 1 and lower not in self.merged:
            raise invalid_query(f"Column name {name} is ambiguous")
        if found and found[0] is not None:
            return found[0].value
        if any(source.opaque for source in self.sources) and not self.variable(name):
            raise invalid_query(
                f"{name} may be a field of an array's element whose type is not known here; write alias.{name}"
            )
        return None

    def variable(self, name: str, *, implicit: bool = False) -> Source | None:
        """The range variable *name* of this scope alone."""
        lower = name.lower()
        for source in self.sources:
            if source.alias is not None and source.alias.lower() == lower and source.implicit is implicit:
                return source
        return None

    def resolve(self, path: Sequence[str]) -> Sql:
        """What a dotted path stands for, looked up from the inside out."""
        head, *rest = path
        scope: Scope | None = self
        while scope is not None:
            source = scope.variable(head)
            if source is not None:
                return _through(source, head, rest)
            column = scope.column(head)
            if column is not None:
                return member(column, rest)
            source = scope.variable(head, implicit=True)
            if source is not None:
                return _through(source, head, rest)
            output = scope.outputs.get(head.lower())
            if output is not None:
                return member(output.value, rest)
            scope = scope.parent
        raise invalid_query(f"Unrecognized name: {head}")


def _through(source: Source, head: str, rest: Sequence[str]) -> Sql:
    if source.value is not None:
        return member(source.value, rest)
    if not rest:
        return _row(source)
    column = source.named(rest[0].lower())
    if column is None:
        raise invalid_query(f"Name {rest[0]} not found inside {head}")
    return member(column.value, rest[1:])


def _row(source: Source) -> Sql:
    """All columns of a source as one value."""
    items = ", ".join(f"{quote(output.name)} := {output.value.text}" for output in source.columns.values())
    fields = {name: (output.name, output.value.type) for name, output in source.columns.items()}
    known = {name: (own, kind) for name, (own, kind) in fields.items() if kind is not None}
    return Sql(f"struct_pack({items})", Type("RECORD", False, known if len(known) == len(fields) else None))


def member(value: Sql, path: Sequence[str]) -> Sql:
    """A field of a field of *value*."""
    for name in path:
        kind = value.type
        if kind is None:
            value = Sql(f"{value.text}.{quote(name)}")
            continue
        if kind == Type("JSON"):
            # A name as a JSON Pointer (RFC 6901).
            pointer = text_literal("/" + name.replace("~", "~0").replace("/", "~1"))
            value = Sql(f"json_extract({value.text}, {pointer})", kind)
            continue
        if kind.kind != "RECORD" or kind.repeated:
            raise invalid_query(f"Cannot access field {name} on a value with type {kind}")
        fields = kind.fields
        inner: tuple[str, Type | None] = (name, None)
        if fields is not None:
            if name.lower() not in fields:
                raise invalid_query(f"Field name {name} does not exist in {kind}")
            inner = fields[name.lower()]
        text = f"{value.text}.{quote(inner[0])}"
        # An array inside of a record is NULL in DuckDB where the record is older than the array's field.
        value = Sql(f"coalesce({text}, [])" if inner[1] is not None and inner[1].repeated else text, inner[1])
    return value
