"""What commands do with an operation: wait for it, or leave it to itself; its row is what they print."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import typer

from dicomkit.commands.group import FAILED, INTERRUPTED, fail
from dicomkit.errors import OperationError, PartialResultsWarning

if TYPE_CHECKING:
    import pandas as pd

    from dicomkit.client.operation import Operation

__all__ = ["finish", "row_of", "waited"]


def row_of(operation: Operation) -> pd.DataFrame:
    """The operation as one row, as ``dicomkit operations list`` has it."""
    from dicomkit.client.operations import operations_frame

    return operations_frame([operation.resource.to_api()])


def waited(operation: Operation) -> typer.Exit | None:
    """Wait until it has ended; gives what is to be raised where not all of it was done."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PartialResultsWarning)  # said below, in the words of the command line
            operation.result()
    except KeyboardInterrupt:
        return fail(
            f"stopped waiting; the operation goes on: `dicomkit operations show {operation.id}` says how far it is, "
            f"`dicomkit operations cancel {operation.id}` stops it",
            INTERRUPTED,
        )
    except OperationError:
        error = operation.resource.failure()
        return fail(f"{operation.method}: {error}; {_remedy(operation)}")
    failed = operation.counters["failure"]
    if failed:
        return fail(f"{operation.method}: {failed} could not be done; {_remedy(operation)}", FAILED)
    return None


def finish(operation: Operation, *, wait: bool) -> tuple[pd.DataFrame, typer.Exit | None]:
    """The row to print and how to end; with *wait* when it has ended, else at once."""
    end = waited(operation) if wait else None
    return row_of(operation), end


def _remedy(operation: Operation) -> str:
    return f"`dicomkit operations errors {operation.id}` says why"
