"""SIGKILL in an export (check C37): the next process finishes it, with right counters and nothing twice."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.export_runner import COUNT, files

ROOT = Path(__file__).resolve().parents[2]
UIDS = sorted(file.uid for file in files())
DONE = {"counters": [{"success": COUNT}], "outcomes": ["response"], "leftovers": []}


def run(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.export_runner", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-2_000:]
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with instances."""
    folder = tmp_path_factory.mktemp("filled") / "home"
    assert run("fill", str(folder))[0] == 0
    return folder


@pytest.fixture
def home(filled: Path, tmp_path: Path) -> str:
    """One like it, for one test."""
    return str(shutil.copytree(filled, tmp_path / "home"))


def killed_and_finished(home: str, destination: str, spec: str) -> dict[str, Any]:
    assert run("begin", home, destination, spec)[0] == -signal.SIGKILL
    report: dict[str, Any] = json.loads(run("finish", home)[1])
    return report


@pytest.mark.parametrize("spec", ["writer:30", "save:25+", "finish:1"])
def test_a_killed_export_to_a_bucket_is_finished(home: str, spec: str) -> None:
    """Every object is there, whole, and counted once."""
    report = killed_and_finished(home, "folder", spec)
    assert {key: report[key] for key in DONE} == DONE
    assert report["objects"] == {file.uid: file.sha256 for file in files()}


@pytest.mark.parametrize(
    ("destination", "spec"),
    [
        ("WRITE_EMPTY", "portion:1"),
        ("WRITE_APPEND", "portion:4+"),
        ("WRITE_TRUNCATE", "save:3+"),
        ("WRITE_APPEND", "load:1+"),
        ("WRITE_EMPTY", "load:1+"),
    ],
)
def test_a_killed_export_to_a_table_is_finished(home: str, destination: str, spec: str) -> None:
    """Each row comes once, also when the process died between the load and the end of the operation."""
    report = killed_and_finished(home, destination, spec)
    assert {key: report[key] for key in DONE} == DONE
    assert report["rows"] == UIDS


def test_several_kills_add_up_to_nothing(home: str) -> None:
    """An export that is killed again and again gets further each time, and ends right."""
    assert run("begin", home, "WRITE_APPEND", "portion:2+")[0] == -signal.SIGKILL
    report = killed_and_finished(home, "folder", "portion:3+")
    assert report["rows"] == UIDS
    assert sorted(report["objects"]) == UIDS
    assert report["counters"] == [{"success": COUNT}, {"success": COUNT}]
    assert report["outcomes"] == ["response", "response"]
    assert report["leftovers"] == []
