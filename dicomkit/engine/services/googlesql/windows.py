"""Analytic functions: ``OVER`` with its partition, order and frame, and the functions that need it.

Source: GoogleSQL reference, "Window function calls", "Navigation functions", "Numbering functions".
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.aggregates import AGGREGATES, OVER_AGGREGATES
from dicomkit.engine.services.googlesql.parser import only
from dicomkit.engine.services.googlesql.scope import Scope
from dicomkit.engine.services.googlesql.types import FLOAT, INTEGER, Sql, check_numeric
from dicomkit.engine.services.googlesql.writer import Writer

__all__ = ["order_by", "window"]

_NUMBERING = {
    "ROW_NUMBER": INTEGER,
    "RANK": INTEGER,
    "DENSE_RANK": INTEGER,
    "PERCENT_RANK": FLOAT,
    "CUME_DIST": FLOAT,
}
_NAVIGATION = {"LAG": (1, 3), "LEAD": (1, 3), "FIRST_VALUE": (1, 1), "LAST_VALUE": (1, 1), "NTH_VALUE": (2, 2)}


def window(w: Writer, node: exp.Window, scope: Scope) -> Sql:
    """``function(...) OVER (...)``."""
    only(node, "this", "partition_by", "order", "spec", "over", "alias")
    call, nulls = node.this, ""
    if isinstance(call, exp.IgnoreNulls | exp.RespectNulls):
        call, nulls = call.this, " IGNORE NULLS" if isinstance(call, exp.IgnoreNulls) else ""
    if not isinstance(call, exp.Anonymous):
        raise not_supported("OVER after this expression")
    value = _function(w, call, nulls, scope)
    return Sql(f"{value.text} OVER ({_over(w, node, scope)})", value.type)


def _function(w: Writer, call: exp.Anonymous, nulls: str, scope: Scope) -> Sql:
    name, args = str(call.this).upper(), list(call.expressions)
    if name in _NUMBERING:
        if args:
            raise invalid_query(f"{name} takes no arguments")
        return Sql(f"{name.lower()}()", _NUMBERING[name])
    if name == "NTILE" and len(args) == 1:
        return Sql(f"ntile({w.text(args[0], scope)})", INTEGER)
    if name in _NAVIGATION:
        least, most = _NAVIGATION[name]
        if not least <= len(args) <= most:
            raise invalid_query(f"No matching signature for function {name}: it does not take {len(args)} arguments")
        first = args[0]
        if isinstance(first, exp.IgnoreNulls | exp.RespectNulls):
            nulls = " IGNORE NULLS" if isinstance(first, exp.IgnoreNulls) else ""
            first = first.this
        value = w.expr(first, scope)
        others = "".join(f", {w.text(arg, scope)}" for arg in args[1:])
        return Sql(f"{name.lower()}({value.text}{others}{nulls})", value.type)
    if name in ("PERCENTILE_CONT", "PERCENTILE_DISC") and len(args) == 2 and isinstance(args[1], exp.Literal):
        value = w.expr(args[0], scope)
        function = "quantile_cont" if name == "PERCENTILE_CONT" else "quantile_disc"
        if name == "PERCENTILE_CONT":
            check_numeric(name, value)
        return Sql(f"{function}({value.text}, {w.text(args[1], scope)})", FLOAT if "CONT" in name else value.type)
    if name in AGGREGATES and name in OVER_AGGREGATES and not nulls:
        return AGGREGATES[name](w, name, args, scope)
    raise not_supported(f"the function {name[:80]} with OVER")


def _over(w: Writer, node: exp.Window, scope: Scope) -> str:
    parts = []
    given = _inherited(node, scope, 0)
    if given["partition_by"]:
        parts.append("PARTITION BY " + ", ".join(w.text(item, scope) for item in given["partition_by"]))
    if given["order"]:
        parts.append(order_by(w, given["order"], scope))
    spec = given["spec"]
    if spec is not None:
        only(spec, "kind", "start", "start_side", "end", "end_side")
        start = _bound(spec.args["start"], spec.args.get("start_side"))
        end = _bound(spec.args["end"], spec.args.get("end_side")) if spec.args.get("end") else "CURRENT ROW"
        kind = str(spec.args["kind"]).upper()
        if kind not in ("ROWS", "RANGE"):
            raise not_supported(f"a window frame of {kind}")
        parts.append(f"{kind} BETWEEN {start} AND {end}")
    return " ".join(parts)


def _inherited(node: exp.Window, scope: Scope, depth: int) -> dict[str, Any]:
    """What *node* says, and what the window says whose name stands in it."""
    own = {name: node.args.get(name) for name in ("partition_by", "order", "spec")}
    alias = node.args.get("alias")
    if alias is None:
        return own
    named = scope.windows.get(alias.name.lower())
    if named is None or depth > 16:
        raise invalid_query(f"Unrecognized window alias {alias.name[:80]}")
    before = _inherited(named, scope, depth + 1)
    return {name: own[name] or before[name] for name in own}


def _bound(value: object, side: object) -> str:
    if value == "CURRENT ROW":
        return "CURRENT ROW"
    if side not in ("PRECEDING", "FOLLOWING"):
        raise not_supported("this window frame")
    if value == "UNBOUNDED":
        return f"UNBOUNDED {side}"
    if isinstance(value, exp.Literal) and not value.is_string and str(value.this).isdigit():
        return f"{value.this} {side}"
    raise not_supported("a window frame that is not bounded by a literal")


def order_by(w: Writer, node: exp.Order, scope: Scope) -> str:
    """``ORDER BY`` of a window, with the place of NULL spelled out: first when ascending, last when descending."""
    return "ORDER BY " + ", ".join(ordered(w, item, scope) for item in node.expressions)


def ordered(w: Writer, item: exp.Expr, scope: Scope) -> str:
    """One item of an ORDER BY."""
    if not isinstance(item, exp.Ordered):
        return f"{w.text(item, scope)} NULLS FIRST"
    only(item, "this", "desc", "nulls_first")
    return f"{w.text(item.this, scope)}{direction(item)}"


def direction(item: exp.Expr) -> str:
    """Direction and place of NULL of an item of ORDER BY."""
    return f"{' DESC' if item.args.get('desc') else ''} NULLS {'FIRST' if item.args.get('nulls_first') else 'LAST'}"
