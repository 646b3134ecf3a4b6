"""Errors, retries and limits of the one place that speaks HTTP, with faults put before small WSGI applications."""

from __future__ import annotations

import email.utils
import json
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import requests
from google.auth.exceptions import RefreshError
from werkzeug.wrappers import Request, Response

from dicomkit.client.rest import Rest, quote_path
from dicomkit.errors import (
    ApiError,
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    to_body,
)
from dicomkit.transport import ORIGIN, EngineAdapter
from tests.conftest import served

App = Callable[..., Iterable[bytes]]


def rest_for(app: App, **options: Any) -> tuple[Rest, list[float]]:
    """A client of *app*, and the list of the pauses it makes instead of sleeping."""
    session = requests.Session()
    session.mount(f"{ORIGIN}/", EngineAdapter(app))
    pauses: list[float] = []
    return Rest(session, f"{ORIGIN}/v1", sleep=pauses.append, **options), pauses


class Script:
    """An application that answers one response after the other, the last for ever, and keeps what it was asked."""

    def __init__(self, *responses: Response | Exception) -> None:
        self.responses = list(responses)
        self.bodies: list[bytes] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.bodies.append(Request(environ).get_data())
        response = self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]
        if isinstance(response, Exception):
            raise response
        return response(environ, start_response)


def ok(value: Any = None) -> Response:
    return Response(json.dumps(value), content_type="application/json")


def failing(status: int, **headers: str) -> Response:
    body = {"error": {"code": status, "message": "no", "status": "X"}}
    return Response(json.dumps(body), status=status, headers=headers)


def test_json_goes_and_comes() -> None:
    """A body is sent as JSON, an answer is read as JSON, no content is None."""
    script = Script(ok({"a": 1}), Response(status=204))
    rest, _ = rest_for(script)
    assert rest.json("POST", "x", body={"b": "ü"}) == {"a": 1}
    assert json.loads(script.bodies[0]) == {"b": "ü"}
    assert rest.json("GET", "x") is None


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_error_body_becomes_the_same_error(is_wrapped: bool) -> None:
    """Plain, and in the array that DICOMweb methods of the Healthcare API send; method and URL are added."""
    error = NotFound("no such store", details=[{"@type": "x"}])
    body = [to_body(error)] if is_wrapped else to_body(error)
    rest, pauses = rest_for(Script(Response(json.dumps(body), status=404)))
    with pytest.raises(NotFound) as caught:
        rest.json("GET", "a/b", params={"PatientName": "DOE"})
    assert caught.value == error
    assert (caught.value.method, caught.value.url) == ("GET", f"{ORIGIN}/v1/a/b")
    assert pauses == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": 5}', b"\xff\xfe"])
def test_error_without_a_body_is_chosen_by_status(body: bytes) -> None:
    """A proxy's page is no error body."""
    rest, _ = rest_for(Script(Response(body, status=404)))
    with pytest.raises(NotFound):
        rest.json("GET", "x")


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_safe_request_is_repeated(status: int) -> None:
    """The codes that the API's clients try again; pauses grow and are not all alike."""
    script = Script(failing(status), failing(status), failing(status), ok(5))
    rest, pauses = rest_for(script)
    assert rest.json("GET", "x") == 5
    assert len(pauses) == 3
    assert all(0 <= pause <= 0.25 * 2**i for i, pause in enumerate(pauses))


def test_repeating_ends() -> None:
    """After the last attempt the error is raised."""
    script = Script(failing(503))
    rest, pauses = rest_for(script, attempts=3)
    with pytest.raises(Unavailable):
        rest.json("GET", "x")
    assert (len(script.bodies), len(pauses)) == (3, 2)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 501])
def test_refusal_is_not_repeated(status: int) -> None:
    """What the server will say again need not be asked again."""
    script = Script(failing(status))
    rest, _ = rest_for(script)
    with pytest.raises(ApiError):
        rest.json("GET", "x")
    assert len(script.bodies) == 1


def test_unsafe_request_is_sent_once() -> None:
    """A POST may have worked although no good answer came."""
    script = Script(failing(503), ok())
    rest, _ = rest_for(script)
    with pytest.raises(Unavailable):
        rest.json("POST", "x", body={})
    assert len(script.bodies) == 1


def test_repeatable_body_is_sent_whole_each_time() -> None:
    """An upload says that it may be repeated; the whole body goes again."""

    class Body:
        def __len__(self) -> int:
            return 6

        def __iter__(self) -> Any:
            return iter([b"abc", b"def"])

    script = Script(ConnectionError("reset"), failing(503), ok())
    rest, _ = rest_for(script)
    with rest.send("POST", "x", data=Body(), is_repeatable=True) as response:
        assert response.status_code == 200
    assert script.bodies == [b"abcdef"] * 3


def test_server_says_how_long_to_wait() -> None:
    """Retry-After in seconds and as a date."""
    date = email.utils.format_datetime(email.utils.localtime().astimezone(), usegmt=False)
    script = Script(failing(429, **{"Retry-After": "7"}), failing(503, **{"Retry-After": date}), ok(1))
    rest, pauses = rest_for(script)
    assert rest.json("GET", "x") == 1
    assert pauses[0] == 7
    assert 0 <= pauses[1] < 2


def test_wait_that_is_too_long_is_left_to_the_caller() -> None:
    """A notebook must not hang for an hour without a word."""
    rest, pauses = rest_for(Script(failing(429, **{"Retry-After": "3600"})))
    with pytest.raises(ResourceExhausted):
        rest.json("GET", "x")
    assert pauses == []


@pytest.mark.parametrize("value", ["soon", "", "-1"])
def test_odd_retry_after_is_overlooked(value: str) -> None:
    """What is no number and no date is as good as absent."""
    rest, pauses = rest_for(Script(failing(503, **{"Retry-After": value}), ok(1)))
    assert rest.json("GET", "x") == 1
    assert pauses[0] <= 0.25


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_not_followed(status: int) -> None:
    """It could lead to another origin, and the token is for this one."""
    script = Script(Response(status=status, headers={"Location": "http://evil.example/x"}))
    rest, _ = rest_for(script)
    with pytest.raises(ApiError, match="redirect") as caught:
        rest.json("GET", "x")
    assert "evil" not in str(caught.value)
    assert len(script.bodies) == 1


def test_answer_that_is_no_json_is_told() -> None:
    """The message says what kind of server was expected, and nothing of what came."""
    rest, _ = rest_for(Script(Response("<html>Welcome</html>")))
    with pytest.raises(ApiError, match="not JSON") as caught:
        rest.json("GET", "x")
    assert "Welcome" not in str(caught.value)


def test_answer_that_breaks_off_is_unavailable() -> None:
    """Half a body never looks like a whole one."""

    def half(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "100")])
        return [b"[1, 2"]

    rest, _ = rest_for(half)
    with pytest.raises(Unavailable, match="broke off"):
        rest.json("GET", "x")
    with rest.send("GET", "x") as response, pytest.raises(Unavailable, match="broke off"):
        list(rest.chunks(response))


def test_no_answer_tells_neither_query_nor_value() -> None:
    """The text of a connection error repeats the URL; ours does not."""

    def broken(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        raise KeyError("DOE^JANE")

    rest, _ = rest_for(broken)
    with pytest.raises(Unavailable, match="the engine failed with KeyError") as caught:
        rest.json("GET", "x", params={"PatientName": "DOE"})
    assert "DOE" not in f"{caught.value} {caught.value.url}"
    real = Rest(requests.Session(), "http://127.0.0.1:1/v1", attempts=1)
    with pytest.raises(Unavailable, match="is the server running") as caught:
        real.json("GET", "x", params={"PatientName": "DOE"})
    assert "DOE" not in f"{caught.value} {caught.value.url}"


def test_silent_server_is_given_up() -> None:
    """Every request has a time limit."""

    def silent(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        time.sleep(1.5)
        start_response("200 OK", [])
        return [b"{}"]

    with served(silent) as origin:
        rest = Rest(requests.Session(), f"{origin}/v1", attempts=1, timeout_s=(5.0, 0.2))
        with pytest.raises(DeadlineExceeded, match="in time"):
            rest.json("GET", "x")


def test_refused_credentials_say_the_command() -> None:
    """google-auth's own errors are no connection errors: they are not tried again."""

    class Session(requests.Session):
        calls = 0

        def request(self, *args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            raise RefreshError("expired")

    session = Session()
    with pytest.raises(Unauthenticated, match="gcloud auth"):
        Rest(session, "http://x/v1").json("GET", "x")
    assert session.calls == 1


def test_status_that_is_an_answer_is_given_back() -> None:
    """A store response comes with 409 when an instance failed."""
    rest, _ = rest_for(Script(failing(409)))
    with rest.send("POST", "x", good={409}) as response:
        assert response.status_code == 409


def test_log_has_neither_uids_nor_queries(caplog: pytest.LogCaptureFixture) -> None:
    """DEBUG names method, path, status and time; UIDs are hashed."""
    rest, _ = rest_for(Script(ok([])))
    with caplog.at_level(logging.DEBUG, logger="dicomkit"):
        rest.json("GET", "s/dicomWeb/studies/1.2.3/series/4.5.6/instances", params={"PatientName": "DOE"})
    text = caplog.text
    assert "GET" in text
    assert "200" in text
    for secret in ("1.2.3", "4.5.6", "DOE"):
        assert secret not in text


def test_path_is_encoded_once() -> None:
    """Ids may have letters of any script; slashes of a resource name stay."""
    assert quote_path("datasets/a b/ö:x") == "datasets/a%20b/%C3%B6:x"
    assert quote_path("a?b#c%2F") == "a%3Fb%23c%252F"


def test_invalid_argument_is_a_value_error() -> None:
    """What the server refuses is caught like what the client refuses."""
    rest, _ = rest_for(Script(Response(json.dumps(to_body(InvalidArgument("limit"))), status=400)))
    with pytest.raises(ValueError, match="limit"):
        rest.json("GET", "x")
