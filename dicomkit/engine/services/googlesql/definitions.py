"""What DDL says of a table: columns, options, the text of a view.

Source: BigQuery documentation, "Data definition language (DDL) statements in GoogleSQL" (column schema, table options).
"""

from __future__ import annotations

from typing import Any

from sqlglot import TokenType, exp

from dicomkit.engine.persistence.warehouse_types import Field
from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.parser import only, tokens, what
from dicomkit.engine.services.googlesql.types import scalar_name

__all__ = ["column_field", "options", "type_field", "view_text"]


def column_field(node: exp.Expr) -> Field:
    """A column as ``TableFieldSchema``."""
    if not isinstance(node, exp.ColumnDef):
        raise not_supported(f"{what(node)} in a list of columns")
    only(node, "this", "kind", "constraints", "exists")
    field = type_field(node.name, node.args.get("kind"))
    for constraint in node.args.get("constraints") or ():
        kind = constraint.kind
        if isinstance(kind, exp.NotNullColumnConstraint) and not kind.args.get("allow_null"):
            if field["mode"] == "REPEATED":
                raise invalid_query(f"NOT NULL cannot be applied to ARRAY field {node.name}")
            field["mode"] = "REQUIRED"
        elif isinstance(kind, exp.Properties):
            told = options(kind)
            if set(told) - {"description"}:
                raise not_supported("an option of a column other than description")
            field |= told
        else:
            raise not_supported(f"a column with {what(kind)}")
    return field


def type_field(name: str, kind: object) -> Field:
    """A type as that of the column *name*."""
    if not isinstance(kind, exp.DataType):
        raise invalid_query(f"Column {name[:80]} has no type")
    if kind.this is exp.DType.ARRAY and len(kind.expressions) == 1:
        inner = type_field(name, kind.expressions[0])
        if inner["mode"] == "REPEATED":
            raise invalid_query(f"Column {name[:80]} is an array of arrays")
        return {**inner, "mode": "REPEATED"}
    if kind.this is exp.DType.STRUCT:
        if not kind.expressions or not all(isinstance(part, exp.ColumnDef) for part in kind.expressions):
            raise invalid_query(f"Column {name[:80]} is a STRUCT without named fields")
        parts = [column_field(part) for part in kind.expressions]
        return {"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": parts}
    return {"name": name, "type": scalar_name(kind), "mode": "NULLABLE"}


def options(properties: exp.Expr | None) -> dict[str, Any]:
    """``OPTIONS(...)`` as fields of the resource: description, friendly_name and labels."""
    told: dict[str, Any] = {}
    for item in properties.expressions if properties is not None else ():
        if type(item) is not exp.Property:
            raise not_supported(what(item).removesuffix(" PROPERTY"))
        name, value = item.name.lower(), item.args["value"]
        if name in ("description", "friendly_name"):
            if not (isinstance(value, exp.Literal) and value.is_string):
                raise invalid_query(f"The option {name} must be text")
            told["description" if name == "description" else "friendlyName"] = str(value.this)
        elif name == "labels":
            told["labels"] = dict(_label(pair) for pair in getattr(value, "expressions", ()))
        else:
            raise not_supported(f"the option {name[:40]}")
    return told


def _label(pair: exp.Expr) -> tuple[str, str]:
    parts = pair.expressions if isinstance(pair, exp.Tuple) else []
    if len(parts) != 2 or not all(isinstance(part, exp.Literal) and part.is_string for part in parts):
        raise invalid_query("The option labels must be an array of pairs of text")
    return str(parts[0].this), str(parts[1].this)


def view_text(sql: str) -> str:
    """The query after AS, as it was written."""
    depth = 0
    for token in tokens(sql):
        if token.token_type is TokenType.L_PAREN:
            depth += 1
        elif token.token_type is TokenType.R_PAREN:
            depth -= 1
        elif token.token_type is TokenType.ALIAS and depth == 0:
            return sql[token.end + 1 :].strip().removesuffix(";").rstrip()
    raise invalid_query("CREATE VIEW needs AS and a query")
