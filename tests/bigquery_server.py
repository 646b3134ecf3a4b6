"""A BigQuery on a loopback port, for Google's unmodified client, that fails as it is told.

The answers are those of the product's own server in front of another home; what this one adds stands in between:
quotas, errors of the service, connections that are reset before or after rows were accepted, answers that do not come.
Source: BigQuery REST v2, ``tabledata.insertAll``; BigQuery documentation, "Error messages".
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dicomkit.engine import Engine
from tests.conftest import served


@dataclass(frozen=True)
class Refusal:
    """An answer of the service, in BigQuery's shape."""

    status: int
    reason: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The error's JSON."""
        message = "canary: said by the service"
        item = {"message": message, "domain": "global", "reason": self.reason}
        return json.dumps({"error": {"code": self.status, "message": message, "errors": [item]}}).encode()


RATE = Refusal(403, "rateLimitExceeded")
QUOTA = Refusal(403, "quotaExceeded")
TOO_MANY = Refusal(429, "rateLimitExceeded")
INTERNAL = Refusal(500, "internalError")
BUSY = Refusal(503, "backendError")
DENIED = Refusal(403, "accessDenied")
TOO_LARGE = Refusal(413, "uploadTooLarge")
RESET = "reset before the rows were taken"
RESET_AFTER = "reset after the rows were taken"
HANG = "no answer"
NO_JSON = "an answer that is no JSON"

Fault = Refusal | str | dict[str, Any] | None
"""A refusal, one of the texts above, the JSON of an answer in place of the real one, or nothing wrong."""


@dataclass
class Insert:
    """An insertAll request."""

    number: int
    """From 1."""
    table: str
    rows: list[dict[str, Any]]

    @property
    def uids(self) -> list[str]:
        """Of the instances in it."""
        return [row["json"]["SOPInstanceUID"] for row in self.rows]


class Server:
    """The endpoint.

    Attributes
    ----------
    fault
        Called with each insertAll request: what goes wrong with it.
    other_fault
        Called with verb and path of every other request.
    inserts
        Every insertAll request.
    engine
        Whose tables the rows get into.
    """

    def __init__(self, engine: Engine, upstream: str) -> None:
        self.engine = engine
        self.inserts: list[Insert] = []
        self.requests: list[tuple[str, str]] = []
        self.fault: Callable[[Insert], Fault] = lambda insert: None
        self.other_fault: Callable[[str, str], Fault] = lambda verb, path: None
        self.released = threading.Event()
        self._lock = threading.Lock()
        parts = urlsplit(upstream)
        self._upstream = parts.hostname or "", parts.port or 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def _any(self) -> None:
                outer._answer(self)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _any

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        path = handler.path
        if path.partition("?")[0].endswith("/insertAll"):
            with self._lock:
                table = path.partition("/insertAll")[0].rpartition("/")[2]
                insert = Insert(len(self.inserts) + 1, table, json.loads(body)["rows"])
                self.inserts.append(insert)
            fault = self.fault(insert)
        else:
            with self._lock:
                self.requests.append((handler.command, path.partition("?")[0]))
            fault = self.other_fault(handler.command, path)
        if isinstance(fault, Refusal):
            _send(handler, fault.status, fault.body, fault.headers)
        elif isinstance(fault, dict):
            _send(handler, 200, json.dumps(fault).encode(), {})
        elif fault == NO_JSON:
            _send(handler, 200, b"<html>", {})
        elif fault == HANG:
            self.released.wait(60)
            _reset(handler)
        elif fault == RESET:
            _reset(handler)
        else:
            status, answer = self._forward(handler, body)
            if fault == RESET_AFTER:
                _reset(handler)
            else:
                _send(handler, status, answer, {})

    def _forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        names = ("Content-Type", "If-Match")
        headers = {name: handler.headers[name] for name in names if name in handler.headers}
        connection = HTTPConnection(*self._upstream, timeout=60)
        try:
            connection.request(handler.command, handler.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def close(self) -> None:
        """Let everybody go, and end."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def _reset(handler: BaseHTTPRequestHandler) -> None:
    """End the connection with RST, which nobody can take for an answer."""
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(handler.connection.detach())


@contextmanager
def running(home: Path) -> Iterator[Server]:
    """The endpoint, over a home of its own."""
    with Engine(home) as engine, served(engine) as origin:
        server = Server(engine, origin)
        try:
            yield server
        finally:
            server.close()
