"""Exports into buckets: names, bytes, failures, and how they stop and go on."""

from __future__ import annotations

import io
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.pixels import pixel_array
from werkzeug.test import Client

from dicomkit.engine import Engine
from dicomkit.engine.services import exports_gcs, filter_config
from dicomkit.engine.services.buckets import Buckets
from tests.conftest import WHEEL
from tests.unit.engine.exports import (
    begin,
    bucket,
    counter,
    damage,
    ended,
    export,
    failures,
    filtered,
    to_folder,
)
from tests.unit.engine.factories import STORE, Instance, client, instance, store

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
RLE = "1.2.840.10008.1.2.5"
JPEG = "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home") as made:
        yield made


@pytest.fixture
def out(engine: Engine) -> Path:
    return bucket(engine)


@pytest.fixture
def http(engine: Engine, out: Path) -> Client:
    return client(engine)


def wheel(http: Client, name: str) -> Instance:
    """One of the wheel's files, in the store."""
    data = (WHEEL / name).read_bytes()
    ds = pydicom.dcmread(io.BytesIO(data))
    found = Instance(data, ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    assert store(http, found).status_code == 200
    return found


def written(folder: Path) -> dict[str, bytes]:
    """Objects below a folder, by their names in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def name(item: Instance, ending: str = ".dcm") -> str:
    return f"{item.study}/{item.series}/{item.uid}{ending}"


@pytest.mark.parametrize("mime_type", [None, "application/dicom; transfer-syntax=*"])
def test_files_are_exported_bit_by_bit_under_their_names(http: Client, out: Path, mime_type: str | None) -> None:
    """``{uriPrefix}/{study}/{series}/{instance}.dcm``, whatever the size and the transfer syntax."""
    files = [instance(), instance(), instance(pixels=9 << 20)]
    assert store(http, *files).status_code == 200
    files += [wheel(http, "JPEG2000.dcm"), wheel(http, "rtdose_rle.dcm")]
    done = export(http, to_folder("gs://out/a/b", mime_type))
    assert done["response"] == {"@type": "type.googleapis.com/google.cloud.healthcare.v1.dicom.ExportDicomDataResponse"}
    assert counter(done) == {"success": 5}
    assert written(out / "a/b") == {name(file): file.data for file in files}
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in out.rglob("*"))


@pytest.mark.parametrize("prefix", ["gs://out", "gs://out/", "gs://out/x", "gs://out/x/"])
def test_a_slash_after_the_prefix_makes_no_difference(http: Client, out: Path, prefix: str) -> None:
    """It is appended where it is missing."""
    file = instance()
    store(http, file)
    assert counter(export(http, to_folder(prefix))) == {"success": 1}
    folder = prefix.removeprefix("gs://out").strip("/")
    assert written(out) == {f"{folder}/{name(file)}".lstrip("/"): file.data}


def test_an_object_that_is_there_is_overwritten(http: Client, out: Path) -> None:
    """ "it is overwritten with the version in the source dataset"; another one stays."""
    file = instance()
    store(http, file)
    path = out / "x" / name(file)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"old")
    (out / "x" / "other.txt").write_bytes(b"kept")
    assert counter(export(http, to_folder())) == {"success": 1}
    assert path.read_bytes() == file.data
    assert (out / "x" / "other.txt").read_bytes() == b"kept"


def test_the_filter_chooses(engine: Engine, http: Client, out: Path) -> None:
    """And lines that match nothing end with an empty counter."""
    files = [instance(study="1.1", series="1.1.1", uid=f"1.1.1.{n}") for n in (1, 2, 3)]
    store(http, *files)
    lines = ["/studies/1.1/series/1.1.1/instances/1.1.1.2", "/studies/7.7"]
    assert counter(export(http, filtered(engine, to_folder(), *lines))) == {"success": 1}
    assert list(written(out)) == [f"x/{name(files[1])}"]
    done = export(http, filtered(engine, to_folder(), "/studies/7.7"))
    assert done["metadata"]["counter"] == {}
    assert "response" in done


def test_a_malformed_filter_file_ends_the_export(engine: Engine, http: Client, out: Path) -> None:
    """By the number of the line, before anything is written."""
    store(http, instance())
    done = export(http, filtered(engine, to_folder(), "/studies/1.2", "", "/studies/x"))
    assert done["error"]["code"] == 3
    assert "line 3 of the filter file" in done["error"]["message"]
    assert written(out) == {}


def test_a_bucket_must_be_there(http: Client) -> None:
    """None is made, and the answer comes at once."""
    answer = http.post(f"{STORE}:export", json=to_folder("gs://missing/x"))
    assert answer.status_code == 404
    assert "missing" in answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "needs a destination"),
        (to_folder("file:///tmp/x"), "gcsDestination.uriPrefix"),
        (to_folder("gs://out/../x"), "gcsDestination.uriPrefix"),
        (to_folder(mime_type="image/gif"), "gcsDestination.mimeType"),
        (to_folder() | {"filterConfig": {"resourcePathsGcsUri": "/etc/passwd"}}, "filterConfig.resourcePathsGcsUri"),
        (to_folder() | {"unknown": 1}, 'Unknown name "unknown"'),
    ],
)
def test_bad_requests_are_refused_by_field(http: Client, out: Path, body: dict[str, Any], message: str) -> None:
    """Nothing is begun."""
    answer = http.post(f"{STORE}:export", json=body)
    assert answer.status_code == 400
    assert message in answer.json["error"]["message"]
    assert "operations" not in http.get(f"{STORE.partition('/dicomStores')[0]}/operations").json or not [
        operation
        for operation in http.get(f"{STORE.partition('/dicomStores')[0]}/operations").json["operations"]
        if operation["metadata"]["apiMethodName"].endswith("ExportDicomData")
    ]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, RLE])
def test_instances_are_transcoded(http: Client, out: Path, syntax: str) -> None:
    """pydicom reads the same pixels and the same header back, in the transfer syntax that was asked for."""
    files = [wheel(http, "CT_small.dcm"), wheel(http, "MR_small_RLE.dcm"), wheel(http, "rtdose_rle.dcm")]
    assert counter(export(http, to_folder(mime_type=f"application/dicom; transfer-syntax={syntax}"))) == {"success": 3}
    found = written(out / "x")
    assert set(found) == {name(file) for file in files}
    for file in files:
        ours, theirs = pydicom.dcmread(io.BytesIO(found[name(file)])), pydicom.dcmread(io.BytesIO(file.data))
        assert ours.file_meta.TransferSyntaxUID == syntax
        assert np.array_equal(pixel_array(ours), pixel_array(theirs))
        assert ours.get("PatientID") == theirs.get("PatientID")
        if file.data[132:] and theirs.file_meta.TransferSyntaxUID == syntax:
            assert found[name(file)] == file.data


@pytest.mark.parametrize(("mime_type", "ending", "kind"), [(JPEG, ".jpg", "JPEG"), ("image/png", ".png", "PNG")])
def test_frames_are_pictures(http: Client, out: Path, mime_type: str, ending: str, kind: str) -> None:
    """The number of the frame is in the name of a multi-frame instance, and in no other's."""
    single, multi = wheel(http, "CT_small.dcm"), wheel(http, "SC_rgb_rle_2frame.dcm")
    frames = pydicom.dcmread(io.BytesIO(multi.data)).NumberOfFrames
    assert counter(export(http, to_folder(mime_type=mime_type))) == {"success": 2}
    found = written(out / "x")
    names = [name(single, ending), *(name(multi, f"/{number}{ending}") for number in range(1, frames + 1))]
    assert sorted(found) == sorted(names)
    for file in (single, multi):
        ds = pydicom.dcmread(io.BytesIO(file.data))
        for key in (key for key in found if file.uid in key):
            with Image.open(io.BytesIO(found[key])) as picture:
                assert picture.format == kind
                assert picture.size == (ds.Columns, ds.Rows)


@pytest.mark.parametrize("syntax", ["*", EXPLICIT])
def test_raw_frames_have_no_extension(http: Client, out: Path, syntax: str) -> None:
    """As they are stored, or uncompressed: the bytes that pydicom finds."""
    single, multi = wheel(http, "CT_small.dcm"), wheel(http, "rtdose_rle.dcm")
    done = export(http, to_folder(mime_type=f"application/octet-stream; transfer-syntax={syntax}"))
    assert counter(done) == {"success": 2}
    found = written(out / "x")
    ds = pydicom.dcmread(io.BytesIO(multi.data))
    assert set(found) == {name(single, ""), *(name(multi, f"/{n}") for n in range(1, ds.NumberOfFrames + 1))}
    assert found[name(single, "")] == pydicom.dcmread(io.BytesIO(single.data)).PixelData
    frames = (
        list(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=ds.NumberOfFrames))
        if syntax == "*"
        else [frame.tobytes() for frame in pixel_array(ds)]
    )
    assert [found[name(multi, f"/{n}")] for n in range(1, ds.NumberOfFrames + 1)] == frames


def test_what_has_no_pixels_fails_as_a_picture_and_the_others_go_on(http: Client, out: Path) -> None:
    """The failure says which instance, and why."""
    plan, image = wheel(http, "rtplan.dcm"), wheel(http, "CT_small.dcm")
    done = export(http, to_folder(mime_type="image/png"))
    assert "response" in done
    assert counter(done) == {"success": 1, "failure": 1}
    ((uid, reason),) = failures(http, done)
    assert uid == plan.uid
    assert "pixel data" in reason
    assert list(written(out / "x")) == [name(image, ".png")]


def test_a_form_that_an_image_cannot_have_is_a_failure(http: Client, out: Path) -> None:
    """JPEG Baseline holds 8 bits; where every instance fails the operation does."""
    wheel(http, "CT_small.dcm")
    done = export(http, to_folder(mime_type="application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50"))
    assert counter(done) == {"failure": 1}
    assert done["error"]["message"].startswith("all 1 items failed")
    assert written(out) == {}


@pytest.mark.parametrize("pixels", [200, 9 << 20])
def test_damaged_bytes_are_a_failure_and_no_object(engine: Engine, http: Client, out: Path, pixels: int) -> None:
    """Also where they are found only after the rest was written."""
    good, bad = instance(), instance(pixels=pixels)
    store(http, good, bad)
    damage(engine, bad)
    done = export(http, to_folder())
    assert counter(done) == {"success": 1, "failure": 1}
    assert failures(http, done) == [(bad.uid, "the stored bytes of an instance are damaged")]
    assert list(written(out)) == [f"x/{name(good)}"]
    assert list((engine.home.buckets / ".unfinished").iterdir()) == []


def test_a_name_that_is_a_folder_is_a_failure(http: Client, out: Path) -> None:
    """It is the object's fault, and not the bucket's."""
    files = [instance(), instance()]
    store(http, *files)
    (out / "x" / name(files[0])).mkdir(parents=True)
    done = export(http, to_folder())
    assert counter(done) == {"success": 1, "failure": 1}
    assert failures(http, done)[0][0] == files[0].uid


def test_a_link_in_the_bucket_leads_nowhere(http: Client, out: Path, tmp_path: Path) -> None:
    """Nothing is written outside of the buckets."""
    file = instance()
    store(http, file)
    outside = tmp_path / "outside"
    outside.mkdir()
    (out / "x").symlink_to(outside)
    answer = http.post(f"{STORE}:export", json=to_folder("gs://out/x/y"))
    assert answer.status_code == 400
    (out / "z").mkdir()
    (out / "z" / file.study).symlink_to(outside)
    assert counter(export(http, to_folder("gs://out/z"))) == {"failure": 1}
    assert list(outside.iterdir()) == []


def test_a_bucket_that_cannot_be_written_ends_the_export(
    http: Client, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one failure for each of the instances."""
    store(http, *(instance() for _ in range(3)))
    begun, go = threading.Event(), threading.Event()
    chunks = type(http.application.retrieve).chunks

    def waiting(self: Any, item: Any, *args: Any) -> Any:
        begun.set()
        assert go.wait(30)
        return chunks(self, item, *args)

    monkeypatch.setattr(type(http.application.retrieve), "chunks", waiting)
    operation = begin(http, to_folder())
    assert begun.wait(30)
    out.rmdir()
    go.set()
    done = ended(http, operation)
    assert done["error"]["code"] == 5
    assert "failure" not in counter(done)


def test_a_deleted_instance_is_neither_done_nor_failed(
    engine: Engine, http: Client, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when the export began, and gone when its turn came."""
    files = [instance(study="1.1") for _ in range(20)]
    store(http, *files)
    monkeypatch.setattr(filter_config, "PORTION", 1)
    chunks = engine.retrieve.chunks

    def deleting(item: Any, *args: Any) -> Any:
        if item.uid == files[0].uid:
            assert http.delete(files[-1].path).status_code == 200
        return chunks(item, *args)

    monkeypatch.setattr(engine.retrieve, "chunks", deleting)
    assert counter(export(http, to_folder())) == {"success": 19}
    assert len(written(out)) == 19


class Gate:
    """Lets an export go up to its n-th object, and wait there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._left = number
        writer = Buckets.writer

        def waiting(buckets: Buckets, uri: Any) -> Any:
            with self._lock:
                self._left -= 1
                is_here = self._left <= 0
            if is_here:
                self.reached.set()
                assert self.go.wait(30)
            return writer(buckets, uri)

        monkeypatch.setattr(Buckets, "writer", waiting)


def test_a_cancelled_export_stops_and_tells_what_it_did(
    http: Client, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written stays and is counted; the rest is not written (check C38)."""
    store(http, *(instance(study="1.1", series="1.1.1") for _ in range(40)))
    gate = Gate(monkeypatch, 11)
    operation = begin(http, to_folder())
    assert gate.reached.wait(30)
    assert http.post(f"{operation}:cancel", json={}).status_code == 200
    # The writers are still held up: nobody waits for them.
    done = ended(http, operation)
    gate.go.set()
    assert done["error"]["code"] == 1
    assert done["metadata"]["cancelRequested"] is True
    assert set(counter(done)) == {"success"}
    assert counter(done)["success"] <= 10
    assert http.application.operations.wait(30)
    assert counter(done)["success"] <= len(written(out)) <= 10


def test_an_export_goes_on_where_the_engine_was_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was counted is not written again, and in the end each instance is counted once."""
    files = [instance(study="1.1", series="1.1.1") for _ in range(40)]
    with pytest.MonkeyPatch.context() as patch:
        with Engine(tmp_path / "home") as engine:
            out = bucket(engine)
            http = client(engine)
            store(http, *files)
            gate = Gate(patch, 20)
            operation = begin(http, to_folder())
            assert gate.reached.wait(30)
            engine.operations.close()
            gate.go.set()
            counted = counter(http.get(operation).json)
            assert counted["success"] >= 40 - counted["pending"] > 0
    again: list[str] = []
    writer = Buckets.writer

    def counting(buckets: Buckets, uri: Any) -> Any:
        again.append(str(uri))
        return writer(buckets, uri)

    monkeypatch.setattr(Buckets, "writer", counting)
    with Engine(tmp_path / "home") as engine:
        done = ended(Client(engine), operation)
        assert counter(done) == {"success": 40}
        assert written(out / "x") == {name(file): file.data for file in files}
        assert len(again) == 40 - counted["success"]


def test_no_more_than_a_few_instances_are_worked_on_at_a_time(
    http: Client, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that memory does not grow with the store."""
    store(http, *(instance(study="1.1", series="1.1.1") for _ in range(40)))
    most = 0
    add = exports_gcs._Progress.add

    def counting(progress: Any, *args: Any) -> None:
        nonlocal most
        add(progress, *args)
        most = max(most, len(progress.waiting))

    monkeypatch.setattr(exports_gcs._Progress, "add", counting)
    assert counter(export(http, to_folder())) == {"success": 40}
    assert most <= 2 * exports_gcs.THREADS


@pytest.mark.parametrize("mime_type", [None, f"application/dicom; transfer-syntax={IMPLICIT}"])
def test_an_instance_deleted_while_it_is_written_arrives_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mime_type: str | None
) -> None:
    """Its file stays until the object is there, whatever compaction wants, and goes then."""
    with Engine(tmp_path / "home", segment_bytes=20_000) as engine:
        http, out = client(engine), bucket(engine)
        item = wheel(http, "CT_small.dcm")
        (file,) = engine.home.blobs.iterdir()
        other = instance()
        store(http, other)  # into a file of its own, as the first one is full
        assert http.delete(other.path).status_code == 200
        gate = Gate(monkeypatch, 1)
        operation = begin(http, to_folder(mime_type=mime_type))
        assert gate.reached.wait(30)
        assert http.delete(item.path).status_code == 200
        assert engine.compaction.finish(30)
        assert file.exists()
        gate.go.set()
        assert counter(ended(http, operation)) == {"success": 1}
        (data,) = written(out).values()
        if mime_type is None:
            assert data == item.data
        else:
            assert pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID == item.uid
        assert not file.exists()
