"""Counts where the server is Google's, which has no route for them; in front of a few lines of WSGI."""

from __future__ import annotations

import pytest

from dicomkit.errors import ClientSideFilterWarning
from tests.unit.client.test_store import NAME, Server, store


def study(i: int) -> dict[str, object]:
    """A row of a search."""
    return {
        "0020000D": {"vr": "UI", "Value": [f"1.2.{i}"]},
        "00081030": {"vr": "LO", "Value": ["Head" if i % 2 else "Chest"]},
    }


def test_everything_is_counted_by_the_metrics() -> None:
    """One request, whatever the level; numbers are text on the wire, and a zero is left out."""
    server = Server(getDICOMStoreMetrics=[{"studyCount": "3", "instanceCount": "70"}])
    subject = store(server, is_cloud=True)
    assert (subject.count_studies(), subject.count_series(), subject.count_instances()) == (3, 0, 70)
    assert {path for _, path, _ in server.requests} == {f"/v1/{NAME}/dicomStores/ct:getDICOMStoreMetrics"}


def test_matches_are_counted_by_searching() -> None:
    """There is nothing else that says how many there are."""
    server = Server(studies=[[study(1), study(2), study(3)]])
    subject = store(server, is_cloud=True)
    assert subject.count_studies(PatientID="P1") == 3
    with pytest.warns(ClientSideFilterWarning, match="StudyDescription"):
        assert subject.count_studies(StudyDescription="H*") == 2
    assert {path for _, path, _ in server.requests} == {f"/v1/{NAME}/dicomStores/ct/dicomWeb/studies"}


def test_engine_is_asked_for_the_number_alone() -> None:
    """By its own route, with the conditions."""
    server = Server(count=[{"count": 5}])
    assert store(server).count_series(PatientID="P1", Modality="CT") == 5
    assert [path for _, path, _ in server.requests] == [f"/dicomkit/v1/{NAME}/dicomStores/ct/dicomWeb/series:count"]
