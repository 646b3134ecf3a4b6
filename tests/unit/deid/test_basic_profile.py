"""ATTRIBUTE_CONFIDENTIALITY_BASIC_PROFILE: nothing planted is left, and what is left is DICOM."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomkit.deid import Deidentifier
from dicomkit.dicom.reader import read_part10
from dicomkit.errors import DicomFormatError, Unimplemented
from dicomkit.resources.deidentify_config import DeidentifyConfig
from tests.unit.deid import planted
from tests.unit.deid.planted import BASIC, KEY, Marks, part10
from tests.unit.dicom.instances import WHEEL, wheel


def basic(**text: object) -> Deidentifier:
    return Deidentifier(DeidentifyConfig.from_api(BASIC | ({"text": text} if text else {}), strict=True), key=KEY)


def read(data: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(data))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("kind", ["ct", "report", "document"])
def test_no_planted_mark_is_left(kind: str, syntax: str) -> None:
    """Of marks in names, ids, text, private, nested, overlay, SR, PDF, padding, meta and preamble none is left."""
    marks = Marks()
    source = part10(getattr(planted, kind)(marks), marks, syntax)
    assert len(marks.found_in(source)) == len(marks.given) >= 11
    assert marks.found_in(basic().instance(source)) == []


def test_the_image_alone_has_more_than_28_marks() -> None:
    """The figure that is promised is one of this test's input, too."""
    marks = Marks()
    part10(planted.ct(marks), marks)
    assert len(marks.given) >= 28


def test_dates_and_birth_leave_no_trace() -> None:
    """Dates of the planted image, birth date included, are not in the bytes of the result."""
    marks = Marks()
    result = basic().instance(part10(planted.ct(marks), marks))
    assert [text for text in (b"19700102", b"20240229", b"101112") if text in result] == []


@pytest.mark.parametrize("kind", ["ct", "report", "document"])
def test_result_is_read_by_our_reader_with_new_uids(kind: str) -> None:
    """The bounded reader takes the result, whose meta information agrees with its dataset."""
    marks = Marks()
    source = getattr(planted, kind)(marks)
    old = (source.StudyInstanceUID, source.SeriesInstanceUID, source.SOPInstanceUID)
    new = read_part10(basic().instance(part10(source, marks)))
    assert new.sop_class_uid == source.SOPClassUID
    assert not {new.study_instance_uid, new.series_instance_uid, new.sop_instance_uid} & set(old)
    assert new.meta["00020003"]["Value"] == [new.sop_instance_uid]
    assert set(new.meta) <= {"00020001", "00020002", "00020003", "00020010", "00020012", "00020013"}


def test_result_says_what_was_done() -> None:
    """Patient Identity Removed and method 113100 of CID 7050, as PS3.15 section E.1.1 asks for."""
    marks = Marks()
    ds = read(basic().instance(part10(planted.ct(marks), marks)))
    assert ds.PatientIdentityRemoved == "YES"
    assert [(c.CodeValue, c.CodingSchemeDesignator) for c in ds.DeidentificationMethodCodeSequence] == [
        ("113100", "DCM")
    ]
    assert ds.LongitudinalTemporalInformationModified == "REMOVED"


def test_burned_in_identity_is_not_called_removed() -> None:
    """Pixels that are declared to show the patient keep the flag at NO, for they are not redacted."""
    marks = Marks()
    source = planted.ct(marks)
    source.BurnedInAnnotation = "YES"
    assert read(basic().instance(part10(source, marks))).PatientIdentityRemoved == "NO"


def test_preamble_is_zero_and_pixels_stay() -> None:
    """The preamble holds nothing; pixel data and what describes them are as they were."""
    marks = Marks()
    result = basic().instance(part10(planted.ct(marks), marks))
    ds = read(result)
    assert result[:128] == bytes(128)
    assert ds.PixelData == b"\x01\x00\x02\x00\x03\x00\x04\x00"
    assert (ds.Rows, ds.BitsStored, ds.Manufacturer) == (2, 16, "Makers")


def test_report_keeps_structure_and_known_meanings() -> None:
    """Content items stay, with dummy text; a known code has its own meaning, a local one a pseudonym."""
    marks = Marks()
    ds = read(basic().instance(part10(planted.report(marks), marks)))
    text, day, coded, image = ds.ContentSequence
    assert text.TextValue == "REMOVED"
    assert text.ConceptNameCodeSequence[0].CodeMeaning == "Finding"
    assert text.ContentSequence[0].PersonName == "REMOVED"
    assert day.Date == "19000101"
    assert coded.ConceptCodeSequence[0].CodingSchemeDesignator == "99DICOMKIT"
    image_uid = read(basic().instance(part10(planted.ct(Marks()), Marks()))).SOPInstanceUID
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == image_uid


def test_encapsulated_pdf_becomes_a_blank_one() -> None:
    """The document is a PDF of the length that the instance declares."""
    marks = Marks()
    ds = read(basic().instance(part10(planted.document(marks), marks)))
    assert ds.EncapsulatedDocument.startswith(b"%PDF-")
    assert ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength].endswith(b"%%EOF\n")


def test_words_in_place_of_a_class_uid_or_time_go() -> None:
    """An attribute that stays for its kind does not stay when it holds words."""
    marks = Marks()
    source = planted.ct(marks)
    referenced = source.ReferencedImageSequence[0]
    mark = marks("class UID")
    referenced.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    data = part10(source, marks)
    spoilt = data.replace(b"1.2.840.10008.5.1.4.1.1.2\0", f"1.2.840.10008.5{mark}...".encode().ljust(26, b"\0"))
    assert mark.encode() in spoilt
    shifting = basic(additionalTransformations=[{"dateShiftConfig": {}}])
    for result in (basic().instance(spoilt), shifting.instance(spoilt)):
        assert mark.encode() not in result
    timed = data.replace(b"101112", f"{mark}"[:6].encode())
    assert mark[:6].encode() not in shifting.instance(timed)


def test_deflated_file_stays_deflated_and_clean() -> None:
    """The transfer syntax is kept; inflated, the result has no mark."""
    marks = Marks()
    ds = read(basic().instance(part10(planted.ct(marks), marks, DeflatedExplicitVRLittleEndian)))
    assert ds.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    assert [mark for mark in marks.given.values() if mark.decode() in str(ds)] == []


def _is_instance(path: Path) -> bool:
    """Whether a store would take the file."""
    try:
        read_part10(path.read_bytes())
    except DicomFormatError:
        return False
    return True


@pytest.mark.filterwarnings("ignore:Expected (ex|im)plicit VR")
@pytest.mark.parametrize("profile", ["ATTRIBUTE_CONFIDENTIALITY_BASIC_PROFILE", "MINIMAL_KEEP_LIST_PROFILE"])
@pytest.mark.parametrize(
    "name",
    [path.name for path in sorted(WHEEL.glob("*.dcm")) if _is_instance(path)],
)
def test_real_files_are_rewritten_readably(name: str, profile: str) -> None:
    """Each real file that our reader takes gives a file that it takes, with no name and no id left."""
    source = wheel(name)
    before = read_part10(source)
    config = DeidentifyConfig.from_api({"dicom": {"filterProfile": profile}})
    result = read_part10(Deidentifier(config, key=KEY).instance(source))
    assert result.transfer_syntax_uid == before.transfer_syntax_uid
    assert "Value" not in result.elements.get("00100010", {})
    assert result.elements["00120062"]["Value"] == ["YES"]
    assert [tag for tag in result.elements if tag[3] in "13579BDF"] == []


@pytest.mark.filterwarnings("ignore:Expected (ex|im)plicit VR")
def test_errors_hold_no_value() -> None:
    """What pydicom cannot rewrite is refused without a word of the file."""
    with pytest.raises(DicomFormatError) as caught:
        basic().instance(b"DOE^JANE " * 40)
    assert "DOE" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_directory_is_refused() -> None:
    """A DICOMDIR points by byte offsets, which a rewrite would break."""
    with pytest.raises(Unimplemented, match="DICOMDIR"):
        basic().instance(wheel("dicomdirtests/DICOMDIR"))


def test_words_under_a_false_vr_go() -> None:
    """A number, a sequence or a UID that the file declares to be text or bytes does not pass as what it is not."""
    marks = Marks()
    source = planted.ct(marks)
    for tag, vr in (
        (0x00180050, "LO"),
        (0x00081115, "OB"),
        (0x00081140, "OB"),
        (0x00200052, "LO"),
        (0x00280301, "UT"),
        (0x00420010, "OB"),
    ):
        value = marks(f"{tag:08X} as {vr}")
        source[tag] = pydicom.DataElement(tag, vr, value.encode() if vr == "OB" else value)
    data = part10(source, marks)
    assert marks.found_in(data) and marks.found_in(basic().instance(data)) == []


def test_patients_stay_apart_under_pseudonyms() -> None:
    """Two patients do not become one, one patient does not become two; no id stays no id."""
    found = []
    for patient in ("A", "B", "A ", ""):
        source = planted.ct(Marks())
        source.PatientID = patient
        found.append(read(basic().instance(part10(source, Marks()))).PatientID or "")
    assert found[0] == found[2] != found[1]
    assert len(found[0]) == 16 and found[3] == ""


def test_unknown_description_is_emptied() -> None:
    """A description in words that the table does not name is taken as one that it would."""
    marks = Marks()
    source = planted.ct(marks)
    source.ContentDescription = marks("content description")
    assert marks.found_in(basic().instance(part10(source, marks))) == []


def test_no_pydicom_warning_quotes_a_value(recwarn: pytest.WarningsRecorder) -> None:
    """Values that break their VR's rules are handled without a word about them: warnings go to logs."""
    marks = Marks()
    source = part10(planted.ct(marks), marks)
    spoilt = source.replace(b"20240229", b"2024-2-9").replace(b"19700102", b"BORN_NOW").replace(b"101112", b"10:11A")
    basic(additionalTransformations=[{"dateShiftConfig": {}}]).instance(spoilt)
    assert [str(warning.message) for warning in recwarn] == []


def test_swallowed_neighbours_go() -> None:
    """A length that is too long makes one attribute of several; its value is none of its VR, and is not kept."""
    marks = Marks()
    data = part10(planted.ct(marks), marks)
    at = data.index(b"\x08\x00\x70\x00LO\x06\x00Makers")
    end = data.index(b"\x08\x00\x30\x10LO", at)  # StudyDescription follows
    swallowed = data[: at + 6] + (end - at - 8).to_bytes(2, "little") + data[at + 8 :]
    assert marks.found_in(basic().instance(swallowed)) == []
    assert read(basic().instance(swallowed)).Manufacturer == ""


def test_unlisted_attributes_of_the_patient_go() -> None:
    """The birth date of another calendar is in no row of the table, and is a birth date all the same."""
    marks = Marks()
    source = planted.ct(marks)
    source.PatientBirthDateInAlternativeCalendar = marks("birth date in an alternative calendar")
    assert marks.found_in(basic().instance(part10(source, marks))) == []


def test_neighbours_swallowed_by_a_number_go() -> None:
    """A number that the dictionary has once is not kept with a text behind it."""
    marks = Marks()
    data = part10(planted.ct(marks), marks)
    at = data.index(b"\x28\x00\x03\x01US\x02\x00")  # PixelRepresentation, and the retired comments behind it
    end = data.index(b"\x40\x00\x75\x02SQ", at)
    swallowed = data[: at + 6] + (end - at - 8).to_bytes(2, "little") + data[at + 8 :]
    assert marks.found_in(basic().instance(swallowed)) == []


def test_dates_that_the_table_does_not_name_are_dummies_or_move() -> None:
    """The day of a review tells when the patient was there, as any other date does."""
    source = planted.ct(Marks())
    source.SecondaryReviewDate, source.SecondaryReviewTime = "20240229", "101112"
    data = part10(source, Marks())
    ds = read(basic().instance(data))
    assert (ds.SecondaryReviewDate, ds.SecondaryReviewTime) == ("19000101", "000000")
    moved = read(basic(additionalTransformations=[{"dateShiftConfig": {}}]).instance(data))
    assert moved.SecondaryReviewDate == moved.StudyDate != "20240229"
    assert moved.SecondaryReviewTime == "101112"
