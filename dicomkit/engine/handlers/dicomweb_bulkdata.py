"""WADO-RS: bulk data of an instance, at the URIs that its metadata name.

Sources: "DICOM conformance statement" of the Cloud Healthcare API, retrieve transaction (page of 2026-04-14);
discovery document, ``retrieveBulkdata``; DICOM PS3.18 section 10.4.1.1.5, edition 2025b.
"""

from __future__ import annotations

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
    single,
)
from dicomkit.engine.routes import Route
from dicomkit.engine.services.bulk_data import bulk_path

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]

OCTETS = "application/octet-stream"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"

_OFFERS = Offers(
    tuple(
        Offer(OCTETS, multi, syntax, syntax == EXPLICIT_LITTLE)
        for syntax in (EXPLICIT_LITTLE, "*")
        for multi in (True, False)
    )
)


def _bulkdata(engine: Engine, request: Request, *, bulk: str, **path: str) -> Response:
    name, target = names(**path)
    place = bulk_path(bulk)
    accept = accept_of(engine, request)
    chosen = accept.best(_OFFERS)
    found = engine.retrieve.held(name, target)
    with letting_go(found.hold):
        (item,) = found.items
        value = engine.bulk_data.open(item, place, as_stored=chosen.syntax == "*")
        content_type = f"{OCTETS}; transfer-syntax={value.transfer_syntax}" if value.is_encapsulated else OCTETS
        if not chosen.multipart:
            etag = f"{item.sha256.hex()}-{place}{'-encapsulated' if value.is_encapsulated else ''}"
            response = single(request, value.chunks, value.length, content_type, found.hold, etag=etag)
        else:
            part = AnswerPart(content_type, value.chunks, value.length)
            response = multipart([part], OCTETS, found.hold)
    response.headers["Content-Disposition"] = "attachment"
    return response


ROUTES = (
    Route(f"{ID}.series.instances.bulkdata.retrieveBulkdata", "GET", f"{INSTANCE}/bulkdata/<path:bulk>", _bulkdata),
)
