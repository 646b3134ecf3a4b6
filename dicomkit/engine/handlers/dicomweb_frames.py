"""WADO-RS: frames of an instance, as bytes without a file around them.

Sources: "DICOM conformance statement" of the Cloud Healthcare API, retrieve transaction (page of 2026-04-14);
DICOM PS3.18 sections 8.7.3.3 (media types and their transfer syntaxes) and 10.4.1.1.6, edition 2025b.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dicomkit.engine.accept import Offer, Offers
from dicomkit.engine.handlers.dicomweb_answers import (
    ID,
    INSTANCE,
    AnswerPart,
    accept_of,
    letting_go,
    multipart,
    names,
)
from dicomkit.engine.routes import Route
from dicomkit.engine.services.renderings import frame_numbers
from dicomkit.engine.services.retrieve import Found
from dicomkit.errors import NotAcceptable
from dicomkit.pixels.syntaxes import NATIVE

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]

OCTETS = "application/octet-stream"
PNG = "image/png"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"

_JPEG_FAMILY = "1.2.840.10008.1.2.4."
_SYNTAXES: dict[str, tuple[str, ...]] = {
    "image/jpeg": tuple(_JPEG_FAMILY + n for n in ("70", "50", "51", "57")),
    "image/jls": (f"{_JPEG_FAMILY}80", f"{_JPEG_FAMILY}81"),
    "image/jp2": (f"{_JPEG_FAMILY}90", f"{_JPEG_FAMILY}91"),
    "image/jphc": tuple(_JPEG_FAMILY + n for n in ("201", "202", "203")),
    "image/jxl": tuple(_JPEG_FAMILY + n for n in ("110", "112", "111")),
    "image/dicom-rle": ("1.2.840.10008.1.2.5",),
    "application/x-deflate": ("1.2.840.10008.1.2.8.1",),
}
"""Media type -> its transfer syntaxes; the first is that of PS3.18 for a range that names none."""

_KNOWN = frozenset(uid for uids in _SYNTAXES.values() for uid in uids)


def _offers(stored: str, *, alone: bool) -> Offers:
    return _made_offers(stored if stored in _KNOWN else None, alone)


@lru_cache(maxsize=128)
def _made_offers(stored: str | None, alone: bool) -> Offers:
    """What can be asked for, of an instance in that transfer syntax; *alone*: one frame, which may be one body."""
    forms: list[tuple[str, str | None, bool]] = [(OCTETS, EXPLICIT_LITTLE, True), (OCTETS, "*", False)]
    for media, uids in _SYNTAXES.items():
        # Frames that are of the type already are not decoded for nothing.
        default = stored if stored in uids else uids[0]
        forms += [(media, uid, uid == default) for uid in (default, *(uid for uid in uids if uid != default))]
        if stored in uids:
            forms.append((media, "*", False))
    forms.append((PNG, None, True))
    return Offers(
        tuple(
            Offer(media, is_multipart, syntax, is_default)
            for is_multipart in ((True, False) if alone else (True,))
            for media, syntax, is_default in forms
        )
    )


def _frames(engine: Engine, request: Request, *, frames: str, **path: str) -> Response:
    name, target = names(**path)
    numbers = frame_numbers(frames)
    found = engine.retrieve.held(name, target)
    accept = accept_of(engine, request)
    offers = _offers(found.items[0].transfer_syntax, alone=len(numbers) == 1)
    refused: NotAcceptable | None = None
    with letting_go(found.hold):
        ranked = accept.ranked(offers)
        if ranked:
            engine.renderings.check_frames(found.items[0], numbers)
        for offer in ranked:
            try:
                return _answer(engine, found, numbers, offer)
            except NotAcceptable as exc:
                # The next one may be of the store, or take these pixels.
                refused = refused or exc
        raise refused or accept.refusal(offers)


def _answer(engine: Engine, found: Found, numbers: Sequence[int], offer: Offer) -> Response:
    (item,) = found.items
    if offer.syntax is None:
        made, content_type = engine.renderings.frames_as_png(item, numbers), offer.media
    else:
        made = engine.renderings.frames(item, numbers, offer.syntax)
        label = item.transfer_syntax if offer.syntax == "*" else offer.syntax
        # A native frame is little endian, whatever the file is.
        content_type = f"{offer.media}; transfer-syntax={EXPLICIT_LITTLE if label in NATIVE else label}"
    if not offer.multipart:
        body = next(made)
        found.hold.close()
        return Response(body, content_type=content_type)

    def one() -> Iterator[bytes]:
        yield next(made)

    return multipart([AnswerPart(content_type, one) for _ in numbers], offer.media, found.hold)


ROUTES = (Route(f"{ID}.series.instances.frames.retrieveFrames", "GET", f"{INSTANCE}/frames/<frames>", _frames),)
