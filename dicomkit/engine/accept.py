"""What a client can take, against what can be had: the Accept header, and the query parameter that stands for it.

Sources: RFC 9110 section 12.5.1 (ranges, weights, the most specific range decides); DICOM PS3.18 sections 8.3.3.1
(Accept query parameter), 8.7.4 (acceptable media types) and 8.7.8.1 (selected media type), edition 2025b.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from urllib.parse import unquote

from dicomkit.dicom.media_type import parse_media_type
from dicomkit.errors import DicomFormatError, NotAcceptable

__all__ = ["MULTIPART", "Accept", "MediaRange", "Offer", "Offers", "not_acceptable", "parse_accept", "wants"]

MULTIPART = "multipart/related"

_ENTRY = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_MAX_RANGES = 64
_CACHED_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One entry of an Accept header."""

    media: str
    """Type and subtype in lower case; either may be ``*``."""
    params: dict[str, str]
    q: float

    def covers(self, media: str) -> bool:
        """Whether a response of type *media* satisfies the range, parameters aside."""
        return _covers(self.media, media)


def _covers(pattern: str, media: str) -> bool:
    return pattern in ("*/*", media, media.partition("/")[0] + "/*")


@dataclass(frozen=True, slots=True)
class Offer:
    """One form that an answer can have."""

    media: str
    """Media type of the content: of the parts, where the answer is multipart."""
    multipart: bool = False
    syntax: str | None = None
    """Transfer syntax, ``"*"`` for that of the store; ``None`` where the media type knows none."""
    is_default: bool = True
    """Whether a range that names no transfer syntax takes it."""

    def __str__(self) -> str:
        text = f'{MULTIPART}; type="{self.media}"' if self.multipart else self.media
        return f"{text}; transfer-syntax={self.syntax}" if self.syntax else text

    def fit(self, entry: MediaRange) -> tuple[int, int, int] | None:
        """How specific *entry* is where it takes this offer; ``None`` where it does not."""
        if not entry.covers(MULTIPART if self.multipart else self.media):
            return None
        kind = entry.params.get("type", "").lower() if self.multipart else ""
        if kind and not _covers(kind, self.media):
            return None
        syntax = entry.params.get("transfer-syntax") if self.syntax else None
        if syntax != self.syntax and not (syntax is None and self.is_default):
            return None
        return _exactness(entry.media), _exactness(kind), int(syntax is not None)


def _exactness(pattern: str) -> int:
    return 0 if pattern in ("", "*/*") else 1 if pattern.endswith("/*") else 2


@dataclass(frozen=True, eq=False, slots=True)
class Offers:
    """The forms that the answers of a method can have, the server's own choice first."""

    all: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class Accept:
    """What a request says that it takes."""

    header: str | None
    query: str = ""
    """Values of the query parameter ``accept``, as far as it is heeded."""

    @classmethod
    def of(cls, header: str | None, query_string: bytes, *, heeds_query: bool) -> Accept:
        """What header and query say.

        Parameters
        ----------
        header
            All Accept headers, joined by commas.
        query_string
            As it was sent: a plus sign in a media type is one, and no blank.
        heeds_query
            Whether the parameter counts; the Cloud Healthcare API does not have it.
        """
        if not heeds_query or b"accept=" not in query_string:
            return cls(header)
        pairs = (pair.partition("=") for pair in query_string.decode("latin-1").split("&"))
        return cls(header, ",".join(unquote(value) for name, _, value in pairs if name == "accept"))

    def ranked(self, offers: Offers) -> Sequence[Offer]:
        """Those of *offers* that are acceptable, the most wanted first."""
        if len(self.header or "") + len(self.query) > _CACHED_CHARACTERS:
            return _ranked(self.header, self.query, offers)
        return _ranked_and_kept(self.header, self.query, offers)

    def best(self, offers: Offers) -> Offer:
        """The most wanted of *offers*; raises :meth:`refusal` when none is acceptable."""
        ranked = self.ranked(offers)
        if not ranked:
            raise self.refusal(offers)
        return ranked[0]

    def refusal(self, offers: Offers) -> NotAcceptable:
        """The error for a request that takes none of *offers*."""
        words = [str(offer) for offer in offers.all if offer.is_default or offer.syntax == "*"]
        return not_acceptable(", ".join(filter(None, (self.query, self.header))), ", ".join(words))


def _ranked(header: str | None, query: str, offers: Offers) -> tuple[Offer, ...]:
    # The parameter goes before the header, and has no wildcards (PS3.18 sections 8.3.3.1 and 8.7.8.1).
    named = [r for r in _entries(query) if "*" not in r.media] if query.strip(" ,") else []
    first = _sorted(named, offers)
    return first + tuple(offer for offer in _sorted(_header_entries(header), offers) if offer not in first)


_ranked_and_kept = lru_cache(maxsize=512)(_ranked)


def _sorted(entries: Sequence[MediaRange], offers: Offers) -> tuple[Offer, ...]:
    found: list[tuple[float, int, int, Offer]] = []
    for place, offer in enumerate(offers.all):
        best: tuple[tuple[int, int, int], int] | None = None
        for index, entry in enumerate(entries):
            fit = offer.fit(entry)
            if fit is not None and (best is None or fit > best[0]):
                best = fit, index
        if best is not None and entries[best[1]].q > 0:
            found.append((-entries[best[1]].q, best[1], place, offer))
    return tuple(item[-1] for item in sorted(found, key=lambda item: item[:3]))


def parse_accept(header: str | None) -> list[MediaRange]:
    """Entries of *header* that are not refused by ``q=0``, the most wanted first; no header is ``*/*``.

    Entries that cannot be read are left out, as unknown types would be.
    """
    return sorted((entry for entry in _header_entries(header) if entry.q > 0), key=lambda r: -r.q)


def _header_entries(header: str | None) -> list[MediaRange]:
    if header is None or not header.strip():
        return [MediaRange("*/*", {}, 1.0)]
    return _entries(header)


def _entries(text: str) -> list[MediaRange]:
    return [entry for entry, _ in zip(_each_entry(text), range(_MAX_RANGES), strict=False)]


def _each_entry(text: str) -> Iterator[MediaRange]:
    for match in _ENTRY.finditer(text):
        try:
            media, params = parse_media_type(match[0].strip())
        except DicomFormatError:
            continue
        yield MediaRange(media, params, _quality(params.pop("q", "1")))


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def wants(header: str | None, offers: tuple[str, ...]) -> str | None:
    """The one of *offers* that a client wants most; ``None`` when it takes none of them."""
    ranked = Accept(header).ranked(_offers(offers))
    return ranked[0].media if ranked else None


@cache
def _offers(media: tuple[str, ...]) -> Offers:
    return Offers(tuple(Offer(each) for each in media))


def not_acceptable(header: str | None, offers: str) -> NotAcceptable:
    """The error of Google's wording."""
    return NotAcceptable(
        f"no supported media type found in [{(header or '*/*')[:200]}], accept-header must include one of {offers}"
    )
