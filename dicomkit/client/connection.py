"""What a dataset and its stores share: the session, and where it leads."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import requests

from dicomkit.client.rest import Rest

__all__ = ["CLOUD_URL", "Connection"]

CLOUD_URL = "https://healthcare.googleapis.com/v1"
"""Base URL of the Cloud Healthcare API."""

LOGGING_URL = "https://logging.googleapis.com/v2"
"""Base URL of Cloud Logging."""

PROJECTS_URL = "https://cloudresourcemanager.googleapis.com/v1"
"""Base URL of the Resource Manager, which knows projects and who may do what in them."""


class Connection:
    """A session with one server.

    Parameters
    ----------
    session
        Carries the requests and the credentials.
    base_url
        ``{origin}/v1``.
    bigquery_endpoint
        Origin of the BigQuery that belongs to the server; ``None`` for Google's own.
    place
        What a person calls the server: a folder, a host.
    searches_as_google
        Whether searches are refused as Google refuses them, by an engine with ``mode="google"``; for Google's own
        server it is so anyhow.
    on_close
        Called once, by :meth:`close`, or when nothing refers to the connection any more, or at exit.
    """

    def __init__(
        self,
        session: requests.Session,
        *,
        base_url: str,
        bigquery_endpoint: str | None,
        place: str,
        searches_as_google: bool = False,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.session = session
        self.rest = Rest(session, base_url)
        self.own = Rest(session, f"{base_url.removesuffix('/v1')}/dicomkit/v1")
        """Requests to the routes that only a dicomkit engine has."""
        self.logging = Rest(session, LOGGING_URL)
        """Requests to Cloud Logging, where Google's server writes what a dicomkit engine has routes for."""
        self.projects = Rest(session, PROJECTS_URL)
        """Requests to the Resource Manager; of use for Google's server only."""
        self.bigquery_endpoint = bigquery_endpoint
        self.place = place
        self.searches_as_google = searches_as_google or self.is_cloud
        self._finalizer = weakref.finalize(self, _close, session, on_close)

    @property
    def is_cloud(self) -> bool:
        """Whether the server is Google's, which has none of dicomkit's own routes."""
        return self.bigquery_endpoint is None

    @property
    def is_closed(self) -> bool:
        """Whether the connection was closed."""
        return not self._finalizer.alive

    def close(self) -> None:
        """Close the session, and the engine behind it where it runs in this process."""
        self.rest.is_closed = self.own.is_closed = self.logging.is_closed = self.projects.is_closed = True
        self._finalizer()


def _close(session: requests.Session, on_close: Callable[[], None] | None) -> None:
    session.close()
    if on_close is not None:
        on_close()
