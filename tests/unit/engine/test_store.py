"""STOW-RS: each instance is named once, with what became of it (checks C04, C05; healthcare-api 4.2)."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pydicom
import pytest
from pydicom.data import get_testdata_file
from werkzeug.test import Client

from dicomkit.engine import Engine
from dicomkit.engine.services import ingest
from tests.unit.engine.factories import (
    FILE_AS_STORED,
    STORE,
    WEB,
    body_of,
    client,
    instance,
    outcomes,
    reasons,
    store,
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path) as made:
        yield made


@pytest.fixture
def http(engine: Engine) -> Client:
    return client(engine)


def count(http: Client) -> int:
    answer = http.get(f"{WEB}/instances?limit=50000")
    return len(answer.json) if answer.status_code == 200 else 0


def test_stored_instances_are_referenced_in_the_answer(http: Client) -> None:
    """Study URL at the top; class, UID and URL of each instance in ReferencedSOPSequence."""
    one = instance()
    two = instance(study=one.study)
    answer = store(http, one, two)
    assert answer.status_code == 200
    assert answer.content_type == "application/dicom+json"
    base = "http://localhost" + WEB
    assert answer.json["00081190"] == {"vr": "UR", "Value": [f"{base}/studies/{one.study}"]}
    items = answer.json["00081199"]["Value"]
    assert [i["00081155"]["Value"][0] for i in items] == [one.uid, two.uid]
    assert items[0]["00081150"] == {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]}
    assert items[0]["00081190"] == {"vr": "UR", "Value": ["http://localhost" + one.path]}
    assert "00081198" not in answer.json


def test_xml_is_the_default(http: Client) -> None:
    """Without Accept, and with */*, the answer is the Native DICOM Model."""
    one = instance()
    body = body_of(one, b"garbage & <more>")
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/dicom+xml"}):
        answer = http.post(f"{WEB}/studies", data=b"".join(body), content_type=body.content_type, headers=accept)
        assert answer.content_type == "application/dicom+xml"
        root = ElementTree.fromstring(answer.data)
        values = {a.get("keyword"): a.findtext("Value") for a in root.iter("DicomAttribute")}
        assert values["ReferencedSOPInstanceUID"] == one.uid
        assert values["FailureReason"] == "272"
        detail = root.find(".//DicomAttribute[@keyword='FailureDetail']")
        assert detail is not None
        assert (detail.get("tag"), detail.get("vr"), detail.get("privateCreator")) == ("00090097", "LT", "GOOGLE")
        assert detail.findtext("Value")


def test_other_answers_than_these_are_not_acceptable(http: Client) -> None:
    """Google's words for a type that cannot be produced (1.11); nothing is stored."""
    answer = store(http, instance(), accept="text/html")
    assert answer.status_code == 406
    assert "no supported media type found in [text/html]" in answer.json["error"]["message"]
    assert count(http) == 0


def test_one_file_without_multipart(http: Client) -> None:
    """Content-Type application/dicom: the body is the file."""
    one = instance()
    answer = http.post(
        f"{WEB}/studies", data=one.data, content_type="application/dicom", headers={"Accept": "application/dicom+json"}
    )
    assert (answer.status_code, outcomes(answer)) == (200, {1: "STORED"})
    assert http.get(one.path, headers={"Accept": FILE_AS_STORED}).data == one.data


def test_good_bad_and_conflicting_instances_in_one_request(http: Client) -> None:
    """409 as soon as one failed; the good ones are stored, and every one is named exactly once (C04)."""
    old = instance()
    other_bytes = instance(study=old.study, series=old.series, uid=old.uid, PatientID="P-2")
    store(http, old)
    good = instance()
    answer = store(http, good, b"garbage", old, other_bytes, good.data[:-10], good)
    assert answer.status_code == 409
    assert outcomes(answer) == {
        1: "STORED",
        2: "FAILED",
        3: "ALREADY_STORED",
        4: "FAILED",
        5: "FAILED",
        6: "ALREADY_STORED",
    }
    failed = answer.json["00081198"]["Value"]
    assert all(item["00081197"] == {"vr": "US", "Value": [272]} for item in failed)
    assert all(reasons(answer))
    assert "checksum mismatch" in reasons(answer)[1]
    assert failed[1]["00081155"]["Value"] == [old.uid]
    assert count(http) == 2


def test_the_same_bytes_again_change_nothing(http: Client) -> None:
    """200 and no new row; other bytes 409, and the first ones stay (C05)."""
    one = instance()
    assert outcomes(store(http, one)) == {1: "STORED"}
    assert (store(http, one).status_code, outcomes(store(http, one))) == (200, {1: "ALREADY_STORED"})
    changed = instance(study=one.study, series=one.series, uid=one.uid, PatientName="Other")
    assert store(http, changed).status_code == 409
    assert count(http) == 1
    assert http.get(one.path, headers={"Accept": FILE_AS_STORED}).data == one.data


def test_two_different_instances_with_the_same_uids_in_one_request(http: Client) -> None:
    """The first one wins."""
    one = instance()
    other = instance(study=one.study, series=one.series, uid=one.uid, PatientName="Other")
    assert outcomes(store(http, one, other, one)) == {1: "STORED", 2: "FAILED", 3: "ALREADY_STORED"}


def test_the_key_is_the_triple_of_uids(http: Client) -> None:
    """The same SOP Instance UID in another series is another instance (4.2)."""
    one = instance()
    elsewhere = instance(study=one.study, uid=one.uid)
    assert store(http, one, elsewhere).status_code == 200
    assert count(http) == 2
    assert http.get(elsewhere.path, headers={"Accept": FILE_AS_STORED}).data == elsewhere.data


def test_overwriting_is_delete_and_store(http: Client) -> None:
    """The recipe of the adapter (4.2): POST 409, DELETE, POST 200."""
    one = instance()
    other = instance(study=one.study, series=one.series, uid=one.uid, PatientName="Other")
    store(http, one)
    assert store(http, other).status_code == 409
    assert http.delete(one.path).json == {}
    assert store(http, other).status_code == 200
    assert http.get(one.path, headers={"Accept": FILE_AS_STORED}).data == other.data


def test_an_instance_of_another_study_fails(http: Client) -> None:
    """POST studies/{uid} takes that study's instances only."""
    right, wrong = instance(), instance()
    answer = store(http, right, wrong, path=f"{WEB}/studies/{right.study}")
    assert (answer.status_code, outcomes(answer)) == (409, {1: "STORED", 2: "FAILED"})
    assert "another study" in reasons(answer)[0]
    assert count(http) == 1


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("text/plain", b"x"),
        ("application/json", b"{}"),
        ("", b"x"),
        ("multipart/related", b"x"),
        ('multipart/related; type="application/dicom"; boundary=b', b""),
        ('multipart/related; type="application/dicom"; boundary=b', b"--b--\r\n"),
        ('multipart/related; type="application/dicom+json"; boundary=b', b"--b--\r\n"),
        ('multipart/related; type="application/dicom"; boundary=b', b"--b\r\n\r\nbody without an end"),
        ("application/dicom", b""),
    ],
)
def test_a_request_that_is_none_is_refused_as_a_whole(http: Client, content_type: str, data: bytes) -> None:
    """400 for a bad media type or a malformed body (4.2), with Google's error body."""
    answer = http.post(f"{WEB}/studies", data=data, content_type=content_type)
    assert answer.status_code == 400
    assert answer.json["error"]["status"] == "INVALID_ARGUMENT"


def test_a_missing_store_is_404_before_the_body_is_read(http: Client) -> None:
    """Nobody uploads a gigabyte to hear that the store is not there."""

    class Unread:
        def read(self, size: int = -1) -> bytes:
            raise AssertionError("the body was read")

    answer = http.post(
        f"{WEB.replace('/ct/', '/none/')}/studies",
        content_type="application/dicom",
        environ_overrides={"wsgi.input": Unread(), "CONTENT_LENGTH": str(1 << 30)},
    )
    assert answer.status_code == 404


def test_a_part_of_another_type_fails_alone(http: Client) -> None:
    """Its neighbours are stored."""
    one = instance()
    parts = [(b"image/png", b"x"), (b"application/dicom", one.data), (b"", b"")]
    data = b"".join(b"--b\r\nContent-Type: %s\r\n\r\n%s\r\n" % p if p[0] else b"--b\r\n\r\n\r\n" for p in parts)
    answer = http.post(
        f"{WEB}/studies",
        data=data + b"--b--",
        content_type="multipart/related; type=application/dicom; boundary=b",
        headers={"Accept": "application/dicom+json"},
    )
    assert outcomes(answer) == {1: "FAILED", 2: "STORED", 3: "FAILED"}


def test_the_storage_class_must_be_one(http: Client) -> None:
    """The header Storage-Class has four values (1.10)."""
    body = body_of(instance())
    for value, status in (("NEARLINE", 200), ("COLD", 400)):
        answer = http.post(
            f"{WEB}/studies", data=b"".join(body), content_type=body.content_type, headers={"Storage-Class": value}
        )
        assert answer.status_code == status


def test_many_instances_are_committed_in_batches(http: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is the same whatever the size of a batch, and keeps the order of the request."""
    monkeypatch.setattr(ingest, "BATCH_PARTS", 3)
    files = [instance(study="1.2.3", series="1.2.3.4", InstanceNumber=n) for n in range(8)]
    answer = store(http, *files[:5], b"bad", *files[5:])
    assert [i["00081155"]["Value"][0] for i in answer.json["00081199"]["Value"]] == [f.uid for f in files]
    assert outcomes(answer)[6] == "FAILED"
    found = http.get(f"{WEB}/studies?includefield=NumberOfStudyRelatedInstances").json
    assert found[0]["00201208"]["Value"] == [8]


def test_large_instances_get_a_file_of_their_own(http: Client, engine: Engine) -> None:
    """Beside small ones in the same request, and read back alike."""
    small, large, more = instance(), instance(pixels=9 << 20), instance()
    assert store(http, small, large, more, large).status_code == 200
    sizes = sorted(p.stat().st_size for p in engine.home.blobs.iterdir())
    assert sizes == [len(small.data) + len(more.data), len(large.data)]
    assert not list(engine.home.tmp.iterdir())
    for one in (small, large, more):
        assert http.get(one.path, headers={"Accept": FILE_AS_STORED}).data == one.data
    assert http.delete(large.path).status_code == 200
    assert len(list(engine.home.blobs.iterdir())) == 1


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.99])
def test_a_cut_upload_stores_no_partial_instance(http: Client, engine: Engine, cut: float) -> None:
    """The body ends before the length it announced: 400, nothing half stored, no file left."""
    files = [instance() for _ in range(3)] + [instance(pixels=5 << 20)]
    body = body_of(*files)
    data = b"".join(body)
    answer = http.post(
        f"{WEB}/studies",
        input_stream=io.BytesIO(data[: int(len(data) * cut)]),
        content_length=len(data),
        content_type=body.content_type,
    )
    assert answer.status_code == 400
    assert not list(engine.home.tmp.iterdir())
    found = http.get(f"{WEB}/instances")
    for item in found.json if found.status_code == 200 else []:
        one = next(f for f in files if f.uid == item["00080018"]["Value"][0])
        assert http.get(one.path, headers={"Accept": FILE_AS_STORED}).data == one.data
    assert store(http, *files).status_code == 200


def test_concurrent_uploads_all_arrive(http: Client, engine: Engine) -> None:
    """Eight clients at a time, each with the same and with own instances; group commit loses and doubles none."""
    shared = instance()
    own = [[instance(study="1.2.3", series=f"1.2.3.{n % 2}") for _ in range(5)] for n in range(8)]
    answers = []

    def upload(files: list) -> None:
        for one in files:
            answers.append(store(Client(engine), one, shared))

    threads = [threading.Thread(target=upload, args=(files,)) for files in own]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {a.status_code for a in answers} == {200}
    assert [o for a in answers for o in outcomes(a).values()].count("STORED") == 41
    assert count(http) == 41
    facts = http.get(
        f"{WEB}/studies?StudyInstanceUID=1.2.3&includefield=NumberOfStudyRelatedInstances,NumberOfStudyRelatedSeries"
    )
    assert (facts.json[0]["00201208"]["Value"], facts.json[0]["00201206"]["Value"]) == ([40], [2])


def test_a_store_that_is_deleted_meanwhile_gets_nothing(http: Client, engine: Engine) -> None:
    """The instance is prepared, the store goes, the commit finds no store: 404."""

    class Deleting(io.BytesIO):
        def read(self, size: int = -1) -> bytes:
            data = super().read(size)
            if not data and not getattr(self, "done", False):
                self.done = True
                assert Client(engine).delete(STORE).status_code == 200
            return data

    body = body_of(instance())
    answer = http.post(
        f"{WEB}/studies",
        input_stream=Deleting(b"".join(body)),
        content_type=body.content_type,
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 404
    with engine.storage.database.read() as connection:
        assert connection.execute("SELECT COUNT(*) FROM instances").fetchone()[0] == 0


def test_no_value_of_a_file_is_logged_or_answered_on_failure(http: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Canaries in every text element of broken files turn up nowhere (C19)."""
    canary = "CANARY"
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    for element in ds.iterall():
        if element.VR in ("LO", "SH", "PN", "ST", "LT", "UT"):
            element.value = canary
    buffer = io.BytesIO()
    ds.save_as(buffer)
    data = buffer.getvalue()
    with caplog.at_level(logging.DEBUG, logger="dicomkit"):
        store(http, data)
        changed = data[:-1] + bytes([data[-1] ^ 1])
        answers = [store(http, changed), *(store(http, data[:cut]) for cut in range(200, len(data), 1_501))]
    assert {a.status_code for a in answers} == {409}
    assert not any(canary in a.text for a in answers)
    assert canary not in caplog.text
    assert ds.StudyInstanceUID not in caplog.text


def test_google_mode_answers_with_googles_elements_only(tmp_path: Path) -> None:
    """What only dicomkit says is left out."""
    with Engine(tmp_path / "strict", mode="google") as engine:
        answer = store(client(engine), instance(), b"bad")
    tags = {tag for t in ("00081198", "00081199") for item in answer.json[t]["Value"] for tag in item}
    assert tags == {"00081150", "00081155", "00081190", "00081197", "00090010", "00091097"}
