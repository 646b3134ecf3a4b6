"""What ``import dicomkit`` loads: counted in modules, because seconds depend on the machine.

Heavy libraries come when the first call needs them. The budget names what may come with the package; a library that
is new in it is a decision, made here.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LAZY = [
    "IPython",
    "anywidget",
    "duckdb",
    "google.cloud.bigquery",
    "hypothesis",
    "ipywidgets",
    "matplotlib",
    "rich",
    "sqlglot",
    "typer",
]
"""Never loaded by ``import dicomkit``."""

BUDGET = frozenset({"dicomkit", "google.auth", "google.oauth2", "numpy", "orjson", "pandas", "pydicom", "requests"})
"""Libraries that dicomkit itself may import at once. What these bring along (pandas: dateutil, and pyarrow where it is
installed; requests: urllib3, certifi ...) is theirs."""


def loaded(code: str) -> set[str]:
    """Names in ``sys.modules`` of a fresh interpreter after *code*."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def with_dicomkit() -> set[str]:
    """Modules loaded by ``import dicomkit``."""
    return loaded("import dicomkit")


@pytest.mark.parametrize("name", LAZY)
def test_heavy_library_waits_for_its_first_use(with_dicomkit: set[str], name: str) -> None:
    """``import dicomkit`` does not load a library that only some calls need."""
    assert name not in with_dicomkit


def test_import_keeps_to_its_budget(with_dicomkit: set[str]) -> None:
    """Nothing is loaded that the libraries of the budget do not bring themselves."""
    allowed = loaded("\n".join(f"import {name}" for name in sorted(BUDGET - {"dicomkit"})))
    standard = sys.stdlib_module_names
    extra = {
        name
        for name in with_dicomkit - allowed
        if not name.startswith("dicomkit") and name.split(".")[0].lstrip("_") not in {s.lstrip("_") for s in standard}
    }
    # Submodules of a library in the budget are part of it.
    extra = {name for name in extra if not any(name.startswith(part + ".") for part in BUDGET)}
    assert extra == set()
