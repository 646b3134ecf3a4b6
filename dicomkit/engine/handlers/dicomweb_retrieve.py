"""WADO-RS: studies, series and instances, as they were stored or transcoded; and the deletes of the same paths.

Sources: "DICOM conformance statement" of the Cloud Healthcare API, retrieve transaction (page of 2026-04-14);
DICOM PS3.18 sections 8.7 and 10.4, edition 2025b.
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
    SERIES,
    STUDY,
    AnswerPart,
    accept_of,
    letting_go,
    multipart,
    names,
    single,
    started,
)
from dicomkit.engine.persistence.index_lookup import StoredInstance
from dicomkit.engine.routes import Route
from dicomkit.engine.services.retrieve import Found
from dicomkit.engine.wire import api_version, json_response
from dicomkit.errors import NotAcceptable

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]

DICOM = "application/dicom"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
"""Transfer syntax of an answer when the request names none."""

_SYNTAXES = (
    *(EXPLICIT_LITTLE, "*", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"),
    *(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91, 92, 93, 110, 111, 112, 201, 202, 203)),
    *(f"1.2.840.10008.1.2.4.{n}" for n in (100, 101, 102, 103, 104, 105, 106)),
    *("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1"),
)
"""What can be asked for. Some can be had as they were stored only, which is found when it is tried."""

_MANY = Offers(tuple(Offer(DICOM, True, syntax, syntax == EXPLICIT_LITTLE) for syntax in _SYNTAXES))
_ONE = Offers(
    tuple(Offer(DICOM, multi, syntax, syntax == EXPLICIT_LITTLE) for syntax in _SYNTAXES for multi in (True, False))
)


def _retrieve(engine: Engine, request: Request, **path: str) -> Response:
    name, target = names(**path)
    found = engine.retrieve.held(name, target)
    accept, offers = accept_of(engine, request), _ONE if target.instance else _MANY
    refused: NotAcceptable | None = None
    with letting_go(found.hold):
        for offer in accept.ranked(offers):
            try:
                response = _answer(engine, request, found, offer)
            except NotAcceptable as exc:
                # The next one may be stored so, or take these pixels.
                refused = refused or exc
            else:
                response.headers["Content-Disposition"] = "attachment"
                return response
        raise refused or accept.refusal(offers)


def _answer(engine: Engine, request: Request, found: Found, offer: Offer) -> Response:
    parts = _parts(engine, found.items, offer.syntax or "*")
    if offer.multipart:
        return multipart(parts, DICOM, found.hold)
    (item,), (part,) = found.items, parts
    if part.length is not None:
        content = partial(engine.retrieve.chunks, item)
        return single(request, content, part.length, part.content_type, found.hold, etag=item.sha256.hex())
    return Response(started(part.chunks(), found.hold), content_type=part.content_type, direct_passthrough=True)


def _parts(engine: Engine, items: Sequence[StoredInstance], syntax: str) -> list[AnswerPart]:
    """The instances as they were stored, where that is the syntax, or transcoded when their turn comes."""

    def is_there(item: StoredInstance) -> bool:
        return syntax == "*" or (syntax == item.transfer_syntax and engine.retrieve.is_part10(item))

    there = {item.key for item in items if is_there(item)}
    transcoded = engine.renderings.all_transcoded([item for item in items if item.key not in there], syntax)

    def following() -> Iterator[bytes]:
        yield next(transcoded)

    return [
        AnswerPart(f"{DICOM}; transfer-syntax={syntax}", following)
        if item.key not in there
        else AnswerPart(
            f"{DICOM}; transfer-syntax={item.transfer_syntax}",
            partial(engine.retrieve.chunks, item),
            item.place.length,
        )
        for item in items
    ]


def _delete(engine: Engine, request: Request, **path: str) -> Response:
    name, target = names(**path)
    if target.series is not None and target.instance is not None:
        engine.removal.instance(name, target.study, target.series, target.instance)
        return json_response(request, {})
    done = engine.removal.study(name, target.study, target.series, engine.operations, api=api_version(request))
    return json_response(request, done)


ROUTES = (
    Route(f"{ID}.retrieveStudy", "GET", STUDY, _retrieve),
    Route(f"{ID}.series.retrieveSeries", "GET", SERIES, _retrieve),
    Route(f"{ID}.series.instances.retrieveInstance", "GET", INSTANCE, _retrieve),
    Route(f"{ID}.delete", "DELETE", STUDY, _delete),
    Route(f"{ID}.series.delete", "DELETE", SERIES, _delete),
    Route(f"{ID}.series.instances.delete", "DELETE", INSTANCE, _delete),
)
