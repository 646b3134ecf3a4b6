"""What the embedded engine does not have of a ``DeidentifyConfig``: refused by name, never ignored."""

from __future__ import annotations

from collections.abc import Iterator

from dicomkit.deid.text import INFO_TYPES
from dicomkit.errors import Unimplemented
from dicomkit.resources._wire import Resource
from dicomkit.resources.deidentify_config import DeidentifyConfig, InfoTypeTransformation

__all__ = ["check_supported"]


def _refuse(path: str, why: str) -> Unimplemented:
    return Unimplemented(f"{path}: {why}")


def check_supported(config: DeidentifyConfig) -> None:
    """Raise ``Unimplemented`` for a part of *config* that this engine would otherwise have to ignore."""
    for path, resource in _resources(config):
        for name, value in resource.extra.items():
            if value is not None:
                raise _refuse(f"{path}{name}", "this engine does not know the field; leave it out")
    if config.fhir is not None:
        raise _refuse("fhir", "there are no FHIR stores in this engine; leave it out")
    image = config.image
    if image is not None:
        if image.text_redaction_mode in ("REDACT_ALL_TEXT", "REDACT_SENSITIVE_TEXT"):
            raise _refuse("image.textRedactionMode", "text in pixels is not redacted yet; write REDACT_NO_TEXT")
        if image.custom_regexes:
            raise _refuse("image.customRegexes", "text in pixels is not redacted yet; leave them out")
    if config.dicom is not None and config.dicom.filter_profile == "DEIDENTIFY_TAG_CONTENTS":
        raise _refuse(
            "dicom.filterProfile",
            "DEIDENTIFY_TAG_CONTENTS needs the detection of info types in free text, which is not there yet;"
            " use ATTRIBUTE_CONFIDENTIALITY_BASIC_PROFILE, with text transformations for whole values",
        )
    for path, transformation in _transformations(config):
        for index, name in enumerate(transformation.info_types or ()):
            if name not in INFO_TYPES:
                raise _refuse(
                    f"{path}infoTypes[{index}]",
                    "this info type can only be found by detection in free text, which is not there yet;"
                    f" known from the attribute alone are {', '.join(INFO_TYPES)}",
                )
        for keyed, name in (
            (transformation.crypto_hash_config, "cryptoHashConfig"),
            (transformation.date_shift_config, "dateShiftConfig"),
        ):
            if keyed is not None and keyed.kms_wrapped is not None:
                raise _refuse(f"{path}{name}.kmsWrapped", "this engine has no key management service; give cryptoKey")
        for settings, name in (
            (transformation.redact_config, "redactConfig"),
            (transformation.replace_with_info_type_config, "replaceWithInfoTypeConfig"),
        ):
            if settings:
                raise _refuse(f"{path}{name}", "this engine knows no field in it; write {}")


def _transformations(config: DeidentifyConfig) -> Iterator[tuple[str, InfoTypeTransformation]]:
    text = config.text
    if text is not None:
        for index, item in enumerate(text.additional_transformations or ()):
            yield f"text.additionalTransformations[{index}].", item
        for index, item in enumerate(text.transformations or ()):
            yield f"text.transformations[{index}].", item


def _resources(config: DeidentifyConfig) -> Iterator[tuple[str, Resource]]:
    """Every message in the config, with its path."""
    yield "", config
    if config.dicom is not None:
        yield "dicom.", config.dicom
        if config.dicom.keep_list is not None:
            yield "dicom.keepList.", config.dicom.keep_list
        if config.dicom.remove_list is not None:
            yield "dicom.removeList.", config.dicom.remove_list
    if config.image is not None:
        yield "image.", config.image
    if config.text is not None:
        yield "text.", config.text
    for path, item in _transformations(config):
        yield path, item
        for inner, name in (
            (item.character_mask_config, "characterMaskConfig"),
            (item.crypto_hash_config, "cryptoHashConfig"),
            (item.date_shift_config, "dateShiftConfig"),
        ):
            if inner is not None:
                yield f"{path}{name}.", inner
