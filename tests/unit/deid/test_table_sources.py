"""PS3.15 table E.1-1 against two packages that others keep, and the rules against the table (check C40)."""

from __future__ import annotations

from dcm_anon.phi_table import PHI_TAGS
from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c

from dicomkit.deid.ps315_2026c import ACTIONS
from dicomkit.deid.rules import Rules, table_action
from dicomkit.deid.text import Transformations
from dicomkit.dicom.dictionary import keyword_of, vr_of
from dicomkit.resources.deidentify_config import DicomConfig

RULES = Rules(
    DicomConfig(filter_profile="ATTRIBUTE_CONFIDENTIALITY_BASIC_PROFILE"), Transformations(None, b"sixteen bytes...")
)
LISTS = {
    **{"D": "D_TAGS", "U": "U_TAGS", "X": "X_TAGS", "Z": "Z_TAGS", "X/D": "X_D_TAGS", "X/Z": "X_Z_TAGS"},
    **{"X/Z/D": "X_Z_D_TAGS", "Z/D": "Z_D_TAGS", "X/Z/U*": "X_Z_U_STAR_TAGS"},
}
"""Action code of the table -> its list in dicom-anonymizer."""

MEANING = {
    **{"X": {"remove"}, "Z": {"empty"}, "D": {"replace"}, "U": {"remap"}, "X/Z": {"empty"}},
    **{"X/D": {"replace"}, "Z/D": {"replace"}, "X/Z/D": {"replace"}, "X/Z/U*": {"keep"}},
}
"""Action code -> what the rules make of it: of alternatives the one that suits every type of an attribute."""

EXPLAINED = {
    "StudyDate": "type 2: the standard empties it, and dcm-anonymizer removes it",
    "StudyTime": "as StudyDate",
    "PersonName": "a content item cannot be without it: the standard gives it a dummy value, as we do",
    "ContentCreatorName": "as PersonName",
    "ReferencedSeriesSequence": "in no row of the table: its UIDs are mapped, which keeps the references",
    "PatientDeathDateInAlternativeCalendar": "in no row of the table, removed here as well",
    "PatientAlternativeCalendar": "names a calendar and no day; in no row of the table",
    "ImagePosition": "retired, numbers only; in no row of the table",
    "OtherStudyNumbers": "retired, one number; in no row of the table",
}
"""Attributes for which dcm-anonymizer has another action than the table, and why that is no error here."""


def _tag(tag: tuple[int, ...]) -> str:
    return f"{tag[0]:04X}{tag[1]:04X}"


def test_table_is_that_of_dicom_anonymizer() -> None:
    """The vendored copy, row by row, is what the package has today for the edition; ranges of tags have rules."""
    theirs = {
        _tag(tag): code for code, name in LISTS.items() for tag in getattr(dicomfields_2026c, name) if len(tag) == 2
    }
    ours = {tag: code for code, tags in ACTIONS.items() for tag in tags.split()}
    assert ours == theirs


def test_ranges_are_those_of_dicom_anonymizer() -> None:
    """Curves, overlay data, overlay comments and private attributes: the rows that have no single tag."""
    names = [name for name in dir(dicomfields_2026c) if name.endswith("_TAGS") and name != "ALL_TAGS"]
    ranges = {tag: name for name in names for tag in getattr(dicomfields_2026c, name) if len(tag) != 2}
    assert set(ranges.values()) == {"X_TAGS"}
    assert {tag[:2] for tag in ranges} <= {(0x5000, 0), (0x6000, 0x3000), (0x6000, 0x4000)}
    for tag in ("50020010", "60023000", "60204000", "00091001"):
        assert table_action(tag) == "X"


def test_differences_to_dcm_anonymizer_are_the_explained_ones() -> None:
    """For each attribute that an independent list names: the same action, or one that the table allows as well."""
    differing = {}
    for pair, action in PHI_TAGS.items():
        tag = _tag(pair)
        if action.name not in (table_action(tag) or "").split("/"):
            differing[keyword_of(tag) or tag] = action.name
    assert differing.keys() == EXPLAINED.keys()


def test_rules_do_what_the_table_says() -> None:
    """Each row, for an attribute of the dictionary's own VR; the exceptions are within it, or more than it asks for."""
    stricter = {
        "PatientID": "replace",  # Z: a pseudonym, so that patients stay apart
        "ReferencedStudySequence": "remove",  # X/Z: an optional sequence has items or is not there
        "AnnotationGroupUID": "remap",  # D: a new UID is a dummy that stays consistent
    }
    wrong = []
    for code, tags in ACTIONS.items():
        for tag in tags.split():
            vr = (vr_of(tag) or "UN").partition(" or ")[0]
            action = RULES.decide(tag, vr).action
            if action not in MEANING[code] and action != stricter.get(keyword_of(tag) or ""):
                wrong.append((tag, keyword_of(tag), code, action))
    assert wrong == []
