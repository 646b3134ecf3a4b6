"""Store responses as other servers write them: who is matched with what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests
from werkzeug.wrappers import Request, Response

from dicomkit.client.rest import Rest
from dicomkit.client.upload import upload
from dicomkit.dicom.multipart import parts
from dicomkit.errors import NotFound, Unavailable
from dicomkit.transport import ORIGIN, EngineAdapter
from tests.contract.instances import ROOT, ct_slice, part10

BASE = "https://healthcare.googleapis.com/v1/projects/P/locations/L/datasets/D/dicomStores/S/dicomWeb"


def stored(study: int, series: int = 1, instance: int = 1) -> dict[str, Any]:
    """An item of ReferencedSOPSequence as Google's documentation shows it."""
    uids = f"studies/{ROOT}.{study}/series/{ROOT}.{study}.{series}/instances/{ROOT}.{study}.{series}.{instance}"
    return {
        "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
        "00081155": {"vr": "UI", "Value": [f"{ROOT}.{study}.{series}.{instance}"]},
        "00081190": {"vr": "UR", "Value": [f"{BASE}/{uids}"]},
    }


def failed(uid: str | None, reason: int = 272, detail: str | None = None) -> dict[str, Any]:
    """An item of FailedSOPSequence; what is not known is left out."""
    item: dict[str, Any] = {"00081197": {"vr": "US", "Value": [reason]}}
    if uid:
        item["00081155"] = {"vr": "UI", "Value": [uid]}
    if detail:
        item |= {"00090010": {"vr": "LO", "Value": ["GOOGLE"]}, "00091097": {"vr": "LT", "Value": [detail]}}
    return item


class Server:
    """Answers store requests from a script, and keeps the parts of each."""

    def __init__(self, *answers: Response | Callable[[list[bytes]], Response]) -> None:
        self.answers = list(answers)
        self.requests: list[list[bytes]] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        request = Request(environ)
        assert request.headers["Accept"] == "application/dicom+json"
        got = [bytes(part.buffer()) for part in parts(request.stream, request.headers["Content-Type"])]
        assert request.content_length
        self.requests.append(got)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return (answer if isinstance(answer, Response) else answer(got))(environ, start_response)


def response(stored_items: list[Any], failed_items: list[Any]) -> Response:
    """A store response; 409 when anything failed, as Google answers."""
    body: dict[str, Any] = {}
    if failed_items:
        body["00081198"] = {"vr": "SQ", "Value": failed_items}
    if stored_items:
        body["00081199"] = {"vr": "SQ", "Value": stored_items}
    return Response(json.dumps(body), status=409 if failed_items else 200, content_type="application/dicom+json")


def send(server: Server, sources: Any, **options: Any) -> pd.DataFrame:
    """Upload *sources* to *server*."""
    session = requests.Session()
    session.mount(f"{ORIGIN}/", EngineAdapter(server))
    rest = Rest(session, f"{ORIGIN}/v1", sleep=lambda seconds: None)
    return upload(rest, "s/dicomWeb", sources, **options)


def test_answer_in_any_order_is_matched_by_uid() -> None:
    """Google does not say which part an item is about: the UIDs in the files do."""
    server = Server(response([stored(3), stored(1)], [failed(f"{ROOT}.2.1.1", detail="already exists")]))
    frame = send(server, [ct_slice(1), ct_slice(2), ct_slice(3)])
    assert frame["outcome"].tolist() == ["stored", "failed", "stored"]
    assert frame["reason"].tolist()[1] == "already exists"
    assert frame["StudyInstanceUID"].tolist() == [f"{ROOT}.{i}" for i in (1, 2, 3)]
    assert frame["SOPInstanceUID"].tolist() == [f"{ROOT}.{i}.1.1" for i in (1, 2, 3)]


def test_item_without_uid_is_the_part_without_uid() -> None:
    """Garbage has no UID, and its failure names none."""
    server = Server(response([stored(1)], [failed(None, detail="not DICOM")]))
    frame = send(server, [b"garbage" * 50, ct_slice(1)])
    assert frame["outcome"].tolist() == ["failed", "stored"]
    assert frame["reason"][0] == "not DICOM"


def test_same_instance_twice_has_two_outcomes() -> None:
    """Two items of one UID belong to two parts."""
    file = part10(ct_slice(1))
    frame = send(Server(response([stored(1)], [failed(f"{ROOT}.1.1.1")])), [file, file])
    assert sorted(frame["outcome"]) == ["failed", "stored"]


def test_part_that_the_answer_forgets_has_failed() -> None:
    """Where anything failed, silence is no acknowledgement."""
    frame = send(Server(response([stored(1)], [failed(f"{ROOT}.9")])), [ct_slice(1), ct_slice(2)])
    assert frame["outcome"].tolist() == ["stored", "failed"]
    assert "does not name" in frame["reason"][1]


@pytest.mark.parametrize("body", [b"", b"{}", b"null"])
def test_success_without_a_word_is_success(body: bytes) -> None:
    """200 means that all instances are stored (conformance statement, store transaction)."""
    frame = send(Server(Response(body, content_type="application/dicom+json")), [ct_slice(1)])
    assert frame["outcome"].tolist() == ["stored"]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0x0110, "processing failure"),
        (0xA700, "out of resources"),
        (0xA9FF, "does not match"),
        (0xC123, "not understood"),
        (0x0001, "unknown"),
    ],
)
def test_reason_code_is_told_in_words(code: int, text: str) -> None:
    """FailureReason of PS3.18 Table I.2-2, in words and as a number."""
    frame = send(Server(response([], [failed(f"{ROOT}.1.1.1", code)])), [ct_slice(1)])
    assert text in frame["reason"][0]
    assert f"0x{code:04X}" in frame["reason"][0]


@pytest.mark.parametrize(
    "answer", [{"00081199": 5}, {"00081199": {"Value": [5, {"00081155": {"Value": [7]}}]}}, {"00081198": {"Value": {}}}]
)
def test_odd_answer_ends_in_rows(answer: dict[str, Any]) -> None:
    """Whatever JSON comes, each file has an outcome."""
    frame = send(Server(Response(json.dumps(answer), status=409)), [ct_slice(1)])
    assert frame["outcome"].isin(["stored", "failed"]).all()


def test_hostile_uid_in_an_answer_is_dropped() -> None:
    """A UID of the frame may be used as the name of a file."""
    item = stored(1)
    item["00081155"]["Value"] = ["../../etc/passwd"]
    item["00081190"]["Value"] = [f"{BASE}/studies/../series/..%2f/instances/x"]
    frame = send(Server(response([item], [])), [b"garbage" * 50])
    assert frame[["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]].isna().all(axis=None)


def test_error_body_with_409_is_an_error() -> None:
    """409 is also the status of ALREADY_EXISTS and ABORTED, whose body is no store response."""
    error = Response(json.dumps({"error": {"code": 404, "message": "no store", "status": "NOT_FOUND"}}), status=404)
    with pytest.raises(NotFound, match="no store"):
        send(Server(error), [ct_slice(1)])
    conflict = Response(json.dumps({"error": {"code": 409, "message": "x", "status": "ABORTED"}}), status=409)
    with pytest.raises(Exception, match="x") as caught:
        send(Server(conflict), [ct_slice(1)])
    assert type(caught.value).__name__ == "Aborted"


def test_file_that_spoils_its_request_is_found() -> None:
    """Where the whole request is refused, each file is sent alone: one row fails, the rest goes in."""

    def answer(got: list[bytes]) -> Response:
        if any(part.startswith(b"bad") for part in got):
            body = {"error": {"code": 413, "message": "too large", "status": "INVALID_ARGUMENT"}}
            return Response(json.dumps(body), status=413)
        return response([], []) if len(got) == 1 else Response(status=500)

    frame = send(Server(answer), [ct_slice(1), b"bad" * 100, ct_slice(2)])
    assert frame["outcome"].tolist() == ["stored", "failed", "stored"]
    assert frame["reason"][1] == "too large"


def test_request_without_an_answer_is_repeated_whole(tmp_path: Path) -> None:
    """The connection dropped after the body: the same parts go again, from memory and from disk."""
    big = tmp_path / "big.dcm"
    big.write_bytes(part10(ct_slice(2, PixelData=b"\0" * (6 << 20))))

    def drop(got: list[bytes]) -> Response:
        raise ConnectionResetError

    server = Server(drop, response([stored(1), stored(2)], []))
    frame = send(server, [ct_slice(1), big])
    assert frame["outcome"].tolist() == ["stored", "stored"]
    assert server.requests[0] == server.requests[1]


def test_server_that_stays_away_says_what_was_acknowledged() -> None:
    """The error has a note: what was stored, and that the same upload goes on from there."""

    def gone(got: list[bytes]) -> Response:
        raise ConnectionResetError

    server = Server(response([stored(1)], []), gone)
    with pytest.raises(Unavailable) as caught:
        send(server, [ct_slice(1), ct_slice(2), ct_slice(3)], batch_bytes=1)
    assert "1 of 3 files were acknowledged" in "".join(caught.value.__notes__)
    assert len(server.requests) == 5


def test_batches_keep_to_bytes_and_count() -> None:
    """A request closes before it grows beyond the limit, and at a hundred files."""
    server = Server(response([], []))
    files = [part10(ct_slice(1, 1, i)) for i in range(1, 251)]
    send(server, files)
    assert [len(got) for got in server.requests] == [100, 100, 50]
    server.requests.clear()
    send(server, files[:10], batch_bytes=len(files[0]) * 3 + 30)
    assert [len(got) for got in server.requests] == [3, 3, 3, 1]
    assert [part for got in server.requests for part in got] == files[:10]
