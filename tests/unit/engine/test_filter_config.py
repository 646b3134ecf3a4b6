"""Which instances a filter config chooses."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from werkzeug.test import Client

from dicomkit.engine import Engine
from dicomkit.engine.services import filter_config
from dicomkit.engine.services.filter_config import Selection, selected
from dicomkit.errors import InvalidArgument, NotFound
from dicomkit.names import DicomStoreName
from dicomkit.resources.filter_config import DicomFilterConfig
from tests.unit.engine.factories import STORE, Instance, client, instance, store

NAME = DicomStoreName.parse(STORE[4:])
CONFIG = DicomFilterConfig(resource_paths_gcs_uri="gs://bucket/paths.txt")


class Files:
    """One object, and how it was opened."""

    def __init__(self, *lines: str) -> None:
        self.text = "\n".join(lines)

    def open(self, uri: str) -> BinaryIO:
        if str(uri) != "gs://bucket/paths.txt":
            raise NotFound("there is no such object")
        return io.BytesIO(self.text.encode())


def path_of(item: Instance, levels: int = 3) -> str:
    return "".join((f"/studies/{item.study}", f"/series/{item.series}", f"/instances/{item.uid}")[:levels])


def uids(selection: Selection) -> list[str]:
    found = list(selection)
    assert len(found) == len(selection)
    return [item.uid for item in found]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home") as made:
        yield made


@pytest.fixture
def http(engine: Engine) -> Client:
    return client(engine)


@pytest.fixture
def files(http: Client) -> list[Instance]:
    """Two studies; the first has two series of two instances, the second one instance."""
    made = [instance(study="1.1", series=f"1.1.{s}", uid=f"1.1.{s}.{i}") for s in (1, 2) for i in (1, 2)]
    made.append(instance(study="1.2", series="1.2.1", uid="1.2.1.1"))
    assert store(http, *made).status_code == 200
    return made


def test_without_a_config_all_are_chosen_in_the_order_of_their_keys(engine: Engine, files: list[Instance]) -> None:
    """With what a copy or a row needs of each."""
    selection = selected(engine.storage, Files(), NAME, None)
    assert uids(selection) == [file.uid for file in files]
    assert [(item.study_uid, item.series_uid) for item in selection] == [(file.study, file.series) for file in files]
    assert {item.storage_class for item in selection} == {"STANDARD"}
    assert [item.stored.sha256.hex() for item in selection] == [file.sha256 for file in files]
    assert next(iter(selection)).source(NAME) == f"{NAME}/dicomWeb{path_of(files[0])}"


def test_lines_choose_by_level_and_what_several_name_comes_once(engine: Engine, files: list[Instance]) -> None:
    """A study, a series in it and an instance in that, in whatever order; lines that match nothing add nothing."""
    lines = [path_of(files[1]), path_of(files[0], 2), path_of(files[1]), "/studies/9.9", path_of(files[4], 1)]
    assert uids(selected(engine.storage, Files(*lines), NAME, CONFIG)) == ["1.1.1.1", "1.1.1.2", "1.2.1.1"]
    assert uids(selected(engine.storage, Files("/studies/1.1/series/1.2.1"), NAME, CONFIG)) == []
    assert uids(selected(engine.storage, Files(), NAME, CONFIG)) == []


@pytest.mark.parametrize("lines", [None, ["/studies/1.1", "/studies/1.2"]])
@pytest.mark.parametrize("portion", [1, 2, 500])
def test_a_selection_goes_on_behind_a_key(
    engine: Engine,
    http: Client,
    files: list[Instance],
    lines: list[str] | None,
    portion: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From where it stopped to where it was to end, although the store has grown since."""
    monkeypatch.setattr(filter_config, "PORTION", portion)
    config = CONFIG if lines else None
    source = Files(*(lines or ()))
    first = selected(engine.storage, source, NAME, config)
    half = list(first)[1].key
    assert store(http, instance(study="1.1")).status_code == 200
    rest = selected(engine.storage, source, NAME, config, after=half, up_to=first.up_to)
    assert uids(rest) == [file.uid for file in files[2:]]
    assert uids(first) == [file.uid for file in files]


@pytest.mark.parametrize("lines", [None, ["/studies/1.1"]])
def test_what_is_deleted_before_its_turn_is_left_out(
    engine: Engine, http: Client, files: list[Instance], lines: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A portion is read when its turn comes."""
    monkeypatch.setattr(filter_config, "PORTION", 1)
    items = iter(selected(engine.storage, Files(*(lines or ())), NAME, CONFIG if lines else None))
    assert next(items).uid == files[0].uid
    assert http.delete(files[1].path).status_code == 200
    assert next(items).uid == files[2].uid


@pytest.mark.parametrize("lines", [None, ["/studies/1.1"]])
def test_a_store_that_is_deleted_meanwhile_is_not_found(
    engine: Engine, http: Client, files: list[Instance], lines: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes what was given until then for all."""
    monkeypatch.setattr(filter_config, "PORTION", 1)
    items = iter(selected(engine.storage, Files(*(lines or ())), NAME, CONFIG if lines else None))
    next(items)
    assert http.delete(STORE).status_code == 200
    with pytest.raises(NotFound, match="deleted"):
        list(items)


def test_instances_of_another_store_are_not_chosen(engine: Engine, http: Client, files: list[Instance]) -> None:
    """The same UIDs may be in several stores."""
    other = f"{STORE.rpartition('/')[0]}/other"
    assert http.post(f"{STORE.rpartition('/')[0]}?dicomStoreId=other", json={}).status_code == 200
    assert store(http, *files[:2], path=f"{other}/dicomWeb/studies").status_code == 200
    name = DicomStoreName.parse(other[4:])
    assert uids(selected(engine.storage, Files(), name, None)) == [files[0].uid, files[1].uid]
    assert uids(selected(engine.storage, Files("/studies/1.1"), name, CONFIG)) == [files[0].uid, files[1].uid]


def test_a_malformed_line_is_told_by_its_number(engine: Engine, files: list[Instance]) -> None:
    """Before any instance is given."""
    with pytest.raises(InvalidArgument, match="line 2 of the filter file"):
        selected(engine.storage, Files(path_of(files[0]), "/studies/x"), NAME, CONFIG)


def test_a_missing_store_or_filter_file_is_not_found(engine: Engine, files: list[Instance]) -> None:
    """Each is named before anything is chosen."""
    missing = DicomFilterConfig(resource_paths_gcs_uri="gs://bucket/missing.txt")
    with pytest.raises(NotFound):
        selected(engine.storage, Files(), NAME, missing)
    with pytest.raises(NotFound):
        selected(engine.storage, Files(), NAME.dataset.store("missing"), None)


def test_a_check_stops_the_reading_of_a_filter_file(engine: Engine, files: list[Instance]) -> None:
    """Whoever cancels does not wait for a long file."""

    class Enough(Exception):
        pass

    def check() -> None:
        raise Enough

    with pytest.raises(Enough):
        selected(engine.storage, Files("/studies/1.1"), NAME, CONFIG, check=check)


def test_a_study_on_every_line_does_not_fill_the_memory(
    engine: Engine, files: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that were named before are taken out on the way."""
    monkeypatch.setattr(filter_config, "MAX_KEYS", 10)
    monkeypatch.setattr(filter_config, "PORTION", 2)
    source = Files(*["/studies/1.1"] * 200, "/studies/1.2")
    assert uids(selected(engine.storage, source, NAME, CONFIG)) == [file.uid for file in files]
