"""WADO-RS: instances as they were stored, and metadata; and the deletes of the same paths.

Sources: "DICOM conformance statement" of the Cloud Healthcare API, retrieve transaction (page of 2026-04-14);
DICOM PS3.18 sections 8.7 and 10.4, edition 2025b.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import orjson
from werkzeug.wrappers import Request, Response

from dicomkit.dicom.multipart_writer import new_boundary
from dicomkit.engine.accept import MediaRange, not_acceptable, parse_accept, wants
from dicomkit.engine.persistence.index_lookup import StoredInstance
from dicomkit.engine.routes import WEB, Route
from dicomkit.engine.services.retrieve import Target
from dicomkit.engine.wire import api_version, check_uids, json_response, store_name
from dicomkit.errors import NotAcceptable
from dicomkit.names import DicomStoreName

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]

DICOM = "application/dicom"
MULTIPART = "multipart/related"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
"""Transfer syntax of an answer when the request names none."""

_METADATA_OFFERS = ("application/dicom+json", "application/json")


def _names(
    project: str, location: str, dataset: str, store: str, study: str, series: str | None, instance: str | None
) -> tuple[DicomStoreName, Target]:
    check_uids(study=study, series=series, instance=instance)
    return store_name(project, location, dataset, store), Target(study, series, instance)


def _retrieve(
    engine: Engine,
    request: Request,
    project: str,
    location: str,
    dataset: str,
    store: str,
    study: str,
    series: str | None = None,
    instance: str | None = None,
) -> Response:
    name, target = _names(project, location, dataset, store, study, series, instance)
    items = engine.retrieve.find(name, target)
    if _takes_multipart(request.headers.get("Accept"), target, items):
        response = _multipart(engine, items)
    else:
        response = _single(engine, items[0])
    response.headers["Content-Disposition"] = "attachment"
    return response


def _takes_multipart(accept: str | None, target: Target, items: Sequence[StoredInstance]) -> bool:
    """Whether the answer is multipart, by the most wanted range that can be satisfied; else it is one file."""
    fits_but_for_syntax = False
    for entry in parse_accept(accept):
        multipart = _is_multipart(entry)
        if multipart is None or not (multipart or target.instance):
            continue
        syntax = entry.params.get("transfer-syntax", EXPLICIT_LITTLE)
        if syntax == "*" or all(item.transfer_syntax == syntax for item in items):
            return multipart
        fits_but_for_syntax = True
    if fits_but_for_syntax:
        raise NotAcceptable(
            "the stored transfer syntax is not the one asked for, and this server does not transcode; "
            "ask for transfer-syntax=* to get the instances as they were stored"
        )
    offers = f'{MULTIPART}; type="{DICOM}"; transfer-syntax=*'
    raise not_acceptable(accept, f"{offers}, {DICOM}; transfer-syntax=*" if target.instance else offers)


def _is_multipart(entry: MediaRange) -> bool | None:
    """Whether the range takes a multipart answer (which is the default) or one file; ``None`` when neither."""
    if entry.covers(MULTIPART):
        return True if entry.params.get("type", DICOM).lower() in (DICOM, "*/*", "application/*") else None
    return False if entry.covers(DICOM) else None


def _single(engine: Engine, item: StoredInstance) -> Response:
    response = Response(
        _started(engine.retrieve.chunks(item)),
        content_type=f"{DICOM}; transfer-syntax={item.transfer_syntax}",
        direct_passthrough=True,
    )
    response.content_length = item.place.length
    return response


def _multipart(engine: Engine, items: Sequence[StoredInstance]) -> Response:
    boundary = new_boundary()
    heads = [
        f"--{boundary}\r\nContent-Type: {DICOM}; transfer-syntax={item.transfer_syntax}\r\n"
        f"Content-Length: {item.place.length}\r\n\r\n".encode("ascii")
        for item in items
    ]
    end = f"--{boundary}--\r\n".encode("ascii")

    def body() -> Iterator[bytes]:
        for head, item in zip(heads, items, strict=True):
            before = head
            for chunk in engine.retrieve.chunks(item):
                # A small part goes out in one piece.
                yield before + chunk if len(chunk) < 64 << 10 else before
                if len(chunk) >= 64 << 10:
                    yield chunk
                before = b""
            yield b"\r\n"
        yield end

    response = Response(
        _started(body()),
        content_type=f'{MULTIPART}; type="{DICOM}"; boundary={boundary}',
        direct_passthrough=True,
    )
    response.content_length = sum(len(h) + i.place.length + 2 for h, i in zip(heads, items, strict=True)) + len(end)
    return response


def _started(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """*chunks*, of which the first is made now: damage that it shows is an error and not a broken answer."""
    return chain([next(chunks, b"")], chunks)


def _metadata(
    engine: Engine,
    request: Request,
    project: str,
    location: str,
    dataset: str,
    store: str,
    study: str,
    series: str | None = None,
    instance: str | None = None,
) -> Response:
    accept = request.headers.get("Accept")
    media = wants(accept, _METADATA_OFFERS)
    if media is None:
        raise not_acceptable(accept, _METADATA_OFFERS[0])
    name, target = _names(project, location, dataset, store, study, series, instance)
    items = engine.retrieve.find(name, target)
    base = f"{request.host_url}v1/{name}/dicomWeb/studies/{study}"

    def body() -> Iterator[bytes]:
        before = b"["
        for item, text in engine.retrieve.metadata(items):
            below = orjson.dumps(f"{base}/series/{item.series_uid}/instances/{item.uid}/bulkdata/")[1:-1]
            # In a value the quotes would be escaped, so that this finds nothing but the key.
            yield before + text.replace(b'"BulkDataURI":"', b'"BulkDataURI":"' + below)
            before = b",\n"
        yield b"]" if before != b"[" else b"[]"

    return Response(_started(body()), content_type=media, direct_passthrough=True)


def _delete(
    engine: Engine,
    request: Request,
    project: str,
    location: str,
    dataset: str,
    store: str,
    study: str,
    series: str | None = None,
    instance: str | None = None,
) -> Response:
    name, target = _names(project, location, dataset, store, study, series, instance)
    if target.instance:
        engine.removal.instances(name, study, series, instance)
        return json_response(request, {})
    begun = engine.removal.begin(engine.operations, name, study, series, api=api_version(request))
    return json_response(request, begun)


_ID = "healthcare.projects.locations.datasets.dicomStores.studies"
_STUDY = f"{WEB}/studies/<study>"
_SERIES = f"{_STUDY}/series/<series>"
_INSTANCE = f"{_SERIES}/instances/<instance>"

ROUTES = (
    Route(f"{_ID}.retrieveStudy", "GET", _STUDY, _retrieve),
    Route(f"{_ID}.series.retrieveSeries", "GET", _SERIES, _retrieve),
    Route(f"{_ID}.series.instances.retrieveInstance", "GET", _INSTANCE, _retrieve),
    Route(f"{_ID}.retrieveMetadata", "GET", f"{_STUDY}/metadata", _metadata),
    Route(f"{_ID}.series.retrieveMetadata", "GET", f"{_SERIES}/metadata", _metadata),
    Route(f"{_ID}.series.instances.retrieveMetadata", "GET", f"{_INSTANCE}/metadata", _metadata),
    Route(f"{_ID}.delete", "DELETE", _STUDY, _delete),
    Route(f"{_ID}.series.delete", "DELETE", _SERIES, _delete),
    Route(f"{_ID}.series.instances.delete", "DELETE", _INSTANCE, _delete),
)
