"""dicomweb-client, unmodified, over the session of a dataset: another client's reading of the same standard."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import generate_frames
from pydicom.uid import JPEG2000Lossless, RLELossless
from requests import HTTPError

import dicomkit as dk
from tests.conftest import Loaded
from tests.contract.instances import ROOT, ct_files, ct_slice

pytest.importorskip("dicomweb_client")

from dicomweb_client import DICOMwebClient

AS_STORED = (("application/dicom", "*"),)
"""Media type and transfer syntax: the file as it was uploaded."""

VALUE_AS_STORED = (("application/octet-stream", "*"),)
"""The same of a value: compressed pixel data as they are in the file."""

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of odd files


def client_of(store: dk.Store, session: object) -> DICOMwebClient:
    """Their client of our store."""
    return DICOMwebClient(url=store.dicomweb_url, session=session)  # type: ignore[arg-type]


def test_searches_find_what_ours_find(conn: dk.Dataset, tmp_path: Path) -> None:
    """All three levels, below the store, a study and a series, with match keys, fields and pages."""
    store = conn.create_store("ct")
    ct_files(tmp_path, studies=2, series=2, instances=3)
    store.upload(tmp_path)
    theirs = client_of(store, conn.session)

    def uids(rows: list[dict], tag: str) -> list[str]:  # type: ignore[type-arg]
        return sorted(row[tag]["Value"][0] for row in rows)

    assert uids(theirs.search_for_studies(), "0020000D") == sorted(store.search_studies()["StudyInstanceUID"])
    assert uids(theirs.search_for_series(), "0020000E") == sorted(store.search_series()["SeriesInstanceUID"])
    assert uids(theirs.search_for_instances(), "00080018") == sorted(store.search_instances()["SOPInstanceUID"])
    assert len(theirs.search_for_series(f"{ROOT}.1")) == 2
    assert len(theirs.search_for_instances(f"{ROOT}.1")) == 6
    assert len(theirs.search_for_instances(f"{ROOT}.1", f"{ROOT}.1.2")) == 3
    assert len(theirs.search_for_studies(search_filters={"PatientID": "P2"})) == 1
    assert theirs.search_for_studies(search_filters={"PatientID": "nobody"}) == []
    (row,) = theirs.search_for_instances(search_filters={"SOPInstanceUID": f"{ROOT}.1.1.1"}, fields=["SliceThickness"])
    assert row["00180050"]["Value"] == [2.5]
    assert len(theirs.search_for_instances(limit=5, offset=10)) == 2


def test_what_it_stores_is_there_for_us(conn: dk.Dataset) -> None:
    """Its STOW request is taken, and its reading of the answer is a data set."""
    store = conn.create_store("ct")
    answer = client_of(store, conn.session).store_instances([ct_slice(1), ct_slice(2)])
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [
        f"{ROOT}.{i}.1.1" for i in (1, 2)
    ]
    assert "FailedSOPSequence" not in answer
    assert sorted(store.search_studies()["PatientID"]) == ["P1", "P2"]
    with pytest.raises(HTTPError, match="409"):
        client_of(store, conn.session).store_instances([ct_slice(1, PatientID="other")])


def test_what_we_stored_it_retrieves(loaded: Loaded) -> None:
    """Real files, instance by instance, equal to what pydicom reads from disk."""
    theirs = client_of(loaded.store, loaded.store._rest.session)
    rows = [row for row in loaded.stored.itertuples() if Path(row.path).read_bytes()[128:132] == b"DICM"]
    assert len(rows) > 40
    for row in rows:  # it does not read files without the prefix
        uids = (row.StudyInstanceUID, row.SeriesInstanceUID, row.SOPInstanceUID)
        got = theirs.retrieve_instance(*uids, media_types=AS_STORED)
        assert got == pydicom.dcmread(row.path, force=True)


def test_studies_and_series_come_whole(conn: dk.Dataset, tmp_path: Path) -> None:
    """Multipart answers of several instances, and their metadata."""
    store = conn.create_store("ct")
    paths = ct_files(tmp_path, studies=1, series=2, instances=3)
    store.upload(tmp_path)
    theirs = client_of(store, conn.session)
    want = {dataset.SOPInstanceUID: dataset for dataset in map(pydicom.dcmread, paths)}
    study = theirs.retrieve_study(f"{ROOT}.1", media_types=AS_STORED)
    assert {dataset.SOPInstanceUID: dataset for dataset in study} == want
    assert len(theirs.retrieve_series(f"{ROOT}.1", f"{ROOT}.1.2", media_types=AS_STORED)) == 3
    metadata = theirs.retrieve_series_metadata(f"{ROOT}.1", f"{ROOT}.1.2")
    assert sorted(row["00080018"]["Value"][0] for row in metadata) == [f"{ROOT}.1.2.{i}" for i in (1, 2, 3)]
    (one,) = [theirs.retrieve_instance_metadata(f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1")]
    assert one["00100010"]["Value"] == [{"Alphabetic": "Test^Patient1"}]


def images(loaded: Loaded) -> Iterator[tuple[tuple[str, str, str], pydicom.Dataset, np.ndarray]]:
    """UIDs of the stored files that pydicom can decode, the data sets, and their pixels by frame."""
    for row in loaded.stored.itertuples():
        dataset = pydicom.dcmread(row.path, force=True)
        if "PixelData" not in dataset or "TransferSyntaxUID" not in dataset.file_meta:
            continue
        try:
            pixels = dataset.pixel_array
        except (RuntimeError, ValueError):  # damaged on purpose
            continue
        frames = pixels.reshape(int(dataset.get("NumberOfFrames") or 1), -1)
        yield (row.StudyInstanceUID, row.SeriesInstanceUID, row.SOPInstanceUID), dataset, frames


def is_lossless(dataset: pydicom.Dataset) -> bool:
    """Whether any two decoders give the same pixels."""
    lossy = ("4.50", "4.51", "4.81", "4.91")
    return not dataset.file_meta.TransferSyntaxUID.endswith(lossy)


def test_without_a_transfer_syntax_it_gets_uncompressed_instances(loaded: Loaded) -> None:
    """The documented default: the pixels are those that pydicom decodes from the file."""
    theirs = client_of(loaded.store, loaded.store._rest.session)
    compared = 0
    for uids, dataset, frames in images(loaded):
        got = theirs.retrieve_instance(*uids, media_types=("application/dicom",))
        assert got.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        if is_lossless(dataset):
            np.testing.assert_array_equal(got.pixel_array.reshape(len(frames), -1), frames)
            compared += 1
    assert compared > 15


def test_it_asks_for_the_transfer_syntax_that_it_wants(loaded: Loaded) -> None:
    """A series in JPEG 2000, a study in RLE, with the same pixels."""
    theirs = client_of(loaded.store, loaded.store._rest.session)
    compared = 0
    for uids, dataset, frames in images(loaded):
        if not is_lossless(dataset) or dataset.BitsAllocated not in (8, 16) or dataset.get("NumberOfFrames"):
            continue
        series = theirs.retrieve_series(*uids[:2], media_types=(("application/dicom", JPEG2000Lossless),))
        study = theirs.retrieve_study(uids[0], media_types=(("application/dicom", RLELossless),))
        for found, syntax in ((series, JPEG2000Lossless), (study, RLELossless)):
            (got,) = [other for other in found if other.SOPInstanceUID == uids[2]]
            assert got.file_meta.TransferSyntaxUID == syntax
            # JPEG 2000 and RLE of colour come in their own photometric interpretations.
            if dataset.PhotometricInterpretation.startswith("MONO"):
                np.testing.assert_array_equal(got.pixel_array.reshape(len(frames), -1), frames)
        compared += 1
    assert compared > 5


def test_it_retrieves_frames(loaded: Loaded) -> None:
    """Uncompressed by default, and as the codestreams of the file where it asks for those."""
    theirs = client_of(loaded.store, loaded.store._rest.session)
    octets, compressed = 0, 0
    for uids, dataset, frames in images(loaded):
        numbers = list(range(1, min(len(frames), 5) + 1))
        # pydicom gives colour by pixel, and a frame that is not compressed stays as it is: by plane, or subsampled.
        is_by_pixel = dataset.file_meta.TransferSyntaxUID.is_compressed or not dataset.get("PlanarConfiguration")
        if is_lossless(dataset) and is_by_pixel and "_422" not in dataset.PhotometricInterpretation:
            for media_types in (None, ("application/octet-stream",)):
                got = theirs.retrieve_instance_frames(*uids, frame_numbers=numbers, media_types=media_types)
                little = frames.dtype.newbyteorder("<")
                if dataset.BitsAllocated > 1:
                    assert got == [frame.astype(little).tobytes() for frame in frames[: len(numbers)]]
                else:
                    assert got == [np.packbits(frame, bitorder="little").tobytes() for frame in frames]
            octets += 1
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            want = list(generate_frames(dataset.PixelData, number_of_frames=len(frames)))[: len(numbers)]
            got = theirs.retrieve_instance_frames(*uids, frame_numbers=numbers, media_types=VALUE_AS_STORED)
            assert got == want
            compressed += 1
    assert octets > 12
    assert compressed > 8


def test_it_retrieves_frames_of_an_image_type(loaded: Loaded) -> None:
    """JPEG 2000 made of what is stored otherwise."""
    theirs = client_of(loaded.store, loaded.store._rest.session)
    compared = 0
    for uids, dataset, _ in images(loaded):
        if not is_lossless(dataset) or dataset.BitsAllocated != 16 or dataset.SamplesPerPixel != 1:
            continue
        (data,) = theirs.retrieve_instance_frames(*uids, frame_numbers=[1], media_types=("image/jp2",))
        assert data[:4] == b"\xff\x4f\xff\x51"  # SOC and SIZ of a codestream (ISO 15444-1)
        compared += 1
    assert compared > 3


def test_it_retrieves_pictures(loaded: Loaded) -> None:
    """Instances and frames, as JPEG and PNG, of the size of the image."""
    theirs = client_of(loaded.store, loaded.store._rest.session)
    seen = 0
    for uids, dataset, frames in images(loaded):
        size = (dataset.Columns, dataset.Rows)
        for media, media_types in (("JPEG", ("image/jpeg",)), ("PNG", ("image/png",)), ("JPEG", None)):
            data = theirs.retrieve_instance_frames_rendered(*uids, frame_numbers=[1], media_types=media_types)
            picture = Image.open(io.BytesIO(data))
            assert (picture.format, picture.size) == (media, size)
            if len(frames) == 1:
                data = theirs.retrieve_instance_rendered(*uids, media_types=media_types)
                assert Image.open(io.BytesIO(data)).size == size
        small = theirs.retrieve_instance_frames_rendered(
            *uids, frame_numbers=[1], media_types=("image/png",), params={"viewport": "8,8"}
        )
        assert max(Image.open(io.BytesIO(small)).size) <= 8
        seen += 1
    assert seen > 20


def test_it_follows_the_uris_of_bulk_data(loaded: Loaded) -> None:
    """Every BulkDataURI in its reading of the metadata of every stored file leads to bytes."""
    theirs = client_of(loaded.store, loaded.store._rest.session)
    followed = 0
    for row in loaded.stored.itertuples():
        uids = (row.StudyInstanceUID, row.SeriesInstanceUID, row.SOPInstanceUID)
        for uri in _uris(theirs.retrieve_instance_metadata(*uids)):
            for media_types in (None, ("application/octet-stream",), VALUE_AS_STORED):
                if Path(row.path).name == "JPEG2000-embedded-sequence-delimiter.dcm" and media_types != VALUE_AS_STORED:
                    continue  # damaged on purpose
                (data,) = theirs.retrieve_bulkdata(uri, media_types=media_types)
                assert len(data) > 0
            followed += 1
    assert followed > 40


def _uris(elements: dict[str, Any]) -> Iterator[str]:
    for element in elements.values():
        if "BulkDataURI" in element:
            yield element["BulkDataURI"]
        for item in element.get("Value", ()) if element["vr"] == "SQ" else ():
            yield from _uris(item)


def test_what_is_not_there_is_an_http_error(conn: dk.Dataset) -> None:
    """404 reaches it as it reaches us."""
    store = conn.create_store("ct")
    with pytest.raises(HTTPError, match="404"):
        client_of(store, conn.session).retrieve_study_metadata("1.2.3")
