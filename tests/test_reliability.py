"""``docs/reliability.md``: every check has tests, and every test that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reliability.md"

WANTED = {
    *(f"C{n:02d}" for n in (1, 3, 4, 5, 6, 7, 8, 19, 20, 22)),
    *(f"C{n:02d}" for n in range(9, 18)),
    *(f"C{n}" for n in range(25, 36)),
    *(f"C{n}" for n in (45, *range(49, 59))),
}
"""Checks that may not leave the page."""


def checks() -> dict[str, list[str]]:
    """Check -> the tests of its row."""
    found: dict[str, list[str]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\| (C\d\d) \| [^|]{20,} \| (.+) \|$", line):
            assert match[1] not in found, match[1]
            found[match[1]] = re.findall(r"`(tests/[\w/]+\.py::\w+)`", match[2])
    return found


@cache
def functions(path: str) -> set[str]:
    """The functions at the top of a module."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_check_has_its_row_in_order() -> None:
    """The page can be read from top to bottom, and nothing that was promised is gone."""
    found = list(checks())
    assert found == sorted(found)
    assert set(found) >= WANTED


def test_every_test_that_is_named_exists() -> None:
    """A test that is renamed or removed takes its promise along, or leaves the page with it."""
    missing = []
    for check, tests in checks().items():
        assert tests, f"{check} has no test"
        for test in tests:
            path, _, name = test.partition("::")
            if not (ROOT / path).is_file() or name not in functions(path) or not name.startswith("test_"):
                missing.append(f"{check}: {test}")
    assert missing == []
