"""Searches: all three levels, at every path, whole and typed."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pydicom
import pytest

import dicomkit as dk
from dicomkit.errors import InvalidArgument, NotFound
from dicomkit.frames import INSTANCES, SERIES, STUDIES
from tests.conftest import DEPLOYMENTS, Loaded, deployed
from tests.contract.instances import ROOT, ct_files, ct_slice

TABLES = {"study": STUDIES, "series": SERIES, "instance": INSTANCES}


@pytest.fixture(scope="module", params=DEPLOYMENTS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dk.Store]:
    """Three studies of two series of four slices; the third study is an MR without a date."""
    folder = tmp_path_factory.mktemp("search")
    with deployed(request.param, folder / "home") as dataset:
        store = dataset.create_store("ct")
        ct_files(folder / "in", studies=2, series=2, instances=4)
        store.upload(folder / "in")
        store.upload(
            ct_slice(3, e, i, Modality="MR", StudyDate="", PatientName="Müller^Jörg=山田^太郎", StudyDescription="Kopf")
            for e in (1, 2)
            for i in (1, 2, 3, 4)
        )
        yield store


def search(store: dk.Store, level: str, **arguments: object) -> pd.DataFrame:
    """The search of this level."""
    verb = {"study": store.search_studies, "series": store.search_series, "instance": store.search_instances}[level]
    return verb(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("level", "count"), [("study", 3), ("series", 6), ("instance", 24)])
def test_search_without_arguments_finds_everything(store: dk.Store, level: str, count: int) -> None:
    """One row each, unique by their UIDs, and complete."""
    frame = search(store, level)
    assert len(frame) == count
    uids = [column.name for column in TABLES[level][: {"study": 1, "series": 2, "instance": 3}[level]]]
    assert not frame.duplicated(uids).any()
    assert frame.attrs["complete"] is True


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_columns_and_types_do_not_depend_on_the_matches(store: dk.Store, level: str) -> None:
    """Everything, a part and nothing: the same columns and dtypes, those of the table."""
    want = {column.name: column.dtype for column in TABLES[level]}
    for match in ({}, {"Modality": "MR"} if level != "study" else {"PatientID": "P3"}, {"PatientID": "nobody"}):
        frame = search(store, level, **match)
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == want


@pytest.mark.parametrize(
    ("level", "match", "path", "count"),
    [
        ("study", {}, "studies", 3),
        ("study", {"StudyInstanceUID": f"{ROOT}.1"}, "studies", 1),
        ("series", {}, "series", 6),
        ("series", {"StudyInstanceUID": f"{ROOT}.1"}, f"studies/{ROOT}.1/series", 2),
        ("instance", {}, "instances", 24),
        ("instance", {"StudyInstanceUID": f"{ROOT}.1"}, f"studies/{ROOT}.1/instances", 8),
        (
            "instance",
            {"StudyInstanceUID": f"{ROOT}.1", "SeriesInstanceUID": f"{ROOT}.1.2"},
            f"studies/{ROOT}.1/series/{ROOT}.1.2/instances",
            4,
        ),
        ("instance", {"SeriesInstanceUID": f"{ROOT}.1.2"}, "instances", 4),
    ],
)
def test_every_path_finds_what_the_frame_has(
    store: dk.Store, level: str, match: dict[str, str], path: str, count: int
) -> None:
    """The six searches of the API, asked plainly over the session, and the same search as a frame."""
    uids = {"study": "0020000D", "series": "0020000E", "instance": "00080018"}
    keyword = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID", "instance": "SOPInstanceUID"}[level]
    params = {name: value for name, value in match.items() if value not in path}
    answer = store._rest.session.get(f"{store.dicomweb_url}/{path}", params={**params, "limit": "5000"})
    assert answer.status_code == 200
    found = {row[uids[level]]["Value"][0] for row in answer.json()}
    frame = search(store, level, **match)
    assert len(frame) == count
    assert set(frame[keyword]) == found


def test_search_below_a_study_has_the_attributes_of_the_study(store: dk.Store) -> None:
    """The columns of the levels above are filled whatever the match keys are."""
    frame = store.search_instances(StudyInstanceUID=f"{ROOT}.1", SeriesInstanceUID=f"{ROOT}.1.1")
    assert set(frame["PatientID"]) == {"P1"}
    assert set(frame["Modality"]) == {"CT"}
    assert set(frame["StudyInstanceUID"]) == {f"{ROOT}.1"}
    assert set(frame["SeriesInstanceUID"]) == {f"{ROOT}.1.1"}


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_page_size_changes_nothing(store: dk.Store, level: str) -> None:
    """Paged one by one, by a size that divides the count, by one that does not, and at once."""
    whole = search(store, level)
    for size in (1, 2, 3, 5, 24, 1000):
        paged = search(store, level, page_size=size)
        pd.testing.assert_frame_equal(paged, whole)
        assert paged.attrs["complete"] is True


@pytest.mark.parametrize("page_size", [1, 2, 7, None])
def test_limit_is_kept_and_told(store: dk.Store, page_size: int | None) -> None:
    """A frame that a limit cut says so; one that it did not cut, even just so, is complete."""
    for limit, count, complete in ((1, 1, False), (23, 23, False), (24, 24, True), (100, 24, True)):
        frame = store.search_instances(limit=limit, page_size=page_size)
        assert len(frame) == count
        assert frame.attrs["complete"] is complete
        assert not frame["SOPInstanceUID"].duplicated().any()


def test_dates_match_exactly_by_range_and_as_python_values(store: dk.Store) -> None:
    """Text in DICOM's form, dates, and pairs of dates."""
    first = [f"{ROOT}.1"]
    both = [f"{ROOT}.1", f"{ROOT}.2"]
    for value, want in (
        ("20240101", first),
        ("20240101-", both),
        ("-20240101", first),
        ("20240101-20240102", both),
        (datetime.date(2024, 1, 1), first),
        ((datetime.date(2024, 1, 1), datetime.date(2024, 1, 31)), both),
        ((None, datetime.date(2024, 1, 1)), first),
    ):
        assert sorted(store.search_studies(StudyDate=value)["StudyInstanceUID"]) == want


def test_values_have_their_types(store: dk.Store) -> None:
    """A row of each level, value by value."""
    row = store.search_instances(SOPInstanceUID=f"{ROOT}.1.2.3", fields=["SliceThickness", "ImageType"]).iloc[0]
    assert row.StudyDate == pd.Timestamp("2024-01-01")
    assert row.StudyTime == pd.Timedelta(hours=10, minutes=30)
    assert row.InstanceNumber == 3
    assert row.Rows == 4
    assert row.SliceThickness == 2.5
    assert row.ImageType == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert row.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert row.PatientName == "Test^Patient1"


def test_person_names_keep_their_groups(store: dk.Store) -> None:
    """Alphabetic and ideographic, each reachable by component."""
    frame = store.search_studies(PatientID="P3")
    assert frame["PatientName"].tolist() == ["Müller^Jörg=山田^太郎"]
    assert dk.frames.person_name(frame["PatientName"])["FamilyName"].tolist() == ["Müller"]
    assert dk.frames.person_name(frame["PatientName"], "Ideographic")["GivenName"].tolist() == ["太郎"]


def test_empty_attribute_is_missing(store: dk.Store) -> None:
    """The third study has a StudyDate without a value."""
    assert store.search_studies(PatientID="P3")["StudyDate"].isna().tolist() == [True]


def test_extra_fields_follow_the_table(store: dk.Store) -> None:
    """By keyword or tag, one or several, and everything."""
    count = len(SERIES)
    frame = store.search_series(fields=["SeriesNumber", "00081030", "Modality"])
    assert list(frame.columns)[count:] == ["SeriesNumber", "StudyDescription"]
    assert sorted(frame["SeriesNumber"]) == [1, 1, 1, 2, 2, 2]
    assert set(frame["StudyDescription"].dropna()) == {"Kopf"}
    one = store.search_instances(fields="all", SOPInstanceUID=f"{ROOT}.3.1.1").iloc[0]
    assert one.SliceThickness == 2.5
    assert one.StudyDescription == "Kopf"
    assert one.BitsStored == 16


def test_fuzzy_name_matches_the_beginnings_of_words(store: dk.Store) -> None:
    """The API's own example: any word of the query begins any word of the name."""
    assert len(store.search_studies(PatientName="pat", fuzzymatching=True)) == 2
    assert len(store.search_studies(PatientName="pat")) == 0


def test_keyword_that_is_none_suggests_the_nearest(store: dk.Store) -> None:
    """A typing error is told before anything is sent."""
    with pytest.raises(InvalidArgument, match="Modality"):
        store.search_series(Modalty="CT")
    with pytest.raises(InvalidArgument, match="SliceThickness"):
        store.search_series(fields=["SliceThicknes"])


@pytest.mark.parametrize("arguments", [{"limit": 0}, {"limit": "all"}, {"page_size": 0}, {"page_size": 10**6}])
def test_argument_out_of_range_is_refused(store: dk.Store, arguments: dict[str, object]) -> None:
    """The message names the argument."""
    with pytest.raises(InvalidArgument, match=next(iter(arguments))):
        store.search_instances(**arguments)  # type: ignore[arg-type]


def test_hostile_values_are_only_values(store: dk.Store) -> None:
    """Text that would mean something to SQL, to a URL or to a pattern finds what it says: nothing."""
    for text in ("' OR 1=1 --", "a&limit=1", "%27", 'x"; DROP TABLE instance', "\\", "[a-z]", "P1\x00"):
        try:
            assert len(store.search_studies(PatientID=text)) == 0
        except InvalidArgument:
            assert not text.isprintable() or "\\" in text


def test_search_is_a_value_that_can_be_looked_at(store: dk.Store) -> None:
    """Nothing is sent until a page is asked for, and pages come one by one."""
    search = store.search("instance", StudyInstanceUID=f"{ROOT}.1", page_size=3)
    assert search.url.startswith(f"{store.dicomweb_url}/instances?")
    assert "limit=3" in search.url
    assert search == store.search("instance", StudyInstanceUID=f"{ROOT}.1", page_size=3)
    pages = search.pages()
    assert len(next(pages)) == 3
    assert [len(page) for page in pages] == [3, 2]


def test_search_of_a_missing_store_is_not_found(conn: dk.Dataset) -> None:
    """A store that was deleted meanwhile."""
    store = conn.create_store("gone")
    conn.delete_store("gone")
    with pytest.raises(NotFound):
        store.search_series()


def test_what_was_acknowledged_is_found_at_once(conn: dk.Dataset) -> None:
    """Read your writes, at every level."""
    store = conn.create_store("ct")
    for i in range(1, 6):
        store.upload(ct_slice(1, 1, i))
        assert len(store.search_instances()) == i
        assert len(store.search_series()) == len(store.search_studies()) == 1


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of odd files; ours, of an InstanceNumber "1A"
def test_real_files_are_found_with_the_values_that_pydicom_reads(loaded: Loaded) -> None:
    """For each file of the wheel that is stored: UIDs, patient, modality and date as pydicom has them."""
    frame = loaded.store.search_instances().set_index("SOPInstanceUID")
    assert len(frame) == len(loaded.stored)
    for row in loaded.stored.itertuples():
        found = frame.loc[row.SOPInstanceUID]
        dataset = pydicom.dcmread(Path(row.path), stop_before_pixels=True, force=True)
        assert found.StudyInstanceUID == dataset.StudyInstanceUID
        assert found.SeriesInstanceUID == dataset.SeriesInstanceUID
        for keyword in ("PatientID", "Modality", "SOPClassUID"):
            value = str(dataset.get(keyword) or "")
            assert (value == "") == bool(pd.isna(found[keyword]))
            assert value == "" or value == found[keyword]
        date = str(dataset.get("StudyDate") or "").replace(".", "")
        if len(date) == 8:
            same_study = pd.notna(found.StudyDate)
            assert same_study
            assert found.StudyDate.strftime("%Y%m%d") == date
