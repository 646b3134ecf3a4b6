"""Run notebooks and write their outputs back, so that two runs differ only where the outputs do.

``python scripts/execute_notebooks.py notebooks/*.ipynb``. Cell timings, the interpreter's version and widget state are
left out: the state of a widget holds whatever the widget shows, pixels of patients included. Ids of cells are their
numbers.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

TIMEOUT_S = 300


def execute(path: Path) -> None:
    """Run one notebook from top to bottom in its own folder and write it back; a failing cell raises."""
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        store_widget_state=False,
    )
    client.execute()
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        tags = cell.metadata.get("tags")
        cell.metadata = NotebookNode({"tags": tags} if tags else {})
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def main() -> int:
    """Run those named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("notebooks", nargs="+", type=Path)
    for path in parser.parse_args().notebooks:
        execute(path)
        print(f"{path}: executed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
