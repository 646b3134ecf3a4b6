"""DeidentifyConfig: what the API allows, and the messages for what it does not."""

from __future__ import annotations

import base64

import pytest

from dicomkit.errors import InvalidArgument
from dicomkit.resources.deidentify_config import (
    CryptoHashConfig,
    DateShiftConfig,
    DeidentifyConfig,
    DicomConfig,
    InfoTypeTransformation,
    TagFilterList,
)

KEY = base64.b64encode(bytes(range(32))).decode()

WHOLE = {
    "dicom": {"keepList": {"tags": ["PatientID", "00100010"]}, "skipIdRedaction": True},
    "image": {"textRedactionMode": "REDACT_ALL_TEXT", "customRegexes": [{"pattern": "x", "groupIndexes": [1]}]},
    "text": {
        "additionalTransformations": [
            {"infoTypes": ["DATE"], "dateShiftConfig": {"cryptoKey": KEY}},
            {"characterMaskConfig": {"maskingCharacter": "#"}},
        ],
        "transformations": [{"redactConfig": {}}, {"replaceWithInfoTypeConfig": {}}],
        "excludeInfoTypes": ["PERSON_NAME"],
    },
    "fhir": {"defaultKeepExtensions": True},
    "useRegionalDataProcessing": False,
}


def test_round_trip_keeps_everything() -> None:
    """A config that the cloud takes survives, whether or not the embedded engine has all of it."""
    assert DeidentifyConfig.from_api(WHOLE, strict=True).to_api() == WHOLE
    assert DeidentifyConfig.from_api({"dicom": {"keep_list": {}}}, strict=True).to_api() == {"dicom": {"keepList": {}}}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"dicom": {"keepList": {"tags": ["PatientIdd"]}}}, r"dicom.keepList.tags\[0\].*did you mean PatientID"),
        ({"dicom": {"keepList": {"tags": "PatientID"}}}, "dicom.keepList.tags: must be an array, not a string"),
        ({"dicom": {"keepList": {"tags": [16]}}}, r"dicom.keepList.tags\[0\]: must be a string"),
        ({"dicom": {"keepList": {}, "removeList": {}}}, "dicom.removeList: must not be set together with keepList"),
        ({"dicom": {"removeList": {}, "filterProfile": "KEEP_ALL_PROFILE"}}, "dicom.filterProfile: must not be set"),
        ({"dicom": {"filterProfile": "BASIC"}}, "dicom.filterProfile: must be one of TAG_FILTER_PROFILE_UNSPECIFIED"),
        ({"dicom": {"removeList": {"tags": ["x", "SOPInstanceUID"]}}}, r"dicom.removeList.tags\[0\]"),
        ({"dicom": {"removeList": {"tags": ["0020000d"]}}}, r"removeList.tags\[0\]: is .*each instance needs"),
        ({"dicom": {"skipIdRedaction": "true"}}, "dicom.skipIdRedaction: must be true or false"),
        ({"text": {"transformations": [{}]}}, r"text.transformations\[0\]: must say one transformation"),
        ({"text": {"transformations": [{"redactConfig": {}, "dateShiftConfig": {}}]}}, "2 were given"),
        ({"image": {"textRedactionMode": "ALL"}}, "image.textRedactionMode: must be one of"),
        ({"image": {"customRegexes": {}}}, "image.customRegexes: must be an array"),
    ],
)
def test_bad_configs_are_refused_with_field_rule_and_remedy(config: dict, message: str) -> None:
    """The message begins with the path of the field."""
    with pytest.raises(InvalidArgument, match=message):
        DeidentifyConfig.from_api(config)


def test_unknown_names_are_refused_where_strict() -> None:
    """Google's words, with the path in snake_case."""
    with pytest.raises(InvalidArgument, match="Unknown name \"keeplist\" at 'dicom': Cannot find field"):
        DeidentifyConfig.from_api({"dicom": {"keeplist": {}}}, strict=True)


@pytest.mark.parametrize("cls", [CryptoHashConfig, DateShiftConfig])
def test_keys_are_checked_and_never_shown(cls: type[CryptoHashConfig]) -> None:
    """16, 24 or 32 bytes in either base64 alphabet; no message and no repr has the key."""
    assert cls(crypto_key=bytes(16)).key == bytes(16)  # type: ignore[arg-type]
    assert cls(crypto_key=base64.urlsafe_b64encode(b"\xff" * 24).decode().rstrip("=")).key == b"\xff" * 24
    assert cls().key is None
    assert KEY not in repr(InfoTypeTransformation(crypto_hash_config=CryptoHashConfig(crypto_key=KEY)))
    for bad in (KEY[:-8], "no base64 at all!", "QUJD"):
        with pytest.raises(InvalidArgument) as caught:
            cls(crypto_key=bad)
        assert bad not in str(caught.value)
    with pytest.raises(InvalidArgument, match="kmsWrapped: must not be set together"):
        cls(crypto_key=KEY, kms_wrapped={"cryptoKey": "k"})


@pytest.mark.parametrize("mask", ["\\", "^", "=", "\n", "##", "ä", " "])
def test_masks_that_are_no_dicom_text_are_refused(mask: str) -> None:
    """A mask that separates values, or that a character set lacks, would spoil the value."""
    with pytest.raises(InvalidArgument, match="maskingCharacter"):
        DeidentifyConfig.from_api({"text": {"transformations": [{"characterMaskConfig": {"maskingCharacter": mask}}]}})


def test_python_form_reads_like_the_wire() -> None:
    """Keyword-only dataclasses give the same JSON."""
    config = DeidentifyConfig(dicom=DicomConfig(keep_list=TagFilterList(tags=("PatientID",))))
    assert config.to_api() == {"dicom": {"keepList": {"tags": ["PatientID"]}}}
