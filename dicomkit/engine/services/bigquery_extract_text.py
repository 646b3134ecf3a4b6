"""Rows as the text of an extract: JSON lines and CSV.

Source: BigQuery documentation, "Export table data to Cloud Storage" (an INT64 is text in JSON, so that it keeps its
digits; a TIMESTAMP ends with UTC; what is NULL is left out).
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pyarrow as pa

from dicomkit.engine.persistence.warehouse_types import Field, is_repeated

__all__ = ["csv_header", "csv_lines", "json_lines"]


def json_lines(batch: pa.RecordBatch, fields: Sequence[Field]) -> bytes:
    """A line for each row."""
    return b"".join(orjson.dumps(_record(row, fields)) + b"\n" for row in batch.to_pylist())


def csv_header(fields: Sequence[Field], delimiter: str) -> bytes:
    """The line with the names."""
    return _lines([[each["name"] for each in fields]], delimiter)


def csv_lines(batch: pa.RecordBatch, fields: Sequence[Field], delimiter: str) -> bytes:
    """A line for each row; NULL is nothing between two delimiters, an empty text is two quotes."""
    rows = []
    for row in batch.to_pylist():
        values = (_scalar(row[each["name"]], each["type"]) for each in fields)
        rows.append([None if value is None else _csv(value) for value in values])
    return _lines(rows, delimiter)


def _lines(rows: Sequence[Sequence[str | None]], delimiter: str) -> bytes:
    out = io.StringIO()
    special = set(f'{delimiter}"\r\n')
    for row in rows:
        cells = []
        for value in row:
            if value is None:
                cells.append("")
            elif not value or special & set(value) or value != value.strip():
                cells.append('"' + value.replace('"', '""') + '"')
            else:
                cells.append(value)
        out.write(delimiter.join(cells) + "\n")
    return out.getvalue().encode()


def _csv(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return str(value)


def _record(row: dict[str, Any], fields: Sequence[Field]) -> dict[str, Any]:
    written = {}
    for each in fields:
        value = row[each["name"]]
        if is_repeated(each):
            one = {**each, "mode": "NULLABLE"}
            written[each["name"]] = [_value(item, one) for item in value or ()]
        elif value is not None:
            written[each["name"]] = _value(value, each)
    return written


def _value(value: Any, each: Field) -> Any:
    if each["type"] == "RECORD":
        return _record(value, each["fields"]) if value is not None else {}
    return _scalar(value, each["type"])


def _scalar(value: Any, kind: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    convert = _CONVERTERS.get(kind)
    return convert(value) if convert is not None else value


def _float(value: float) -> Any:
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def _numeric(value: decimal.Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _timestamp(value: dt.datetime) -> str:
    plain = value.astimezone(dt.UTC).replace(tzinfo=None)
    return f"{plain.isoformat(sep=' ')} UTC"


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "INTEGER": str,
    "FLOAT": _float,
    "NUMERIC": _numeric,
    "BYTES": lambda value: base64.b64encode(value).decode("ascii"),
    "DATE": dt.date.isoformat,
    "TIME": dt.time.isoformat,
    "DATETIME": dt.datetime.isoformat,
    "TIMESTAMP": _timestamp,
    "JSON": orjson.loads,
}
