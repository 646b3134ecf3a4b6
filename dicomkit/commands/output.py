"""Where frames go: stdout or a file, in the format that was asked for. Everything else goes to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dicomkit.commands.options import Format
from dicomkit.errors import InvalidArgument
from dicomkit.whole_file import whole_file

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_output", "show", "show_stream"]


def check_output(format_: Format, output: Path | None, *, follow: bool = False) -> None:
    """Refuse what cannot be written, before anything is done.

    Raises
    ------
    InvalidArgument
        Parquet would go to a terminal, or rows that come bit by bit into one file.
    """
    if follow and (output is not None or format_ is Format.parquet):
        raise InvalidArgument("with --follow rows go to stdout as they come, as table, json or csv")
    if format_ is Format.parquet and output is None and sys.stdout.isatty():
        raise InvalidArgument("parquet is nothing to read on a terminal; give --output FILE, or redirect")
    if output is not None and not output.absolute().parent.is_dir():
        raise InvalidArgument(f"there is no folder for --output {str(output)!a:.200}")


def show(frame: pd.DataFrame, format_: Format, output: Path | None = None) -> None:
    """Write *frame*. A file appears whole or not at all, and only its owner may read it."""
    if output is not None:
        _save(_encoded(frame, format_), output)
    elif format_ is Format.table:
        from dicomkit.commands.tables import print_table

        print_table(frame, sys.stdout)
        sys.stdout.flush()
    else:
        _write(_encoded(frame, format_))


def show_stream(frames: Iterable[pd.DataFrame], format_: Format) -> None:
    """Write frames as they come: JSON as a record a line, CSV with one line of names."""
    from dicomkit.frames import formats

    is_first = True
    for frame in frames:
        if format_ is Format.json:
            _write(formats.json_lines(frame).encode())
        elif format_ is Format.csv:
            _write(formats.csv_text(frame, header=is_first).encode())
        else:
            show(frame, format_)
        is_first = False


def _encoded(frame: pd.DataFrame, format_: Format) -> bytes:
    from dicomkit.frames import formats

    if format_ is Format.parquet:
        return formats.parquet_bytes(frame)
    if format_ is Format.table:
        import io

        from dicomkit.commands.tables import WIDE, print_table

        text = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        print_table(frame, text, width=WIDE)
        text.seek(0)
        return text.read().encode()
    return (formats.json_text(frame) if format_ is Format.json else formats.csv_text(frame)).encode()


def _write(data: bytes) -> None:
    """Bytes to stdout: these formats are UTF-8, whatever the encoding of the terminal is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _save(data: bytes, path: Path) -> None:
    with whole_file(path.absolute()) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
