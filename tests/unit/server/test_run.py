"""``dicomkit serve`` as a process: what it prints, whom it lets in, how it ends, and what it leaves behind."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

import dicomkit as dk
from dicomkit.engine import Engine
from dicomkit.errors import InvalidArgument
from dicomkit.server.run import for_many_threads
from tests.contract.instances import ct_slice, part10
from tests.process import TOKEN, serve

STUDIES = "/v1/projects/local/locations/local/datasets/default/dicomStores/ct/dicomWeb/studies"


def _refused(*arguments: str) -> str:
    """What the command says as it ends with an error, on one line and without a traceback."""
    command = [sys.executable, "-m", "dicomkit", "serve", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "DICOMKIT_TOKEN"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def _connected(url: str) -> socket.socket:
    """A connection that the server has taken: it has answered once."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30)
    try:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while not received.endswith(b"ok\n"):
            piece = connection.recv(1 << 16)
            if not piece:
                raise ConnectionResetError
            received += piece
    except ConnectionError:
        connection.close()
        raise
    return connection


def test_ready_line_connects(tmp_path: Path) -> None:
    """The token is made and printed once, as a line of Python that works; every start makes another."""
    seen = set()
    for _ in range(2):
        with serve(tmp_path / "home", token=None) as process:
            (line,) = [line for line in process.lines if "dicomkit.connect" in line]
            match = re.fullmatch(r'dicomkit\.connect\("(http://127\.0\.0\.1:\d+)", token="([\w-]{43})"\)', line.strip())
            assert match
            assert "".join(process.lines).count(match[2]) == 1
            seen.add(match[2])
            with dk.connect(match[1], token=match[2]) as dataset:
                store = dataset.create_store("ct") if not len(dataset.stores()) else dataset.store("ct")
                store.upload(ct_slice())
                assert len(store.search_instances()) == 1
            with pytest.raises(dk.errors.Unauthenticated):
                dk.connect(match[1])
            assert process.stop() == 0
            log = process.stderr.read()
            assert match[2] not in log
            assert "healthcare.projects.locations.datasets.dicomStores.storeInstances 200 " in log
            assert "1.2.826" not in log
    assert len(seen) == 2


def test_threads_take_turns_quickly_while_a_home_is_served() -> None:
    """A request gets its turn beside one that computes; whoever runs a server in a program of his own gets his back."""
    before = sys.getswitchinterval()
    with for_many_threads():
        assert sys.getswitchinterval() < before / 10
        assert gc.get_freeze_count()
    assert sys.getswitchinterval() == before
    assert not gc.get_freeze_count()


def test_given_token_is_not_printed(tmp_path: Path) -> None:
    """Whoever gave it knows it; what is printed may end in a log."""
    with serve(tmp_path / "home", "--quiet") as process:
        assert TOKEN not in "".join(process.lines)
        with dk.connect(process.url, token=TOKEN) as dataset:
            assert len(dataset.stores()) == 0
        assert process.stop() == 0
        assert process.stderr.read() == ""


def test_home_that_is_served_says_where(tmp_path: Path) -> None:
    """Whoever wants to open it is told the process and its URL; when it has ended, the folder is free."""
    home = tmp_path / "home"
    with serve(home, "--quiet") as process:
        wanted = rf"process {process.popen.pid}, which serves it at '{process.url}'"
        with pytest.raises(dk.errors.Unavailable, match=wanted):
            dk.connect(home)
        assert re.search(wanted, _refused(str(home), "--port", "0"))
        assert stat.S_IMODE((home / "lock").stat().st_mode) == 0o600
        assert process.stop() == 0
    with dk.connect(home) as dataset:
        assert len(dataset.stores()) == 0
        # An engine in a process that serves nothing has no URL to tell.
        with pytest.raises(dk.errors.Unavailable, match=rf"process {os.getpid()}; close it there"):
            Engine(home)


def test_files_are_the_owners_only(tmp_path: Path) -> None:
    """Whatever the umask."""
    home = tmp_path / "home"
    before = os.umask(0)
    try:
        with serve(home, "--quiet") as process:
            with dk.connect(process.url, token=TOKEN) as dataset:
                dataset.create_store("ct", stream_to="bq://local.imaging.ct").upload(ct_slice())
            modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [home, *home.rglob("*")]}
            assert process.stop() == 0
    finally:
        os.umask(before)
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_stop_delivers_what_waits_for_a_table(tmp_path: Path) -> None:
    """What was acknowledged a moment before the signal is in the table of the next process."""
    home = tmp_path / "home"
    with serve(home, "--quiet") as process:
        with dk.connect(process.url, token=TOKEN) as dataset:
            store = dataset.create_store("ct", stream_to="bq://local.imaging.ct")
            store.upload([ct_slice(instance=number) for number in range(1, 30)])
        assert process.stop() == 0
    with Engine(home) as engine:
        name = dk.names.DatasetName("local", "local", "default").store("ct")
        assert [stream["waiting"] for stream in engine.streaming.status(name)] == [0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_request_under_way_is_answered_before_the_end(tmp_path: Path, number: signal.Signals) -> None:
    """Half of its body had come when the signal did."""
    body = part10(ct_slice())
    with serve(tmp_path / "home", "--quiet") as process:
        with dk.connect(process.url, token=TOKEN) as dataset:
            dataset.create_store("ct")
        with closing(_connected(process.url)) as connection:
            head = (
                f"POST {STUDIES} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
                f"Content-Type: application/dicom\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body[:100])
            process.popen.send_signal(number)
            while True:  # until nobody listens any more
                try:
                    _connected(process.url).close()
                except ConnectionError:
                    break
            connection.sendall(body[100:])
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        assert process.popen.wait(60) == 0


def test_second_signal_ends_at_once(tmp_path: Path) -> None:
    """A client that never ends keeps nobody at the terminal; what was acknowledged is there at the next start."""
    home = tmp_path / "home"
    with serve(home, "--quiet") as process:
        with dk.connect(process.url, token=TOKEN) as dataset:
            dataset.create_store("ct").upload(ct_slice())
        with closing(_connected(process.url)) as connection:
            connection.sendall(f"POST {STUDIES} HTTP/1.1\r\nHost: localhost\r\n".encode())
            process.popen.send_signal(signal.SIGINT)
            while True:  # until nobody listens any more, which is when the first signal was seen
                try:
                    _connected(process.url).close()
                except ConnectionError:
                    break
            process.popen.send_signal(signal.SIGINT)
            assert process.popen.wait(60) == 128 + signal.SIGINT
            assert "at once" in process.stderr.read()
    with dk.connect(home) as dataset:
        assert len(dataset.store("ct").search_instances()) == 1


def test_network_wants_a_token(tmp_path: Path) -> None:
    """Refused before anything listens and before a folder is made."""
    home = tmp_path / "home"
    for host in ("0.0.0.0", "192.0.2.1", "::", "imaging.example"):
        assert "wants a token" in _refused(str(home), "--host", host)
    assert not home.exists()


def test_network_with_a_token_is_warned_about(tmp_path: Path) -> None:
    """HTTP is not encrypted; the names of the machine have to be given, addresses are taken."""
    with serve(tmp_path / "home", "--host", "0.0.0.0", "--allow-host", "imaging.example", "--quiet") as process:
        assert any(line.startswith("Warning: ") for line in process.lines)
        for host, status in (("imaging.example", 200), ("127.0.0.1", 200), ("evil.example", 400)):
            with requests.Session() as session:
                session.trust_env = False
                answer = session.get(f"{process.url}/healthz", headers={"Host": host}, timeout=30)
                assert answer.status_code == status
        assert process.stop() == 0


def test_client_is_told_the_mode_and_refuses_another_one(tmp_path: Path) -> None:
    """Whoever expects Google's refusals does not get the friendly engine without a word, nor the other way round."""
    with serve(tmp_path / "home", "--mode", "google") as process:
        with pytest.raises(InvalidArgument, match="answers with mode='google'; start it with --mode friendly"):
            dk.connect(process.url, token=TOKEN, mode="friendly")
        for mode in ("google", None):
            with dk.connect(process.url, token=TOKEN, mode=mode) as dataset:
                assert dataset.stores().empty
        assert process.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--allow-origin", "*"], "no origin"),
        (["--token", "short"], "8 to 512"),
        (["--mode", "strict"], "strict"),
        (["--port", "70000"], "65535"),
        (["--principals", "/nonexistent"], "does not exist"),
    ],
)
def test_wrong_option_is_refused_in_a_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    """With the reason, and without starting."""
    assert words in " ".join(_refused(str(tmp_path / "home"), *arguments).split())


def test_port_in_use_is_refused(tmp_path: Path) -> None:
    """With what to do."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} is in use" in _refused(str(tmp_path / "home"), "--port", str(port))


def test_principals_have_their_own_tokens(tmp_path: Path) -> None:
    """Whom the file names is let in, and may do what the policies grant."""
    principals = tmp_path / "principals.json"
    principals.write_text(json.dumps({"principals": [{"member": "user:alice@example.com", "token": "token-of-alice"}]}))
    principals.chmod(0o600)
    with serve(tmp_path / "home", "--principals", str(principals), "--quiet") as process:
        with dk.connect(process.url, token=TOKEN) as mine:
            mine.create_store("ct").upload(ct_slice())
            with dk.connect(process.url, token="token-of-alice") as hers:
                with pytest.raises(dk.errors.PermissionDenied):
                    hers.store("ct").search_instances()
                mine.store("ct").grant("roles/healthcare.dicomViewer", "user:alice@example.com")
                assert len(hers.store("ct").search_instances()) == 1
                with pytest.raises(dk.errors.PermissionDenied):
                    hers.create_store("mr")
        assert process.stop() == 0
