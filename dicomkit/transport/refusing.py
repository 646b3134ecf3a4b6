"""A transport that sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter

from dicomkit.errors import PermissionDenied

__all__ = ["RefusingAdapter"]


class RefusingAdapter(BaseAdapter):
    """Refuses every request, so that a session of an embedded home never reaches a network.

    Parameters
    ----------
    reachable
        Origin that the session does reach; the message names it.
    """

    def __init__(self, reachable: str) -> None:
        super().__init__()
        self.reachable = reachable

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Raise ``PermissionDenied``: it is no kind of connection error, which clients would try again."""
        url = urlsplit(request.url or "")
        raise PermissionDenied(
            f"this session belongs to an embedded home and reaches {self.reachable} only, never a network; "
            f"refused: {request.method} {url.scheme}://{url.hostname}. "
            'For Google Cloud use dicomkit.connect("projects/P/locations/L/datasets/D")',
            method=request.method,
            url=f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}",
        )

    def close(self) -> None:
        """Nothing is held."""
