"""What is asked of tables and topics: ``sql`` and ``messages``."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from dicomkit.commands.options import DatasetId, Format, FormatOption, Output, StoreId, Target, Token
from dicomkit.commands.output import check_output, show, show_stream
from dicomkit.commands.targets import opened, pairs, store_of
from dicomkit.errors import InvalidArgument

__all__ = ["messages", "sql"]


def sql(
    store: StoreId,
    text: Annotated[
        str, typer.Argument(metavar="SQL", help="GoogleSQL; {table} is the table of the store; - reads it from stdin.")
    ],
    target: Target,
    dataset: DatasetId = "default",
    token: Token = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE for @NAME, or NAME:TYPE=VALUE with STRING, INT64, FLOAT64, BOOL, DATE or TIMESTAMP."
        ),
    ] = None,
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """Run GoogleSQL over the table that a store streams to.

    Waits for rows of what was stored before.
    """
    check_output(format_, output)
    params = _params(param or [])
    with store_of(target, dataset, token, store) as there:
        frame = there.sql(sys.stdin.read() if text == "-" else text, params=params)
    show(frame, format_, output)


def messages(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Id of the topic, or projects/P/topics/T.")],
    target: Target,
    dataset: DatasetId = "default",
    token: Token = None,
    since: Annotated[
        str | None, typer.Option(help="Id of a message: those after it; or a time as 2026-01-31T12:00, UTC.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new ones as they come, until Ctrl-C.")] = False,
    format_: FormatOption = Format.table,
    output: Output = None,
) -> None:
    """Show what a topic was told of stored and deleted instances.

    With --follow, JSON is one record a line.
    """
    check_output(format_, output, follow=follow)
    with opened(target, dataset, token) as there:
        if follow:
            show_stream(there.follow_messages(topic, since), format_)
        else:
            show(there.messages(topic, since), format_, output)


def _params(words: list[str]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for typed, value in pairs(words, "a parameter is NAME=VALUE or NAME:TYPE=VALUE").items():
        name, _, kind = typed.partition(":")
        reader = _READERS.get(kind.upper() or "STRING")
        if reader is None:
            raise InvalidArgument(f"the type of a parameter is one of {', '.join(_READERS)}; got {kind!a:.40}")
        try:
            params[name] = reader(value)
        except (ValueError, KeyError):
            raise InvalidArgument(f"the parameter {name!a:.60} is no {kind.upper()}") from None
    return params


_READERS: dict[str, Callable[[str], Any]] = {
    "STRING": str,
    "INT64": int,
    "FLOAT64": float,
    "BOOL": lambda text: {"true": True, "false": False}[text.lower()],
    "DATE": datetime.date.fromisoformat,
    "TIMESTAMP": lambda text: _utc(datetime.datetime.fromisoformat(text)),
}


def _utc(moment: datetime.datetime) -> datetime.datetime:
    return moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment
