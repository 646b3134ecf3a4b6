"""Frames as files for spreadsheets, in which no text of a DICOM file is a formula.

In CSV a text that would begin a formula gets an apostrophe in front (``formats.harmless``); in a workbook every text is
stored as text, and comes back as it was.

Source: OWASP, "CSV Injection"; ECMA-376 part 1, section 18.3.1.4 (``c``, cell types) and 22.9.2.19 (``_xHHHH_``).
"""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pandas as pd

from dicomkit.errors import InvalidArgument, SetupError
from dicomkit.frames.cells import plain_cells
from dicomkit.frames.formats import csv_text
from dicomkit.whole_file import whole_file

__all__ = ["write_spreadsheet"]

MAX_ROWS = 1_048_576
"""Rows of a sheet, the line of names included."""

MAX_TEXT = 32_767
"""Characters of a cell."""

# What XML 1.0 cannot hold; and what looks like an escape, which would be taken for one.
_ESCAPED = re.compile(r"[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")


def write_spreadsheet(frame: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write *frame* as ``.xlsx`` or ``.csv``, by the suffix of *path*; an existing file is replaced.

    It appears whole; it has patients' data, and only its owner may read it.

    Raises
    ------
    InvalidArgument
        The suffix is another one, or a sheet has not so many rows or characters in a cell.
    SetupError
        openpyxl, which writes ``.xlsx``, is not installed.
    """
    target = Path(path).expanduser()
    suffix = target.suffix.lower()
    if suffix not in (".csv", ".xlsx"):
        raise InvalidArgument(f"a spreadsheet is a .xlsx or .csv file; got {target.name!a:.80}")
    # The mark tells a spreadsheet that it is UTF-8.
    data = csv_text(frame).encode("utf-8-sig") if suffix == ".csv" else _workbook(frame)
    with whole_file(target) as file:
        file.write(data)
    return target


def _workbook(frame: pd.DataFrame) -> bytes:
    try:
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
    except ImportError:
        raise SetupError("a .xlsx file is written by openpyxl: pip install openpyxl; or give a .csv file") from None
    if len(frame) >= MAX_ROWS:
        raise InvalidArgument(f"a sheet has {MAX_ROWS:,} rows, and the frame has {len(frame):,}; give a .csv file")
    # Before the book is begun, which cannot be left half written.
    columns = [[_plain(value) for value in plain_cells(frame.iloc[:, place])] for place in range(frame.shape[1])]
    book = Workbook(write_only=True)
    sheet = book.create_sheet("dicomkit")

    def cell(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        made = WriteOnlyCell(sheet, value=value)
        made.data_type = "s"  # whatever it begins with
        return made

    sheet.append([cell(_text(str(name))) for name in frame.columns])
    for row in zip(*columns, strict=True):
        sheet.append([cell(value) for value in row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False)
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    text = _ESCAPED.sub(lambda found: f"_x{ord(found[0]):04X}_", value)
    if len(text) > MAX_TEXT:
        raise InvalidArgument(
            f"a cell of a sheet has at most {MAX_TEXT:,} characters, and one here has {len(text):,}; give a .csv file"
        )
    return text
