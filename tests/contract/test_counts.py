"""How many matches there are, and conditions that Google's service does not know."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

import dicomkit as dk
from dicomkit.errors import ClientSideFilterWarning, InvalidArgument
from tests.conftest import DEPLOYMENTS, deployed
from tests.contract.instances import ROOT, ct_slice

COUNTS = {"study": "count_studies", "series": "count_series", "instance": "count_instances"}
SEARCHES = {"study": "search_studies", "series": "search_series", "instance": "search_instances"}


def filled(dataset: dk.Dataset) -> dk.Store:
    """Three studies of two series of three slices; the third is an MR of another patient."""
    store = dataset.create_store("ct")
    store.upload(ct_slice(s, e, i) for s in (1, 2) for e in (1, 2) for i in (1, 2, 3))
    store.upload(
        ct_slice(3, e, i, Modality="MR", PatientName="Müller^Jörg", StudyDescription="Kopf")
        for e in (1, 2)
        for i in (1, 2, 3)
    )
    return store


@pytest.fixture(params=DEPLOYMENTS)
def google(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dk.Store]:
    """The same on an engine that refuses what Google refuses; a client elsewhere is told so by it."""
    with deployed(request.param, tmp_path / "google", mode="google") as dataset:
        yield filled(dataset)


@pytest.mark.parametrize(
    ("level", "match", "count"),
    [
        ("study", {}, 3),
        ("series", {}, 6),
        ("instance", {}, 18),
        ("study", {"PatientID": "P1"}, 1),
        ("series", {"Modality": "CT"}, 4),
        ("instance", {"StudyInstanceUID": f"{ROOT}.1", "SeriesInstanceUID": f"{ROOT}.1.2"}, 3),
        ("study", {"StudyDate": "20240102-"}, 2),
        ("study", {"PatientName": "mul", "fuzzymatching": True}, 1),
        ("study", {"PatientName": "nobody"}, 0),
        ("study", {"PatientName": "*"}, 3),
    ],
)
def test_count_is_that_of_the_search(conn: dk.Dataset, level: str, match: dict[str, Any], count: int) -> None:
    """At every level, with and without conditions."""
    store = filled(conn)
    assert getattr(store, COUNTS[level])(**match) == count
    assert len(getattr(store, SEARCHES[level])(**match)) == count


@pytest.mark.parametrize(
    ("level", "match", "name", "count"),
    [
        ("study", {"StudyDescription": "Kopf"}, "StudyDescription", 1),
        ("study", {"PatientName": "Test*"}, "PatientName", 2),
        ("study", {"StudyInstanceUID": [f"{ROOT}.1", f"{ROOT}.3"]}, "StudyInstanceUID", 2),
        ("series", {"SeriesNumber": 2, "Modality": "CT"}, "SeriesNumber", 2),
        ("instance", {"InstanceNumber": 3, "PatientID": "P3"}, "InstanceNumber", 2),
        ("instance", {"SliceThickness": 2.5}, "SliceThickness", 18),
        ("instance", {"AccessionNumber": "A?", "Modality": "MR"}, "AccessionNumber", 6),
        ("instance", {"InstitutionName": "nowhere"}, "InstitutionName", 0),
    ],
)
def test_condition_that_google_refuses_is_applied_after_fetching(
    google: dk.Store, level: str, match: dict[str, Any], name: str, count: int
) -> None:
    """With a warning that names it, in a search and in a count; strict refuses instead."""
    with pytest.warns(ClientSideFilterWarning, match=f"cannot match {name} so") as caught:
        frame = getattr(google, SEARCHES[level])(**match)
    assert [each.filename for each in caught] == [__file__]
    assert len(frame) == count
    assert frame.attrs["complete"] is True
    assert frame.columns.tolist() == [column.name for column in dk.frames.search_columns(level)]
    with pytest.warns(ClientSideFilterWarning):
        assert getattr(google, COUNTS[level])(**match) == count
    with pytest.raises(InvalidArgument, match=f"cannot match {name} so"):
        getattr(google, SEARCHES[level])(**match, strict=True)
    with pytest.raises(InvalidArgument, match=f"cannot match {name} so"):
        getattr(google, COUNTS[level])(**match, strict=True)


@pytest.mark.parametrize(
    ("level", "match", "count"),
    [
        ("study", {"StudyDate": "20240101-20240102"}, 2),
        ("study", {"PatientName": "Müller^Jörg"}, 1),
        ("series", {"Modality": "MR", "StudyInstanceUID": f"{ROOT}.3"}, 2),
        ("instance", {"SOPInstanceUID": f"{ROOT}.3.1.1"}, 1),
        ("study", {"PatientName": "*", "StudyDescription": ""}, 3),
    ],
)
def test_condition_that_google_knows_is_left_to_it(
    google: dk.Store, level: str, match: dict[str, Any], count: int
) -> None:
    """Without a warning, also when strict; what matches anything is no condition."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(getattr(google, SEARCHES[level])(**match, strict=True)) == count
        assert getattr(google, COUNTS[level])(**match, strict=True) == count


def test_limit_is_of_what_is_left(google: dk.Store) -> None:
    """And says whether there was more."""
    for limit, complete in ((2, False), (6, True), (7, True)):
        with pytest.warns(ClientSideFilterWarning):
            frame = google.search_instances(InstanceNumber=2, limit=limit, page_size=4)
        assert len(frame) == min(limit, 6)
        assert frame.attrs["complete"] is complete


def test_condition_that_nobody_can_apply_is_refused(google: dk.Store) -> None:
    """Google does not return the attribute at this level; the message says where it does."""
    with pytest.raises(InvalidArgument, match="Modality at study level.*search for series or instances"):
        google.search_studies(Modality="CT")
    with pytest.raises(InvalidArgument, match="InstanceNumber at series level.*search for instances"):
        google.count_series(InstanceNumber=1)


def test_attributes_in_sequences_and_of_private_creators(google: dk.Store) -> None:
    """Any attribute of an instance can be asked for, one that only the data set knows, too."""
    request = Dataset()
    request.ScheduledProcedureStepID = "S7"
    image = ct_slice(5, 1, 1, RequestAttributesSequence=[request])
    image.private_block(0x0019, "ACME", create=True).add_new(0x20, "LO", "seven")
    google.upload(image)
    for match in (
        {"RequestAttributesSequence__ScheduledProcedureStepID": "S*"},
        {"0019xx20[ACME]": "seven"},
    ):
        with pytest.warns(ClientSideFilterWarning):
            found = google.search_instances(**match)
        assert found["SOPInstanceUID"].tolist() == [f"{ROOT}.5.1.1"]
