"""The HTTP server by raw sockets: what it refuses to read, how long it waits, and how it ends."""

from __future__ import annotations

import http.client
import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from dicomkit.engine.access import CALLER, METHOD_ID, OWNER
from dicomkit.server import Gate, Server
from dicomkit.server import channel as channel_module
from tests.conftest import LOOPBACK, served
from tests.process import TOKEN
from tests.unit.server.raw_requests import HEAD, REFUSED, SMUGGLED

UPLOAD = "/v1/projects/p/locations/l/datasets/d/dicomStores/s/dicomWeb/studies"


class App:
    """Answers with the length of the body, and remembers who called."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.answer: Callable[[], Iterable[bytes]] | None = None
        self.length: int | None = None
        self.is_running = threading.Event()
        self.may_end = threading.Event()
        self.was_closed = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.calls.append(environ)
        environ[METHOD_ID] = "a.method"
        if environ["PATH_INFO"] == "/wait":
            self.is_running.set()
            self.may_end.wait(20)
        size = 0
        while data := environ["wsgi.input"].read(1 << 18):
            size += len(data)
        if self.answer is not None:
            length = [] if self.length is None else [("Content-Length", str(self.length))]
            start_response("200 OK", [("Content-Type", "application/octet-stream"), *length])
            return self.answer()
        body = str(size).encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def gate() -> Gate:
    return Gate({TOKEN: OWNER}.get, hosts=LOOPBACK)


@pytest.fixture
def origin(app: App, gate: Gate) -> Iterator[str]:
    with served(app, gate) as url:
        yield url


def _socket(origin: str) -> socket.socket:
    parts = urlsplit(origin)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20)


def _exchange(origin: str, raw: bytes) -> bytes:
    """All that comes back before the server closes the connection."""
    with _socket(origin) as connection:
        connection.sendall(raw)
        return _rest(connection)


def _rest(connection: socket.socket) -> bytes:
    received = b""
    try:
        while data := connection.recv(1 << 16):
            received += data
    except ConnectionResetError:
        pass
    return received


def _get(origin: str, path: str = "/", **options: Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        headers = {"Authorization": f"Bearer {TOKEN}", **options.pop("headers", {})}
        return session.request(options.pop("verb", "GET"), origin + path, headers=headers, timeout=30, **options)


@pytest.mark.parametrize(("raw", "status"), REFUSED)
def test_what_could_be_read_in_two_ways_or_is_too_large_is_refused(
    origin: str, app: App, raw: str, status: int
) -> None:
    """One answer, Google's error body, and the connection ends: what follows in it is not taken for a request."""
    received = _exchange(origin, (raw + SMUGGLED).encode("latin-1", "replace"))
    assert received.startswith(f"HTTP/1.1 {status} ".encode()) or received.startswith(f"HTTP/1.0 {status} ".encode())
    assert received.count(b"HTTP/1.") == 1
    assert f'"code": {status}'.encode() in received
    assert b"Connection: close" in received
    assert TOKEN.encode() not in received
    assert app.calls == []


def test_header_of_cgi_does_not_make_a_caller(origin: str, app: App) -> None:
    """Who calls comes from the token alone, whatever headers are sent; those with an underscore are not passed on."""
    _get(origin, headers={"Dicomkit.Caller": "x", "X_Forwarded_For": "x", "dicomkit-caller": "x"})
    (environ,) = app.calls
    assert environ[CALLER] is OWNER
    assert "HTTP_X_FORWARDED_FOR" not in environ


def test_requests_of_one_connection_are_answered_in_turn(origin: str, app: App) -> None:
    """Sent without waiting, and with bodies of both kinds."""
    raw = (
        f"POST {UPLOAD} HTTP/1.1\r\n{HEAD}Content-Length: 3\r\n\r\nabc"
        f"POST {UPLOAD} HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"
        f"GET / HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n"
    )
    received = _exchange(origin, raw.encode())
    assert [part.rpartition(b"\r\n")[2] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"3", b"5", b"0"]
    assert b"Server:" not in received


def test_body_larger_than_memory_goes_to_a_file(origin: str) -> None:
    """200 MiB, with a length and in chunks: all of it arrives, and the process does not grow by it."""
    block, count = b"x" * (1 << 20), 200
    before = psutil.Process().memory_info().rss

    def body() -> Iterator[bytes]:
        for _ in range(count):
            yield block

    assert _get(origin, UPLOAD, verb="POST", data=body()).text == str(count << 20)
    parts = urlsplit(origin)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)) as connection:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Length": str(count << 20)}
        connection.request("POST", UPLOAD, body=body(), headers=headers)
        assert connection.getresponse().read() == str(count << 20).encode()
    assert psutil.Process().memory_info().rss - before < 100 << 20


def test_refused_upload_gets_its_answer(origin: str, app: App) -> None:
    """Not a reset in the middle of what it sends; nothing of it reached the application."""
    for _ in range(3):
        body = b"x" * (30 << 20)
        answer = _get(origin, UPLOAD, verb="POST", data=body, headers={"Authorization": "Bearer wrong-token"})
        assert answer.status_code == 401
    assert app.calls == []


def test_large_body_where_none_belongs_is_refused(origin: str, app: App) -> None:
    """With a length at once, in chunks when it has become too large."""
    assert _get(origin, "/v1/projects/p/locations", verb="POST", data=b"x" * (12 << 20)).status_code == 413
    chunks = iter([b"x" * (1 << 20)] * 14)
    assert _get(origin, "/v1/projects/p/locations", verb="POST", data=chunks).status_code == 413
    assert app.calls == []


def test_nobody_is_told_to_continue_who_is_not_let_in(origin: str) -> None:
    """``Expect: 100-continue`` asks before the body is sent: the answer is 401, and 100 for who has a token."""
    expect = "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    received = _exchange(origin, f"POST {UPLOAD} HTTP/1.1\r\nHost: localhost\r\n{expect}".encode())
    assert received.startswith(b"HTTP/1.1 401 ")
    with _socket(origin) as connection:
        connection.sendall(f"POST {UPLOAD} HTTP/1.1\r\n{HEAD}Connection: close\r\n{expect}".encode())
        assert connection.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abcde")
        assert _rest(connection).endswith(b"\r\n\r\n5")


def test_slow_clients_keep_nobody_waiting_and_are_sent_away(
    origin: str, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 of them that never end their heads: another client is answered, and all are gone when their time is over."""
    monkeypatch.setattr(channel_module, "HEADER_S", 3.0)
    slow = [_socket(origin) for _ in range(200)]
    for connection in slow[:190]:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
    for _ in range(20):
        assert _get(origin).status_code == 200
    for connection in slow[:50]:
        connection.sendall(b"X: y\r\n")  # a drop more does not make the time longer
    assert {_rest(connection) for connection in slow} == {b""}
    for connection in slow:
        connection.close()
    assert len(app.calls) == 20


def test_body_that_comes_in_drops_is_given_up(origin: str, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never pauses for long, and is too slow all the same."""
    monkeypatch.setattr(channel_module, "BODY_IDLE_S", 1.0)
    with _socket(origin) as connection:
        connection.sendall(f"POST {UPLOAD} HTTP/1.1\r\n{HEAD}Content-Length: 100000\r\n\r\n".encode())
        connection.settimeout(0.2)
        drops = 0
        while drops < 100:
            try:
                connection.sendall(b"x")
                drops += 1
                if connection.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    assert 1 < drops < 100
    assert app.calls == []


@pytest.mark.parametrize("length", [None, 1 << 40])
def test_client_that_does_not_read_is_given_up(
    origin: str, app: App, monkeypatch: pytest.MonkeyPatch, length: int | None
) -> None:
    """Its answer would hold a thread for ever, in pieces with a buffer or sent from where they are."""
    monkeypatch.setattr(channel_module, "STALLED_S", 1.0)
    app.length = length

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * (1 << 20)
        finally:
            app.was_closed.set()

    app.answer = endless
    with _socket(origin) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\n{HEAD}\r\n".encode())
        assert app.was_closed.wait(20)


def test_thread_of_a_client_that_has_gone_is_free_again(origin: str, app: App) -> None:
    """In the middle of a large piece, too: the application is told that nobody wants the rest."""

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"head"
                yield b"x" * (8 << 20)
        finally:
            app.was_closed.set()

    app.answer, app.length = endless, 1 << 40
    with _socket(origin) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\n{HEAD}\r\n".encode())
        assert connection.recv(1 << 16)
    assert app.was_closed.wait(20)


def test_pieces_of_any_size_arrive_in_order(origin: str, app: App) -> None:
    """Buffered ones and large ones take turns, for a client that reads late; not a byte more than was announced."""
    sizes = [1, 300_000, 17, 70_000, 65_536, 65_535, 0, 3_000_000, 40_000, 2_000_000]
    pieces = [os.urandom(size) for size in sizes]
    expected = b"".join(pieces)[:-5]
    app.answer, app.length = lambda: iter(pieces), len(expected)
    with _socket(origin) as connection:
        connection.sendall(2 * f"GET / HTTP/1.1\r\n{HEAD}\r\n".encode())
        connection.sendall(f"GET / HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode())
        time.sleep(0.3)
        received = _rest(connection)
    for _ in range(3):
        head, _, rest = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert rest[: len(expected)] == expected
        received = rest[len(expected) :]
    assert received == b""


def test_answer_that_breaks_off_is_seen_to(origin: str, app: App, caplog: pytest.LogCaptureFixture) -> None:
    """500 while nothing was sent; an end before the length after that. The log has the kind of the error only."""

    def at_once() -> Iterator[bytes]:
        raise ValueError("Doe^Jane")
        yield b""

    def later() -> Iterator[bytes]:
        yield b"x" * 10
        raise ValueError("Doe^Jane")

    with caplog.at_level(logging.INFO):
        app.answer = at_once
        answer = _get(origin)
        assert (answer.status_code, answer.json()["error"]["status"]) == (500, "INTERNAL")
        app.answer = later
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            _get(origin)
        app.answer = None
        assert _get(origin).text == "0"
    assert "ValueError" in caplog.text
    assert "Doe" not in caplog.text


def test_access_log_has_no_path_and_no_query(origin: str, caplog: pytest.LogCaptureFixture) -> None:
    """The method, the status, the time, the bytes; not whose study it was, and not the token."""
    with caplog.at_level(logging.DEBUG):
        _get(origin, "/v1/studies/1.2.3?PatientName=Doe", headers={"User-Agent": "Doe"})
        _get(origin, "/v1/studies/1.2.3?PatientName=Doe", headers={"Authorization": "Bearer Doe"})
    lines = [record.getMessage() for record in caplog.records if record.name == "dicomkit.access"]
    assert [line.split()[:2] for line in lines] == [["a.method", "200"], ["-", "401"]]
    ours = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith(("dicomkit", "waitress")))
    assert not [word for word in ("Doe", "1.2.3", "token-of") if word in ours]


def test_health_is_told_without_a_token(origin: str, app: App) -> None:
    """Of the process, and of its work; the application is not asked."""
    for path in ("/healthz", "/readyz"):
        with requests.Session() as session:
            session.trust_env = False
            assert session.get(origin + path, timeout=20).text == "ok\n"
            assert session.head(origin + path, timeout=20).status_code == 200
            assert session.post(origin + path, timeout=20).status_code == 405
            assert session.post(origin + path, data=b"x", timeout=20).status_code == 413
    assert app.calls == []


def test_stop_finishes_what_was_begun(app: App, gate: Gate) -> None:
    """A request under way is answered, an idle connection is closed, a new one finds nobody."""
    with tempfile.TemporaryDirectory() as spool:
        server = Server(app, gate=gate, spool=Path(spool))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            with _socket(server.url) as idle, _socket(server.url) as busy:
                idle.sendall(f"GET / HTTP/1.1\r\n{HEAD}\r\n".encode())
                assert idle.recv(1 << 16).startswith(b"HTTP/1.1 200")
                busy.sendall(f"GET /wait HTTP/1.1\r\n{HEAD}\r\n".encode())
                assert app.is_running.wait(20)
                url = server.url
                server.stop()
                assert _rest(idle) == b""
                with pytest.raises(ConnectionRefusedError):
                    _socket(url).close()
                assert thread.is_alive()
                app.may_end.set()
                received = _rest(busy)
        finally:
            app.may_end.set()
            if thread.is_alive():
                server.stop()
            thread.join()
    assert received.startswith(b"HTTP/1.1 200")
    assert b"Connection: close" in received
    assert received.endswith(b"\r\n\r\n0")


def test_stopping_what_has_ended_touches_no_file(tmp_path: Path) -> None:
    """The number of the pipe that wakes the server may be another file's by then."""
    server = Server(lambda _environ, _start: [], gate=Gate(lambda _token: OWNER, hosts=LOOPBACK), spool=tmp_path)
    server.stop()
    server.run()
    with (tmp_path / "other").open("wb") as other, (tmp_path / "more").open("wb") as more:
        server.stop()
        assert (os.fstat(other.fileno()).st_size, os.fstat(more.fileno()).st_size) == (0, 0)
