"""SIGKILL at every named point (P1, P2, P5; check C01): what was acknowledged is there, nothing is half there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dicomkit.engine.crash_points import POINTS, arm

ROOT = Path(__file__).resolve().parents[2]
GROUPS = 4
"""Homes, each killed at all kinds of points in turn, so that damage would add up."""

EXPECTED = {
    "lost": [],
    "unreadable": [],
    "dangling": 0,
    "wrong_counts": 0,
    "wrong_live": 0,
    "is_compact": True,
    "leftovers": [],
    "integrity": "ok",
    "missing_rows": [],
    "untold": [],
    "told_wrongly": [],
    "waiting": [0],
}
"""What the runner reports of a home in which nothing is wrong."""


def specs(group: int) -> list[str]:
    """Points with the passing at which to die: 100 in all groups together."""
    kills = [f"{point}:{n}" for n in (1, 2, 3, 1, 2) for point in POINTS]
    assert len(kills) == 100
    size = len(kills) // GROUPS
    return kills[group * size : (group + 1) * size]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
@pytest.mark.parametrize("group", range(GROUPS))
def test_a_kill_at_any_point_loses_nothing(tmp_path: Path, group: int) -> None:
    """Acknowledged bytes read back equal, their rows and messages are there, and no row or file dangles."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.kill_runner", str(tmp_path / "home"), *specs(group)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == len(specs(group)), done.stderr[-2_000:]
    assert [r["spec"] for r in reports if not r["killed"]] == [], done.stderr[-2_000:]
    for report in reports:
        assert {key: report.get(key) for key in EXPECTED} == EXPECTED, report
    assert reports[-1]["acknowledged"] > len(reports)


def test_a_point_that_does_not_exist_cannot_be_armed() -> None:
    """A misspelled point would make a test that kills nothing."""
    with pytest.raises(ValueError, match="nowhere"):
        arm("nowhere:1")
