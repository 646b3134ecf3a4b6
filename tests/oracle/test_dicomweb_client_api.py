"""dicomweb-client: the rest of its methods, and a check that none is left out."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from pydicom.uid import ExplicitVRLittleEndian
from requests import HTTPError

import dicomkit as dk
from tests.contract.instances import ROOT, ct_files, ct_slice
from tests.oracle.test_dicomweb_client import AS_STORED, VALUE_AS_STORED, client_of

STUDY, SERIES, INSTANCE = f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1"
PIXELS = bytes(range(32))


@pytest.fixture
def store(conn: dk.Dataset, tmp_path: Path) -> dk.Store:
    """Two studies of two series of three slices."""
    made = conn.create_store("ct")
    ct_files(tmp_path / "in")
    made.upload(tmp_path / "in")
    return made


@pytest.fixture
def theirs(conn: dk.Dataset, store: dk.Store) -> DICOMwebClient:
    """Their client of that store."""
    return client_of(store, conn.session)


def test_every_public_method_is_called_here_or_in_the_other_module() -> None:
    """A method that a new version brings fails this until a test calls it."""
    here = Path(__file__)
    called = {
        node.func.attr
        for path in (here, here.with_name("test_dicomweb_client.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    methods = {name for name, _ in inspect.getmembers(DICOMwebClient, callable) if not name.startswith("_")}
    assert len(methods) > 25
    assert methods - called == set()


@pytest.mark.parametrize("chunk_bytes", [None, 7, 10_000_000])
def test_instances_come_one_by_one(theirs: DICOMwebClient, tmp_path: Path, chunk_bytes: int | None) -> None:
    """Of a study and of a series, whatever the pieces are in which the answer is read."""
    if chunk_bytes is not None:
        theirs.set_chunk_size(chunk_bytes)
    files = map(pydicom.dcmread, (tmp_path / "in/study1").rglob("*.dcm"))
    want = {dataset.SOPInstanceUID: dataset for dataset in files}
    study = {dataset.SOPInstanceUID: dataset for dataset in theirs.iter_study(STUDY, media_types=AS_STORED)}
    assert study == want
    series = list(theirs.iter_series(STUDY, SERIES, media_types=(("application/dicom", ExplicitVRLittleEndian),)))
    assert {dataset.SOPInstanceUID: dataset for dataset in series} == {
        uid: dataset for uid, dataset in want.items() if dataset.SeriesInstanceUID == SERIES
    }


def test_frames_come_one_by_one(conn: dk.Dataset) -> None:
    """Those that are asked for, in their order."""
    store = conn.create_store("frames")
    store.upload(ct_slice(NumberOfFrames=3, PixelData=b"".join(bytes([n]) * 32 for n in range(3))))
    frames = client_of(store, conn.session).iter_instance_frames(STUDY, SERIES, INSTANCE, frame_numbers=[3, 1])
    assert list(frames) == [bytes([2]) * 32, bytes(32)]


def test_bulk_data_come_whole_or_in_part(theirs: DICOMwebClient) -> None:
    """At the URI of the metadata; a range of bytes of a single part."""
    uri = theirs.retrieve_instance_metadata(STUDY, SERIES, INSTANCE)["7FE00010"]["BulkDataURI"]
    assert theirs.retrieve_bulkdata(uri) == list(theirs.iter_bulkdata(uri)) == [PIXELS]
    assert list(theirs.iter_bulkdata(uri, media_types=VALUE_AS_STORED)) == [PIXELS]
    # It asks for a multipart answer, whose ranges a server may leave alone (RFC 9110, section 14.2).
    assert theirs.retrieve_bulkdata(uri, byte_range=(0, 15)) == [PIXELS]


def test_metadata_of_a_study(theirs: DICOMwebClient) -> None:
    """One object for each instance."""
    found = theirs.retrieve_study_metadata(STUDY)
    assert {row["0020000E"]["Value"][0] for row in found} == {SERIES, f"{ROOT}.1.2"}
    assert len(found) == 6


def test_searches_go_on_to_the_end(theirs: DICOMwebClient) -> None:
    """Page by page, by parts of names, with parameters of its user."""
    assert len(theirs.search_for_instances(limit=5, get_remaining=True)) == 12
    assert len(theirs.search_for_series(limit=1, offset=1, get_remaining=True)) == 3
    assert len(theirs.search_for_studies(limit=1, get_remaining=True)) == 2
    keys = {"PatientName": "patient1"}
    assert len(theirs.search_for_studies(fuzzymatching=True, search_filters=keys)) == 1
    assert theirs.search_for_studies(fuzzymatching=False, search_filters=keys) == []
    assert len(theirs.search_for_studies(additional_params={"PatientID": "P2"})) == 1


def test_instances_are_stored_into_a_study(theirs: DICOMwebClient) -> None:
    """Into the one that is named, and into no other."""
    theirs.store_instances([ct_slice(1, 3)], study_instance_uid=STUDY)
    assert len(theirs.search_for_series(STUDY)) == 3
    with pytest.raises(HTTPError, match="409"):
        theirs.store_instances([ct_slice(2, 3)], study_instance_uid=STUDY)
    assert len(theirs.search_for_series(f"{ROOT}.2")) == 2


def test_deletes_of_every_level(theirs: DICOMwebClient) -> None:
    """What is named is gone, and nothing else."""
    theirs.delete_instance(STUDY, SERIES, INSTANCE)
    assert len(theirs.search_for_instances(STUDY)) == 5
    theirs.delete_series(STUDY, SERIES)
    assert len(theirs.search_for_instances(STUDY)) == 3
    theirs.delete_study(STUDY)
    assert [row["0020000D"]["Value"] for row in theirs.search_for_studies()] == [[f"{ROOT}.2"]]
    with pytest.raises(HTTPError, match="404"):
        theirs.delete_study(STUDY)


def test_a_rendered_series_is_not_to_be_had(theirs: DICOMwebClient) -> None:
    """As in the Cloud Healthcare API, which renders instances and frames."""
    with pytest.raises(HTTPError, match="404"):
        theirs.retrieve_series_rendered(STUDY, SERIES)


def test_its_settings_and_tables_are_its_own(theirs: DICOMwebClient) -> None:
    """Repeated requests, and names of attributes as we call them."""
    theirs.set_http_retry_params(retry=True, max_attempts=2)
    assert len(theirs.search_for_studies()) == 2
    theirs.set_http_retry_params(retry=False)
    assert len(theirs.search_for_studies()) == 2
    (row,) = theirs.search_for_instances(search_filters={"SOPInstanceUID": INSTANCE})
    for tag in row:
        assert theirs.lookup_tag(theirs.lookup_keyword(tag)) == tag
