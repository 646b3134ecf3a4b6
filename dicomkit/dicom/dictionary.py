"""The DICOM data dictionary: tag, keyword, VR and VM, from pydicom's tables.

Tags are eight upper-case hex digits everywhere in dicomkit, as in the DICOM JSON model (PS3.18 section F.2.2).
Source: DICOM PS3.6, in the edition that the installed pydicom ships.
"""

from __future__ import annotations

import difflib
import re
from functools import lru_cache

# The tables are public in pydicom.datadict, though it only imports them.
from pydicom.datadict import (  # type: ignore[attr-defined]
    DicomDictionary,
    RepeatersDictionary,
    dictionary_description,
    private_dictionaries,
)

from dicomkit.errors import InvalidArgument

__all__ = [
    "is_private",
    "keyword_of",
    "name_of",
    "nearest_keywords",
    "parse_attribute",
    "private_vr",
    "tag_of",
    "vm_of",
    "vr_of",
]

_HEX8 = re.compile(r"[0-9A-Fa-f]{8}")

_BY_TAG: dict[str, tuple[str, str, str]] = {
    f"{tag:08X}": (keyword, vr, vm) for tag, (vr, vm, _name, _retired, keyword) in DicomDictionary.items()
}
_BY_KEYWORD: dict[str, str] = {entry[0]: tag for tag, entry in _BY_TAG.items() if entry[0]}

# Repeating groups and elements, "60xx3000" and the like (PS3.6 section 6, tags with x). Keywords of a
# repeating group stand for the first group, 6000.
_REPEATERS: list[tuple[re.Pattern[str], tuple[str, str, str]]] = []
for _mask, (_vr, _vm, _name, _retired, _keyword) in RepeatersDictionary.items():
    _REPEATERS.append((re.compile(_mask.upper().replace("X", "[0-9A-F]")), (_keyword, _vr, _vm)))
    if _keyword:
        _BY_KEYWORD.setdefault(_keyword, _mask.upper().replace("X", "0"))


@lru_cache(maxsize=4096)
def _repeater(tag: str) -> tuple[str, str, str] | None:
    for pattern, entry in _REPEATERS:
        if pattern.fullmatch(tag):
            return entry
    return None


def _entry(tag: str) -> tuple[str, str, str] | None:
    return _BY_TAG.get(tag) or (_repeater(tag) if not is_private(tag) else None)


def is_private(tag: str) -> bool:
    """Whether the group of *tag* is odd (PS3.5 section 7.8)."""
    return tag[3] in "13579BDF"


def tag_of(keyword: str) -> str:
    """Tag of a keyword; ``KeyError`` when the dictionary has none."""
    return _BY_KEYWORD[keyword]


def keyword_of(tag: str) -> str | None:
    """Keyword of a tag, repeating groups included; ``None`` when the dictionary has none."""
    entry = _entry(tag)
    return (entry[0] or None) if entry else None


def name_of(tag: str) -> str | None:
    """What the dictionary calls a tag, e.g. "Slice Thickness"; ``None`` when it has none."""
    try:
        return dictionary_description(int(tag, 16))
    except KeyError:
        return None


def vr_of(tag: str) -> str | None:
    """VR as the dictionary prints it, ``"US or SS"`` included; ``None`` when it has none."""
    entry = _entry(tag)
    return entry[1] if entry else None


def vm_of(tag: str) -> str | None:
    """Value multiplicity as the dictionary prints it, e.g. ``"1"``, ``"1-n"``, ``"2-2n"``."""
    entry = _entry(tag)
    return entry[2] if entry else None


def nearest_keywords(text: str, n: int = 3) -> list[str]:
    """Keywords that look most like *text*, best first."""
    lowered = {k.lower(): k for k in _BY_KEYWORD}
    return [lowered[k] for k in difflib.get_close_matches(text.lower(), lowered, n=n, cutoff=0.6)]


def parse_attribute(text: str) -> str:
    """Tag for a keyword or for eight hex digits.

    Raises
    ------
    InvalidArgument
        *text* is neither; the nearest keywords are suggested.
    """
    tag = _BY_KEYWORD.get(text)
    if tag is not None:
        return tag
    if _HEX8.fullmatch(text):
        return text.upper()
    near = nearest_keywords(text[:64])
    hint = f"; did you mean {' or '.join(near)}?" if near else "; give a DICOM keyword or eight hex digits"
    raise InvalidArgument(f"{text!r:.80} is no DICOM attribute{hint}")


def private_vr(creator: str, tag: str) -> str | None:
    """VR of a private element in pydicom's private dictionaries, or ``None``.

    Parameters
    ----------
    creator
        The private creator that reserves the element's block (PS3.5 section 7.8.1).
    tag
        The element's tag; its block number is not looked at.
    """
    block = private_dictionaries.get(creator)
    if block is None:
        return None
    entry = block.get(f"{tag[:4]}xx{tag[6:]}") or block.get(tag)
    return entry[0] if entry else None
