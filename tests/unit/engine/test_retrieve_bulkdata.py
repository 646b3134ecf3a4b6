"""Bulk data at the URIs that metadata name (healthcare-api 4.3; PS3.18 section 10.4.1.1.5)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless
from werkzeug.test import Client

from dicomkit.engine import Engine
from tests.unit.engine.factories import Instance, client, dataset, instance, store, written
from tests.unit.engine.wheel_files import bodies, refusal, stored, typed_bodies

OCTETS = "application/octet-stream"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("bulk")) as made:
        yield made


@pytest.fixture(scope="module")
def http(engine: Engine) -> Client:
    return client(engine)


def bulk(http: Client, path: str, tag: str = "7FE00010", **headers: str) -> bytes:
    """A value as one body."""
    answer = http.get(f"{path}/bulkdata/{tag}", headers={"Accept": OCTETS, **headers})
    assert answer.status_code == (206 if "Range" in headers else 200), answer.text
    return answer.data


def references(elements: dict) -> Iterator[tuple[dict, str]]:  # type: ignore[type-arg]
    """Every element with a URI, at any depth, and its tag."""
    for tag, element in elements.items():
        if "BulkDataURI" in element:
            yield element, tag
        for item in element.get("Value", ()) if element["vr"] == "SQ" else ():
            yield from references(item)


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "waveform_ecg.dcm", "examples_palette.dcm", "rtdose.dcm", "image_dfl.dcm"],
)
def test_every_uri_of_the_metadata_leads_to_the_value(http: Client, name: str) -> None:
    """Real files: the value that pydicom reads there, at every depth; a deflated file is inflated."""
    one = stored(http, name)
    (item,) = http.get(f"{one.path}/metadata").json
    found = 0
    for element, _ in references(item):
        path = urlsplit(element["BulkDataURI"]).path
        steps = path.partition("/bulkdata/")[2].split("/")
        here: Dataset = one.dataset
        for sequence, index in zip(steps[:-1:2], steps[1::2], strict=True):
            here = here[int(sequence, 16)].value[int(index)]
        want = here[int(steps[-1], 16)].value
        answer = http.get(path, headers={"Accept": OCTETS})
        assert answer.data == (want if isinstance(want, bytes) else np.asarray(want, dtype="<u2").tobytes())
        found += 1
    assert found > 0


def test_an_answer_is_multipart_by_default(http: Client) -> None:
    """One part of octets; as one body where that is asked for; other types are refused."""
    one = stored(http, "CT_small.dcm")
    path = f"{one.path}/bulkdata/7FE00010"
    for accept in (None, "*/*", f'multipart/related; type="{OCTETS}"', f"multipart/related; type={OCTETS}"):
        answer = http.get(path, headers={"Accept": accept} if accept else {})
        assert answer.headers["Content-Type"].startswith(f'multipart/related; type="{OCTETS}"; boundary=')
        assert typed_bodies(answer) == [(OCTETS, one.dataset.PixelData)]
        assert answer.content_length == len(answer.data)
    assert bulk(http, one.path) == one.dataset.PixelData
    answer = http.get(path, headers={"Accept": "image/jpeg"})
    assert answer.status_code == 406
    assert "no supported media type found in [image/jpeg]" in answer.json["error"]["message"]


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "rtdose_rle.dcm"])
def test_compressed_pixels_come_uncompressed(http: Client, name: str) -> None:
    """Unless the bytes of the store are asked for: items, offset table and fragments, as they stand in the file."""
    one = stored(http, name)
    want = one.dataset.pixel_array
    assert bulk(http, one.path) == want.tobytes()
    (whole,) = bodies(http.get(f"{one.path}/bulkdata/7FE00010"))
    assert whole == want.tobytes()
    raw = bulk(http, one.path, Accept=f"{OCTETS}; transfer-syntax=*")
    frames = want.shape[0] if want.ndim == 3 else 1
    assert list(generate_frames(raw, number_of_frames=frames)) == list(
        generate_frames(one.dataset.PixelData, number_of_frames=frames)
    )
    accept = f'multipart/related; type="{OCTETS}"; transfer-syntax=*'
    ((content_type, part),) = typed_bodies(http.get(f"{one.path}/bulkdata/7FE00010", headers={"Accept": accept}))
    assert content_type == f"{OCTETS}; transfer-syntax={one.dataset.file_meta.TransferSyntaxUID}"
    assert part == raw


@pytest.mark.parametrize("name", ["MR_small_bigendian.dcm", "rtdose_expb.dcm"])
def test_a_big_endian_value_comes_in_little_endian(http: Client, name: str) -> None:
    """Words are turned round, bytes are not; any part of them, too."""
    one = stored(http, name)
    want = one.dataset.pixel_array
    little = want.astype(want.dtype.newbyteorder("<")).tobytes()
    got = bulk(http, one.path)
    assert got == little
    for start, stop in ((0, 1), (1, 2), (3, 1001), (len(got) - 3, len(got))):
        answer = http.get(
            f"{one.path}/bulkdata/7FE00010", headers={"Accept": OCTETS, "Range": f"bytes={start}-{stop - 1}"}
        )
        assert (answer.status_code, answer.data) == (206, got[start:stop])


def nested() -> Dataset:
    """A data set with bulk values in items of sequences in sequences."""
    ds = dataset()
    ds.ReferencedImageSequence = [Dataset(), Dataset()]
    ds.ReferencedImageSequence[1].PurposeOfReferenceCodeSequence = [Dataset()]
    ds.ReferencedImageSequence[1].PurposeOfReferenceCodeSequence[0].EncapsulatedDocument = b"inner document"
    ds.IconImageSequence = [Dataset()]
    ds.IconImageSequence[0].PixelData = b"\1\2\3\4"
    ds.IconImageSequence[0]["PixelData"].VR = "OB"
    return ds


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2", DeflatedExplicitVRLittleEndian])
def test_items_are_counted_from_0(http: Client, syntax: str) -> None:
    """{sequence}/{item}/{tag}, as deep as it goes; hex digits of either case."""
    one = written(nested(), syntax=syntax)
    store(http, one)
    assert bulk(http, one.path, "00081140/1/0040A170/0/00420011") == b"inner document"
    assert bulk(http, one.path, "00081140/1/0040a170/0/00420011") == b"inner document"
    assert bulk(http, one.path, "00880200/0/7FE00010") == b"\1\2\3\4"
    for wrong in ("00081140/2/0040A170/0/00420011", "00081140/0/0040A170/0/00420011", "00880200/1/7FE00010"):
        assert refusal(http.get(f"{one.path}/bulkdata/{wrong}")) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "path",
    [
        "x", "7FE0001", "7FE000100", "7FE00010/", "/7FE00010", "7FE00010/0", "00880200/-1/7FE00010",
        "00880200/01/7FE00010", "00880200/0/7FE00010/..", "../../../../x", "%2e%2e/%2e%2e/passwd", "7FE00010%00",
        "7FE00010%0A", "٠٠٠٠٠٠٠٠", "00880200/99999999999999999999/7FE00010", "00880200/0/" * 70 + "7FE00010",
        "A" * 5000,
    ],
)  # fmt: skip
def test_a_path_that_is_none_is_refused(http: Client, path: str) -> None:
    """400, or 404 where the router sees no path of the API in it; never another file."""
    one = stored(http, "CT_small.dcm")
    answer = http.get(f"{one.path}/bulkdata/{path}")
    assert refusal(answer) in ((400, "INVALID_ARGUMENT"), (404, "NOT_FOUND"))


def test_what_is_no_bulk_data_is_not_found(http: Client) -> None:
    """A value that the metadata hold, an element that is not there, an instance that is not there."""
    one = stored(http, "CT_small.dcm")
    for tag in ("00100010", "00420011"):
        answer = http.get(f"{one.path}/bulkdata/{tag}")
        assert refusal(answer) == (404, "NOT_FOUND")
        assert "BulkDataURI" in answer.json["error"]["message"]
    assert refusal(http.get(f"{one.series}/instances/1.2.3/bulkdata/7FE00010")) == (404, "NOT_FOUND")


def test_a_large_value_is_never_whole_in_memory(http: Client) -> None:
    """It comes in pieces of a megabyte at most, as one body or a part; and any range of it."""
    one = instance(pixels=9 << 20)
    store(http, one)
    for accept in (OCTETS, "multipart/related"):
        answer = http.get(f"{one.path}/bulkdata/7FE00010", headers={"Accept": accept}, buffered=False)
        sizes = [len(chunk) for chunk in answer.response]
        assert max(sizes) <= 1 << 20
        assert sum(sizes) == answer.content_length >= 9 << 20
        answer.close()
    assert bulk(http, one.path, Range="bytes=1048570-1048589") == bytes(20)


def test_a_value_has_a_strong_etag(http: Client) -> None:
    """One for the bytes of the store and another for the pixels in them."""
    one = stored(http, "MR_small_RLE.dcm")
    path = f"{one.path}/bulkdata/7FE00010"
    tags = []
    for accept in (OCTETS, f"{OCTETS}; transfer-syntax=*"):
        etag = http.get(path, headers={"Accept": accept}).headers["ETag"]
        assert not etag.startswith("W/")
        assert http.get(path, headers={"Accept": accept, "If-None-Match": etag}).status_code == 304
        tags.append(etag)
    assert len(set(tags)) == 2


def written_compressed(ds: Dataset) -> Instance:
    """*ds* in RLE, with an icon that is the same image."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.compress(RLELossless, generate_instance_uid=False)
    icon = Dataset()
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit"):
        setattr(icon, keyword, getattr(ds, keyword))
    icon.PixelRepresentation, icon.PhotometricInterpretation = 0, "MONOCHROME2"
    icon.PixelData = encapsulate(list(generate_frames(ds.PixelData, number_of_frames=1)))
    icon["PixelData"].VR = "OB"
    icon["PixelData"].is_undefined_length = True
    ds.IconImageSequence = [icon]
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return Instance(buffer.getvalue(), ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)


def test_an_icon_that_is_compressed_comes_uncompressed(http: Client) -> None:
    """Pixel data in a sequence, of a file whose transfer syntax compresses them."""
    ds = dataset()
    ds.Rows = ds.Columns = 2
    ds.SamplesPerPixel, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 1, 8, 8, 7
    ds.PixelRepresentation, ds.PhotometricInterpretation = 0, "MONOCHROME2"
    ds.PixelData = bytes(range(4))
    ds["PixelData"].VR = "OB"
    one = written_compressed(ds)
    store(http, one)
    assert bulk(http, one.path) == bytes(range(4))
    assert bulk(http, one.path, "00880200/0/7FE00010") == bytes(range(4))


def test_numbers_that_are_bulk_data_are_little_endian(tmp_path: Path) -> None:
    """More than 512 values of US in a big endian file: two bytes each are turned round."""
    ds = dataset()
    ds.add_new(0x00281101, "US", [256, 0, 16])
    ds.add_new(0x00189312, "FD", [float(n) for n in range(600)])
    one = written(ds, syntax=ExplicitVRBigEndian)
    with Engine(tmp_path) as engine:
        http = client(engine)
        store(http, one)
        assert np.frombuffer(bulk(http, one.path, "00189312"), dtype="<f8").tolist() == list(range(600))
