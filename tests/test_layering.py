"""The layers of the package, as data, and the test that imports only go down.

A module is placed by the longest name in ``LAYERS`` that is a part of its own. Imports inside functions and under
``TYPE_CHECKING`` count like any other: a layer that is named is a layer that is known.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS: dict[str, int] = {
    "dicomkit.errors": 0,
    "dicomkit.names": 0,
    "dicomkit.collection_pause": 0,
    "dicomkit.whole_file": 0,
    "dicomkit.resources": 1,
    "dicomkit.dicom": 1,
    "dicomkit.bigquery": 1,
    "dicomkit.deid": 1,
    "dicomkit.pixels": 1,
    "dicomkit.processes": 1,
    "dicomkit.frames": 2,
    "dicomkit.transport": 2,
    "dicomkit.progress": 2,
    "dicomkit.client": 3,
    "dicomkit.engine": 3,
    "dicomkit.widgets": 4,
    "dicomkit.plots": 4,
    "dicomkit.magics": 4,
    "dicomkit.server": 4,
    "dicomkit.connect": 5,
    "dicomkit.cli": 6,
    "dicomkit.commands": 6,
    "dicomkit.demo": 6,
    "dicomkit.__main__": 6,
}
"""What may import what: a module sees its own layer and those below it."""

TOP = "dicomkit"
"""The package itself (``dicomkit/__init__.py``): it sees everything, and nothing inside imports it."""

BLIND: list[tuple[str, str]] = [
    ("dicomkit.client", "dicomkit.engine"),
    ("dicomkit.engine", "dicomkit.client"),
    ("dicomkit.server", "dicomkit.client"),
    ("dicomkit.engine", "dicomkit.frames"),
    ("dicomkit.engine", "dicomkit.transport"),
    ("dicomkit.dicom", "dicomkit.bigquery"),
    ("dicomkit.dicom", "dicomkit.resources"),
    ("dicomkit.dicom", "dicomkit.deid"),
    ("dicomkit.resources", "dicomkit.deid"),
    ("dicomkit.bigquery", "dicomkit.deid"),
    ("dicomkit.deid", "dicomkit.bigquery"),
    ("dicomkit.dicom", "dicomkit.pixels"),
    ("dicomkit.resources", "dicomkit.pixels"),
    ("dicomkit.pixels", "dicomkit.resources"),
    ("dicomkit.pixels", "dicomkit.bigquery"),
    ("dicomkit.pixels", "dicomkit.deid"),
    ("dicomkit.processes", "dicomkit.deid"),
    ("dicomkit.processes", "dicomkit.dicom"),
    ("dicomkit.processes", "dicomkit.pixels"),
    ("dicomkit.processes", "dicomkit.resources"),
    # Inside the engine: handlers know the wire, services the rules, persistence one medium each.
    ("dicomkit.engine.persistence", "dicomkit.engine.services"),
    ("dicomkit.engine.persistence", "dicomkit.engine.handlers"),
    ("dicomkit.engine.services", "dicomkit.engine.handlers"),
]
"""(who, whom): pairs that do not see each other although the layers would allow it."""

WITHOUT: list[tuple[str, frozenset[str]]] = [
    ("dicomkit.client", frozenset({"sqlite3", "duckdb"})),
    ("dicomkit.engine", frozenset({"pandas", "requests", "ipywidgets"})),
    ("dicomkit.engine.services", frozenset({"werkzeug", "sqlite3"})),
    ("dicomkit.engine.persistence", frozenset({"werkzeug"})),
    ("dicomkit.resources", frozenset({"requests", "pandas", "sqlite3", "duckdb", "werkzeug", "socket"})),
    ("dicomkit.dicom", frozenset({"requests", "pandas", "sqlite3", "duckdb", "werkzeug", "socket"})),
    ("dicomkit.bigquery", frozenset({"requests", "pandas", "sqlite3", "duckdb", "werkzeug", "socket"})),
    ("dicomkit.deid", frozenset({"requests", "pandas", "sqlite3", "duckdb", "werkzeug", "socket"})),
    ("dicomkit.pixels", frozenset({"requests", "pandas", "sqlite3", "duckdb", "werkzeug", "socket"})),
    ("dicomkit.processes", frozenset({"requests", "pandas", "sqlite3", "duckdb", "werkzeug", "socket", "pickle"})),
]
"""(who, modules from outside that it must not import)."""

SEES_BOTH = frozenset({"dicomkit.connect"})
"""The composition root: the only module that may import the client and the engine."""


@dataclass(frozen=True)
class Import:
    """One import statement: who imports what, and where."""

    importer: str
    target: str
    line: int


def module_name(path: Path, root: Path) -> str:
    """Dotted name of a source file."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(root: Path) -> dict[str, Path]:
    """Every module of the package below *root*."""
    return {module_name(path, root): path for path in sorted((root / TOP).rglob("*.py"))}


def imports(name: str, path: Path, known: dict[str, Path]) -> Iterator[Import]:
    """Imports of one module, wherever in it they stand, with relative ones resolved."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
                package = package[: len(package) - node.level + 1]
                base = ".".join([*package, base] if base else package)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield Import(name, inner if inner in known else base, node.lineno)


def within(name: str, part: str) -> bool:
    """Whether *name* is the module or package *part*, or lies inside it."""
    return name == part or name.startswith(part + ".")


def layer(name: str) -> int | None:
    """The layer of a module; ``None`` when nothing in the table places it."""
    if name == TOP:
        return 6
    parts = [part for part in LAYERS if within(name, part)]
    return LAYERS[max(parts, key=len)] if parts else None


def faults(root: Path) -> list[str]:
    """Everything in the tree below *root* that the tables above forbid, one sentence each."""
    known = modules(root)
    found = [f"{name} is in no layer: place it in LAYERS" for name in known if layer(name) is None]
    for name, path in known.items():
        own = layer(name)
        seen: set[str] = set()
        for item in imports(name, path, known):
            where = f"{name}:{item.line} imports {item.target}"
            seen.update(side for side in ("dicomkit.client", "dicomkit.engine") if within(item.target, side))
            if own == 0 and not within(item.target, TOP) and item.target.split(".")[0] not in sys.stdlib_module_names:
                found.append(f"{where}: layer 0 has nothing but the standard library")
            if within(item.target, TOP) and own is not None:
                theirs = layer(item.target)
                if theirs is not None and theirs > own:
                    found.append(f"{where}: layer {own} does not see layer {theirs}")
            found += [
                f"{where}: {who} does not see {whom}"
                for who, whom in BLIND
                if within(name, who) and within(item.target, whom)
            ]
            found += [
                f"{where}: {who} goes without it"
                for who, outside in WITHOUT
                if within(name, who) and any(within(item.target, module) for module in outside)
            ]
        if len(seen) == 2 and name not in SEES_BOTH:
            found.append(f"{name} imports client and engine: only {', '.join(SEES_BOTH)} may")
    return found


def test_imports_only_go_down() -> None:
    """No module imports a higher layer, a sibling that it must not know, or a library that is not its business."""
    assert modules(ROOT), "no module found: the test looks in the wrong place"
    assert faults(ROOT) == []


@pytest.mark.parametrize(
    ("path", "source", "fault"),
    [
        ("names.py", "def f():\n    from dicomkit.client import store", "layer 0 does not see layer 3"),
        ("names.py", "import numpy", "layer 0 has nothing but the standard library"),
        ("dicom/reader.py", "from dicomkit import connect", "layer 1 does not see layer 5"),
        ("dicom/reader.py", "import dicomkit", "layer 1 does not see layer 6"),
        ("dicom/reader.py", "import dicomkit.bigquery.row", "does not see dicomkit.bigquery"),
        ("client/store.py", "from ..engine import app", "dicomkit.client does not see dicomkit.engine"),
        ("client/store.py", "import sqlite3", "dicomkit.client goes without it"),
        ("engine/app.py", "import pandas as pd", "dicomkit.engine goes without it"),
        (
            "engine/app.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from dicomkit.client.store import Store",
            "dicomkit.engine does not see dicomkit.client",
        ),
        ("engine/services/store.py", "from werkzeug.wrappers import Request", "dicomkit.engine.services goes without"),
        ("engine/persistence/blobs.py", "from ..services import ingest", "does not see dicomkit.engine.services"),
        ("cli.py", "from dicomkit.client import store\nfrom dicomkit.engine import app", "imports client and engine"),
        ("sundries.py", "", "dicomkit.sundries is in no layer"),
    ],
)
def test_the_check_sees_a_breach(tmp_path: Path, path: str, source: str, fault: str) -> None:
    """Each kind of breach, planted in an empty package, is found: the check above is no dead letter."""
    for name in ("__init__.py", "connect.py", "client/__init__.py", "client/store.py", "engine/__init__.py", path):
        file = tmp_path / TOP / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    for name in ("engine/app.py", "engine/services/ingest.py", "bigquery/row.py"):
        file = tmp_path / TOP / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / TOP / path).write_text(source)
    found = faults(tmp_path)
    assert len(found) == 1, found
    assert fault in found[0]


def test_going_down_is_allowed(tmp_path: Path) -> None:
    """The composition root may import both sides, and each side what lies below it."""
    sources = {
        "__init__.py": "from dicomkit.connect import connect",
        "errors.py": "import json",
        "connect.py": "from dicomkit.client.store import Store\nfrom dicomkit.engine.app import Engine",
        "client/store.py": "import pandas\nfrom dicomkit.errors import NotFound",
        "engine/app.py": "import sqlite3\nfrom . import routes\nfrom dicomkit.errors import NotFound",
        "engine/routes.py": "",
    }
    for name, source in sources.items():
        file = tmp_path / TOP / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    assert faults(tmp_path) == []
