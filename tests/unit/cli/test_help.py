"""Help, completion and what they load."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from dicomkit.cli import app
from tests.unit.cli import reference

HEAVY = ("pandas", "numpy", "pydicom", "duckdb", "google.auth", "google.cloud", "requests", "pyarrow", "sqlite3")


@pytest.mark.parametrize("words", ["dicomkit", *(name for name, _ in reference.commands())])
def test_every_command_has_help(words: str) -> None:
    """--help says what a command does and takes, by its long and its short name."""
    for option in ("--help", "-h"):
        result = CliRunner().invoke(app, [*words.split()[1:], option])
        assert result.exit_code == 0, result.stderr
        assert "Usage: " in result.stdout
        assert result.stderr == ""


@pytest.mark.parametrize("words", [("--help",), ("search", "studies", "--help"), ("--version",), ("upload",)])
def test_help_loads_nothing_heavy(words: tuple[str, ...]) -> None:
    """Help, the version and a usage error come before pandas, DuckDB and Google's libraries."""
    code = (
        "import json, sys\n"
        f"sys.argv = ['dicomkit', *{words!r}]\n"
        "from dicomkit.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "dicomkit.cli" in loaded
    assert sorted(loaded.intersection(HEAVY)) == []


@pytest.mark.parametrize("name", ["store", "retrieve"])
def test_the_words_of_dcmweb_are_understood(name: str) -> None:
    """The names that Google's dcmweb had for upload and download work, and are not in the help."""
    assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0
    assert f"dicomkit {name}" not in [words for words, _ in reference.commands()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed(shell: str) -> None:
    """--show-completion gives a script for the shell."""
    done = subprocess.run(
        [sys.executable, "-m", "dicomkit", "--show-completion", shell], capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert "_DICOMKIT_COMPLETE" in done.stdout


def test_completion_knows_the_commands() -> None:
    """What the shell asks for is answered with commands, subcommands and options."""

    def completed(line: str) -> list[str]:
        environment = {
            **os.environ,
            "_DICOMKIT_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
        }
        command = [sys.executable, "-m", "dicomkit"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8").stdout.split()

    assert {"upload", "search", "download", "delete", "stores", "sql"} <= set(completed("dicomkit "))
    assert completed("dicomkit search ser") == ["series"]
    assert "--format" in completed("dicomkit search series --f")


def test_a_missing_target_names_the_variable() -> None:
    """A usage error ends with 2 and says how to give what is missing."""
    result = CliRunner(env={"DICOMKIT_TARGET": None}).invoke(app, ["stores", "list"])
    assert result.exit_code == 2
    assert "--target" in result.stderr
    assert "DICOMKIT_TARGET" in result.stderr
