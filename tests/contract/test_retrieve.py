"""What comes back: bytes as they were uploaded, and metadata as pydicom reads it."""

from __future__ import annotations

import copy
import io
import pickle
import stat
from pathlib import Path

import pydicom
import pytest
import requests
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

import dicomkit as dk
from dicomkit.dicom.multipart import parts
from dicomkit.errors import InvalidArgument, NotFound
from tests.conftest import Loaded
from tests.contract.instances import ROOT, ct_slice, part10


def test_bytes_come_back_as_they_went_in(loaded: Loaded, tmp_path: Path) -> None:
    """Every stored file of the wheel, of every transfer syntax, byte for byte."""
    for row in loaded.stored.itertuples():
        uids = (row.StudyInstanceUID, row.SeriesInstanceUID, row.SOPInstanceUID)
        path = loaded.store.retrieve(*uids, to=tmp_path)
        assert path == tmp_path / f"{row.SOPInstanceUID}.dcm"
        assert path.read_bytes() == Path(row.path).read_bytes()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_data_set_is_the_one_that_pydicom_reads(loaded: Loaded) -> None:
    """Pixels, file meta information and all."""
    for row in loaded.stored.head(30).itertuples():
        got = loaded.store.dataset(row.StudyInstanceUID, row.SeriesInstanceUID, row.SOPInstanceUID)
        want = pydicom.dcmread(row.path, force=True)
        assert got == want
        assert got.file_meta == want.file_meta


def test_data_set_can_be_copied_and_pickled(conn: dk.Dataset) -> None:
    """It holds no open file."""
    store = conn.create_store("ct")
    store.upload(ct_slice())
    dataset = store.dataset(f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1")
    assert copy.deepcopy(dataset) == pickle.loads(pickle.dumps(dataset)) == dataset
    assert dataset.PixelData == bytes(range(32))


@pytest.mark.filterwarnings("ignore")
def test_metadata_is_what_pydicom_reads_without_bulk(loaded: Loaded) -> None:
    """Element by element, at every depth, for every stored file of the wheel."""
    compared = 0
    for row in loaded.stored.itertuples():
        (got,) = loaded.store.metadata(row.StudyInstanceUID, row.SeriesInstanceUID, row.SOPInstanceUID)
        want = pydicom.dcmread(row.path, force=True, stop_before_pixels=True)
        compared += _compare(got, want)
        assert "PixelData" not in got
        for name in ("TransferSyntaxUID", "MediaStorageSOPInstanceUID"):
            assert got.file_meta.get(name) == want.file_meta.get(name)
    assert compared > 3000


def _compare(got: pydicom.Dataset, want: pydicom.Dataset) -> int:
    """Compare what both hold, and return how many elements that were."""
    count = 0
    for element in got:
        if element.tag not in want or element.tag.is_private or element.VR in ("UN", "OB", "OW", "OF", "OD", "OL"):
            continue
        other = want[element.tag]
        if element.VR == "SQ":
            assert len(element.value) == len(other.value)
            count += sum(_compare(a, b) for a, b in zip(element.value, other.value, strict=True))
        elif element.VR in ("DS", "FL", "FD"):
            assert _numbers(element.value) == _numbers(other.value), element.tag
        else:
            assert _texts(element.value) == _texts(other.value), element.tag
        count += 1
    return count


def _texts(value: object) -> list[str]:
    values = list(value) if isinstance(value, pydicom.multival.MultiValue | list) else [value]
    return [str(v).rstrip("= ") for v in values if v not in (None, "")]


def _numbers(value: object) -> list[float]:
    return [float(text) for text in _texts(value)]


def test_metadata_of_a_study_and_of_a_series(conn: dk.Dataset) -> None:
    """One data set for each instance below what was named."""
    store = conn.create_store("ct")
    store.upload(ct_slice(1, e, i) for e in (1, 2) for i in (1, 2, 3))
    assert len(store.metadata(f"{ROOT}.1")) == 6
    series = store.metadata(f"{ROOT}.1", f"{ROOT}.1.2")
    assert sorted(dataset.SOPInstanceUID for dataset in series) == [f"{ROOT}.1.2.{i}" for i in (1, 2, 3)]
    assert {str(dataset.PatientName) for dataset in series} == {"Test^Patient1"}


def test_names_in_any_script_survive(conn: dk.Dataset) -> None:
    """UTF-8 in the file, UTF-8 on the wire, the same name in pydicom."""
    store = conn.create_store("ct")
    store.upload(ct_slice(PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう"))
    name = store.metadata(f"{ROOT}.1")[0].PatientName
    assert (name.alphabetic, name.ideographic, name.phonetic) == ("Yamada^Tarou", "山田^太郎", "やまだ^たろう")


def test_what_is_not_there_is_not_found(conn: dk.Dataset, tmp_path: Path) -> None:
    """A study, a series, an instance that the store lacks; no file is made."""
    store = conn.create_store("ct")
    store.upload(ct_slice())
    for attempt in (
        lambda: store.metadata("1.2.3"),
        lambda: store.metadata(f"{ROOT}.1", "1.2.3"),
        lambda: store.dataset(f"{ROOT}.1", f"{ROOT}.1.1", "1.2.3"),
        lambda: store.retrieve(f"{ROOT}.1", f"{ROOT}.1.1", "1.2.3", to=tmp_path / "out" / "x.dcm"),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert [path for path in tmp_path.rglob("*") if path.is_file() and "home" not in path.parts] == []


@pytest.mark.parametrize("uid", ["", "1.2/../../etc", "1.2\n3", "a", "1" * 65, "..", None])
def test_uid_that_is_none_is_refused_before_it_is_sent(conn: dk.Dataset, uid: str, tmp_path: Path) -> None:
    """A UID becomes part of a path and of a file's name: nothing but digits and dots may."""
    store = conn.create_store("ct")
    with pytest.raises(InvalidArgument):
        store.metadata(uid)
    with pytest.raises(InvalidArgument):
        store.retrieve("1.2", "1.3", uid, to=tmp_path)
    with pytest.raises(InvalidArgument):
        store.metadata("1.2", sop_instance_uid="1.3")


def test_saved_file_is_private_and_replaces_another(conn: dk.Dataset, tmp_path: Path) -> None:
    """It has patient data: mode 0600. An older file of the name goes when the new one is whole."""
    store = conn.create_store("ct")
    file = part10(ct_slice())
    store.upload(file)
    target = tmp_path / "new" / "folder" / "x.dcm"
    uids = (f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1")
    assert store.retrieve(*uids, to=target) == target
    target.write_bytes(b"old")
    store.retrieve(*uids, to=str(target))
    assert target.read_bytes() == file
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in target.parent.iterdir()] == ["x.dcm"]


# What the client has no verb for: by its session


def url_of(store: dk.Store, *uids: str) -> str:
    """URL of a study, a series or an instance."""
    levels = ("studies", "series", "instances")
    return "/".join([store.dicomweb_url, *(f"{level}/{uid}" for level, uid in zip(levels, uids, strict=False))])


def bodies(answer: requests.Response) -> list[bytes]:
    """The parts of a multipart answer."""
    assert answer.status_code == 200, answer.text
    return [bytes(part.buffer()) for part in parts(io.BytesIO(answer.content), answer.headers["Content-Type"])]


def test_every_retrieve_of_the_document_is_answered(conn: dk.Dataset) -> None:
    """With what it is documented to answer, in its default form."""
    store = conn.create_store("ct")
    image = ct_slice()
    store.upload(image)
    instance = url_of(store, f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1")
    for path in (url_of(store, f"{ROOT}.1"), url_of(store, f"{ROOT}.1", f"{ROOT}.1.1"), instance):
        assert bodies(conn.session.get(path)) == [part10(image)]
        xml = conn.session.get(f"{path}/metadata", headers={"Accept": "multipart/related; type=application/dicom+xml"})
        (document,) = bodies(xml)
        assert b"<NativeDicomModel" in document
    assert bodies(conn.session.get(f"{instance}/frames/1")) == [image.PixelData]
    assert bodies(conn.session.get(f"{instance}/bulkdata/7FE00010")) == [image.PixelData]
    for tail in ("rendered", "frames/1/rendered"):
        answer = conn.session.get(f"{instance}/{tail}")
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert Image.open(io.BytesIO(answer.content)).size == (4, 4)


def test_refusals_are_errors_of_the_document(conn: dk.Dataset) -> None:
    """Of every kind of request, each with its status and code."""
    store = conn.create_store("ct")
    store.upload(ct_slice())
    instance = url_of(store, f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1")
    for tail, accept, status in (
        ("", "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50", 406),
        ("/metadata", "text/html", 406),
        ("/frames/2", "*/*", 404),
        ("/frames/0", "*/*", 400),
        ("/frames/1", "text/html", 406),
        ("/rendered", "text/html", 406),
        ("/rendered?viewport=x", "*/*", 400),
        ("/frames/2/rendered", "*/*", 404),
        ("/bulkdata/00100010", "*/*", 404),
        ("/bulkdata/x", "*/*", 400),
        ("/bulkdata/7FE00010", "text/html", 406),
    ):
        answer = conn.session.get(f"{instance}{tail}", headers={"Accept": accept})
        assert answer.status_code == status, tail
        assert answer.json()["error"]["code"] == status


def test_an_answer_that_cannot_be_finished_is_not_taken_for_a_whole_one(conn: dk.Dataset) -> None:
    """A series of which the second instance cannot be decompressed: the client sees that it broke."""
    store = conn.create_store("ct")
    good, bad = ct_slice(), ct_slice(1, 1, 2)
    bad.PixelData = encapsulate([b"no picture at all"])
    bad["PixelData"].VR = "OB"
    bad["PixelData"].is_undefined_length = True
    bad.file_meta.TransferSyntaxUID = JPEG2000Lossless
    assert store.upload([good, bad])["outcome"].tolist() == ["stored", "stored"]
    with pytest.raises(requests.RequestException):
        conn.session.get(url_of(store, f"{ROOT}.1", f"{ROOT}.1.1"))
    alone = conn.session.get(url_of(store, f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.2"))
    assert alone.status_code == 400


def test_a_study_that_is_deleted_while_it_is_sent_arrives_whole(conn: dk.Dataset) -> None:
    """Who asked before the delete gets what was there; who asks after it gets nothing."""
    store = conn.create_store("ct")
    files = [part10(ct_slice(1, 1, i, PixelData=bytes([i]) * (5 << 20))) for i in (1, 2, 3)]
    store.upload(files)
    url = url_of(store, f"{ROOT}.1")
    with conn.session.get(
        url, headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}, stream=True
    ) as answer:
        chunks = answer.iter_content(1 << 16)
        received = [next(chunks)]
        store.delete_study(f"{ROOT}.1").result()
        assert conn.session.get(f"{url}/metadata").status_code == 404
        received += chunks
    whole = b"".join(received)
    assert len(whole) == int(answer.headers["Content-Length"])
    got = [bytes(part.buffer()) for part in parts(io.BytesIO(whole), answer.headers["Content-Type"])]
    assert got == files


def test_ranges_and_etags(conn: dk.Dataset) -> None:
    """A part of a file, and nothing when the client has it."""
    store = conn.create_store("ct")
    image = ct_slice()
    store.upload(image)
    url = url_of(store, f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1")
    accept = {"Accept": "application/dicom; transfer-syntax=*"}
    answer = conn.session.get(url, headers={**accept, "Range": "bytes=128-131"})
    assert (answer.status_code, answer.content) == (206, b"DICM")
    known = {**accept, "If-None-Match": answer.headers["ETag"]}
    assert conn.session.get(url, headers=known).status_code == 304
