"""Attributes of the DICOM JSON model as pydicom's elements, each checked against what its VR can hold.

Source: DICOM PS3.18 Annex F (DICOM JSON model), edition 2025b; PS3.5 section 6.2 for the ranges of numbers.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import pydicom
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.valuerep import format_number_as_ds

from dicomkit.errors import DicomFormatError

__all__ = ["MAX_DEPTH", "Binaries", "Elements", "attributes", "element_of"]

MAX_DEPTH = 64
"""Sequences inside sequences, as for the reader."""

Elements = Mapping[str, Any]

_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_NUMBERS: dict[str, tuple[float, float]] = {
    "FD": (-sys.float_info.max, sys.float_info.max),
    "FL": (-3.4028235e38, 3.4028235e38),
    "SL": (-(2**31), 2**31 - 1),
    "SS": (-(2**15), 2**15 - 1),
    "SV": (-(2**63), 2**63 - 1),
    "UL": (0, 2**32 - 1),
    "US": (0, 2**16 - 1),
    "UV": (0, 2**64 - 1),
}
"""Least and greatest value of a VR (PS3.5 section 6.2)."""
_TEXT = frozenset("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())


class Binaries(Protocol):
    """Where the binary values of an instance come from."""

    def inline(self, tag: str, element: Elements) -> bytes:
        """The bytes of an ``InlineBinary``."""

    def bulk(self, tag: str, element: Elements) -> bytes:
        """The bytes that a ``BulkDataURI`` names."""


def attributes(elements: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The attributes of a data set in their order, each in the form that the model has.

    Raises
    ------
    DicomFormatError
        One of them has not.
    """
    if not isinstance(elements, dict):
        raise DicomFormatError("a data set must be a JSON object of attributes")
    for tag, element in sorted(elements.items()):
        if len(tag) != 8 or not all(c in "0123456789ABCDEFabcdef" for c in tag) or not isinstance(element, dict):
            raise DicomFormatError("an attribute must be eight hex digits and a JSON object")
        if len({"Value", "InlineBinary", "BulkDataURI"} & element.keys()) > 1:
            raise DicomFormatError("an attribute has one of Value, InlineBinary and BulkDataURI", tag=tag)
        yield tag.upper(), element


def element_of(source: Binaries, tag: str, element: Elements, *, depth: int = 0) -> DataElement:
    """One attribute as an element, with the data sets of its items.

    Raises
    ------
    DicomFormatError
        A value is none that the VR can hold.
    """
    vr = element.get("vr")
    if "BulkDataURI" in element:
        value: Any = source.bulk(tag, element)
    elif "InlineBinary" in element:
        if vr not in _BINARY:
            raise DicomFormatError("InlineBinary is for binary attributes only", tag=tag)
        value = source.inline(tag, element)
    else:
        value = _values(source, tag, vr, element.get("Value", []), depth)
    # The reader looks at the values.
    return DataElement(int(tag, 16), str(vr), value, validation_mode=config.IGNORE)


def _values(source: Binaries, tag: str, vr: Any, values: Any, depth: int) -> Any:
    if not isinstance(values, list):
        raise DicomFormatError("Value must be an array", tag=tag)
    if vr == "SQ":
        if depth >= MAX_DEPTH:
            raise DicomFormatError(f"sequences are nested more than {MAX_DEPTH} deep", tag=tag)
        return pydicom.Sequence([_item(source, item, depth) for item in values])
    if vr in _BINARY and not values:
        return b""
    if vr == "AT":
        converted: list[Any] = [int(_text(tag, value), 16) for value in values]
    elif vr in _NUMBERS:
        converted = [_number(tag, value, vr) for value in values]
    elif vr in _TEXT:
        converted = ["" if value is None else _as_text(tag, vr, value) for value in values]
    else:
        raise DicomFormatError("an attribute has no VR that holds values", tag=tag)
    return converted[0] if len(converted) == 1 else converted or None


def _item(source: Binaries, item: Any, depth: int) -> pydicom.Dataset:
    ds = pydicom.Dataset()
    for tag, element in attributes({} if item is None else item):
        ds.add(element_of(source, tag, element, depth=depth + 1))
    return ds


def _text(tag: str, value: Any) -> str:
    if not isinstance(value, str):
        raise DicomFormatError("a value must be text", tag=tag)
    return value


def _number(tag: str, value: Any, vr: str) -> int | float:
    low, high = _NUMBERS.get(vr, (-math.inf, math.inf))
    wanted = int | float if vr in ("FD", "FL", "DS") else int
    if isinstance(value, bool) or not isinstance(value, wanted) or not low <= value <= high:
        raise DicomFormatError(f"a value must be a number that {vr} can hold", tag=tag)
    return value


def _as_text(tag: str, vr: str, value: Any) -> str:
    if vr == "PN" and isinstance(value, dict):
        groups = [_text(tag, value.get(group) or "") for group in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(groups).rstrip("=")
    if vr in ("IS", "DS") and not isinstance(value, str):
        number = _number(tag, value, vr)
        return str(number) if isinstance(number, int) else format_number_as_ds(number)
    return _text(tag, value)
