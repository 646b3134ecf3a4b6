"""GoogleSQL's functions by family, as BigQuery's documentation lists them, and the page that says which of them work.

``documented_functions.txt`` holds a line for each: a call with the answer that the documentation gives, or a ``!``
before the names that are refused. ``python -m tests.unit.googlesql.documented`` writes ``docs/googlesql.md`` from it.

Source: BigQuery documentation, "All functions" and the page of each family.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["FAMILIES", "PAGE", "Example", "Family", "page"]

PAGE = Path(__file__).parents[3] / "docs" / "googlesql.md"
_HEAD = Path(__file__).with_name("documented_head.md")


@dataclass(frozen=True)
class Example:
    """A function that works: a call and its answer, values as the REST API writes them."""

    name: str
    call: str
    answer: Any

    @property
    def sql(self) -> str:
        """The call as a query."""
        return self.call if self.call.startswith("SELECT ") else f"SELECT {self.call}"


@dataclass(frozen=True)
class Family:
    """The functions of one page of the documentation."""

    title: str
    works: list[Example] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def _read() -> list[Family]:
    families: list[Family] = []
    for line in Path(__file__).with_name("documented_functions.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            families.append(Family(line[2:]))
        elif line.startswith("! "):
            families[-1].refused.extend(line[2:].split())
        elif line:
            name, call, answer = (part.strip() for part in line.split(" | "))
            families[-1].works.append(Example(name, call, ast.literal_eval(answer)))
    return families


FAMILIES = _read()


def page() -> str:
    """``docs/googlesql.md``."""
    parts = [_HEAD.read_text(encoding="utf-8").rstrip()]
    for family in FAMILIES:
        parts.append(f"### {family.title}")
        if family.works:
            rows = [
                f"| `{each.name}` | `{_cell(each.call)}` | `{_cell(_shown(each.answer))}` |" for each in family.works
            ]
            parts.append("\n".join(["| works | example | answer |", "|---|---|---|", *rows]))
        if family.refused:
            parts.append("Refused: " + ", ".join(f"`{name}`" for name in family.refused) + ".")
    return "\n\n".join(parts) + "\n"


def _shown(answer: Any) -> str:
    if isinstance(answer, list):
        return f"[{', '.join(map(_shown, answer))}]"
    if isinstance(answer, tuple):
        return f"({', '.join(map(_shown, answer))})"
    return "NULL" if answer is None else str(answer)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "'")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
