"""What the writer knows of an expression: its text for DuckDB, and its type where that is certain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlglot import exp

from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported

__all__ = [
    "BOOLEAN",
    "DATE",
    "DATETIME",
    "FLOAT",
    "INTEGER",
    "NUMERIC",
    "STRING",
    "TIME",
    "TIMESTAMP",
    "Sql",
    "Type",
    "cast_name",
    "check_comparable",
    "check_numeric",
    "check_text",
    "from_field",
    "scalar_name",
    "text_literal",
]


@dataclass(frozen=True, slots=True)
class Type:
    """A GoogleSQL type; ``fields`` (lower-case name -> (name, type)) belong to a RECORD."""

    kind: str
    repeated: bool = False
    fields: Mapping[str, tuple[str, Type]] | None = field(default=None, hash=False)

    @property
    def element(self) -> Type:
        """The type of an array's elements."""
        return Type(self.kind, False, self.fields)

    def __str__(self) -> str:
        name = _SQL_NAMES.get(self.kind, self.kind)
        if self.kind == "RECORD" and self.fields is not None:
            name = "STRUCT<" + ", ".join(f"{part} {kind}" for part, kind in list(self.fields.values())[:4])
            name += ", ...>" if len(self.fields) > 4 else ">"
        return f"ARRAY<{name}>" if self.repeated else name


class Sql(NamedTuple):
    """Text for DuckDB, with the GoogleSQL type of the value; ``None`` is a type that is not known."""

    text: str
    type: Type | None = None
    literal: bool = False
    """A literal or parameter, which GoogleSQL coerces where it would not a column."""


STRING, INTEGER, FLOAT, NUMERIC, BOOLEAN, DATE, TIME, DATETIME, TIMESTAMP, BYTES = (
    Type(kind)
    for kind in ("STRING", "INTEGER", "FLOAT", "NUMERIC", "BOOLEAN", "DATE", "TIME", "DATETIME", "TIMESTAMP", "BYTES")
)

_SQL_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}
_NUMBERS = frozenset({"INTEGER", "FLOAT", "NUMERIC"})
_TEMPORAL = frozenset({"DATE", "TIME", "DATETIME", "TIMESTAMP"})

_CAST_KINDS = {
    exp.DType.TEXT: "STRING",
    exp.DType.VARCHAR: "STRING",
    exp.DType.BIGINT: "INTEGER",
    exp.DType.INT: "INTEGER",
    exp.DType.DOUBLE: "FLOAT",
    exp.DType.BOOLEAN: "BOOLEAN",
    exp.DType.DECIMAL: "NUMERIC",
    exp.DType.DATE: "DATE",
    exp.DType.TIME: "TIME",
    exp.DType.DATETIME: "DATETIME",
    exp.DType.TIMESTAMP: "DATETIME",
    exp.DType.TIMESTAMPTZ: "TIMESTAMP",
    exp.DType.BINARY: "BYTES",
    exp.DType.VARBINARY: "BYTES",
    exp.DType.JSON: "JSON",
}


def from_field(field: Mapping[str, Any]) -> Type:
    """The type of a column, from ``TableFieldSchema``."""
    fields = None
    if field["type"] == "RECORD":
        fields = {part["name"].lower(): (part["name"], from_field(part)) for part in field["fields"]}
    return Type(field["type"], field.get("mode") == "REPEATED", fields)


def text_literal(text: str) -> str:
    """*text* as a literal of DuckDB, which knows no escapes but the doubled quote."""
    if "\0" in text:
        raise not_supported("a text literal with a NUL character")
    return "'" + text.replace("'", "''") + "'"


def scalar_name(kind: exp.DataType) -> str:
    """The type of a column in DDL, in the spelling of the REST API."""
    name = _CAST_KINDS.get(kind.this) if isinstance(kind.this, exp.DType) and not kind.expressions else None
    if name is None:
        raise not_supported(f"a column of the type {kind.sql('bigquery')[:60]}")
    return name


def cast_name(to: exp.DataType) -> Type:
    """The target of a CAST."""
    kind = _CAST_KINDS.get(to.this) if isinstance(to.this, exp.DType) and not to.expressions else None
    if kind is None:
        raise not_supported(f"CAST to {to.sql('bigquery')}")
    return Type(kind)


def check_comparable(operator: str, operands: Iterable[Sql]) -> list[str]:
    """Texts of operands that GoogleSQL compares, text literals cast to the date or time beside them.

    Raises
    ------
    InvalidArgument
        BigQuery finds no signature: it never casts a column by itself, DuckDB would.
    """
    operands = list(operands)
    known = [operand for operand in operands if operand.type is not None]
    target = next((o.type for o in known if o.type and not (o.literal and o.type.kind == "STRING")), None)
    texts = []
    for operand in operands:
        text = operand.text
        if operand.type is not None and target is not None and _family(operand.type) != _family(target):
            if not (operand.literal and operand.type == STRING and target.kind in _TEMPORAL and not target.repeated):
                raise _no_signature(operator, known)
            text = f"bq_cast_{target.kind.lower()}({text})"
        elif operand.type is not None and operand.type.repeated:
            raise invalid_query(f"{operator.capitalize()} is not defined for arguments of type {operand.type}")
        texts.append(text)
    return texts


def check_numeric(operator: str, *operands: Sql) -> None:
    """Refuse arithmetic on what is known to be no number."""
    for operand in operands:
        if operand.type is not None and (operand.type.kind not in _NUMBERS or operand.type.repeated):
            raise _no_signature(operator, [each for each in operands if each.type is not None])


def check_text(operator: str, *operands: Sql) -> None:
    """Refuse an operator of text on what is known to be something else."""
    for operand in operands:
        if operand.type is not None and (operand.type.kind not in ("STRING", "BYTES") or operand.type.repeated):
            raise _no_signature(operator, [each for each in operands if each.type is not None])


def _family(kind: Type) -> str:
    family = "number" if kind.kind in _NUMBERS else kind.kind
    return f"{family}[]" if kind.repeated else family


def _no_signature(operator: str, operands: Iterable[Sql]) -> Exception:
    types = ", ".join(str(operand.type) for operand in operands)
    return invalid_query(f"No matching signature for {operator} for argument types: {types}; a CAST is needed")
