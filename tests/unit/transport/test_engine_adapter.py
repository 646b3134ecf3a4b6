"""The in-process transport, with small WSGI applications in place of the engine."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from werkzeug.wrappers import Request, Response

from dicomkit.transport import ORIGIN, EngineAdapter


def session_for(app: Callable[..., Iterable[bytes]]) -> requests.Session:
    """A session that reaches *app* and nothing else."""
    session = requests.Session()
    session.trust_env = False
    session.mount(f"{ORIGIN}/", EngineAdapter(app))
    return session


@Request.application
def echo(request: Request) -> Response:
    """Answer with what came in."""
    return Response(
        request.get_data(),
        headers={
            "X-Path": request.path.encode().hex(),
            "X-Query": request.query_string.decode(),
            "X-Method": request.method,
            "X-Type": request.headers.get("Content-Type", ""),
            "X-Host": request.host,
            "X-Custom": request.headers.get("X-Ask", ""),
        },
    )


class Chunks:
    """A response iterable that counts what was taken and knows whether it was closed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks = iter(chunks)
        self.taken = 0
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self.chunks)
        self.taken += 1
        return chunk

    def close(self) -> None:
        self.is_closed = True


def answering(chunks: Iterable[bytes], headers: list[tuple[str, str]] | None = None) -> Callable[..., Iterable[bytes]]:
    """An application that answers 200 with *chunks*."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", headers or [("Content-Type", "application/octet-stream")])
        return chunks

    return app


def test_request_arrives_as_it_was_sent() -> None:
    """Method, decoded path, raw query, headers and body reach the application."""
    response = session_for(echo).put(
        f"{ORIGIN}/v1/a%20b/%C3%A9", params=[("x", "1"), ("x", "ü")], data=b"body", headers={"X-Ask": "yes"}
    )
    assert response.status_code == 200
    assert bytes.fromhex(response.headers["X-Path"]).decode() == "/v1/a b/é"
    assert response.headers["X-Query"] == "x=1&x=%C3%BC"
    assert response.headers["X-Method"] == "PUT"
    assert response.headers["X-Host"] == "dicomkit.invalid"
    assert response.headers["X-Custom"] == "yes"
    assert response.content == b"body"
    assert response.url.startswith(ORIGIN)


def test_encoded_slash_of_a_path_is_decoded_once() -> None:
    """``%2F`` is a slash in PATH_INFO (PEP 3333), and ``%252F`` is not."""
    session = session_for(echo)
    assert bytes.fromhex(session.get(f"{ORIGIN}/a%2Fb").headers["X-Path"]) == b"/a/b"
    assert bytes.fromhex(session.get(f"{ORIGIN}/a%252Fb").headers["X-Path"]) == b"/a%2Fb"


@pytest.mark.parametrize("kind", ["bytes", "str", "file", "generator", "none"])
def test_every_kind_of_body_is_read(kind: str, tmp_path: Path) -> None:
    """Whatever requests takes as data, the application reads the same bytes."""
    want = b"0123456789" * 1000
    path = tmp_path / "body"
    path.write_bytes(b"skipped" + want)
    with path.open("rb") as file:
        file.seek(7)
        bodies: dict[str, Any] = {
            "bytes": want,
            "str": want.decode(),
            "file": file,
            "generator": (want[i : i + 7] for i in range(0, len(want), 7)),
            "none": None,
        }
        response = session_for(echo).post(f"{ORIGIN}/", data=bodies[kind])
    assert response.content == (b"" if kind == "none" else want)


def test_generator_is_pulled_by_the_application() -> None:
    """A body of any size is never whole in memory: a chunk is made when the application asks for more."""
    made = 0

    def chunks() -> Iterator[bytes]:
        nonlocal made
        for _ in range(64):
            made += 1
            yield b"x" * (1 << 18)

    seen: list[int] = []

    @Request.application
    def app(request: Request) -> Response:
        request.stream.read(1 << 18)
        seen.append(made)
        return Response(b"done")

    session_for(app).post(f"{ORIGIN}/", data=chunks())
    assert seen[0] <= 3


def test_response_streams() -> None:
    """With stream=True a chunk is asked for when the caller reads it."""
    chunks = Chunks(b"x" * 1000 for _ in range(50))
    with session_for(answering(chunks)).get(f"{ORIGIN}/", stream=True) as response:
        assert chunks.taken <= 1
        pieces = response.iter_content(1000)
        assert next(pieces) == b"x" * 1000
        assert chunks.taken <= 2
        assert not chunks.is_closed
    assert chunks.is_closed


def test_iterable_is_closed_when_it_was_read_to_its_end() -> None:
    """PEP 3333: the server calls close() of the iterable when the request is over."""
    chunks = Chunks([b"a", b"", b"b"])
    assert session_for(answering(chunks)).get(f"{ORIGIN}/").content == b"ab"
    assert chunks.is_closed


def test_iterable_is_closed_after_head() -> None:
    """HEAD has no body, and the iterable is closed all the same."""
    chunks = Chunks([b"abc"])
    response = session_for(answering(chunks, [("Content-Length", "3")])).head(f"{ORIGIN}/")
    assert response.headers["Content-Length"] == "3"
    assert response.content == b""
    assert chunks.is_closed


def test_start_response_may_come_with_the_first_chunk() -> None:
    """An application that is a generator calls start_response when its first chunk is asked for."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("404 Not Found", [("X-A", "1"), ("X-A", "2")])
        yield b"late"

    response = session_for(app).get(f"{ORIGIN}/")
    assert (response.status_code, response.reason, response.content) == (404, "Not Found", b"late")
    assert response.headers["X-A"] == "1, 2"


def test_write_callable_comes_before_the_iterable() -> None:
    """What went through write() precedes what the iterable gives."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        write(b"first ")
        return [b"second"]

    assert session_for(app).get(f"{ORIGIN}/").content == b"first second"


def test_defect_of_the_application_is_a_connection_error() -> None:
    """An exception is told by its type only, for its text may hold a value."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        raise KeyError("DOE^JANE")

    with pytest.raises(requests.ConnectionError, match="KeyError") as caught:
        session_for(app).get(f"{ORIGIN}/")
    assert "JANE" not in str(caught.value)


def test_defect_in_the_middle_of_an_answer_is_no_short_answer() -> None:
    """An iterable that fails gives an error and is closed: half a body never looks like a whole one."""

    def half() -> Iterator[bytes]:
        yield b"half"
        raise OSError("disk")

    chunks = Chunks(half())
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        session_for(answering(chunks)).get(f"{ORIGIN}/")
    assert chunks.is_closed


def test_answer_shorter_than_its_length_is_an_error() -> None:
    """Content-Length is held against what came."""
    app = answering([b"abc"], [("Content-Length", "5")])
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        session_for(app).get(f"{ORIGIN}/")


def test_application_without_start_response_is_refused() -> None:
    """PEP 3333 asks for start_response before the first byte."""
    with pytest.raises(requests.ConnectionError):
        session_for(lambda environ, start_response: [b"x"]).get(f"{ORIGIN}/")


def test_call_stays_in_the_thread_of_its_caller() -> None:
    """No thread is made: a breakpoint or a profiler sees the engine below the caller."""
    seen: list[int] = []

    @Request.application
    def app(request: Request) -> Response:
        seen.append(threading.get_ident())
        return Response(b"")

    session_for(app).get(f"{ORIGIN}/")
    assert seen == [threading.get_ident()]


def test_raw_can_be_read_in_one_go() -> None:
    """``response.raw.read()`` gives the whole body, which is what the client's JSON reading uses."""
    with session_for(answering([b"x" * 3, b"y" * 5])).get(f"{ORIGIN}/", stream=True) as response:
        assert response.raw.read(decode_content=True) == b"xxxyyyyy"


def test_file_object_is_handed_over_without_a_copy() -> None:
    """A seekable body reaches the application as the object that the caller gave."""
    given = io.BytesIO(b"abc")
    seen: list[Any] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        seen.append(environ["wsgi.input"])
        start_response("200 OK", [])
        return []

    session_for(app).post(f"{ORIGIN}/", data=given)
    assert seen == [given]
