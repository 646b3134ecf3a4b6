"""Operators, literals, paths, casts: everything that is no function and no query.

Source: GoogleSQL reference, "Operators", "Conditional expressions", "Conversion rules", "Lexical structure".
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from dicomkit.engine.persistence.warehouse_types import quote
from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.arrays import exists, in_list
from dicomkit.engine.services.googlesql.casts import write_cast
from dicomkit.engine.services.googlesql.dates import extract, shifted
from dicomkit.engine.services.googlesql.json_functions import json_literal, member_of
from dicomkit.engine.services.googlesql.mathematics import BIT_OPERATORS
from dicomkit.engine.services.googlesql.parser import only
from dicomkit.engine.services.googlesql.scope import Scope, member
from dicomkit.engine.services.googlesql.types import (
    BOOLEAN,
    BYTES,
    DATE,
    FLOAT,
    INTEGER,
    NUMERIC,
    STRING,
    Sql,
    Type,
    check_comparable,
    check_numeric,
    check_text,
    text_literal,
)
from dicomkit.engine.services.googlesql.windows import window
from dicomkit.engine.services.googlesql.writer import ExpressionWriter, Writer

__all__ = ["EXPRESSIONS"]

_INT64 = 1 << 63


def _path(node: exp.Expr) -> list[str] | None:
    """The names of a dotted path; ``None`` when its beginning is no name."""
    if isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier):
        return [part.name for part in node.parts]
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        before = _path(node.this)
        return None if before is None else [*before, node.expression.name]
    return None


def _column(w: Writer, node: exp.Expr, scope: Scope) -> Sql:
    path = _path(node)
    if path is not None:
        return scope.resolve(path)
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Anonymous):
        # AEAD.ENCRYPT and the like.
        raise not_supported(f"the function {f'{node.this.name}.{node.expression.this}'.upper()[:80]}")
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        inner = w.expr(node.this, scope)
        return member(Sql(f"({inner.text})", inner.type), [node.expression.name])
    raise not_supported("* outside of a SELECT list and COUNT(*)")


def _literal(w: Writer, node: exp.Literal, scope: Scope) -> Sql:
    if node.is_string:
        return Sql(text_literal(node.this), STRING, literal=True)
    text = str(node.this)
    if text.isdigit():
        if int(text) >= _INT64:
            raise invalid_query("Invalid integer literal: outside of INT64")
        return Sql(text, INTEGER, literal=True)
    try:
        number = float(text)
    except ValueError:
        raise invalid_query("Syntax error: bad number") from None
    # With an exponent DuckDB reads a DOUBLE; without one a DECIMAL, which GoogleSQL has not here.
    digits = repr(number)
    return Sql(digits if "e" in digits or "inf" in digits else f"{digits}e0", FLOAT, literal=True)


def _concatenated(w: Writer, node: exp.Concat, scope: Scope) -> Sql:
    # Only literals beside each other come as this; the function is a call.
    return Sql("(" + " || ".join(w.text(part, scope) for part in node.expressions) + ")", STRING, literal=True)


def _hex(w: Writer, node: exp.HexString, scope: Scope) -> Sql:
    number = int(str(node.this), 16)
    if number >= _INT64:
        raise invalid_query("Invalid integer literal: outside of INT64")
    return Sql(str(number), INTEGER, literal=True)


def _bytes(w: Writer, node: exp.ByteString, scope: Scope) -> Sql:
    if not str(node.this).isascii() or "\\" in str(node.this):
        raise not_supported("a bytes literal with escapes")
    return Sql(f"unhex('{str(node.this).encode().hex()}')", BYTES, literal=True)


def _negative(w: Writer, node: exp.Neg, scope: Scope) -> Sql:
    inner = w.expr(node.this, scope)
    check_numeric("unary minus", inner)
    return Sql(f"(-{inner.text})", inner.type, inner.literal)


def _not(w: Writer, node: exp.Not, scope: Scope) -> Sql:
    return Sql(f"(NOT {w.text(node.this, scope)})", BOOLEAN)


def _both(w: Writer, node: exp.Binary, scope: Scope) -> Sql:
    # A chain of ANDs is as long as the user likes: it is walked, not recursed into.
    kind, parts, rest = type(node), [], [node]
    while rest:
        top: exp.Expr = rest.pop()
        if type(top) is kind:
            rest += [top.expression, top.this]
        else:
            parts.append(w.text(top, scope))
    word = " AND " if kind is exp.And else " OR "
    return Sql("(" + word.join(parts) + ")", BOOLEAN)


_COMPARISONS = {exp.EQ: "=", exp.NEQ: "<>", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<="}
_DISTINCTIONS = {exp.NullSafeEQ: "IS NOT DISTINCT FROM", exp.NullSafeNEQ: "IS DISTINCT FROM"}


def _comparison(w: Writer, node: exp.Binary, scope: Scope) -> Sql:
    sign = (_COMPARISONS | _DISTINCTIONS)[type(node)]
    if isinstance(node.expression, exp.Any | exp.All):
        raise not_supported(f"{sign} with ANY or ALL")
    left, right = check_comparable(f"operator {sign}", (w.expr(node.this, scope), w.expr(node.expression, scope)))
    return Sql(f"({left} {sign} {right})", BOOLEAN)


def _arithmetic(w: Writer, node: exp.Binary, scope: Scope) -> Sql:
    sign = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}[type(node)]
    if isinstance(node.this, exp.Interval) and sign == "+":
        return shifted(w, node.expression, sign, node.this, scope)
    if isinstance(node.expression, exp.Interval) and sign in "+-":
        return shifted(w, node.this, sign, node.expression, scope)
    left, right = w.expr(node.this, scope), w.expr(node.expression, scope)
    if left.type == DATE and right.type == INTEGER and sign in "+-":
        return Sql(f"({left.text} {sign} CAST({right.text} AS INTEGER))", DATE)
    check_numeric(f"operator {sign}", left, right)
    if left.literal and right.literal and left.type == right.type == INTEGER:
        # DuckDB's own literals have 32 bits.
        left = left._replace(text=f"CAST({left.text} AS BIGINT)")
    kind = left.type if left.type == right.type else FLOAT if FLOAT in (left.type, right.type) else None
    return Sql(f"({left.text} {sign} {right.text})", kind)


def _divide(w: Writer, node: exp.Div, scope: Scope) -> Sql:
    left, right = w.expr(node.this, scope), w.expr(node.expression, scope)
    check_numeric("operator /", left, right)
    if NUMERIC in (left.type, right.type):
        raise not_supported("division of NUMERIC")
    return Sql(f"bq_divide({left.text}, {right.text})", FLOAT)


def _joined(w: Writer, node: exp.DPipe, scope: Scope) -> Sql:
    left, right = w.expr(node.this, scope), w.expr(node.expression, scope)
    if any(side.type is not None and side.type.repeated for side in (left, right)):
        return Sql(f"({left.text} || {right.text})", left.type or right.type)
    check_text("operator ||", left, right)
    return Sql(f"({left.text} || {right.text})", left.type or right.type)


def _is(w: Writer, node: exp.Is, scope: Scope) -> Sql:
    other = node.expression
    if not isinstance(other, exp.Null | exp.Boolean):
        raise not_supported("IS with anything but NULL, TRUE and FALSE")
    word = "NULL" if isinstance(other, exp.Null) else str(bool(other.this)).upper()
    return Sql(f"({w.text(node.this, scope)} IS {word})", BOOLEAN)


def _like(w: Writer, node: exp.Like, scope: Scope) -> Sql:
    only(node, "this", "expression")
    if isinstance(node.expression, exp.Any | exp.All):
        return _like_several(w, node, scope)
    left, right = w.expr(node.this, scope), w.expr(node.expression, scope)
    check_text("operator LIKE", left, right)
    # GoogleSQL escapes with a backslash, DuckDB with nothing unless told.
    return Sql(f"({left.text} LIKE {right.text} ESCAPE '\\')", BOOLEAN)


def _like_several(w: Writer, node: exp.Like, scope: Scope) -> Sql:
    """``LIKE ANY (...)`` and ``LIKE ALL (...)`` of patterns that are written."""
    group = node.expression.this
    patterns = (
        group.expressions if isinstance(group, exp.Tuple) else [group.this if isinstance(group, exp.Paren) else group]
    )
    if any(isinstance(pattern, exp.Query | exp.Unnest | exp.Subquery) for pattern in patterns):
        raise not_supported("LIKE ANY or ALL of anything but a list of patterns")
    value, values = w.expr(node.this, scope), [w.expr(pattern, scope) for pattern in patterns]
    check_text("operator LIKE", value, *values)
    word = " OR " if isinstance(node.expression, exp.Any) else " AND "
    return Sql("(" + word.join(f"({value.text} LIKE {each.text} ESCAPE '\\')" for each in values) + ")", BOOLEAN)


def _between(w: Writer, node: exp.Between, scope: Scope) -> Sql:
    only(node, "this", "low", "high")
    parts = [w.expr(part, scope) for part in (node.this, node.args["low"], node.args["high"])]
    value, low, high = check_comparable("operator BETWEEN", parts)
    return Sql(f"({value} BETWEEN {low} AND {high})", BOOLEAN)


def _case(w: Writer, node: exp.Case, scope: Scope) -> Sql:
    only(node, "this", "ifs", "default")
    text, results = "CASE", []
    subject = w.expr(node.this, scope) if node.this else None
    for branch in node.args["ifs"]:
        condition = w.expr(branch.this, scope)
        if subject is not None:
            left, right = check_comparable("operator CASE", (subject, condition))
            condition = Sql(f"({left} = {right})")
        result = w.expr(branch.args["true"], scope)
        results.append(result)
        text += f" WHEN {condition.text} THEN {result.text}"
    if node.args.get("default"):
        results.append(w.expr(node.args["default"], scope))
        text += f" ELSE {results[-1].text}"
    return Sql(f"({text} END)", _common(results))


def _if(w: Writer, node: exp.If, scope: Scope) -> Sql:
    yes, no = w.expr(node.args["true"], scope), w.expr(node.args.get("false") or exp.null(), scope)
    condition = w.expr(node.this, scope)
    if condition.type not in (BOOLEAN, None):
        raise invalid_query(f"No matching signature for function IF: a BOOL is needed, not {condition.type}")
    return Sql(f"(CASE WHEN {condition.text} THEN {yes.text} ELSE {no.text} END)", _common([yes, no]))


def _common(values: list[Sql]) -> Type | None:
    kinds = {value.type for value in values if value.text != "NULL"}
    return kinds.pop() if len(kinds) == 1 else None


def _bracket(w: Writer, node: exp.Bracket, scope: Scope) -> Sql:
    only(node, "this", "expressions", "offset", "safe")
    if len(node.expressions) != 1:
        raise not_supported("a subscript with several values")
    array = w.expr(node.this, scope)
    if array.type == Type("JSON"):
        return member_of(w, array, node, scope)
    index = w.expr(node.expressions[0], scope)
    if array.type is not None and not array.type.repeated:
        raise not_supported(f"a subscript of a {array.type}")
    check_numeric("a subscript", index)
    start = node.args.get("offset")
    name = f"bq_{'safe_' if node.args.get('safe') else ''}{'ordinal' if start == 1 else 'offset'}"
    return Sql(f"{name}({array.text}, {index.text})", array.type.element if array.type else None)


def _array(w: Writer, node: exp.Array, scope: Scope) -> Sql:
    if len(node.expressions) == 1 and isinstance(node.expressions[0], exp.Query):
        text, outputs = w.query(node.expressions[0], Scope(parent=scope))
        if len(outputs) != 1:
            raise invalid_query("ARRAY subquery cannot have more than one column unless using SELECT AS STRUCT")
        kind = outputs[0].value.type
        return Sql(f"ARRAY({text})", Type(kind.kind, True, kind.fields) if kind and not kind.repeated else None)
    items = [w.expr(item, scope) for item in node.expressions]
    if any(item.type is not None and item.type.repeated for item in items):
        raise invalid_query("Cannot construct array with element type ARRAY; nested arrays are not supported")
    if len({tuple(item.type.fields) for item in items if item.type is not None and item.type.fields is not None}) > 1:
        # GoogleSQL puts them together by place, DuckDB by name.
        raise not_supported("an array of STRUCTs whose fields have different names, or another order")
    kind = _common(items)
    return Sql("[" + ", ".join(item.text for item in items) + "]", Type(kind.kind, True, kind.fields) if kind else None)


def struct(items: list[tuple[str, Sql]]) -> Sql:
    """A STRUCT with these fields."""
    # A NULL without a type is an INT64.
    kinds = [INTEGER if value.text == "NULL" else value.type for _, value in items]
    fields = None
    if all(kind is not None for kind in kinds) and len({name.lower() for name, _ in items}) == len(items):
        fields = {name.lower(): (name, kind) for (name, _), kind in zip(items, kinds, strict=True) if kind}
    text = ", ".join(f"{quote(name)} := {value.text}" for name, value in items)
    return Sql(f"struct_pack({text})", Type("RECORD", False, fields))


def _call(w: Writer, node: exp.Anonymous, scope: Scope) -> Sql:
    name, args = str(node.this), list(node.expressions)
    if name.upper() != "STRUCT":
        return w.call(name, args, scope)
    items = []
    for number, arg in enumerate(args, 1):
        path = _path(arg)
        own = arg.alias if isinstance(arg, exp.Alias) else path[-1] if path else f"_field_{number}"
        items.append((own, w.expr(arg.this if isinstance(arg, exp.Alias) else arg, scope)))
    if not items:
        raise not_supported("STRUCT without fields")
    return struct(items)


def _safe(w: Writer, node: Any, scope: Scope) -> Sql:
    inner = node.this
    if not isinstance(inner, exp.Anonymous):
        raise not_supported("SAFE. before this function")
    return w.call(str(inner.this), list(inner.expressions), scope, safe=True)


def _subquery(w: Writer, node: exp.Subquery, scope: Scope) -> Sql:
    only(node, "this", "with_")
    text, outputs = w.query(node.this, Scope(parent=scope))
    if len(outputs) != 1:
        raise invalid_query("Scalar subquery cannot have more than one column unless using SELECT AS STRUCT")
    return Sql(f"({text})", outputs[0].value.type)


def _parameter(w: Writer, node: exp.Parameter, scope: Scope) -> Sql:
    if not isinstance(node.this, exp.Var | exp.Identifier):
        raise not_supported("a system variable")
    return w.parameter(node.this.name)


def _niladic(w: Writer, node: exp.Expr, scope: Scope) -> Sql:
    if any(node.args.values()):
        raise not_supported("a time zone as argument")
    return w.call(type(node).__name__.replace("Current", "Current_"), [], scope)


def _net(w: Writer, node: exp.Expr, scope: Scope) -> Sql:
    raise not_supported(f"the function NET.{str(node.this.this).upper()[:40]}")


EXPRESSIONS: dict[type[exp.Expr], ExpressionWriter] = {
    exp.Column: _column,
    exp.Dot: _column,
    exp.Literal: _literal,
    exp.RawString: lambda w, node, scope: Sql(text_literal(str(node.this)), STRING, literal=True),
    exp.Concat: _concatenated,
    exp.HexString: _hex,
    exp.ByteString: _bytes,
    exp.Boolean: lambda w, node, scope: Sql(str(bool(node.this)).lower(), BOOLEAN, literal=True),
    exp.Null: lambda w, node, scope: Sql("NULL"),
    exp.Paren: lambda w, node, scope: w.expr(node.this, scope)._replace(text=f"({w.text(node.this, scope)})"),
    exp.Neg: _negative,
    exp.Not: _not,
    exp.And: _both,
    exp.Or: _both,
    **dict.fromkeys((*_COMPARISONS, *_DISTINCTIONS), _comparison),
    exp.Add: _arithmetic,
    exp.Sub: _arithmetic,
    exp.Mul: _arithmetic,
    exp.Div: _divide,
    exp.DPipe: _joined,
    exp.Is: _is,
    exp.Like: _like,
    exp.Between: _between,
    exp.In: in_list,
    exp.Exists: exists,
    exp.Case: _case,
    exp.If: _if,
    exp.Cast: write_cast,
    exp.TryCast: write_cast,
    exp.Extract: extract,
    exp.Bracket: _bracket,
    exp.Array: _array,
    exp.Anonymous: _call,
    exp.SafeFunc: _safe,
    exp.Subquery: _subquery,
    exp.Window: window,
    exp.Parameter: _parameter,
    exp.NetFunc: _net,
    exp.ParseJSON: json_literal,
    **BIT_OPERATORS,
    exp.CurrentDate: _niladic,
    exp.CurrentTimestamp: _niladic,
    exp.CurrentDatetime: _niladic,
    exp.CurrentTime: _niladic,
}
"""Every kind of expression that is written; another one is refused by its name."""
