"""PS3.15 table E.1-1 as vendored."""

from __future__ import annotations

from collections import Counter

import pytest

from dicomkit.deid.ps315_2026c import ACTIONS, EDITION
from dicomkit.deid.rules import table_action
from dicomkit.dicom.dictionary import tag_of


def test_each_attribute_has_one_action() -> None:
    """652 rows with a tag of their own, none twice, tags as everywhere in dicomkit."""
    tags = [tag for listed in ACTIONS.values() for tag in listed.split()]
    assert (EDITION, len(tags)) == ("2026c", 652)
    assert max(Counter(tags).values()) == 1
    assert all(len(tag) == 8 and tag == tag.upper() and int(tag, 16) for tag in tags)


@pytest.mark.parametrize(
    ("keyword", "action"),
    [
        ("AccessionNumber", "Z"),
        ("PatientName", "Z"),
        ("PatientBirthDate", "Z"),
        ("ContentSequence", "D"),
        ("EncapsulatedDocument", "D"),
        ("StudyInstanceUID", "U"),
        ("FrameOfReferenceUID", "U"),
        ("PatientAddress", "X"),
        ("ReferencedImageSequence", "X/Z/U*"),
        ("OverlayData", "X"),
        ("Modality", None),
    ],
)
def test_rows_known_by_heart(keyword: str, action: str | None) -> None:
    """Rows of the table as the standard prints them."""
    assert table_action(tag_of(keyword)) == action


def test_private_and_curves_are_rows_of_it() -> None:
    """Odd groups and 50xx are removed as a whole."""
    assert table_action("00091001") == table_action("50020010") == "X"
