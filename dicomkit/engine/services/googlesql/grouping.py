"""``GROUP BY``: expressions, aliases and places, ROLLUP, CUBE and GROUPING SETS.

Source: GoogleSQL reference, "Query syntax" (GROUP BY clause).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.parser import only, what
from dicomkit.engine.services.googlesql.scope import Output, Scope
from dicomkit.engine.services.googlesql.types import Sql
from dicomkit.engine.services.googlesql.writer import Writer

__all__ = ["clash", "group_by", "ordinal"]


def clash(name: str, output: Output, scope: Scope) -> None:
    """Refuse an alias that is also a column of something else."""
    column = scope.column(name) if not any(source.opaque for source in scope.sources) else None
    if column is not None and column.text != output.value.text:
        raise invalid_query(
            f"{name} is both a column and an alias of another expression; rename the alias "
            "(the embedded BigQuery does not choose between them)"
        )


def group_by(w: Writer, group: exp.Group, outputs: Sequence[Output], scope: Scope) -> str:
    """What stands after ``GROUP BY``."""
    only(group, "expressions", "all")
    if group.args.get("all"):
        return "ALL"
    items = []
    aliases = {output.name.lower(): output for output in outputs}
    for item in group.expressions:
        if isinstance(item, exp.Literal) and not item.is_string:
            items.append(ordinal(item, len(outputs)))
        elif isinstance(item, exp.Rollup | exp.Cube | exp.GroupingSets):
            word = {exp.Rollup: "ROLLUP", exp.Cube: "CUBE"}.get(type(item), "GROUPING SETS")
            inner = ", ".join(_grouping_item(w, each, aliases, scope) for each in item.expressions)
            items.append(f"{word} ({inner})")
        elif isinstance(item, exp.Column) and len(item.parts) == 1 and item.name.lower() in aliases:
            output = aliases[item.name.lower()]
            clash(item.name, output, scope)
            # By its place: a name would be looked up among DuckDB's columns first.
            items.append(str([other is output for other in outputs].index(True) + 1))
            _check_groupable(output.value, item.name)
        else:
            value = w.expr(item, scope)
            _check_groupable(value, "an expression")
            items.append(value.text)
    return ", ".join(items)


def _grouping_item(w: Writer, item: exp.Expr, aliases: Mapping[str, Output], scope: Scope) -> str:
    """What stands in ROLLUP, CUBE or GROUPING SETS: an expression, or several in parentheses."""
    if isinstance(item, exp.Rollup | exp.Cube | exp.GroupingSets):
        raise not_supported(f"GROUP BY {what(item)} inside of another")
    if isinstance(item, exp.Tuple):
        return f"({', '.join(_grouping_item(w, each, aliases, scope) for each in item.expressions)})"
    if isinstance(item, exp.Paren):
        return f"({_grouping_item(w, item.this, aliases, scope)})"
    alias = aliases.get(item.name.lower()) if isinstance(item, exp.Column) and len(item.parts) == 1 else None
    if alias is not None:
        clash(item.name, alias, scope)
    value = alias.value if alias is not None else w.expr(item, scope)
    _check_groupable(value, "an expression")
    return value.text


def _check_groupable(value: Sql, name: str) -> None:
    if value.type is not None and (value.type.repeated or value.type.kind in ("RECORD", "JSON")):
        raise invalid_query(f"Grouping by expressions of type {value.type} is not allowed: {name}")


def ordinal(item: exp.Literal, count: int) -> str:
    """A place in the SELECT list, checked."""
    if not str(item.this).isdigit() or not 1 <= int(item.this) <= count:
        raise invalid_query(
            f"The position {str(item.this)[:20]} is outside of the SELECT list, which has {count} columns"
        )
    return str(int(item.this))
