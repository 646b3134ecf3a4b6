"""Text transformations of whole attribute values.

The API applies ``text`` to what its detector finds in text. Without a detector, what a value is must follow from its
attribute: a PN is a ``PERSON_NAME``, a DA or DT a ``DATE``. A transformation for any info type also takes each other
text attribute that PS3.15 table E.1-1 names as identifying. Source: Cloud Healthcare API v1,
``InfoTypeTransformation``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dicomkit.deid.dates import shift
from dicomkit.dicom.dictionary import keyword_of
from dicomkit.resources.deidentify_config import InfoTypeTransformation, TextConfig

__all__ = [
    "INFO_TYPES",
    "STRICT_VRS",
    "TEXT_VRS",
    "Transformation",
    "Transformations",
    "apply",
    "is_birth_or_death",
    "kinds",
]

_BY_VR = {"PN": ("PERSON_NAME",), "DA": ("DATE",), "DT": ("DATE",), "TM": ("TIME",), "AS": ("AGE",)}
_BY_KEYWORD = {
    "PatientBirthDate": ("DATE_OF_BIRTH", "DATE"),
    "OtherPatientIDs": ("MEDICAL_RECORD_NUMBER",),
    "PatientID": ("MEDICAL_RECORD_NUMBER",),
}
INFO_TYPES = ("PERSON_NAME", "DATE", "DATE_OF_BIRTH", "TIME", "AGE", "MEDICAL_RECORD_NUMBER", "PHONE_NUMBER")
"""Info types that an attribute has by its VR or keyword."""

TEXT_VRS = frozenset({"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})
STRICT_VRS = frozenset({"AS", "DA", "DT", "TM"})
"""VRs whose form has no room for a hash or a mask."""
_SHORT_VRS = frozenset({"AE", "SH"})
"""At most 16 characters."""

Verb = Literal["mask", "hash", "shift", "redact", "name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformation:
    """One transformation, ready to be applied."""

    verb: Verb
    info_types: frozenset[str]
    key: bytes = b""
    mask: str = "*"

    def __repr__(self) -> str:
        return f"Transformation({self.verb})"


def kinds(tag: str, vr: str) -> tuple[str, ...]:
    """Info types of an attribute, most special first; none when its text may be anything."""
    keyword = keyword_of(tag) or ""
    if keyword in _BY_KEYWORD:
        return _BY_KEYWORD[keyword]
    if "Telephone" in keyword and vr in TEXT_VRS:
        return ("PHONE_NUMBER",)
    return _BY_VR.get(vr, ())


def is_birth_or_death(tag: str) -> bool:
    """Whether a date is of the patient's life, which no option of PS3.15 retains, moved or not."""
    keyword = keyword_of(tag) or ""
    return keyword.startswith(("PatientBirth", "PatientDeath"))


class Transformations:
    """The transformations of a config, and which of them an attribute gets.

    Parameters
    ----------
    config
        ``DeidentifyConfig.text``.
    key
        Secret of the operation, where a transformation has no key of its own.
    """

    def __init__(self, config: TextConfig | None, key: bytes) -> None:
        listed = config and (*(config.additional_transformations or ()), *(config.transformations or ()))
        self._all = [_compile(item, key) for item in listed or ()]
        self._excluded = frozenset((config.exclude_info_types if config else None) or ())

    @property
    def shifts_dates(self) -> Transformation | None:
        """The transformation that moves dates, if there is one."""
        fitting = self.find("00080020", "DA", named=True)
        return fitting if fitting and fitting.verb == "shift" else None

    def find(self, tag: str, vr: str, *, named: bool) -> Transformation | None:
        """The transformation for an attribute, one for its info type before one for any.

        Parameters
        ----------
        named
            The attribute is one that PS3.15 names as identifying.
        """
        if vr not in TEXT_VRS and vr not in STRICT_VRS:
            return None
        own = kinds(tag, vr)
        left = [kind for kind in own if kind not in self._excluded]
        if (own and not left) or not (own or named):
            return None
        fitting = [t for t in self._all if t.verb != "shift" or vr in ("DA", "DT")]
        for kind in left:
            for transformation in fitting:
                if kind in transformation.info_types:
                    return transformation
        return next((t for t in fitting if not t.info_types), None)


def _compile(item: InfoTypeTransformation, key: bytes) -> Transformation:
    types = frozenset(item.info_types or ())
    if item.crypto_hash_config is not None:
        return Transformation(verb="hash", info_types=types, key=item.crypto_hash_config.key or key)
    if item.date_shift_config is not None:
        return Transformation(verb="shift", info_types=types, key=item.date_shift_config.key or key)
    if item.character_mask_config is not None:
        mask = item.character_mask_config.masking_character or "*"
        return Transformation(verb="mask", info_types=types, mask=mask)
    return Transformation(verb="redact" if item.redact_config is not None else "name", info_types=types)


def apply(transformation: Transformation, tag: str, vr: str, values: Sequence[str], *, days: int) -> list[str]:
    """New values of an attribute; an empty list where the VR has no form for the outcome.

    Parameters
    ----------
    days
        By how many days dates move.
    """
    verb = transformation.verb
    if verb == "shift":
        moved = [shift(vr, value, days) if value.strip(" \0") else "" for value in values]
        # A value that cannot be moved is no date, and so may be anything.
        return [value or "" for value in moved]
    if verb == "redact" or vr in STRICT_VRS:
        return []
    if verb == "name":
        name = next(iter(kinds(tag, vr)), "IDENTIFIER")
        return [f"[{name}]" if value else "" for value in values]
    if verb == "mask":
        return [transformation.mask * len(value) for value in values]
    return [_hashed(transformation.key, vr, value) if value else "" for value in values]


def _hashed(key: bytes, vr: str, value: str) -> str:
    digest = hmac.new(key, value.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
    if vr in _SHORT_VRS:
        return base64.b64encode(digest[:12]).decode()  # 96 bits are the 16 characters that there is room for
    encoded = base64.b64encode(digest).decode()
    return encoded.rstrip("=") if vr == "PN" else encoded  # "=" parts the representations of a name
