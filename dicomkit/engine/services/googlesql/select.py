"""Queries: SELECT with its clauses, set operations, WITH.

Source: GoogleSQL reference, "Query syntax".
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dicomkit.engine.persistence.warehouse_types import quote
from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.expressions import struct
from dicomkit.engine.services.googlesql.grouping import clash, group_by, ordinal
from dicomkit.engine.services.googlesql.parser import only, what
from dicomkit.engine.services.googlesql.scope import Output, Scope
from dicomkit.engine.services.googlesql.sources import write_from
from dicomkit.engine.services.googlesql.types import BOOLEAN, Sql
from dicomkit.engine.services.googlesql.windows import direction, ordered
from dicomkit.engine.services.googlesql.writer import Writer

__all__ = ["write_query"]

_SET_OPERATIONS = {exp.Union: "UNION", exp.Except: "EXCEPT", exp.Intersect: "INTERSECT"}


def write_query(w: Writer, node: exp.Query, scope: Scope) -> tuple[str, list[Output]]:
    """Text and columns of a query; *scope* is that of the query around it."""
    scope = Scope(parent=scope)
    prefix = _with(w, node, scope)
    if isinstance(node, exp.Select):
        text, outputs = _select(w, node, scope)
    elif isinstance(node, exp.SetOperation):
        text, outputs = _set_operation(w, node, scope)
    elif isinstance(node, exp.Subquery):
        only(node, "this", "order", "limit", "offset", "with_")
        inner, outputs = w.query(node.this, scope)
        text = f"({inner})" + _outer_clauses(w, node, outputs, scope)
    else:
        raise not_supported(what(node))
    return prefix + text, outputs


def _with(w: Writer, node: exp.Query, scope: Scope) -> str:
    clause = node.args.get("with_")
    if clause is None:
        return ""
    only(clause, "expressions")
    parts = []
    for cte in clause.expressions:
        only(cte, "this", "alias")
        if cte.args["alias"].args.get("columns"):
            raise not_supported("a list of columns after a WITH name")
        text, outputs = w.query(cte.this, scope)
        _unique(outputs)
        name = w.alias("w")
        parts.append(f"{name} AS ({text})")
        scope.ctes[cte.alias.lower()] = (name, outputs)
    return "WITH " + ", ".join(parts) + " "


def _set_operation(w: Writer, node: exp.SetOperation, scope: Scope) -> tuple[str, list[Output]]:
    only(node, "this", "expression", "distinct", "order", "limit", "offset", "with_")
    # A chain of UNIONs is as long as the user likes: it is walked along its left side.
    steps: list[tuple[str, exp.Query]] = []
    left: exp.Expr = node
    while isinstance(left, exp.SetOperation) and (left is node or not _has_clauses(left)):
        only(left, "this", "expression", "distinct", "order", "limit", "offset", "with_")
        word = _SET_OPERATIONS[type(left)]
        if not left.args.get("distinct") and word != "UNION":
            raise not_supported(f"{word} ALL")
        steps.append((word if left.args.get("distinct") else f"{word} ALL", left.expression))
        left = left.this
    first, outputs = w.query(left, scope)
    text = f"({first})"
    for word, query in reversed(steps):
        other, columns = w.query(query, scope)
        if len(columns) != len(outputs):
            raise invalid_query(f"Queries in {word} have mismatched column count; {len(outputs)} and {len(columns)}")
        for mine, theirs in zip(outputs, columns, strict=True):
            _check_same(word, mine, theirs)
        text += f" {word} ({other})"
    outputs = [Output(out.name, Sql(quote(out.name), out.value.type)) for out in outputs]
    return text + _outer_clauses(w, node, outputs, scope), outputs


def _check_same(word: str, mine: Output, theirs: Output) -> None:
    kinds = (mine.value.type, theirs.value.type)
    if None not in kinds and kinds[0] != kinds[1]:
        numbers = {kind.kind for kind in kinds if kind} <= {"INTEGER", "FLOAT", "NUMERIC"}
        if not numbers:
            raise invalid_query(
                f"Column {mine.name} in {word} has incompatible types: {kinds[0]}, {kinds[1]}; a CAST is needed"
            )


def _has_clauses(node: exp.Expr) -> bool:
    return any(node.args.get(name) for name in ("order", "limit", "offset", "with_"))


def _outer_clauses(w: Writer, node: exp.Expr, outputs: Sequence[Output], scope: Scope) -> str:
    """ORDER BY, LIMIT and OFFSET after a query whose columns are all that can be named."""
    text = ""
    order = node.args.get("order")
    if order is not None:
        names = {output.name.lower(): output.name for output in outputs}
        items = []
        for item in order.expressions:
            key = item.this if isinstance(item, exp.Ordered) else item
            if isinstance(key, exp.Literal) and not key.is_string:
                items.append(ordinal(key, len(outputs)) + direction(item))
            elif isinstance(key, exp.Column) and len(key.parts) == 1 and key.name.lower() in names:
                items.append(quote(names[key.name.lower()]) + direction(item))
            else:
                raise not_supported("ORDER BY an expression after a set operation")
        text += " ORDER BY " + ", ".join(items)
    return text + _limits(w, node, scope)


def _limits(w: Writer, node: exp.Expr, scope: Scope) -> str:
    text = ""
    for word in ("limit", "offset"):
        clause = node.args.get(word)
        if clause is not None:
            only(clause, "expression")
            count = clause.expression
            number = isinstance(count, exp.Literal) and not count.is_string and str(count.this).isdigit()
            if not number and not isinstance(count, exp.Parameter):
                raise invalid_query(f"{word.upper()} expects a non-negative integer literal or parameter")
            text += f" {word.upper()} {w.text(count, scope)}"
    return text


def _select(w: Writer, node: exp.Select, scope: Scope) -> tuple[str, list[Output]]:
    only(node, "expressions", "from_", "joins", "where", "group", "having", "qualify", "order", "limit", "offset",
         "distinct", "kind", "with_", "windows")  # fmt: skip
    scope.windows = {each.this.name.lower(): each for each in node.args.get("windows") or ()}
    if node.args.get("kind") not in (None, "STRUCT", "VALUE"):
        raise not_supported(f"SELECT AS {node.args['kind']}")
    clauses = write_from(w, node, scope)
    columns = _outputs(w, node, scope)
    distinct = _distinct(node, columns)
    if node.args.get("kind") == "VALUE":
        _check_value(columns)
    if node.args.get("where"):
        clauses += f" WHERE {_condition(w, node.args['where'].this, scope, 'WHERE')}"
    if node.args.get("group"):
        clauses += " GROUP BY " + group_by(w, node.args["group"], columns, scope)
    # From here on the SELECT list's aliases are names, after the columns.
    scope.outputs = {output.name.lower(): output for output in _aliased(node, columns)}
    for name in ("having", "qualify"):
        if node.args.get(name):
            condition = node.args[name].this
            _check_names(condition, scope)
            clauses += f" {name.upper()} {_condition(w, condition, scope, name.upper())}"
    as_struct = node.args.get("kind") == "STRUCT"
    if node.args.get("order"):
        clauses += " ORDER BY " + ", ".join(
            _order_item(w, item, columns, scope, distinct=distinct, by_place=not as_struct)
            for item in node.args["order"].expressions
        )
    clauses += _limits(w, node, scope)
    outputs = columns
    if as_struct:
        outputs = [Output("_struct", struct([(column.name, column.value) for column in columns]))]
    listed = ", ".join(f"{output.value.text} AS {quote(output.name)}" for output in outputs)
    return f"SELECT {'DISTINCT ' if distinct else ''}{listed}{clauses}", outputs


def _condition(w: Writer, node: exp.Expr, scope: Scope, clause: str) -> str:
    value = w.expr(node, scope)
    if value.type not in (BOOLEAN, None):
        raise invalid_query(f"{clause} clause should return type BOOL, but returns type {value.type}")
    return value.text


def _check_value(columns: Sequence[Output]) -> None:
    """A value that is no STRUCT is a column like another."""
    if len(columns) != 1:
        raise invalid_query("SELECT AS VALUE query must have exactly one column")
    kind = columns[0].value.type
    if kind is None or kind.kind == "RECORD":
        raise not_supported(f"SELECT AS VALUE of {kind or 'a value whose type is not known here'}")


def _distinct(node: exp.Select, columns: Sequence[Output]) -> bool:
    distinct = node.args.get("distinct")
    if distinct is None:
        return False
    only(distinct)
    for column in columns:
        kind = column.value.type
        if kind is not None and (kind.repeated or kind.kind in ("RECORD", "JSON")):
            raise invalid_query(f"Column {column.name} of type {kind} cannot be used in SELECT DISTINCT")
    return True


def _aliased(node: exp.Select, outputs: Sequence[Output]) -> list[Output]:
    """The outputs whose alias was written."""
    written = {item.alias.lower() for item in node.expressions if isinstance(item, exp.Alias)}
    return [output for output in outputs if output.name.lower() in written]


def _check_names(node: exp.Expr, scope: Scope) -> None:
    """Refuse a name that is an alias and a column of different things: which one is meant is never a guess."""
    for column in node.find_all(exp.Column):
        if len(column.parts) == 1 and column.name.lower() in scope.outputs:
            clash(column.name, scope.outputs[column.name.lower()], scope)


def _order_item(
    w: Writer, item: exp.Expr, columns: Sequence[Output], scope: Scope, *, distinct: bool, by_place: bool
) -> str:
    key = item.this if isinstance(item, exp.Ordered) else item
    if isinstance(key, exp.Literal) and not key.is_string:
        place = int(ordinal(key, len(columns)))
    elif isinstance(key, exp.Column) and len(key.parts) == 1:
        # An alias comes before a column here.
        places = [number for number, column in enumerate(columns, 1) if column.name.lower() == key.name.lower()]
        if len(places) > 1:
            raise invalid_query(f"Column name {key.name} is ambiguous")
        place = places[0] if places else 0
    else:
        _check_names(key, scope)
        place = 0
    if not place and distinct:
        # What SELECT DISTINCT dropped has no order: the same expression must be in the list.
        text = w.text(key, scope)
        places = [number for number, column in enumerate(columns, 1) if column.value.text == text]
        if not places:
            raise invalid_query("ORDER BY references an expression that is not in the SELECT DISTINCT list")
        place = places[0]
    if not place:
        return ordered(w, item, scope)
    # A SELECT AS STRUCT has one column in DuckDB, so that no place can be told.
    return (str(place) if by_place else columns[place - 1].value.text) + direction(item)


def _outputs(w: Writer, node: exp.Select, scope: Scope) -> list[Output]:
    outputs: list[Output] = []
    unnamed = 0
    for item in node.expressions:
        if isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star)):
            outputs += _star(w, item, scope)
            continue
        value = w.expr(item.this if isinstance(item, exp.Alias) else item, scope)
        if isinstance(item, exp.Alias):
            name = item.alias
        elif isinstance(item, exp.Column | exp.Dot):
            name = item.name if isinstance(item, exp.Column) else item.expression.name
        else:
            name, unnamed = f"f{unnamed}_", unnamed + 1
        quote(name)
        outputs.append(Output(name, value))
    if not outputs:
        raise invalid_query("SELECT list is empty")
    return outputs


def _star(w: Writer, item: exp.Expr, scope: Scope) -> list[Output]:
    star = item.this if isinstance(item, exp.Column) else item
    only(star, "except_", "replace")
    columns = _members(item, scope) if isinstance(item, exp.Column) else _everything(scope)
    dropped = {column.name.lower() for column in star.args.get("except_") or ()}
    replaced = {alias.alias.lower(): w.expr(alias.this, scope) for alias in star.args.get("replace") or ()}
    known = {column.name.lower() for column in columns}
    for name in (*dropped, *replaced):
        if name not in known:
            raise invalid_query(f"Column {name} in SELECT * EXCEPT or REPLACE list does not exist")
    return [
        Output(column.name, replaced.get(column.name.lower(), column.value))
        for column in columns
        if column.name.lower() not in dropped
    ]


def _members(item: exp.Column, scope: Scope) -> list[Output]:
    """The columns of ``alias.*``."""
    path = [part.name for part in item.parts[:-1]]
    if len(path) == 1:
        source = scope.variable(path[0]) or scope.variable(path[0], implicit=True)
        if source is not None:
            if source.opaque or (source.value is not None and not source.columns):
                raise not_supported("* of a value whose fields are not known here")
            return list(source.columns.values())
    value = scope.resolve(path)
    if value.type is None or value.type.kind != "RECORD" or value.type.repeated or value.type.fields is None:
        raise invalid_query("Dot-star is not supported for this type; a STRUCT is needed")
    return [Output(name, Sql(f'{value.text}."{name}"', kind)) for name, kind in value.type.fields.values()]


def _everything(scope: Scope) -> list[Output]:
    """The columns of ``*``: what USING made one comes once, and first."""
    if not scope.sources:
        raise invalid_query("SELECT * must have a FROM clause")
    columns: list[Output] = []
    for name in scope.merged:
        columns.append(next(source.columns[name] for source in scope.sources if name in source.columns))
    for source in scope.sources:
        if source.opaque:
            raise not_supported("* with an array's element whose type is not known here")
        if source.value is not None and not source.columns:
            columns.append(Output("f0_", source.value))
        columns += [column for name, column in source.columns.items() if name not in scope.merged]
    return columns


def _unique(outputs: Sequence[Output]) -> None:
    seen: set[str] = set()
    for output in outputs:
        if output.name.lower() in seen:
            raise invalid_query(f"Duplicate column names in the result are not supported. Found: {output.name}")
        seen.add(output.name.lower())
