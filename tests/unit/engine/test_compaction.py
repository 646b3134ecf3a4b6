"""Space of deleted instances comes back, whoever reads and stores meanwhile, and no byte of the others changes."""

from __future__ import annotations

import errno
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from werkzeug.test import Client

from dicomkit.engine import Engine
from dicomkit.engine.persistence import blobs
from dicomkit.engine.persistence.relocation import residents
from dicomkit.engine.services import compaction
from dicomkit.engine.services.retrieve import Target
from dicomkit.errors import NotFound
from dicomkit.names import DicomStoreName
from tests.unit.engine.factories import (
    AS_STORED,
    DATASET,
    FILE_AS_STORED,
    STORE,
    WEB,
    Instance,
    client,
    instance,
    store,
)

SEGMENT = 20_000
"""Bytes of a segment here: about ten instances."""

NAME = DicomStoreName.parse(STORE.removeprefix("/v1/"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home", segment_bytes=SEGMENT) as made:
        yield made


@pytest.fixture
def http(engine: Engine) -> Client:
    return client(engine)


def stored(http: Client, count: int, study: str = "1.2.3") -> list[Instance]:
    """Instances of one study, stored in one request."""
    made = [instance(study=study, series=f"{study}.4", pixels=1_000 + 10 * n, InstanceNumber=n) for n in range(count)]
    assert store(http, *made).status_code == 200
    return made


def delete(http: Client, files: Sequence[Instance]) -> None:
    for one in files:
        assert http.delete(one.path).status_code == 200


def read(http: Client, one: Instance) -> bytes:
    answer = http.get(one.path, headers={"Accept": FILE_AS_STORED})
    assert answer.status_code == 200, answer.text
    return answer.data


def settled(engine: Engine) -> int:
    """Bytes on disk when compaction has nothing to do; the catalog knows of each of them."""
    assert engine.compaction.finish(30)
    sizes = {int(p.stem): p.stat().st_size for p in engine.home.blobs.iterdir()}
    with engine.storage.database.read() as connection:
        known = {key: (size, live) for key, size, live in connection.execute("SELECT key, size, live FROM segments")}
        used = dict(connection.execute("SELECT segment, SUM(length) FROM instances GROUP BY segment"))
    assert sizes == {key: size for key, (size, _) in known.items()}
    assert {key: live for key, (_, live) in known.items() if live} == used
    return sum(sizes.values())


def test_space_of_deleted_instances_comes_back(http: Client, engine: Engine) -> None:
    """What is left takes at most twice its size and one segment, and is equal to the byte."""
    files = stored(http, 100)
    before = settled(engine)
    kept, gone = files[::5], [f for n, f in enumerate(files) if n % 5]
    delete(http, gone)
    after = settled(engine)
    live = sum(len(f.data) for f in kept)
    assert before == sum(len(f.data) for f in files)
    assert live <= after <= 2 * live + SEGMENT < before / 2
    assert all(read(http, one) == one.data for one in kept)
    assert {http.get(one.path, headers={"Accept": FILE_AS_STORED}).status_code for one in gone} == {404}


@pytest.mark.parametrize("what", ["study", "series", "store", "dataset"])
def test_every_kind_of_delete_gives_space_back(http: Client, engine: Engine, what: str) -> None:
    """A neighbour in the same segments does not keep the bytes of what was deleted."""
    other = f"{DATASET.rpartition('/')[0]}/{'other' if what == 'dataset' else 'default'}"
    if what == "dataset":
        http.post(f"{other.rpartition('/')[0]}?datasetId=other")
    http.post(f"{other}/dicomStores?dicomStoreId=other")
    kept = []
    for n in range(40):
        one, *gone = (instance(study="1.2.3", series=f"1.2.3.{n % 4 + 1}", pixels=1_000) for n in range(4))
        target = f"{other}/dicomStores/other/dicomWeb/studies" if what in ("store", "dataset") else f"{WEB}/studies"
        one = instance(study="1.2.4", series="1.2.4.1", pixels=1_000)
        assert store(http, one).status_code == 200
        assert store(http, *gone, path=target).status_code == 200
        kept.append(one)
    before = settled(engine)
    paths = {
        "study": [f"{WEB}/studies/1.2.3"],
        "series": [f"{WEB}/studies/1.2.3/series/1.2.3.{n}" for n in (2, 3, 4)],
        "store": [f"{other}/dicomStores/other"],
        "dataset": [other],
    }
    for path in paths[what]:
        assert http.delete(path).status_code == 200
    assert engine.operations.wait(30)
    assert settled(engine) < before / 2
    assert all(read(http, one) == one.data for one in kept)


def test_a_segment_that_is_appended_to_does_not_keep_much_for_nothing(http: Client, engine: Engine) -> None:
    """It is sealed when deleted instances fill half of what it may hold, and given back."""
    files = stored(http, 10)
    (path,) = engine.home.blobs.iterdir()
    assert path.stat().st_size < SEGMENT
    delete(http, files[:-1])
    assert settled(engine) <= len(files[-1].data) + SEGMENT // 2
    assert not path.exists()
    assert read(http, files[-1]) == files[-1].data


def test_what_is_half_in_use_stays_where_it_is(http: Client, engine: Engine) -> None:
    """Bytes are copied only where that gives back more than it costs."""
    files = stored(http, 50)
    names = sorted(engine.home.blobs.iterdir())
    delete(http, files[::3])
    settled(engine)
    assert sorted(engine.home.blobs.iterdir()) == names


def test_large_instances_are_left_alone(http: Client, engine: Engine) -> None:
    """A file of its own is never copied; it goes with its instance."""
    large = instance(pixels=5 << 20)
    assert store(http, large).status_code == 200
    delete(http, stored(http, 30))
    assert settled(engine) <= len(large.data) + SEGMENT
    assert read(http, large) == large.data
    delete(http, [large])
    assert settled(engine) <= SEGMENT


def test_compaction_goes_on_when_the_folder_is_opened(tmp_path: Path) -> None:
    """A home that was closed before its space was given back does so at the next start."""
    with Engine(tmp_path, segment_bytes=SEGMENT) as engine:
        engine.compaction.close()
        http = client(engine)
        files = stored(http, 60)
        kept = files[::12]
        delete(http, [one for one in files if one not in kept])
        before = sum(p.stat().st_size for p in engine.home.blobs.iterdir())
    with Engine(tmp_path, segment_bytes=SEGMENT) as engine:
        assert settled(engine) < before / 2
        assert all(read(Client(engine), one) == one.data for one in kept)
    with Engine(tmp_path, segment_bytes=SEGMENT) as engine:
        assert all(read(Client(engine), one) == one.data for one in kept)


def test_a_place_that_has_moved_is_found_again(http: Client, engine: Engine) -> None:
    """Who found an instance before compaction, and reads it after, gets it; a deleted one is 404 and no data loss."""
    files = stored(http, 30)
    before = {item.uid: item for item in engine.retrieve.find(NAME, Target("1.2.3"))}
    delete(http, files[2:])
    settled(engine)
    now = {item.uid: item for item in engine.retrieve.find(NAME, Target("1.2.3"))}
    for one in files[:2]:
        assert now[one.uid].place != before[one.uid].place
        assert b"".join(engine.retrieve.chunks(before[one.uid])) == one.data
    with pytest.raises(NotFound):
        b"".join(engine.retrieve.chunks(before[files[5].uid]))


def test_an_answer_that_has_begun_arrives_complete(http: Client, engine: Engine) -> None:
    """A study whose instances move while it is being sent; the files that it comes from go when it has arrived."""
    files = stored(http, 60)
    others = stored(http, 60, study="1.2.5")
    mixed = stored(http, 4, study="1.2.6")
    answer = http.get(f"{WEB}/studies/1.2.6", headers={"Accept": AS_STORED}, buffered=False)
    begun = iter(answer.response)
    received = next(begun)
    delete(http, files + others)
    assert engine.compaction.finish(30)
    received += b"".join(begun)
    answer.close()
    settled(engine)
    assert all(received.count(one.data) == 1 for one in mixed)
    assert len(received) == answer.content_length


def test_damaged_bytes_are_not_copied_and_not_lost(
    http: Client, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """The file with them stays, so that they can be looked at; the others move, and the reader still says it."""
    files = stored(http, 14)
    first, *_ = sorted(engine.home.blobs.iterdir())
    data = bytearray(first.read_bytes())
    data[len(files[0].data) // 2] ^= 1
    first.write_bytes(bytes(data))
    with caplog.at_level(logging.ERROR):
        delete(http, files[2:])
        assert engine.compaction.finish(30)
    assert "cannot be read" in caplog.text
    assert files[0].uid not in caplog.text
    assert first.exists()
    answer = http.get(files[0].path, headers={"Accept": FILE_AS_STORED})
    assert (answer.status_code, answer.json["error"]["status"]) == (500, "DATA_LOSS")
    assert read(http, files[1]) == files[1].data
    with engine.storage.database.read() as connection:
        assert len(residents(connection, int(first.stem), after=-1, limit=10)) == 1


def test_a_full_disk_stops_compaction_and_loses_nothing(
    http: Client, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again after a while, or at the next delete."""
    files = stored(http, 60)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("os.pwritev", full)
        delete(http, [f for n, f in enumerate(files) if n % 6])
        before = settled(engine)
    monkeypatch.setattr(compaction, "RETRY_S", 0.0)
    assert all(read(http, one) == one.data for one in files[::6])
    delete(http, files[:1])
    assert settled(engine) < before / 2
    assert all(read(http, one) == one.data for one in files[6::6])


def test_nothing_moves_without_a_sync(http: Client, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the copies may not be on disk, every row still points to the old bytes, and their file stays."""
    files = stored(http, 60)
    kept = files[::6]

    def failing(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    before = {item.uid: item.place for item in engine.retrieve.find(NAME, Target("1.2.3"))}
    monkeypatch.setattr(blobs, "_data_sync", failing)
    delete(http, [one for one in files if one not in kept])
    assert engine.compaction.finish(30)
    assert {i.uid: i.place for i in engine.retrieve.find(NAME, Target("1.2.3"))} == {
        one.uid: before[one.uid] for one in kept
    }
    assert all(read(http, one) == one.data for one in kept)
    monkeypatch.undo()
    engine.close()
    with Engine(engine.home.path, segment_bytes=SEGMENT) as again:
        assert settled(again) <= 2 * sum(len(one.data) for one in kept) + SEGMENT
        assert all(read(Client(again), one) == one.data for one in kept)


def test_closing_does_not_wait_for_the_whole_of_it(
    http: Client, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends after the batch that is being moved."""
    monkeypatch.setattr(compaction, "BATCH_INSTANCES", 1)
    sync = engine.storage.blobs.sync

    def slow() -> None:
        time.sleep(0.05)
        sync()

    files = stored(http, 100)
    monkeypatch.setattr(engine.storage.blobs, "sync", slow)
    delete(http, [f for n, f in enumerate(files) if n % 3])
    begin = time.monotonic()
    engine.close()
    assert time.monotonic() - begin < 1
    monkeypatch.undo()
    with Engine(engine.home.path, segment_bytes=SEGMENT) as again:
        settled(again)
        assert all(read(Client(again), one) == one.data for one in files[::3])


def test_reading_storing_and_deleting_go_on_while_segments_are_compacted(
    http: Client, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five threads at once: every answer is right, and in the end the catalog and the files agree."""
    monkeypatch.setattr(compaction, "BATCH_INSTANCES", 3)
    mixed = [instance(study="1.2.8" if n % 4 else "1.2.3", series="1.2.8.4", pixels=1_000) for n in range(80)]
    assert store(http, *mixed).status_code == 200
    kept = mixed[::4]
    before = {item.uid: item.place for item in engine.retrieve.find(NAME, Target("1.2.3"))}
    is_over = threading.Event()
    errors: list[BaseException] = []
    later: list[Instance] = []

    def thread(task: Callable[[Client, random.Random, int], None], seed: int) -> threading.Thread:
        def run() -> None:
            mine, chance, number = Client(engine), random.Random(seed), 0
            try:
                while not is_over.is_set():
                    number += 1
                    task(mine, chance, number)
            except BaseException as exc:  # noqa: BLE001 - shown by the test
                errors.append(exc)
                is_over.set()

        return threading.Thread(target=run)

    def reading(mine: Client, chance: random.Random, _: int) -> None:
        one = chance.choice(kept)
        assert read(mine, one) == one.data
        answer = mine.get(f"{WEB}/studies/1.2.3", headers={"Accept": AS_STORED})
        assert all(answer.data.count(one.data) == 1 for one in kept)

    def churning(mine: Client, chance: random.Random, number: int) -> None:
        files = stored(mine, 12, study=f"1.2.9.{chance.randrange(10**9)}.{number}")
        chance.shuffle(files)
        later.append(files.pop())
        delete(mine, files)

    def thinning(mine: Client, _: random.Random, number: int) -> None:
        if number > len(mixed):
            is_over.set()
        elif number % 4 != 1:
            delete(mine, mixed[number - 1 : number])

    threads = [thread(reading, 1), thread(reading, 2), thread(churning, 3), thread(churning, 4), thread(thinning, 5)]
    for worker in threads:
        worker.start()
    for worker in threads:
        worker.join()
    assert not errors, errors[0]
    assert all(read(http, one) == one.data for one in kept + later)
    live = sum(len(one.data) for one in kept + later)
    assert settled(engine) <= 2 * live + SEGMENT
    now = {item.uid: item.place for item in engine.retrieve.find(NAME, Target("1.2.3"))}
    assert all(now[one.uid].segment != before[one.uid].segment for one in kept)
