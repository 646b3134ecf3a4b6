"""What a store does beside its requests, in front of a server that is a few lines of WSGI."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import requests
from werkzeug.wrappers import Request, Response

from dicomkit.client.bigquery import client_of
from dicomkit.client.connection import Connection
from dicomkit.client.dataset import Dataset, create_if_missing
from dicomkit.client.store import Store
from dicomkit.errors import (
    ApiError,
    DeadlineExceeded,
    NotFound,
    OperationError,
    PartialResultsWarning,
    StreamLagWarning,
    Unimplemented,
)
from dicomkit.names import DatasetName
from dicomkit.resources import DicomStore
from dicomkit.transport import ORIGIN, EngineAdapter

NAME = "projects/p/locations/l/datasets/d"


class Server:
    """Answers by the end of the path; each answer is the next of its list, the last for ever."""

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.requests: list[tuple[str, str, Any]] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        body = json.loads(request.get_data() or b"null")
        self.requests.append((request.method, request.path, body))
        key = request.path.rpartition("/")[2].rpartition(":")[2]
        answers = self.answers.get(f"{request.method}_{key}") or self.answers.get(key)
        if not answers:
            error = {"error": {"code": 404, "message": "none", "status": "NOT_FOUND"}}
            return Response(json.dumps(error), status=404)(environ, start_response)
        value = answers.pop(0) if len(answers) > 1 else answers[0]
        return Response(json.dumps(value), content_type="application/json")(environ, start_response)


def connection(server: Server, *, is_cloud: bool = False) -> Connection:
    """A connection to *server*."""
    session = requests.Session()
    session.mount(f"{ORIGIN}/", EngineAdapter(server))
    endpoint = None if is_cloud else ORIGIN
    return Connection(session, base_url=f"{ORIGIN}/v1", bigquery_endpoint=endpoint, place="here")


def store(server: Server, *, is_cloud: bool = False) -> Store:
    """A store that streams to a table."""
    resource = DicomStore.from_api(
        {
            "name": f"{NAME}/dicomStores/ct",
            "streamConfigs": [{"bigqueryDestination": {"tableUri": "bq://other.x.y"}}],
        }
    )
    return Store(connection(server, is_cloud=is_cloud), resource)


def test_rows_that_do_not_arrive_in_time_are_told() -> None:
    """The query runs all the same; the warning says how many rows it lacks, and why."""
    late = {"tableUri": "bq://other.x.y", "waiting": 5, "delivered": 1, "failed": 0, "lastError": "table is gone"}
    server = Server(drainStreams=[{"streams": [late]}])
    with pytest.warns(StreamLagWarning, match="5 rows have not reached.*2 s.*table is gone"), pytest.raises(ApiError):
        store(server).sql("SELECT 1 FROM {table}", wait_s=2)
    method, path, body = server.requests[0]
    assert (method, path) == ("POST", f"/dicomkit/v1/{NAME}/dicomStores/ct:drainStreams")
    assert body == {"timeoutSeconds": 2}


def test_query_runs_in_the_project_of_its_table() -> None:
    """Table names in the SQL are whole, and the project that pays is that of the table."""
    server = Server(drainStreams=[{"streams": []}])
    with pytest.raises(NotFound):
        store(server).sql("SELECT 1 FROM {table}")
    method, path, body = server.requests[1]
    assert (method, path) == ("POST", "/bigquery/v2/projects/other/jobs")
    assert body["configuration"]["query"]["query"] == "SELECT 1 FROM `other.x.y`"


def test_google_is_not_asked_for_what_it_does_not_tell() -> None:
    """It has no route for the state of a stream."""
    server = Server()
    with pytest.raises(Unimplemented, match="Cloud Logging"):
        store(server, is_cloud=True).stream_status()
    assert server.requests == []


def test_patch_sends_what_it_changes() -> None:
    """The mask names the fields given, in the wire's spelling, and unknown fields of a config survive."""
    config = {"bigqueryDestination": {"tableUri": "bq://a.b.c", "changeDataCaptureConfig": {"x": 1}}}
    server = Server(ct=[{"name": f"{NAME}/dicomStores/ct", "streamConfigs": [config]}])
    subject = store(server).refresh()
    subject.patch(stream_to=subject.resource.stream_configs, labels={"a": "b"})
    method, _, body = server.requests[-1]
    assert method == "PATCH"
    assert body == {"labels": {"a": "b"}, "streamConfigs": [config]}


def test_list_that_does_not_go_on_ends_with_a_warning() -> None:
    """The same page token again: what was listed comes back once, and the warning says that it is not all."""
    page = {"dicomStores": [{"name": f"{NAME}/dicomStores/a"}], "nextPageToken": "again"}
    server = Server(dicomStores=[page])
    with pytest.warns(PartialResultsWarning, match="page token"):
        stores = Dataset(connection(server), DatasetName.parse(NAME)).stores()
    assert stores["id"].tolist() == ["a", "a"]
    assert len(server.requests) == 2


def test_dataset_is_waited_for() -> None:
    """Creation is an operation; it may take a while, and it may fail."""
    name = DatasetName.parse(NAME)
    running = {"name": f"{NAME}/operations/1"}
    server = Server(POST_datasets=[running], **{"1": [running, {**running, "done": True, "response": {}}]})
    here = connection(server)
    create_if_missing(here.rest, name)
    assert [method for method, _, _ in server.requests] == ["GET", "POST", "GET", "GET"]

    failed = {**running, "done": True, "error": {"code": 7, "message": "not allowed"}}
    here = connection(Server(POST_datasets=[failed]))
    with pytest.raises(OperationError, match="not allowed"):
        create_if_missing(here.rest, name)
    here = connection(Server(POST_datasets=[running], **{"1": [running]}))
    with pytest.raises(DeadlineExceeded, match="operations/1"):
        create_if_missing(here.rest, name, timeout_s=0)


def test_cloud_session_goes_to_google_only_through_its_own_client() -> None:
    """Without an endpoint the official client asks Google's, and carries our session."""
    here = store(Server(), is_cloud=True)._connection
    client = client_of(here, "other")
    assert client._connection.API_BASE_URL == "https://bigquery.googleapis.com"
    assert client.project == "other"
    assert client._http is here.session
