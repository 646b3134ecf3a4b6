"""FROM: tables, subqueries, joins, and UNNEST beside them.

An UNNEST after a single table becomes an ``unnest()`` in a SELECT list around it, which DuckDB runs 25 times as fast
as the lateral join that it is otherwise; both keep the order and the offsets of the elements.

Source: GoogleSQL reference, "Query syntax" (FROM clause, UNNEST operator, join operation).
"""

from __future__ import annotations

from sqlglot import exp

from dicomkit.engine.persistence.warehouse_types import quote
from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.arrays import element_source, or_null, unnested
from dicomkit.engine.services.googlesql.parser import only, what
from dicomkit.engine.services.googlesql.pivot import pivoted
from dicomkit.engine.services.googlesql.scope import Output, Scope, Source
from dicomkit.engine.services.googlesql.types import Sql
from dicomkit.engine.services.googlesql.unpivot import unpivoted
from dicomkit.engine.services.googlesql.writer import Writer

__all__ = ["write_from", "write_item"]


def write_from(w: Writer, node: exp.Select, scope: Scope) -> str:
    """``FROM ...`` with a space before it, or nothing; the sources go into *scope*."""
    clause = node.args.get("from_")
    if clause is None:
        return ""
    only(clause, "this")
    first = clause.this
    inner_joins = list(first.args.get("joins") or ()) if isinstance(first, exp.Table | exp.Subquery) else []
    text, root = _first(w, first, scope)
    for join in (*inner_joins, *(node.args.get("joins") or ())):
        only(join, "this", "side", "kind", "on", "using")
        side, kind = str(join.side or "").upper(), str(join.kind or "").upper()
        if side not in ("", "LEFT", "RIGHT", "FULL") or kind not in ("", "INNER", "CROSS", "OUTER"):
            raise not_supported(f"{side} {kind} JOIN".strip())
        if isinstance(join.this, exp.Unnest):
            text, root = _unnest(w, join, side, text, root, scope)
        else:
            text, root = _join(w, join, side, text, scope), None
    return f" FROM {text}"


def write_item(w: Writer, node: exp.Expr, scope: Scope) -> str:
    """A table or a subquery that stands alone, as after USING of a MERGE; its source goes into *scope*."""
    return _item(w, node, scope)[0]


def _first(w: Writer, node: exp.Expr, scope: Scope) -> tuple[str, str | None]:
    if not isinstance(node, exp.Unnest):
        return _item(w, node, scope)
    alias = w.alias("s")
    columns, source = _elements(w, node, scope, alias, left=False)
    _add(scope, source)
    return f"(SELECT {columns}) AS {alias}", alias


def _item(w: Writer, node: exp.Expr, scope: Scope) -> tuple[str, str]:
    """A table or a subquery: its text, and its internal alias."""
    alias = w.alias("s")
    hidden: dict[str, Output] = {}
    if isinstance(node, exp.Table):
        only(node, "this", "db", "catalog", "alias", "joins", "pivots", "sample")
        name, written = _names(node), node.alias
        cte = scope.cte(name[0]) if len(name) == 1 else None
        if cte is not None:
            text, outputs = cte
            columns = {out.name.lower(): _reference(alias, out.name, out.value) for out in outputs}
        else:
            table = w.find_table(name)
            w.tables[table.key] = table
            text = table.sql
            columns = {column.lower(): _reference(alias, column, Sql("", kind)) for column, kind in table.columns}
            hidden = {column.lower(): _reference(alias, column, Sql("", kind)) for column, kind in table.hidden}
        # In one pair of back-ticks the last name of the path is the range variable.
        source = Source(written or name[-1].rsplit(".", 1)[-1], columns, hidden)
        return _named(w, node, f"{text} AS {alias}{_sample(node)}", alias, source, scope)
    if isinstance(node, exp.Subquery):
        only(node, "this", "alias", "joins", "with_", "pivots")
        # A subquery in FROM sees the query around, not its neighbours.
        text, outputs = w.query(node.this, Scope(parent=scope.parent, ctes=scope.ctes))
        columns = {}
        for out in outputs:
            if out.name.lower() in columns:
                raise invalid_query(f"Duplicate column name {out.name} in a subquery")
            columns[out.name.lower()] = _reference(alias, out.name, out.value)
        return _named(w, node, f"({text}) AS {alias}", alias, Source(node.alias or None, columns), scope)
    raise not_supported(f"{what(node)} in FROM")


def _sample(node: exp.Table) -> str:
    """``TABLESAMPLE SYSTEM (n PERCENT)``: about that part of the rows, whole blocks of them."""
    sample = node.args.get("sample")
    if sample is None:
        return ""
    only(sample, "method", "percent")
    percent = sample.args.get("percent")
    if node.args.get("pivots") or not isinstance(percent, exp.Literal) or percent.is_string:
        raise not_supported("TABLESAMPLE with anything but a number PERCENT")
    if sample.args["method"].name.upper() != "SYSTEM" or not 0 <= float(percent.this) <= 100:
        raise invalid_query("TABLESAMPLE takes SYSTEM and a number from 0 to 100")
    return f" TABLESAMPLE SYSTEM ({float(percent.this)} PERCENT)"


def _named(w: Writer, node: exp.Expr, text: str, alias: str, source: Source, scope: Scope) -> tuple[str, str]:
    """Put *source* into the scope, or what a PIVOT after it is."""
    pivots = node.args.get("pivots") or []
    if len(pivots) == 1 and pivots[0].args.get("unpivot"):
        text, source = unpivoted(w, pivots[0], text, source)
        alias = text.rsplit(" ", 1)[-1]
    elif pivots:
        text, source = pivoted(w, node.args["pivots"], text, source, scope)
        alias = text.rsplit(" ", 1)[-1]
    _add(scope, source)
    return text, alias


def _reference(alias: str, name: str, value: Sql) -> Output:
    return Output(name, Sql(f"{alias}.{quote(name)}", value.type))


def _names(node: exp.Table) -> list[str]:
    parts = []
    for part in node.parts:
        if not isinstance(part, exp.Identifier):
            raise not_supported("a table function")
        parts.append(part.name)
    return parts


def _add(scope: Scope, source: Source) -> None:
    if source.alias and any(
        other.alias and other.alias.lower() == source.alias.lower() and not (other.implicit or source.implicit)
        for other in scope.sources
    ):
        raise invalid_query(f"Duplicate table alias {source.alias} in the same FROM clause")
    scope.sources.append(source)


def _join(w: Writer, join: exp.Join, side: str, text: str, scope: Scope) -> str:
    right, _ = _item(w, join.this, scope)
    on, using = join.args.get("on"), join.args.get("using")
    if on is not None:
        return f"{text} {side or 'INNER'} JOIN {right} ON {w.text(on, scope)}"
    if using:
        names = [name.name for name in using]
        for name in names:
            _merge(scope, name, side)
        return f"{text} {side or 'INNER'} JOIN {right} USING ({', '.join(map(quote, names))})"
    if side:
        raise invalid_query(f"{side} JOIN needs an ON or USING clause")
    return f"{text} CROSS JOIN {right}"


def _merge(scope: Scope, name: str, side: str) -> None:
    lower = name.lower()
    left = [source.columns[lower] for source in scope.sources[:-1] if lower in source.columns]
    right = scope.sources[-1].columns.get(lower)
    if not left or right is None:
        raise invalid_query(f"Column {name} in USING clause not found on {'right' if left else 'left'} side of join")
    if len(left) > 1 and lower not in scope.merged:
        raise invalid_query(f"Column {name} in USING clause is ambiguous")
    scope.merged.add(lower)
    kind = left[0].value.type
    # The one column of both: of the side that is always there, or whichever is.
    texts = [left[0].value.text, right.value.text]
    merged = {"": texts[0], "LEFT": texts[0], "RIGHT": texts[1]}.get(side, f"coalesce({', '.join(texts)})")
    for source in scope.sources:
        if lower in source.columns:
            source.columns[lower] = Output(source.columns[lower].name, Sql(merged, kind))
            break


def _unnest(w: Writer, join: exp.Join, side: str, text: str, root: str | None, scope: Scope) -> tuple[str, str | None]:
    on = join.args.get("on")
    if join.args.get("using") or side in ("RIGHT", "FULL"):
        raise not_supported("a RIGHT or FULL JOIN with UNNEST, or one with USING; put the UNNEST into a subquery")
    left = side == "LEFT"
    if on is not None and not (isinstance(on, exp.Boolean) and on.this):
        alias = w.alias("s")
        columns, source = _elements(w, join.this, scope, alias, left=False)
        _add(scope, source)
        return f"{text} {side or 'INNER'} JOIN LATERAL (SELECT {columns}) AS {alias} ON {w.text(on, scope)}", None
    if root is not None:
        columns, source = _elements(w, join.this, scope, root, left=left)
        _add(scope, source)
        return f"(SELECT *, {columns} FROM {text}) AS {root}", root  # noqa: S608 - the writer's own text
    if left:
        raise not_supported("LEFT JOIN UNNEST after a join of tables; put the join into a subquery")
    alias = w.alias("s")
    columns, source = _elements(w, join.this, scope, alias, left=False)
    _add(scope, source)
    return f"{text} CROSS JOIN LATERAL (SELECT {columns}) AS {alias}", None


def _elements(w: Writer, node: exp.Expr, scope: Scope, alias: str, *, left: bool) -> tuple[str, Source]:
    """The SELECT list that takes an array apart, and the source that it is."""
    array = unnested(w, node, scope)
    element, place = w.alias("u"), w.alias("o")
    # Of NULL there are no elements either.
    bare = or_null(array)
    items, places = bare, f"range(len({bare}))"
    if left:
        # A row without elements stays, with NULL for the element.
        items = f"CASE WHEN len({bare}) > 0 THEN {bare} ELSE [NULL] END"
        places = f"CASE WHEN len({bare}) > 0 THEN {places} ELSE [NULL] END"
    columns = f"unnest({items}) AS {element}"
    if node.args.get("offset"):
        columns += f", unnest({places}) AS {place}"
    return columns, element_source(node, array, f"{alias}.{element}", f"{alias}.{place}")
