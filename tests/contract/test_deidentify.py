"""De-identified copies as their readers get them: no trace of an identity wherever one looks (checks C39 and C41)."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pydicom
import pytest

import dicomkit as dk
from dicomkit.errors import OperationError, PartialResultsWarning
from dicomkit.frames import DEIDENTIFY_PREVIEW
from tests.contract.instances import ROOT, ct_slice
from tests.unit.deid import planted
from tests.unit.deid.planted import BASIC, Marks, part10

TOPIC = "projects/local/topics/copies"
ALWAYS_THERE = ("00020002", "00020003", "00020010", "00080016", "00080018", "0020000D", "0020000E")


def files(dataset: dk.Store) -> Iterator[bytes]:
    """Every instance of a store, byte by byte as it is stored."""
    session, url = dataset._rest.session, dataset.dicomweb_url
    found = session.get(f"{url}/instances", params={"limit": 1000}, headers={"Accept": "application/dicom+json"})
    for item in found.json() if found.status_code == 200 else ():
        study, series, uid = (item[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
        answer = session.get(
            f"{url}/studies/{study}/series/{series}/instances/{uid}",
            headers={"Accept": "application/dicom; transfer-syntax=*"},
        )
        assert answer.status_code == 200
        yield answer.content


def counted(operation: dk.Operation) -> dict[str, int]:
    """The counters of an operation that are not 0."""
    return {name: count for name, count in operation.counters.items() if count}


def everything(conn: dk.Dataset, store: dk.Store, operation: dk.Operation) -> dict[str, bytes]:
    """All that a reader of the copies can get, by where it is from."""
    session = conn.session
    web, all_fields = store.dicomweb_url, {"includefield": "all", "limit": 1000}
    got = {f"file {number}": data for number, data in enumerate(files(store))}
    for level in ("studies", "series", "instances"):
        answer = session.get(f"{web}/{level}", params=all_fields, headers={"Accept": "application/dicom+json"})
        assert answer.status_code == 200
        got[f"search of {level}"] = answer.content
    for uid in store.search_studies()["StudyInstanceUID"]:
        answer = session.get(f"{web}/studies/{uid}/metadata", headers={"Accept": "application/dicom+json"})
        assert answer.status_code == 200
        got[f"metadata {uid}"] = answer.content
    got["table"] = store.sql("SELECT * FROM {table}").to_json(date_format="iso", default_handler=str).encode()
    got["messages"] = conn.messages(TOPIC).to_json(date_format="iso", default_handler=str).encode()
    got["operation"] = session.get(f"{conn.base_url}/{operation.name}").content
    return got


@pytest.fixture
def bucket(conn: dk.Dataset, tmp_path: Path) -> Path:
    """The bucket ``gs://configs`` of the home."""
    folder = tmp_path / "home" / "buckets" / "configs"
    folder.mkdir()
    return folder


@pytest.fixture
def source(conn: dk.Dataset) -> dk.Store:
    """An empty store."""
    return conn.create_store("ct")


@pytest.fixture
def copies(conn: dk.Dataset) -> dk.Store:
    """A store that streams to a table and notifies a topic."""
    return conn.create_store(
        "copies", stream_to="bq://local.imaging.copies", notification_configs=[{"pubsubTopic": TOPIC}]
    )


def test_nothing_planted_is_found_in_the_copies(conn: dk.Dataset, source: dk.Store, copies: dk.Store) -> None:
    """Not in a byte of a file, a search, the metadata, the table, a message, or the operation; nor is a birth date."""
    marks = Marks()
    planted_files = [part10(make(marks), marks) for make in (planted.ct, planted.report, planted.document)]
    assert len(marks.given) >= 28 and sorted(marks.found_in(b"".join(planted_files))) == sorted(marks.given)
    source._rest.session.post(
        f"{source.dicomweb_url}/studies",
        data=b"".join(_multipart(planted_files)),
        headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'},
    ).raise_for_status()
    operation = source.deidentify(copies, config=BASIC).result(timeout=60)
    assert counted(operation) == {"success": 3}
    assert len(operation.errors()) == 0
    got = everything(conn, copies, operation)
    assert len([name for name in got if name.startswith("file")]) == 3
    assert len(conn.messages(TOPIC)) == 3 and len(copies.sql("SELECT SOPInstanceUID FROM {table}")) == 3
    assert {name: found for name, data in got.items() if (found := marks.found_in(data))} == {}
    dates = (b"19700102", b"1970-01-02", b"20240229", b"2024-02-29")
    assert [(name, text) for name, data in got.items() for text in dates if text in data] == []
    old = [b"1.2.3.4.5.", b"1.2.3.4.7.", b"1.2.3.4.8."]
    assert [(name, uid) for name, data in got.items() for uid in old if uid in data] == []


def _multipart(bodies: list[bytes]) -> Iterator[bytes]:
    for body in bodies:
        yield b"--b\r\nContent-Type: application/dicom\r\n\r\n" + body + b"\r\n"
    yield b"--b--\r\n"


def test_failures_name_the_instance_and_no_value(conn: dk.Dataset, source: dk.Store, copies: dk.Store) -> None:
    """An instance that is there already with other bytes is a failure with its path; the rest goes on."""
    source.upload([ct_slice(1, 1, 1, PatientName="Secret^Name"), ct_slice(1, 1, 2, PatientName="Secret^Name")])
    copies.upload(ct_slice(1, 1, 2))
    config = {"dicom": BASIC["dicom"] | {"skipIdRedaction": True}}
    operation = source.deidentify(copies, config=config)
    with pytest.warns(PartialResultsWarning, match="1 failed"):
        operation.result(timeout=60)
    assert counted(operation) == {"success": 1, "failure": 1}
    errors = operation.errors()
    assert errors["source"].tolist() == [
        f"{source.name}/dicomWeb/studies/{ROOT}.1/series/{ROOT}.1.1/instances/{ROOT}.1.1.2"
    ]
    assert "Secret" not in errors.to_json()
    assert len(copies.search_instances()) == 2


def test_all_failed_is_an_error(source: dk.Store, copies: dk.Store) -> None:
    """The operation ends with an error, and says where the reasons are."""
    source.upload(ct_slice())
    copies.upload(ct_slice(PatientID="other"))
    with pytest.raises(OperationError, match="all 1 items failed"):
        source.deidentify(copies, config={"dicom": {"skipIdRedaction": True}}).result(timeout=60)


def test_references_between_instances_are_the_same_graph(source: dk.Store, copies: dk.Store) -> None:
    """Each image refers to the next: so do the copies, in as many studies and series, with the standard's UIDs kept."""
    slices = [ct_slice(s, e, i) for s in (1, 2) for e in (1, 2) for i in (1, 2)]
    for number, ds in enumerate(slices):
        target = pydicom.Dataset()
        target.ReferencedSOPClassUID = ds.SOPClassUID
        target.ReferencedSOPInstanceUID = slices[(number + 1) % len(slices)].SOPInstanceUID
        ds.ReferencedImageSequence = [target]
    source.upload(slices)
    source.deidentify(copies).result(timeout=60)
    got = [pydicom.dcmread(io.BytesIO(data)) for data in files(copies)]
    after = {ds.SOPInstanceUID: ds.ReferencedImageSequence[0].ReferencedSOPInstanceUID for ds in got}
    assert len(after) == 8
    first, walked = next(iter(after)), []
    at = first
    while at not in walked:
        walked.append(at)
        at = after[at]
    assert at == first and len(walked) == 8
    assert {ds.ReferencedImageSequence[0].ReferencedSOPClassUID for ds in got} == {slices[0].SOPClassUID}
    assert (len({ds.StudyInstanceUID for ds in got}), len({ds.SeriesInstanceUID for ds in got})) == (2, 4)


def test_two_operations_share_no_uid(conn: dk.Dataset, source: dk.Store) -> None:
    """Each has a key of its own, so that copies for two readers cannot be joined."""
    source.upload(ct_slice())
    uids = set()
    for id_ in ("a", "b"):
        store = conn.create_store(id_)
        source.deidentify(store).result(timeout=60)
        uids |= set(store.search_instances()["SOPInstanceUID"])
    assert len(uids) == 2


@pytest.mark.parametrize(
    ("config", "kept", "gone"),
    [
        ({"dicom": {"keepList": {"tags": ["PatientID", "00180050"]}}}, {"PatientID", "SliceThickness"}, {"StudyDate"}),
        ({"dicom": {"removeList": {"tags": ["PatientName"]}}}, {"PatientID", "AccessionNumber"}, {"PatientName"}),
        ({"dicom": {"filterProfile": "MINIMAL_KEEP_LIST_PROFILE"}}, {"Rows", "PixelData"}, {"PatientID", "StudyDate"}),
        ({"dicom": {"filterProfile": "KEEP_ALL_PROFILE"}}, {"PatientName", "StudyDate"}, set()),
        ({}, {"PatientName", "StudyDate", "AccessionNumber"}, set()),
    ],
)
def test_filters_keep_and_remove_what_they_name(
    source: dk.Store, copies: dk.Store, config: dict, kept: set[str], gone: set[str]
) -> None:
    """And what no instance can be without is there in any case, with new UIDs."""
    source.upload(ct_slice())
    source.deidentify(copies, config=config).result(timeout=60)
    (data,) = files(copies)
    ds = pydicom.dcmread(io.BytesIO(data))
    names = {element.keyword for element in ds if not element.is_empty}
    assert kept <= names and not gone & names
    assert all(int(tag, 16) in (ds.file_meta if tag < "0003" else ds) for tag in ALWAYS_THERE)
    assert not {ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID} & {ROOT + end for end in (".1", ".1.1")}


def test_ids_stay_when_asked(source: dk.Store, copies: dk.Store) -> None:
    """``skipIdRedaction`` leaves study, series and instance as they are."""
    source.upload(ct_slice())
    source.deidentify(copies, config={"dicom": BASIC["dicom"] | {"skipIdRedaction": True}}).result(timeout=60)
    keys = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
    assert copies.search_instances()[keys].values.tolist() == source.search_instances()[keys].values.tolist()


def test_text_transformations_do_what_they_say(source: dk.Store, copies: dk.Store) -> None:
    """A hash with a known key, checked against its published form: base64 of HMAC-SHA256."""
    key = base64.b64encode(bytes(16)).decode()
    text = {
        "additionalTransformations": [
            {"infoTypes": ["MEDICAL_RECORD_NUMBER"], "cryptoHashConfig": {"cryptoKey": key}},
            {"infoTypes": ["PERSON_NAME"], "replaceWithInfoTypeConfig": {}},
            {"infoTypes": ["DATE"], "dateShiftConfig": {}},
        ]
    }
    source.upload([ct_slice(1), ct_slice(2, PatientID="P1")])
    source.deidentify(copies, config={"text": text}).result(timeout=60)
    found = copies.search_studies()
    # printf P1 | openssl dgst -sha256 -mac HMAC -macopt hexkey:00000000000000000000000000000000 -binary | base64
    assert set(found["PatientID"]) == {"LwrovxDDInhchH+mSc98K0U4uB1Djp6NETKJ5FsnlBU="}
    assert {str(name) for name in found["PatientName"]} == {"[PERSON_NAME]"}
    days = sorted(pd.to_datetime(found["StudyDate"]))
    assert days[1] - days[0] == pd.Timedelta(days=1) and days[0] != pd.Timestamp(2024, 1, 1)


def test_config_and_filter_come_from_a_bucket(
    conn: dk.Dataset, source: dk.Store, copies: dk.Store, bucket: Path
) -> None:
    """``gcsConfigUri`` and ``filterConfig`` are objects of the home's ``buckets/``."""
    (bucket / "basic.json").write_text(json.dumps(BASIC))
    (bucket / "paths.txt").write_text(f"/studies/{ROOT}.2\r\n")
    source.upload([ct_slice(1), ct_slice(2, 1, 1), ct_slice(2, 1, 2)])
    operation = source.deidentify(copies, config="gs://configs/basic.json", filter_uri="gs://configs/paths.txt")
    assert counted(operation.result(timeout=60)) == {"success": 2}
    assert copies.search_studies()["PatientName"].isna().all() or set(copies.search_studies()["PatientName"]) == {""}


def test_config_of_a_bucket_is_checked_like_any_other(
    conn: dk.Dataset, source: dk.Store, copies: dk.Store, bucket: Path
) -> None:
    """No JSON, an unknown name, something refused, too large, missing: an error before anything is begun."""
    contents = {
        "broken.json": ("{", 400, "INVALID_ARGUMENT", "is no JSON"),
        "unknown.json": ('{"dcm": {}}', 400, "INVALID_ARGUMENT", "Cannot find field"),
        "pixels.json": ('{"image": {"textRedactionMode": "REDACT_ALL_TEXT"}}', 501, "UNIMPLEMENTED", "textRedaction"),
        "large.json": ("{" + " " * (1 << 20) + "}", 400, "INVALID_ARGUMENT", "more than 1048576 bytes"),
    }
    url = f"{conn.base_url}/{source.name}:deidentify"
    for name, (content, status, code, words) in contents.items():
        (bucket / name).write_text(content)
        answer = conn.session.post(url, json=_body(copies, gcsConfigUri=f"gs://configs/{name}"))
        assert (answer.status_code, answer.json()["error"]["status"]) == (status, code)
        assert words in answer.json()["error"]["message"]
    for uri, status in (("gs://configs/none.json", 404), ("gs://nowhere/c.json", 404), ("gs://configs/../c.json", 400)):
        assert conn.session.post(url, json=_body(copies, gcsConfigUri=uri)).status_code == status
    assert set(conn.operations()["method"]) <= {"CreateDataset"}


def _body(copies: dk.Store, **fields: object) -> dict[str, object]:
    return {"destinationStore": copies.name, **fields}


def test_bad_requests_begin_nothing(conn: dk.Dataset, source: dk.Store, copies: dk.Store) -> None:
    """What is wrong is named; nothing is written and no operation is begun."""
    url = f"{conn.base_url}/{source.name}:deidentify"
    elsewhere = copies.name.replace("/locations/local/", "/locations/europe-west4/")
    cases: list[tuple[dict[str, object], int, str, str]] = [
        ({}, 400, "INVALID_ARGUMENT", "config: is required"),
        ({"config": {}}, 400, "INVALID_ARGUMENT", "destinationStore: is required"),
        (_body(copies, config={}, gcsConfigUri="gs://bucket/c"), 400, "INVALID_ARGUMENT", "gcsConfigUri"),
        (_body(copies, gcsConfigUri="file:///etc/passwd"), 400, "INVALID_ARGUMENT", "gs://"),
        (_body(copies, gcsConfigUri="http://169.254.169.254/x"), 400, "INVALID_ARGUMENT", "gs://"),
        ({"destinationStore": source.name, "config": {}}, 400, "INVALID_ARGUMENT", "another store"),
        ({"destinationStore": copies.name + "x", "config": {}}, 404, "NOT_FOUND", "no DICOM store"),
        ({"destinationStore": elsewhere, "config": {}}, 400, "INVALID_ARGUMENT", "location"),
        ({"destinationStore": "copies", "config": {}}, 400, "INVALID_ARGUMENT", "destinationStore"),
        (_body(copies, config={"fhir": {}}), 501, "UNIMPLEMENTED", "fhir"),
        (
            _body(copies, config={"dicom": {"filterProfile": "DEIDENTIFY_TAG_CONTENTS"}}),
            501,
            "UNIMPLEMENTED",
            "dicom.filterProfile",
        ),
    ]
    for body, status, code, words in cases:
        answer = conn.session.post(url, json=body)
        assert (answer.status_code, answer.json()["error"]["status"]) == (status, code), body
        assert words in answer.json()["error"]["message"]
    assert set(conn.operations()["method"]) <= {"CreateDataset"}
    assert len(copies.search_instances()) == 0


def test_dataset_gets_a_copy_of_each_store(conn: dk.Dataset) -> None:
    """Same ids and labels; no streams or notifications, for nobody has said where the copies may go."""
    conn.create_store("empty")
    store = conn.create_store(
        "full", labels={"site": "a"}, stream_to="bq://local.imaging.full", notification_configs=[{"pubsubTopic": TOPIC}]
    )
    store.upload([ct_slice(1), ct_slice(2)])
    told = len(conn.messages(TOPIC))
    operation = conn.deidentify("research").result(timeout=60)
    assert counted(operation) == {"success": 2}
    body = conn.session.get(f"{conn.base_url}/{operation.name}").json()
    assert body["response"] == {"@type": "type.googleapis.com/google.cloud.healthcare.v1.deidentify.DeidentifySummary"}
    assert body["metadata"]["apiMethodName"] == "google.cloud.healthcare.v1.dataset.DatasetService.DeidentifyDataset"
    research = conn.name.rpartition("/")[0] + "/research"
    made = conn.session.get(f"{conn.base_url}/{research}/dicomStores").json()["dicomStores"]
    assert made == [
        {"name": f"{research}/dicomStores/empty"},
        {"name": f"{research}/dicomStores/full", "labels": {"site": "a"}},
    ]
    url = f"{conn.base_url}/{research}/dicomStores/full/dicomWeb/studies"
    found = conn.session.get(url, headers={"Accept": "application/dicom+json"}).json()
    assert len(found) == 2
    assert all("Value" not in study.get("00100010", {}) for study in found)
    assert len(conn.messages(TOPIC)) == told


def test_preview_names_attributes_and_no_value(conn: dk.Dataset, source: dk.Store) -> None:
    """Paths, VRs, actions and how many instances; items of a sequence are taken together, and nothing is written."""
    marks = Marks()
    for make in (planted.ct, planted.report, planted.document):
        source._rest.session.post(
            f"{source.dicomweb_url}/studies",
            data=b"".join(_multipart([part10(make(marks), marks)])),
            headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'},
        ).raise_for_status()
    frame = source.deidentify(config=BASIC, preview=True)
    assert list(frame.columns) == [column.name for column in DEIDENTIFY_PREVIEW]
    assert frame.attrs["instances"] == frame.attrs["total"] == 3
    assert marks.found_in(frame.to_csv().encode()) == []
    rows = {row.path: row for row in frame.itertuples()}
    assert (rows["PatientName"].action, rows["PatientName"].vr, rows["PatientName"].instances) == ("empty", "PN", 3)
    assert rows["ReferencedImageSequence[].ReferencedSOPInstanceUID"].action == "remap"
    assert rows["SourceApplicationEntityTitle"].action == "remove"
    assert rows["PixelData"].action == "keep" and rows["PixelData"].instances == 1
    paths = frame["path"].tolist()
    assert paths.index("ReferencedImageSequence") + 1 == paths.index("ReferencedImageSequence[].ReferencedSOPClassUID")
    assert set(conn.operations()["method"]) <= {"CreateDataset"}


def test_preview_looks_at_as_many_as_asked(conn: dk.Dataset, source: dk.Store) -> None:
    """One of each series first; more than the most is refused."""
    source.upload([ct_slice(1, 1, i) for i in (1, 2, 3)] + [ct_slice(1, 2, 1, PatientAge="030Y")])
    url = f"{conn.base_url.replace('/v1', '/dicomkit/v1')}/{source.name}:previewDeidentify"
    answer = conn.session.post(url, params={"maxInstances": 2}, json={"config": BASIC}).json()
    assert (answer["instances"], answer["total"], answer["unreadable"]) == (2, 4, 0)
    assert {row["instances"] for row in answer["rows"] if row["path"] == "PatientAge"} == {1}
    refused = conn.session.post(url, params={"maxInstances": 1001}, json={"config": BASIC})
    assert refused.status_code == 400 and "maxInstances" in refused.json()["error"]["message"]
