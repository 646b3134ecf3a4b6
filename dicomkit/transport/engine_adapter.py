"""A ``requests`` transport that calls a WSGI application in this process: no socket, no thread.

Source: PEP 3333 (WSGI); ``requests.adapters.BaseAdapter``.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import ProtocolError

from dicomkit.errors import FailedPrecondition

__all__ = ["ORIGIN", "EngineAdapter", "WsgiApp"]

ORIGIN = "http://dicomkit.invalid"
"""Origin of the embedded engine; the top-level domain ``invalid`` never resolves (RFC 2606)."""

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class EngineAdapter(BaseAdapter):
    """Sends every request to *app*, in the caller's thread.

    Bodies stream both ways: a generator or a file is read when the application reads, and the application's iterable
    is consumed when the caller reads. Timeouts have no meaning here and are ignored. What the application raises
    becomes ``requests.ConnectionError``, as if a server had dropped the connection.
    """

    def __init__(self, app: WsgiApp) -> None:
        super().__init__()
        self.app = app
        self.is_closed = False

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Call the application once, and give back its response."""
        if self.is_closed:  # no connection error, which clients would try again
            raise FailedPrecondition("the connection is closed; call dicomkit.connect again")
        answer = _Answer()
        try:
            body = _ResponseBody(self.app(_environ(request), answer.start_response), answer)
            body.start()
        except Exception as error:
            raise requests.ConnectionError(f"the engine failed with {type(error).__name__}", request=request) from error
        if request.method == "HEAD":
            body.close()
        raw = HTTPResponse(
            body=body,
            headers=answer.headers,
            status=answer.status,
            reason=answer.reason,
            version=11,
            preload_content=False,
            decode_content=False,
            request_method=request.method,
        )
        response = requests.Response()
        response.status_code = raw.status
        response.reason = raw.reason or ""
        response.headers = CaseInsensitiveDict(raw.headers)
        response.encoding = get_encoding_from_headers(response.headers)
        response.raw = raw
        response.url = request.url or ""
        response.request = request
        if not stream:
            _ = response.content  # read to its end, as every requests adapter does
        return response

    def close(self) -> None:
        """Take no more requests; the application is closed by its owner, and others may still use it."""
        self.is_closed = True


class _Answer:
    """What the application says through ``start_response``."""

    def __init__(self) -> None:
        self.status = 0
        self.reason = ""
        self.headers = HTTPHeaderDict()
        self.written: list[bytes] = []

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        if self.status and exc_info is None:
            raise RuntimeError("start_response was called twice without exc_info (PEP 3333)")
        code, _, self.reason = status.partition(" ")
        self.status = int(code)
        self.headers = HTTPHeaderDict()
        for name, value in headers:
            self.headers.add(name, value)
        return self.written.append


class _ResponseBody(io.RawIOBase):
    """The application's iterable as a file; closing it closes the iterable."""

    def __init__(self, chunks: Iterable[bytes], answer: _Answer) -> None:
        super().__init__()
        self._iterable = chunks
        self._chunks: Iterator[bytes] = iter(chunks)
        self._answer = answer
        self._pending = b""

    def start(self) -> None:
        """Fetch the first chunk: an application may call ``start_response`` as late as that."""
        try:
            if not self._answer.status:
                self._pending = self._next()
            if not self._answer.status:
                raise RuntimeError("the application did not call start_response (PEP 3333)")
        except BaseException:
            self.close()
            raise
        if self._answer.written:
            self._pending = b"".join(self._answer.written) + self._pending

    def _next(self) -> bytes:
        """The next chunk that is not empty; empty at the end."""
        for chunk in self._chunks:
            if chunk or not self._answer.status:
                return chunk
        return b""

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """At most *size* bytes, at least one of them before the end; all that is left when *size* is negative."""
        if self.closed:
            return b""
        try:
            if size is None or size < 0:
                rest = b"".join([self._pending, *self._chunks])
                self._pending = b""
                self.close()
                return rest
            if not self._pending:
                self._pending = self._next()
        except Exception as error:
            self.close()
            raise ProtocolError(f"the engine failed with {type(error).__name__} in its answer", error) from error
        if len(self._pending) <= size:
            piece, self._pending = self._pending, b""
        else:
            piece, self._pending = self._pending[:size], self._pending[size:]
        if not piece and size:
            self.close()
        return piece

    def readinto(self, buffer: Any) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            super().close()
            close = getattr(self._iterable, "close", None)
            if close is not None:
                close()


class _RequestBody(io.RawIOBase):
    """An iterable of bytes as ``wsgi.input``."""

    def __init__(self, chunks: Iterable[bytes | str]) -> None:
        super().__init__()
        self._chunks = iter(chunks)
        self._pending = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._pending:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._pending = memoryview(chunk.encode() if isinstance(chunk, str) else chunk).cast("B")
        size = min(len(buffer), len(self._pending))
        buffer[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        return size


def _input(body: Any) -> Any:
    if body is None:
        return io.BytesIO()
    if isinstance(body, str):
        return io.BytesIO(body.encode())
    if isinstance(body, bytes | bytearray):
        return io.BytesIO(body)
    if hasattr(body, "read"):
        return body
    return io.BufferedReader(_RequestBody(body), buffer_size=1 << 18)


def _environ(request: requests.PreparedRequest) -> dict[str, Any]:
    url = urlsplit(request.url or "")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method or "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(url.path).decode("latin-1"),
        "QUERY_STRING": url.query,
        "REQUEST_URI": f"{url.path}?{url.query}" if url.query else url.path,
        "SERVER_NAME": url.hostname or "",
        "SERVER_PORT": str(url.port or (443 if url.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": url.netloc.rpartition("@")[2],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": _input(request.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = text
    return environ
