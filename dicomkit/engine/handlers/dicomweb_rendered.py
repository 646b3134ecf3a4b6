"""WADO-RS: instances and frames as pictures that any program shows.

Sources: "DICOM conformance statement" of the Cloud Healthcare API, retrieve transaction (page of 2026-04-14), and its
release notes (several frames since 2025-12-17); DICOM PS3.18 sections 8.3.5 and 10.4.1.1.4, edition 2025b.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
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
from dicomkit.errors import InvalidArgument
from dicomkit.pixels.viewport import Viewport

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]

_MEDIA = ("image/jpeg", "image/png")
_ALONE = Offers(tuple(Offer(media, is_multipart) for is_multipart in (False, True) for media in _MEDIA))
_SEVERAL = Offers(tuple(Offer(media, multipart=True) for media in _MEDIA))

_NOT_TAKEN = ("window", "quality", "annotation", "iccprofile", "charset")
"""Parameters of PS3.18 that the service does not have: without them the picture would be another one."""


def _rendered(engine: Engine, request: Request, *, frames: str | None = None, **path: str) -> Response:
    name, target = names(**path)
    asked = frame_numbers(frames) if frames is not None else None
    viewport = _viewport(request)
    accept = accept_of(engine, request)
    found = engine.retrieve.held(name, target)
    with letting_go(found.hold):
        (item,) = found.items
        numbers: Sequence[int]
        if asked is None:
            numbers = range(1, engine.renderings.frame_count(item) + 1)
        else:
            engine.renderings.check_frames(item, asked)
            numbers = asked
        offers = _ALONE if len(numbers) == 1 else _SEVERAL
        chosen = accept.best(offers)
        media = chosen.media
        made = engine.renderings.all_rendered(item, numbers, media, viewport)
        if chosen.multipart:
            return multipart([AnswerPart(media, partial(_next, made)) for _ in numbers], media, found.hold)
        body = next(made)
        found.hold.close()
        return Response(body, content_type=media)


def _next(made: Iterator[bytes]) -> Iterator[bytes]:
    yield next(made)


def _viewport(request: Request) -> Viewport | None:
    for name in _NOT_TAKEN:
        if name in request.args:
            raise InvalidArgument(f"the parameter {name} is not supported; the one that is, is viewport")
    text = request.args.get("viewport")
    return Viewport.parse(text) if text is not None else None


ROUTES = (
    Route(f"{ID}.series.instances.retrieveRendered", "GET", f"{INSTANCE}/rendered", _rendered),
    Route(f"{ID}.series.instances.frames.retrieveRendered", "GET", f"{INSTANCE}/frames/<frames>/rendered", _rendered),
)
