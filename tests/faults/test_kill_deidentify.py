"""SIGKILL in a de-identification (check C37): it goes on where it was, counts each instance once, and makes no twin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COUNT = 240


def run(what: str, home: Path, spec: str, kind: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.faults.deidentify_runner", what, str(home), spec, str(COUNT), kind],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=140,
        check=False,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the points kill by a signal")
@pytest.mark.parametrize(
    ("kind", "specs"),
    [
        ("store", ["post_commit:1", "in_txn:1", "post_commit:2", "pre_blob:1"]),
        ("store", ["post_fsync:1", "post_commit:1"]),
        ("dataset", ["in_txn:1", "post_commit:1"]),
    ],
)
def test_killed_operation_ends_with_right_counters_and_no_twins(tmp_path: Path, kind: str, specs: list[str]) -> None:
    """Killed again and again, before and after what was stored is counted."""
    for number, spec in enumerate(specs):
        done = run("resume" if number else "begin", tmp_path / "home", spec, kind)
        assert done.returncode == -signal.SIGKILL, done.stderr[-2_000:]
    done = run("resume", tmp_path / "home", "", kind)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert json.loads(done.stdout) == {
        "counter": {"success": str(COUNT)},
        "response": True,
        "copies": COUNT,
        "different": COUNT,
        "studies": 1,
        "series": 3,
    }
