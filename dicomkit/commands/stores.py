"""``dicomkit stores``: the DICOM stores of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dicomkit.commands.instances import confirm
from dicomkit.commands.options import DatasetId, Format, FormatOption, Output, StoreId, Target, Token, Yes
from dicomkit.commands.output import check_output, show
from dicomkit.commands.targets import opened, pairs, store_of
from dicomkit.errors import NotFound

if TYPE_CHECKING:
    import pandas as pd

    from dicomkit.client.dataset import Dataset

__all__ = ["app"]

app = typer.Typer(help="List, make, label and delete DICOM stores.", no_args_is_help=True)

_LABEL = "a label is KEY=VALUE, or KEY- to take it away"


@app.command("list")
def list_(
    target: Target,
    dataset: DatasetId = "default",
    token: Token = None,
    filter_: Annotated[str, typer.Option("--filter", help="By labels: 'labels.site=a AND NOT labels.old=yes'.")] = "",
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """List the stores, a row each."""
    check_output(format_, output)
    with opened(target, dataset, token) as there:
        frame = there.stores(filter=filter_)
    show(frame, format_, output)


@app.command()
def create(
    store: StoreId,
    target: Target,
    dataset: DatasetId = "default",
    token: Token = None,
    label: Annotated[list[str] | None, typer.Option(help="KEY=VALUE; several times.")] = None,
    stream_to: Annotated[
        list[str] | None, typer.Option(help="bq://project.dataset.table that a row of each new instance goes to.")
    ] = None,
    notify: Annotated[
        list[str] | None, typer.Option(help="projects/P/topics/T that hears of each new instance.")
    ] = None,
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """Make a store, and the folder if missing."""
    check_output(format_, output)
    labels = pairs(label or (), "a label is KEY=VALUE")
    with opened(target, dataset, token, make=True) as there:
        there.create_store(
            store, labels=labels or None, stream_to=stream_to or None, notification_configs=notify or None
        )
        frame = _row(there, store)
    show(frame, format_, output)


@app.command()
def labels(
    store: StoreId,
    target: Target,
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE|KEY-...", help="Labels to set, or to take away.")
    ] = None,
    dataset: DatasetId = "default",
    token: Token = None,
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """Set labels and take them away; the others stay. Without any, show them."""
    check_output(format_, output)
    gone = {word[:-1] for word in changes or () if word.endswith("-") and "=" not in word}
    new = pairs((word for word in changes or () if word[:-1] not in gone or "=" in word), _LABEL)
    with opened(target, dataset, token) as there:
        if changes:
            found = there.store(store)
            kept = {key: value for key, value in (found.resource.labels or {}).items() if key not in gone}
            found.patch(labels={**kept, **new})
        frame = _row(there, store)
    show(frame, format_, output)


@app.command()
def delete(
    store: StoreId, target: Target, dataset: DatasetId = "default", token: Token = None, yes: Yes = False
) -> None:
    """Delete a store and every instance in it.

    How many there are is asked for first, unless --yes is given.
    """
    with store_of(target, dataset, token, store) as there:
        if not yes:
            count = there.metrics()["instance_count"].iloc[0]
            confirm(f"Delete the store {store} with {count} {'instance' if count == 1 else 'instances'}?")
        there.delete()


def _row(there: Dataset, store: str) -> pd.DataFrame:
    frame = there.stores()
    row = frame[frame["id"] == store]
    if not len(row):
        raise NotFound(f"the dataset has no DICOM store {store!a:.80}; `dicomkit stores list` shows those it has")
    return row
