"""Connections of clients that are slow, that break off, or that mean no good, to ``dicomkit serve`` as a process."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from tests.contract.instances import ct_slice, part10
from tests.process import TOKEN, Process, serve
from tests.unit.server.raw_requests import HEAD, REFUSED, SMUGGLED

DATASET = "/v1/projects/local/locations/local/datasets/default"
WEB = f"{DATASET}/dicomStores/ct/dicomWeb"

CUTS = 50
SLOW_CLIENTS = 200

IS_LONG = "DICOMKIT_TEST_LONG" in os.environ
"""Whether bodies that pause are waited for."""

GIGABYTES = 2.0 if IS_LONG or "CI" in os.environ else 0.5
"""Size of the large instances; 2 is what is promised."""


@dataclass
class Site:
    """A served home with an empty store."""

    process: Process
    home: Path

    @property
    def url(self) -> str:
        return self.process.url

    def session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.headers.update({"Authorization": f"Bearer {TOKEN}", "Accept": "application/dicom+json"})
        return session

    def socket(self) -> socket.socket:
        parts = urlsplit(self.url)
        return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60)

    def exchange(self, raw: bytes) -> bytes:
        """All that comes back before the server closes the connection."""
        with self.socket() as connection:
            connection.sendall(raw)
            return rest(connection)

    def found(self) -> list[str]:
        """UIDs of what is stored."""
        with self.session() as session:
            answer = session.get(f"{self.url}{WEB}/instances", timeout=60)
        items = answer.json() if answer.status_code == 200 else []
        return [item["00080018"]["Value"][0] for item in items]

    def files(self) -> int:
        """How many files and sockets the server has open."""
        return psutil.Process(self.process.popen.pid).num_fds()

    def settled(self, most: int) -> bool:
        """Whether the server comes down to *most* open files, and to no temporary one, when it had a little time."""
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up:
            if self.files() <= most and not any((self.home / "tmp").iterdir()):
                return True
            time.sleep(0.05)
        return False


def rest(connection: socket.socket) -> bytes:
    received = b""
    try:
        while data := connection.recv(1 << 16):
            received += data
    except ConnectionResetError:
        pass
    return received


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serve(tmp_path / "home", "--quiet") as process:
        made = Site(process, tmp_path / "home")
        with made.session() as session:
            assert session.post(f"{made.url}{DATASET.rpartition('/')[0]}?datasetId=default").status_code == 200
            assert session.post(f"{made.url}{DATASET}/dicomStores?dicomStoreId=ct", json={}).status_code == 200
        yield made
        assert process.popen.poll() is None
        assert process.stop() == 0
        assert process.stderr.read() == ""


def upload(count: int, side: int) -> tuple[bytes, list[int]]:
    """A multipart request with *count* images of *side* pixels squared, and where each part begins in it."""
    body, starts = b"", []
    for number in range(1, count + 1):
        starts.append(len(body))
        pixels = bytes(2 * side * side)
        file = part10(ct_slice(instance=number, Rows=side, Columns=side, PixelData=pixels))
        body += b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n"
    body += b"--b--\r\n"
    head = (
        f"POST {WEB}/studies HTTP/1.1\r\n{HEAD}Accept: application/dicom+json\r\nConnection: close\r\n"
        f'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\nContent-Length: {len(body)}\r\n\r\n'
    ).encode()
    return head + body, [len(head) + at for at in starts]


def test_an_upload_that_breaks_off_leaves_nothing(site: Site) -> None:
    """At fifty places, in the head and between parts and within them: no instance, no file, no open socket is left.

    A request is handed on when it is there as a whole, so that of one that is not, nothing is stored.
    """
    raw, starts = upload(8, side=300)
    places = sorted({*range(1, len(raw), len(raw) // (CUTS - len(starts))), *starts, len(raw) - 1})
    assert len(places) >= CUTS
    before = site.files()
    for number, place in enumerate(places):
        with site.socket() as connection:
            connection.sendall(raw[:place])
            if number % 3 == 0:
                connection.shutdown(socket.SHUT_WR)
                assert b"HTTP/1.1 2" not in rest(connection)
            elif number % 3 == 1:  # a reset instead of an end
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert site.settled(before + 2)
    assert site.found() == []
    assert site.exchange(raw).startswith(b"HTTP/1.1 200 ")
    assert len(site.found()) == 8


def test_an_answer_that_nobody_takes_leaves_nothing(site: Site) -> None:
    """Clients that go in the middle of a study: the files that it came from are closed."""
    raw, _ = upload(40, side=170)
    assert site.exchange(raw).startswith(b"HTTP/1.1 200 ")
    study = ct_slice().StudyInstanceUID
    accept = 'Accept: multipart/related; type="application/dicom"; transfer-syntax=*'
    before = site.files()
    for number in range(CUTS):
        with site.socket() as connection:
            connection.sendall(f"GET {WEB}/studies/{study} HTTP/1.1\r\n{HEAD}{accept}\r\n\r\n".encode())
            assert len(connection.recv(1 + number * 1_000)) > 0
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert site.settled(before + 2)
    assert len(site.found()) == 40


def test_what_could_be_read_in_two_ways_reaches_no_store(site: Site) -> None:
    """The process refuses each such request once and ends its connection; afterwards it is as it was."""
    before = site.files()
    for raw, status in REFUSED:
        received = site.exchange((raw + SMUGGLED).encode("latin-1", "replace"))
        assert received[:13] in (f"HTTP/1.1 {status} ".encode(), f"HTTP/1.0 {status} ".encode()), raw[:100]
        assert received.count(b"HTTP/1.") == 1, raw[:100]
        assert TOKEN.encode() not in received
    assert site.settled(before + 2)
    assert site.found() == []


def drip(connection: socket.socket, closed: list[float], begin: float) -> None:
    """Keep a connection alive with as little as possible, until the server ends it."""
    connection.settimeout(1.0)
    while True:
        try:
            if connection.recv(1 << 16) == b"":
                break
        except TimeoutError:
            try:
                connection.sendall(b"X")
            except OSError:
                break
        except OSError:
            break
    closed.append(time.monotonic() - begin)


def wait(connection: socket.socket, closed: list[float], begin: float) -> None:
    """Say nothing more, until the server ends the connection."""
    rest(connection)
    closed.append(time.monotonic() - begin)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_slow_clients_keep_nobody_waiting_and_are_sent_away(site: Site) -> None:
    """Two hundred of them, that never end a head, or a body, or say nothing: a good client is answered all the while.

    Heads have ten seconds, which is waited for; a body may pause for thirty, which is waited for in the long form.
    """
    body_head = (
        f"POST {WEB}/studies HTTP/1.1\r\n{HEAD}Content-Type: application/dicom\r\nContent-Length: 100000\r\n\r\n"
    )
    kinds = {
        "head": f"GET {WEB}/studies HTTP/1.1\r\n{HEAD}X-A: ",
        "bare": f"GET {WEB}/studies HTTP/1.1\n{HEAD}\n".replace("\r", ""),
        "silent": "",
        "body": body_head,
    }
    closed: dict[str, list[float]] = {kind: [] for kind in kinds}
    waits = []
    with ExitStack() as stack, site.session() as session:
        begin, threads = time.monotonic(), []
        for number in range(SLOW_CLIENTS):
            kind = list(kinds)[number % len(kinds)]
            connection = stack.enter_context(site.socket())
            connection.sendall(kinds[kind].encode())
            if kind == "body" and not IS_LONG:
                continue
            end = drip if kind in ("head", "bare") else wait
            threads.append(threading.Thread(target=end, args=(connection, closed[kind], begin)))
            threads[-1].start()
        while any(thread.is_alive() for thread in threads):
            asked = time.monotonic()
            assert session.get(f"{site.url}{WEB}/studies", timeout=60).status_code == 204
            waits.append(time.monotonic() - asked)
            time.sleep(0.05)
    assert sorted(waits)[len(waits) * 99 // 100] < 1
    assert len(waits) > 50
    limits = {"head": (9, 25), "bare": (9, 25), "silent": (9, 25)} | ({"body": (29, 60)} if IS_LONG else {})
    for kind, (least, most) in limits.items():
        assert len(closed[kind]) == SLOW_CLIENTS // len(kinds)
        assert least < min(closed[kind]) and max(closed[kind]) < most, kind


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_large_instances_pass_without_memory(site: Site) -> None:
    """Up in a multipart body, and down again alone and with its study: memory stays, temporary files go."""
    size = int(GIGABYTES * (1 << 30)) // (4 << 20) * (4 << 20)
    block = bytes(range(256)) * (4 << 12)
    small = part10(ct_slice())
    before, at = small.split(b"\xe0\x7f\x10\x00OW\0\0")[0], size.to_bytes(4, "little")
    before = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + before + b"\xe0\x7f\x10\x00OW\0\0" + at

    def body() -> Iterator[bytes]:
        yield before
        for _ in range(size // len(block)):
            yield block
        yield b"\r\n--b--\r\n"

    process = psutil.Process(site.process.popen.pid)
    is_over, samples = threading.Event(), [process.memory_info().rss]

    def sample() -> None:
        while not is_over.wait(0.01):
            samples.append(process.memory_info().rss)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        with site.session() as session:
            headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
            answer = session.post(f"{site.url}{WEB}/studies", data=body(), headers=headers, timeout=300)
            assert answer.status_code == 200, answer.text
            assert not any((site.home / "tmp").iterdir())
            image = ct_slice()
            study = f"{site.url}{WEB}/studies/{image.StudyInstanceUID}"
            instance = f"{study}/series/{image.SeriesInstanceUID}/instances/{image.SOPInstanceUID}"
            for url, accept in (
                (instance, "application/dicom; transfer-syntax=*"),
                (study, 'multipart/related; type="application/dicom"; transfer-syntax=*'),
                (f"{instance}/bulkdata/7FE00010", "application/octet-stream; transfer-syntax=*"),
            ):
                with session.get(url, headers={"Accept": accept}, stream=True, timeout=300) as answer:
                    assert answer.status_code == 200
                    assert sum(map(len, answer.iter_content(1 << 20))) >= size
    finally:
        is_over.set()
        thread.join()
    assert max(samples) - samples[0] < 150 << 20
    assert not any((site.home / "tmp").iterdir())
