"""The search as a value: built from Python, written to a URL, read by the server."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from urllib.parse import parse_qsl, urlencode

import numpy as np
import pandas as pd
import pytest
import requests
from dicomweb_client.web import DICOMwebClient
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import UID
from requests.adapters import HTTPAdapter

from dicomkit.dicom.attributes import DEFAULT_LIMIT, LEVELS, MAX_LIMIT, SEARCHABLE, Level
from dicomkit.dicom.dictionary import tag_of
from dicomkit.dicom.matching import Between, Exact, Fuzzy
from dicomkit.dicom.query import Query
from dicomkit.errors import InvalidArgument

PATIENT_ID, PATIENT_NAME, MODALITY = "00100020", "00100010", "00080060"


def parse(path: str, query: str = "", mode: str = "friendly") -> Query:
    return Query.parse(path, parse_qsl(query, keep_blank_values=True), mode=mode)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ round trip

UIDS = st.lists(st.integers(0, 9999), min_size=1, max_size=8).map(lambda parts: ".".join(map(str, parts)))
PLAIN = st.text(st.characters(blacklist_categories=("Cc", "Cs")), max_size=30)
DATES = st.dates()
RANGES = st.tuples(DATES, DATES).map(lambda pair: tuple(sorted(pair))) | DATES.flatmap(
    lambda day: st.sampled_from([(day, None), (None, day)])
)
VALUES = {
    "PatientID": PLAIN,
    "PatientName": PLAIN,
    "00091001": PLAIN,
    "StudyDate": DATES | RANGES | DATES.map(lambda day: slice(day, None)),
    "StudyTime": st.times(),
    "AcquisitionDateTime": st.datetimes(timezones=st.just(timezone(timedelta(hours=-5, minutes=-30)))),
    "StudyInstanceUID": UIDS | st.lists(UIDS, min_size=1, max_size=3),
    "SeriesInstanceUID": UIDS,
    "SOPInstanceUID": UIDS | st.tuples(UIDS, UIDS),
    "InstanceNumber": st.integers(-(10**9), 10**9),
    "SliceThickness": st.floats(allow_nan=False, allow_infinity=False) | st.decimals(-10, 10, places=3),
    "60020010": st.integers(0, 65535),
}
FIELDS = st.lists(st.sampled_from(["all", "SliceThickness", "00180050", "StudyDescription", "60020010", "00091001"]))


@given(
    level=st.sampled_from(LEVELS),
    match=st.fixed_dictionaries({}, optional=VALUES),
    fields=FIELDS,
    limit=st.none() | st.integers(1, 5000),
    offset=st.integers(0, 1_000_000),
    fuzzy=st.booleans(),
)
def test_a_search_is_read_as_it_was_built(level: Level, match, fields, limit, offset, fuzzy: bool) -> None:
    """Path and parameters lose nothing, also through the percent-encoding of a URL."""
    query = Query.build(level, fields=fields, limit=limit, offset=offset, fuzzymatching=fuzzy, **match)
    assert Query.parse(query.path(), query.params()) == query
    encoded = urlencode(query.params())
    assert Query.parse("/" + query.path(), parse_qsl(encoded, keep_blank_values=True)) == query
    assert hash(query) == hash(Query.parse(query.path(), query.params()))


@given(
    st.text("sinter/.012%", max_size=30),
    st.lists(st.tuples(st.text(max_size=8) | st.sampled_from(["limit", "includefield", "StudyDate"]), st.text())),
    st.sampled_from(["friendly", "google"]),
)
def test_whatever_comes_is_a_search_or_an_invalid_argument(path: str, args: list[tuple[str, str]], mode) -> None:
    """No request can raise anything else."""
    try:
        query = Query.parse(path or "studies", args, mode=mode)
    except InvalidArgument:
        return
    assert Query.parse(query.path(), query.params(), mode=mode) == query


# ------------------------------------------------------------------------------------------------ paths


@pytest.mark.parametrize(
    ("path", "level", "study", "series"),
    [
        ("studies", "study", None, None),
        ("series", "series", None, None),
        ("instances", "instance", None, None),
        ("studies/1.2/series", "series", "1.2", None),
        ("studies/1.2/instances", "instance", "1.2", None),
        ("studies/1.2/series/3.4/instances", "instance", "1.2", "3.4"),
    ],
)
def test_the_six_search_paths_of_the_api_are_read(
    path: str, level: Level, study: str | None, series: str | None
) -> None:
    """They are the searchFor... methods of the discovery document."""
    query = parse(path)
    assert (query.level, query.study_instance_uid, query.series_instance_uid) == (level, study, series)
    assert query.path() == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "patients",
        "studies/1.2",
        "studies/1.2/studies",
        "series/1.2/instances",
        "studies/1.2/series/3.4/series",
        "studies/1.2/instances/3.4/instances",
        "studies/../series",
        "studies/1.2\n/series",
        "studies//series",
        f"studies/{'1' * 65}/series",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    """Neither a retrieve path nor a hostile UID is a search."""
    with pytest.raises(InvalidArgument):
        parse(path)


def test_single_uids_move_into_the_path() -> None:
    """A search for the series of a study goes to the study's own path."""
    query = Query.build("series", StudyInstanceUID=UID("1.2"), Modality="CT")
    assert query.path() == "studies/1.2/series"
    assert query.params() == [("Modality", "CT")]
    query = Query.build("instance", StudyInstanceUID=["1.2"], SeriesInstanceUID="3.4", SOPInstanceUID="5.6")
    assert query.path() == "studies/1.2/series/3.4/instances"
    assert query.params() == [("SOPInstanceUID", "5.6")]


def test_uids_stay_match_keys_where_the_api_has_no_path() -> None:
    """A list of studies, a series without its study, a study among studies."""
    assert Query.build("series", StudyInstanceUID=["1.2", "1.3"]).params() == [("StudyInstanceUID", "1.2,1.3")]
    assert Query.build("instance", SeriesInstanceUID="3.4").path() == "instances"
    assert Query.build("series", StudyInstanceUID="1.2", SeriesInstanceUID="3.4").params() == [
        ("SeriesInstanceUID", "3.4")
    ]
    assert Query.build("study", StudyInstanceUID="1.2").path() == "studies"


# ------------------------------------------------------------------------------------------------ build


def _dataset() -> Dataset:
    dataset = Dataset()
    dataset.PatientName = "Doe^Jane"
    dataset.StudyDate = "20040102"
    dataset.StudyInstanceUID = "1.2"
    dataset.SeriesNumber = 4
    return dataset


@pytest.mark.parametrize(
    ("keyword", "value", "text"),
    [
        ("PatientID", "A1 ", "A1"),
        ("PatientID", 17, "17"),
        ("PatientName", _dataset().PatientName, "Doe^Jane"),
        ("StudyDate", "20040101-", "20040101-"),
        ("StudyDate", 20040101, "20040101"),
        ("StudyDate", date(2004, 1, 2), "20040102"),
        ("StudyDate", datetime(2004, 1, 2, 3), "20040102"),
        ("StudyDate", pd.Timestamp("2004-01-02"), "20040102"),
        ("StudyDate", (date(2004, 1, 2), None), "20040102-"),
        ("StudyDate", (None, "20040102"), "-20040102"),
        ("StudyDate", slice(date(2004, 1, 2), date(2004, 2, 1)), "20040102-20040201"),
        ("StudyDate", date(812, 1, 2), "08120102"),
        ("StudyTime", time(10, 30), "103000"),
        ("StudyTime", (time(10, 30, 0, 500), None), "103000.000500-"),
        ("AcquisitionDateTime", datetime(2004, 1, 2, 3, tzinfo=timezone(timedelta(hours=-5))), "20040102030000-0500"),
        ("AcquisitionDateTime", date(2004, 1, 2), "20040102"),
        ("SOPInstanceUID", ("1.2", UID("1.3"), "1.2"), "1.2,1.3"),
        ("SOPInstanceUID", pd.Series(["1.2", "1.3"]), "1.2,1.3"),
        ("SliceThickness", 2.5, "2.5"),
        ("SliceThickness", 2.0, "2"),
        ("SliceThickness", Decimal("1.25"), "1.25"),
        ("SeriesNumber", _dataset().SeriesNumber, "4"),
        ("InstanceNumber", np.int64(3), "3"),
    ],
)
def test_python_values_become_the_text_of_their_vr(keyword: str, value: object, text: str) -> None:
    """Dates, numbers, ranges and lists are written as PS3.5 and PS3.18 spell them."""
    assert Query.build("instance", **{keyword: value}).match == ((tag_of(keyword), text),)


@pytest.mark.parametrize(
    ("keyword", "value", "hint"),
    [
        ("Modalty", "CT", "did you mean Modality"),
        ("PatientID", None, "leave it out"),
        ("StudyDate", pd.NaT, "leave it out"),
        ("SliceThickness", float("nan"), "leave it out"),
        ("PatientID", ["a", "b"], "search once for each value"),
        ("PatientID", {"a": 1}, "search once for each value"),
        ("PatientID", b"a", "search once for each value"),
        ("PatientID", date(2004, 1, 1), "give its value as text"),
        ("StudyTime", date(2004, 1, 1), "give its value as text"),
        ("Modality", object(), "takes text, a number or a date"),
        ("InstanceNumber", True, "takes text, a number or a date"),
        ("StudyDate", (None, None), "give one of them"),
        ("StudyDate", ("20040101",), r"\(start, end\)"),
        ("StudyDate", ("2004-01-01", None), "YYYYMMDD"),
        ("StudyDate", slice("20040101", "20040201", 1), "without a step"),
        ("StudyDate", ("20050101", "20040101"), "earlier one first"),
        ("SOPInstanceUID", [], "empty list"),
        ("SOPInstanceUID", ["1.2", ""], "empty UID"),
        ("SOPInstanceUID", ["../../x"], "digits and dots"),
        ("RequestAttributesSequence.ScheduledProcedureStepIdd", "x", "did you mean ScheduledProcedureStepID"),
        ("PatientName.PatientID", "x", "is no sequence"),
    ],
)
def test_a_value_that_does_not_fit_says_what_to_give(keyword: str, value: object, hint: str) -> None:
    """The error comes from the client, before any request."""
    with pytest.raises(InvalidArgument, match=hint):
        Query.build("instance", **{keyword: value})


def test_an_attribute_in_a_sequence_can_be_a_python_name() -> None:
    """Two underscores stand for the dot; both ends make the same query of it."""
    query = Query.build("series", RequestAttributesSequence__ScheduledProcedureStepID="x", **{"0019XX10[A.B]": "y"})
    assert query.match == (("00400275.00400009", "x"), ("0019xx10[A.B]", "y"))
    assert query.params() == [
        ("RequestAttributesSequence.ScheduledProcedureStepID", "x"),
        ("0019xx10[A.B]", "y"),
    ]
    assert Query.parse(query.path(), query.params()) == query


def test_an_attribute_is_matched_once() -> None:
    """Keyword and tag of the same attribute are the same key."""
    with pytest.raises(InvalidArgument, match="by keyword and by tag"):
        Query.build("study", PatientID="a", **{"00100020": "b"})
    with pytest.raises(InvalidArgument, match="more than once"):
        parse("studies", "PatientID=a&00100020=b")


def test_fields_are_taken_by_keyword_tag_and_comma_list() -> None:
    """A single text is one field, or several separated by commas, and never its letters."""
    expected = ("00180050", "00280010")
    for fields in ("SliceThickness,Rows", ["SliceThickness", "00280010"], ("SliceThickness, Rows", "Rows")):
        assert Query.build("series", fields=fields).fields == expected
    with pytest.raises(InvalidArgument, match="did you mean SliceThickness"):
        Query.build("series", fields="SliceThicknes")
    with pytest.raises(InvalidArgument, match="as text"):
        Query.build("series", fields=[0x00180050])  # type: ignore[list-item]


def test_all_keeps_only_what_it_does_not_cover() -> None:
    """At series level ``all`` brings the series' own attributes; one of the instances is asked for beside it."""
    assert Query.build("series", fields=["SliceThickness", "SeriesNumber", "all"]).fields == ("all", "00180050")
    assert Query.build("instance", fields=["SliceThickness", "all"]).fields == ("all",)


@pytest.mark.parametrize("page", [{"limit": 0}, {"limit": -1}, {"offset": -1}, {"limit": "5"}, {"limit": True}])
def test_a_page_is_made_of_whole_numbers(page: dict[str, object]) -> None:
    """A page without rows would never end a paged search."""
    with pytest.raises(InvalidArgument, match="limit|offset"):
        Query.build("study", **page)  # type: ignore[arg-type]


def test_a_query_that_contradicts_itself_cannot_be_made() -> None:
    """The constructor is as strict as the two ways to it."""
    for wrong in (
        {"level": "patient"},
        {"level": "series", "series_instance_uid": "1.2"},
        {"level": "instance", "series_instance_uid": "1.2"},
        {"level": "study", "study_instance_uid": "1.2"},
        {"level": "series", "study_instance_uid": "x"},
        {"level": "study", "match": (("PatientID", "x"),)},
        {"level": "study", "match": ((PATIENT_ID, "x"), (PATIENT_ID, "y"))},
    ):
        with pytest.raises(InvalidArgument):
            Query(**wrong)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ parse


def test_parameters_are_read() -> None:
    """Keywords and tags, repeated and listed fields, the page and the switch."""
    query = parse(
        "studies",
        "PatientName=jo&00100020=A1&includefield=StudyDescription,00081010&includefield=Rows"
        "&limit=7&offset=3&fuzzymatching=TRUE",
    )
    assert query.match == ((PATIENT_NAME, "jo"), (PATIENT_ID, "A1"))
    assert query.fields == ("00081030", "00081010", "00280010")
    assert (query.limit, query.offset, query.fuzzymatching) == (7, 3, True)
    kinds = {path.tag: kind for path, kind in query.conditions()}
    assert isinstance(kinds[PATIENT_NAME], Fuzzy)
    assert kinds[PATIENT_ID] == Exact("A1")


@pytest.mark.parametrize("level", LEVELS)
def test_limits_have_defaults_and_maxima(level: Level) -> None:
    """What is above the maximum is refused, so that no page is cut silently."""
    path = Query.build(level).path()
    assert parse(path).effective_limit == DEFAULT_LIMIT[level]
    assert parse(path, f"limit={MAX_LIMIT[level]}").effective_limit == MAX_LIMIT[level]
    with pytest.raises(InvalidArgument, match=f"limit must be a whole number from 1 to {MAX_LIMIT[level]}"):
        parse(path, f"limit={MAX_LIMIT[level] + 1}")


@pytest.mark.parametrize(
    "args",
    [
        "offset=1000001",
        "offset=-1",
        "offset=",
        "limit=0",
        "limit=%2B5",
        "limit=5.0",
        "limit=５",
        "limit=" + "9" * 5000,
        "limit=5&limit=5",
        "fuzzymatching=yes",
        "fuzzymatching=true&fuzzymatching=true",
        "=x",
        "orderby=PatientID",
        "StudyDate=2004",
        "includefield=nope",
    ],
)
@pytest.mark.parametrize("mode", ["friendly", "google"])
def test_malformed_parameters_are_refused(args: str, mode: str) -> None:
    """400 and not a guess."""
    with pytest.raises(InvalidArgument):
        parse("studies", args, mode)


def test_parameters_of_every_google_method_say_nothing_about_the_search() -> None:
    """``alt``, ``key`` and the like are ignored; so are the header parameters of PS3.18 where it is followed."""
    assert parse("studies", "alt=json&key=x&prettyPrint=false&fields=a&%24.xgafv=2", "google") == parse("studies")
    assert parse("studies", "accept=application/dicom%2Bjson&charset=utf-8") == parse("studies")


@pytest.mark.parametrize(
    ("path", "args", "message"),
    [
        ("instances", "SOPClassUID=1.2", "SOPClassUID is not a supported instance attribute"),
        ("studies", "Modality=CT", "Modality is not a supported study attribute"),
        ("series", "00080018=1.2", "SOPInstanceUID is not a supported series attribute"),
        ("studies", "00091001=x", "00091001 is not a supported study attribute"),
        ("studies", "Modalty=CT", "unknown/unsupported QIDO attribute: Modalty"),
        (
            "instances",
            "includefield=AvailableTransferSyntaxUID",
            "unknown/unsupported QIDO attribute: AvailableTransferSyntaxUID",
        ),
        ("studies", "includefield=SliceThickness", "unknown/unsupported QIDO attribute: SliceThickness"),
        ("series", "includefield=nope", "unknown/unsupported QIDO attribute: nope"),
    ],
)
def test_google_mode_refuses_with_googles_words(path: str, args: str, message: str) -> None:
    """Clients in the wild look for these very texts to work around a refusal."""
    with pytest.raises(InvalidArgument) as caught:
        parse(path, args, "google")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("level", LEVELS)
def test_google_mode_takes_what_the_conformance_statement_lists(level: Level) -> None:
    """Every searchable attribute passes, and every attribute of an instance can be included there."""
    path = Query.build(level).path()
    for keyword in SEARCHABLE[level]:
        value = "20040101-20041231" if keyword == "StudyDate" else "1.2"
        assert parse(path, f"{keyword}={value}", "google").match == ((tag_of(keyword), value),)
    assert parse("instances", "includefield=SliceThickness,00091001,60020010", "google").fields
    assert parse("series", "includefield=StudyDescription,Laterality,all", "google").fields == ("all",)


def test_friendly_mode_takes_any_attribute() -> None:
    """Match keys and fields that Google refuses."""
    nested = "RequestAttributesSequence.ScheduledProcedureStepID=x&0019xx20%5BACME 1.2%5D=y"
    query = parse(
        "studies", f"ModalitiesInStudy=CT&SliceThickness=2&StudyTime=10-11&00091001=x&{nested}&includefield=Rows"
    )
    assert len(query.match) == 6
    assert query.match[-2:] == (("00400275.00400009", "x"), ("0019xx20[ACME 1.2]", "y"))
    assert {path.tag: kind for path, kind in query.conditions()}[tag_of("StudyTime")] == Between(
        "TM", "10", "115959.999999"
    )


class RecordingAdapter(HTTPAdapter):
    """Answers every request with 204 and keeps its URL."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def send(self, request: requests.PreparedRequest, *args: object, **kwargs: object) -> requests.Response:
        self.urls.append(request.url or "")
        response = requests.Response()
        response.status_code, response.request, response._content = 204, request, b""
        return response


def test_the_parameters_of_dicomweb_client_are_read() -> None:
    """The unmodified client of another house writes searches that we understand."""
    adapter = RecordingAdapter()
    session = requests.Session()
    session.mount("http://", adapter)
    client = DICOMwebClient("http://dicomkit.invalid/dicomWeb", session=session)
    client.search_for_instances(
        study_instance_uid="1.2",
        fields=["SliceThickness", "00280010"],
        search_filters={"Modality": "CT", "00100010": "Doe^*"},
        limit=5,
        offset=10,
        fuzzymatching=True,
    )
    path, _, args = adapter.urls[0].removeprefix("http://dicomkit.invalid/dicomWeb/").partition("?")
    query = parse(path, args)
    assert (query.path(), query.limit, query.offset, query.fuzzymatching) == ("studies/1.2/instances", 5, 10, True)
    assert dict(query.match) == {MODALITY: "CT", PATIENT_NAME: "Doe^*"}
    assert set(query.fields) == {"00180050", "00280010"}
