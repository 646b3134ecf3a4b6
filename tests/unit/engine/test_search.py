"""QIDO-RS against values that pydicom wrote (healthcare-api 4.1; PS3.4 C.2.2.2, PS3.18 10.6)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage
from werkzeug.test import Client

from dicomkit.dicom.attributes import COMPUTED, DEFAULTS
from dicomkit.dicom.dictionary import tag_of
from dicomkit.engine import Engine
from dicomkit.engine.services import search_scan
from tests.unit.engine.factories import WEB, client, dataset, ended, instance, store, written

A, B, C = "1.2.826.1", "1.2.826.2", "1.2.826.3"
LEVELS = ("studies", "series", "instances")
DEEP = "ModalitiesInStudy,NumberOfStudyRelatedSeries,NumberOfStudyRelatedInstances,NumberOfSeriesRelatedInstances"


@pytest.fixture(params=["friendly"])
def http(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Client]:
    with Engine(tmp_path, mode=request.param) as engine:
        made = client(engine)
        files = [
            instance(study=A, series=f"{A}.{s}", uid=f"{A}.{s}.{n}", InstanceNumber=n, Modality=m, SeriesNumber=s)
            for s, m in ((1, "CT"), (2, "SR"))
            for n in (1, 2, 3)
        ]
        files.append(
            instance(
                study=B,
                series=f"{B}.1",
                uid=f"{B}.1.1",
                PatientName="Müller^Jörg=漢字=かんじ",
                PatientID="P*2",
                StudyDate="20240201",
                StudyTime="083000",
                AccessionNumber="",
                Modality="MR",
                ReferringPhysicianName="House^Gregory",
                SpecificCharacterSet="ISO_IR 192",
            )
        )
        files.append(
            instance(study=C, series=f"{C}.1", uid=f"{C}.1.1", PatientName="john^DOE", PatientID="P-3", StudyDate="")
        )
        assert store(made, *files).status_code == 200
        yield made


def search(http: Client, query: str) -> list[dict]:
    answer = http.get(f"{WEB}/{query}")
    assert answer.status_code in (200, 204), answer.text
    if answer.status_code == 204:
        assert answer.data == b""
        return []
    assert answer.content_type == "application/dicom+json"
    assert all(list(item) == sorted(item) for item in answer.json)
    return answer.json


def value(item: dict, keyword: str) -> object:
    return item[tag_of(keyword)]["Value"][0]


def uids(http: Client, query: str, keyword: str = "StudyInstanceUID") -> list[object]:
    return [value(item, keyword) for item in search(http, query)]


@pytest.mark.parametrize(
    ("query", "studies"),
    [
        ("", [A, B, C]),
        (f"StudyInstanceUID={B}", [B]),
        (f"StudyInstanceUID={B},{C}", [B, C]),
        (f"StudyInstanceUID={B}%5C{C}", [B, C]),
        ("PatientID=P-1", [A]),
        ("00100020=P-1", [A]),
        ("PatientID=p-1", []),
        ("PatientID=P-*", [A, C]),
        ("PatientID=P-%3F", [A, C]),
        ("PatientID=*", [A, B, C]),
        ("PatientID=", [A, B, C]),
        ("PatientName=Doe%5EJane", [A]),
        ("PatientName=doe*", [A]),
        ("PatientName=*doe*", [A, C]),
        ("PatientName=*O*N*", [A, C]),
        (f"PatientName={quote('漢字')}", [B]),
        (f"PatientName={quote('漢*')}", [B]),
        ("PatientName=muller*", [B]),
        ("PatientName=jo&fuzzymatching=true", [B, C]),
        ("PatientName=ohn&fuzzymatching=true", []),
        ("PatientName=nobody+doe&fuzzymatching=true", [A, C]),
        ("ReferringPhysicianName=House%5EGregory", [B]),
        ("ReferringPhysicianName=house*", [B]),
        ("StudyDate=20240131", [A]),
        ("StudyDate=20240131-20240201", [A, B]),
        ("StudyDate=20240201-", [B]),
        ("StudyDate=-20240131", [A]),
        ("StudyTime=080000-090000", [B]),
        ("AccessionNumber=A-1", [A, C]),
        ("ModalitiesInStudy=SR", [A]),
        ("ModalitiesInStudy=*R", [A, B]),
        ("Modality=MR", [B]),
        ("PatientID=P-1&StudyDate=20240201", []),
        ("PatientSex=F&StudyID=1", [A, B, C]),
        ("limit=1", [A]),
        ("limit=2&offset=1", [B, C]),
        ("offset=3", []),
        ("PatientID=' OR 1=1 --", []),
        ("PatientID=*' OR '*", []),
    ],
)
def test_studies_that_match(http: Client, query: str, studies: list[str]) -> None:
    """Single values, wildcards, ranges, lists, fuzzy names and paging find what PS3.4 says."""
    assert uids(http, f"studies?{query}") == studies


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("series", [f"{A}.1", f"{A}.2", f"{B}.1", f"{C}.1"]),
        (f"studies/{A}/series", [f"{A}.1", f"{A}.2"]),
        (f"studies/{A}/series?Modality=SR", [f"{A}.2"]),
        ("series?Modality=CT", [f"{A}.1", f"{C}.1"]),
        ("series?Modality=CT&PatientID=P-3", [f"{C}.1"]),
        ("series?SeriesNumber=2", [f"{A}.2", f"{B}.1", f"{C}.1"]),
        (f"series?SeriesInstanceUID={A}.2", [f"{A}.2"]),
        (f"series?StudyInstanceUID={A}&limit=1&offset=1", [f"{A}.2"]),
        ("studies/9.9/series", []),
    ],
)
def test_series_that_match(http: Client, query: str, found: list[str]) -> None:
    """At the store and below a study, by their own and by their study's attributes."""
    assert uids(http, query, "SeriesInstanceUID") == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("instances?limit=2", [f"{A}.1.1", f"{A}.1.2"]),
        ("instances?InstanceNumber=2", [f"{A}.1.2", f"{A}.2.2"]),
        ("instances?InstanceNumber=2&Modality=SR", [f"{A}.2.2"]),
        ("instances?PatientName=john*", [f"{C}.1.1"]),
        (f"instances?SOPInstanceUID={A}.1.3", [f"{A}.1.3"]),
        (f"instances?SOPInstanceUID={A}.1.3,{C}.1.1,1.9", [f"{A}.1.3", f"{C}.1.1"]),
        (f"instances?SOPClassUID={CTImageStorage}&StudyInstanceUID={B}", [f"{B}.1.1"]),
        (f"studies/{A}/instances?offset=4", [f"{A}.2.2", f"{A}.2.3"]),
        (f"studies/{A}/instances?Modality=CT&InstanceNumber=3", [f"{A}.1.3"]),
        (f"studies/{A}/series/{A}.2/instances", [f"{A}.2.1", f"{A}.2.2", f"{A}.2.3"]),
        (f"studies/{A}/series/{B}.1/instances", []),
    ],
)
def test_instances_that_match(http: Client, query: str, found: list[str]) -> None:
    """At all three paths, by attributes of all three levels."""
    assert uids(http, query, "SOPInstanceUID") == found


def test_pages_are_disjoint_and_complete(http: Client) -> None:
    """Whatever the size of a page, the pages together are all results in the same order."""
    whole = uids(http, "instances", "SOPInstanceUID")
    assert len(whole) == 8
    for size in (1, 3, 8):
        paged = []
        for offset in range(0, 10, size):
            paged += uids(http, f"instances?limit={size}&offset={offset}", "SOPInstanceUID")
        assert paged == whole


@pytest.mark.parametrize(("http", "counted"), [("friendly", COMPUTED), ("google", {})], indirect=["http"])
def test_default_attributes_of_each_level(http: Client, counted: dict[str, tuple[str, ...]]) -> None:
    """The documented defaults that the instance has; parents' defaults where the whole store is searched."""
    ds = dataset(study=A)

    def present(*levels: str) -> set[str]:
        tags = {tag_of(k) for level in levels for k in DEFAULTS[level]}
        in_file = {f"{int(e.tag):08X}" for e in ds} | {tag_of(k) for k in ("Rows", "Columns", "BitsAllocated")}
        return (tags & in_file) | {tag_of(k) for k in counted.get(levels[-1], ())}

    assert set(search(http, f"studies?StudyInstanceUID={A}")[0]) == present("study")
    assert set(search(http, "series")[0]) == present("study", "series")
    assert set(search(http, "instances")[0]) == present("study", "series", "instance")
    assert set(search(http, f"studies/{A}/series")[0]) == present("series") | {tag_of("StudyInstanceUID")}
    uids_ = {tag_of("StudyInstanceUID"), tag_of("SeriesInstanceUID")}
    assert set(search(http, f"studies/{A}/instances")[0]) == present("instance") | uids_


def test_an_empty_attribute_is_there_and_an_absent_one_is_not(http: Client) -> None:
    """Present but empty: the VR alone (4.1)."""
    item = search(http, f"studies?StudyInstanceUID={A}")[0]
    assert item[tag_of("PatientBirthDate")] == {"vr": "DA"}
    assert tag_of("TimezoneOffsetFromUTC") not in item


def test_names_have_their_groups(http: Client) -> None:
    """Component groups of a name come as the DICOM JSON model has them."""
    item = search(http, f"studies?StudyInstanceUID={B}")[0]
    assert item[tag_of("PatientName")] == {
        "vr": "PN",
        "Value": [{"Alphabetic": "Müller^Jörg", "Ideographic": "漢字", "Phonetic": "かんじ"}],
    }


def test_counts_come_with_the_results_of_their_level(http: Client) -> None:
    """What PS3.18 tables 10.6.3-3 and 10.6.3-4 have a server count; results below carry it when it is asked for."""
    study, series, instance = (search(http, f"{level}?StudyInstanceUID={A}")[0] for level in LEVELS)
    assert sorted(study[tag_of("ModalitiesInStudy")]["Value"]) == ["CT", "SR"]
    assert (value(study, "NumberOfStudyRelatedSeries"), value(study, "NumberOfStudyRelatedInstances")) == (2, 6)
    assert value(series, "NumberOfSeriesRelatedInstances") == 3
    assert not {tag_of(keyword) for keyword in DEEP.split(",")[:3]} & series.keys()
    assert not {tag_of(keyword) for keyword in DEEP.split(",")} & instance.keys()


def test_counts_come_when_they_are_asked_for(http: Client) -> None:
    """ModalitiesInStudy and the numbers of PS3.18 table 10.6.3-3, at every level, kept true by every store."""
    for query in LEVELS:
        item = search(http, f"{query}?StudyInstanceUID={A}&includefield={DEEP}")[0]
        assert sorted(item[tag_of("ModalitiesInStudy")]["Value"]) == ["CT", "SR"]
        assert value(item, "NumberOfStudyRelatedSeries") == 2
        assert value(item, "NumberOfStudyRelatedInstances") == 6
        assert query == "studies" or value(item, "NumberOfSeriesRelatedInstances") == 3


def test_a_study_whose_series_name_no_modality_has_none(http: Client) -> None:
    """An empty element (PS3.18 section F.2.5), and no value that is an empty text."""
    assert store(http, instance(study="1.2.9", Modality=None)).status_code == 200
    (study,) = search(http, "studies?StudyInstanceUID=1.2.9")
    assert study[tag_of("ModalitiesInStudy")] == {"vr": "CS"}


def test_counts_after_deletes(http: Client) -> None:
    """Deleting an instance, then the rest of its series, then the study."""
    http.delete(f"{WEB}/studies/{A}/series/{A}.1/instances/{A}.1.1")
    item = search(http, f"series?SeriesInstanceUID={A}.1&includefield={DEEP}")[0]
    assert (value(item, "NumberOfStudyRelatedInstances"), value(item, "NumberOfSeriesRelatedInstances")) == (5, 2)
    ended(http, http.delete(f"{WEB}/studies/{A}/series/{A}.1"))
    item = search(http, f"studies?StudyInstanceUID={A}&includefield={DEEP}")[0]
    assert item[tag_of("ModalitiesInStudy")]["Value"] == ["SR"]
    assert (value(item, "NumberOfStudyRelatedSeries"), value(item, "NumberOfStudyRelatedInstances")) == (1, 3)
    ended(http, http.delete(f"{WEB}/studies/{A}"))
    assert uids(http, "studies") == [B, C]
    assert http.delete(f"{WEB}/studies/{A}").status_code == 404


@pytest.mark.parametrize("query", ["studies", "series", "instances", f"studies/{A}/instances"])
def test_any_attribute_can_be_asked_for(http: Client, query: str) -> None:
    """Attributes of the level, of parents, and of the instance alone, in one go and each once."""
    item = search(http, f"{query}?includefield=SliceThickness,Modality&includefield=PatientID,00080070")[0]
    assert item[tag_of("SliceThickness")] == {"vr": "DS", "Value": [1.25]}
    assert value(item, "Modality") == "CT"
    assert value(item, "PatientID") == "P-1"
    assert tag_of("Manufacturer") not in item


def test_all_of_an_instance_is_everything_but_bulk_data(http: Client) -> None:
    """includefield=all (4.1): no pixels, no file meta group; what pydicom reads is there."""
    item = search(http, f"instances?SOPInstanceUID={A}.1.2&includefield=all")[0]
    ds = written(dataset(study=A, series=f"{A}.1", uid=f"{A}.1.2", InstanceNumber=2, SeriesNumber=1))
    expected = set(json.loads(pydicom_json(ds.data))) - {tag_of("PixelData")}
    assert set(item) == expected


def pydicom_json(data: bytes) -> str:
    import io

    import pydicom

    return pydicom.dcmread(io.BytesIO(data)).to_json()


def test_all_at_study_level_adds_the_documented_attributes(tmp_path: Path) -> None:
    """Sequences among them, though no search column holds them."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", "one"
    with Engine(tmp_path) as engine:
        http = client(engine)
        ds = dataset(InstitutionName="General", StudyDescription="Head", ProcedureCodeSequence=Sequence([code]))
        store(http, written(ds))
        item = search(http, "studies?includefield=all")[0]
    assert value(item, "InstitutionName") == "General"
    assert item[tag_of("ProcedureCodeSequence")]["Value"][0][tag_of("CodeMeaning")]["Value"] == ["one"]
    assert tag_of("Modality") not in item


@pytest.mark.parametrize(
    "accept", ["application/dicom+json", "application/json", "*/*", "text/html, application/*;q=0.1"]
)
def test_json_is_what_a_search_answers_with(http: Client, accept: str) -> None:
    """Every range that covers JSON is served with it."""
    assert http.get(f"{WEB}/studies", headers={"Accept": accept}).status_code == 200


@pytest.mark.parametrize(
    "accept", ["text/html", "application/dicom+json;q=0", 'multipart/related; type="application/dicom+xml"']
)
def test_what_cannot_be_produced_is_not_acceptable(http: Client, accept: str) -> None:
    """406 with the words of the service."""
    assert http.get(f"{WEB}/studies", headers={"Accept": accept}).status_code == 406


@pytest.mark.parametrize(
    "query",
    [
        "Foo=1",
        "StudyDate=2024",
        "limit=5001",
        "limit=0",
        "offset=1000001",
        "includefield=Nothing",
        "fuzzymatching=maybe",
        "SliceThickness=thick",
        "PixelData=1",
        "RequestAttributesSequence=1",
        "PatientID.PatientName=1",
        "0018xx10[ACME]=1",
    ],
)
def test_wrong_queries_are_refused(http: Client, query: str) -> None:
    """400, and the message says what is allowed."""
    answer = http.get(f"{WEB}/studies?{query}")
    assert answer.status_code == 400
    assert len(answer.json["error"]["message"]) > 20


@pytest.mark.parametrize("http", ["google"], indirect=True)
@pytest.mark.parametrize(
    ("query", "studies"),
    [("PatientID=P*2", [B]), ("PatientID=P*", []), ("StudyDate=20240131-", [A, B]), ("PatientName=doe%5Ejane", [])],
)
def test_google_mode_takes_wildcards_literally(http: Client, query: str, studies: list[str]) -> None:
    """A star is a character there (4.1)."""
    assert uids(http, f"studies?{query}") == studies


@pytest.mark.parametrize("http", ["google"], indirect=True)
@pytest.mark.parametrize("query", ["ModalitiesInStudy=CT", "includefield=ModalitiesInStudy", "StudyTime=101500"])
def test_google_mode_refuses_what_the_cloud_would(http: Client, query: str) -> None:
    """A notebook that runs here runs there."""
    assert http.get(f"{WEB}/studies?{query}").status_code == 400


@pytest.mark.timeout(30)
def test_a_pattern_with_many_stars_ends(tmp_path: Path) -> None:
    """Nine stars against a name of the letter a (attack 14)."""
    with Engine(tmp_path) as engine:
        http = client(engine)
        store(http, instance(PatientName="a" * 60, PatientID="a" * 60))
        for keyword in ("PatientName", "PatientID"):
            assert http.get(f"{WEB}/studies?{keyword}=" + "*a" * 30 + "*b").status_code == 204


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"SOPInstanceUID={A}.1.2", [A]),
        ("InstanceNumber=3", [A]),
        ("SeriesNumber=2&Modality=SR", [A]),
        ("TransferSyntaxUID=1.2.840.10008.1.2.1", [A, B, C]),
        ("AvailableTransferSyntaxUID=1.2.840.10008.1.2", []),
        ("NumberOfStudyRelatedInstances=6", [A]),
        ("NumberOfStudyRelatedSeries=1", [B, C]),
        ("SliceThickness=1.250", [A, B, C]),
        ("SliceThickness=1&PatientID=P-1", []),
        ("TimezoneOffsetFromUTC=%2B0100", []),
    ],
)
def test_studies_match_by_what_is_below_them(http: Client, query: str, found: list[str]) -> None:
    """A study matches if one of its series or instances does (relational matching)."""
    assert uids(http, f"studies?{query}") == found


def test_modalities_in_study_are_those_of_the_study_at_every_level(http: Client) -> None:
    """Each series and instance of the study that has an SR, the CT ones too."""
    assert uids(http, "series?ModalitiesInStudy=SR", "SeriesInstanceUID") == [f"{A}.1", f"{A}.2"]
    assert len(search(http, "instances?ModalitiesInStudy=SR")) == 6
    assert len(search(http, f"studies/{A}/instances?ModalitiesInStudy=SR")) == 6


def test_matches_without_an_index_have_pages(http: Client) -> None:
    """In the same order as all others, and complete."""
    path = "instances?SliceThickness=1.25"
    every = uids(http, path, "SOPInstanceUID")
    assert every == uids(http, "instances", "SOPInstanceUID")
    assert [uids(http, f"{path}&limit=3&offset={n}", "SOPInstanceUID") for n in (0, 3, 6, 9)] == [
        *(every[n : n + 3] for n in (0, 3, 6)),
        [],
    ]


def test_search_that_looks_at_too_much_is_stopped(http: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """504, and the message says how to narrow it; no value of the request is in it."""
    monkeypatch.setattr(search_scan, "SCAN_S", -1.0)
    answer = http.get(f"{WEB}/instances?SliceThickness=77")
    assert (answer.status_code, answer.json["error"]["status"]) == (504, "DEADLINE_EXCEEDED")
    assert "SliceThickness" in answer.json["error"]["message"]
    assert "77" not in answer.json["error"]["message"]
    assert http.get(f"{WEB}/instances?PatientID=P-1").status_code == 200


@pytest.mark.parametrize(
    "query",
    ["", "PatientID=P-1", "ModalitiesInStudy=SR", "SliceThickness=1.25", "SliceThickness=9", f"StudyInstanceUID={A}"],
)
@pytest.mark.parametrize("level", ["studies", "series", "instances"])
def test_matches_are_counted_without_being_sent(http: Client, level: str, query: str) -> None:
    """As many as the search has, whatever the limit."""
    expected = len(search(http, f"{level}?{query}"))
    answer = http.get(f"/dicomkit{WEB}/{level}:count?{query}&limit=1")
    assert answer.json == {"count": expected}


def test_counting_refuses_what_a_search_refuses(http: Client) -> None:
    """With the same words."""
    assert http.get(f"/dicomkit{WEB}/studies:count?Foo=1").status_code == 400
    assert http.get(f"/dicomkit{WEB.replace('/ct/', '/none/')}/studies:count").status_code == 404
