"""``%load_ext dicomkit``: a cell of GoogleSQL over a store's table.

::

    %%dicomsql store -o counts --params wanted
    SELECT Modality, COUNT(*) AS n FROM {current} WHERE PatientID IN UNNEST(@ids) GROUP BY Modality
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Mapping
from typing import Any, NoReturn

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from dicomkit.client.dataset import Dataset
from dicomkit.client.store import Store

__all__ = ["register"]


def register(shell: InteractiveShell) -> None:
    """Give *shell* the magic ``%%dicomsql``."""

    def dicomsql(line: str, cell: str) -> Any:
        return _run(shell.user_ns, line, cell)

    dicomsql.__doc__ = f"Run a cell of GoogleSQL.\n\n::\n\n{_parser().format_help()}"
    shell.magics_manager.register_function(dicomsql, magic_kind="cell", magic_name="dicomsql")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"%%dicomsql: {message}\n{self.format_usage()}")


def _parser() -> _Parser:
    parser = _Parser(
        prog="%%dicomsql",
        add_help=False,
        description="{table} and {current} in the cell stand for the table of the store, @name for a parameter.",
    )
    add = parser.add_argument
    add("at", nargs="?", help="a variable that holds a store or a dataset; the only store there is when left out")
    add("-o", "--output", metavar="NAME", help="put the frame into this variable, and do not show it")
    add("--params", metavar="DICT", help="a variable that holds a dict, or a JSON object in quotes")
    add("--max-gb", type=float, metavar="GB", help="refuse to read more than this, before it runs")
    add("--dry-run", action="store_true", help="do not run it, tell what it would read")
    add("--dtypes", choices=("pandas", "arrow"), default="pandas", help="types of the columns")
    return parser


def _run(names: dict[str, Any], line: str, cell: str) -> Any:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"%%dicomsql: {error}") from None
    args = _parser().parse_args(words)
    if args.output is not None and not args.output.isidentifier():
        raise UsageError(f"%%dicomsql: {args.output!a:.60} is no name of a variable")
    frame = _place(names, args.at).sql(
        cell, params=_params(names, args.params), max_gb=args.max_gb, dry_run=args.dry_run, dtypes=args.dtypes
    )
    if args.output is None:
        return frame
    names[args.output] = frame
    return None


def _place(names: Mapping[str, Any], name: str | None) -> Store | Dataset:
    if name is not None:
        place = names.get(name)
        if isinstance(place, Store | Dataset):
            return place
        found = "there is no such variable" if place is None else f"this is a {type(place).__name__}"
        raise UsageError(f"%%dicomsql: {name!a:.60} must be a store or a dataset, and {found}")
    # What begins with _ is what the notebook keeps of cells that were shown.
    stores = {id(each): key for key, each in names.items() if isinstance(each, Store) and not key.startswith("_")}
    if len(stores) != 1:
        known = ", ".join(sorted(stores.values())) or "no store"
        raise UsageError(f"%%dicomsql: give the variable of the store that is meant; there is {known}")
    only: Store = names[next(iter(stores.values()))]
    return only


def _params(names: Mapping[str, Any], text: str | None) -> Mapping[str, Any] | None:
    if text is None:
        return None
    if text.isidentifier():
        params = names.get(text)
    else:
        try:
            params = json.loads(text)
        except ValueError:
            raise UsageError("%%dicomsql: --params takes a variable, or a JSON object in quotes") from None
    if not isinstance(params, Mapping):
        raise UsageError(f"%%dicomsql: --params takes a dict, and {text!a:.60} is none")
    return params
