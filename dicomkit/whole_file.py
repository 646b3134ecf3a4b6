"""Files that appear when they are whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

__all__ = ["whole_file"]


@contextmanager
def whole_file(target: Path) -> Iterator[BufferedRandom]:
    """A file to write to, which appears as *target* at the end and only if all went well; its mode is 0600.

    Nothing appears where nothing was written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".dicomkit-", suffix=".part")
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            is_empty = not file.seek(0, os.SEEK_END)
        if not is_empty:
            os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)
