"""What the server does with many instances at once: ``import``, ``export`` and ``deidentify``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dicomkit.commands.group import tell
from dicomkit.commands.options import DatasetId, Filter, Format, FormatOption, Output, StoreId, Target, Token, Wait
from dicomkit.commands.output import check_output, show
from dicomkit.commands.targets import store_of
from dicomkit.commands.waiting import finish
from dicomkit.errors import InvalidArgument

__all__ = ["deidentify", "export", "import_"]


def import_(
    store: StoreId,
    uri: Annotated[str, typer.Argument(metavar="URI", help="gs://bucket/object; quote patterns: 'gs://b/**.dcm'.")],
    target: Target,
    dataset: DatasetId = "default",
    token: Token = None,
    storage_class: Annotated[
        str | None, typer.Option(help="STANDARD (the default), NEARLINE, COLDLINE or ARCHIVE.")
    ] = None,
    wait: Wait = True,
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """Have the server store the files of a bucket.

    For a folder's own engine a bucket is the folder buckets/BUCKET in it.
    """
    check_output(format_, output)
    with store_of(target, dataset, token, store) as there:
        frame, end = finish(there.import_dicom(uri, storage_class=storage_class), wait=wait)
    show(frame, format_, output)
    if end is not None:
        raise end


def export(
    store: StoreId,
    to: Annotated[str, typer.Argument(metavar="URI", help="gs://bucket/folder or bq://project.dataset.table.")],
    target: Target,
    dataset: DatasetId = "default",
    token: Token = None,
    mime_type: Annotated[
        str | None, typer.Option(help="For a bucket: as 'application/dicom; transfer-syntax=T' or image/png.")
    ] = None,
    write_disposition: Annotated[
        str | None, typer.Option(help="For a table: WRITE_EMPTY (the default), WRITE_TRUNCATE or WRITE_APPEND.")
    ] = None,
    filter_: Filter = None,
    wait: Wait = True,
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """Have the server write instances to a bucket, or their metadata to a table."""
    check_output(format_, output)
    with store_of(target, dataset, token, store) as there:
        operation = there.export(to, mime_type=mime_type, write_disposition=write_disposition, filter_uri=filter_)
        frame, end = finish(operation, wait=wait)
    show(frame, format_, output)
    if end is not None:
        raise end


def deidentify(
    store: StoreId,
    target: Target,
    to: Annotated[
        str | None, typer.Argument(metavar="STORE", help="The store for the copies, which must exist.")
    ] = None,
    dataset: DatasetId = "default",
    token: Token = None,
    config: Annotated[
        str,
        typer.Option(help="basic, minimal, keep_all, clean_text, a JSON file with a DeidentifyConfig, or gs://..."),
    ] = "basic",
    preview: Annotated[
        bool, typer.Option("--preview", help="Write nothing, and show what would become of each attribute.")
    ] = False,
    filter_: Filter = None,
    wait: Wait = True,
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """Have the server write de-identified copies of the instances into another store."""
    check_output(format_, output)
    like = _config(config)
    if to is None and not preview:
        raise InvalidArgument("give the store for the copies after the first, or --preview")
    end = None
    with store_of(target, dataset, token, store) as there:
        if preview:
            frame = there.deidentify(to, config=like, filter_uri=filter_, preview=True)
            tell(f"{frame.attrs['instances']} of {frame.attrs['total']} instances were looked at; nothing was written")
        else:
            frame, end = finish(there.deidentify(to, config=like, filter_uri=filter_), wait=wait)
    show(frame, format_, output)
    if end is not None:
        raise end


def _config(text: str) -> Any:
    """The config: a name or a URI as it is, a file read as JSON."""
    path = Path(text).expanduser()
    if text.startswith("gs:") or not (path.suffix == ".json" or path.is_file()):
        return text
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidArgument(f"{text!a:.200} is not JSON") from error
    if not isinstance(found, dict):
        raise InvalidArgument(f"{text!a:.200} holds no DeidentifyConfig: a JSON object is wanted")
    return found
