"""How the notebooks are committed; that their outputs are right is nbval's business (``make notebooks``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def notebook(request: pytest.FixtureRequest) -> dict[str, Any]:
    """One committed notebook as JSON."""
    return json.loads(request.param.read_text(encoding="utf-8"))


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """Its cells of code."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_there_are_notebooks() -> None:
    """The tests below look at something."""
    assert NOTEBOOKS


def test_no_widget_state_is_committed(notebook: dict[str, Any]) -> None:
    """The state of a widget can hold pixels and names, and would lie in the history for ever."""
    assert "widgets" not in notebook["metadata"]


def test_outputs_are_committed_in_order(notebook: dict[str, Any]) -> None:
    """A reader without a kernel sees every result, of one run from top to bottom."""
    counts = [cell["execution_count"] for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert any(cell["outputs"] for cell in code_cells(notebook))


def test_no_cell_failed_unless_it_says_so(notebook: dict[str, Any]) -> None:
    """An error among the outputs is there on purpose, and tagged."""
    for cell in code_cells(notebook):
        failed = any(output["output_type"] == "error" for output in cell["outputs"])
        assert failed == ("raises-exception" in cell["metadata"].get("tags", [])), "".join(cell["source"])


def test_notebook_is_one_task(notebook: dict[str, Any]) -> None:
    """Fifteen cells of code are enough for one task."""
    assert len(code_cells(notebook)) <= 15
