"""What an operation could not do, as a frame: from a dicomkit engine's own route, or from Cloud Logging.

Source: Cloud Healthcare API v1, "View error logs in Cloud Logging" (``ImportDicomLogEntry`` and the like); Cloud
Logging API v2, ``entries.list`` and its query language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from dicomkit.client.connection import Connection
from dicomkit.client.rest import quote_path
from dicomkit.errors import PartialResultsWarning, warn
from dicomkit.frames.columns import OPERATION_ERRORS
from dicomkit.frames.tables import table
from dicomkit.resources.operation import RPC_CODES

__all__ = ["errors_of"]

LOG_PAGE = 1000
"""Entries of one request, the most that Cloud Logging gives."""

_NAMES: dict[Any, str] = {number: name for name, number in RPC_CODES.items()}
_MOMENT = re.compile(r"[0-9T:.Z+-]{1,64}", re.ASCII)


def errors_of(connection: Connection, name: str, since: str) -> pd.DataFrame:
    """The failures of an operation, in the order they were met; see ``Operation.errors``.

    Parameters
    ----------
    name
        Resource name of the operation, checked.
    since
        When it began, RFC 3339; empty where that is not known.
    """
    found = list(_logged(connection, name, since) if connection.is_cloud else _kept(connection, name))
    statuses = [status if isinstance(status, Mapping) else {} for _, status in found]
    return table(
        OPERATION_ERRORS,
        {
            "source": [source if isinstance(source, str) else None for source, _ in found],
            "reason": [text if isinstance(text := status.get("message"), str) else None for status in statuses],
            "code": [_NAMES.get(status.get("code"), "UNKNOWN") for status in statuses],
        },
    )


def _kept(connection: Connection, name: str) -> Iterator[tuple[Any, Any]]:
    after = 0
    while True:
        answer = connection.own.json("GET", f"{quote_path(name)}:errors", params={"after": str(after)}) or {}
        errors = answer.get("errors", ())
        if not errors:
            return
        for error in errors:
            yield error.get("source"), error.get("error")
        after = errors[-1]["key"]


def _logged(connection: Connection, name: str, since: str) -> Iterator[tuple[Any, Any]]:
    conditions = [f'operation.id="{name}"', "severity>=ERROR"]
    if _MOMENT.fullmatch(since):
        conditions.append(f'timestamp>="{since}"')  # without a time, Cloud Logging looks through all it keeps
    body: dict[str, Any] = {
        "resourceNames": ["/".join(name.split("/")[:2])],
        "filter": " AND ".join(conditions),
        "orderBy": "timestamp asc",
        "pageSize": LOG_PAGE,
    }
    seen: set[str] = set()
    while True:
        answer = connection.logging.json("POST", "entries:list", body=body, is_repeatable=True) or {}
        for entry in answer.get("entries", ()):
            payload = entry.get("jsonPayload")
            # Entries without an error tell how far the operation is.
            if isinstance(payload, Mapping) and "error" in payload:
                yield payload.get("source"), payload["error"]
        token = answer.get("nextPageToken")
        if not token:
            return
        if token in seen:
            warn("the errors are not complete: the server gives the same page token again", PartialResultsWarning)
            return
        seen.add(token)
        body["pageToken"] = token
