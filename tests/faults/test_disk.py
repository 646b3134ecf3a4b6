"""A disk that fails or is full: never a 200 for what is not on it, and nothing that was there is lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

from dicomkit.engine import Engine
from dicomkit.engine.persistence import blobs
from tests.faults.test_kill import EXPECTED
from tests.unit.engine.factories import FILE_AS_STORED, Instance, client, instance, store

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home") as made:
        yield made


def there(http: Client, one: Instance) -> bool:
    answer = http.get(one.path, headers={"Accept": FILE_AS_STORED})
    assert answer.status_code in (200, 404)
    assert answer.status_code == 404 or answer.data == one.data
    return answer.status_code == 200


def failing_sync(fd: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("pixels", [200, 5 << 20])
def test_a_failed_sync_is_never_answered_with_200(engine: Engine, monkeypatch: pytest.MonkeyPatch, pixels: int) -> None:
    """503, for this request and for every later one until the folder is opened again; reading goes on."""
    http = client(engine)
    before, lost, later = instance(), instance(pixels=pixels), instance()
    assert store(http, before).status_code == 200
    monkeypatch.setattr(blobs, "_data_sync", failing_sync)
    answer = store(http, lost)
    assert (answer.status_code, answer.json["error"]["status"]) == (503, "UNAVAILABLE")
    monkeypatch.undo()
    assert store(http, later).status_code == 503
    assert there(http, before)
    assert not there(http, lost)
    engine.close()
    with Engine(engine.home.path) as again:
        http = Client(again)
        assert there(http, before)
        assert not there(http, lost)
        assert store(http, lost, later).status_code == 200


def test_a_full_disk_refuses_and_recovers(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """429 RESOURCE_EXHAUSTED while there is no room; the same request passes when there is."""
    http = client(engine)
    before, one = instance(), instance()
    store(http, before)

    def full(fd: int, pieces: object, offset: int) -> int:
        os.pwrite(fd, b"some of it", offset)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwritev", full)
        answer = store(http, one)
        assert (answer.status_code, answer.json["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert there(http, before)
    assert not there(http, one)
    assert store(http, one).status_code == 200
    assert there(http, one)


_LIMITED = """
import resource, sys
from pathlib import Path
from dicomkit.engine import Engine
from werkzeug.test import Client
from tests.unit.engine.factories import *
engine = Engine(sys.argv[1])
http = client(engine)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (800_000, hard))
answers = []
for n in range(40):
    one = instance(pixels=30_000)
    answer = store(http, one)
    answers.append(answer.status_code)
    found = http.get(one.path, headers={"Accept": FILE_AS_STORED})
    assert (found.status_code, answer.status_code == 200) in ((200, True), (404, False)), (found.status, answer.status)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
engine.close()
with Engine(sys.argv[1]) as engine:
    http = Client(engine)
    assert len(http.get(f"{WEB}/instances").json) == answers.count(200)
    assert store(http, instance()).status_code == 200
print(sorted(set(answers)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_files_that_cannot_grow(tmp_path: Path) -> None:
    """The kernel refuses every write past a size, in blobs and catalog alike: errors, never a wrong 200, no loss."""
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(tmp_path / "home")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    statuses = json.loads(done.stdout)
    assert statuses[0] == 200
    assert len(statuses) > 1
    assert set(statuses) <= {200, 429, 503}


def _can_trace() -> bool:
    strace = shutil.which("strace")
    if strace is None:
        return False
    probe = [strace, "-f", "--seccomp-bpf", "-o", os.devnull, "-e", "inject=fdatasync:error=EIO:when=99", "true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif("CI" not in os.environ and not _can_trace(), reason="needs strace that may trace")
@pytest.mark.parametrize(
    ("call", "when"), [("fdatasync", "2"), ("fdatasync", "5"), ("fdatasync", "3+"), ("fsync", "2")]
)
def test_io_errors_of_the_kernel_are_never_answered_with_200(tmp_path: Path, call: str, when: str) -> None:
    """EIO from one sync, or from all of them on: of blobs, catalog or warehouse, whoever makes it."""
    home = str(tmp_path / "home")
    runner = [sys.executable, "-m", "tests.faults.kill_runner", home]
    trace = tmp_path / "trace"
    strace = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-o",
        str(trace),
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:error=EIO:when={when}",
    ]
    subprocess.run([*runner, "work"], cwd=ROOT, capture_output=True, timeout=120, check=True)
    subprocess.run([*strace, *runner, "work"], cwd=ROOT, capture_output=True, timeout=120, check=False)
    assert "(INJECTED)" in trace.read_text()
    done = subprocess.run([*runner, "verify"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    report = json.loads(done.stdout)
    assert {key: report.get(key) for key in EXPECTED} == EXPECTED, report
    assert report["acknowledged"] >= 18
