"""New UIDs for old ones: the same for the same, in each file, process and run that has the key.

Source: DICOM PS3.15 section E.1.1, action U; PS3.5 section B.2 (UIDs below 2.25). Edition 2026c.
"""

from __future__ import annotations

import hashlib
import hmac

# Public in pydicom.uid, though it only imports it.
from pydicom.uid import UID_dictionary  # type: ignore[attr-defined]

__all__ = ["UidMap", "is_identifying", "is_standard", "names_an_instance"]

_CLASS_LIKE = ("SOPClassUID", "ClassUID", "TransferSyntaxUID", "CodingSchemeUID", "ContextUID", "MappingResourceUID")
# A creator of a code set, not an instance; its UID says what a code means.
_KINDS = frozenset({"ContextGroupExtensionCreatorUID", "SOPClassesInStudy", "SOPClassesSupported"})
_OWN = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def is_standard(uid: str) -> bool:
    """Whether DICOM itself registers *uid* (PS3.6 annex A): such a one identifies nobody."""
    return uid in UID_dictionary


def is_identifying(keyword: str | None) -> bool:
    """Whether UIDs of the attribute name instances, and not classes, syntaxes or code systems."""
    return keyword is None or not (keyword.endswith(_CLASS_LIKE) or keyword in _KINDS)


def names_an_instance(keyword: str | None) -> bool:
    """Whether the attribute holds what ``skipIdRedaction`` keeps: a Study, Series or SOP Instance UID, or a reference.

    A reference must stay where its target does.
    """
    return keyword is not None and any(own in keyword for own in _OWN)


class UidMap:
    """Maps UIDs by HMAC-SHA256 of a secret key, so that no table has to be kept.

    Parameters
    ----------
    key
        At least 16 secret bytes. Who has them can tell whether a UID is the image of a known one.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise ValueError("the key must have at least 16 bytes")
        self._key = key

    def __call__(self, uid: str) -> str:
        """The new UID: ``2.25.`` and the first 128 bits of the hash; a UID of the standard stays."""
        if is_standard(uid):
            return uid
        digest = hmac.new(self._key, uid.encode(), hashlib.sha256).digest()
        return f"2.25.{int.from_bytes(digest[:16], 'big')}"
