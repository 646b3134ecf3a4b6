"""The three sessions of a client: embedded engine, dicomkit server, Google Cloud."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from dicomkit.errors import SetupError
from dicomkit.transport.engine_adapter import ORIGIN, EngineAdapter, WsgiApp
from dicomkit.transport.refusing import RefusingAdapter

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.auth.transport.requests import AuthorizedSession

__all__ = ["CLOUD_SCOPE", "default_credentials", "embedded_session", "google_session", "origin_of", "token_session"]

CLOUD_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
"""The scope that the Healthcare API and BigQuery both take."""

_PORTS = {"http": 80, "https": 443}


def embedded_session(app: WsgiApp) -> AuthorizedSession:
    """A session whose only reachable origin, ``ORIGIN``, is *app* in this process."""
    # google-auth's transport brings a cryptography library along, so it is loaded when a session is made.
    from google.auth.credentials import AnonymousCredentials
    from google.auth.transport.requests import AuthorizedSession, Request

    refresher = requests.Session()  # what google-auth would refresh a token with: it stays at home, too
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    session = AuthorizedSession(credentials, auth_request=Request(refresher))  # type: ignore[no-untyped-call]
    for each in (refresher, session):
        each.trust_env = False  # no proxy, no netrc: both cost time and could lead outside
        for scheme in ("http://", "https://"):
            each.mount(scheme, RefusingAdapter(ORIGIN))
    session.mount(f"{ORIGIN}/", EngineAdapter(app))
    return session


def token_session(origin: str, token: str | None) -> requests.Session:
    """A session for a dicomkit server, which sends *token* to *origin* and to no other."""
    session = requests.Session()
    session.auth = _OriginToken(origin_of(origin), token)
    if _is_loopback(urlsplit(origin).hostname or ""):
        session.trust_env = False  # a proxy for the outside has no business with this machine's own servers
    return session


def google_session(credentials: Credentials | None = None) -> AuthorizedSession:
    """A session for Google Cloud.

    Parameters
    ----------
    credentials
        Of google-auth; application default credentials when left out.

    Raises
    ------
    SetupError
        No credentials are found; the message says the command that makes them.
    """
    from google.auth.transport.requests import AuthorizedSession

    return AuthorizedSession(credentials or default_credentials())  # type: ignore[no-untyped-call]


def default_credentials() -> Credentials:
    """The application default credentials of Google Cloud.

    Raises
    ------
    SetupError
        There are none; the message says the command that makes them.
    """
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    try:
        credentials, _project = google.auth.default(scopes=[CLOUD_SCOPE])
    except DefaultCredentialsError as error:
        raise SetupError(
            "no Google credentials found: run `gcloud auth application-default login`, or let "
            "GOOGLE_APPLICATION_CREDENTIALS name a key file. To stay on this machine, connect to a folder instead"
        ) from error
    return credentials


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port, with the scheme's own port where none is written."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _OriginToken(AuthBase):
    """A bearer token for one origin. Its presence also keeps ``requests`` from reading a netrc file."""

    def __init__(self, origin: tuple[str, str, int], token: str | None) -> None:
        self._origin = origin
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token and origin_of(request.url or "") == self._origin:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def __repr__(self) -> str:
        return f"<bearer token for {self._origin[0]}://{self._origin[1]}:{self._origin[2]}>"

    def __getstate__(self) -> Any:
        raise TypeError("a token is not pickled")
