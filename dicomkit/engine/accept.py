"""What a client can take: the Accept header, with parameters and in order of preference.

Source: RFC 9110 section 12.5.1; DICOM PS3.18 section 8.7.4 (acceptable media types), edition 2025b.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dicomkit.dicom.media_type import parse_media_type
from dicomkit.errors import DicomFormatError, NotAcceptable

__all__ = ["MediaRange", "not_acceptable", "parse_accept", "wants"]

_ENTRY = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_MAX_RANGES = 64


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One entry of an Accept header."""

    media: str
    """Type and subtype in lower case; either may be ``*``."""
    params: dict[str, str]
    q: float

    def covers(self, media: str) -> bool:
        """Whether a response of type *media* satisfies the range, parameters aside."""
        return self.media in ("*/*", media, media.partition("/")[0] + "/*")


def parse_accept(header: str | None) -> list[MediaRange]:
    """Entries of *header* that are not refused by ``q=0``, the most wanted first; no header is ``*/*``.

    Entries that cannot be read are left out, as unknown types would be.
    """
    if header is None or not header.strip():
        return [MediaRange("*/*", {}, 1.0)]
    ranges: list[MediaRange] = []
    for match in _ENTRY.finditer(header):
        try:
            media, params = parse_media_type(match[0].strip())
        except DicomFormatError:
            continue
        q = _quality(params.pop("q", "1"))
        if q > 0 and len(ranges) < _MAX_RANGES:
            ranges.append(MediaRange(media, params, q))
    return sorted(ranges, key=lambda r: -r.q)


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def wants(header: str | None, offers: tuple[str, ...]) -> str | None:
    """The first of *offers* that the most wanted range covers."""
    for entry in parse_accept(header):
        for offer in offers:
            if entry.covers(offer):
                return offer
    return None


def not_acceptable(header: str | None, offers: str) -> NotAcceptable:
    """The error of Google's wording."""
    return NotAcceptable(
        f"no supported media type found in [{(header or '*/*')[:200]}], accept-header must include one of {offers}"
    )
