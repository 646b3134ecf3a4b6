"""What a de-identification is to do with the instances of a store.

Source: Cloud Healthcare API v1, ``DeidentifyConfig`` and the messages in it (discovery document, revision 20261013).
A config is checked here for what the API allows. What the embedded engine does not have is refused by
``dicomkit.deid``, because the same config may be meant for the cloud.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dicomkit.dicom.dictionary import parse_attribute
from dicomkit.errors import InvalidArgument
from dicomkit.resources._json import boolean, invalid, json_object, kind_of, located, quoted, text
from dicomkit.resources._wire import Resource, many, one, wire

__all__ = [
    "FILTER_PROFILES",
    "REQUIRED_ATTRIBUTES",
    "TEXT_REDACTION_MODES",
    "CharacterMaskConfig",
    "CryptoHashConfig",
    "DateShiftConfig",
    "DeidentifyConfig",
    "DicomConfig",
    "ImageConfig",
    "InfoTypeTransformation",
    "TagFilterList",
    "TextConfig",
]

UNSPECIFIED_PROFILE = "TAG_FILTER_PROFILE_UNSPECIFIED"

FILTER_PROFILES = (
    UNSPECIFIED_PROFILE,
    "MINIMAL_KEEP_LIST_PROFILE",
    "ATTRIBUTE_CONFIDENTIALITY_BASIC_PROFILE",
    "KEEP_ALL_PROFILE",
    "DEIDENTIFY_TAG_CONTENTS",
)
"""What ``filterProfile`` may say; unspecified means ``KEEP_ALL_PROFILE``."""

TEXT_REDACTION_MODES = (
    "TEXT_REDACTION_MODE_UNSPECIFIED",
    "REDACT_ALL_TEXT",
    "REDACT_SENSITIVE_TEXT",
    "REDACT_NO_TEXT",
)
"""What ``textRedactionMode`` may say; unspecified means ``REDACT_NO_TEXT``."""

REQUIRED_ATTRIBUTES = {
    "00020002": "MediaStorageSOPClassUID",
    "00020003": "MediaStorageSOPInstanceUID",
    "00020010": "TransferSyntaxUID",
    "00080016": "SOPClassUID",
    "00080018": "SOPInstanceUID",
    "0020000D": "StudyInstanceUID",
    "0020000E": "SeriesInstanceUID",
}
"""Attributes without which no store takes an instance: a keep list has them always, a remove list never."""

KEY_SIZES = (16, 24, 32)
"""Lengths of an AES key in bytes."""


def _one_of(allowed: tuple[str, ...]) -> Any:
    def read(value: object) -> str:
        if text(value) not in allowed:
            raise invalid(f"must be one of {', '.join(allowed)}; {quoted(text(value))} is none of them")
        return text(value)

    return wire(read, default=allowed[0])


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise invalid(f"must be an array, not {kind_of(value)}; write [...] around it")
    items = []
    for index, item in enumerate(value):
        with located(f"[{index}]"):
            items.append(text(item))
    return tuple(items)


def _objects(value: object) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, list | tuple):
        raise invalid(f"must be an array, not {kind_of(value)}; write [...] around it")
    return tuple(json_object(item) for item in value)


def _key(value: object) -> str:
    """A base64 text that stands for an AES key; its content is in no message."""
    given = base64.b64encode(value).decode() if isinstance(value, bytes) else text(value)
    try:
        size = len(_decoded(given))
    except (binascii.Error, ValueError):
        raise invalid("must be base64; encode the bytes of the key") from None
    if size not in KEY_SIZES:
        raise invalid(f"must be an AES key of 16, 24 or 32 bytes, it has {size}; make one with secrets.token_bytes(32)")
    return given


def _decoded(given: str) -> bytes:
    padded = given + "=" * (-len(given) % 4)  # proto3 JSON takes both alphabets, with padding or without
    return base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TagFilterList(Resource):
    """Attributes to keep or to remove.

    Parameters
    ----------
    tags
        Keywords (``"PatientID"``) or eight hex digits (``"00100020"``); file meta elements, too.
    """

    tags: tuple[str, ...] | None = wire(_texts, default=[])

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for an entry that is no DICOM attribute."""
        for index, tag in enumerate(self.tags or ()):
            with located(f"tags[{index}]"):
                try:
                    parse_attribute(tag)
                except InvalidArgument as error:
                    raise invalid(f"is wrong: {error.message}") from None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DicomConfig(Resource):
    """Which attributes stay.

    Parameters
    ----------
    keep_list
        Keep these and what an instance cannot be without, remove all others.
    remove_list
        Remove these, keep all others.
    filter_profile
        One of ``FILTER_PROFILES``. Only one of the three may be given.
    skip_id_redaction
        Leave Study, Series and SOP Instance UIDs as they are. Otherwise they are replaced.
    """

    keep_list: TagFilterList | None = one(TagFilterList)  # noqa: RUF009 - it is a dataclass field
    remove_list: TagFilterList | None = one(TagFilterList)  # noqa: RUF009
    filter_profile: str | None = _one_of(FILTER_PROFILES)
    skip_id_redaction: bool | None = wire(boolean, default=False)

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for two filters at once, and for removing what an instance needs."""
        filters = {
            "keepList": self.keep_list,
            "removeList": self.remove_list,
            "filterProfile": None if self.filter_profile == UNSPECIFIED_PROFILE else self.filter_profile,
        }
        given = [name for name, value in filters.items() if value is not None]
        if len(given) > 1:
            raise invalid(f"must not be set together with {given[0]}; leave one out", path=given[1])
        for index, tag in enumerate((self.remove_list.tags if self.remove_list else None) or ()):
            if parse_attribute(tag) in REQUIRED_ATTRIBUTES:
                raise invalid(
                    f"is {quoted(tag)}, which each instance needs; take it off the list"
                    " (UIDs of instances are replaced unless skipIdRedaction is true)",
                    path=f"removeList.tags[{index}]",
                )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CharacterMaskConfig(Resource):
    """Replace each character by one and the same.

    Parameters
    ----------
    masking_character
        One printable ASCII character that has no meaning of its own in DICOM text; ``*`` when not given.
    """

    masking_character: str | None = wire(text, default="")

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for what cannot stand in a DICOM value in any character set."""
        mask = self.masking_character
        if mask and (len(mask) != 1 or not "!" <= mask <= "~" or mask in "\\^="):
            raise invalid(r"must be one printable ASCII character other than \ ^ =; write *", path="maskingCharacter")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Keyed(Resource):
    """What the two keyed transformations share."""

    crypto_key: str | None = wire(_key, default="")
    kms_wrapped: Mapping[str, Any] | None = wire(json_object)

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for two keys at once."""
        if self.crypto_key is not None and self.kms_wrapped is not None:
            raise invalid("must not be set together with cryptoKey; leave one out", path="kmsWrapped")

    @property
    def key(self) -> bytes | None:
        """The key itself; ``None`` when the operation's own is meant."""
        return None if self.crypto_key is None else _decoded(self.crypto_key)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'key not shown' if self.crypto_key or self.kms_wrapped else ''})"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CryptoHashConfig(_Keyed):
    """Replace a value by the base64 text of its keyed SHA-256 hash.

    Parameters
    ----------
    crypto_key
        AES key of 16, 24 or 32 bytes, or its base64 text; each operation has a key of its own when none is given.
    kms_wrapped
        A key wrapped by Cloud KMS, ``{"wrappedKey": ..., "cryptoKey": ...}``.
    """


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DateShiftConfig(_Keyed):
    """Move the dates of a patient by one number of days, which key and Patient ID give.

    Parameters
    ----------
    crypto_key, kms_wrapped
        As in :class:`CryptoHashConfig`.
    """


TRANSFORMATIONS = (
    "character_mask_config",
    "crypto_hash_config",
    "date_shift_config",
    "redact_config",
    "replace_with_info_type_config",
)
"""Fields of :class:`InfoTypeTransformation` that say what to do."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class InfoTypeTransformation(Resource):
    """What happens to text of certain info types; exactly one of the five configs says it.

    Parameters
    ----------
    info_types
        Names like ``PERSON_NAME``; empty means any.
    """

    info_types: tuple[str, ...] | None = wire(_texts, default=[])
    character_mask_config: CharacterMaskConfig | None = one(CharacterMaskConfig)  # noqa: RUF009
    crypto_hash_config: CryptoHashConfig | None = one(CryptoHashConfig)  # noqa: RUF009
    date_shift_config: DateShiftConfig | None = one(DateShiftConfig)  # noqa: RUF009
    redact_config: Mapping[str, Any] | None = wire(json_object)
    replace_with_info_type_config: Mapping[str, Any] | None = wire(json_object)

    def validate(self) -> None:
        """Raise ``InvalidArgument`` unless exactly one config is given."""
        given = [name for name in TRANSFORMATIONS if getattr(self, name) is not None]
        # A transformation that dicomkit does not know lies in `extra`, and must survive.
        if len(given) > 1 or (not given and not self.extra):
            raise invalid(
                "must say one transformation: characterMaskConfig, cryptoHashConfig, dateShiftConfig, redactConfig or"
                f" replaceWithInfoTypeConfig; {len(given)} were given"
            )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TextConfig(Resource):
    """What happens to text.

    Parameters
    ----------
    additional_transformations
        Transformations in order; the first that fits an attribute is applied.
    transformations
        Older name of the same.
    exclude_info_types
        Info types that are not transformed.
    """

    additional_transformations: tuple[InfoTypeTransformation, ...] | None = many(InfoTypeTransformation)
    transformations: tuple[InfoTypeTransformation, ...] | None = many(InfoTypeTransformation)
    exclude_info_types: tuple[str, ...] | None = wire(_texts, default=[])


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ImageConfig(Resource):
    """What happens to text in pixels.

    Parameters
    ----------
    text_redaction_mode
        One of ``TEXT_REDACTION_MODES``.
    custom_regexes
        Patterns to find besides, ``{"pattern": ..., "groupIndexes": [...]}``.
    """

    text_redaction_mode: str | None = _one_of(TEXT_REDACTION_MODES)
    custom_regexes: tuple[Mapping[str, Any], ...] | None = wire(_objects, default=[])


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DeidentifyConfig(Resource):
    """How instances are de-identified.

    Parameters
    ----------
    dicom
        Which attributes stay; without it all do, and UIDs are replaced.
    text
        How text is transformed.
    image
        What happens to text in pixels.
    fhir
        For FHIR stores, which dicomkit does not have; kept as it is.
    use_regional_data_processing
        Where Google computes; it changes nothing in an embedded engine, whose data stay where they are.
    """

    dicom: DicomConfig | None = one(DicomConfig)  # noqa: RUF009
    text: TextConfig | None = one(TextConfig)  # noqa: RUF009
    image: ImageConfig | None = one(ImageConfig)  # noqa: RUF009
    fhir: Mapping[str, Any] | None = wire(json_object)
    use_regional_data_processing: bool | None = wire(boolean, default=False)
