"""Names of downloaded files, from the pattern to the path."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomkit.client.layout import DEFAULT_LAYOUT, NAME_BYTES, Layout
from dicomkit.dicom.dictionary import tag_of
from dicomkit.errors import InvalidArgument


def row(**values: object) -> dict[str, object]:
    """Attributes by keyword in the DICOM JSON model."""
    return {tag_of(name): {"vr": "LO", "Value": [value]} for name, value in values.items()}


UIDS = row(StudyInstanceUID="1.2", SeriesInstanceUID="1.3", SOPInstanceUID="1.4")


def test_default_is_made_of_uids() -> None:
    """No other attribute has to be asked for."""
    layout = Layout.parse(DEFAULT_LAYOUT)
    assert layout.fields == ()
    assert layout.path(UIDS) == PurePosixPath("1.2/1.3/1.4.dcm")


@pytest.mark.parametrize(
    ("layout", "path"),
    [
        ("{SOPInstanceUID}", "1.4"),
        ("flat-{StudyInstanceUID}-{SOPInstanceUID}.dcm", "flat-1.2-1.4.dcm"),
        ("{{x}}/{0020000D}.dcm", "{x}/1.2.dcm"),
        ("a b/{PatientID}.dcm", "a b/P 1.dcm"),
        ("{SeriesDescription}.dcm", "unknown.dcm"),
    ],
)
def test_pattern_is_filled_in(layout: str, path: str) -> None:
    """Keywords and tags; text stays as it is, and what has no value is unknown."""
    assert str(Layout.parse(layout).path({**UIDS, **row(PatientID=" P 1 ")})) == path


@pytest.mark.parametrize(
    ("layout", "why"),
    [
        ("", "without empty parts"),
        ("/etc/{SOPInstanceUID}", "without empty parts"),
        ("../{SOPInstanceUID}", "without empty parts"),
        ("a/../{SOPInstanceUID}", "without empty parts"),
        ("{PatientID}/", "without empty parts"),
        ("a//b", "without empty parts"),
        (" /b", "without empty parts"),
        ("a\\{SOPInstanceUID}", "a character"),
        ("C:{SOPInstanceUID}", "a character"),
        ("a\0b", "a character"),
        ("{PatientNmae}.dcm", "PatientName"),
        ("{}.dcm", "no DICOM attribute"),
        ("{0}.dcm", "no DICOM attribute"),
        ("{PatientName.__class__}.dcm", "no DICOM attribute"),
        ("{PatientName!r}", "nothing behind it"),
        ("{PatientID:>10}", "nothing behind it"),
        ("{PatientID", "a brace"),
        ("PatientID}", "a brace"),
        ("{PixelData}", "binary data"),
        ("{RequestAttributesSequence}", "a sequence"),
    ],
)
def test_pattern_that_is_none_is_refused(layout: str, why: str) -> None:
    """With what is wrong with it."""
    with pytest.raises(InvalidArgument, match=why):
        Layout.parse(layout)


@given(st.text(max_size=400), st.text(max_size=400))
def test_no_value_leads_out_of_its_place(first: str, second: str) -> None:
    """Whatever it is: as many components as the pattern has, none of them hidden, a device, too long or a way up."""
    path = Layout.parse("{PatientName}/{PatientID}{StudyID}/{SOPInstanceUID}.dcm").path(
        {**UIDS, **row(PatientName=first, PatientID=second, StudyID=first)}
    )
    assert len(path.parts) == 3
    assert not path.is_absolute()
    assert path.name == "1.4.dcm"
    for part in path.parts:
        assert part not in ("", ".", "..")
        assert part[0] not in ".~ "
        assert part[-1] not in ". "
        assert not set(part) & set('/\\:*?"<>|\0\n\r\t')
        assert len(part.encode()) <= NAME_BYTES
        assert part.partition(".")[0].upper() not in ("CON", "NUL", "COM1")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("CON", "_CON.dcm"),
        ("nul.txt", "_nul.txt.dcm"),
        (".ssh", "_ssh.dcm"),
        ("~root", "_root.dcm"),
        ("a/b", "a_b.dcm"),
        ("Ångström", "Ångström.dcm"),
        ("x" * 100, "x" * 64 + ".dcm"),
    ],
)
def test_value_becomes_a_part_of_a_name(value: str, name: str) -> None:
    """What a file system gives a meaning loses it."""
    assert str(Layout.parse("{PatientID}.dcm").path(row(PatientID=value))) == name


def test_long_names_keep_their_suffix() -> None:
    """Several values of characters of four bytes."""
    layout = Layout.parse("{PatientID}{PatientName}.dcm")
    name = str(layout.path(row(PatientID="\U00020000" * 64, PatientName="\U00020000" * 64)))
    assert name.endswith(".dcm")
    assert len(name.encode()) <= NAME_BYTES
