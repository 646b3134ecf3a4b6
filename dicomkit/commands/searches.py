"""``dicomkit search studies | series | instances``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dicomkit.commands.options import DatasetId, Format, FormatOption, Output, StoreId, Target, Token
from dicomkit.commands.output import check_output, show
from dicomkit.commands.targets import matches, store_of
from dicomkit.errors import InvalidArgument

__all__ = ["app"]

app = typer.Typer(help="Find studies, series or instances, a row each.", no_args_is_help=True)

Match = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEYWORD=VALUE...",
        help="What must match, all of it: PatientID=4711, StudyDate=20040101-20041231, ModalitiesInStudy=CT, "
        "'PatientName=Do*'. Everything by default.",
    ),
]
Fields = Annotated[
    list[str] | None,
    typer.Option(
        "--field", help="A further attribute, by keyword or tag; several times, or 'all'.", rich_help_panel="Output"
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Most rows wanted.", rich_help_panel="Output")]
Fuzzy = Annotated[bool, typer.Option("--fuzzy", help="Match PatientName by the beginnings of its words.")]
Count = Annotated[
    bool, typer.Option("--count", help="Print how many there are, and nothing of them.", rich_help_panel="Output")
]

_COUNT = {"study": "count_studies", "series": "count_series", "instance": "count_instances"}


@app.command()
def studies(
    store: StoreId,
    target: Target,
    match: Match = None,
    dataset: DatasetId = "default",
    token: Token = None,
    field: Fields = None,
    limit: Limit = None,
    fuzzy: Fuzzy = False,
    count: Count = False,
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """Find studies."""
    _search("study", store, target, match, dataset, token, field, limit, fuzzy, count, format_, output)


@app.command()
def series(
    store: StoreId,
    target: Target,
    match: Match = None,
    dataset: DatasetId = "default",
    token: Token = None,
    field: Fields = None,
    limit: Limit = None,
    fuzzy: Fuzzy = False,
    count: Count = False,
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """Find series, with the attributes of their studies."""
    _search("series", store, target, match, dataset, token, field, limit, fuzzy, count, format_, output)


@app.command()
def instances(
    store: StoreId,
    target: Target,
    match: Match = None,
    dataset: DatasetId = "default",
    token: Token = None,
    field: Fields = None,
    limit: Limit = None,
    fuzzy: Fuzzy = False,
    count: Count = False,
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """Find instances, with the attributes of their series and studies."""
    _search("instance", store, target, match, dataset, token, field, limit, fuzzy, count, format_, output)


def _search(
    level: Literal["study", "series", "instance"],
    store: str,
    target: str,
    match: list[str] | None,
    dataset: str,
    token: str | None,
    field: list[str] | None,
    limit: int | None,
    fuzzy: bool,
    count: bool,
    format_: Format,
    output: Path | None,
) -> None:
    check_output(format_, output)
    if count and (field or limit or output or format_ is not Format.table):
        raise InvalidArgument("--count prints a number; leave --field, --limit, --format and --output out")
    wanted = matches(match or ())
    fields = "all" if field == ["all"] else (field or ())
    with store_of(target, dataset, token, store) as there:
        if count:
            typer.echo(getattr(there, _COUNT[level])(fuzzymatching=fuzzy, **wanted))
            return
        frame = there.search(level, fields=fields, limit=limit, fuzzymatching=fuzzy, **wanted).to_frame()
    show(frame, format_, output)
