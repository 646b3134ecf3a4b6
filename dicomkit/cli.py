"""The ``dicomkit`` command."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dicomkit.commands import downloads, instances, operations, queries, searches, stores, transfers
from dicomkit.commands.group import Commands

__all__ = ["app"]

app = typer.Typer(
    cls=Commands,
    help="DICOM stores as DataFrames.",
    no_args_is_help=True,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,  # they show the values of variables
)


class Mode(StrEnum):
    """How the engine answers."""

    friendly = "friendly"
    google = "google"


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
    debug: Annotated[  # noqa: ARG001, RUF100
        bool, typer.Option("--debug", help="Show where in the program an error comes from.")
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


@app.command()
def serve(
    home: Annotated[Path, typer.Argument(help="Folder with the stores; made if missing.", file_okay=False)],
    host: Annotated[str, typer.Option(help="Address to listen at; others than loopback want a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 0,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="DICOMKIT_TOKEN",
            show_envvar=True,
            help="The owner's token; one is made and printed when it is left out. Other users of the machine can see "
            "options of a command, and not its environment.",
        ),
    ] = None,
    principals: Annotated[
        Path | None, typer.Option(help="TOML or JSON file with the tokens of others.", dir_okay=False, exists=True)
    ] = None,
    mode: Annotated[
        Mode, typer.Option(help="google refuses the searches that the Cloud Healthcare API refuses.")
    ] = Mode.friendly,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="Origin of pages that may use the server, as http://localhost:3000.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Further name of this server, as that of a proxy in front of it.")
    ] = None,
    cloud: Annotated[
        bool,
        typer.Option(
            "--cloud", help="Use buckets, topics and streamed tables of Google Cloud, by default credentials."
        ),
    ] = False,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Requests that are answered at a time.")] = 16,
    quiet: Annotated[bool, typer.Option("--quiet", help="No line for each request.")] = False,
) -> None:
    """Serve a folder over HTTP: the DICOM stores with DICOMweb, and the BigQuery of their tables."""
    import logging

    from dicomkit import server

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("dicomkit.access").setLevel(logging.WARNING if quiet else logging.INFO)
    credentials = None
    if cloud:
        from dicomkit.transport.sessions import default_credentials

        credentials = default_credentials()
    server.serve(
        home,
        host=host,
        port=port,
        token=token or None,
        principals=principals,
        mode=mode.value,
        origins=allow_origin or (),
        hosts=allow_host or (),
        credentials=credentials,
        threads=threads,
        say=_say,
    )


def _say(line: str) -> None:
    """Print a line at once: whoever started the command in a pipe waits for it."""
    print(line, flush=True)


app.command("upload")(instances.upload)
app.add_typer(searches.app, name="search")
app.command("download")(downloads.download)
app.command("delete")(instances.delete)
app.add_typer(stores.app, name="stores")
app.command("sql")(queries.sql)
app.command("messages")(queries.messages)
app.command("import")(transfers.import_)
app.command("export")(transfers.export)
app.command("deidentify")(transfers.deidentify)
app.add_typer(operations.app, name="operations")
# As Google's dcmweb called them.
app.command("store", hidden=True)(instances.upload)
app.command("retrieve", hidden=True)(downloads.download)
