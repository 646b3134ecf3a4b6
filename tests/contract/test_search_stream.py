"""Long searches: the stream of columns that an engine gives its own client, against the pages that everybody gets."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pydicom
import pytest
import requests
from dicomweb_client import DICOMwebClient

import dicomkit as dk
from dicomkit.client import search as client_search
from dicomkit.engine import Engine
from dicomkit.engine.access import OWNER
from dicomkit.engine.services import search as engine_search
from dicomkit.errors import NotFound, PermissionDenied, Unauthenticated
from dicomkit.frames.element_stream import MEDIA_TYPE
from dicomkit.server import Gate
from tests.conftest import LOOPBACK, WHEEL, Loaded, served
from tests.contract.instances import ROOT, ct_files, ct_slice

LEVELS = ("study", "series", "instance")
FIRST = 2
"""Rows of a first page, in these tests."""


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream follows a first page of two rows, and has three in a record batch."""
    monkeypatch.setattr(client_search, "PAGE_BEFORE_STREAM", FIRST)
    monkeypatch.setattr(engine_search, "PORTION", 3)


class Watched:
    """What the answers of a session were: the media type that was asked for, and the one that came."""

    def __init__(self, session: requests.Session) -> None:
        self.answers: list[tuple[str, str]] = []
        session.hooks["response"].append(self._see)

    def _see(self, response: requests.Response, *args: Any, **kwargs: Any) -> None:
        accept, kind = response.request.headers["Accept"], response.headers.get("Content-Type", "")
        self.answers.append((str(accept), kind))

    @property
    def streams(self) -> int:
        """How many were streams."""
        return sum(kind == MEDIA_TYPE for _, kind in self.answers)


def both(store: dk.Store, level: Any, **arguments: Any) -> tuple[pd.DataFrame, pd.DataFrame, list[list[str]]]:
    """The frame of a search as the client gets it and by pages of JSON, and the warnings of each."""
    frames, told = [], []
    for more in ({}, {"page_size": 7}):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            frames.append(store.search(level, **arguments, **more).to_frame())
        told.append([f"{warning.category.__name__}: {warning.message}" for warning in caught])
    return frames[0], frames[1], told


def same(store: dk.Store, level: Any, **arguments: Any) -> pd.DataFrame:
    """The frame, which is the same in both ways, with the same warnings."""
    ours, pages, (told, told_by_pages) = both(store, level, **arguments)
    pd.testing.assert_frame_equal(ours, pages)
    assert ours.attrs == pages.attrs
    assert told == told_by_pages
    return ours


def private_tags() -> list[str]:
    """Private attributes of the wheel's files that stand at the top, the commonest first."""
    counts: dict[str, int] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in sorted(WHEEL.glob("*.dcm")):
            try:
                dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
                for element in dataset:
                    if element.tag.is_private:
                        tag = f"{element.tag.group:04X}{element.tag.element:04X}"
                        counts[tag] = counts.get(tag, 0) + 1
            except Exception:  # noqa: BLE001 - files that pydicom does not read
                continue
    return sorted(counts, key=lambda tag: (-counts[tag], tag))


FIELDS = {
    "none": (),
    "texts": ("StudyDescription", "SeriesDescription", "InstitutionName", "ImageComments"),
    "numbers": ("SliceThickness", "PixelSpacing", "SmallestImagePixelValue", "WindowCenter", "ImageOrientationPatient"),
    "times": ("AcquisitionDateTime", "ContentTime", "PatientAge", "InstanceCreationDate", "FrameReferenceDateTime"),
    "sequences": ("ReferencedImageSequence", "SourceImageSequence", "DeidentificationMethodCodeSequence"),
    "several": ("ImageType", "OtherPatientNames", "FrameIncrementPointer", "PatientComments", "LUTData"),
    "counted": ("ModalitiesInStudy", "NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances"),
    "private": tuple(private_tags()[:30]),
}


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize("level", LEVELS)
def test_real_files_give_the_same_frame(loaded: Loaded, level: str, fields: tuple[str, ...]) -> None:
    """Every file of the wheel that is stored: values, types, order, warnings, whatever is asked for."""
    watched = Watched(loaded.store._connection.session)
    frame = same(loaded.store, level, fields=fields)
    assert watched.streams == 1
    assert len(frame) > FIRST
    assert frame.attrs["complete"] is True
    if fields:
        assert frame[frame.columns[-len(fields) :]].notna().any().any()


@pytest.mark.parametrize(
    "match",
    [
        {"PatientName": "*a*"},
        {"PatientName": "co", "fuzzymatching": True},
        {"StudyDate": "19950101-20101231"},
        {"ModalitiesInStudy": "CT"},
        {"PhotometricInterpretation": "MONOCHROME2"},
        {"PatientID": "nobody"},
    ],
    ids=lambda match: next(iter(match)),
)
@pytest.mark.parametrize("level", LEVELS)
def test_conditions_give_the_same_frame(loaded: Loaded, level: str, match: dict[str, Any]) -> None:
    """Those that an index has, and those that it has not."""
    same(loaded.store, level, **match)


@pytest.fixture
def hostile(conn: dk.Dataset) -> dk.Store:
    """Values that break their VR, that look like something else, and that many rows share."""
    store = conn.create_store("hostile")
    odd: list[dict[str, Any]] = [
        {"PatientID": "\"},{'", "StudyDate": "2024-01-31", "InstanceNumber": None},
        {"PatientID": "a\\b", "StudyDescription": "' OR 1=1 --", "StudyTime": "9"},
        {"PatientID": "[1,2]", "StudyDate": "", "PatientName": "=山田^太郎=やまだ^たろう"},
        {"PatientID": "null", "StudyDescription": "\u2028\u0085\u00a0", "PatientName": ""},
        {"PatientID": "\U0001f9e0" * 16, "AccessionNumber": "{}", "StudyDate": "99999999"},
        {"PatientID": "=cmd|' /C calc'!A0", "StudyTime": "250000", "StudyID": "\\"},
    ]
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        files = [
            ct_slice(study, series, i, **{"TimezoneOffsetFromUTC": "+0100", "AcquisitionDateTime": "soon"} | values)
            for study, values in enumerate(odd, 1)
            for series in (1, 2)
            for i in (1, 2)
        ]
        assert set(store.upload(files)["outcome"]) == {"stored"}
    return store


@pytest.mark.parametrize("level", LEVELS)
def test_hostile_values_give_the_same_frame(hostile: dk.Store, level: str) -> None:
    """And the same warnings, with the same counts."""
    frame, _, (told, _) = both(hostile, level, fields=("AcquisitionDateTime", "StudyDescription"))
    assert len(frame) == {"study": 6, "series": 12, "instance": 24}[level]
    assert any(f"AcquisitionDateTime: {len(frame)} of {len(frame)}" in message for message in told)
    same(hostile, level, fields=("AcquisitionDateTime", "StudyDescription"))


@pytest.fixture
def slices(conn: dk.Dataset, tmp_path: Path) -> Iterator[dk.Store]:
    """Twelve slices."""
    store = conn.create_store("ct")
    ct_files(tmp_path / "in", studies=2, series=2, instances=3)
    store.upload(tmp_path / "in")
    yield store


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 11, 12, 13, 100])
def test_limit_is_kept_and_told(slices: dk.Store, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """A stream is begun where more than a page is wanted, and read no farther than that."""
    monkeypatch.setitem(client_search.PAGE, "instance", 3)
    watched = Watched(slices._connection.session)
    frame = same(slices, "instance", limit=limit)
    assert len(frame) == min(limit, 12)
    assert frame.attrs["complete"] is (limit >= 12)
    assert watched.streams == (limit > 3)


def test_first_page_that_is_not_full_is_all(slices: dk.Store) -> None:
    """One request, as ever; so is a search whose pages are asked for."""
    watched = Watched(slices._connection.session)
    assert len(slices.search_studies(PatientID="P1")) == 1
    assert len(watched.answers) == 1
    assert [len(page) for page in slices.search("instance").pages()] == [12]
    assert len(slices.search_instances(page_size=12)) == 12
    assert len(slices.search_instances(fields="all")) == 12
    assert watched.streams == 0


def test_first_page_that_is_all_ends_with_an_empty_answer(slices: dk.Store) -> None:
    """What comes behind the last row is 204, and no stream."""
    watched = Watched(slices._connection.session)
    assert len(slices.search_studies()) == FIRST
    assert [accept for accept, _ in watched.answers] == ["application/dicom+json", MEDIA_TYPE]
    assert watched.streams == 0


def test_store_that_is_deleted_meanwhile_is_not_found(conn: dk.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error comes as itself, and not as a shorter frame."""
    store = conn.create_store("gone")
    store.upload(ct_slice(1, 1, i) for i in range(1, 10))

    def delete_it(response: requests.Response, *args: Any, **kwargs: Any) -> None:
        if response.headers.get("Content-Type") == "application/dicom+json":
            conn.session.hooks["response"].clear()
            conn.delete_store("gone")

    conn.session.hooks["response"].append(delete_it)
    with pytest.raises(NotFound):
        store.search_instances()


def test_other_clients_get_json(slices: dk.Store) -> None:
    """dicomweb-client, requests as it is, and a browser."""
    session = slices._connection.session
    watched = Watched(session)
    client = DICOMwebClient(url=slices.dicomweb_url, session=session)
    assert len(client.search_for_instances()) == 12
    assert len(client.search_for_series()) == 4
    for accept in ("*/*", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"):
        answer = session.get(f"{slices.dicomweb_url}/instances", headers={"Accept": accept})
        assert len(answer.json()) == 12
    assert {kind for _, kind in watched.answers} == {"application/dicom+json"}


@pytest.mark.parametrize("is_served", [False, True])
def test_google_mode_is_not_asked(tmp_path: Path, is_served: bool) -> None:
    """The client knows how its server answers."""
    with ExitStack() as stack:
        target = str(tmp_path / "home")
        if is_served:
            target = stack.enter_context(served(stack.enter_context(Engine(target, mode="google"))))
        dataset = stack.enter_context(dk.connect(target, mode="google"))
        store = dataset.create_store("ct")
        store.upload(ct_slice(1, 1, i) for i in range(1, 10))
        watched = Watched(dataset.session)
        assert len(store.search_instances()) == 9
        assert {accept for accept, _ in watched.answers} == {"application/dicom+json"}


def test_server_that_knows_no_columns_is_asked_once(tmp_path: Path) -> None:
    """It answers 406; pages of JSON go on, and no search asks again."""
    with Engine(tmp_path / "home", mode="google") as engine, served(engine) as origin, dk.connect(origin) as dataset:
        store = dataset.create_store("ct")
        store.upload(ct_slice(1, 1, i) for i in range(1, 10))
        search = dataclasses.replace(store.search("instance"), may_stream=True)
        watched = Watched(dataset.session)
        for _ in range(2):
            frame = search.to_frame()
            assert frame["InstanceNumber"].tolist() == list(range(1, 10))
            assert frame.attrs["complete"] is True
        json = "application/dicom+json"
        assert [accept for accept, _ in watched.answers] == [json, MEDIA_TYPE, json, json, json]


def test_token_is_needed_for_a_stream_as_for_everything(tmp_path: Path) -> None:
    """It goes with the request, and without it nothing comes."""
    gate = Gate(lambda token: OWNER if token == "secret" else None, hosts=LOOPBACK)
    with Engine(tmp_path / "home") as engine, served(engine, gate) as origin:
        with dk.connect(origin, token="secret") as dataset:
            store = dataset.create_store("ct")
            store.upload(ct_slice(1, 1, i) for i in range(1, 10))
            watched = Watched(dataset.session)
            assert len(store.search_instances()) == 9
            assert watched.streams == 1
            url = f"{store.dicomweb_url}/instances"
        assert requests.get(url, headers={"Accept": MEDIA_TYPE}, timeout=10).status_code == 401
        with pytest.raises((Unauthenticated, PermissionDenied)):
            dk.connect(origin, token="guess")


def test_rows_of_a_series_have_one_study(slices: dk.Store) -> None:
    """What is of the parents is encoded once, and stands in every row."""
    frame = same(slices, "instance", StudyInstanceUID=f"{ROOT}.2", fields=("StudyDescription", "SeriesNumber"))
    assert frame["StudyInstanceUID"].tolist() == [f"{ROOT}.2"] * 6
    assert frame["PatientID"].tolist() == ["P2"] * 6
    assert frame["SeriesNumber"].tolist() == [1] * 3 + [2] * 3
