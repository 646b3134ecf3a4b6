"""DCMTK's command line tools, from the Debian package ``dcmtk``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

__all__ = ["as_json", "needs_dcmtk", "run"]

needs_dcmtk = pytest.mark.skipif("CI" not in os.environ and shutil.which("dcm2json") is None, reason="needs dcmtk")


def run(*command: str | Path) -> bytes:
    """What a tool writes to standard output.

    Raises
    ------
    CalledProcessError
        The tool refuses its input; ``stderr`` says why.
    """
    try:
        return subprocess.run([*map(str, command)], capture_output=True, timeout=60, check=True).stdout
    except FileNotFoundError:
        pytest.fail(f"{command[0]} is missing: install the Debian package dcmtk")


def as_json(path: Path, scratch: Path) -> dict[str, Any]:
    """DICOM JSON of a file by ``dcm2json``, without the pixel data where they are compressed."""
    try:
        text = run("dcm2json", "-fc", path)
    except subprocess.CalledProcessError as error:
        if b"not supported for compressed pixel data" not in error.stderr:
            raise
        copy = scratch / "without-pixels.dcm"
        shutil.copyfile(path, copy)
        run("dcmodify", "--no-backup", "--ignore-errors", "-ea", "(7fe0,0010)", copy)
        text = run("dcm2json", "-fc", copy)
    found: dict[str, Any] = json.loads(text)
    return found
