"""Schema auto-detection, as far as it is no guess.

BigQuery reads a type out of texts, too: "12" in quotes may become a number. Where a text could be more than one
thing, or a column has values of several kinds, the load is refused with the name of the column and the remedy, since
a type that is right on one side and wrong on the other is worse than none.

Source: BigQuery documentation, "Using schema auto-detection".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dicomkit.engine.persistence.warehouse_types import Field
from dicomkit.engine.services.bigquery_errors import invalid
from dicomkit.engine.services.bigquery_schema import checked_schema

__all__ = ["detected_columns", "detected_schema"]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_OTHER = re.compile(
    r"\s*(?:[+-]?[\d,]*\.?[\d,]*(?:[eE][+-]?\d+)?|\d{1,4}[-/]\d{1,2}[-/]\d{1,4}.*|\d{1,2}:\d{2}.*"
    r"|true|false|t|f|yes|no|y|n|inf(?:inity)?|nan|[{\[].*)\s*",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
"""What BigQuery might read as a number, a date, a time, a truth or JSON, and empty text; a UID is none."""


def detected_schema(rows: Iterable[Mapping[str, Any]]) -> list[Field]:
    """The schema of JSON objects.

    Raises
    ------
    InvalidArgument
        A column's type would be a guess; the message names it.
    """
    return checked_schema(_record(rows, ""))


def _record(rows: Iterable[Mapping[str, Any]], path: str) -> list[Field]:
    values: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            values.setdefault(name, []).append(value)
    return [_field(name, found, f"{path}.{name}" if path else name) for name, found in values.items()]


def _field(name: str, found: list[Any], path: str) -> Field:
    there = [value for value in found if value is not None]
    mode = "NULLABLE"
    if any(isinstance(value, list) for value in there):
        if not all(isinstance(value, list) for value in there):
            raise _ambiguous(path, "arrays and single values")
        there, mode = [item for value in there for item in value if item is not None], "REPEATED"
    if any(isinstance(value, dict) for value in there):
        if not all(isinstance(value, dict) for value in there):
            raise _ambiguous(path, "records and plain values")
        inner = _record(there, path)
        if not inner:
            raise _ambiguous(path, "only empty records")
        return {"name": name, "type": "RECORD", "mode": mode, "fields": inner}
    return {"name": name, "type": _of_values(there, path), "mode": mode}


def _of_values(values: Sequence[Any], path: str) -> str:
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return "BOOLEAN"
    if kinds == {int} and all(-(1 << 63) <= value < 1 << 63 for value in values):
        return "INTEGER"
    if kinds and kinds <= {int, float} and float in kinds:
        return "FLOAT"
    if kinds != {str}:
        raise _ambiguous(path, "no value at all" if not kinds else "values of several kinds or arrays in arrays")
    if all(_DATE.fullmatch(value) for value in values):
        return "DATE"
    if any(_OTHER.fullmatch(value) for value in values):
        raise _ambiguous(path, "text that could be a number, a date, a time, a truth value or JSON")
    return "STRING"


def detected_columns(names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> list[Field]:
    """The schema of CSV rows under a header.

    Raises
    ------
    InvalidArgument
        The first row is not clearly a header, or a column's type would be a guess.
    """
    if not names or not rows:
        raise invalid("autodetect of a CSV file needs a header and a row; give a schema")
    if any(_OTHER.fullmatch(name) or not name for name in names):
        raise invalid("autodetect of a CSV file whose first row is no header of names is not supported; give a schema")
    fields = []
    for place, name in enumerate(names):
        values = [row[place] for row in rows if row[place] is not None]
        fields.append({"name": name, "type": _of_texts([value for value in values if value], name), "mode": "NULLABLE"})
    if all(field["type"] == "STRING" for field in fields):
        # BigQuery tells a header by its types: where every row is text it finds none.
        raise invalid(
            "autodetect of a CSV file whose columns are all text is ambiguous: BigQuery finds no header in it; "
            "give a schema"
        )
    return checked_schema(fields)


def _of_texts(values: Sequence[str], name: str) -> str:
    if not values:
        raise _ambiguous(name, "no value at all")
    if all(_INTEGER.fullmatch(value) for value in values):
        if all(value in ("0", "1") for value in values):
            raise _ambiguous(name, "only 0 and 1")
        return "INTEGER"
    if all(_FLOAT.fullmatch(value) for value in values):
        return "FLOAT"
    if all(value.lower() in ("true", "false") for value in values):
        return "BOOLEAN"
    return _of_values(values, name)


def _ambiguous(path: str, what: str) -> Exception:
    return invalid(
        f"autodetect of {path[:300]} is ambiguous: it holds {what}. Give a schema; the embedded one does not guess",
        path[:300],
    )
