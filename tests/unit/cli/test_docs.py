"""``docs/cli.md``: its reference is that of the commands, and its examples run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import WHEEL
from tests.unit.cli import reference

FILES = ("CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "reportsi.dcm")


def examples() -> list[str]:
    """The command lines of the page, in order."""
    page = reference.PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def test_reference_is_that_of_the_commands() -> None:
    """Every command, argument and option stands in the page as the help has it (run the module to write it anew)."""
    page = reference.PAGE.read_text(encoding="utf-8")
    assert reference.BEGIN + page.partition(reference.BEGIN)[2] == reference.text()


def test_every_command_has_an_example() -> None:
    """No command is described by its options alone, but for those that serve or show off."""
    shown = "\n".join(examples())
    words = [name for name, _ in reference.commands()]
    missing = [name for name in words if name not in shown]
    assert missing == ["dicomkit demo", "dicomkit serve", "dicomkit operations show", "dicomkit operations cancel"]


@pytest.mark.slow
def test_examples_run(tmp_path: Path) -> None:
    """The examples, one after the other in one shell, all end well, and the last search has lost what was deleted."""
    (tmp_path / "scans").mkdir()
    for name in FILES:
        shutil.copy(WHEEL / name, tmp_path / "scans")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DICOMKIT_")}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    script = "\n".join(["set -ex", *examples(), "dicomkit search studies ct --format csv --output left.csv"])
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    assert "warning" not in done.stderr
    left = (tmp_path / "left.csv").read_text(encoding="utf-8")
    assert len(left.splitlines()) == 1 + 3
    assert sorted(path.name for path in (tmp_path / "saved").rglob("*.dcm"))
    assert (tmp_path / "instances.parquet").stat().st_size
