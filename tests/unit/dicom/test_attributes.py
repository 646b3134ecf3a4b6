"""The attribute tables of the search levels against the dictionary and the conformance statement."""

from __future__ import annotations

import pytest

from dicomkit.dicom import attributes
from dicomkit.dicom.dictionary import keyword_of, tag_of


@pytest.mark.parametrize("level", attributes.LEVELS)
def test_every_keyword_of_the_tables_is_in_the_dictionary(level: attributes.Level) -> None:
    """A misspelt keyword in a table would be an attribute that never comes."""
    keywords = [
        *attributes.DEFAULTS[level],
        *attributes.ALL_FIELDS[level],
        *attributes.SEARCHABLE[level],
        *attributes.COMPUTED[level],
    ]
    for keyword in keywords:
        assert keyword_of(tag_of(keyword)) == keyword


@pytest.mark.parametrize("level", attributes.LEVELS)
def test_each_level_returns_and_matches_its_own_uid(level: attributes.Level) -> None:
    """The unique key of a level is among its defaults and can be searched."""
    uid = attributes.UIDS[attributes.LEVELS.index(level)]
    assert uid in attributes.DEFAULTS[level]
    assert uid in attributes.SEARCHABLE[level]


def test_lower_levels_match_what_higher_levels_match() -> None:
    """A series is searched by its study's attributes, an instance by those of both."""
    assert attributes.SEARCHABLE["study"] < attributes.SEARCHABLE["series"] < attributes.SEARCHABLE["instance"]
    assert attributes.SEARCHABLE["series"] - attributes.SEARCHABLE["study"] == {"SeriesInstanceUID", "Modality"}


@pytest.mark.parametrize("keyword", ["SOPClassUID", "ModalitiesInStudy", "StudyTime", "StudyID", "SeriesNumber"])
def test_attributes_known_to_be_refused_by_google_are_not_searchable(keyword: str) -> None:
    """The service answers 400 to these although PS3.18 asks servers to match them."""
    assert all(keyword not in attributes.SEARCHABLE[level] for level in attributes.LEVELS)


def test_legal_fields_grow_with_the_level() -> None:
    """What can be included for a study can be included for its series."""
    assert attributes.legal_fields("study") < attributes.legal_fields("series") < attributes.legal_fields("instance")
    assert tag_of("StudyDescription") in attributes.legal_fields("series")
    assert tag_of("SeriesNumber") not in attributes.legal_fields("study")


def test_levels_down_to_names_the_levels_above() -> None:
    """The order is from the top."""
    assert attributes.levels_down_to("series") == ("study", "series")


def test_limits_are_those_of_the_conformance_statement() -> None:
    """Defaults 100, 100, 1000; maxima 5000, 5000, 50000; offset one million."""
    assert list(attributes.DEFAULT_LIMIT.values()) == [100, 100, 1000]
    assert list(attributes.MAX_LIMIT.values()) == [5000, 5000, 50_000]
    assert attributes.MAX_OFFSET == 1_000_000
