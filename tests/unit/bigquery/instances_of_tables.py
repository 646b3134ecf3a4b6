"""An instance in the DICOM JSON model whose row has a column of every kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

__all__ = ["ELEMENTS", "LAST_UPDATED"]

LAST_UPDATED = datetime(2024, 1, 2, tzinfo=UTC)


def _element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


_CODE = {"00080100": _element("SH", "A"), "00080102": _element("SH", "99T"), "00080104": _element("LO", "meaning")}

ELEMENTS: dict[str, dict[str, Any]] = {
    "00080008": _element("CS", "ORIGINAL", "PRIMARY"),
    "00080018": _element("UI", "1.2.3"),
    "00080020": _element("DA", "20240102"),
    "00080030": _element("TM", "103000"),
    "00080060": _element("CS", "CT"),
    "00082218": _element("SQ", _CODE),
    "00100010": _element("PN", {"Alphabetic": "Test^Patient"}),
    "00101010": _element("AS", "045Y"),
    "00090010": _element("LO", "ACME"),
    "00091002": _element("LO", "x"),
    "00091010": _element("SQ", {"00080100": _element("SH", "P")}),
    "00180050": _element("DS", "2.5"),
    "0020000D": _element("UI", "1.2"),
    "0020000E": _element("UI", "1.2.1"),
    "00200013": _element("IS", "1"),
    "00280010": _element("US", 4),
    "00280030": _element("DS", "0.5", "0.5"),
    "00400275": _element("SQ", {"00400009": _element("SH", "S1"), "00110010": _element("LO", "NESTED")}),
}
