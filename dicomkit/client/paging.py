"""Lists that the API gives page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dicomkit.client.rest import Rest
from dicomkit.errors import PartialResultsWarning, warn

__all__ = ["PAGE_SIZE", "resources"]

PAGE_SIZE = 1000
"""Resources of one request, the most that the API gives."""


def resources(rest: Rest, path: str, field: str, params: Mapping[str, str] | None = None) -> Iterator[Any]:
    """The JSON of every resource of a list, each page when it is asked for.

    Parameters
    ----------
    path
        Of the list, below the API's base URL.
    field
        Name of the list in an answer.
    params
        What else is asked, the same on each page.

    Warns
    -----
    PartialResultsWarning
        The server does not go on.
    """
    seen: set[str] = set()
    asked = {"pageSize": str(PAGE_SIZE), **(params or {})}
    while True:
        page = rest.json("GET", path, params=asked) or {}
        yield from page.get(field, ())
        token = page.get("nextPageToken")
        if not token:
            return
        if token in seen:
            warn(
                f"the list of {field} is not complete: the server gives the same page token again",
                PartialResultsWarning,
            )
            return
        seen.add(token)
        asked["pageToken"] = token
