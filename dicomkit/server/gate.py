"""Who is let in: decided by the head of a request, before a byte of its body is read.

- The host must be one of this server's: a page whose name was made to lead here (DNS rebinding) brings its own.
- A page of another origin is refused unless it was allowed by name; then it gets the answers of CORS.
- The token must stand for somebody. ``/healthz`` and ``/readyz`` need none.
- A body may be large only where instances or tables are uploaded.

Source: RFC 9110 (sections 7.2, 11.6.1, 15.5), RFC 6750 (bearer tokens), the Fetch standard (CORS protocol).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import orjson

from dicomkit.engine.access import Caller
from dicomkit.errors import (
    ApiError,
    InvalidArgument,
    PayloadTooLarge,
    PermissionDenied,
    Unauthenticated,
    to_body,
)

__all__ = ["HEALTH", "Admitted", "Early", "Gate", "Hosts", "check_origin"]

HEALTH = ("/healthz", "/readyz")
"""Paths that need no token."""

MAX_BODY_BYTES = 11 << 20
"""Largest body of a request that uploads nothing: above what the engine takes, so that its own answer is seen."""

MAX_UPLOAD_BYTES = 1 << 50
"""Largest body of an upload: more than any disk has."""

NOBODY = Caller("nobody")
"""The caller of a path that needs no token."""

_UPLOAD = re.compile(r"(?:/v1(?:beta1)?/.*/dicomWeb/studies(?:/[^/]*)?|/upload/.*)")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(?::[0-9]{1,5})?")
_ORIGIN = re.compile(r"https?://(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(?::[0-9]{1,5})?")
_VERBS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_REQUEST_HEADERS = "Accept, Authorization, Content-Type, If-Match, If-None-Match, If-Range, Range, Storage-Class"
_ANSWER_HEADERS = "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Link, Location, Warning"
_PREFLIGHT_S = 600

Headers = list[tuple[str, str]]


class Early(Exception):
    """An answer that is given before the application is asked; has the form of an error of waitress."""

    def __init__(self, status: str, headers: Headers, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.body = body

    @classmethod
    def of(cls, error: ApiError, headers: Iterable[tuple[str, str]] = ()) -> Early:
        """Google's error body for *error*."""
        body = orjson.dumps(to_body(error), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        kind = [("Content-Type", "application/json; charset=UTF-8"), ("X-Content-Type-Options", "nosniff")]
        return cls(f"{error.status} {HTTPStatus(error.status).phrase}", [*kind, *headers], body)

    def to_response(self, ident: str | None = None) -> tuple[str, Headers, bytes]:  # noqa: ARG002, RUF100
        """What waitress asks an error for."""
        return self.status, list(self.headers), self.body


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may be read."""

    caller: Caller
    headers: Headers
    """What is to be added to its answer."""
    max_body_bytes: int


class Hosts:
    """The names by which a server may be called.

    Parameters
    ----------
    bound
        What it listens on: an address, or ``localhost``.
    names
        Further names, as of a proxy in front of it.
    """

    def __init__(self, bound: str, names: Iterable[str] = ()) -> None:
        self._bound = _address(bound)
        self._names = {"localhost", bound.lower(), *(name.lower().rstrip(".") for name in names)}
        self.is_loopback = self._bound.is_loopback if self._bound is not None else bound.lower() == "localhost"
        """Whether nobody outside this machine can reach the server."""

    def __contains__(self, host: object) -> bool:
        """Whether the header ``Host`` names this server. The port may be that of a tunnel, and says nothing."""
        match = _HOST.fullmatch(host) if isinstance(host, str) else None
        if match is None:
            return False
        name = match[1].lower().rstrip(".")
        if name in self._names:
            return True
        # An address cannot be made to lead elsewhere; that it is one of the machine's is what binding it means.
        address = _address(name.strip("[]"))
        if address is None:
            return False
        if address.is_loopback:
            return self.is_loopback or (self._bound is not None and self._bound.is_unspecified)
        return self._bound is not None and (self._bound.is_unspecified or address == self._bound)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def check_origin(origin: str) -> str:
    """Return *origin* if it is one, else raise ``InvalidArgument``."""
    if not _ORIGIN.fullmatch(origin):
        raise InvalidArgument(
            f"{origin!r:.80} is no origin; write scheme, host and port of the page, as http://localhost:3000, "
            "without a slash at the end; * is not taken"
        )
    return origin.lower()


class Gate:
    """Admits requests, or answers them itself.

    Parameters
    ----------
    authenticate
        Who has a token, which is empty where none was sent; ``None`` for nobody.
    hosts
        The names of the server.
    origins
        Pages of these may use it from a browser.
    """

    def __init__(
        self, authenticate: Callable[[str], Caller | None], *, hosts: Hosts, origins: Collection[str] = ()
    ) -> None:
        self._authenticate = authenticate
        self._hosts = hosts
        self._origins = frozenset(check_origin(origin) for origin in origins)

    def admit(self, verb: str, path: str, authority: str, headers: Mapping[str, str]) -> Admitted:
        """Let a request in, or raise ``Early`` with the answer to it.

        Parameters
        ----------
        authority
            Host and port of a target in absolute form (``GET http://host/ HTTP/1.1``), else empty.
        headers
            By the names of CGI, without ``HTTP_``.
        """
        host = headers.get("HOST", "")
        if host not in self._hosts or (authority and authority not in self._hosts):
            raise Early.of(
                InvalidArgument(
                    "the header Host names another server; call this one by its address, or start it with --allow-host"
                )
            )
        origin = headers.get("ORIGIN")
        cors = self._cors(origin, host)
        if verb == "OPTIONS" and cors and "ACCESS_CONTROL_REQUEST_METHOD" in headers:
            raise Early("204 No Content", [*cors, *_preflight(headers)], b"")
        if path in HEALTH:
            return Admitted(NOBODY, cors, 0)
        caller = self._caller(headers.get("AUTHORIZATION"), cors)
        return Admitted(caller, cors, MAX_UPLOAD_BYTES if _is_upload(verb, path) else MAX_BODY_BYTES)

    def _cors(self, origin: str | None, host: str) -> Headers:
        """Headers for the page that asks; none for one of the server's own, or for what is no page."""
        if origin is None or origin.lower() == f"http://{host.lower()}":
            return []
        if origin.lower() not in self._origins:
            raise Early.of(
                PermissionDenied("pages of another origin are refused; start the server with --allow-origin ORIGIN")
            )
        return [
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Expose-Headers", _ANSWER_HEADERS),
            ("Vary", "Origin"),
        ]

    def _caller(self, authorization: str | None, cors: Headers) -> Caller:
        scheme, _, token = (authorization or "").partition(" ")
        caller = self._authenticate(token.strip(" ") if scheme.lower() == "bearer" else "")
        if caller is not None:
            return caller
        challenge = 'Bearer realm="dicomkit"'
        if authorization is not None:
            challenge += ', error="invalid_token"'
        raise Early.of(
            Unauthenticated(
                "Request had invalid authentication credentials. Expected a token of this server, as "
                "'Authorization: Bearer TOKEN'; dicomkit serve prints it, or was given it."
            ),
            [("WWW-Authenticate", challenge), *cors],
        )


def _is_upload(verb: str, path: str) -> bool:
    return verb in ("POST", "PUT") and _UPLOAD.fullmatch(path) is not None


def _preflight(headers: Mapping[str, str]) -> Headers:
    answer = [
        ("Access-Control-Allow-Methods", _VERBS),
        ("Access-Control-Allow-Headers", _REQUEST_HEADERS),
        ("Access-Control-Max-Age", str(_PREFLIGHT_S)),
    ]
    if headers.get("ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK") == "true":
        answer.append(("Access-Control-Allow-Private-Network", "true"))
    return answer


def too_large(limit: int) -> Early:
    """The answer to a body above *limit*."""
    return Early.of(PayloadTooLarge(f"the body is larger than {limit >> 20} MiB"))
