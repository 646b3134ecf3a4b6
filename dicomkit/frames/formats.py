"""Frames as JSON, CSV and Parquet.

JSON is one array of records; where rows come bit by bit (``messages --follow``) it is a record a line. CSV is UTF-8
with one line of names. A text that a spreadsheet would take for a formula gets an apostrophe in front, and so does one
that begins with an apostrophe already: whoever takes away one leading apostrophe of a text has the value again. Lists
and dicts are JSON in a cell.

Source: RFC 8259 (JSON); RFC 4180 (CSV); OWASP, "CSV Injection".
"""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pandas as pd

from dicomkit.frames.cells import plain_cells

__all__ = ["csv_text", "harmless", "json_lines", "json_text", "parquet_bytes"]

_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")


def json_text(frame: pd.DataFrame) -> str:
    """An array with a record a line."""
    lines = json_lines(frame).splitlines()
    return "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n"


def json_lines(frame: pd.DataFrame) -> str:
    """A record a line."""
    names = [str(name) for name in frame.columns]
    columns = [plain_cells(frame.iloc[:, i]) for i in range(len(names))]
    # splitlines() of the caller must see no other line ends than ours: U+2028 and the like are escaped.
    return "".join(
        _escaped(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False)) + "\n"
        for row in zip(*columns, strict=True)
    )


def _escaped(text: str) -> str:
    for character in "\x85\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    # A lone surrogate is no Unicode text and has no UTF-8; JSON has an escape for it.
    return "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text)


def csv_text(frame: pd.DataFrame, *, header: bool = True) -> str:
    """Lines of comma-separated values."""
    lines = _Lines()
    writer = csv.writer(lines, lineterminator="\r\n")
    if header:
        writer.writerow([harmless(str(name)) for name in frame.columns])
    columns = [[_csv_cell(cell) for cell in plain_cells(frame.iloc[:, i])] for i in range(frame.shape[1])]
    writer.writerows(zip(*columns, strict=True))
    return "".join(lines.done).encode("utf-8", "backslashreplace").decode()


class _Lines:
    """Takes lines that end with CR LF, so that the writer puts both of them into quotes; gives them with LF."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def write(self, line: str) -> None:
        self.done.append(line.removesuffix("\r\n") + "\n")


def harmless(text: str) -> str:
    """*text* so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(_RISKY) else text


def _csv_cell(cell: Any) -> Any:
    if isinstance(cell, str):
        return harmless(cell)
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, list | dict):
        return json.dumps(cell, ensure_ascii=False)
    return cell


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """A Parquet file: tuples as lists, times of day as ``time64``, and what has no such type as JSON text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [str(name) for name in frame.columns]
    table = pa.table([_arrow(frame.iloc[:, i]) for i in range(len(names))], names=names)
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def _arrow(column: pd.Series) -> Any:
    import pyarrow as pa

    if column.dtype.kind == "m":
        spans = pa.Array.from_pandas(column, type=pa.duration("us")).cast(pa.int64())
        return spans.cast(pa.time64("us"))
    if column.dtype != object:
        return pa.Array.from_pandas(column)
    return _arrow_objects(column)


def _arrow_objects(column: pd.Series) -> Any:
    import pyarrow as pa

    there = [cell for cell in column if cell is not None]
    if there and all(isinstance(cell, bytes) for cell in there):
        return pa.array(list(column), type=pa.binary())
    if all(isinstance(cell, tuple) for cell in there):
        lists = plain_cells(column)
        types = {type(item) for cell in lists if cell is not None for item in cell if item is not None}
        item = {float: pa.float64(), int: pa.int64(), bool: pa.bool_()}.get(types.pop()) if len(types) == 1 else None
        try:
            return pa.array(lists, type=pa.list_(item or pa.string()))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            pass
    cells = [None if cell is None else json.dumps(cell, ensure_ascii=False) for cell in plain_cells(column)]
    return pa.array(cells, type=pa.string())
