"""What the server does with many instances at once: imports, exports, copies without identities, storage classes."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pydicom
import pytest

import dicomkit as dk
from dicomkit.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OperationError,
    PartialResultsWarning,
    Unimplemented,
)
from dicomkit.frames import DEIDENTIFY_PREVIEW, STORAGE_INFO
from tests.contract.instances import ROOT, ct_files, ct_slice, part10

STUDY, SERIES, INSTANCE = f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1"
BASIC = "ATTRIBUTE_CONFIDENTIALITY_BASIC_PROFILE"


@pytest.fixture
def bucket(conn: dk.Dataset, tmp_path: Path) -> Path:
    """The bucket ``gs://scans`` of the home."""
    folder = tmp_path / "home" / "buckets" / "scans"
    folder.mkdir(parents=True)
    return folder


def listed(folder: Path) -> list[str]:
    """Names of the objects in a bucket."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_files_of_a_bucket_are_imported(conn: dk.Dataset, bucket: Path) -> None:
    """Counters count them; once more nothing is stored twice."""
    ct_files(bucket / "in")
    store = conn.create_store("ct")
    operation = store.import_dicom("gs://scans/in/**.dcm", storage_class="COLDLINE").result(timeout=60)
    assert operation.method == "ImportDicomData"
    assert operation.counters["success"] == len(listed(bucket))
    found = store.search_instances()
    assert len(found) == len(listed(bucket))
    one = found.iloc[0]
    info = store.storage_info(one["StudyInstanceUID"], one["SeriesInstanceUID"], one["SOPInstanceUID"])
    assert info["storage_class"].tolist() == ["COLDLINE"]
    store.import_dicom("gs://scans/in/**.dcm").result(timeout=60)
    assert len(store.search_instances()) == len(found)


def test_files_that_are_no_dicom_are_failures(conn: dk.Dataset, bucket: Path) -> None:
    """The others go in; the frame of errors names each with its reason."""
    (bucket / "a.dcm").write_bytes(part10(ct_slice()))
    (bucket / "b.dcm").write_bytes(b"not DICOM")
    store = conn.create_store("ct")
    operation = store.import_dicom("gs://scans/*")
    with pytest.warns(PartialResultsWarning, match="1 succeeded, 1 failed"):
        operation.result(timeout=60)
    assert len(store.search_instances()) == 1
    errors = operation.errors()
    assert errors["source"].tolist() == ["gs://scans/b.dcm"]
    assert errors["reason"].str.len().gt(0).all()
    (bucket / "a.dcm").unlink()
    with pytest.raises(OperationError):
        store.import_dicom("gs://scans/*").result(timeout=60)


def test_what_is_no_source_is_refused(conn: dk.Dataset, bucket: Path) -> None:
    """By the rule of the resource, before anything is sent; a bucket that is not there, by the server."""
    store = conn.create_store("ct")
    for uri in (
        "",
        "scans/*.dcm",
        "file:///etc/passwd",
        "http://169.254.169.254/",
        "gs://scans/../x",
        "gs://scans/**a*",
    ):
        with pytest.raises(InvalidArgument, match="^uri: "):
            store.import_dicom(uri)
    with pytest.raises(InvalidArgument, match="blobStorageClass"):
        store.import_dicom("gs://scans/*", storage_class="GLACIER")
    with pytest.raises(NotFound, match="bucket"):
        store.import_dicom("gs://none/*")


def test_export_to_a_bucket_gives_the_files_back(conn: dk.Dataset, bucket: Path) -> None:
    """Byte for byte, at the documented path; with a filter file only what it names."""
    files = {f"{ROOT}.{s}/{ROOT}.{s}.1/{ROOT}.{s}.1.1.dcm": part10(ct_slice(s)) for s in (1, 2)}
    store = conn.create_store("ct")
    store.upload(list(files.values()))
    operation = store.export("gs://scans/out").result(timeout=60)
    assert (operation.method, operation.counters["success"]) == ("ExportDicomData", 2)
    assert {name: (bucket / "out" / name).read_bytes() for name in listed(bucket / "out")} == files
    (bucket / "list.txt").write_text(f"/studies/{STUDY}\n")
    some = store.export("gs://scans/some", filter_uri="gs://scans/list.txt").result(timeout=60)
    assert some.counters["success"] == 1
    assert listed(bucket / "some") == [next(iter(files))]


def test_export_to_a_table(conn: dk.Dataset) -> None:
    """Rows of all instances; what becomes of rows that are there is said by the disposition."""
    store = conn.create_store("ct")
    store.upload([ct_slice(1), ct_slice(2)])
    count = "SELECT COUNT(*) AS n FROM `local.imaging.out`"
    store.sql("SELECT 1 AS one")
    stream = conn.create_store("other", stream_to="bq://local.imaging.made")  # makes the BigQuery dataset
    stream.upload(ct_slice(3))
    stream.sql("SELECT 1 AS one FROM {table}")
    store.export("bq://local.imaging.out").result(timeout=60)
    assert conn.sql(count)["n"].tolist() == [2]
    with pytest.raises(OperationError):
        store.export("bq://local.imaging.out").result(timeout=60)
    store.export("bq://local.imaging.out", write_disposition="WRITE_APPEND").result(timeout=60)
    assert conn.sql(count)["n"].tolist() == [4]
    table = dk.BigQueryDestination(table_uri="bq://local.imaging.out", write_disposition="WRITE_TRUNCATE")
    store.export(table).result(timeout=60)
    assert conn.sql(count)["n"].tolist() == [2]


def test_what_is_no_destination_is_refused(conn: dk.Dataset, bucket: Path) -> None:
    """Options of the one kind of destination are none of the other."""
    store = conn.create_store("ct")
    wrong: list[tuple[Callable[[], Any], str]] = [
        (lambda: store.export("out"), r"gcsDestination\.uriPrefix|uriPrefix"),
        (lambda: store.export("gs://scans/out", mime_type="image/gif"), "mimeType"),
        (lambda: store.export("gs://scans/out", write_disposition="WRITE_EMPTY"), "write_disposition is for tables"),
        (lambda: store.export("bq://local.a.b", mime_type="image/png"), "mime_type is for buckets"),
        (lambda: store.export("bq://local.a"), "tableUri"),
        (lambda: store.export("bq://local.a.b", write_disposition="WRITE_SOMEHOW"), "writeDisposition"),
        (lambda: store.export("gs://scans/out", filter_uri="list.txt"), "resourcePathsGcsUri"),
    ]
    for call, words in wrong:
        with pytest.raises(InvalidArgument, match=words):
            call()
    with pytest.raises(NotFound, match="bucket"):
        store.export("gs://none/out")
    assert listed(bucket) == []


@pytest.mark.parametrize("to", ["a store", "its id", "its name"])
def test_copies_have_no_identity(conn: dk.Dataset, to: str) -> None:
    """Of the basic profile by default; the source stays as it is."""
    source, copies = conn.create_store("ct"), conn.create_store("copies")
    source.upload(ct_slice(PatientName="Planted^Name"))
    operation = source.deidentify({"a store": copies, "its id": "copies", "its name": copies.name}[to])
    assert operation.result(timeout=60).method == "DeidentifyDicomStore"
    assert operation.counters["success"] == 1
    found = copies.search_instances()
    assert len(found) == 1
    uids = found.loc[0, ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]].tolist()
    copy = copies.dataset(*uids)
    assert "Planted" not in str(copy)
    assert copy.PatientIdentityRemoved == "YES"
    assert uids[0] != STUDY
    assert source.dataset(STUDY, SERIES, INSTANCE).PatientName == "Planted^Name"


def test_config_has_many_forms(conn: dk.Dataset, bucket: Path) -> None:
    """A short name, the profile's own, a resource, its JSON, and a file in a bucket."""
    source = conn.create_store("ct")
    source.upload(ct_slice())
    keep_name: dict[str, Any] = {"dicom": {"keepList": {"tags": ["PatientName"]}}}
    (bucket / "config.json").write_text('{"dicom": {"keepList": {"tags": ["PatientName"]}}}')
    configs: dict[str, tuple[Any, bool]] = {
        "a": ("basic", False),
        "b": (BASIC, False),
        "c": ("minimal", False),
        "d": ("keep_all", True),
        "e": (keep_name, True),
        "f": (dk.DeidentifyConfig.from_api(keep_name), True),
        "g": ("gs://scans/config.json", True),
    }
    for name, (config, keeps_name) in configs.items():
        copies = conn.create_store(name)
        source.deidentify(copies, config=config).result(timeout=60)
        kept = copies.search_instances(fields="PatientName")["PatientName"].fillna("").tolist()
        assert (kept == ["Test^Patient1"]) is keeps_name, name


def test_preview_writes_nothing_and_tells_no_value(conn: dk.Dataset) -> None:
    """A row for each attribute and what would happen to it; without a destination."""
    source, copies = conn.create_store("ct"), conn.create_store("copies")
    source.upload([ct_slice(1), ct_slice(2)])
    before = len(conn.operations())
    frame = source.deidentify(preview=True)
    assert [(c.name, c.dtype) for c in DEIDENTIFY_PREVIEW] == [(n, str(d)) for n, d in frame.dtypes.items()]
    actions = dict(zip(frame["path"], frame["action"], strict=True))
    assert actions["StudyInstanceUID"] == "remap"
    assert actions["PatientName"] in ("empty", "replace")
    assert actions["PixelData"] == "keep"
    assert frame.attrs["instances"] == frame.attrs["total"] == 2
    assert "Test^Patient" not in frame.to_csv()
    assert len(source.deidentify(copies, config="minimal", preview=True)) > 0
    assert len(copies.search_instances()) == 0
    assert len(conn.operations()) == before


def test_what_is_no_deidentification_is_refused(conn: dk.Dataset) -> None:
    """Before anything is begun; what the engine cannot do is refused and not left out."""
    source = conn.create_store("ct")
    conn.create_store("copies")
    wrong: list[tuple[Callable[[], Any], type[Exception], str]] = [
        (lambda: source.deidentify(), InvalidArgument, "destinationStore: is required"),
        (lambda: source.deidentify("copies", config="strong"), InvalidArgument, "config must be one of 'basic'"),
        (
            lambda: source.deidentify("copies", config={"dicom": {"filterProfile": "X"}}),
            InvalidArgument,
            "config.dicom.filterProfile|dicom.filterProfile",
        ),
        (lambda: source.deidentify("none"), NotFound, "none"),
        (lambda: source.deidentify("../copies"), InvalidArgument, "DICOM store"),
        (lambda: source.deidentify(source), (InvalidArgument, FailedPrecondition), "destinationStore"),  # type: ignore[list-item]
        (
            lambda: source.deidentify("copies", config={"image": {"textRedactionMode": "REDACT_ALL_TEXT"}}),
            Unimplemented,
            "text",
        ),
    ]
    for call, kind, words in wrong:
        with pytest.raises(kind, match=words):
            call()
    assert set(conn.operations()["method"]) <= {"CreateDataset"}


def test_whole_dataset_is_copied_without_identities(conn: dk.Dataset) -> None:
    """Into a dataset that is made by it."""
    for id_ in ("a", "b"):
        conn.create_store(id_).upload(ct_slice())
    operation = conn.deidentify("research").result(timeout=60)
    assert operation.method.startswith("Deidentify")
    assert operation.counters["success"] == 2
    answer = conn.session.get(f"{conn.base_url}/{conn.name.replace('/default', '/research')}/dicomStores").json()
    assert [store["name"].rpartition("/")[2] for store in answer["dicomStores"]] == ["a", "b"]
    with pytest.raises(AlreadyExists):
        conn.deidentify("research")
    with pytest.raises(InvalidArgument):
        conn.deidentify("../research")


def test_storage_classes_are_set_and_shown(conn: dk.Dataset, bucket: Path) -> None:
    """Of a store, a study, a series, an instance, and of what a file names."""
    store = conn.create_store("ct")
    store.upload([ct_slice(1, 1, 1), ct_slice(1, 1, 2), ct_slice(1, 2), ct_slice(2)])
    moves: list[tuple[str, tuple[str, ...], int]] = [
        ("NEARLINE", (), 4),
        ("COLDLINE", (STUDY,), 3),
        ("NEARLINE", (STUDY, SERIES), 2),
        ("ARCHIVE", (STUDY, SERIES, INSTANCE), 1),
    ]
    for storage_class, uids, count in moves:
        # One after another: what is begun together may be done in any order.
        operation = store.set_blob_storage_settings(storage_class, *uids).result(timeout=60)
        assert operation.counters["success"] == count
        assert operation.method == "SetBlobStorageSettings"
    found = store.search_instances()
    infos = pd.concat([store.storage_info(*row) for row in found.iloc[:, :3].itertuples(index=False)])
    classes = dict(zip(infos["SOPInstanceUID"], infos["storage_class"], strict=True))
    assert classes == {
        INSTANCE: "ARCHIVE",
        f"{SERIES}.2": "NEARLINE",
        f"{STUDY}.2.1": "COLDLINE",
        f"{ROOT}.2.1.1": "NEARLINE",
    }
    assert {name: str(dtype) for name, dtype in infos.dtypes.items()} == {c.name: c.dtype for c in STORAGE_INFO}
    (bucket / "list.txt").write_text(f"/studies/{ROOT}.2")
    store.set_blob_storage_settings("STANDARD", filter_uri="gs://scans/list.txt").result(timeout=60)
    assert store.storage_info(f"{ROOT}.2", f"{ROOT}.2.1", f"{ROOT}.2.1.1")["storage_class"].tolist() == ["STANDARD"]
    assert store.storage_info(STUDY, SERIES, INSTANCE)["storage_class"].tolist() == ["ARCHIVE"]


def test_what_is_no_storage_class_is_refused(conn: dk.Dataset) -> None:
    """And a filter below a store, and a series without its study."""
    store = conn.create_store("ct")
    wrong: list[tuple[Callable[[], Any], str]] = [
        (lambda: store.set_blob_storage_settings("GLACIER"), "blobStorageClass"),
        (lambda: store.set_blob_storage_settings("ARCHIVE", "x"), "UID"),
        (lambda: store.set_blob_storage_settings("ARCHIVE", series_instance_uid=SERIES), "give study_instance_uid"),
        (lambda: store.set_blob_storage_settings("ARCHIVE", STUDY, filter_uri="gs://scans/a"), "filterConfig"),
    ]
    for call, words in wrong:
        with pytest.raises(InvalidArgument, match=words):
            call()
    with pytest.raises(NotFound, match="study"):
        store.set_blob_storage_settings("ARCHIVE", STUDY)


def test_import_of_an_export_is_the_same_store(conn: dk.Dataset, bucket: Path) -> None:
    """There and back: the same instances, byte for byte."""
    first, second = conn.create_store("first"), conn.create_store("second")
    data = part10(ct_slice())
    first.upload(data)
    first.export("gs://scans/out").result(timeout=60)
    second.import_dicom("gs://scans/out/**").result(timeout=60)
    assert second.retrieve(STUDY, SERIES, INSTANCE, to=bucket / "back.dcm").read_bytes() == data
    shutil.rmtree(bucket / "out")
    assert pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID == INSTANCE
