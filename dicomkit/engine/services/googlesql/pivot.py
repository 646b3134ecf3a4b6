"""PIVOT: rows of a table or a subquery turned into columns.

Every aggregate becomes one column for each value, over the rows where the FOR column is that value; what is named
neither by an aggregate nor by FOR groups.

Source: GoogleSQL reference, "Query syntax" (PIVOT operator).
"""

from __future__ import annotations

from sqlglot import exp

from dicomkit.engine.persistence.warehouse_types import quote
from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.parser import only, what
from dicomkit.engine.services.googlesql.scope import Output, Scope, Source
from dicomkit.engine.services.googlesql.types import Sql
from dicomkit.engine.services.googlesql.writer import Writer
from dicomkit.errors import InvalidArgument

__all__ = ["pivoted"]

# Each passes over NULL, which is what a row of another value becomes.
_AGGREGATES = ("ANY_VALUE", "AVG", "COUNT", "COUNTIF", "MAX", "MIN", "SUM")
_MAX_COLUMNS = 1_000


def pivoted(w: Writer, pivots: list[exp.Pivot], text: str, source: Source, scope: Scope) -> tuple[str, Source]:
    """The subquery that a PIVOT is, and what can be named after it.

    Parameters
    ----------
    text
        The item before PIVOT, with its internal alias.
    source
        What can be named in it.
    scope
        That of the FROM clause.
    """
    if len(pivots) != 1 or pivots[0].args.get("unpivot") or len(pivots[0].args.get("fields") or ()) != 1:
        raise not_supported("UNPIVOT, or more than one PIVOT")
    (pivot,) = pivots
    only(pivot, "expressions", "fields", "alias", "columns", "prefixed_pivot_columns", "pivot_column_naming")
    chosen = pivot.args["fields"][0]
    if not isinstance(chosen, exp.In) or not isinstance(chosen.this, exp.Column) or len(chosen.this.parts) != 1:
        raise not_supported("PIVOT whose FOR is no column")
    only(chosen, "this", "expressions")
    inner = Scope(parent=scope.parent, sources=[source], ctes=scope.ctes)
    aggregates = [_aggregate(item) for item in pivot.expressions]
    if sum(not alias for _, alias in aggregates) > 1:
        raise invalid_query("PIVOT with several aggregates needs an alias for each")
    used = {name for call, _ in aggregates for name in _columns(call, source)} | {chosen.this.name.lower()}
    inner.resolve([chosen.this.name])
    groups = [column for name, column in source.columns.items() if name not in used]
    for column in groups:
        kind = column.value.type
        if kind is not None and (kind.repeated or kind.kind in ("RECORD", "JSON")):
            raise invalid_query(f"Grouping by expressions of type {kind} is not allowed: {column.name}, in a PIVOT")
    outputs = list(groups)
    for item in chosen.expressions:
        value, name = _value(item)
        condition = exp.NullSafeEQ(this=chosen.this.copy(), expression=value)
        for call, alias in aggregates:
            written = w.expr(_where(call, condition), inner)
            outputs.append(Output(f"{alias}_{name}" if alias else name, written))
    if len(outputs) - len(groups) > _MAX_COLUMNS:
        raise not_supported(f"a PIVOT with more than {_MAX_COLUMNS} columns")
    return _written(w, pivot, text, groups, outputs)


def _written(w: Writer, pivot: exp.Pivot, text: str, groups: list[Output], outputs: list[Output]) -> tuple[str, Source]:
    alias = w.alias("s")
    columns: dict[str, Output] = {}
    items = []
    for output in outputs:
        try:
            name = quote(output.name)
        except InvalidArgument:
            raise not_supported("a PIVOT value that is no column name; give it an alias") from None
        if output.name.lower() in columns:
            raise invalid_query(f"Duplicate column name {output.name} in a PIVOT")
        items.append(f"{output.value.text} AS {name}")
        columns[output.name.lower()] = Output(output.name, Sql(f"{alias}.{name}", output.value.type))
    grouped = f" GROUP BY {', '.join(column.value.text for column in groups)}" if groups else ""
    after = pivot.args.get("alias")
    sql = f"(SELECT {', '.join(items)} FROM {text}{grouped}) AS {alias}"  # noqa: S608 - the writer's own text
    return sql, Source(after.name if after is not None else None, columns)


def _aggregate(item: exp.Expr) -> tuple[exp.Anonymous, str]:
    call, alias = (item.this, item.alias) if isinstance(item, exp.Alias) else (item, "")
    if not isinstance(call, exp.Anonymous) or str(call.this).upper() not in _AGGREGATES or len(call.expressions) != 1:
        raise not_supported(f"PIVOT with {what(call) if not isinstance(call, exp.Anonymous) else str(call.this)[:80]}")
    return call, alias


def _columns(call: exp.Expr, source: Source) -> list[str]:
    """The columns of *source* that *call* names."""
    names = []
    for column in call.find_all(exp.Column):
        parts = [part.name.lower() for part in column.parts]
        if len(parts) > 1 and source.alias and parts[0] == source.alias.lower():
            parts = parts[1:]
        names.append(parts[0])
    return names


def _value(item: exp.Expr) -> tuple[exp.Expr, str]:
    """A value and the name of its column."""
    if isinstance(item, exp.PivotAlias):
        return item.this, item.args["alias"].name
    if isinstance(item, exp.Literal):
        return item, str(item.this) if item.is_string else f"_{item.this}"
    raise not_supported("a PIVOT value without an alias that is neither text nor a number")


def _where(call: exp.Anonymous, condition: exp.Expr) -> exp.Anonymous:
    """*call* over the rows where *condition* holds."""
    name, arg = str(call.this), call.expressions[0]
    if isinstance(arg, exp.Star):
        if name.upper() != "COUNT" or any(arg.args.values()):
            raise not_supported(f"PIVOT with {name[:80]}(*)")
        return exp.Anonymous(this="COUNTIF", expressions=[condition])
    distinct = isinstance(arg, exp.Distinct)
    if distinct and len(arg.expressions) != 1:
        raise not_supported("PIVOT with DISTINCT of several expressions")
    inner = exp.If(this=condition, true=(arg.expressions[0] if distinct else arg).copy(), false=exp.null())
    return exp.Anonymous(this=name, expressions=[exp.Distinct(expressions=[inner]) if distinct else inner])
