"""WADO-RS: metadata of a study, a series or an instance, in DICOM JSON or as XML.

Sources: "DICOM conformance statement" of the Cloud Healthcare API, retrieve transaction (page of 2026-04-14);
DICOM PS3.18 sections 10.4.1.1.2 (metadata resources) and F (JSON), PS3.19 section A.1 (XML), edition 2025b.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import orjson
from werkzeug.wrappers import Request, Response

from dicomkit.dicom.multipart_writer import new_boundary
from dicomkit.dicom.native_xml import native_xml
from dicomkit.engine.accept import MULTIPART, Offer, Offers
from dicomkit.engine.handlers.dicomweb_answers import ID, INSTANCE, SERIES, STUDY, accept_of, names, started
from dicomkit.engine.routes import Route
from dicomkit.engine.wire import api_version, origin

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]

JSON = "application/dicom+json"
XML = "application/dicom+xml"

_OFFERS = Offers((Offer(JSON), Offer("application/json"), Offer(XML, multipart=True)))


def _metadata(engine: Engine, request: Request, **path: str) -> Response:
    accept = accept_of(engine, request)
    chosen = accept.best(_OFFERS)
    name, target = names(**path)
    items = engine.retrieve.find(name, target)
    base = f"{origin(request)}{api_version(request)}/{name}/dicomWeb/studies/{target.study}"
    # With the base of the instance's bulk data.
    found = (
        (f"{base}/series/{item.series_uid}/instances/{item.uid}/bulkdata/", text)
        for item, text in engine.retrieve.metadata(items)
    )
    if not chosen.multipart:
        return Response(started(_json(found)), content_type=chosen.media, direct_passthrough=True)
    boundary = new_boundary()
    content_type = f'{MULTIPART}; type="{XML}"; boundary={boundary}'
    return Response(started(_xml(found, boundary)), content_type=content_type, direct_passthrough=True)


def _json(found: Iterator[tuple[str, bytes]]) -> Iterator[bytes]:
    before = b"["
    for base, text in found:
        below = orjson.dumps(base)[1:-1]
        # In a value the quotes would be escaped, so that this finds nothing but the key.
        yield before + text.replace(b'"BulkDataURI":"', b'"BulkDataURI":"' + below)
        before = b",\n"
    yield b"]" if before != b"[" else b"[]"


def _xml(found: Iterator[tuple[str, bytes]], boundary: str) -> Iterator[bytes]:
    head = f"--{boundary}\r\nContent-Type: {XML}\r\n\r\n".encode()
    for base, text in found:
        yield b"".join((head, native_xml(orjson.loads(text), bulk_base=base), b"\r\n"))
    yield f"--{boundary}--\r\n".encode()


ROUTES = (
    Route(f"{ID}.retrieveMetadata", "GET", f"{STUDY}/metadata", _metadata),
    Route(f"{ID}.series.retrieveMetadata", "GET", f"{SERIES}/metadata", _metadata),
    Route(f"{ID}.series.instances.retrieveMetadata", "GET", f"{INSTANCE}/metadata", _metadata),
)
