"""What comes out of a store: ``download``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dicomkit.commands.instances import show_outcomes
from dicomkit.commands.options import DatasetId, Format, FormatOption, Output, StoreId, Target, Token
from dicomkit.commands.output import check_output
from dicomkit.commands.targets import matches, store_of, uids_of
from dicomkit.errors import InvalidArgument

__all__ = ["download"]


def download(
    store: StoreId,
    to: Annotated[
        Path, typer.Option("--to", help="The folder; made if missing.", file_okay=False, rich_help_panel="Output")
    ],
    target: Target,
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH|KEYWORD=VALUE...",
            help="studies/UID, studies/UID/series/UID or studies/UID/series/UID/instances/UID, several of them; or "
            "what instances must match. Everything by default.",
        ),
    ] = None,
    dataset: DatasetId = "default",
    token: Token = None,
    layout: Annotated[
        str | None,
        typer.Option(help="Path of a file below the folder: '{PatientID}/{SOPInstanceUID}.dcm'."),
    ] = None,
    transfer_syntax: Annotated[
        str, typer.Option(help="UID of the transfer syntax of the files; * for the bytes that were uploaded.")
    ] = "*",
    workers: Annotated[int | None, typer.Option(min=1, help="Instances at a time.")] = None,
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """Save instances as files.

    A row an instance says what became of it; a table has only those that failed. What is there and whole is not fetched
    again: after an interruption, download the same again.
    """
    check_output(format_, output)
    words = what or []
    paths = [word for word in words if "=" not in word]
    if paths and len(paths) < len(words):
        raise InvalidArgument("give paths or matches, not both")
    wanted = matches(words) if not paths else {}
    options: dict[str, Any] = {} if layout is None else {"layout": layout}
    if workers is not None:
        options["workers"] = workers
    uids = [uids_of(path) for path in paths]
    with store_of(target, dataset, token, store) as there:
        found: Any = uids if paths else there.search_instances(**wanted)
        frame = there.download(found, to=to, transfer_syntax=transfer_syntax, **options)
    show_outcomes(frame, "instances", format_, output)
