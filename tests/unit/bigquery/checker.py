"""What BigQuery accepts, written down without a line of the package: rules for a schema and for a row in it.

Sources: BigQuery documentation, "Data types", "Specifying nested and repeated columns", "Quotas and limits".
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime
from typing import Any

SCALARS = {"STRING", "INTEGER", "FLOAT", "DATE", "TIME", "TIMESTAMP", "JSON"}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{6})?")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
LEVELS = 15


def schema_errors(fields: list[dict[str, Any]], path: str = "", level: int = 0) -> list[str]:
    """Everything that BigQuery would refuse in a schema."""
    errors = []
    names = [field["name"].lower() for field in fields]
    errors += [f"{path}: {name} twice" for name in {n for n in names if names.count(n) > 1}]
    if not fields:
        errors.append(f"{path}: a RECORD without fields")
    for field in fields:
        here = f"{path}.{field['name']}".lstrip(".")
        if not NAME.fullmatch(field["name"]):
            errors.append(f"{here}: not a column name")
        if field["mode"] not in ("NULLABLE", "REPEATED"):
            errors.append(f"{here}: mode {field['mode']}")
        if field["type"] == "RECORD":
            if level + 1 > LEVELS:
                errors.append(f"{here}: more than {LEVELS} levels")
            errors += schema_errors(field.get("fields", []), here, level + 1)
        elif field["type"] not in SCALARS or "fields" in field:
            errors.append(f"{here}: type {field['type']}")
    return errors


def row_errors(record: dict[str, Any], fields: list[dict[str, Any]], path: str = "") -> list[str]:
    """Everything that BigQuery would refuse in a row of ``tabledata.insertAll``."""
    errors = []
    known = {field["name"]: field for field in fields}
    for name, value in record.items():
        here = f"{path}.{name}".lstrip(".")
        field = known.get(name)
        if field is None:
            errors.append(f"{here}: no such field")
        elif field["mode"] == "REPEATED":
            if not isinstance(value, list):
                errors.append(f"{here}: not an array")
                continue
            for number, one in enumerate(value):
                errors += _value_errors(one, field, f"{here}[{number}]")
        elif value is not None:
            errors += _value_errors(value, field, here)
    return errors


def _value_errors(value: Any, field: dict[str, Any], path: str) -> list[str]:
    if field["type"] == "RECORD":
        return row_errors(value, field["fields"], path) if isinstance(value, dict) else [f"{path}: not a record"]
    return [] if _is_of(field["type"], value) else [f"{path}: no {field['type']}: {value!r}"]


def _is_of(kind: str, value: Any) -> bool:
    if kind in ("STRING", "JSON"):
        return isinstance(value, str)
    if kind == "INTEGER":
        return type(value) is int and -(2**63) <= value < 2**63
    if kind == "FLOAT":
        return type(value) is float and math.isfinite(value)
    try:
        if kind == "DATE":
            return date.fromisoformat(value).isoformat() == value
        if kind == "TIME":
            return TIME.fullmatch(value) is not None
        return TIMESTAMP.fullmatch(value) is not None and bool(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return False
