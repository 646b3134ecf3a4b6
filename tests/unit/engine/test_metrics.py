"""Metrics of stores, studies and series, and storage info of instances (section 1.9)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

from dicomkit.engine import Engine
from tests.unit.engine.factories import STORE, WEB, client, ended, instance, store

METRICS = f"{STORE}:getDICOMStoreMetrics"
SIZES = ("structuredStorageSizeBytes", "blobStorageSizeBytes")


@pytest.fixture
def http(tmp_path: Path) -> Iterator[Client]:
    """A store in an engine."""
    with Engine(tmp_path / "home") as engine:
        yield client(engine)


def test_counts_and_bytes_are_text_and_those_of_what_was_stored(http: Client) -> None:
    """Studies, series and instances; the blobs are the files, byte for byte; int64 is a string in JSON."""
    one = instance()
    items = [one, instance(study=one.study, series=one.series), instance(study=one.study), instance()]
    store(http, *items)
    answer = http.get(METRICS).json
    assert {name: value for name, value in answer.items() if name != "structuredStorageSizeBytes"} == {
        "name": STORE.removeprefix("/v1/"),
        "studyCount": "2",
        "seriesCount": "3",
        "instanceCount": "4",
        "blobStorageSizeBytes": str(sum(len(item.data) for item in items)),
    }
    study = http.get(f"{WEB}/studies/{one.study}:getStudyMetrics").json
    assert study["study"] == f"{WEB}/studies/{one.study}".removeprefix("/v1/")
    assert (study["seriesCount"], study["instanceCount"]) == ("2", "3")
    assert study["blobStorageSizeBytes"] == str(sum(len(item.data) for item in items[:3]))
    series = http.get(f"{WEB}/studies/{one.study}/series/{one.series}:getSeriesMetrics").json
    assert series["series"] == f"{WEB}/studies/{one.study}/series/{one.series}".removeprefix("/v1/")
    assert series["instanceCount"] == "2"
    assert "seriesCount" not in series
    assert series["blobStorageSizeBytes"] == str(sum(len(item.data) for item in items[:2]))


def test_a_store_is_the_sum_of_its_studies(http: Client) -> None:
    """Each byte belongs to one study."""
    items = [instance() for _ in range(3)]
    store(http, *items)
    studies = [http.get(f"{WEB}/studies/{item.study}:getStudyMetrics").json for item in items]
    whole = http.get(METRICS).json
    for size in SIZES:
        assert int(whole[size]) == sum(int(study[size]) for study in studies) > 0


def test_storage_info_of_an_instance(http: Client) -> None:
    """Size, class, and the time since when it has that class, which is when it was stored."""
    one = instance()
    store(http, one)
    answer = http.get(f"{one.path}:getStorageInfo").json
    assert answer["referencedResource"] == one.path.removeprefix("/v1/")
    blob = answer["blobStorageInfo"]
    assert (blob["sizeBytes"], blob["storageClass"]) == (str(len(one.data)), "STANDARD")
    assert blob["storageClassUpdateTime"].endswith("Z")
    assert int(answer["structuredStorageInfo"]["sizeBytes"]) > 0


def test_nothing_counts_that_was_deleted(http: Client) -> None:
    """An empty store has a name and no numbers, as zeros are left out (section 1.1)."""
    name = STORE.removeprefix("/v1/")
    assert http.get(METRICS).json == {"name": name}
    one = instance()
    store(http, one)
    ended(http, http.delete(f"{WEB}/studies/{one.study}"))
    assert http.get(METRICS).json == {"name": name}


def test_other_stores_do_not_count(http: Client) -> None:
    """The same instance in two stores counts in each."""
    other = f"{STORE}2"
    http.post(STORE.rpartition("/")[0], query_string={"dicomStoreId": "ct2"})
    store(http, instance())
    assert http.get(f"{other}:getDICOMStoreMetrics").json == {"name": other.removeprefix("/v1/")}


def test_what_is_missing_is_not_found(http: Client) -> None:
    """404 for a store, study, series or instance that is not there; 400 for what is no UID."""
    one = instance()
    store(http, one)
    series = f"{WEB}/studies/{one.study}/series/{one.series}"
    for path in (
        f"{STORE}x:getDICOMStoreMetrics",
        f"{WEB}/studies/1.2:getStudyMetrics",
        f"{WEB}/studies/{one.study}/series/1.2:getSeriesMetrics",
        f"{WEB}/studies/1.2/series/{one.series}:getSeriesMetrics",
        f"{series}/instances/1.2:getStorageInfo",
    ):
        assert http.get(path).status_code == 404
    for path in (f"{WEB}/studies/x:getStudyMetrics", f"{series}/instances/x:getStorageInfo"):
        assert http.get(path).status_code == 400
