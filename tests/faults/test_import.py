"""Imports that are killed, interrupted and cancelled (C37, C38): counters are right, and nothing is there twice."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from werkzeug.test import Client

from dicomkit.dicom import multipart
from dicomkit.engine import Engine
from dicomkit.engine.crash_points import ENVIRONMENT
from dicomkit.engine.services import imports, task
from dicomkit.engine.services.task import Task
from tests.unit.engine.factories import STORE, WEB, client, instance

ROOT = Path(__file__).resolve().parents[2]
FILES = 500


def run(home: Path, crash_at: str = "") -> subprocess.CompletedProcess[str]:
    """One process that works on the import of *home*."""
    return subprocess.run(
        [sys.executable, "-m", "tests.faults.import_runner", str(home), str(FILES)],
        cwd=ROOT,
        env={**os.environ, ENVIRONMENT: crash_at},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize(
    "kills",
    [
        ["pre_blob:1"],  # nothing stored yet
        ["mid_blob:3"],  # half of a portion written
        ["in_txn:2"],  # rows written, not committed
        ["pre_ack:1"],  # stored, and not counted
        ["pre_ack:5"],  # all stored, the last portion not counted
        ["post_commit:3", "post_commit:2"],
        ["pre_ack:2", "in_txn:1", "pre_ack:2"],
    ],
    ids=" ".join,
)
def test_a_killed_import_ends_as_if_nothing_had_been(tmp_path: Path, kills: list[str]) -> None:
    """After kill -9 and a restart the operation ends with the right counters, no duplicate instance and no such row."""
    for spec in kills:
        assert run(tmp_path / "home", spec).returncode == -signal.SIGKILL
    done = run(tmp_path / "home")
    assert done.returncode == 0, done.stderr[-2_000:]
    assert json.loads(done.stdout) == {
        "done": True,
        "is_response": True,
        "counter": {"success": str(FILES), "failure": "1"},
        "errors": ["gs://bucket/99999.txt"],
        "instances": FILES,
        "listed": FILES,
        "blobs": [FILES, FILES],
        "rows": [str(FILES), str(FILES)],
        "temporary": 0,
    }


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home") as made:
        yield made


def fill(engine: Engine, count: int, **values: Any) -> None:
    """*count* files in ``gs://bucket``."""
    folder = engine.home.buckets / "bucket"
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"{number:03}.dcm").write_bytes(instance(**values).data)


def begin(http: Client) -> str:
    """Name of the operation that imports the bucket."""
    name: str = http.post(f"{STORE}:import", json={"gcsSource": {"uri": "gs://bucket/**"}}).json["name"]
    return name


def stored(http: Client) -> int:
    answer = http.get(f"{WEB}/instances")
    return len(answer.json) if answer.status_code == 200 else 0


def test_a_cancelled_import_stops_at_the_next_file(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with CANCELLED; what was read before it is stored, and the counters say how much that is."""
    http = client(engine)
    fill(engine, 250)
    reached, go_on = threading.Event(), threading.Event()
    check = Task.check
    monkeypatch.setattr(task, "SAVE_S", 0)

    def at_file_130(self: Task) -> None:
        if len(taken) == 130:
            reached.set()
            assert go_on.wait(60)
        check(self)

    taken: list[str] = []
    read = imports._Portion._read

    def noted(self: imports._Portion, item: Any, opener: Any) -> Any:
        taken.append(item.uri)
        return read(self, item, opener)

    monkeypatch.setattr(Task, "check", at_file_130)
    monkeypatch.setattr(imports._Portion, "_read", noted)
    name = begin(http)
    assert reached.wait(60)
    running = http.get(f"/v1/{name}").json
    assert "done" not in running
    assert running["metadata"]["counter"] == {"success": "100", "pending": "150"}
    assert http.post(f"/v1/{name}:cancel", json={}).json == {}
    go_on.set()
    assert engine.operations.wait(60)
    ended = http.get(f"/v1/{name}").json
    assert ended["error"]["code"] == 1
    assert ended["metadata"]["cancelRequested"] is True
    assert len(taken) == 130
    assert ended["metadata"]["counter"] == {"success": str(stored(http))} == {"success": "129"}


def test_a_cancelled_import_stops_in_the_middle_of_a_file(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file is left after the chunk that was being read; nothing of it stays."""
    http = client(engine)
    fill(engine, 1, pixels=8 << 20)
    reached, go_on = threading.Event(), threading.Event()
    chunks: list[int] = []
    read = imports._Source.read

    def third_waits(self: imports._Source, size: int, /) -> bytes:
        chunks.append(size)
        if len(chunks) == 20:
            reached.set()
            assert go_on.wait(60)
        return read(self, size)

    monkeypatch.setattr(imports._Source, "read", third_waits)
    name = begin(http)
    assert reached.wait(60)
    assert len(list(engine.home.tmp.iterdir())) == 1
    http.post(f"/v1/{name}:cancel", json={})
    go_on.set()
    assert engine.operations.wait(60)
    ended = http.get(f"/v1/{name}").json
    assert ended["error"]["code"] == 1
    assert ended["metadata"].get("counter", {}) == {}
    assert len(chunks) == 20
    assert max(chunks) <= multipart._CHUNK
    assert list(engine.home.tmp.iterdir()) == []
    assert stored(http) == 0


def test_an_import_that_is_interrupted_goes_on(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing the folder stops it between two files; opening it again finishes it, each file once."""
    http = client(engine)
    fill(engine, 250)
    reached = threading.Event()
    taken: list[str] = []
    read = imports._Portion._read

    def noted(self: imports._Portion, item: Any, opener: Any) -> Any:
        taken.append(item.uri)
        if len(taken) == 120:
            reached.set()
            assert self._task._closing.wait(60)
        return read(self, item, opener)

    monkeypatch.setattr(imports._Portion, "_read", noted)
    name = begin(http)
    assert reached.wait(60)
    engine.close()
    assert len(taken) == 120
    with Engine(engine.home.path) as again:
        assert again.operations.wait(60)
        http = Client(again)
        ended = http.get(f"/v1/{name}").json
        assert ended["metadata"]["counter"] == {"success": "250"}
        assert "response" in ended
        assert stored(http) == 250
    assert len(taken) == 251  # the one that was not read is met again
    assert len(set(taken)) == 250


class _Broken(io.RawIOBase):
    """A file on a disk that fails."""

    def read(self, size: int = -1, /) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_file_that_cannot_be_read_is_a_failure(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk in one file, and one that is gone when its turn comes; the others go in."""
    http = client(engine)
    fill(engine, 5)
    read = imports._Source.read
    opened: list[str] = []
    portion = imports._Portion._read

    def failing(self: imports._Source, size: int, /) -> bytes:
        if opened[-1].endswith("001.dcm"):
            self._stream = cast(BinaryIO, _Broken())
        return read(self, size)

    def noted(self: imports._Portion, item: Any, opener: Any) -> Any:
        opened.append(item.uri)
        if item.uri.endswith("003.dcm"):
            (engine.home.buckets / "bucket" / "003.dcm").unlink()
        return portion(self, item, opener)

    monkeypatch.setattr(imports._Source, "read", failing)
    monkeypatch.setattr(imports._Portion, "_read", noted)
    name = begin(http)
    assert engine.operations.wait(60)
    ended = http.get(f"/v1/{name}").json
    assert ended["metadata"]["counter"] == {"success": "3", "failure": "2"}
    errors = http.get(f"/dicomkit/v1/{name}:errors").json["errors"]
    assert [(item["source"], item["error"]["code"]) for item in errors] == [
        ("gs://bucket/001.dcm", 14),
        ("gs://bucket/003.dcm", 5),
    ]
    assert stored(http) == 3


def test_a_store_that_is_deleted_ends_its_import(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """NOT_FOUND, and no crash of the worker."""
    http = client(engine)
    fill(engine, 3)
    read = imports._Portion._read

    def deleting(self: imports._Portion, item: Any, opener: Any) -> Any:
        http.delete(STORE)
        return read(self, item, opener)

    monkeypatch.setattr(imports._Portion, "_read", deleting)
    name = begin(http)
    assert engine.operations.wait(60)
    assert http.get(f"/v1/{name}").json["error"]["code"] == 5
