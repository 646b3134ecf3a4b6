"""Entry point of the ``dicomkit`` command and of ``python -m dicomkit``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line, and show an expected error as one line instead of a traceback."""
    from dicomkit.cli import app
    from dicomkit.errors import DicomkitError

    try:
        app()
    except DicomkitError as e:
        print(f"dicomkit: {e}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
