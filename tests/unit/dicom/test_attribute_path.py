"""Attributes by themselves, in sequences and in private blocks."""

from __future__ import annotations

import pytest

from dicomkit.dicom.attribute_path import MAX_STEPS, AttributePath
from dicomkit.errors import InvalidArgument

CREATOR = "ACME 1.2 [x"


@pytest.mark.parametrize(
    ("text", "canonical", "label", "vr"),
    [
        ("PatientID", "00100020", "PatientID", "LO"),
        ("0010001f", "0010001F", "0010001F", ""),
        ("00400275.ScheduledProcedureStepID", "00400275.00400009", None, "SH"),
        ("0019XX2a[GEMS_ACQU_01]", "0019xx2A[GEMS_ACQU_01]", None, "DS"),
        ("0019xx02[a.b.c].00100020", "0019xx02[a.b.c].00100020", "0019xx02[a.b.c].PatientID", "LO"),
    ],
)
def test_paths_have_one_form(text: str, canonical: str, label: str | None, vr: str) -> None:
    """Hex digits in upper case; a label of keywords that is read as the same path."""
    path = AttributePath.parse(text)
    assert str(path) == canonical
    assert label is None or path.label == label
    assert path.vr == vr
    assert AttributePath.parse(str(path)) == AttributePath.parse(path.label) == path


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "PatientID.", ".PatientID", "PatientID..PatientName", "PatientID.PatientName", "Nothing"),
        *("0019xx20[]", "0019xx20", "0019xx20[A]x", "0018xx20[A]", "0019xx20[A", "PixelData.Rows", "0019xx2[A]"),
        ".".join(["ContentSequence"] * (MAX_STEPS + 1)),
        "a" * 100_000,
    ],
)
def test_what_names_no_attribute_is_refused(text: str) -> None:
    """Before anything is searched."""
    with pytest.raises(InvalidArgument):
        AttributePath.parse(text)


def test_each_item_gives_its_attribute() -> None:
    """Items without it give nothing, and what is no sequence has none."""
    item = {"00400009": {"vr": "SH", "Value": ["a"]}}
    elements = {"00400275": {"vr": "SQ", "Value": [item, {}, item]}, "00400555": {"vr": "UN"}}
    path = AttributePath.parse("RequestAttributesSequence.ScheduledProcedureStepID")
    assert [found["Value"] for found in path.find(elements)] == [["a"], ["a"]]
    assert list(AttributePath.parse("AcquisitionContextSequence.PatientID").find(elements)) == []
    assert list(path.find({})) == []


def test_a_private_attribute_is_found_in_its_creators_block() -> None:
    """Whatever number the block has; another creator's element of the same number is another (PS3.5 7.8.1)."""
    elements = {
        "00190010": {"vr": "LO", "Value": ["OTHER"]},
        "00190011": {"vr": "LO", "Value": ["ACME"]},
        "00191002": {"vr": "LO", "Value": ["theirs"]},
        "00191102": {"vr": "LO", "Value": ["ours"]},
    }
    assert [e["Value"] for e in AttributePath.parse("0019xx02[ACME]").find(elements)] == [["ours"]]
    assert list(AttributePath.parse("0019xx03[ACME]").find(elements)) == []
    assert list(AttributePath.parse("0021xx02[ACME]").find(elements)) == []
