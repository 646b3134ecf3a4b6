"""WADO-RS: bytes as they were received, and metadata (healthcare-api 4.3)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from werkzeug.test import Client

from dicomkit.dicom.multipart import parts
from dicomkit.engine import Engine
from tests.unit.engine.factories import AS_STORED, FILE_AS_STORED, WEB, Instance, client, instance, store

JSON = "application/dicom+json"
EXPLICIT = str(ExplicitVRLittleEndian)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path) as made:
        yield made


@pytest.fixture
def http(engine: Engine) -> Client:
    return client(engine)


def bodies(answer: object) -> list[bytes]:
    """The parts of a multipart answer."""
    return [bytes(p.buffer()) for p in parts(io.BytesIO(answer.data), answer.headers["Content-Type"])]  # type: ignore[attr-defined]


def test_instance_series_and_study_as_stored(http: Client) -> None:
    """Every level gives exactly its instances, byte for byte, with the length announced."""
    one = instance()
    two = instance(study=one.study, series=one.series, pixels=3_000)
    three = instance(study=one.study, syntax=ImplicitVRLittleEndian, pixels=100_000)
    other = instance()
    store(http, one, two, three, other)
    study = f"{WEB}/studies/{one.study}"
    for path, files in (
        (one.path, [one]),
        (f"{study}/series/{one.series}", [one, two]),
        (study, [one, two, three]),
    ):
        answer = http.get(path, headers={"Accept": AS_STORED})
        assert answer.status_code == 200
        assert bodies(answer) == [f.data for f in files]
        assert answer.content_length == len(answer.data)


def test_an_instance_as_one_file(http: Client) -> None:
    """application/dicom; transfer-syntax=*: the file itself, not to be run by a browser."""
    one = instance()
    store(http, one)
    answer = http.get(one.path, headers={"Accept": FILE_AS_STORED})
    assert answer.data == one.data
    assert answer.headers["Content-Type"] == f"application/dicom; transfer-syntax={EXPLICIT}"
    assert answer.content_length == len(one.data)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == "attachment"


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, "multipart/related"),
        ("*/*", "multipart/related"),
        ("multipart/related; type=application/dicom", "multipart/related"),
        ('multipart/related; type="application/dicom"', "multipart/related"),
        ("application/dicom", "application/dicom"),
        (f"application/dicom; transfer-syntax={EXPLICIT}", "application/dicom"),
        ("image/jpeg, application/dicom;q=0.5, multipart/related;q=0.1", "application/dicom"),
        ("application/*", "application/dicom"),
        ('multipart/related; type="image/jpeg", application/dicom', "application/dicom"),
    ],
)
def test_accept_decides_the_form(http: Client, accept: str | None, media: str) -> None:
    """The most wanted range that can be satisfied; an instance in the default syntax needs no transfer-syntax."""
    one = instance()
    store(http, one)
    answer = http.get(one.path, headers={"Accept": accept} if accept else {})
    assert (answer.status_code, answer.mimetype) == (200, media)


@pytest.mark.parametrize("accept", ["text/html", "application/dicom; q=0", "image/jpeg"])
def test_other_types_are_not_acceptable(http: Client, accept: str) -> None:
    """406 with the words of the service."""
    one = instance()
    store(http, one)
    answer = http.get(one.path, headers={"Accept": accept})
    assert answer.status_code == 406
    assert f"no supported media type found in [{accept}]" in answer.json["error"]["message"]


def test_what_is_not_there_is_404(http: Client) -> None:
    """Study, series, instance, metadata of each, and the store itself."""
    one = instance()
    store(http, one)
    for path in (
        f"{WEB}/studies/9.9",
        f"{WEB}/studies/9.9/metadata",
        f"{WEB}/studies/{one.study}/series/9.9",
        f"{WEB}/studies/{one.study}/series/9.9/metadata",
        f"{WEB}/studies/{one.study}/series/{one.series}/instances/9.9",
        f"{WEB}/studies/{one.study}/series/{one.series}/instances/9.9/metadata",
        one.path.replace("/ct/", "/none/"),
    ):
        assert http.get(path, headers={"Accept": f"{AS_STORED}, {JSON}"}).status_code == 404


def plain(element: pydicom.DataElement) -> object:
    """The value; a number without the form in which the file spells it."""
    if element.VR in ("DS", "IS"):
        values = element.value if element.VM > 1 else [element.value]
        return [None if v is None else float(v) for v in values]
    return str(element.value)


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "JPEG2000.dcm", "rtplan.dcm", "reportsi.dcm", "MR_small_bigendian.dcm"]
)
def test_metadata_is_what_pydicom_reads(http: Client, name: str) -> None:
    """Metadata of real files, read with pydicom's from_json, against dcmread; file meta included, bulk by reference."""
    path = get_testdata_file(name, download=False)
    original = pydicom.dcmread(path)
    ids = (original.StudyInstanceUID, original.SeriesInstanceUID, original.SOPInstanceUID)
    one = Instance(Path(path).read_bytes(), *ids)
    assert store(http, one).status_code == 200
    (item,) = http.get(f"{one.path}/metadata").json
    assert list(item) == sorted(item)
    assert item["00020010"]["Value"] == [original.file_meta.TransferSyntaxUID]
    bulk = {tag: e.pop("BulkDataURI") for tag, e in item.items() if "BulkDataURI" in e}
    assert all(uri == f"http://localhost{one.path}/bulkdata/{tag}" for tag, uri in bulk.items())
    read = pydicom.Dataset.from_json({t: e for t, e in item.items() if t[:4] != "0002" and t not in bulk})
    for element in original:
        tag = f"{int(element.tag):08X}"
        if tag not in bulk and element.VR not in ("SQ", "UN", "OB", "OW"):
            assert plain(read[element.tag]) == plain(element), element.keyword


def test_metadata_of_a_series_and_a_study(http: Client) -> None:
    """One object per instance in a JSON array, in the order of storing."""
    one = instance()
    rest = [instance(study=one.study, series=s, InstanceNumber=n) for s in (one.series, "1.2.3") for n in range(2, 150)]
    store(http, one, *rest)
    study = f"{WEB}/studies/{one.study}"
    found = http.get(f"{study}/series/{one.series}/metadata").json
    assert [i["00200013"]["Value"][0] for i in found] == list(range(1, 150))
    assert len(http.get(f"{study}/metadata").json) == 297
    assert http.get(f"{study}/metadata", headers={"Accept": "text/html"}).status_code == 406


def test_a_text_that_looks_like_a_bulk_reference_is_left_alone(http: Client) -> None:
    """The URI's base goes into references and not into values."""
    text = 'x "BulkDataURI":"y'
    one = instance(StudyDescription=text)
    store(http, one)
    (item,) = http.get(f"{one.path}/metadata").json
    assert item["00081030"]["Value"] == [text]


def test_read_your_writes_from_another_engine(tmp_path: Path) -> None:
    """What was answered 200 is there for the next process (C06)."""
    files = [instance() for _ in range(20)]
    with Engine(tmp_path / "home") as first:
        http = client(first)
        for one in files:
            assert store(http, one).status_code == 200
            assert http.get(one.path, headers={"Accept": FILE_AS_STORED}).data == one.data
            assert http.get(f"{WEB}/instances?SOPInstanceUID={one.uid}").status_code == 200
    with Engine(tmp_path / "home") as second:
        http = Client(second)
        for one in files:
            assert http.get(one.path, headers={"Accept": FILE_AS_STORED}).data == one.data
            assert http.get(f"{one.path}/metadata").status_code == 200


def test_damage_is_an_error_and_not_an_answer(http: Client, engine: Engine) -> None:
    """One flipped bit on disk: 500 with DATA_LOSS for the instance, the others are served (C35)."""
    one, two = instance(), instance()
    store(http, one, two)
    (file,) = engine.home.blobs.iterdir()
    data = bytearray(file.read_bytes())
    data[len(one.data) // 2] ^= 1
    file.write_bytes(bytes(data))
    for accept in (FILE_AS_STORED, AS_STORED):
        answer = http.get(one.path, headers={"Accept": accept})
        assert (answer.status_code, answer.json["error"]["status"]) == (500, "DATA_LOSS")
    assert http.get(two.path, headers={"Accept": FILE_AS_STORED}).data == two.data


def test_a_large_instance_is_never_whole_in_memory(http: Client, engine: Engine) -> None:
    """It comes in pieces of a megabyte at most."""
    one = instance(pixels=9 << 20)
    store(http, one)
    answer = http.get(one.path, headers={"Accept": FILE_AS_STORED}, buffered=False)
    sizes = [len(chunk) for chunk in answer.response]
    assert sum(sizes) == len(one.data)
    assert max(sizes) <= 1 << 20
    answer.close()
