"""Paging against servers that behave oddly, as small WSGI applications."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import requests
from werkzeug.wrappers import Request, Response

from dicomkit.client.rest import Rest
from dicomkit.client.search import Search
from dicomkit.dicom.attributes import MAX_OFFSET
from dicomkit.dicom.query import Query
from dicomkit.errors import ApiError, PartialResultsWarning
from dicomkit.transport import ORIGIN, EngineAdapter


def row(i: int) -> dict[str, Any]:
    """The i-th study."""
    return {"0020000D": {"vr": "UI", "Value": [f"1.2.{i}"]}, "00100020": {"vr": "LO", "Value": [f"P{i}"]}}


class Server:
    """Answers searches with *answer(limit, offset)*, and counts the requests."""

    def __init__(self, answer: Callable[[int, int], list[Any] | Response]) -> None:
        self.answer = answer
        self.requests: list[tuple[int, int]] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        request = Request(environ)
        page = (int(request.args.get("limit", "100")), int(request.args.get("offset", "0")))
        self.requests.append(page)
        if len(self.requests) > 50:
            raise AssertionError("the client loops")
        answer = self.answer(*page)
        if isinstance(answer, list):
            answer = Response(json.dumps(answer), content_type="application/dicom+json")
        return answer(environ, start_response)


def search(server: Server, page_size: int = 10, **arguments: Any) -> Search:
    """A search for studies on *server*."""
    session = requests.Session()
    session.mount(f"{ORIGIN}/", EngineAdapter(server))
    rest = Rest(session, f"{ORIGIN}/v1", sleep=lambda seconds: None)
    return Search(rest=rest, web="s/dicomWeb", query=Query.build("study", **arguments), page_size=page_size)


def good(count: int) -> Server:
    """A server that behaves, with *count* studies; no match is 204."""
    return Server(
        lambda limit, offset: [row(i) for i in range(offset, min(offset + limit, count))] or Response(status=204)
    )


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 25])
def test_pages_until_the_server_has_no_more(count: int) -> None:
    """A page that is not full is the last; after a full one a further one is asked for, which may be 204."""
    server = good(count)
    frame = search(server).to_frame()
    assert frame["PatientID"].tolist() == [f"P{i}" for i in range(count)]
    assert frame.attrs["complete"] is True
    assert server.requests == [(10, offset) for offset in range(0, count + 1, 10)]


def test_limit_asks_for_one_more_than_is_wanted() -> None:
    """That one says whether the limit cut anything off, without a request of its own."""
    server = good(25)
    frame = search(server, limit=12).to_frame()
    assert len(frame) == 12
    assert frame.attrs["complete"] is False
    assert server.requests == [(10, 0), (3, 10)]


def test_server_that_repeats_its_page_is_left_with_a_warning() -> None:
    """It ignores offset: what it gave comes once, and the frame says that it is not all."""
    server = Server(lambda limit, offset: [row(i) for i in range(limit)])
    with pytest.warns(PartialResultsWarning, match="does not go on"):
        frame = search(server).to_frame()
    assert len(frame) == 10
    assert frame.attrs["complete"] is False
    assert len(server.requests) == 2


def test_server_that_circles_is_left_with_a_warning() -> None:
    """Its pages come round again after a while."""
    server = Server(lambda limit, offset: [row((offset + i) % 30) for i in range(limit)])
    with pytest.warns(PartialResultsWarning):
        frame = search(server).to_frame()
    assert len(frame) == 30


def test_row_that_moves_to_the_next_page_comes_once() -> None:
    """An instance that arrives while the search runs pushes the others on by one."""
    shift = iter([0, 1, 1, 1])

    def answer(limit: int, offset: int) -> list[Any]:
        start = offset - next(shift)
        return [row(i) for i in range(start, min(start + limit, 25))]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = search(Server(answer)).to_frame()
    assert frame["PatientID"].tolist() == [f"P{i}" for i in range(25)]


def test_server_with_smaller_pages_is_followed() -> None:
    """A server that gives fewer than were asked for says so by a Warning header (PS3.18 section 8.3.4.4)."""

    def answer(limit: int, offset: int) -> Response:
        rows = [row(i) for i in range(offset, min(offset + 4, 11))]
        left = 11 - offset - len(rows)
        headers = {"Warning": f"299 dicom: There are {left} additional results that can be requested"} if left else {}
        return Response(json.dumps(rows), headers=headers)

    frame = search(Server(answer)).to_frame()
    assert len(frame) == 11
    assert frame.attrs["complete"] is True


def test_offset_never_passes_its_maximum() -> None:
    """Google refuses an offset beyond a million; a search that needs one says that it is not complete."""
    server = Server(lambda limit, offset: [row(offset + i) for i in range(limit)])
    tail = search(server, page_size=5000)
    object.__setattr__(tail, "query", Query(level="study", offset=MAX_OFFSET - 3000))
    with pytest.warns(PartialResultsWarning, match="narrow the search"):
        frame = tail.to_frame()
    assert len(frame) == 5000
    assert frame.attrs["complete"] is False
    assert server.requests == [(5000, MAX_OFFSET - 3000)]


@pytest.mark.parametrize("answer", [{"a": 1}, [1], "x", [[]]])
def test_answer_that_is_no_list_of_rows_is_told(answer: Any) -> None:
    """JSON, but not that of a search."""
    with pytest.raises(ApiError, match="list of search results"):
        search(Server(lambda limit, offset: Response(json.dumps(answer)))).to_frame()


def test_rows_without_a_key_are_kept_once_each() -> None:
    """A server that leaves out the UIDs still gets its rows into one page of a frame."""
    frame = search(Server(lambda limit, offset: [{}, {}, row(1)])).to_frame()
    assert len(frame) == 3


def test_pages_are_asked_for_one_by_one() -> None:
    """A consumer that stops early has cost one request."""
    server = good(100)
    pages = search(server).pages()
    assert server.requests == []
    assert len(next(pages)) == 10
    assert len(server.requests) == 1


def test_parameters_of_the_first_request_can_be_read_from_the_url() -> None:
    """Match keys by keyword, fields, and the page."""
    url = search(good(0), PatientName="Doe^*", fields=["StudyDescription"]).url
    assert url == f"{ORIGIN}/v1/s/dicomWeb/studies?PatientName=Doe%5E%2A&includefield=StudyDescription&limit=10"
