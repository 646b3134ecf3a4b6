"""The ``dicomkit`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(help="DICOM stores as DataFrames.", no_args_is_help=True, add_completion=True)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"dicomkit {version('dicomkit')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[  # noqa: ARG001, RUF100  (typer reads the parameter)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """DICOM stores as DataFrames."""


@app.command()
def demo(
    home: Annotated[
        Path | None, typer.Option(help="Folder for the store; a new temporary one when left out.", file_okay=False)
    ] = None,
) -> None:
    """Make a store in a folder, fill it with real DICOM files, search it, and ask its table in SQL."""
    from dicomkit.demo import run

    raise typer.Exit(run(home))
