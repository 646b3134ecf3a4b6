"""Frames as tables for people: what fits the terminal, and no character that would do something to it."""

from __future__ import annotations

import json
import os
from typing import Any, TextIO

import pandas as pd

from dicomkit.commands.group import said, tell
from dicomkit.frames.cells import plain_cells

__all__ = ["print_table"]

MOST = 64
"""Widest cell, in characters: of a longer one both ends are there, and the other formats have the whole of it."""

WIDE = 1 << 16
"""Width of what is no terminal: every column is there."""


def print_table(frame: pd.DataFrame, out: TextIO, *, width: int | None = None) -> None:
    """Print *frame*.

    Parameters
    ----------
    width
        Characters of a line; by default those of the terminal, and as many as it takes where there is none. Columns
        that do not fit are named on stderr.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table

    if not len(frame):
        tell("no rows")
        return
    width = width or _width(out)
    names = [str(name) for name in frame.columns]
    cells = {i: [_text(cell, out) for cell in plain_cells(frame.iloc[:, i])] for i in range(len(names))}
    filled = [i for i in cells if any(cells[i])]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    console = Console(file=out, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)
    shown: list[int] = []
    used = 0
    for i in filled:
        used += max(map(cell_len, (said(names[i], out), *cells[i]))) + 2
        if used > width + 2 and shown:
            break
        shown.append(i)
    for i in shown:
        is_number = frame.iloc[:, i].dtype.kind in "iuf"
        table.add_column(
            said(names[i], out), justify="right" if is_number else "left", no_wrap=True, overflow="ellipsis"
        )
    for row in zip(*(cells[i] for i in shown), strict=True):
        table.add_row(*row)
    with console.capture() as drawn:  # by itself it would end the process where the reader has gone
        console.print(table)
    out.write(drawn.get())
    hidden = [names[i] for i in filled if i not in shown]
    if hidden:
        tell(f"not shown for want of width: {', '.join(hidden)}; --format csv or json has them")


def _width(out: TextIO) -> int:
    try:
        return os.get_terminal_size(out.fileno()).columns or WIDE
    except (OSError, ValueError):
        return WIDE


def _text(cell: Any, out: TextIO) -> str:
    if cell is None or cell == [] or cell == {}:
        return ""
    if isinstance(cell, list) and all(isinstance(item, str | int | float) for item in cell):
        cell = ", ".join(map(str, cell))
    elif isinstance(cell, dict) and all(isinstance(item, str) for item in cell.values()):
        cell = ", ".join(f"{key}={value}" for key, value in cell.items())
    elif isinstance(cell, dict | list):
        cell = json.dumps(cell, ensure_ascii=False)
    text = said(str(cell), out)
    return text if len(text) <= MOST else f"{text[: MOST // 2 - 3]}...{text[-MOST // 2 :]}"
