"""Requests that two servers could read in two ways, and requests that are too large."""

from __future__ import annotations

from tests.process import TOKEN

__all__ = ["HEAD", "REFUSED", "SMUGGLED"]

HEAD = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
"""Of a request that is let in."""

SMUGGLED = f"GET /smuggled HTTP/1.1\r\n{HEAD}\r\n"
"""Sent behind each of them."""

REFUSED: tuple[tuple[str, int], ...] = (
    (f"POST / HTTP/1.1\r\n{HEAD}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (f"POST / HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    (f"POST / HTTP/1.1\r\n{HEAD}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    (f"POST / HTTP/1.1\r\n{HEAD}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
    (f"POST / HTTP/1.1\r\n{HEAD}Content-Length: 3, 3\r\n\r\nabc", 400),
    (f"POST / HTTP/1.1\r\n{HEAD}Content-Length: -1\r\n\r\n", 400),
    (f"POST / HTTP/1.1\r\n{HEAD}Content-Length: +3\r\n\r\nabc", 400),
    (f"POST / HTTP/1.1\r\n{HEAD}Content-Length: 0x3\r\n\r\nabc", 400),
    (f"POST / HTTP/1.1\r\n{HEAD}Content-Length: \u0663\r\n\r\nabc", 400),
    (f"POST / HTTP/1.1\r\n{HEAD}Content-Length : 3\r\n\r\nabc", 400),
    (f"POST / HTTP/1.1\r\n{HEAD}Content-Length:\r\n 3\r\n\r\nabc", 400),
    (f"POST / HTTP/1.1\r\n{HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    (f"POST / HTTP/1.1\r\n{HEAD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    (f"POST / HTTP/1.1\r\n{HEAD}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    (f"POST / HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (f"POST / HTTP/1.0\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (f"POST / HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    (f"POST / HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n", 400),
    (f"GET / HTTP/1.1\r\n{HEAD}X: a\nY: b\r\n\r\n", 400),
    (f"GET / HTTP/1.1\r\n{HEAD}X: a\rY: b\r\n\r\n", 400),
    (f"GET / HTTP/1.1\r\n{HEAD}X: a\x00b\r\n\r\n", 400),
    (f"GET / HTTP/1.1\r\n{HEAD}Host: localhost\r\n\r\n", 400),
    (f"GET / HTTP/1.1\r\n{HEAD}Authorization: Bearer {TOKEN}\r\n\r\n", 400),
    (f"GET / HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n", 400),
    (f"GET http://evil.example/ HTTP/1.1\r\n{HEAD}\r\n", 400),
    (f"GET / HTTP/2.0\r\n{HEAD}\r\n", 400),
    (f"GET /\r\n{HEAD}\r\n", 400),
    (f"GET / x HTTP/1.1\r\n{HEAD}\r\n", 400),
    (f"get / HTTP/1.1\r\n{HEAD}\r\n", 400),
    ("\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
    (f"GET / HTTP/1.1\r\n{HEAD}" + "".join(f"X{i}: y\r\n" for i in range(2_000)) + "\r\n", 431),
    (f"GET / HTTP/1.1\r\n{HEAD}X: {'y' * (128 << 10)}\r\n\r\n", 431),
    (f"GET /{'x' * (20 << 10)} HTTP/1.1\r\n{HEAD}\r\n", 431),
    (f"POST / HTTP/1.1\r\n{HEAD}Content-Length: 4294967290\r\n\r\n", 413),
    (f"POST / HTTP/1.1\r\n{HEAD}Content-Length: {'9' * 400}\r\n\r\n", 413),
)
"""What is sent, and the status that it gets."""
