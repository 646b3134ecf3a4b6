"""Datasets, stores and operations over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

from dicomkit.engine import Engine
from dicomkit.engine.handlers import all_routes
from tests.unit.engine.factories import DATASET, PARENT, STORE, WEB, client, instance, store, streamed_to

NAME = "projects/local/locations/local/datasets/default"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path) as made:
        yield made


@pytest.fixture
def http(engine: Engine) -> Client:
    return client(engine)


def test_creating_a_dataset_gives_an_operation_that_is_done(engine: Engine) -> None:
    """datasets.create answers with an Operation (1.4), which operations.get gives again (1.5)."""
    http = Client(engine)
    operation = http.post(f"{PARENT}/datasets?datasetId=d", json={"timeZone": "Europe/Berlin"}).json
    name = "projects/local/locations/local/datasets/d"
    assert operation["done"] is True
    assert operation["name"].startswith(f"{name}/operations/")
    assert operation["metadata"]["apiMethodName"].endswith("dataset.DatasetService.CreateDataset")
    assert operation["response"] == {
        "@type": "type.googleapis.com/google.cloud.healthcare.v1.dataset.Dataset",
        "name": name,
        "timeZone": "Europe/Berlin",
    }
    assert http.get(f"/v1/{operation['name']}").json == operation
    assert http.get(f"/v1/{name}").json == {"name": name, "timeZone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("verb", "path", "body", "status", "code"),
    [
        ("post", f"{PARENT}/datasets?datasetId=default", {}, 409, "ALREADY_EXISTS"),
        ("post", f"{PARENT}/datasets", {}, 400, "INVALID_ARGUMENT"),
        ("post", f"{PARENT}/datasets?datasetId=a%20b", {}, 400, "INVALID_ARGUMENT"),
        ("post", f"{DATASET}/dicomStores?dicomStoreId=ct", {}, 409, "ALREADY_EXISTS"),
        ("post", f"{DATASET}/dicomStores", {}, 400, "INVALID_ARGUMENT"),
        ("post", f"{DATASET}/dicomStores?dicomStoreId=x", {"labels": {"A": "b"}}, 400, "INVALID_ARGUMENT"),
        ("post", f"{DATASET}/dicomStores?dicomStoreId=x", {"output_config": {}}, 400, "INVALID_ARGUMENT"),
        ("post", f"{PARENT}/datasets/none/dicomStores?dicomStoreId=x", {}, 404, "NOT_FOUND"),
        ("get", f"{DATASET}/dicomStores/none", None, 404, "NOT_FOUND"),
        ("get", f"{PARENT}/datasets/none", None, 404, "NOT_FOUND"),
        ("get", f"{DATASET}/operations/1", None, 404, "NOT_FOUND"),
        ("get", f"{DATASET}/dicomStores?pageSize=x", None, 400, "INVALID_ARGUMENT"),
        ("get", f"{DATASET}/dicomStores?pageToken=%21", None, 400, "INVALID_ARGUMENT"),
        ("get", f"{DATASET}/dicomStores?filter=name%3Db", None, 400, "INVALID_ARGUMENT"),
        ("patch", STORE, {"labels": {}}, 400, "INVALID_ARGUMENT"),
        ("patch", f"{STORE}?updateMask=name", {}, 400, "INVALID_ARGUMENT"),
        ("delete", f"{DATASET}/dicomStores/none", None, 404, "NOT_FOUND"),
        ("put", STORE, {}, 405, "UNIMPLEMENTED"),
        ("get", "/v2/other", None, 404, "NOT_FOUND"),
    ],
)
def test_what_is_wrong_gets_googles_error_body(
    http: Client, verb: str, path: str, body: object, status: int, code: str
) -> None:
    """Each refusal has the documented status and the canonical code (1.11)."""
    answer = http.open(path, method=verb.upper(), json=body)
    assert (answer.status_code, answer.json["error"]["code"], answer.json["error"]["status"]) == (status, status, code)
    assert answer.json["error"]["message"]


def test_an_unknown_field_is_refused_in_googles_words(http: Client) -> None:
    """The message and details of a real answer (1.11, GoogleCloudPlatform/healthcare#133)."""
    error = http.post(f"{DATASET}/dicomStores?dicomStoreId=x", json={"output_config": {}}).json["error"]
    message = 'Invalid JSON payload received. Unknown name "output_config": Cannot find field.'
    assert error["message"] == message
    assert error["details"] == [
        {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"description": message}]}
    ]


@pytest.mark.parametrize("raw", [b"{", b"[]", b"1", b"\xff", b'{"labels":' + b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(http: Client, raw: bytes) -> None:
    """Malformed, too deep, or another type: 400, never 500."""
    answer = http.post(f"{DATASET}/dicomStores?dicomStoreId=x", data=raw)
    assert answer.status_code == 400


def test_a_compressed_body_is_refused(http: Client) -> None:
    """A few bytes of gzip could be any amount of memory."""
    for path in (f"{DATASET}/dicomStores?dicomStoreId=x", f"{WEB}/studies"):
        answer = http.post(
            path, data=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}, content_type="application/dicom"
        )
        assert answer.status_code == 415


def test_a_large_body_is_refused(http: Client) -> None:
    """Requests that store no instances have at most 10 MB (section 8)."""
    answer = http.post(f"{DATASET}/dicomStores?dicomStoreId=x", data=b" " * ((10 << 20) + 1))
    assert answer.status_code == 413


def test_a_fresh_store_has_nothing_but_its_name(http: Client) -> None:
    """getDicomStore of a new store (1.6), with two blanks of indent and a line end (1.1)."""
    text = http.get(STORE).text
    assert text == f'{{\n  "name": "{NAME}/dicomStores/ct"\n}}\n'
    assert http.get(f"{STORE}?prettyPrint=false").text == f'{{"name":"{NAME}/dicomStores/ct"}}\n'


def test_patch_changes_what_the_mask_names(http: Client) -> None:
    """A field in the mask is set, or cleared when the body lacks it; others stay (1.6)."""
    config = streamed_to("bq://local.d.t")
    http.patch(f"{STORE}?updateMask=labels,stream_configs", json={"labels": {"a": "b"}} | config)
    answer = http.patch(f"{STORE}?updateMask=labels", json={"streamConfigs": []})
    assert answer.json == {"name": f"{NAME}/dicomStores/ct"} | config
    assert http.get(STORE).json == answer.json


def test_lists_come_in_pages_sorted_by_id(http: Client) -> None:
    """Pages are disjoint and complete; an empty list is an empty object."""
    assert http.get(f"{PARENT.replace('local', 'other')}/datasets").json == {}
    for id_ in ("b", "a", "Z", "ö"):
        http.post(f"{DATASET}/dicomStores?dicomStoreId={id_}")
    found: list[str] = []
    token = ""
    for _ in range(10):
        answer = http.get(f"{DATASET}/dicomStores?pageSize=2&pageToken={token}").json
        found += [s["name"].rpartition("/")[2] for s in answer["dicomStores"]]
        token = answer.get("nextPageToken", "")
        if not token:
            break
    assert found == ["Z", "a", "b", "ct", "ö"]
    assert [d["name"] for d in http.get(f"{PARENT}/datasets").json["datasets"]] == [NAME]


def test_deleting_a_store_deletes_what_is_in_it(http: Client, engine: Engine) -> None:
    """A store made again under the same name is empty (1.6)."""
    one = instance()
    store(http, one, instance(pixels=5 << 20))
    large = [p for p in engine.home.blobs.iterdir() if p.stat().st_size > 1 << 20]
    assert len(large) == 1
    assert http.delete(STORE).json == {}
    assert not large[0].exists()
    assert http.get(STORE).status_code == 404
    http.post(f"{DATASET}/dicomStores?dicomStoreId=ct")
    assert http.get(f"{WEB}/studies").status_code == 204
    assert store(http, one).status_code == 200


def test_deleting_a_dataset_deletes_its_stores(http: Client) -> None:
    """datasets.delete takes everything below along (1.4)."""
    store(http, instance())
    assert http.delete(DATASET).json == {}
    assert http.get(DATASET).status_code == 404
    assert http.get(STORE).status_code == 404
    client(http.application)
    assert http.get(f"{WEB}/studies").status_code == 204


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    """Datasets and stores are there when the folder is opened again."""
    with Engine(tmp_path) as first:
        client(first, resource={"labels": {"a": "b"}})
    with Engine(tmp_path) as second:
        assert Client(second).get(STORE).json["labels"] == {"a": "b"}


def test_no_answer_is_guessed_at_by_a_browser(http: Client) -> None:
    """nosniff on answers, errors and empty ones alike."""
    for path in (STORE, f"{STORE}x", f"{WEB}/studies", "/"):
        assert http.get(path).headers["X-Content-Type-Options"] == "nosniff"


def test_the_route_table_names_each_request_once() -> None:
    """Two rows for the same verb and rule would hide one another."""
    rows = [(r.verb, r.rule) for r in all_routes()]
    assert len(rows) == len(set(rows))


HOSTILE = ["..", "%2e%2e", "..%2f..%2fx", "%00", "1.2%0a", "x" * 65, "1.2.", ".1", "1..2", "１.2", "1.2%2f..", "'"]


@pytest.mark.parametrize("uid", HOSTILE)
def test_hostile_uids_in_a_path_are_refused(http: Client, engine: Engine, uid: str) -> None:
    """Never a file, never a 500 (check C17)."""
    before = sorted(engine.home.path.rglob("*"))
    for path in (f"studies/{uid}", f"studies/1.2/series/{uid}", f"studies/1.2/series/1.3/instances/{uid}"):
        for verb in ("GET", "DELETE", "POST"):
            assert 400 <= http.open(f"{WEB}/{path}", method=verb).status_code < 500
    assert sorted(engine.home.path.rglob("*")) == before
