"""Codes inside structured content, made safe: a meaning is text that anybody can write.

A code that DICOM's own context groups know gets the meaning that they give it; any other gets a pseudonym. Source:
PS3.16 (context groups), as far as pydicom ships them; PS3.3 section 8 (code sequences).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from functools import lru_cache
from typing import Any

__all__ = ["LOCAL_SCHEME", "VALUES", "safe_code"]

LOCAL_SCHEME = "99DICOMKIT"
"""Coding scheme of pseudonyms."""

VALUES = {"00080100": "SH", "00080119": "UC", "00080120": "UR"}
"""Tags and VRs that a code value may have."""

_UNIT = re.compile(r"[A-Za-z0-9./%*^\[\]()'-]{1,16}")


@lru_cache(maxsize=1)
def _meanings() -> dict[tuple[str, str], str]:
    # 0.3 s, and needed for structured reports only. The tables behind pydicom.sr.codedict can be walked, it cannot.
    from pydicom.sr._concepts_dict import concepts
    from pydicom.sr._snomed_dict import mapping

    tables: dict[str, Any] = concepts
    known = {
        (scheme, value): meaning
        for scheme, entries in tables.items()
        for codes in entries.values()
        for value, (meaning, *_groups) in codes.items()
    }
    for old, new in mapping["SRT"].items():
        if ("SCT", new) in known:
            known["SRT", old] = known["SCT", new]
    return known


def safe_code(key: bytes, scheme: str, value: str) -> tuple[str, str, str]:
    """Scheme, value and meaning that may stand for a code."""
    meaning = _meanings().get((scheme, value))
    if meaning is not None:
        return scheme, value, meaning[:64]
    if scheme == "UCUM" and _UNIT.fullmatch(value):
        return scheme, value, value  # units are built by rule, so that no list has them all
    digest = hmac.new(key, f"code\0{scheme}\0{value}".encode(), hashlib.sha256).digest()
    return LOCAL_SCHEME, base64.b32encode(digest[:10]).decode(), "REMOVED"
