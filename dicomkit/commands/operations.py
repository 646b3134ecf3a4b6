"""``dicomkit operations``: what runs on the server, and what it could not do."""

from __future__ import annotations

from typing import Annotated

import typer

from dicomkit.commands.options import DatasetId, Format, FormatOption, Output, Target, Token
from dicomkit.commands.output import check_output, show
from dicomkit.commands.targets import opened
from dicomkit.commands.waiting import row_of, waited

__all__ = ["app"]

app = typer.Typer(help="List, wait for and cancel what runs on the server.", no_args_is_help=True)

OperationId = Annotated[str, typer.Argument(metavar="ID", help="Id of the operation, or its whole name.")]


@app.command("list")
def list_(
    target: Target,
    dataset: DatasetId = "default",
    token: Token = None,
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """List the operations of the dataset, a row each."""
    check_output(format_, output)
    with opened(target, dataset, token) as there:
        frame = there.operations()
    show(frame, format_, output)


@app.command("show")
def show_(
    operation: OperationId,
    target: Target,
    dataset: DatasetId = "default",
    token: Token = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended.")] = False,
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """Say how far an operation is."""
    check_output(format_, output)
    with opened(target, dataset, token) as there:
        found = there.operation(operation)
        end = waited(found) if wait else None
        frame = row_of(found)
    show(frame, format_, output)
    if end is not None:
        raise end


@app.command()
def errors(
    operation: OperationId,
    target: Target,
    dataset: DatasetId = "default",
    token: Token = None,
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """List what an operation could not do, and why."""
    check_output(format_, output)
    with opened(target, dataset, token) as there:
        frame = there.operation(operation).errors()
    show(frame, format_, output)


@app.command()
def cancel(
    operation: OperationId,
    target: Target,
    dataset: DatasetId = "default",
    token: Token = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it has ended, however it ends.")] = True,
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """Stop an operation. What it did before stays done."""
    check_output(format_, output)
    with opened(target, dataset, token) as there:
        frame = row_of(there.operation(operation).cancel(wait=wait))
    show(frame, format_, output)
