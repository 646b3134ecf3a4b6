"""How far the rows of a store are on their way to BigQuery: routes that only a dicomkit engine has."""

from __future__ import annotations

import pandas as pd

from dicomkit.client.connection import Connection
from dicomkit.errors import StreamLagWarning, Unimplemented, warn
from dicomkit.frames.columns import STREAMS
from dicomkit.frames.tables import table

__all__ = ["status", "wait"]

_NAMES = ("tableUri", "waiting", "delivered", "failed", "oldestWaitingTime", "lastError")
"""The fields of an answer, in the order of the columns."""


def wait(connection: Connection, store: str, wait_s: float) -> None:
    """Wait until what was acknowledged before is in its tables, at most *wait_s*; at Google's not at all.

    Parameters
    ----------
    store
        Path of the store below the API's base URL.

    Warns
    -----
    StreamLagWarning
        The time is over, and rows are still missing.
    """
    if connection.is_cloud:
        return
    answer = connection.own.json("POST", f"{store}:drainStreams", body={"timeoutSeconds": wait_s})
    late = [stream for stream in answer["streams"] if stream.get("waiting")]
    if late:
        rows = sum(int(stream["waiting"]) for stream in late)
        error = next((stream["lastError"] for stream in late if stream.get("lastError")), "none")
        warn(
            f"{rows} rows have not reached their table within {wait_s:g} s (last error: {error}); "
            "store.stream_status() tells more",
            StreamLagWarning,
        )


def status(connection: Connection, store: str) -> pd.DataFrame:
    """The streams of a store as a frame; see ``Store.stream_status``."""
    if connection.is_cloud:
        raise Unimplemented("Google's API does not tell the state of a stream; see Cloud Logging for its errors")
    streams = connection.own.json("GET", f"{store}:streamStatus")["streams"]
    cells = [[stream.get(name) for stream in streams] for name in _NAMES]
    return table(STREAMS, {column.name: cell for column, cell in zip(STREAMS, cells, strict=True)})
