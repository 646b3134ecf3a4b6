"""Entry point of the ``dicomkit`` command and of ``python -m dicomkit``."""

from __future__ import annotations

import sys
from typing import TextIO, cast

__all__ = ["main"]


def main() -> None:
    """Run the command line; an error is one line, an interruption ends it with 130 at any moment."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A character that the terminal does not have must not end the command.
            cast("TextIO", stream).reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]
    try:
        from dicomkit.cli import app

        app(prog_name="dicomkit")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
