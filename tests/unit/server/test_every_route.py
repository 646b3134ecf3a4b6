"""The gate stands before every route: host, token and origin are asked for before any method is called."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from dicomkit.engine.handlers import all_routes
from dicomkit.engine.routes import Route
from tests.contract.instances import ct_slice, part10
from tests.unit.server.callers import DATASET, LOCATION, OWNER_TOKEN, STORE, Site, path_of, site

SECRET = "QZ77XJ"
"""Stands in the patient's name of what is stored."""

EVIL_HOSTS = ("", "evil.example", "127.0.0.1.evil.example", "evil.example:80", "localhost@evil.example", "0x7f000001")
EVIL_ORIGINS = ("http://evil.example", "null", "http://127.0.0.1:1", "https://localhost", "file://", "")
BAD_TOKENS = (None, "", "Bearer", "Bearer wrong-token", f"Basic {OWNER_TOKEN}", f"bearer{OWNER_TOKEN}", OWNER_TOKEN)
FORMS = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b")
"""What a page may send without asking first (Fetch standard, CORS-safelisted request headers)."""


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Caller:
    """Sends requests as no library would: exactly the headers that are given."""

    def __init__(self, origin: str) -> None:
        parts = urlsplit(origin)
        self.host = f"{parts.hostname}:{parts.port}"
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)

    def __call__(self, verb: str, path: str, headers: dict[str, str | None], body: bytes = b"") -> Answer:
        """The answer; ``Host`` is the server's own unless it is given."""
        connection = self._connection
        connection.putrequest(verb, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": self.host, "Content-Length": str(len(body)), **headers}.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        found = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        if found.headers.get("connection") == "close":
            connection.close()  # the next request opens it again
        return found

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with an instance, of which no refused answer may show anything."""
    with site(tmp_path_factory.mktemp("gate") / "home") as made:
        file = part10(ct_slice(PatientName=SECRET, StudyDescription=SECRET))
        headers = {"Content-Type": "application/dicom", "Accept": "application/dicom+json"}
        made.owner("POST", f"/v1/{STORE}/dicomWeb/studies", data=file, headers=headers)
        yield made


@pytest.fixture
def call(made: Site) -> Iterator[Caller]:
    with closing(Caller(made.origin)) as caller:
        yield caller


def _targets() -> Iterator[tuple[Route, str]]:
    """Every route, below each version that it has, and the two paths that need no token."""
    for route in all_routes():
        path = path_of(route)
        yield route, path
        if path.startswith("/v1/"):
            yield route, path.replace("/v1/", "/v1beta1/", 1)


def _untouched(made: Site) -> Any:
    """What a caller with the token finds, to be the same before and after."""
    found = made.call(OWNER_TOKEN, "GET", f"/v1/{STORE}/dicomWeb/instances")
    stores = made.owner("GET", f"/v1/{DATASET}/dicomStores")
    return found.text, stores, made.owner("GET", f"/v1/{LOCATION}/datasets")


def _check_refused(answer: Answer, status: int, what: str) -> None:
    assert answer.status == status, what
    assert SECRET.encode() not in answer.body, what
    assert OWNER_TOKEN.encode() not in answer.body, what
    assert answer.headers.get("x-content-type-options") == "nosniff", what
    assert not [name for name in answer.headers if name.startswith("access-control-")], what


def test_no_route_answers_to_another_host(made: Site, call: Caller) -> None:
    """With the right token, which a page whose name was made to lead here does not even have."""
    before = _untouched(made)
    for route, path in _targets():
        for host in EVIL_HOSTS:
            answer = call(route.verb, path, {"Host": host, "Authorization": f"Bearer {OWNER_TOKEN}"})
            _check_refused(answer, 400, f"{route.method_id} {host!r}")
        _check_refused(call(route.verb, path, {"Host": None, "Authorization": f"Bearer {OWNER_TOKEN}"}), 400, path)
    for path in ("/healthz", "/readyz"):
        for host in EVIL_HOSTS:
            assert call("GET", path, {"Host": host}).status == 400
    assert _untouched(made) == before


def test_no_route_answers_without_a_token(made: Site, call: Caller) -> None:
    """Nor with one that is none, in the address, in a cookie, or under another scheme; nothing was done."""
    before = _untouched(made)
    for route, path in _targets():
        for authorization in BAD_TOKENS:
            answer = call(route.verb, path, {"Authorization": authorization})
            _check_refused(answer, 401, f"{route.method_id} {authorization!r}")
            assert answer.headers["www-authenticate"].startswith('Bearer realm="dicomkit"')
        for tail in (f"?access_token={OWNER_TOKEN}", f"?token={OWNER_TOKEN}", f"?key={OWNER_TOKEN}"):
            _check_refused(call(route.verb, path + tail, {"Cookie": f"token={OWNER_TOKEN}"}), 401, path + tail)
    assert _untouched(made) == before


def test_no_route_answers_to_a_page_of_another_origin(made: Site, call: Caller) -> None:
    """With the right token; neither does the preflight, so that a browser sends nothing more."""
    before = _untouched(made)
    for route, path in _targets():
        for origin in EVIL_ORIGINS:
            headers: dict[str, str | None] = {"Origin": origin, "Authorization": f"Bearer {OWNER_TOKEN}"}
            _check_refused(call(route.verb, path, headers), 403, f"{route.method_id} {origin!r}")
        preflight: dict[str, str | None] = {
            "Origin": "http://evil.example",
            "Access-Control-Request-Method": route.verb,
            "Access-Control-Request-Headers": "authorization",
        }
        _check_refused(call("OPTIONS", path, preflight), 403, f"{route.method_id} preflight")
    assert _untouched(made) == before


@pytest.mark.parametrize("kind", FORMS)
def test_no_form_of_another_page_writes(made: Site, call: Caller, kind: str) -> None:
    """What needs no preflight comes without the token, and is refused by that; with an Origin, by the origin."""
    before = _untouched(made)
    bodies = {"multipart/form-data; boundary=b": b"--b\r\n\r\n{}\r\n--b--\r\n"}
    for route, path in _targets():
        if route.verb != "POST":
            continue
        body = bodies.get(kind, b"{}")
        _check_refused(call("POST", path, {"Content-Type": kind}, body), 401, path)
        _check_refused(call("POST", path, {"Content-Type": kind, "Origin": "null"}, body), 403, path)
    assert _untouched(made) == before


def test_every_route_was_asked() -> None:
    """The loop over the routes is not about nothing."""
    assert len(list(_targets())) > 120
    assert {route.verb for route, _ in _targets()} >= {"GET", "POST", "PUT", "PATCH", "DELETE"}
