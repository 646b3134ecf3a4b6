"""DICOM JSON of the engine against that of another implementation, element by element, and why they may differ."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pydicom

__all__ = ["DIFFERENT", "RULES", "Agreement", "as_json"]

Element = dict[str, Any]
Elements = dict[str, Element]

NUMBERS = {"FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}
"""VR of several numbers -> how one is packed."""

RULES = {
    "group length": "PS3.18 F.2.2: no part of the JSON model",
    "trailing padding": "PS3.10 7.2: no part of the instance",
    "null": "PS3.18 F.2.5: an empty value among several is null, where pydicom has an empty string",
    "padding": "PS3.5 6.2: spaces around CS are not significant, in a list either",
    "no number": "PS3.18 F.2.3 allows text where IS holds no number; pydicom fails, or leaves the element out",
    "long sequence": "Google leaves out the items of a sequence of more than 1 MiB",
    "delimiter": "PS3.5 A.4: it ends the items of compressed pixel data as they are stored; pydicom drops it",
    "byte order": "PS3.18 8.7.3.3.2 and F.2.7: values are little endian; pydicom leaves them as in the file",
}
"""Why the engine and pydicom may differ."""

DIFFERENT = {
    "693_J2KI.dcm": {"padding"},
    "SC_rgb_gdcm_KY.dcm": {"padding"},
    "SC_rgb_jpeg_lossy_gdcm.dcm": {"padding"},
    "chrH31.dcm": {"null"},
    "chrJapMulti.dcm": {"null"},
    "chrKoreanMulti.dcm": {"null"},
    "chrI2.dcm": {"null"},
    "CT_small.dcm": {"trailing padding"},
    "MR_small.dcm": {"trailing padding"},
    "MR_small_RLE.dcm": {"trailing padding"},
    "MR_small_expb.dcm": {"trailing padding"},
    "MR_small_jp2klossless.dcm": {"trailing padding"},
    "MR_small_jpeg_ls_lossless.dcm": {"trailing padding"},
    "MR_small_padded.dcm": {"trailing padding"},
    "badVR.dcm": {"no number"},
    "examples_rgb_color.dcm": {"trailing padding"},
    "examples_ybr_color.dcm": {"null"},
    "examples_overlay.dcm": {"null"},
}
"""Files of the wheel whose metadata differ from pydicom's, and by which of these rules."""

PIXELS = "7FE00010"

LONG = 1 << 20

DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"


class Agreement:
    """One comparison: what was found to differ, and how much was looked at.

    Parameters
    ----------
    bulk
        Gives the bytes behind a BulkDataURI of the engine, as they are stored.
    big_endian
        Whether the file is.
    explain
        Gives the rule that explains why an element differs, or ``None``; asked after the rules of ``RULES``.

    Attributes
    ----------
    found
        Names of the rules that explain differences, and the text of every difference that none explains.
    count
        Elements that were compared.
    """

    def __init__(
        self,
        bulk: Callable[[str], bytes],
        *,
        big_endian: bool = False,
        explain: Callable[[str, Element, Element], str | None] = lambda tag, ours, theirs: None,
    ) -> None:
        self.found: set[str] = set()
        self.count = 0
        self._bulk = bulk
        self._big_endian = big_endian
        self._explain = explain

    def compare(self, ours: Elements, theirs: Elements) -> None:
        """Look at every element of both, at every depth."""
        for tag in sorted(ours.keys() | theirs.keys()):
            self.count += 1
            a, b = ours.get(tag), theirs.get(tag)
            if a is None or b is None or a["vr"] != b["vr"]:
                self._differ(tag, a, b)
            elif a["vr"] == "SQ":
                self._sequences(tag, a, b)
            elif "BulkDataURI" in a or "InlineBinary" in a:
                self._binary(tag, a, b)
            elif a.get("Value") != b.get("Value"):
                self._differ(tag, a, b)

    def _differ(self, tag: str, ours: Element | None, theirs: Element | None) -> None:
        rule = _rule(tag, ours, theirs) or self._explain(tag, ours or {}, theirs or {})
        self.found.add(rule or f"{tag}: {ours} / {theirs}"[:300])

    def _sequences(self, tag: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
        items, expected = ours.get("Value", []), theirs.get("Value", [])
        if not items and len(json.dumps(expected)) > LONG:
            self.found.add("long sequence")
            return
        if len(items) != len(expected):
            self.found.add(f"{tag}: {len(items)} items / {len(expected)}")
        for mine, other in zip(items, expected, strict=False):
            self.compare(mine, other)

    def _binary(self, tag: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
        vr = ours["vr"]
        got = self._bulk(ours["BulkDataURI"]) if "BulkDataURI" in ours else base64.b64decode(ours["InlineBinary"])
        want = packed(vr, theirs)
        if got == want:
            return
        if tag == PIXELS and got == want + DELIMITER:
            self.found.add("delimiter")
        elif self._big_endian and any(got == _swapped(want, size) for size in (1, 2, 4, 8)):
            self.found.add("byte order")
        else:
            rule = self._explain(tag, inline(vr, got), inline(vr, want))
            self.found.add(rule or f"{tag}: {len(got)} bytes of {vr} / {len(want)}")


def _swapped(data: bytes, size: int) -> bytes:
    """Words of so many bytes, turned round."""
    return data if len(data) % size else np.frombuffer(data, dtype=f">u{size}").astype(f"<u{size}").tobytes()


def as_json(dataset: pydicom.Dataset) -> dict[str, Any]:
    """``to_json_dict`` with all bytes inline and without the elements that it cannot write."""
    found = {}
    for tag in dataset.keys():
        with suppress(ValueError):
            found[f"{tag:08X}"] = dataset[tag].to_json_dict(None, 0)
    return found


def inline(vr: str, value: bytes) -> Element:
    """Bytes as an element."""
    return {"vr": vr, "InlineBinary": base64.b64encode(value).decode()}


def packed(vr: str, element: dict[str, Any]) -> bytes:
    """The bytes of a value, as a little endian file has them."""
    if "InlineBinary" in element:
        return base64.b64decode(element["InlineBinary"])
    value = element.get("Value", [])
    if vr in NUMBERS:
        return struct.pack(f"<{len(value)}{NUMBERS[vr]}", *value)
    return "\\".join(value).encode()


def _rule(tag: str, ours: Element | None, theirs: Element | None) -> str | None:
    """The rule of ``RULES`` that explains a difference."""
    if ours is None and theirs is not None:
        if tag[4:] == "0000":
            return "group length"
        if tag == "FFFCFFFC":
            return "trailing padding"
    elif ours is not None and theirs is None:
        if ours["vr"] in ("IS", "DS") and any(isinstance(value, str) for value in ours["Value"]):
            return "no number"
    elif ours is not None and theirs is not None and ours["vr"] == theirs["vr"]:
        a, b = ours.get("Value", []), theirs.get("Value", [])
        if [x or None for x in a] == [x or None for x in b]:
            return "null"
        if [str(x).strip() for x in a] == [str(x).strip() for x in b]:
            return "padding"
    return None
