"""dicomweb-client, unmodified, over the session of a dataset: another client's reading of the same standard."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from requests import HTTPError

import dicomkit as dk
from tests.conftest import Loaded
from tests.contract.instances import ROOT, ct_files, ct_slice

pytest.importorskip("dicomweb_client")

from dicomweb_client import DICOMwebClient

AS_STORED = (("application/dicom", "*"),)
"""Media type and transfer syntax: the file as it was uploaded."""

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


def test_what_is_not_there_is_an_http_error(conn: dk.Dataset) -> None:
    """404 reaches it as it reaches us."""
    store = conn.create_store("ct")
    with pytest.raises(HTTPError, match="404"):
        client_of(store, conn.session).retrieve_study_metadata("1.2.3")
