"""UNPIVOT: columns of a table or a subquery turned into rows, a row for each column that is named.

Source: GoogleSQL reference, "Query syntax" (UNPIVOT operator).
"""

from __future__ import annotations

from sqlglot import exp

from dicomkit.engine.persistence.warehouse_types import quote
from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.parser import only
from dicomkit.engine.services.googlesql.scope import Output, Source
from dicomkit.engine.services.googlesql.types import STRING, Sql, text_literal
from dicomkit.engine.services.googlesql.writer import Writer

__all__ = ["unpivoted"]


def unpivoted(w: Writer, pivot: exp.Pivot, text: str, source: Source) -> tuple[str, Source]:
    """The subquery that an UNPIVOT is, and what can be named after it."""
    only(pivot, "expressions", "fields", "alias", "unpivot", "include_nulls")
    fields, values = pivot.args.get("fields") or [], pivot.expressions
    chosen = fields[0] if len(fields) == 1 else None
    if not isinstance(chosen, exp.In) or len(values) != 1 or not isinstance(values[0], exp.Identifier | exp.Column):
        raise not_supported("UNPIVOT of several columns at once")
    only(chosen, "this", "expressions")
    value_name, label_name = values[0].name, chosen.this.name
    picked = [_column(item, source) for item in chosen.expressions]
    names = {column.name.lower() for column, _ in picked}
    kinds = {column.value.type for column, _ in picked}
    if len(kinds) > 1:
        raise invalid_query("The columns of an UNPIVOT must have one type")
    rest = [column for lower, column in source.columns.items() if lower not in names]
    if {value_name.lower(), label_name.lower()} & {column.name.lower() for column in rest}:
        raise invalid_query("Duplicate column name in an UNPIVOT")
    kept = "".join(f"{column.value.text} AS {quote(column.name)}, " for column in rest)
    selects = []
    for column, label in picked:
        where = "" if pivot.args.get("include_nulls") else f" WHERE {column.value.text} IS NOT NULL"
        items = f"{kept}{column.value.text} AS {quote(value_name)}, {text_literal(label)} AS {quote(label_name)}"
        selects.append(f"SELECT {items} FROM {text}{where}")  # noqa: S608 - the writer's own text
    alias, after = w.alias("s"), pivot.args.get("alias")
    outputs = [*rest, Output(value_name, Sql("", kinds.pop())), Output(label_name, Sql("", STRING))]
    columns = {out.name.lower(): Output(out.name, Sql(f"{alias}.{quote(out.name)}", out.value.type)) for out in outputs}
    return f"({' UNION ALL '.join(selects)}) AS {alias}", Source(after.name if after is not None else None, columns)


def _column(item: exp.Expr, source: Source) -> tuple[Output, str]:
    """A column and what its rows are labelled with."""
    column, label = (item.this, item.args["alias"]) if isinstance(item, exp.PivotAlias) else (item, None)
    if not isinstance(column, exp.Column) or len(column.parts) != 1:
        raise not_supported("UNPIVOT of several columns at once")
    found = source.columns.get(column.name.lower())
    if found is None:
        raise invalid_query(f"Unrecognized name: {column.name} in an UNPIVOT")
    if label is None:
        return found, column.name
    if not (isinstance(label, exp.Literal) and label.is_string):
        raise not_supported("UNPIVOT with a label that is no text")
    return found, str(label.this)
