"""Transfer syntaxes: which can be read, which can be written, and what each means for the pixels.

Sources: "DICOM conformance statement" of the Cloud Healthcare API, retrieve transaction (page of 2026-04-14), for the
list; DICOM PS3.5 Annex A and PS3.6 Annex A, edition 2025b, for what they are; PS3.3 section C.7.6.1.1.5.2 for the
methods of lossy compression.
"""

from __future__ import annotations

__all__ = [
    "DOCUMENTED",
    "EXPLICIT_LITTLE",
    "LOSSY_METHOD",
    "NATIVE",
    "READABLE",
    "WRITABLE",
]

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
JPEG_XL_LOSSLESS = "1.2.840.10008.1.2.4.110"
JPEG_XL_RECOMPRESSION = "1.2.840.10008.1.2.4.111"
JPEG_XL = "1.2.840.10008.1.2.4.112"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
HTJ2K_LOSSLESS_RPCL = "1.2.840.10008.1.2.4.202"
HTJ2K = "1.2.840.10008.1.2.4.203"
RLE = "1.2.840.10008.1.2.5"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"

NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG})
"""Pixel data that are not encapsulated (PS3.5 sections A.1 to A.3 and A.5)."""

JPEG_LOSSY = frozenset({JPEG_BASELINE, JPEG_EXTENDED})
JPEG = JPEG_LOSSY | {JPEG_LOSSLESS, JPEG_LOSSLESS_SV1}
JLS = frozenset({JPEG_LS, JPEG_LS_NEAR})
J2K = frozenset({JPEG_2000_LOSSLESS, JPEG_2000})
HT = frozenset({HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL, HTJ2K})
JXL = frozenset({JPEG_XL_LOSSLESS, JPEG_XL_RECOMPRESSION, JPEG_XL})

DOCUMENTED = (
    frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED})
    | JPEG
    | JLS
    | J2K
    | HT
    | JXL
    | {
        RLE,
        DEFLATED_FRAMES,
    }
)
"""The transfer syntaxes a retrieve may ask for, by the Cloud Healthcare API."""

READABLE = DOCUMENTED | {EXPLICIT_BIG}
"""The transfer syntaxes whose pixels can be decoded."""

WRITABLE = DOCUMENTED
"""The transfer syntaxes an instance can be transcoded to, as far as its pixels allow."""

LOSSY_METHOD: dict[str, str] = {
    JPEG_BASELINE: "ISO_10918_1",
    JPEG_EXTENDED: "ISO_10918_1",
    JPEG_LS_NEAR: "ISO_14495_1",
    JPEG_2000: "ISO_15444_1",
    HTJ2K: "ISO_15444_15",
    JPEG_XL: "ISO_18181_1",
    JPEG_XL_RECOMPRESSION: "ISO_10918_1",
}
"""Syntaxes that lose information when they are written here, and LossyImageCompressionMethod of each.

JPEG XL recompression loses nothing itself; what it holds is a JPEG image, which has lost before.
"""
