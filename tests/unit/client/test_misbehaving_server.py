"""The client before real servers on the loopback interface that misbehave: full, silent, cut, misleading."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from werkzeug.wrappers import Request, Response

import dicomkit as dk
from dicomkit.client import rest as rest_module
from dicomkit.client.rest import LONGEST_DELAY_S, PATIENCE_S, TIMEOUT_S, Rest
from dicomkit.engine.app import Engine
from dicomkit.errors import (
    ApiError,
    DeadlineExceeded,
    ResourceExhausted,
    Unavailable,
)
from dicomkit.transport import token_session
from tests.conftest import served
from tests.contract.instances import ROOT, ct_slice, part10

UIDS = (f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1")
App = Callable[..., Iterable[bytes]]


class Faulty:
    """An engine behind faults: each request meets the next of them, and none when they are used up.

    A fault is a status with headers, a number of bytes after which the answer breaks off, or a function of the answer.
    """

    def __init__(self, engine: App, matches: Callable[[Request], bool] = lambda _: True) -> None:
        self.engine = engine
        self.matches = matches
        self.faults: list[Any] = []
        self.requests: list[Request] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        if not self.matches(request) or not self.faults:
            return self.engine(environ, start_response)
        self.requests.append(request)
        fault = self.faults.pop(0)
        if isinstance(fault, Response):
            request.get_data()
            return fault(environ, start_response)
        answer = Response.from_app(self.engine, environ, buffered=True)
        if callable(fault):
            return fault(answer)(environ, start_response)
        body = answer.get_data()
        answer.set_data(body[:fault])
        answer.headers["Content-Length"] = str(len(body))
        return answer(environ, start_response)


def refused(status: int, **headers: str) -> Response:
    """An answer of a server that has too much to do."""
    body = {"error": {"code": status, "message": "later", "status": "X"}}
    return Response(json.dumps(body), status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the client would have slept."""
    made: list[float] = []
    monkeypatch.setattr(Rest.__init__, "__kwdefaults__", {**Rest.__init__.__kwdefaults__, "sleep": made.append})
    return made


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[Faulty]:
    """An engine whose faults come when the test adds them."""
    with Engine(tmp_path / "home") as engine:
        yield Faulty(engine)


@contextmanager
def loaded(faulty: Faulty) -> Iterator[dk.Store]:
    """A store with one instance, over a real connection."""
    with served(faulty) as origin, dk.connect(origin) as dataset:
        store = dataset.create_store("ct")
        store.upload(part10(ct_slice()))
        yield store


def test_full_server_is_asked_again_after_the_time_it_says(faulty: Faulty, pauses: list[float]) -> None:
    """429 and 503 with Retry-After, then without: the latter wait a random part of a growing time."""
    with loaded(faulty) as store:
        faulty.faults = [refused(429, Retry_After="7"), refused(503, Retry_After="0"), refused(503)]
        assert len(store.search_studies()) == 1
    assert pauses[:2] == [7, 0]
    assert 0 <= pauses[2] <= 1.0


def test_server_that_stays_full_is_given_up(faulty: Faulty, pauses: list[float]) -> None:
    """After four attempts in all, with the server's own error; at once where it asks for more than half a minute."""
    with loaded(faulty) as store:
        faulty.faults = [refused(503)] * 9
        with pytest.raises(Unavailable, match="later"):
            store.search_studies()
        assert len(faulty.requests) == 4
        faulty.faults = [refused(429, Retry_After=str(LONGEST_DELAY_S * 2))] * 2
        faulty.requests.clear()
        faulty.faults = [refused(429, Retry_After="3600")] * 9
        with pytest.raises(ResourceExhausted, match="later") as caught:
            store.search_studies()
        assert len(faulty.requests) == 1
        assert caught.value.__notes__ == ["The server asks to wait 3600 s before the next request."]


def test_upload_is_sent_again_and_stores_once(faulty: Faulty, pauses: list[float]) -> None:
    """Also when it was stored and the answer broke off: the outcome says that the same bytes were there."""
    with loaded(faulty) as store:
        faulty.faults = [refused(503)]
        assert store.upload(part10(ct_slice(2)))["outcome"].tolist() == ["stored"]
        faulty.faults = [5]
        assert store.upload(part10(ct_slice(3)))["outcome"].tolist() == ["already_stored"]
        assert len(store.search_instances()) == 3


def test_what_is_not_safe_to_repeat_is_sent_once(faulty: Faulty, pauses: list[float]) -> None:
    """A change that may have been made although no good answer came."""
    with loaded(faulty) as store:
        unsafe: list[Callable[[], Any]] = [
            lambda: store.patch(labels={"a": "b"}),
            lambda: store.delete_study(UIDS[0]),
            lambda: store.set_blob_storage_settings("ARCHIVE"),
            store.delete,
        ]
        for call in unsafe:
            faulty.requests.clear()
            faulty.faults = [refused(503)]
            with pytest.raises(Unavailable):
                call()
            assert len(faulty.requests) == 1
    assert pauses == []


def test_answer_that_breaks_off_is_asked_for_again(faulty: Faulty, pauses: list[float]) -> None:
    """Half of it is never taken for the whole; a change is not made twice."""
    with loaded(faulty) as store:
        faulty.faults = [1, 20]
        assert len(store.search_studies()) == 1
        faulty.faults = [3]
        assert store.metadata(UIDS[0])[0].SOPInstanceUID == UIDS[2]
        faulty.faults = [10]
        assert store.refresh().id == "ct"
        faulty.faults = [10]
        with pytest.raises(Unavailable, match="broke off"):
            store.patch(labels={"a": "b"})
        assert store.refresh().resource.labels == {"a": "b"}


def test_download_goes_on_where_it_broke_off(faulty: Faulty, pauses: list[float], tmp_path: Path) -> None:
    """What is asked for again is the rest; the file is that of the store, and appears when it is whole."""
    data = part10(ct_slice(2, Rows=600, Columns=600, PixelData=bytes(range(256)) * 2812 + bytes(128)))
    uids = (f"{ROOT}.2", f"{ROOT}.2.1", f"{ROOT}.2.1.1")
    with loaded(faulty) as store:
        store.upload(data)
        faulty.faults = [600_000, 100_000]
        path = store.retrieve(*uids, to=tmp_path / "a.dcm")
        assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(data).digest()
        assert [r.headers.get("Range") for r in faulty.requests] == [None, f"bytes={2 << 18}-"]
        assert store.dataset(*uids).SOPInstanceUID == uids[2]


def test_download_of_what_has_changed_begins_anew(faulty: Faulty, pauses: list[float], tmp_path: Path) -> None:
    """Deleted and stored again with other bytes in between: never a mixture."""
    first, second = (part10(ct_slice(2, Rows=600, Columns=600, PixelData=bytes([n]) * 720_000)) for n in (1, 2))
    uids = (f"{ROOT}.2", f"{ROOT}.2.1", f"{ROOT}.2.1.1")
    faulty.matches = lambda request: request.method == "GET"
    with loaded(faulty) as store:
        store.upload(first)

        def change(answer: Response) -> Response:
            store.delete_instance(*uids)
            store.upload(second)
            body = answer.get_data()
            answer.set_data(body[:600_000])
            answer.headers["Content-Length"] = str(len(body))
            return answer

        faulty.faults = [change]
        assert store.retrieve(*uids, to=tmp_path / "a.dcm").read_bytes() == second


def test_download_without_a_strong_etag_begins_anew(faulty: Faulty, pauses: list[float], tmp_path: Path) -> None:
    """A server that knows no ranges, as Google's documents none."""

    def plain(answer: Response) -> Response:
        body = answer.get_data()
        answer.set_data(body[:100])
        answer.headers["Content-Length"] = str(len(body))
        answer.headers.pop("ETag", None)
        return answer

    with loaded(faulty) as store:
        faulty.faults = [plain]
        assert store.retrieve(*UIDS, to=tmp_path / "a.dcm").read_bytes() == part10(ct_slice())


def test_part_that_was_not_asked_for_is_refused(faulty: Faulty, pauses: list[float], tmp_path: Path) -> None:
    """Rather than written where it does not belong."""

    def wrong(answer: Response) -> Response:
        answer.status_code = 206
        answer.headers["Content-Range"] = "bytes 7-9/100"
        return answer

    with loaded(faulty) as store:
        faulty.faults = [wrong]
        with pytest.raises(ApiError, match="another part"):
            store.retrieve(*UIDS, to=tmp_path / "a.dcm")
    assert list(tmp_path.glob("*.dcm")) == []
    assert list(tmp_path.glob(".dicomkit-*")) == []


def test_download_that_keeps_breaking_off_leaves_no_file(faulty: Faulty, pauses: list[float], tmp_path: Path) -> None:
    """Neither under its name nor under another."""
    with loaded(faulty) as store:
        faulty.faults = [100] * 9
        with pytest.raises(Unavailable, match="broke off"):
            store.retrieve(*UIDS, to=tmp_path / "a.dcm")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@contextmanager
def silent(*, says: bytes = b"") -> Iterator[str]:
    """A server that takes a connection, says something, and then nothing; gives its origin."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connections: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connections.append(connection)
                connection.sendall(says)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"])
def test_silent_server_is_given_up(says: bytes, pauses: list[float]) -> None:
    """Before the answer and in the middle of it."""
    with silent(says=says) as origin:
        rest = Rest(requests.Session(), f"{origin}/v1", attempts=2, timeout_s=(5.0, 0.1))
        with pytest.raises(DeadlineExceeded, match="in time"):
            rest.json("GET", "x")
        with pytest.raises(DeadlineExceeded, match="in time"), rest.send("GET", "x") as response:
            list(rest.chunks(response))


def test_server_that_hangs_long_is_not_asked_four_times(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    """One attempt that was waited for in vain until the patience is over is the last."""
    monkeypatch.setattr(rest_module, "PATIENCE_S", 0.05)
    with silent() as origin:
        rest = Rest(requests.Session(), f"{origin}/v1", timeout_s=(5.0, 0.1))
        with pytest.raises(DeadlineExceeded):
            rest.json("GET", "x")
    assert pauses == []


def test_every_request_has_time_limits() -> None:
    """By default, and such that an answer that takes its time is not given up."""
    connect_s, read_s = Rest(requests.Session(), "http://x").timeout_s
    assert (connect_s, read_s) == TIMEOUT_S
    assert 0 < connect_s < PATIENCE_S < read_s


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_takes_no_token_to_another_origin(status: int) -> None:
    """Neither through the client, which does not follow, nor through its session, which others use."""
    heard: list[tuple[str, str | None]] = []

    def other(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        heard.append((request.path, request.headers.get("Authorization")))
        return Response("{}", content_type="application/json")(environ, start_response)

    with served(other) as elsewhere:

        def leading_there(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            assert Request(environ).headers["Authorization"] == "Bearer secret"
            return Response(status=status, headers={"Location": f"{elsewhere}/there"})(environ, start_response)

        with served(leading_there) as origin:
            session = token_session(origin, "secret")
            rest = Rest(session, f"{origin}/v1")
            for method in ("GET", "POST", "DELETE"):
                with pytest.raises(ApiError, match="redirect") as caught:
                    rest.json(method, "x", body={} if method == "POST" else None)
                assert "secret" not in str(caught.value)
            assert heard == []
            session.get(f"{origin}/v1/x")
            assert heard == [("/there", None)]
            session.close()


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("5", 5, 5),
        ("Wed, 01 Jan 2020 00:00:00 GMT", 0, 0),
        ("soon", 0, 0.25),
        ("-3", 0, 0.25),
        ("\u00b2", 0, 0.25),
        ("Mon, 01 Jan 0001 00:00:00 -0000", 0, 0.25),
    ],
)
def test_any_retry_after_is_survived(
    faulty: Faulty, pauses: list[float], value: str, least: float, most: float
) -> None:
    """Seconds, a date that is over, and what is neither."""
    with loaded(faulty) as store:
        faulty.faults = [refused(503, Retry_After=value)]
        assert len(store.search_studies()) == 1
    assert least <= pauses[0] <= most


def test_retry_after_in_the_future_is_waited_for(faulty: Faulty, pauses: list[float]) -> None:
    """By the clock of this machine."""
    at = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 20))
    with loaded(faulty) as store:
        faulty.faults = [refused(503, Retry_After=at)]
        store.search_studies()
    assert 10 < pauses[0] <= 20


def test_pauses_of_many_clients_differ(faulty: Faulty, pauses: list[float]) -> None:
    """Those that failed together must not come back together."""
    with loaded(faulty) as store:
        for _ in range(10):
            faulty.faults = [refused(503)]
            store.refresh()
    assert len(set(pauses)) == 10
