"""The sessions of the three targets: what they reach, and to whom they show a token."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from google.auth.exceptions import DefaultCredentialsError
from werkzeug.wrappers import Request, Response

from dicomkit.errors import PermissionDenied, SetupError
from dicomkit.transport import ORIGIN, embedded_session, google_session, token_session


@Request.application
def hello(request: Request) -> Response:
    """Say which Authorization came, if any."""
    return Response(request.headers.get("Authorization", "none"))


def test_embedded_session_reaches_the_application() -> None:
    """The engine answers at the origin that no resolver knows, and sees no credentials."""
    response = embedded_session(hello).get(f"{ORIGIN}/v1/x")
    assert response.text == "none"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/x",
        "https://healthcare.googleapis.com/v1/x",
        "http://dicomkit.invalid.example.com/x",
        "http://dicomkit.invalid:81/x",
        "https://dicomkit.invalid/x",
    ],
)
def test_embedded_session_reaches_nothing_else(url: str) -> None:
    """A local notebook cannot reach a network by accident, and the message says where it may go."""
    with pytest.raises(PermissionDenied, match="embedded home") as caught:
        embedded_session(hello).get(url)
    assert ORIGIN in caught.value.message
    assert caught.value.method == "GET"


def test_refusal_shows_neither_query_nor_password() -> None:
    """What was in the URL beside the place may be a secret or a patient's name."""
    with pytest.raises(PermissionDenied) as caught:
        embedded_session(hello).get("https://user:secret@example.com/x?PatientName=DOE")
    assert "secret" not in f"{caught.value}{caught.value.url}"
    assert "DOE" not in f"{caught.value}{caught.value.url}"


@pytest.fixture
def servers() -> Iterator[tuple[str, str, list[tuple[str, str | None]]]]:
    """Two loopback servers: the first redirects to the second; the list tells what each saw."""
    seen: list[tuple[str, str | None]] = []
    running: list[ThreadingHTTPServer] = []

    def start(name: str, location: str | None) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append((name, self.headers["Authorization"]))
                self.send_response(302 if location else 200)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        running.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    second = start("second", None)
    first = start("first", f"{second}/elsewhere")
    yield first, second, seen
    for server in running:
        server.shutdown()
        server.server_close()


def test_token_goes_to_its_origin_only(servers: tuple[str, str, list[tuple[str, str | None]]]) -> None:
    """Another port is another origin: neither a direct call nor a redirect shows the token there."""
    first, second, seen = servers
    with token_session(first, "t0ken") as session:
        session.get(f"{first}/x")
        session.get(f"{second}/x")
    assert seen == [("first", "Bearer t0ken"), ("second", None), ("second", None)]


def test_token_is_in_no_repr() -> None:
    """A repr ends up in a notebook's output or in a traceback."""
    session = token_session("http://127.0.0.1:1", "t0ken")
    assert "t0ken" not in repr(session.auth)
    assert "t0ken" not in repr(session.headers)


def test_loopback_goes_round_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment is for the outside."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    assert token_session("http://localhost:1", None).trust_env is False
    assert token_session("http://10.0.0.5:1", None).trust_env is True


def test_missing_google_credentials_say_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials the message names what brings them."""

    def none_found(**kwargs: object) -> None:
        raise DefaultCredentialsError("none")

    monkeypatch.setattr("google.auth.default", none_found)
    with pytest.raises(SetupError, match="gcloud auth application-default login"):
        google_session()


def test_plain_requests_errors_stay_what_they_are() -> None:
    """A server that is not there is a connection error of requests, as its users expect of a session."""
    with pytest.raises(requests.ConnectionError):
        token_session("http://127.0.0.1:1", "t").get("http://127.0.0.1:1/x", timeout=5)
