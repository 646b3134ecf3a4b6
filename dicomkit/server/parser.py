"""A request as it arrives: waitress reads it, what it must not have is refused, and the gate decides.

What two servers in a row could read in two ways (request smuggling, RFC 9112 section 11.2) is never guessed at: a body
with two lengths, a header that goes on in the next line, a header twice that may be there once.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from waitress.buffers import OverflowableBuffer, TempfileBasedBuffer
from waitress.parser import HTTPRequestParser, ParsingError

from dicomkit.errors import ApiError, ResourceExhausted, Unimplemented
from dicomkit.server.gate import Admitted, Early, Gate, too_large

__all__ = ["MAX_HEADERS", "MAX_HEADER_BYTES", "MAX_TARGET_BYTES", "Parser"]

MAX_HEADER_BYTES = 64 << 10
"""Largest head of a request."""

MAX_HEADERS = 100
"""Most headers of a request."""

MAX_TARGET_BYTES = 16 << 10
"""Longest path and query."""

MEMORY_BYTES = 256 << 10
"""How much of a body is kept in memory; what is larger goes to a file of its own."""

_ONCE = (b"content-length", b"transfer-encoding", b"host", b"authorization", b"origin", b"content-type")


class Parser(HTTPRequestParser):
    """One request of a connection.

    Parameters
    ----------
    gate
        Decides by the head whether the body is read.
    spool
        Folder for bodies that are larger than memory.
    adj
        What waitress wants.

    Attributes
    ----------
    began
        When its first byte came.
    admitted
        What the gate said; ``None`` before, and when it refused.
    """

    def __init__(self, gate: Gate, spool: Path, adj: Any) -> None:
        super().__init__(adj)
        self.began = time.time()
        self.admitted: Admitted | None = None
        self._gate = gate
        self._spool = spool

    def received(self, data: bytes) -> int:
        """Take bytes of the request; returns how many of them are its own."""
        try:
            used: int = super().received(data)
        except OSError:
            used = len(data)
            self._refuse(Early.of(ResourceExhausted("the disk is full; free some space and send the request again")))
        if self.error is not None:
            if not isinstance(self.error, Early):
                self._refuse(_early(self.error.code))
        elif self.admitted is not None:
            most = self.admitted.max_body_bytes
            if self.content_length > most or self.body_bytes_received > most:
                self._refuse(too_large(most))
        return used

    def parse_header(self, header_plus: bytes) -> None:
        """Read the head, and ask the gate."""
        if self.header_bytes_received >= MAX_HEADER_BYTES:
            # waitress has given up and parses a line of its own, for the answer's sake.
            super().parse_header(header_plus)
            return
        try:
            _check(header_plus)
        except Early as early:
            self._refuse(early)
            return
        super().parse_header(header_plus)
        if self.version not in ("1.0", "1.1"):
            raise ParsingError("the version of HTTP is none that is spoken here")
        if self.body_rcv is not None:
            self.body_rcv.buf = _Spool(self._spool)
        try:
            self.admitted = self._gate.admit(self.command, self.path, self.proxy_netloc, self.headers)
        except Early as early:
            self._refuse(early)

    def _refuse(self, early: Early) -> None:
        self.error = early
        self.completed = True
        self.expect_continue = False


def _check(head: bytes) -> None:
    """Raise for a head that is not to be understood in two ways, or that is too large."""
    lines = head.split(b"\r\n")
    if len(lines[0]) > MAX_TARGET_BYTES or len(lines) > MAX_HEADERS + 3:
        raise _early(431)
    names = [line.partition(b":")[0].lower() for line in lines[1:] if line]
    if any(name[:1] in (b" ", b"\t") or name[-1:] in (b" ", b"\t") for name in names):
        raise ParsingError("a header goes on in the next line, or has a blank before its colon")
    if any(names.count(name) > 1 for name in _ONCE):
        raise ParsingError("a header is there twice")
    if b"transfer-encoding" in names and (b"content-length" in names or lines[0].endswith(b"HTTP/1.0")):
        raise ParsingError("the body has two lengths")
    if any(byte < 0x20 and byte != 0x09 for line in lines for byte in line) or b"\x7f" in head:
        raise ParsingError("control characters in the head")


_ANSWERS: dict[int, ApiError] = {
    413: ApiError("the body is too large", status=413, code="INVALID_ARGUMENT"),
    431: ApiError(
        f"the head has more than {MAX_HEADERS} headers, a target of more than {MAX_TARGET_BYTES >> 10} KiB, or more "
        f"than {MAX_HEADER_BYTES >> 10} KiB in all",
        status=431,
        code="INVALID_ARGUMENT",
    ),
    501: Unimplemented("the Transfer-Encoding is not known here; send the body chunked, or with a Content-Length"),
}


def _early(status: int) -> Early:
    """The answer in place of waitress's, whose text can hold what was sent."""
    bad = ApiError("the request is no HTTP that can be read in one way only", status=400, code="INVALID_ARGUMENT")
    return Early.of(_ANSWERS.get(status, bad))


class _File(TempfileBasedBuffer):
    """A body in a file without a name, on the disk that the body will be stored on."""

    def __init__(self, folder: Path, from_buffer: Any) -> None:
        self._folder = folder
        super().__init__(from_buffer)

    def newfile(self) -> IO[bytes]:
        """An empty file that nobody else can open."""
        return TemporaryFile("w+b", dir=self._folder)


class _Spool(OverflowableBuffer):
    """The body of a request: in memory while it is small."""

    def __init__(self, folder: Path) -> None:
        super().__init__(MEMORY_BYTES)
        self.buf: Any = None
        self._folder = folder

    def _set_large_buffer(self) -> None:
        small: Any = self.buf
        self.buf = _File(self._folder, small)
        if hasattr(small, "close"):
            small.close()
        self.overflowed = True
