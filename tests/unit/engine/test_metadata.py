"""Metadata packed against the first instance of a series is the metadata, whatever happens to that instance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

from dicomkit.engine import Engine
from dicomkit.engine.persistence.metadata import Dictionary, unpack
from dicomkit.errors import Internal
from tests.unit.engine.factories import WEB, Instance, client, instance, store

SERIES = {"study": "1.2.3", "series": "1.2.3.4"}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home") as made:
        yield made


def comment(http: Client, one: Instance) -> str:
    (item,) = http.get(f"{one.path}/metadata").json
    return str(item["00204000"]["Value"][0])


def check(http: Client, files: list[Instance]) -> None:
    assert [comment(http, f) for f in files] == [f"comment {f.uid}" for f in files]


def make(number: int) -> list[Instance]:
    uids = [f"1.2.3.4.{number}.{n}" for n in range(4)]
    return [instance(**SERIES, uid=uid, ImageComments=f"comment {uid}") for uid in uids]


def test_a_dictionary_gives_back_what_it_packed() -> None:
    """Also of text that has nothing to do with it, and of more than deflate's window."""
    first = b'{"a":1}' * 10_000
    dictionary = Dictionary(first)
    for text in (first, b"", b"other", first + b"x"):
        assert unpack(dictionary.pack(text), dictionary.data) == text


@pytest.mark.parametrize("damage", [b"", b"x", None])
def test_damaged_metadata_is_data_loss(damage: bytes | None) -> None:
    """Never a wrong or cut text."""
    dictionary = Dictionary(b"first")
    packed = dictionary.pack(b"second")
    with pytest.raises(Internal) as caught:
        unpack(packed[:-1] if damage is None else damage, dictionary.data)
    assert caught.value.code == "DATA_LOSS"
    with pytest.raises(Internal):
        unpack(packed, b"another dictionary")


def test_the_first_instance_of_a_series_may_go(engine: Engine) -> None:
    """What was packed against it stays readable, and what comes later is packed against it still."""
    http = client(engine)
    files = make(1)
    store(http, *files)
    http.delete(files[0].path)
    check(http, files[1:])
    more = make(2)
    store(http, *more)
    check(http, files[1:] + more)


def test_a_series_that_was_deleted_and_made_again(engine: Engine) -> None:
    """The second series has its own dictionary, though the engine remembers the first one."""
    http = client(engine)
    files = make(1)
    store(http, *files)
    http.delete(f"{WEB}/studies/1.2.3")
    store(http, *files[2:], *files[:2])
    check(http, files)


def test_a_series_that_goes_on_after_a_restart(engine: Engine) -> None:
    """An engine that never saw the first instance packs against it all the same."""
    files = make(1)
    store(client(engine), *files)
    engine.close()
    with Engine(engine.home.path) as again:
        http = Client(again)
        more = make(2)
        store(http, *more)
        check(http, files + more)
        with again.storage.database.read() as connection:
            assert connection.execute("SELECT COUNT(*) FROM dictionaries").fetchone()[0] == 1


def test_two_stores_do_not_share_dictionaries(engine: Engine) -> None:
    """The same series in two stores is two series."""
    http = client(engine)
    http.post("/v1/projects/local/locations/local/datasets/default/dicomStores?dicomStoreId=other")
    files = make(1)
    store(http, *files)
    store(http, *reversed(files), path=f"{WEB}/studies".replace("/ct/", "/other/"))
    check(http, files)
    found = http.get(f"{WEB}/studies/1.2.3/metadata".replace("/ct/", "/other/")).json
    assert [i["00080018"]["Value"][0] for i in found] == [f.uid for f in reversed(files)]


def test_more_series_than_are_remembered(engine: Engine) -> None:
    """Dictionaries that fell out of memory are read back from the catalog."""
    http = client(engine)
    files = [instance(study="1.2.3", series=f"1.2.3.{s}", ImageComments=f"{s}") for s in range(40) for _ in range(2)]
    store(http, *files[::2])
    store(http, *files[1::2])
    found = http.get(f"{WEB}/studies/1.2.3/metadata").json
    assert len(found) == 80
    for item in found:
        assert item["0020000E"]["Value"][0] == f"1.2.3.{item['00204000']['Value'][0]}", json.dumps(item)[:80]
