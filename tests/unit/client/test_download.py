"""Downloads from servers that break off, change their minds or say little, and downloads that are interrupted."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from werkzeug.wrappers import Request, Response

from dicomkit.client.connection import Connection
from dicomkit.client.dataset import Dataset, create_if_missing
from dicomkit.client.rest import Rest
from dicomkit.client.store import Store
from dicomkit.engine.app import Engine
from dicomkit.errors import PermissionDenied, Unavailable
from dicomkit.names import DatasetName
from dicomkit.transport import ORIGIN, EngineAdapter
from tests.contract.instances import ROOT, ct_slice, part10

NAME = "projects/p/locations/l/datasets/d"
UIDS = (f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1")
BIG = part10(ct_slice(PixelData=bytes(range(256)) * 4096))


class Between:
    """An engine with something between it and the client: ``change`` sees each answer to a GET of an instance."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.change: Callable[[Request, Response], Response] = lambda _, answer: answer
        self.requests: list[Request] = []
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        if request.method != "GET" or "/instances/" not in request.path:
            return self.engine(environ, start_response)
        answer = Response.from_app(self.engine, environ, buffered=True)
        with self._lock:
            self.requests.append(request)
            answer = self.change(request, answer)
        return answer(environ, start_response)


@pytest.fixture
def between(tmp_path: Path) -> Iterator[Between]:
    """An engine with a store of one large instance."""
    with Engine(tmp_path / "home") as engine:
        yield Between(engine)


@pytest.fixture
def store(between: Between, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store; no attempt waits for the one before."""
    monkeypatch.setattr(Rest.__init__, "__kwdefaults__", {**Rest.__init__.__kwdefaults__, "sleep": lambda _: None})
    session = requests.Session()
    session.mount(f"{ORIGIN}/", EngineAdapter(between))
    connection = Connection(session, base_url=f"{ORIGIN}/v1", bigquery_endpoint=ORIGIN, place="here")
    name = DatasetName.parse(NAME)
    create_if_missing(connection.rest, name)
    store = Dataset(connection, name).create_store("ct")
    store.upload(BIG)
    return store


def cut(answer: Response, length: int) -> Response:
    """The answer, breaking off after some bytes."""
    whole = answer.get_data()
    answer.set_data(whole[:length])
    answer.headers["Content-Length"] = str(len(whole))
    return answer


def test_download_that_breaks_off_goes_on_where_it_was(store: Store, between: Between, tmp_path: Path) -> None:
    """Twice, at other places: the rest is asked for, and the hash is right."""
    lengths = [300_000, 300_000]
    between.change = lambda _, answer: cut(answer, lengths.pop(0)) if lengths else answer
    frame = store.download([UIDS], to=tmp_path / "out")
    assert frame["outcome"].tolist() == ["saved"]
    assert frame["sha256"].tolist() == [hashlib.sha256(BIG).hexdigest()]
    assert Path(frame["path"][0]).read_bytes() == BIG
    ranges = [request.headers.get("Range") for request in between.requests]
    assert ranges == [None, "bytes=262144-", "bytes=524288-"]  # whole chunks are kept


def test_instance_that_changes_meanwhile_is_begun_anew(store: Store, between: Between, tmp_path: Path) -> None:
    """The first part was of other bytes: its tag does not hold any more, and none of it stays."""
    other = part10(ct_slice(AccessionNumber="B", PixelData=bytes(1 << 20)))

    def change(_: Request, answer: Response) -> Response:
        if len(between.requests) == 1:
            store.delete_instance(*UIDS)
            store.upload(other)
            return cut(answer, 300_000)
        return answer

    between.change = change
    frame = store.download([UIDS], to=tmp_path / "out")
    assert between.requests[1].headers["Range"] == "bytes=262144-"
    assert frame["outcome"].tolist() == ["saved"]
    assert frame["sha256"].tolist() == [hashlib.sha256(other).hexdigest()]
    assert Path(frame["path"][0]).read_bytes() == other


def test_download_that_never_ends_well_leaves_nothing(store: Store, between: Between, tmp_path: Path) -> None:
    """No file under the name, none under another, and an older one as it was."""
    between.change = lambda _, answer: cut(answer, 10)
    frame = store.download([UIDS], to=tmp_path / "out")
    assert frame["outcome"].tolist() == ["failed"]
    assert "broke off" in frame["reason"][0]
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []
    older = tmp_path / "out" / f"{UIDS[0]}/{UIDS[1]}/{UIDS[2]}.dcm"
    older.write_bytes(b"older")
    store.download([UIDS], to=tmp_path / "out")
    assert older.read_bytes() == b"older"
    assert [*older.parent.iterdir()] == [older]


def silent(_: Request, answer: Response) -> Response:
    """Without what Google's service does not say."""
    answer.headers.pop("ETag", None)
    answer.headers.pop("Accept-Ranges", None)
    return answer


def test_server_without_tags_is_asked_for_the_size(store: Store, between: Between, tmp_path: Path) -> None:
    """A whole file of the instance with that size stays; anything else comes anew."""
    between.change = silent
    (path,) = map(Path, store.download([UIDS], to=tmp_path)["path"])
    between.requests.clear()
    assert store.download([UIDS], to=tmp_path)["outcome"].tolist() == ["already_there"]
    for wrong in (BIG[:-1], bytes(len(BIG)), BIG.replace(UIDS[2].encode(), UIDS[2][:-1].encode() + b"2")):
        path.write_bytes(wrong)
        assert store.download([UIDS], to=tmp_path)["outcome"].tolist() == ["saved"]
        assert path.read_bytes() == BIG


def test_same_file_is_asked_for_by_its_hash(store: Store, between: Between, tmp_path: Path) -> None:
    """One request, no byte of the instance in its answer."""
    store.download([UIDS], to=tmp_path)
    statuses: list[tuple[int, int]] = []

    def note(_: Request, answer: Response) -> Response:
        statuses.append((answer.status_code, len(answer.get_data())))
        return answer

    between.change = note
    assert store.download([UIDS], to=tmp_path)["outcome"].tolist() == ["already_there"]
    assert statuses == [(304, 0)]
    assert between.requests[-1].headers["If-None-Match"] == f'"{hashlib.sha256(BIG).hexdigest()}"'


def test_empty_answer_is_no_file(store: Store, between: Between, tmp_path: Path) -> None:
    """200 and nothing: a failure."""
    between.change = lambda _, __: Response(b"", content_type="application/dicom")
    assert store.download([UIDS], to=tmp_path / "out")["outcome"].tolist() == ["failed"]
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def many(store: Store, count: int) -> str:
    """More instances, in a study of their own."""
    store.upload(part10(ct_slice(2, 1, i)) for i in range(1, count + 1))
    return f"{ROOT}.2"


def test_server_that_gives_nothing_any_more_is_left(store: Store, between: Between, tmp_path: Path) -> None:
    """After some instances in a row; what is there is counted in a note, and the same call goes on."""
    study = many(store, 30)
    given = 8

    def down(_: Request, answer: Response) -> Response:
        nonlocal given
        given -= 1
        return answer if given >= 0 else Response(status=503)

    between.change = down
    with pytest.raises(Unavailable) as caught:
        store.download(study, to=tmp_path / "out", workers=2)
    assert any("8 of 30 files are there" in note for note in caught.value.__notes__)
    assert len(between.requests) < 30 * 4
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 8
    between.change = lambda _, answer: answer
    frame = store.download(study, to=tmp_path / "out")
    assert frame["outcome"].value_counts().to_dict() == {"saved": 22, "already_there": 8}


def test_caller_who_may_not_is_told_at_once(store: Store, between: Between, tmp_path: Path) -> None:
    """403 is about all of them."""
    study = many(store, 30)
    between.change = lambda _, __: Response(status=403)
    with pytest.raises(PermissionDenied):
        store.download(study, to=tmp_path / "out", workers=2)
    assert len(between.requests) < 10


def test_full_disk_ends_the_download(
    store: Store, between: Between, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It will be full for the next one, too; no part of a file stays."""
    study = many(store, 10)
    full = OSError(errno.ENOSPC, "No space left on device")

    def fail(*_: object) -> None:
        raise full

    monkeypatch.setattr("dicomkit.whole_file.os.replace", fail)
    with pytest.raises(OSError, match="No space") as caught:
        store.download(study, to=tmp_path / "out")
    assert any("0 of 10 files are there" in note for note in caught.value.__notes__)
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_interrupted_download_leaves_only_whole_files(
    store: Store, between: Between, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C after some of them: each file that is there is whole, no thread goes on, and the same call ends it."""
    study = many(store, 40)
    done = 0

    def interrupt(self: object, amount: int, note: str = "") -> None:
        nonlocal done
        done += amount
        if done == 7:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dicomkit.client.download.Progress.advance", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.download(study, to=tmp_path / "out")
    found = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert 7 <= len(found) < 40
    want = {f"{ROOT}.2.1.{i}.dcm": part10(ct_slice(2, 1, i)) for i in range(1, 41)}
    assert all(path.read_bytes() == want[path.name] for path in found)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dicomkit-client")]
    frame = store.download(study, to=tmp_path / "out")
    assert frame["outcome"].value_counts().to_dict() == {"already_there": len(found), "saved": 40 - len(found)}


def test_no_more_instances_are_read_than_are_wanted(store: Store, between: Between) -> None:
    """A slow consumer holds the prefetch, and no more."""
    study = many(store, 20)
    instances = store.iter_instances(study, prefetch=3)
    for taken in range(1, 6):
        next(instances)
        assert len(between.requests) <= taken + 3
    instances.close()  # type: ignore[attr-defined]
    assert len(between.requests) <= 8
