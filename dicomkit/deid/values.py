"""Values as a pydicom dataset has them, read without pydicom's validation.

Its warnings quote values, which must not get into a log; an element that stays is not decoded at all, so that its
bytes stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydicom import Dataset
from pydicom.charset import decode_bytes
from pydicom.dataelem import RawDataElement
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from dicomkit.dicom.dictionary import is_private, vm_of, vr_of
from dicomkit.dicom.temporal import is_moment
from dicomkit.names import is_uid

__all__ = ["element_vr", "is_sound", "items", "strings"]

_ENCODED = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_SINGLE = frozenset({"LT", "ST", "UT", "UR"})
_LONGEST = {"AE": 16, "AS": 4, "CS": 16, "DS": 32, "IS": 16, "LO": 256, "SH": 64}
"""Longest value in bytes: PS3.5 section 6.2, with room for multi-byte characters, padding and careless numbers."""
_SIZES = {"AT": 4, "FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8}
_NO_CONTROLS = re.compile(rb"[^\x00-\x1a\x1c-\x1f\x7f]*")
_NUMBER = re.compile(rb"[0-9+.eE -]*")
_FORMS = {"CS": re.compile(rb"[ -~]*"), "DS": _NUMBER, "IS": _NUMBER}


def element_vr(dataset: Dataset, tag: BaseTag) -> str:
    """VR of the file; that of the dictionary where the file has none, or says ``UN``."""
    vr = dataset.get_item(tag).VR
    if vr is not None and vr != "UN":
        return str(vr)
    tag8 = f"{tag:08X}"
    return (None if is_private(tag8) else vr_of(tag8)) or "UN"


def items(dataset: Dataset, tag: BaseTag) -> list[Dataset]:
    """Items of a sequence.

    Raises
    ------
    ValueError
        The element is none.
    """
    value = dataset[tag].value
    if value is None:
        return []
    if not isinstance(value, Sequence):
        raise ValueError("not a sequence")
    return list(value)


def strings(dataset: Dataset, tag: BaseTag) -> list[str]:
    """Values of a text element without padding; none when it is missing or empty."""
    if tag not in dataset:
        return []
    element = dataset.get_item(tag)
    value = element.value
    if value is None or value == b"" or value == "":
        return []
    vr = element_vr(dataset, tag)
    if isinstance(value, bytes):
        if vr in _ENCODED:
            encodings = dataset.original_character_set if isinstance(element, RawDataElement) else "iso8859"
            listed = [encodings] if isinstance(encodings, str) else list(encodings or ["iso8859"])
            text = decode_bytes(value, listed, PN_DELIMS if vr == "PN" else TEXT_VR_DELIMS)
        else:
            text = value.decode("latin-1")
        parts: Iterable[str] = [text] if vr in _SINGLE else text.split("\\")
    else:
        parts = [str(part) for part in value] if isinstance(value, MultiValue | list | tuple) else [str(value)]
    return [part.strip(" \0") if vr not in _SINGLE else part.rstrip(" \0") for part in parts]


def is_sound(dataset: Dataset, tag: BaseTag, vr: str) -> bool:
    """Whether an element that stays holds what its VR allows, and no words or swallowed neighbours in its place."""
    value = dataset.get_item(tag).value
    if vr in _LONGEST and isinstance(value, bytes):
        longest, form = _LONGEST[vr], _FORMS.get(vr, _NO_CONTROLS)
        return all(len(part) <= longest and form.fullmatch(part) for part in value.rstrip(b"\0").split(b"\\"))
    if vr in _SIZES and isinstance(value, bytes | list | MultiValue):
        vm = vm_of(f"{tag:08X}") or ""
        # pydicom decodes Pixel Representation by itself, so that it may be no bytes any more.
        return not vm.isdigit() or len(value) <= int(vm) * (_SIZES[vr] if isinstance(value, bytes) else 1)
    if vr == "UI":
        return all(not part or is_uid(part) for part in strings(dataset, tag))
    if vr in ("DA", "DT", "TM"):
        return all(not part or is_moment(vr, part) for part in strings(dataset, tag))
    return True
