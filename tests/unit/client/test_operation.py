"""Operations before servers that are a few lines of WSGI: Cloud Logging, broken lines, hostile texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
import pytest
import requests
from googleapiclient.discovery_cache import get_static_doc
from werkzeug.wrappers import Request, Response

from dicomkit.client import operation as operations
from dicomkit.client.connection import CLOUD_URL, LOGGING_URL, Connection
from dicomkit.client.operation import Operation, begin, check_name, state_of
from dicomkit.client.operations import operations_frame
from dicomkit.errors import InvalidArgument, OperationError, PartialResultsWarning, Unavailable
from dicomkit.frames import OPERATION_ERRORS
from dicomkit.resources import Operation as Resource
from dicomkit.transport import ORIGIN, EngineAdapter
from dicomkit.transport.engine_adapter import WsgiApp

NAME = "projects/p/locations/l/datasets/d/operations/17"
RUNNING = {"name": NAME, "metadata": {"apiMethodName": "google.cloud.healthcare.v1.dicom.DicomService.ExportDicomData"}}
DONE = {**RUNNING, "done": True, "response": {}}


class Scripted:
    """An application that answers one thing after the other, the last for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, str, Any]] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        self.requests.append((request.method, request.path, json.loads(request.get_data() or b"null")))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, int):
            return Response(status=answer)(environ, start_response)
        return Response(json.dumps(answer), content_type="application/json")(environ, start_response)


def connected(app: WsgiApp) -> Connection:
    """To a dicomkit server."""
    session = requests.Session()
    session.mount(f"{ORIGIN}/", EngineAdapter(app))
    return Connection(session, base_url=f"{ORIGIN}/v1", bigquery_endpoint=ORIGIN, place="here")


def in_cloud(healthcare: WsgiApp, logging: WsgiApp) -> Connection:
    """To Google, whose two origins these applications are."""
    session = requests.Session()
    session.mount(CLOUD_URL.removesuffix("v1"), EngineAdapter(healthcare))
    session.mount(LOGGING_URL.removesuffix("v2"), EngineAdapter(logging))
    return Connection(session, base_url=CLOUD_URL, bigquery_endpoint=None, place="Google Cloud")


def entry(number: int) -> dict[str, Any]:
    """What the API writes to Cloud Logging, as its documentation shows it."""
    return {
        "jsonPayload": {
            "@type": "type.googleapis.com/google.cloud.healthcare.logging.ImportDicomLogEntry",
            "error": {"code": 3, "message": "empty DICOM instance found"},
            "source": f"gs://b/{number}.dcm",
        },
        "resource": {"type": "healthcare_dicom_store", "labels": {}},
        "operation": {"id": NAME, "producer": "healthcare.googleapis.com"},
        "severity": "ERROR",
    }


def test_errors_of_the_cloud_are_in_its_log() -> None:
    """All pages of entries of this operation since it began; those without an error are about its progress."""
    failed = {**DONE, "metadata": {"createTime": "2026-01-01T00:00:00.000000Z", "counter": {"failure": "3"}}}
    progress = {"jsonPayload": {"message": "half way"}, "severity": "ERROR"}
    pages = [{"entries": [entry(0), progress, entry(1)], "nextPageToken": "more"}, {"nextPageToken": "last"}]
    log = Scripted(*pages, {"entries": [entry(2)]})
    frame = Operation(in_cloud(Scripted(failed), log), Resource.from_api(failed)).errors()
    assert frame["source"].tolist() == ["gs://b/0.dcm", "gs://b/1.dcm", "gs://b/2.dcm"]
    assert frame["reason"].unique().tolist() == ["empty DICOM instance found"]
    assert frame["code"].unique().tolist() == ["INVALID_ARGUMENT"]
    bodies = [body for _, _, body in log.requests]
    assert {(method, path) for method, path, _ in log.requests} == {("POST", "/v2/entries:list")}
    assert [body.get("pageToken") for body in bodies] == [None, "more", "last"]
    assert bodies[0]["resourceNames"] == ["projects/p"]
    assert bodies[0]["filter"] == (
        f'operation.id="{NAME}" AND severity>=ERROR AND timestamp>="2026-01-01T00:00:00.000000Z"'
    )


def test_request_to_cloud_logging_is_the_documents() -> None:
    """Path, fields and types against the discovery document of logging v2."""
    log = Scripted({})
    Operation(in_cloud(Scripted(DONE), log), Resource.from_api(DONE)).errors()
    text = get_static_doc("logging", "v2")
    assert text is not None
    document = json.loads(text)
    method = document["resources"]["entries"]["methods"]["list"]
    [(verb, path, body)] = log.requests
    assert (verb, path) == (method["httpMethod"], "/" + method["path"])
    assert document["rootUrl"] == LOGGING_URL.removesuffix("v2")
    known = document["schemas"][method["request"]["$ref"]]["properties"]
    python = {"string": str, "integer": int, "array": list}
    for name, value in body.items():
        assert isinstance(value, python[known[name]["type"]])
        assert "deprecated" not in known[name]
    assert body["orderBy"] in known["orderBy"]["description"]
    assert isinstance(body["resourceNames"][0], str)


def test_errors_that_are_not_all_there_are_told() -> None:
    """A log that repeats its page, and one that has fewer entries than failures were counted."""
    failed = {**DONE, "metadata": {"counter": {"failure": "9"}}}
    log = Scripted({"entries": [entry(0)], "nextPageToken": "same"})
    with pytest.warns(PartialResultsWarning) as caught:
        frame = Operation(in_cloud(Scripted(failed), log), Resource.from_api(failed)).errors()
    assert len(frame) == 2
    assert ["same page token" in str(caught[0].message), "2 of 9" in str(caught[1].message)] == [True, True]


@pytest.mark.parametrize("payload", [None, [], {"error": None}, {"error": {"code": "3", "message": 5}, "source": {}}])
def test_odd_log_entry_is_no_error_of_ours(payload: Any) -> None:
    """What cannot be read is missing in a typed frame."""
    log = Scripted({"entries": [{"jsonPayload": payload}]})
    frame = Operation(in_cloud(Scripted(DONE), log), Resource.from_api(DONE)).errors()
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {c.name: c.dtype for c in OPERATION_ERRORS}
    assert frame["source"].isna().all()


def test_name_from_the_server_is_checked() -> None:
    """It becomes a part of paths and of a filter: nothing in it may end a string there."""
    for name in ("", "x", f"{NAME}/../../x", f'{NAME}" OR severity>="DEFAULT', f"{NAME}\n", NAME.replace("17", "")):
        with pytest.raises(InvalidArgument):
            check_name(name)
        with pytest.raises(InvalidArgument):
            Operation(connected(Scripted(DONE)), Resource(name=name))
    hostile = {**DONE, "metadata": {"createTime": '" OR severity>="DEFAULT'}}
    log = Scripted({})
    Operation(in_cloud(Scripted(hostile), log), Resource.from_api(hostile)).errors()
    assert "DEFAULT" not in log.requests[0][2]["filter"]


def test_line_that_breaks_for_a_while_does_not_end_the_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operation goes on meanwhile; after a limit it is an error that says how to come back."""
    monkeypatch.setattr("dicomkit.client.rest.FIRST_DELAY_S", 0.001)
    app = Scripted(RUNNING, *[503] * 6, RUNNING, DONE)
    assert Operation(connected(app), Resource.from_api(RUNNING)).result().done
    monkeypatch.setattr(operations, "PATIENCE_S", 0.0)
    with pytest.raises(Unavailable) as caught:
        Operation(connected(Scripted(503)), Resource.from_api(RUNNING)).result()
    assert any('ds.operation("17")' in note for note in caught.value.__notes__)


def test_looks_come_soon_at_first_and_seldom_later() -> None:
    """A short operation costs no second, a long one no stream of requests."""
    operation = Operation(connected(Scripted(RUNNING)), Resource.from_api(RUNNING))
    pauses = [pause for pause, _ in zip(operation._waits(None, False), range(20), strict=False)]
    assert pauses[0] <= 0.01
    assert pauses == sorted(pauses)
    assert pauses[-1] == 2.0
    assert sum(pauses[:8]) < 1


def test_operation_that_was_never_described_fails_with_what_is_known() -> None:
    """No metadata, an unknown code, and no message."""
    failed = {"name": NAME, "done": True, "error": {"code": 99}}
    operation = Operation(connected(Scripted(failed)), Resource(name=NAME), method="ExportDicomData")
    with pytest.raises(
        OperationError, match=r"ExportDicomData: .*without saying why \(UNKNOWN\); 0 succeeded, 0 failed"
    ):
        operation.result()
    assert state_of(operation.resource) == "failed"
    assert operation.counters == {"success": 0, "failure": 0, "pending": 0}


def test_operation_that_is_done_at_once_is_not_asked_for() -> None:
    """Nor cancelled."""
    app = Scripted(DONE)
    operation = begin(connected(app), "x:export", {}, method="ExportDicomData")
    assert operation.result() is operation
    assert operation.cancel().state == "succeeded"
    assert [method for method, _, _ in app.requests] == ["POST"]


def test_beginning_is_not_repeated() -> None:
    """It may have begun although no answer came."""
    app = Scripted(503)
    with pytest.raises(Unavailable):
        begin(connected(app), "x:export", {}, method="ExportDicomData")
    assert len(app.requests) == 1


def test_card_escapes_and_shows_how_far_it_is() -> None:
    """What the server says is text and no markup; numbers are the bar."""
    method = "google.<script>alert(1)</script>"
    resource = {"name": NAME, "metadata": {"apiMethodName": method, "counter": {"success": "3", "pending": "9"}}}
    app = Scripted(DONE)
    card = Operation(connected(app), Resource.from_api(resource))._repr_html_()
    assert "<script>" not in card
    assert '<progress style="width:100%;margin-top:.3em" value="3" max="12"></progress>' in card
    assert app.requests == []


def test_frame_of_odd_operations_keeps_its_types() -> None:
    """Fields that are missing are missing; counters that are no numbers are zero."""
    odd = [{"name": NAME}, {"name": NAME, "done": True, "metadata": {"counter": {"success": "x", "failure": "2"}}}]
    frame = operations_frame(odd)
    assert frame["state"].tolist() == ["running", "succeeded"]
    assert frame["success"].tolist() == [0, 0]
    assert frame["failure"].tolist() == [0, 2]
    assert frame["create_time"].isna().all()
    assert isinstance(frame["create_time"].dtype, pd.DatetimeTZDtype)
