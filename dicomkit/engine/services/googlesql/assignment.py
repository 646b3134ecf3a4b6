"""A value into a column: what is coerced, what is refused, and what a column's mode asks of it.

Source: GoogleSQL reference, "Conversion rules" (coercion); BigQuery documentation, "Data manipulation language syntax".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dicomkit.engine.persistence.warehouse_types import Field, column_type, is_repeated, quote
from dicomkit.engine.services.bigquery_errors import invalid_query
from dicomkit.engine.services.googlesql.types import Sql, Type, from_field, text_literal

__all__ = ["Target", "assigned", "unset"]

_TEMPORAL = ("DATE", "TIME", "DATETIME", "TIMESTAMP")
_WIDER = {"INTEGER": ("FLOAT", "NUMERIC"), "NUMERIC": ("FLOAT",)}
"""Kind -> kinds that it is coerced to."""


@dataclass(frozen=True, slots=True)
class Target:
    """The table that a statement changes."""

    names: Sequence[str]
    """The last is the range variable where none is written."""
    physical: str
    """Its name in DuckDB, ready for SQL."""
    fields: Sequence[Field]

    def field(self, name: str) -> Field:
        """The column *name*."""
        for field in self.fields:
            if field["name"].lower() == name.lower():
                return field
        raise invalid_query(f"Column {name[:80]} is not present in table {'.'.join(self.names)[:300]}")


def assigned(value: Sql, field: Field) -> str:
    """The text of *value* for the column *field*.

    Raises
    ------
    InvalidArgument
        The type is none that is coerced to the column's.
    """
    text, wanted = value.text, from_field(field)
    if value.text != "NULL" and value.type is not None:
        if not _fits(value, wanted):
            raise invalid_query(
                f"Value has type {value.type} which cannot be inserted into column {field['name']}, which has type "
                f"{wanted}"
            )
        if value.literal and value.type.kind == "STRING" and wanted.kind in _TEMPORAL and not wanted.repeated:
            text = f"bq_cast_{wanted.kind.lower()}({text})"
    text = f"CAST({text} AS {column_type(field)})"
    if is_repeated(field):
        return f"bq_stored_array({text})"
    return required(text, field)


def unset(field: Field) -> str:
    """What a column has that a row says nothing of."""
    if is_repeated(field):
        return f"CAST([] AS {column_type(field)})"
    return required(f"CAST(NULL AS {column_type(field)})", field)


def required(text: str, field: Field) -> str:
    """*text*, which raises where it is NULL and the column is REQUIRED."""
    if field.get("mode") != "REQUIRED":
        return text
    return f"bq_required({text}, {text_literal(quote(field['name'])[1:-1])})"


def _fits(value: Sql, wanted: Type) -> bool:
    kind = value.type
    if kind is None:
        return True
    if kind.repeated != wanted.repeated:
        return False
    if kind.kind == wanted.kind:
        return kind.kind != "RECORD" or _same_fields(kind, wanted)
    if kind.repeated:
        return False
    if value.literal and kind.kind == "STRING" and wanted.kind in _TEMPORAL:
        return True
    if value.literal and kind.kind == "FLOAT" and wanted.kind == "NUMERIC":
        return True
    return wanted.kind in _WIDER.get(kind.kind, ())


def _same_fields(kind: Type, wanted: Type) -> bool:
    """Whether fields have the same names in the same order: in DuckDB a struct goes by names, there by places."""
    if kind.fields is None or wanted.fields is None:
        return kind.fields is None
    if list(kind.fields) != list(wanted.fields):
        return False
    pairs = zip(kind.fields.values(), wanted.fields.values(), strict=True)
    return all(_fits(Sql("", mine), theirs) for (_, mine), (_, theirs) in pairs)
