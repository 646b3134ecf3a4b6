"""Who is let in: hosts, origins and tokens, decided by the head of a request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dicomkit.engine.access import OWNER, Caller
from dicomkit.errors import InvalidArgument
from dicomkit.server.gate import Admitted, Early, Gate, Hosts, check_origin

PAGE = "http://localhost:3000"
PATH = "/v1/projects/p/locations"


def _gate(*origins: str, host: str = "127.0.0.1", names: tuple[str, ...] = ()) -> Gate:
    return Gate({"good-token": OWNER}.get, hosts=Hosts(host, names), origins=origins)


def _admit(gate: Gate, verb: str = "GET", path: str = PATH, authority: str = "", **headers: str) -> Admitted:
    given = {"HOST": "127.0.0.1:8080", "AUTHORIZATION": "Bearer good-token", **headers}
    return gate.admit(verb, path, authority, {name: value for name, value in given.items() if value})


def _refused(gate: Gate, **options: Any) -> Early:
    with pytest.raises(Early) as caught:
        _admit(gate, **options)
    return caught.value


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "localhost", "LOCALHOST:1", "localhost.", "[::1]:80"])
def test_own_names_are_let_in(host: str) -> None:
    """With any port: a tunnel has its own."""
    assert _admit(_gate(), HOST=host).caller is OWNER


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example:8080",
        "127.0.0.1@evil.example",
        "evil.example/127.0.0.1",
        "192.168.1.1",
        "[::2]",
        "0.0.0.0",
        "127.0.0.1:8080:9",
        "127.0.0.1:",
        "127.0.0.1 evil.example",
        "127.0.0.1,evil.example",
        "127.1",
        "2130706433",
        "localhost\x00",
    ],
)
def test_other_hosts_are_refused(host: str) -> None:
    """A page whose name was made to lead here is told nothing, token or not; not even that the server is healthy."""
    for path in (PATH, "/healthz"):
        early = _refused(_gate(), path=path, HOST=host)
        assert early.status == "400 Bad Request"
        assert host not in early.body.decode() or not host


def test_target_in_absolute_form_names_the_server_too() -> None:
    """It counts more than the header where it is there (RFC 9112, 3.2.2), so both are looked at."""
    assert _admit(_gate(), authority="localhost:1").caller is OWNER
    assert _refused(_gate(), authority="evil.example").status == "400 Bad Request"


@pytest.mark.parametrize(
    ("bound", "host", "is_own"),
    [
        ("0.0.0.0", "192.168.1.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("0.0.0.0", "imaging.example", False),
        ("192.168.1.1", "192.168.1.1:8080", True),
        ("192.168.1.1", "192.168.1.2", False),
        ("192.168.1.1", "127.0.0.1", False),
        ("localhost", "127.0.0.1", True),
        ("::1", "[::1]:8080", True),
    ],
)
def test_names_depend_on_where_the_server_listens(bound: str, host: str, is_own: bool) -> None:
    """An address cannot be made to lead elsewhere; a name can, and so has to be given."""
    assert (host in Hosts(bound)) is is_own


def test_further_names_are_given() -> None:
    """That of a proxy."""
    assert "Imaging.Example:443" in Hosts("127.0.0.1", ["imaging.example"])
    assert Hosts("127.0.0.1", ["imaging.example"]).is_loopback
    assert not Hosts("0.0.0.0").is_loopback
    assert not Hosts("imaging.example").is_loopback


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer bad-token",
        "Basic good-token",
        "good-token",
        "Bearer good-token,x",
        "Bearer\x00",
    ],
)
def test_without_a_token_nobody_is_let_in(authorization: str) -> None:
    """401 with Google's body, and the challenge that RFC 6750 asks for."""
    early = _refused(_gate(), AUTHORIZATION=authorization)
    assert early.status == "401 Unauthorized"
    error = json.loads(early.body)["error"]
    assert (error["code"], error["status"]) == (401, "UNAUTHENTICATED")
    challenge = dict(early.headers)["WWW-Authenticate"]
    assert challenge.startswith('Bearer realm="dicomkit"')
    assert ("invalid_token" in challenge) is bool(authorization)
    assert "token" not in authorization or authorization not in early.body.decode()


def test_health_needs_no_token_and_takes_no_body() -> None:
    """What watches the process has none; who comes in so is nobody."""
    admitted = _admit(_gate(), path="/healthz", AUTHORIZATION="")
    assert admitted.caller == Caller("nobody")
    assert not admitted.caller.is_owner
    assert admitted.max_body_bytes == 0
    assert _refused(_gate(), path="/healthz/x", AUTHORIZATION="").status == "401 Unauthorized"


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9", "https://localhost:3000", PAGE]
)
def test_pages_of_other_origins_are_refused(origin: str) -> None:
    """Whatever the method, preflight or not, with a token and without, and without a header that allows anything."""
    for verb in ("GET", "POST", "OPTIONS"):
        for token in ("Bearer good-token", ""):
            early = _refused(
                _gate(), verb=verb, ORIGIN=origin, AUTHORIZATION=token, ACCESS_CONTROL_REQUEST_METHOD="GET"
            )
            assert early.status == "403 Forbidden"
            assert not [name for name, _ in early.headers if name.startswith("Access-Control")]


def test_own_page_is_no_other_origin() -> None:
    """The same scheme, host and port as the server's."""
    assert _admit(_gate(), ORIGIN="http://127.0.0.1:8080").headers == []


def test_allowed_page_gets_the_answers_of_cors() -> None:
    """The preflight without a token, what it asked for, and the same name in every answer; refusals, too."""
    gate = _gate(PAGE)
    early = _refused(
        gate,
        verb="OPTIONS",
        ORIGIN=PAGE,
        AUTHORIZATION="",
        ACCESS_CONTROL_REQUEST_METHOD="POST",
        ACCESS_CONTROL_REQUEST_HEADERS="authorization,content-type",
    )
    headers = dict(early.headers)
    assert early.status == "204 No Content"
    assert headers["Access-Control-Allow-Origin"] == PAGE
    assert headers["Vary"] == "Origin"
    assert "POST" in headers["Access-Control-Allow-Methods"]
    assert {"Authorization", "Content-Type", "Accept"} <= set(headers["Access-Control-Allow-Headers"].split(", "))
    assert "Access-Control-Allow-Credentials" not in headers
    assert dict(_admit(gate, ORIGIN=PAGE).headers)["Access-Control-Allow-Origin"] == PAGE
    assert dict(_refused(gate, ORIGIN=PAGE, AUTHORIZATION="").headers)["Access-Control-Allow-Origin"] == PAGE
    assert _refused(gate, ORIGIN="http://localhost:3001").status == "403 Forbidden"
    # Without Origin it is no page, and a wish to know the methods needs a token like any request.
    assert _refused(gate, verb="OPTIONS", AUTHORIZATION="").status == "401 Unauthorized"


@pytest.mark.parametrize(
    "origin", ["*", "null", "localhost:3000", "http://localhost:3000/", "http://a b", "ftp://a", ""]
)
def test_origin_is_written_as_browsers_write_it(origin: str) -> None:
    """One that would never match, or would match everything, is refused at the start."""
    with pytest.raises(InvalidArgument, match="origin"):
        check_origin(origin)


@pytest.mark.parametrize(
    ("verb", "path", "is_large"),
    [
        ("POST", "/v1/projects/p/locations/l/datasets/d/dicomStores/s/dicomWeb/studies", True),
        ("POST", "/v1/projects/p/locations/l/datasets/d/dicomStores/s/dicomWeb/studies/1.2", True),
        ("POST", "/v1beta1/projects/p/locations/l/datasets/d/dicomStores/s/dicomWeb/studies", True),
        ("PUT", "/upload/bigquery/v2/projects/p/jobs", True),
        ("GET", "/v1/projects/p/locations/l/datasets/d/dicomStores/s/dicomWeb/studies", False),
        ("POST", "/v1/projects/p/locations/l/datasets/d/dicomStores", False),
        ("POST", "/v1/projects/p/locations/l/datasets/d/dicomStores/s/dicomWeb/studies/1.2/x", False),
    ],
)
def test_body_may_be_large_where_something_is_uploaded(verb: str, path: str, is_large: bool) -> None:
    """Elsewhere it is refused before it is read."""
    assert (_admit(_gate(), verb, path).max_body_bytes > 1 << 40) is is_large
