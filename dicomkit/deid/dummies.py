"""Values that say nothing and are valid for their VR (PS3.15 section E.1.1, action D; PS3.5 section 6.2)."""

from __future__ import annotations

import base64
import hashlib
import hmac

__all__ = ["BLANK_PDF", "dummy", "pseudonym"]

_DUMMIES: dict[str, object] = {
    "AE": "REMOVED",
    "AS": "000D",
    "AT": 0,
    "CS": "REMOVED",
    "DA": "19000101",
    "DS": "0",
    "DT": "19000101000000",
    "FD": 0.0,
    "FL": 0.0,
    "IS": "0",
    "LO": "REMOVED",
    "LT": "REMOVED",
    "OB": b"\0\0",
    "OD": bytes(8),
    "OF": bytes(4),
    "OL": bytes(4),
    "OV": bytes(8),
    "OW": b"\0\0",
    "PN": "REMOVED",
    "SH": "REMOVED",
    "SL": 0,
    "SS": 0,
    "ST": "REMOVED",
    "SV": 0,
    "TM": "000000",
    "UC": "REMOVED",
    "UL": 0,
    "UN": b"\0\0",
    "UR": "urn:removed",
    "US": 0,
    "UT": "REMOVED",
    "UV": 0,
}


def _blank_pdf() -> bytes:
    """One empty page."""
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<<>>>>",
    )
    out = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"xref\n0 4\n0000000000 65535 f \n%strailer\n<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        table,
        len(out),
    )
    return out


BLANK_PDF = _blank_pdf()
"""What an encapsulated PDF is replaced by."""


def pseudonym(key: bytes, patient_id: str) -> str:
    """A Patient ID for one that is replaced: the same for the same, and not to be undone without the key."""
    digest = hmac.new(key, f"pseudonym\0{patient_id}".encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
    return base64.b32encode(digest[:10]).decode()


def dummy(vr: str) -> object:
    """A value for the VR; ``None`` for one that has none (ambiguous, unknown)."""
    return _DUMMIES.get(vr)
