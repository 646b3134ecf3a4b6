"""What a command ends with: one line for an error, and a code that scripts can go by.

=====  =========================================================================================
code   meaning
=====  =========================================================================================
0      Done.
1      Something failed: a row of an upload or a download, an operation, the server; or the
       result is not complete.
2      The command cannot be understood, or asks for what is not allowed.
3      Refused: there is no such thing, it is there already, no permission, no token.
4      No answer: the server is away or busy, the folder is in use; the same may pass later.
130    Interrupted.
141    Whoever read the output has gone.
=====  =========================================================================================
"""

from __future__ import annotations

import os
import sys
import traceback
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from dicomkit import errors

__all__ = ["FAILED", "INTERRUPTED", "NO_ANSWER", "REFUSED", "USAGE", "Commands", "fail", "said", "tell"]

FAILED, USAGE, REFUSED, NO_ANSWER, INTERRUPTED, READER_GONE = 1, 2, 3, 4, 130, 141

_CODES: tuple[tuple[type[errors.DicomkitError], int], ...] = (
    (errors.InvalidArgument, USAGE),
    (errors.OutOfRange, USAGE),
    (errors.Unauthenticated, REFUSED),
    (errors.PermissionDenied, REFUSED),
    (errors.NotFound, REFUSED),
    (errors.AlreadyExists, REFUSED),
    (errors.FailedPrecondition, REFUSED),
    (errors.Unavailable, NO_ANSWER),
    (errors.DeadlineExceeded, NO_ANSWER),
)
"""Error -> code; every other is ``FAILED``."""

_INCOMPLETE = (errors.PartialResultsWarning, errors.StreamLagWarning)


class Commands(TyperGroup):
    """The commands, and what happens around each of them."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; errors of dicomkit become a line on stderr and an exit code."""
        debug = bool(ctx.params.get("debug"))
        said_incomplete: list[bool] = []
        try:
            with _warnings_as_lines(said_incomplete):
                result = super().invoke(ctx)
                sys.stdout.flush()
        except typer.Exit as end:
            if end.exit_code or not said_incomplete:
                raise
            raise typer.Exit(FAILED) from None
        except BrokenPipeError:
            _forget_stdout()
            raise typer.Exit(READER_GONE) from None
        except KeyboardInterrupt as interrupt:
            tell(f"interrupted{f': {interrupt}' if str(interrupt) else ''}")
            raise typer.Exit(INTERRUPTED) from None
        except (errors.DicomkitError, OSError) as error:
            if debug:
                traceback.print_exc()
            tell(_line(error))
            raise typer.Exit(_code(error)) from None
        except Exception as error:  # whatever a library raises
            if _is_of_typer(error):
                raise
            if debug:
                traceback.print_exc()
            # Its text may hold a value of a file; ours never do.
            tell(f"{type(error).__name__}, which nobody expected; `dicomkit --debug ...` shows where")
            raise typer.Exit(FAILED) from None
        if said_incomplete:
            raise typer.Exit(FAILED)
        return result


def fail(message: str, code: int = FAILED) -> typer.Exit:
    """Say *message*, and give what is to be raised to end with *code*."""
    tell(message)
    return typer.Exit(code)


def tell(message: str) -> None:
    """Write one line to stderr, whatever is in it and whatever stderr can show."""
    print(f"dicomkit: {said(message)}", file=sys.stderr, flush=True)


def said(text: str, stream: Any = None) -> str:
    """*text* as a terminal may have it: no control characters, nothing that the stream (stderr) cannot write."""
    shown = "".join(c if c.isprintable() else _escaped(c) for c in text)
    encoding = getattr(sys.stderr if stream is None else stream, "encoding", None) or "ascii"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def _escaped(character: str) -> str:
    if unicodedata.category(character) == "Zs" or character in "\n\t":
        return " "
    return character.encode("unicode_escape").decode()


def _line(error: errors.DicomkitError | OSError) -> str:
    if isinstance(error, OSError) and not isinstance(error, errors.DicomkitError):
        where = f": {error.filename!r}" if error.filename is not None else ""
        return f"{error.strerror or type(error).__name__}{where}"
    return " ".join([str(error), *getattr(error, "__notes__", ())])


def _code(error: Exception) -> int:
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)


def _is_of_typer(error: Exception) -> bool:
    # Usage errors and the wish to stop: typer knows how to show them.
    return any(cls.__module__.partition(".")[0] in ("typer", "click") for cls in type(error).__mro__)


@contextmanager
def _warnings_as_lines(incomplete: list[bool]) -> Iterator[None]:
    """Show dicomkit's warnings as lines; note in *incomplete* that one of them says so of the result."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if issubclass(category, _INCOMPLETE):
            incomplete.append(True)
        tell(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", errors.DicomkitWarning)
        warnings.showwarning = show
        yield


def _forget_stdout() -> None:
    """What is left in the buffer goes nowhere, so that the interpreter does not stumble over it at its end."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
