"""The reference in ``docs/cli.md``, made of the commands: ``python -m tests.unit.cli.reference`` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from dicomkit.cli import app

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cli.md"
COMMON = ("target", "dataset", "token", "format_", "output")
"""Options that the page describes once."""

BEGIN = "<!-- made of the commands by `python -m tests.unit.cli.reference` -->\n"


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that the help shows, with its words."""
    yield from _below("dicomkit", typer.main.get_command(app))


def _below(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    for name, sub in getattr(command, "commands", {}).items():
        if sub.hidden:
            continue
        if hasattr(sub, "commands"):
            yield from _below(f"{words} {name}", sub)
        else:
            yield f"{words} {name}", sub


def text() -> str:
    """The whole reference."""
    return BEGIN + "\n" + "\n".join(_section(words, command) for words, command in commands())


def _section(words: str, command: Any) -> str:
    parameters = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [p for p in parameters if p.param_type_name == "argument"]
    options = [p for p in parameters if p.param_type_name == "option"]
    usage = " ".join([words, *(_metavar(p) if p.required else f"[{_metavar(p)}]" for p in arguments), "[OPTIONS]"])
    lines = [f"### `{usage}`", "", " ".join(command.help.split()), ""]
    lines += [f"- `{_metavar(p)}`: {p.help}" for p in arguments]
    lines += [f"- {_names(p)}: {p.help}{_remarks(p)}" for p in options if p.name not in COMMON or "serve" in words]
    common = [f"`{p.opts[0]}`" for p in options if p.name in COMMON and "serve" not in words]
    if common:
        lines.append(f"- {', '.join(common)}: as above")
    return "\n".join(lines) + "\n"


def _metavar(argument: Any) -> str:
    return argument.metavar or argument.name.upper()


def _names(option: Any) -> str:
    names = [*option.opts, *option.secondary_opts]
    return ", ".join(f"`{name}`" for name in sorted(names, key=lambda name: (not name.startswith("--"), name)))


def _remarks(option: Any) -> str:
    told = ["required"] if option.required else []
    if option.envvar:
        told.append(f"or `{option.envvar}`")
    default = getattr(option.default, "value", option.default)
    if isinstance(default, str | int) and not isinstance(default, bool) and default != "":
        told.append(f"`{default}` by default")
    return f" ({', '.join(told)})" if told else ""


if __name__ == "__main__":
    head = PAGE.read_text(encoding="utf-8").partition(BEGIN)[0]
    PAGE.write_text(head + text(), encoding="utf-8")
