"""What goes into a store and what is deleted in it: ``upload`` and ``delete``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomkit.commands.group import fail, said, tell
from dicomkit.commands.options import DatasetId, Format, FormatOption, Output, StoreId, Target, Token, Wait, Yes
from dicomkit.commands.output import check_output, show
from dicomkit.commands.targets import opened, store_of, uids_of
from dicomkit.commands.waiting import waited
from dicomkit.errors import NotFound

if TYPE_CHECKING:
    import pandas as pd

    from dicomkit.client.dataset import Dataset
    from dicomkit.client.store import Store

__all__ = ["confirm", "delete", "show_outcomes", "upload"]

_PATH_HELP = "studies/UID, studies/UID/series/UID or studies/UID/series/UID/instances/UID."


def upload(
    store: StoreId,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files, folders with all below them, or quoted patterns.")
    ],
    target: Target,
    dataset: DatasetId = "default",
    token: Token = None,
    create: Annotated[bool, typer.Option("--create", help="Make the store, and the folder, if missing.")] = False,
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """Store DICOM files.

    A row a file says what became of it; a table has only those that failed. What is stored already is not stored twice:
    after an interruption, upload the same again.
    """
    check_output(format_, output)
    with opened(target, dataset, token, make=create) as there:
        frame = _store(there, store, create=create).upload(paths)
    show_outcomes(frame, "files", format_, output)


def _store(there: Dataset, store: str, *, create: bool) -> Store:
    try:
        return there.store(store)
    except NotFound:
        if not create:
            raise
        return there.create_store(store)


def show_outcomes(frame: pd.DataFrame, unit: str, format_: Format, output: Path | None) -> None:
    """Write the rows of an upload or a download, and their count to stderr; ends with 1 where any has failed."""
    counts = frame["outcome"].value_counts(sort=False)
    told = ", ".join(f"{number} {str(outcome).replace('_', ' ')}" for outcome, number in counts.items())
    failed = frame[frame["outcome"] == "failed"]
    if format_ is not Format.table or output is not None:
        show(frame, format_, output)
    elif len(failed):
        show(failed, format_)
    tell(f"{len(frame)} {unit}: {told or 'nothing to do'}")
    if len(failed):
        raise typer.Exit(1)


def delete(
    store: StoreId,
    path: Annotated[str, typer.Argument(metavar="PATH", help=_PATH_HELP)],
    target: Target,
    dataset: DatasetId = "default",
    token: Token = None,
    yes: Yes = False,
    wait: Wait = True,
) -> None:
    """Delete a study, a series or an instance.

    What there is to delete is asked for first, unless --yes is given. A whole store: dicomkit stores delete.
    """
    uids = uids_of(path)
    with store_of(target, dataset, token, store) as there:
        if len(uids) == 3:
            if not yes:
                confirm(f"Delete 1 instance of the store {store}?")
            there.delete_instance(*uids)
            return
        if not yes:
            count = there.metrics(*uids)["instance_count"].iloc[0]
            kind = "study" if len(uids) == 1 else "series"
            confirm(f"Delete a {kind} with {count} {'instance' if count == 1 else 'instances'} of the store {store}?")
        operation = there.delete_study(*uids) if len(uids) == 1 else there.delete_series(*uids)
        if not wait:
            tell(f"operation {operation.id} deletes it")
        elif (end := waited(operation)) is not None:
            raise end


def confirm(question: str) -> None:
    """Ask on stderr; anything but yes ends the command."""
    print(f"{said(question)} [y/N]: ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        print(file=sys.stderr)
    if answer.strip().lower() not in ("y", "yes"):
        raise fail("nothing was deleted" if answer else "nothing was deleted; --yes answers the question")
