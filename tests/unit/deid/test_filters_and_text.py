"""Keep lists, remove lists, KEEP_ALL_PROFILE, and text transformations."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io

import pydicom
import pytest

from dicomkit.deid import Deidentifier, check_supported
from dicomkit.deid.rules import MINIMAL_KEYWORDS
from dicomkit.errors import Unimplemented
from dicomkit.resources.deidentify_config import REQUIRED_ATTRIBUTES, DeidentifyConfig
from tests.unit.deid import planted
from tests.unit.deid.planted import BASIC, KEY, Marks, part10


def run(config: dict, source: pydicom.Dataset | None = None) -> pydicom.FileDataset:
    data = part10(source or planted.ct(Marks()), Marks())
    result = Deidentifier(DeidentifyConfig.from_api(config, strict=True), key=KEY).instance(data)
    return pydicom.dcmread(io.BytesIO(result))


def text(**transformation: object) -> dict:
    return {"additionalTransformations": [transformation]}


@pytest.mark.parametrize("config", [{"filterProfile": "MINIMAL_KEEP_LIST_PROFILE"}, {"keepList": {"tags": []}}])
def test_minimal_list_keeps_what_is_needed(config: dict) -> None:
    """UIDs, class, syntax and pixels with their description; nothing else of the source."""
    ds = run({"dicom": config})
    said = {"PatientIdentityRemoved", "LongitudinalTemporalInformationModified", "DeidentificationMethod"}
    assert {e.keyword for e in ds} - said <= {*MINIMAL_KEYWORDS, *REQUIRED_ATTRIBUTES.values()}
    assert ds.PixelData and ds.pixel_array.shape == (2, 2)
    assert ds.get("PatientIdentityRemoved") == ("YES" if "filterProfile" in config else None)


def test_keep_list_keeps_its_attributes_at_each_level() -> None:
    """By keyword and by number, a private element with its creator, and in items only what is listed."""
    tags = ["PatientID", "00081030", "00091001", "RequestAttributesSequence", "RequestedProcedureID", "00020016"]
    ds = run({"dicom": {"keepList": {"tags": tags}}})
    assert {"PatientID", "StudyDescription", "RequestAttributesSequence"} <= {e.keyword for e in ds}
    assert [e.keyword for e in ds.RequestAttributesSequence[0]] == ["RequestedProcedureID"]
    assert 0x00090010 in ds and 0x00091001 in ds and 0x00091002 not in ds
    assert "PatientName" not in ds
    assert "SourceApplicationEntityTitle" in ds.file_meta and "PrivateInformation" not in ds.file_meta


def test_remove_list_removes_only_its_attributes() -> None:
    """At each level, each plane of a repeating group, and in the file meta information."""
    ds = run({"dicom": {"removeList": {"tags": ["PatientName", "OverlayComments", "PrivateInformation"]}}})
    assert "PatientName" not in ds and "PatientName" not in ds.ReferencedImageSequence[0]
    assert 0x60024000 not in ds and 0x60003000 in ds
    assert "PrivateInformation" not in ds.file_meta and "SourceApplicationEntityTitle" in ds.file_meta
    assert ds.PatientID and "PatientIdentityRemoved" not in ds


def test_keep_all_changes_uids_and_what_is_no_attribute() -> None:
    """KEEP_ALL_PROFILE keeps each attribute; the preamble and the padding are none."""
    source = planted.ct(Marks())
    ds = run({"dicom": {"filterProfile": "KEEP_ALL_PROFILE"}}, source)
    assert {e.tag for e in source} - {e.tag for e in ds} == {0xFFFCFFFC}
    assert ds.PatientName == source.PatientName and ds.SOPInstanceUID != source.SOPInstanceUID
    assert ds.preamble == bytes(128)


def test_crypto_hash_is_the_keyed_sha256_in_base64() -> None:
    """The same id gives the same 44 characters, those of HMAC-SHA256 under the key of the config."""
    key = bytes(32)
    config = text(infoTypes=["MEDICAL_RECORD_NUMBER"], cryptoHashConfig={"cryptoKey": base64.b64encode(key).decode()})
    source = planted.ct(Marks())
    ds = run(BASIC | {"text": config}, source)
    expected = base64.b64encode(hmac.new(key, source.PatientID.encode(), hashlib.sha256).digest()).decode()
    assert ds.PatientID == expected
    assert ds.PatientName == ""
    assert len(run(BASIC | {"text": text(cryptoHashConfig={})}).AccessionNumber) == 16


def test_mask_replace_and_redact() -> None:
    """Each does to a name what the API says of text, here of the whole value."""
    masked = run({"text": text(infoTypes=["PERSON_NAME"], characterMaskConfig={"maskingCharacter": "#"})})
    assert masked.PatientName == "#" * len("QZ00XJ^Jane")
    assert [str(name) for name in masked.OperatorsName] == ["######", "######"]
    assert masked.PatientID.startswith("QZ")
    named = run({"text": text(replaceWithInfoTypeConfig={})})
    assert (named.PatientName, named.PatientID) == ("[PERSON_NAME]", "[MEDICAL_RECORD_NUMBER]")
    assert named.StudyDescription == "[IDENTIFIER]"
    assert named.Manufacturer == "Makers"
    assert run({"text": text(redactConfig={})}).StudyDescription == ""


def test_excluded_info_types_are_not_transformed() -> None:
    """excludeInfoTypes wins over a transformation for any."""
    ds = run({"text": text(redactConfig={}) | {"excludeInfoTypes": ["PERSON_NAME"]}})
    assert str(ds.PatientName).endswith("^Jane") and ds.PatientID == ""


def test_what_the_profile_removes_is_not_hashed() -> None:
    """A hash of what the Basic Profile takes away would be a trace of it."""
    ds = run(BASIC | {"text": text(cryptoHashConfig={})})
    assert "StudyDescription" not in ds and "PatientAddress" not in ds


def test_hash_does_not_depend_on_the_character_set() -> None:
    """A name is hashed as text: Latin-1 and UTF-8 of it agree."""
    hashes = set()
    for charset in ("ISO_IR 100", "ISO_IR 192"):
        source = planted.ct(Marks())
        source.SpecificCharacterSet, source.PatientName = charset, "Müller^Änne"
        hashes.add(str(run({"text": text(cryptoHashConfig={})}, source).PatientName))
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"image": {"textRedactionMode": "REDACT_ALL_TEXT"}}, "image.textRedactionMode"),
        ({"image": {"customRegexes": [{"pattern": "x"}]}}, "image.customRegexes"),
        ({"fhir": {}}, "fhir"),
        ({"dicom": {"filterProfile": "DEIDENTIFY_TAG_CONTENTS"}}, "DEIDENTIFY_TAG_CONTENTS"),
        (
            {"text": text(infoTypes=["EMAIL_ADDRESS"], redactConfig={})},
            r"additionalTransformations\[0\].infoTypes\[0\]",
        ),
        ({"text": text(cryptoHashConfig={"kmsWrapped": {"cryptoKey": "k", "wrappedKey": "QQ=="}})}, "kmsWrapped"),
        ({"text": text(redactConfig={"deep": 1})}, "redactConfig"),
        ({"dicom": {"newField": 1}}, "dicom.newField"),
        ({"text": text(dateShiftConfig={"newField": 1})}, "dateShiftConfig.newField"),
    ],
)
def test_what_is_not_there_is_refused_by_name(config: dict, name: str) -> None:
    """Nothing of a config is ignored."""
    with pytest.raises(Unimplemented, match=name):
        check_supported(DeidentifyConfig.from_api(config))
