"""Google's own generic client, unchanged, against the served engine: only the endpoint is ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicomkit.engine.app import Engine
from tests.conftest import served

discovery = pytest.importorskip("googleapiclient.discovery")
errors = pytest.importorskip("googleapiclient.errors")
httplib2 = pytest.importorskip("httplib2")

LOCATION = "projects/p/locations/us-central1"
DATASET = f"{LOCATION}/datasets/d"
STORE = f"{DATASET}/dicomStores/ct"


@pytest.fixture
def locations(tmp_path: Path) -> Iterator[Any]:
    """``service.projects().locations()`` of an empty engine."""
    with Engine(tmp_path / "home", mode="google") as engine, served(engine) as origin:
        http = httplib2.Http(timeout=30, proxy_info=None)
        with discovery.build(
            "healthcare", "v1", http=http, static_discovery=True, client_options={"api_endpoint": origin}
        ) as service:
            yield service.projects().locations()


@pytest.fixture
def datasets(locations: Any) -> Any:
    """``datasets()``, with one of them made."""
    datasets = locations.datasets()
    datasets.create(parent=LOCATION, datasetId="d", body={}).execute()
    return datasets


@pytest.fixture
def stores(datasets: Any) -> Any:
    """``dicomStores()`` of an empty dataset."""
    return datasets.dicomStores()


def _status(call: Any) -> tuple[int, str]:
    """Status and reason of the error that a call ends in."""
    with pytest.raises(errors.HttpError) as caught:
        call.execute()
    return caught.value.status_code, caught.value.reason


def test_dataset_lives_and_dies(locations: Any) -> None:
    """Made by an operation, read, listed, deleted."""
    datasets = locations.datasets()
    operation = datasets.create(parent=LOCATION, datasetId="d", body={"timeZone": "Europe/Berlin"}).execute()
    assert operation["done"] is True
    assert operation["response"]["name"] == DATASET
    assert datasets.operations().get(name=operation["name"]).execute() == operation
    wanted = {"name": DATASET, "timeZone": "Europe/Berlin"}
    assert datasets.get(name=DATASET).execute() == wanted
    assert datasets.list(parent=LOCATION).execute() == {"datasets": [wanted]}
    assert _status(datasets.create(parent=LOCATION, datasetId="d", body={}))[0] == 409
    assert datasets.delete(name=DATASET).execute() == {}
    assert _status(datasets.get(name=DATASET))[0] == 404
    assert datasets.list(parent=LOCATION).execute() == {}


def test_dataset_gets_another_time_zone(datasets: Any) -> None:
    """What the mask names is set, or cleared; what breaks a rule is refused."""
    changed = datasets.patch(name=DATASET, updateMask="timeZone", body={"timeZone": "Asia/Tokyo"}).execute()
    assert changed == {"name": DATASET, "timeZone": "Asia/Tokyo"}
    assert datasets.get(name=DATASET).execute() == changed
    assert _status(datasets.patch(name=DATASET, updateMask="timeZone", body={"timeZone": "Mars/North"}))[0] == 400
    assert _status(datasets.patch(name=DATASET, body={"timeZone": "UTC"}))[0] == 400
    assert _status(datasets.patch(name=f"{DATASET}x", updateMask="timeZone", body={}))[0] == 404
    assert datasets.get(name=DATASET).execute() == changed
    assert datasets.patch(name=DATASET, updateMask="time_zone", body={}).execute() == {"name": DATASET}


def test_locations_are_those_of_the_datasets_and_the_homes_own(locations: Any, datasets: Any) -> None:
    """Listed by id, page by page; and any can be asked for, because a dataset can be made in any."""
    names = [f"projects/p/locations/{id_}" for id_ in ("europe-west4", "local", "us-central1")]
    datasets.create(parent=names[0], datasetId="d", body={}).execute()
    datasets.create(parent="projects/other/locations/here", datasetId="d", body={}).execute()
    found, request = [], locations.list(name="projects/p", pageSize=2)
    while request is not None:
        answer = request.execute()
        found += answer["locations"]
        request = locations.list_next(request, answer)
    assert found == [{"name": name, "locationId": name.rpartition("/")[2]} for name in names]
    assert locations.get(name=names[2]).execute() == found[2]


def test_metrics_of_a_store(stores: Any) -> None:
    """An empty one: its name, as zeros are left out; a missing one is missing."""
    stores.create(parent=DATASET, dicomStoreId="ct", body={}).execute()
    assert stores.getDICOMStoreMetrics(name=STORE).execute() == {"name": STORE}
    web = stores.dicomWeb().studies()
    study = f"{STORE}/dicomWeb/studies/1.2"
    assert _status(web.getStudyMetrics(study=study))[0] == 404
    assert _status(web.series().getSeriesMetrics(series=f"{study}/series/1.3"))[0] == 404
    info = web.series().instances().getStorageInfo(resource=f"{study}/series/1.3/instances/1.4")
    assert _status(info)[0] == 404


def test_store_lives_and_dies(stores: Any) -> None:
    """Made at once, without an operation; read, changed, deleted."""
    body = {
        "labels": {"site": "a"},
        "streamConfigs": [{"bigqueryDestination": {"tableUri": "bq://p.imaging.ct", "schemaFlattened": {}}}],
    }
    made = stores.create(parent=DATASET, dicomStoreId="ct", body=body).execute()
    assert made == {"name": STORE, **body}
    assert stores.get(name=STORE).execute() == made
    changed = stores.patch(name=STORE, updateMask="labels", body={"labels": {"site": "b"}}).execute()
    assert changed == {**made, "labels": {"site": "b"}}
    assert stores.patch(name=STORE, updateMask="labels.site", body={}).execute() == {
        "name": STORE,
        "streamConfigs": body["streamConfigs"],
    }
    assert stores.delete(name=STORE).execute() == {}
    assert _status(stores.get(name=STORE))[0] == 404


def test_list_goes_on_by_the_clients_own_paging(stores: Any) -> None:
    """``list_next`` makes the next request of the last answer's token."""
    for i in range(5):
        stores.create(parent=DATASET, dicomStoreId=f"s{i}", body={}).execute()
    request, sizes, names = stores.list(parent=DATASET, pageSize=2), [], []
    while request is not None:
        answer = request.execute()
        sizes.append(len(answer["dicomStores"]))
        names += [store["name"].rpartition("/")[2] for store in answer["dicomStores"]]
        request = stores.list_next(request, answer)
    assert sizes == [2, 2, 1]
    assert names == [f"s{i}" for i in range(5)]


def test_list_is_filtered_by_labels(stores: Any) -> None:
    """Pages hold what fits and no more; the filter may not change between them, and nothing else is taken."""
    for i in range(6):
        stores.create(parent=DATASET, dicomStoreId=f"s{i}", body={"labels": {"odd": str(i % 2)}}).execute()
    first = stores.list(parent=DATASET, pageSize=2, filter="labels.odd=1").execute()
    assert [store["name"][-2:] for store in first["dicomStores"]] == ["s1", "s3"]
    token = first["nextPageToken"]
    last = stores.list(parent=DATASET, pageSize=2, filter="labels.odd=1", pageToken=token).execute()
    assert [store["name"][-2:] for store in last["dicomStores"]] == ["s5"]
    assert "nextPageToken" not in last
    for other in ("labels.odd=0", None):
        status, reason = _status(stores.list(parent=DATASET, pageSize=2, filter=other, pageToken=token))
        assert (status, "filter" in reason) == (400, True)
    status, reason = _status(stores.list(parent=DATASET, filter="createTime > 2024-01-01"))
    assert (status, reason[:7]) == (400, "filter:")


@pytest.mark.parametrize(
    ("mask", "body", "word"),
    [
        ("name", {}, "name"),
        ("nothing", {}, "nothing"),
        ("labels", {"labels": {"NOT A KEY": "x"}}, "labels"),
        ("labels", {"lables": {}}, "Unknown name"),
    ],
)
def test_refusal_reaches_the_client_with_its_reason(stores: Any, mask: str, body: dict[str, Any], word: str) -> None:
    """400, the message names what was wrong, and nothing was changed."""
    stores.create(parent=DATASET, dicomStoreId="ct", body={"labels": {"a": "1"}}).execute()
    status, reason = _status(stores.patch(name=STORE, updateMask=mask, body=body))
    assert status == 400
    assert word in reason
    assert stores.get(name=STORE).execute()["labels"] == {"a": "1"}


def test_partial_parameters_of_every_method_are_taken(stores: Any) -> None:
    """``fields``, ``prettyPrint`` and ``quotaUser`` belong to every method, and are no reason to refuse."""
    assert stores.list(parent=DATASET, fields="dicomStores/name", prettyPrint=False, quotaUser="u").execute() == {}
