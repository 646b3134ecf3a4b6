"""INSERT, UPDATE, DELETE and TRUNCATE as statements of DuckDB.

Source: BigQuery documentation, "Data manipulation language (DML) statements in GoogleSQL".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from dicomkit.engine.persistence.warehouse_types import Field, quote
from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.assignment import Target, assigned, unset
from dicomkit.engine.services.googlesql.parser import only, what
from dicomkit.engine.services.googlesql.scope import Output, Scope, Source
from dicomkit.engine.services.googlesql.sources import write_from
from dicomkit.engine.services.googlesql.types import Sql, from_field
from dicomkit.engine.services.googlesql.writer import PhysicalTable, Writer

__all__ = ["Dml", "columns_of", "set_list", "target_names", "target_source", "write_dml"]


@dataclass(slots=True)
class Dml:
    """What DuckDB runs."""

    kind: str
    """``INSERT``, ``UPDATE``, ``DELETE``, ``MERGE`` or ``TRUNCATE_TABLE``."""
    sql: str
    values: list[Any]
    check: str = ""
    """A query that has a row where the statement must fail: a row of the target is changed by two of the source."""
    check_values: list[Any] = field(default_factory=list)
    tables: list[tuple[PhysicalTable, frozenset[str] | None]] = field(default_factory=list)
    """The tables that are read beside the target."""


MakeWriter = Callable[[], Writer]


def write_dml(node: exp.Expr, target: Target, new_writer: MakeWriter) -> Dml:
    """The statement *node*, which changes *target*.

    Raises
    ------
    InvalidArgument
        An error of names or types, or something that the embedded BigQuery does not have.
    """
    w = new_writer()
    if isinstance(node, exp.Insert):
        sql = _insert(w, node, target)
        return _made("INSERT", sql, w)
    if isinstance(node, exp.Update):
        made = _made("UPDATE", _update(w, node, target), w)
        if node.args.get("from_"):
            other = new_writer()
            made.check, made.check_values = _update_twice(other, node, target), other.values
        return made
    if isinstance(node, exp.Delete):
        return _made("DELETE", _delete(w, node, target), w)
    only(node, "expressions")
    return Dml("TRUNCATE_TABLE", f"DELETE FROM {target.physical}", [])  # noqa: S608 - a name of ours


def _made(kind: str, sql: str, w: Writer) -> Dml:
    return Dml(kind, sql, w.values, tables=[(table, None) for table in w.tables.values()])


def target_names(node: exp.Expr) -> tuple[list[str], str]:
    """The path of the table that *node* changes, and its range variable."""
    table = node.this
    if isinstance(node, exp.Delete) and not table:
        tables = node.args.get("tables") or []
        table = tables[0] if len(tables) == 1 else None
    elif isinstance(node, exp.TruncateTable):
        table = node.expressions[0] if len(node.expressions) == 1 else None
    if isinstance(table, exp.Schema):
        table = table.this
    if not isinstance(table, exp.Table):
        raise invalid_query("Syntax error: a table is expected")
    only(table, "this", "db", "catalog", "alias")
    if not all(isinstance(part, exp.Identifier) for part in table.parts):
        raise not_supported("a table function")
    names = [part.name for part in table.parts]
    return names, table.alias or names[-1].rsplit(".", 1)[-1]


def target_source(w: Writer, node: exp.Expr, target: Target) -> tuple[str, Source]:
    """The internal alias of the target, and what can be named of it."""
    alias, (_, written) = w.alias("t"), target_names(node)
    columns = {
        each["name"].lower(): Output(each["name"], Sql(f"{alias}.{quote(each['name'])}", from_field(each)))
        for each in target.fields
    }
    return alias, Source(written, columns)


def columns_of(names: Sequence[exp.Expr], target: Target) -> list[Field]:
    """The columns that an INSERT names, or all."""
    if not names:
        return list(target.fields)
    found, seen = [], set()
    for name in names:
        each = target.field(name.name)
        if each["name"] in seen:
            raise invalid_query(f"INSERT has columns with duplicate name: {each['name']}")
        seen.add(each["name"])
        found.append(each)
    return found


def _insert(w: Writer, node: exp.Insert, target: Target) -> str:
    only(node, "this", "expression", "with_")
    names = node.this.expressions if isinstance(node.this, exp.Schema) else []
    columns = columns_of(names, target)
    rest = [each for each in target.fields if each not in columns]
    into = f"INSERT INTO {target.physical} ({', '.join(quote(each['name']) for each in (*columns, *rest))})"
    values = node.expression
    if isinstance(values, exp.Values):
        only(values, "expressions")
        rows = [_row(w, row, columns, rest) for row in values.expressions]
        return f"{into} VALUES {', '.join(rows)}"
    if not isinstance(values, exp.Query):
        raise not_supported(f"INSERT of {what(values)}")
    text, outputs = w.query(values, Scope())
    if len(outputs) != len(columns):
        raise _count(len(columns), len(outputs))
    alias = w.alias("q")
    given = [f"c{number}" for number in range(len(outputs))]
    items = [
        assigned(Sql(f"{alias}.{name}", output.value.type), each)
        for name, output, each in zip(given, outputs, columns, strict=True)
    ] + [unset(each) for each in rest]
    return f"{into} SELECT {', '.join(items)} FROM ({text}) AS {alias}({', '.join(given)})"  # noqa: S608 - our own text


def _row(w: Writer, row: exp.Expr, columns: Sequence[Field], rest: Sequence[Field]) -> str:
    items = row.expressions if isinstance(row, exp.Tuple) else [row.this if isinstance(row, exp.Paren) else row]
    if len(items) != len(columns):
        raise _count(len(columns), len(items))
    texts = [value_for(w, item, each, Scope()) for item, each in zip(items, columns, strict=True)]
    return f"({', '.join([*texts, *(unset(each) for each in rest)])})"


def value_for(w: Writer, node: exp.Expr, column: Field, scope: Scope) -> str:
    """An expression as the value of a column; DEFAULT is what a row has that says nothing of it."""
    if (
        isinstance(node, exp.Var | exp.Column)
        and node.name.upper() == "DEFAULT"
        and len(getattr(node, "parts", "1")) == 1
    ):
        return unset(column)
    return assigned(w.expr(node, scope), column)


def _count(wanted: int, given: int) -> Exception:
    return invalid_query(f"Inserted row has wrong column count; Has {given}, expected {wanted}")


def set_list(w: Writer, items: Sequence[exp.Expr], target: Target, variable: str, scope: Scope) -> str:
    """``SET ...`` of UPDATE and MERGE."""
    texts, seen = [], set()
    for item in items:
        left = item.this if isinstance(item, exp.EQ) else None
        if not isinstance(left, exp.Column):
            raise not_supported("UPDATE of anything but a column")
        path = [part.name for part in left.parts]
        if len(path) == 2 and path[0].lower() == variable.lower():
            path = path[1:]
        if len(path) != 1:
            raise not_supported("UPDATE of a field inside of a STRUCT; set the whole column")
        column = target.field(path[0])
        if column["name"] in seen:
            raise invalid_query(f"Update item {column['name']} assigned more than once")
        seen.add(column["name"])
        texts.append(f"{quote(column['name'])} = {value_for(w, item.expression, column, scope)}")
    return ", ".join(texts)


def _update(w: Writer, node: exp.Update, target: Target) -> str:
    only(node, "this", "expressions", "from_", "joins", "where")
    alias, source = target_source(w, node, target)
    scope = Scope()
    others = write_from(w, node, scope)  # type: ignore[arg-type]
    scope.sources.insert(0, source)
    sets = set_list(w, node.expressions, target, source.alias or "", scope)
    where = _where(w, node, scope)
    return f"UPDATE {target.physical} AS {alias} SET {sets}{others}{where}"  # noqa: S608 - the writer's own text


def _update_twice(w: Writer, node: exp.Update, target: Target) -> str:
    alias, source = target_source(w, node, target)
    scope = Scope()
    others = write_from(w, node, scope).removeprefix(" FROM ")  # type: ignore[arg-type]
    scope.sources.insert(0, source)
    where = _where(w, node, scope)
    twice = f"GROUP BY {alias}.rowid HAVING count(*) > 1 LIMIT 1"
    return f"SELECT 1 FROM {target.physical} AS {alias}, {others}{where} {twice}"  # noqa: S608 - the writer's own text


def _delete(w: Writer, node: exp.Delete, target: Target) -> str:
    only(node, "this", "tables", "where")
    alias, source = target_source(w, node, target)
    where = _where(w, node, Scope(sources=[source]))
    return f"DELETE FROM {target.physical} AS {alias}{where}"  # noqa: S608 - the writer's own text


def _where(w: Writer, node: exp.Expr, scope: Scope) -> str:
    where = node.args.get("where")
    if where is None:
        raise invalid_query(f"{what(node)} must have a WHERE clause")
    return f" WHERE {w.text(where.this, scope)}"
