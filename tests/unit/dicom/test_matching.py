"""Match values as conditions: what each VR takes, and what a stored value must be to match."""

from __future__ import annotations

import re
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomkit.dicom.attribute_path import AttributePath
from dicomkit.dicom.matching import (
    MAX_UIDS,
    MAX_VALUE,
    Anything,
    Between,
    Condition,
    Exact,
    Fuzzy,
    Mode,
    Number,
    OneOf,
    Wildcard,
    condition,
    fold_name,
    matches,
    name_text,
    stored_texts,
)
from dicomkit.dicom.wildcards import escape_glob, glob_match, to_glob
from dicomkit.errors import InvalidArgument

NAME = {"vr": "PN", "Value": [{"Alphabetic": "Doe^John", "Ideographic": "山田^太郎"}]}


def wanted(keyword: str, value: str, mode: Mode = "friendly", *, fuzzy: bool = False) -> Condition:
    return condition(AttributePath.parse(keyword), value, mode=mode, fuzzymatching=fuzzy)


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("PatientID", "A1", Exact("A1")),
        ("PatientID", " A1 ", Exact("A1")),
        ("PatientID", "A*", Wildcard("A*")),
        ("PatientID", "A[1]?", Wildcard("A[[]1]?")),
        ("PatientID", "", Anything()),
        ("PatientID", "**", Anything()),
        ("PatientName", "Doe^John^^", Exact("Doe^John")),
        ("PatientName", "DÖ*", Wildcard("do*", folded=True)),
        ("StudyDate", "20040101", Exact("20040101")),
        ("StudyDate", "20040101-", Between("DA", "20040101", "99991231")),
        ("StudyTime", "10", Between("TM", "10", "105959.999999")),
        ("StudyInstanceUID", "1.2", Exact("1.2")),
        ("StudyInstanceUID", "1.2,1.3,1.2", OneOf(("1.2", "1.3"))),
        ("StudyInstanceUID", r"1.2\1.3", OneOf(("1.2", "1.3"))),
        ("InstanceNumber", "007", Number(7)),
        ("SliceThickness", "2.50", Number(2.5)),
        ("PatientAge", "018Y", Exact("018Y")),
        ("FrameIncrementPointer", "0018106a", Exact("0018106A")),
        ("SmallestImagePixelValue", "-4", Number(-4)),
    ],
)
def test_the_vr_decides_how_a_value_matches(keyword: str, value: str, expected: Condition) -> None:
    """PS3.4 C.2.2.2: wildcards for text, ranges for dates and times, lists for UIDs, numbers by value."""
    assert wanted(keyword, value) == expected


@pytest.mark.parametrize(
    ("keyword", "value", "hint"),
    [
        ("StudyDate", "2004-01-01", "YYYYMMDD"),
        ("StudyDate", "20050101-20040101", "earlier one first"),
        ("StudyTime", "25", "HHMMSS"),
        ("StudyInstanceUID", "1.2*", "wildcards do not apply"),
        ("StudyInstanceUID", "1.2,,1.3", "separated by commas"),
        ("InstanceNumber", "first", "number"),
        ("InstanceNumber", "1-5", "number"),
        ("InstanceNumber", "nan", "number"),
        ("RequestAttributesSequence", "x", "sequence"),
        ("PixelData", "x", "binary"),
        ("PatientID", "a\x00b", "control"),
        ("PatientID", "a\udc80", "control"),
        ("PatientID", "x" * (MAX_VALUE + 1), "shorten"),
    ],
)
def test_a_value_that_cannot_match_is_refused_with_a_remedy(keyword: str, value: str, hint: str) -> None:
    """The message says what the attribute takes, and never the value."""
    with pytest.raises(InvalidArgument, match=hint) as caught:
        wanted(keyword, value)
    assert keyword in str(caught.value)
    assert value not in str(caught.value) or len(value) < 3


def test_too_many_uids_and_words_are_refused() -> None:
    """Both become SQL parameters, whose number is limited."""
    with pytest.raises(InvalidArgument, match="portions"):
        wanted("StudyInstanceUID", ",".join(f"1.{n}" for n in range(MAX_UIDS + 1)))
    with pytest.raises(InvalidArgument, match="words"):
        wanted("PatientName", " ".join(f"w{n}" for n in range(40)), fuzzy=True)


@pytest.mark.parametrize("value", ["A*", "A?", "*", "1.2,1.3", r"1.2\1.3"])
@pytest.mark.parametrize("keyword", ["PatientID", "PatientName", "StudyInstanceUID", "Modality"])
def test_google_takes_wildcards_and_lists_literally(keyword: str, value: str) -> None:
    """They are no error there; nothing is found."""
    assert wanted(keyword, value, "google") == Exact(value)


def test_google_knows_ranges_of_the_study_date_only() -> None:
    """The conformance statement names no other range."""
    assert wanted("StudyDate", "20040101-", "google") == Between("DA", "20040101", "99991231")
    with pytest.raises(InvalidArgument, match="YYYYMMDD"):
        wanted("StudyDate", "*", "google")


@pytest.mark.parametrize(
    ("query", "found"),
    [("jo", True), ("Do", True), ("John Doe", True), ("ohn", False), ("Doe^John", True), ("smith john", True)],
)
@pytest.mark.parametrize("mode", ["friendly", "google"])
def test_fuzzy_matching_finds_what_the_conformance_statement_says(query: str, found: bool, mode: Mode) -> None:
    """Its own examples for ``John^Doe``: any word of the query begins any word of the name."""
    asked = wanted("PatientName", query, mode, fuzzy=True)
    assert isinstance(asked, Fuzzy)
    assert asked.test("John^Doe") is found
    assert matches(asked, NAME) is found


def test_fuzzy_matching_concerns_the_patient_name_only() -> None:
    """Other names and other texts match as without it."""
    assert wanted("ReferringPhysicianName", "doe", fuzzy=True) == Exact("doe")
    assert wanted("PatientID", "doe", fuzzy=True) == Exact("doe")


def test_fuzzy_matching_takes_wildcards_in_friendly_mode_only() -> None:
    """Viewers send both; a literal asterisk is what Google makes of it."""
    assert wanted("PatientName", "*oh*", fuzzy=True).test("Doe^John")
    assert not wanted("PatientName", "*oh*", "google", fuzzy=True).test("Doe^John")
    assert wanted("PatientName", "a*b", "google", fuzzy=True).test("A*bc")


def test_names_fold_case_and_diacritics() -> None:
    """The same letters with and without their marks are one name; marks that make other letters stay."""
    assert fold_name("MÜLLER^JOSÉ") == "muller^jose"
    assert fold_name("Straße") == "strasse"
    assert fold_name("İ") == "i"
    assert fold_name("が") != fold_name("か")


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    """The stored name and the query meet in one form."""
    assert fold_name(fold_name(text)) == fold_name(text)


def test_wildcards_are_case_sensitive_except_in_names() -> None:
    """PS3.4 C.2.2.2.4."""
    assert not wanted("PatientID", "a*").test("A1")
    assert wanted("PatientName", "doe*").test("DOE^JANE")


def test_a_name_is_found_by_each_of_its_component_groups() -> None:
    """A query in kanji finds the patient whose Latin name stands first."""
    assert matches(wanted("PatientName", "山田^太郎"), NAME)
    assert matches(wanted("PatientName", "Doe^John"), NAME)
    assert matches(wanted("PatientName", "山田*"), NAME)
    assert not matches(wanted("PatientName", "Doe"), NAME)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Doe^John^^^", "Doe^John"),
        ("Doe^John==", "Doe^John"),
        ("Doe^John ", "Doe^John"),
        ({"Alphabetic": "Doe^John^", "Phonetic": "ドウ"}, "Doe^John==ドウ"),
        ({}, ""),
    ],
)
def test_empty_ends_of_names_do_not_count(name: str | dict[str, str], text: str) -> None:
    """PS3.5 section 6.2.1: trailing delimiters may be left out."""
    assert name_text(name) == text


def test_any_of_several_values_matches() -> None:
    """PS3.4 C.2.2.2.1: one equal value of a multi-valued attribute is enough."""
    kinds = {"vr": "CS", "Value": ["ORIGINAL", None, "PRIMARY"]}
    assert matches(wanted("ImageType", "PRIMARY"), kinds)
    assert stored_texts(kinds) == ["ORIGINAL", "PRIMARY"]


def test_numbers_match_by_value() -> None:
    """IS and DS are texts in one place and numbers in another; both are the same number."""
    for stored in ("1", "01", "1.0", 1, 1.0, " 1 "):
        assert matches(wanted("InstanceNumber", "1"), {"vr": "IS", "Value": [stored]})
    assert not matches(wanted("InstanceNumber", "1"), {"vr": "IS", "Value": ["x"]})
    assert not wanted("InstanceNumber", str(2**63 - 1)).test(str(2**63 - 2))


def test_any_number_can_be_bound_in_sqlite(sqlite: sqlite3.Connection) -> None:
    """An integer beyond 64 bits is no reason for an internal error."""
    for text in (str(2**63 - 1), str(-(2**63)), str(2**64), "9" * 64, "1e999", "-.5"):
        asked = wanted("InstanceNumber", text)
        assert isinstance(asked, Number)
        assert asked.test(text)
        assert sqlite.execute("SELECT ? = ?", (asked.value, asked.value)).fetchone() == (1,)


@pytest.mark.parametrize("absent", [None, {"vr": "LO"}, {"vr": "LO", "Value": []}])
def test_an_absent_value_meets_only_universal_matching(absent: dict[str, object] | None) -> None:
    """PS3.4 C.2.2.2.3."""
    assert matches(wanted("PatientID", ""), absent)
    assert not matches(wanted("PatientID", "a*"), absent)
    assert not matches(wanted("PatientID", "?"), absent)


def test_garbage_is_not_within_an_open_range() -> None:
    """A date that is no date does not turn up in every search since 2004."""
    since, until = wanted("StudyDate", "20040101-"), wanted("StudyDate", "-20040101")
    for stored in ("unknown", "", "-", " "):
        assert not since.test(stored)
        assert not until.test(stored)


def test_private_attributes_match_as_text() -> None:
    """Their VR is not known from the tag."""
    assert condition(AttributePath.parse("00091001"), "x*") == Wildcard("x*")
    assert condition(AttributePath.parse("00091001"), "x") == Exact("x")


# ------------------------------------------------------------------------------------------------ wildcards

PATTERNS = st.text(alphabet="ab*?[]^-.\\é\n", max_size=8)
TEXTS = st.text(alphabet="ab*?[]^-.\\é\n", max_size=12)


@pytest.fixture(scope="module")
def sqlite():
    connection = sqlite3.connect(":memory:")
    yield connection
    connection.close()


@given(pattern=PATTERNS, text=TEXTS)
def test_a_wildcard_means_the_same_in_python_and_sqlite(sqlite: sqlite3.Connection, pattern: str, text: str) -> None:
    """The oracles are SQLite's GLOB and a regular expression that says what PS3.4 says."""
    glob = to_glob(pattern)
    said = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    expected = re.fullmatch(said, text, re.DOTALL) is not None
    assert glob_match(glob, text) is expected
    assert bool(sqlite.execute("SELECT ? GLOB ?", (text, glob)).fetchone()[0]) is expected


@given(wanted_text=TEXTS, text=TEXTS)
def test_an_escaped_text_matches_only_itself(sqlite: sqlite3.Connection, wanted_text: str, text: str) -> None:
    """No character of a value is a wildcard once it is escaped."""
    glob = escape_glob(wanted_text)
    assert glob_match(glob, wanted_text)
    assert glob_match(glob, text) is (text == wanted_text)
    assert bool(sqlite.execute("SELECT ? GLOB ?", (text, glob)).fetchone()[0]) is (text == wanted_text)


@given(query=st.text(alphabet="jo ^=é*?[", max_size=6), name=st.text(alphabet="jo ^=é[", max_size=10))
def test_a_fuzzy_name_means_the_same_in_python_and_sqlite(sqlite: sqlite3.Connection, query: str, name: str) -> None:
    """The patterns that the engine binds are those that Python applies."""
    asked = wanted("PatientName", query, "google", fuzzy=True)
    if not isinstance(asked, Fuzzy):
        return
    folded = fold_name(name)
    words = [word for word in re.split("[ ^=]+", folded) if word]
    expected = any(word.startswith(q) for q in re.split("[ ^=]+", fold_name(query)) if q for word in words)
    said = any(sqlite.execute("SELECT ? GLOB ?", (folded, glob)).fetchone()[0] for glob in asked.globs)
    assert asked.test(name) is said is expected


@pytest.mark.parametrize("pattern", ["*a*a*a*a*a*a*a*a*b", "*" + "a*" * 500 + "b", "*" + "a?" * 500 + "b", "*" * 1000])
@pytest.mark.timeout(30)
def test_hostile_wildcards_end(sqlite: sqlite3.Connection, pattern: str) -> None:
    """Stars that make a backtracking expression run for minutes end at once, in Python and in SQLite."""
    text, glob = "a" * 10_240, to_glob(pattern)
    assert glob_match(glob, text) is (glob == "*")
    sqlite.execute("SELECT ? GLOB ?", (text, glob)).fetchone()
