"""``/healthz``: the process answers. ``/readyz``: it can do its work, and is not about to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dicomkit.engine.access import METHOD_ID
from dicomkit.server.gate import HEALTH

__all__ = ["Health"]

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Health:
    """A WSGI application with two paths more.

    Parameters
    ----------
    application
        Answers all the others.
    ready
        Whether it can.
    """

    def __init__(self, application: WsgiApp, ready: Callable[[], bool]) -> None:
        self._application = application
        self._ready = ready

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        path = environ["PATH_INFO"]
        if path not in HEALTH:
            return self._application(environ, start_response)
        environ[METHOD_ID] = path
        body, status = b"ok\n", "200 OK"
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            body, status = b"GET only\n", "405 Method Not Allowed"
        elif path == "/readyz" and not self._ready():
            body, status = b"not ready\n", "503 Service Unavailable"
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
        ]
        start_response(status, headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]
