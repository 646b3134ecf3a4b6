"""How far the rows of a store are on their way to BigQuery: routes that only a dicomkit engine has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dicomkit.client.connection import Connection
from dicomkit.client.paging import resources
from dicomkit.errors import InvalidArgument, StreamLagWarning, Unimplemented, warn
from dicomkit.frames.columns import STREAM_ERRORS, STREAMS, Column
from dicomkit.frames.tables import table

__all__ = ["Streams", "wait"]

_STATUS_NAMES = (
    *("tableUri", "waiting", "delivered", "failed", "oldestWaitingTime", "lastError", "place", "active", "state"),
    *("lagSeconds", "lastDeliveredTime", "attempts", "nextAttemptTime"),
)
_ERROR_NAMES = (
    *("id", "tableUri", "studyInstanceUid", "seriesInstanceUid", "sopInstanceUid", "reason", "time", "attempts"),
    *("sizeBytes", "canRetry"),
)
"""The fields of an answer, in the order of the columns."""

_IDS = 1_000
"""Most ids of a request."""


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


class Streams:
    """What a store tells of its streams, and what can be done about rows that no table has taken."""

    _connection: Connection
    _path: str

    def stream_status(self) -> pd.DataFrame:
        """How far the streams to BigQuery are, one row per table, columns ``frames.STREAMS``.

        A stream that was taken out of the store's configuration is listed while rows wait for it or are set aside.

        Raises
        ------
        Unimplemented
            The server is Google's, which tells nothing of it through this API.
        """
        streams = self._own("GET", "streamStatus")["streams"]
        return _frame(STREAMS, _STATUS_NAMES, streams)

    def stream_errors(self) -> pd.DataFrame:
        """The rows that no table has taken, and why: one row each, the oldest first, columns ``frames.STREAM_ERRORS``.

        They are kept until they are sent again or given up. A row above the limit of streaming is listed, too; an
        export brings it into a table (:meth:`export`).

        Raises
        ------
        Unimplemented
            The server is Google's, which writes such errors to Cloud Logging.
        """
        self._refuse_cloud()
        return _frame(
            STREAM_ERRORS, _ERROR_NAMES, list(resources(self._connection.own, f"{self._path}:streamErrors", "errors"))
        )

    def retry_stream_errors(self, errors: pd.DataFrame | None = None) -> int:
        """Send rows again that were set aside, when what refused them is mended.

        Parameters
        ----------
        errors
            Rows of :meth:`stream_errors`; all when it is left out. Those with ``can_retry`` false stay as they are.

        Returns
        -------
        How many rows are on their way; :meth:`stream_status` tells how far.

        Raises
        ------
        Unimplemented
            The server is Google's.
        """
        if errors is None:
            return int(self._own("POST", "retryStreamErrors", {})["rows"])
        return self._each("retryStreamErrors", errors)

    def drop_stream_errors(self, errors: pd.DataFrame) -> int:
        """Give up rows that were set aside. The instances stay in the store; the table will lack them.

        Parameters
        ----------
        errors
            Rows of :meth:`stream_errors`.

        Returns
        -------
        How many rows were given up.

        Raises
        ------
        Unimplemented
            The server is Google's.
        """
        return self._each("dropStreamErrors", errors)

    def _each(self, verb: str, errors: pd.DataFrame) -> int:
        if "id" not in errors.columns:
            raise InvalidArgument("errors must be rows of store.stream_errors(), with their column 'id'")
        ids = [str(value) for value in errors["id"]]
        portions = [ids[start : start + _IDS] for start in range(0, len(ids), _IDS)]
        return sum(int(self._own("POST", verb, {"ids": portion})["rows"]) for portion in portions)

    def _own(self, method: str, verb: str, body: dict[str, Any] | None = None) -> Any:
        self._refuse_cloud()
        return self._connection.own.json(method, f"{self._path}:{verb}", body=body)

    def _refuse_cloud(self) -> None:
        if self._connection.is_cloud:
            raise Unimplemented("Google's API does not tell the state of a stream; see Cloud Logging for its errors")


def _frame(columns: Sequence[Column], names: Sequence[str], items: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    cells = {column.name: [item.get(name) for item in items] for column, name in zip(columns, names, strict=True)}
    return table(columns, cells)
