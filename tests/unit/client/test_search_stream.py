"""A stream of columns from servers that behave oddly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from werkzeug.wrappers import Request, Response

from dicomkit.client import search as client_search
from dicomkit.client.rest import ATTEMPTS, Rest
from dicomkit.client.search import Search
from dicomkit.dicom.query import Query
from dicomkit.errors import DeadlineExceeded, PermissionDenied, Unavailable, to_body
from dicomkit.frames.element_stream import MEDIA_TYPE
from dicomkit.transport import token_session
from tests.conftest import served
from tests.unit.frames.test_element_stream import stream

FIRST = 4
"""Rows of a first page, in these tests."""


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream follows a first page of four rows."""
    monkeypatch.setattr(client_search, "PAGE_BEFORE_STREAM", FIRST)


def row(i: int) -> dict[str, Any]:
    """The i-th study."""
    return {"0020000D": {"vr": "UI", "Value": [f"1.2.{i}"]}, "00100020": {"vr": "LO", "Value": [f"P{i}"]}}


class Server:
    """Ten studies; *answer* makes the answers to those who want a stream, of the rows behind an offset."""

    def __init__(self, answer: Callable[[list[dict[str, Any]]], Response]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, int]] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        offset = int(request.args.get("offset", "0"))
        rows = [row(i) for i in range(offset, 10)]
        if request.headers["Accept"] == MEDIA_TYPE:
            assert "limit" not in request.args
            self.asked.append(("stream", offset))
            answer = self.answer(rows)
        else:
            self.asked.append(("page", offset))
            answer = Response(json.dumps(rows[: int(request.args["limit"])]), content_type="application/dicom+json")
        return answer(environ, start_response)


def columns(data: bytes, **options: Any) -> Response:
    return Response(data, content_type=MEDIA_TYPE, **options)


def found(server: Server, **arguments: Any) -> list[str]:
    """The patients that a search finds."""
    with served(server) as origin:
        session = token_session(origin, None)
        rest = Rest(session, f"{origin}/v1", sleep=lambda seconds: None)
        try:
            frame = Search(rest=rest, web="s", query=Query.build("study", **arguments), may_stream=True).to_frame()
        finally:
            session.close()
    return frame["PatientID"].tolist()


EVERY = [f"P{i}" for i in range(10)]


def test_stream_goes_on_behind_the_first_page() -> None:
    """One request for all that is left."""
    server = Server(lambda rows: columns(stream(rows)))
    assert found(server) == EVERY
    assert server.asked == [("page", 0), ("stream", FIRST)]


def cut(data: bytes, at: int) -> Iterator[bytes]:
    """A body without a length, that ends as if it were whole."""
    yield data[:at]


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.9])
def test_stream_that_was_cut_is_asked_for_again(part: float) -> None:
    """From its beginning, with nothing of the first attempt in the frame."""
    attempts: list[int] = []

    def answer(rows: list[dict[str, Any]]) -> Response:
        attempts.append(1)
        data = stream(rows, 1)
        end = data.rindex(b"complete")
        return columns(data) if len(attempts) == 3 else Response(cut(data, int(end * part)), content_type=MEDIA_TYPE)

    server = Server(answer)
    assert found(server) == EVERY
    assert server.asked == [("page", 0), *[("stream", FIRST)] * 3]


def test_stream_that_is_always_cut_is_no_short_frame() -> None:
    """An error, after as many attempts as any request has."""
    server = Server(lambda rows: Response(cut(stream(rows, 1), 3_000), content_type=MEDIA_TYPE))
    with pytest.raises(Unavailable, match="broke off"):
        found(server)
    assert server.asked == [("page", 0), *[("stream", FIRST)] * ATTEMPTS]


def test_connection_that_breaks_is_no_short_frame() -> None:
    """The server dies between two record batches."""

    def body(rows: list[dict[str, Any]]) -> Iterator[bytes]:
        data = stream(rows, 1)
        yield data[: len(data) // 2]
        raise RuntimeError("a defect")

    with pytest.raises(Unavailable):
        found(Server(lambda rows: Response(body(rows), content_type=MEDIA_TYPE)))


def test_error_in_the_stream_is_raised() -> None:
    """The server had begun to answer when it happened."""
    end = {"error": json.dumps(to_body(DeadlineExceeded("too much to look at")))}
    server = Server(lambda rows: columns(stream(rows, end=end)))
    with pytest.raises(DeadlineExceeded, match="too much"):
        found(server)
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        lambda rows: Response(json.dumps(to_body(PermissionDenied("no"))), status=406),
        lambda rows: Response(json.dumps(rows), content_type="application/dicom+json"),
        lambda rows: Response("<p>what?</p>", content_type="text/html"),
        lambda rows: Response("what?", headers={"Content-Type": ""}),
    ],
    ids=["406", "json", "html", "nothing"],
)
def test_server_that_gives_something_else_is_paged(answer: Callable[[Any], Response]) -> None:
    """Quietly: it is an older one, or another maker's."""
    server = Server(answer)
    assert found(server) == EVERY
    assert server.asked == [("page", 0), ("stream", FIRST), ("page", FIRST)]


def test_refusal_is_an_error() -> None:
    """Any other status means what it always means."""
    with pytest.raises(PermissionDenied, match="not for you"):
        found(Server(lambda rows: Response(json.dumps(to_body(PermissionDenied("not for you"))), status=403)))


def test_rows_that_the_first_page_had_come_once() -> None:
    """What is deleted and stored anew meanwhile moves behind it."""
    server = Server(lambda rows: columns(stream([row(1), *rows, row(3)], 3)))
    assert found(server) == EVERY


def test_type_with_parameters_is_the_type() -> None:
    """And in capitals."""
    server = Server(lambda rows: Response(stream(rows), content_type="Application/vnd.apache.arrow.STREAM; charset=x"))
    assert found(server) == EVERY
    assert len(server.asked) == 2


def test_limit_that_a_page_can_give_is_asked_for_in_pages() -> None:
    """It is one request, and no row more than wanted is encoded but one."""
    server = Server(lambda rows: columns(stream(rows)))
    assert found(server, limit=6) == EVERY[:6]
    assert server.asked == [("page", 0)]
