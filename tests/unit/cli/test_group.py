"""How commands end: codes, lines, and nothing of a patient in either."""

from __future__ import annotations

import warnings
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from dicomkit import errors
from dicomkit.commands.group import Commands

SECRET = "Doe^Jane"


def run(error: BaseException | None, *words: str) -> tuple[int, str, str]:
    """Code, stdout and stderr of a command that raises *error*."""
    app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

    @app.callback()
    def _main(debug: Annotated[bool, typer.Option("--debug")] = False) -> None:
        pass

    @app.command()
    def work() -> None:
        if isinstance(error, Warning):
            warnings.warn(error, stacklevel=1)
        elif error is not None:
            raise error
        print("rows")

    result = CliRunner().invoke(app, [*words, "work"])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (errors.DicomFormatError("broken"), 1),
        (errors.OperationError("failed"), 1),
        (errors.Internal("failed"), 1),
        (errors.SetupError("run this"), 1),
        (errors.InvalidArgument("not so"), 2),
        (errors.NotFound("nothing there"), 3),
        (errors.PermissionDenied("no role"), 3),
        (errors.Unauthenticated("no token"), 3),
        (errors.AlreadyExists("is there"), 3),
        (errors.FailedPrecondition("not yet"), 3),
        (errors.Unavailable("away"), 4),
        (errors.DeadlineExceeded("late"), 4),
        (OSError(28, "No space left on device"), 1),
        (KeyboardInterrupt(), 130),
        (typer.Exit(7), 7),
    ],
)
def test_each_end_has_its_code(error: BaseException | None, code: int) -> None:
    """The codes are those of docs/cli.md, and an error is one line on stderr."""
    found, out, err = run(error)
    assert found == code
    assert out == ("rows\n" if code == 0 else "")
    assert len(err.splitlines()) == (0 if code in (0, 7) else 1)
    assert "Traceback" not in err


def test_an_error_has_its_words_and_its_notes() -> None:
    """What an error was given to know on its way stands behind it."""
    error = errors.Unavailable("the server is away")
    error.add_note("Upload the same again to go on")
    assert run(error)[2] == "dicomkit: the server is away Upload the same again to go on\n"


def test_an_error_is_one_line_without_escapes() -> None:
    """A server's words are not to be trusted with the terminal."""
    assert run(errors.NotFound("a\nb\x1b[31m\u202ec"))[2] == "dicomkit: a b\\x1b[31m\\u202ec\n"


def test_words_of_a_library_are_not_shown() -> None:
    """An exception that nobody expected may hold a value: its name alone is shown."""
    code, _, err = run(ValueError(f"cannot decode {SECRET}"))
    assert code == 1
    assert SECRET not in err
    assert "ValueError" in err
    assert "--debug" in err


def test_debug_shows_where() -> None:
    """With --debug the traceback comes, and the line and the code as ever."""
    code, _, err = run(errors.NotFound("nothing there"), "--debug")
    assert code == 3
    assert "Traceback" in err
    assert err.endswith("dicomkit: nothing there\n")


def test_a_result_that_is_not_complete_ends_with_1() -> None:
    """Rows are printed, the warning is a line, and a script can tell."""
    assert run(errors.PartialResultsWarning("more there")) == (1, "rows\n", "dicomkit: warning: more there\n")


def test_a_value_that_was_kept_is_no_failure() -> None:
    """The warning is a line, and that is all."""
    assert run(errors.LenientValueWarning("odd")) == (0, "rows\n", "dicomkit: warning: odd\n")
