"""Rules of a table's schema: what may be declared, and what a change may do.

Source: BigQuery REST v2, ``TableFieldSchema``; BigQuery documentation, "Modifying table schemas" and
"Quotas and limits" (10,000 columns, 15 levels of RECORD).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dicomkit.bigquery.columns import MAX_COLUMNS, MAX_NESTING
from dicomkit.engine.persistence.warehouse_types import Field, canonical_type, quote, scalar_type
from dicomkit.engine.services.bigquery_errors import invalid

__all__ = ["check_growth", "checked_schema", "widened"]

_MODES = ("NULLABLE", "REQUIRED", "REPEATED")

# Refused in every position: BigQuery keeps these beginnings for itself.
_RESERVED = ("_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER", "__DK_")


def checked_schema(fields: Any) -> list[Field]:
    """*fields* as they are kept: checked, every mode spelled out, types in REST spelling.

    Raises
    ------
    InvalidArgument
        A name, a type or a mode is wrong; the location is the path of the field.
    """
    count = [0]
    checked = _level(fields, "", 1, count)
    if count[0] > MAX_COLUMNS:
        raise invalid(f"Too many columns: {count[0]}; a table has at most {MAX_COLUMNS}, nested ones counted", "schema")
    return checked


def _level(fields: Any, path: str, depth: int, count: list[int]) -> list[Field]:
    if not isinstance(fields, list):
        raise invalid("schema.fields must be an array", path or "schema")
    if depth > MAX_NESTING + 1:
        raise invalid(f"Schema is nested deeper than {MAX_NESTING} levels", path)
    seen: set[str] = set()
    return [_field(field, path, depth, count, seen) for field in fields]


def _field(field: Any, path: str, depth: int, count: list[int], seen: set[str]) -> Field:
    name = field.get("name") if isinstance(field, dict) else None
    if not isinstance(name, str):
        raise invalid("a field of the schema must be an object with a name", path or "schema")
    where = f"{path}.{name}" if path else name
    quote(name)
    if name.upper().startswith(_RESERVED):
        raise invalid(f"Invalid field name {name!r:.80}: it begins as a reserved name", where)
    if name.lower() in seen:
        raise invalid(f"Field {name} already exists in schema", where)
    seen.add(name.lower())
    count[0] += 1
    kind, mode = canonical_type(field.get("type")), str(field.get("mode") or "NULLABLE").upper()
    if mode not in _MODES:
        raise invalid(f"Invalid mode {mode!r:.40} of field {where}", where)
    kept = {**field, "type": kind, "mode": mode}
    if kind == "RECORD":
        if not field.get("fields"):
            raise invalid(f"Field {where} is type RECORD but has no schema", where)
        kept["fields"] = _level(field["fields"], where, depth + 1, count)
    else:
        scalar_type(kind)
        if kind == "BYTES" and depth > 1:
            raise invalid(f"BYTES inside of a RECORD ({where}) is not supported by the embedded BigQuery", where)
    return kept


def check_growth(old: Iterable[Field], new: Iterable[Field], table: str, path: str = "") -> None:
    """Refuse a change of schema that BigQuery refuses.

    Allowed: new fields that are not REQUIRED, at any depth, REQUIRED made NULLABLE, other descriptions. Not allowed:
    a field that is gone, another type, another mode.
    """
    now = {field["name"].lower(): field for field in new}
    known = set()
    for before in old:
        where = f"{path}.{before['name']}" if path else before["name"]
        after = now.get(before["name"].lower())
        known.add(before["name"].lower())
        if after is None:
            raise invalid(f"Provided Schema does not match Table {table}. Field {where} is missing in new schema")
        if after["type"] != before["type"]:
            raise invalid(
                f"Provided Schema does not match Table {table}. "
                f"Field {where} has changed type from {before['type']} to {after['type']}"
            )
        if after["mode"] != before["mode"] and (before["mode"], after["mode"]) != ("REQUIRED", "NULLABLE"):
            raise invalid(
                f"Provided Schema does not match Table {table}. "
                f"Field {where} has changed mode from {before['mode']} to {after['mode']}"
            )
        if before["type"] == "RECORD":
            check_growth(before["fields"], after["fields"], table, where)
    for name, field in now.items():
        if name not in known and field["mode"] == "REQUIRED":
            where = f"{path}.{field['name']}" if path else field["name"]
            raise invalid(
                f"Provided Schema does not match Table {table}. "
                f"Cannot add required fields to an existing schema. (field: {where})"
            )


def widened(
    old: Iterable[Field], given: Iterable[Field], table: str, *, add: bool, relax: bool, path: str = ""
) -> list[Field]:
    """The schema *old* with what *given* has more; *given* may leave fields out.

    Parameters
    ----------
    add, relax
        ``ALLOW_FIELD_ADDITION`` and ``ALLOW_FIELD_RELAXATION`` of a load job's ``schemaUpdateOptions``.

    Raises
    ------
    InvalidArgument
        A field is new and may not be, or has another type or mode.
    """
    fields = list(old)
    places = {field["name"].lower(): place for place, field in enumerate(fields)}
    for field in given:
        where = f"{path}.{field['name']}" if path else field["name"]
        place = places.get(field["name"].lower())
        if place is None:
            if not add:
                raise _mismatch(table, f"Cannot add fields (field: {where})")
            if field["mode"] == "REQUIRED":
                raise _mismatch(table, f"Cannot add required fields to an existing schema. (field: {where})")
            fields.append(field)
            continue
        before = fields[place]
        if field["type"] != before["type"]:
            raise _mismatch(table, f"Field {where} has changed type from {before['type']} to {field['type']}")
        kept = dict(before)
        if field["mode"] != before["mode"]:
            if not relax or (before["mode"], field["mode"]) != ("REQUIRED", "NULLABLE"):
                raise _mismatch(table, f"Field {where} has changed mode from {before['mode']} to {field['mode']}")
            kept["mode"] = "NULLABLE"
        if before["type"] == "RECORD":
            kept["fields"] = widened(before["fields"], field["fields"], table, add=add, relax=relax, path=where)
        fields[place] = kept
    return fields


def _mismatch(table: str, what: str) -> Exception:
    return invalid(f"Provided Schema does not match Table {table}. {what}")
