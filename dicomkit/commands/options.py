"""The options that several commands have, each declared once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["DatasetId", "Filter", "Format", "FormatOption", "Output", "StoreId", "Target", "Token", "Wait", "Yes"]

TARGET_VARIABLE = "DICOMKIT_TARGET"
"""Environment variable with the target of commands that name none."""


class Format(StrEnum):
    """How a frame is written."""

    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"


Target = Annotated[
    str,
    typer.Option(
        "--target",
        "-t",
        envvar=TARGET_VARIABLE,
        help="A folder, http://host:port of a dicomkit server, or projects/P/locations/L/datasets/D of Google Cloud.",
        rich_help_panel="Where",
    ),
]

DatasetId = Annotated[
    str,
    typer.Option("--dataset", "-d", help="The dataset in a folder or on a server.", rich_help_panel="Where"),
]

Token = Annotated[
    str | None,
    typer.Option(
        envvar="DICOMKIT_TOKEN",
        help="Of a dicomkit server. Other users of the machine can see options, and not the environment.",
        rich_help_panel="Where",
    ),
]

FormatOption = Annotated[
    Format, typer.Option("--format", "-f", help="How the rows are written.", rich_help_panel="Output")
]

Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Write to this file and not to stdout.", dir_okay=False, rich_help_panel="Output"
    ),
]

StoreId = Annotated[str, typer.Argument(metavar="STORE", help="Id of the DICOM store.")]

Filter = Annotated[
    str | None,
    typer.Option(
        "--filter",
        help="gs://bucket/object: a text file with /studies/UID, or what is below one, in each line.",
    ),
]

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the operation has ended, or go on at once.")]

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
