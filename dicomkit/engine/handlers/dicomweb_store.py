"""STOW-RS: storing instances.

Sources: "DICOM conformance statement" of the Cloud Healthcare API, store transaction (page of 2026-04-14);
DICOM PS3.18 section 10.5, edition 2025b; PS3.19 section A.1 (Native DICOM Model).

Beside Google's private elements each item of a JSON answer carries, in friendly mode, a private block of creator
``DICOMKIT``: (0009,1101) CS ``STORED``, ``ALREADY_STORED`` or ``FAILED``, and (0009,1102) IS, the place of the part in
the request, from 1. Without them a client could not tell which file of many failed, when a file has no readable UID.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

import orjson
from werkzeug.wrappers import Request, Response

from dicomkit.dicom.json_instances import instances_of
from dicomkit.dicom.media_type import parse_media_type
from dicomkit.dicom.multipart import Part, parts, whole
from dicomkit.engine.accept import not_acceptable, wants
from dicomkit.engine.routes import WEB, Route
from dicomkit.engine.services.ingest import StoreResult
from dicomkit.engine.wire import api_version, check_uids, origin, refuse_content_encoding, store_name
from dicomkit.errors import DicomFormatError, InvalidArgument

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]

PROCESSING_FAILURE = 272
"""Failure Reason (0008,1197), the only one that the service uses; the private text says more."""

XML = "application/dicom+xml"
JSON = "application/dicom+json"
_MULTIPARTS = ("application/dicom", JSON)
_BULK_SPOOL_BYTES = 16 << 10
_MAX_BULK_PARTS = 10_000
_STORAGE_CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")

Item = dict[str, Any]


def _store(
    engine: Engine, request: Request, project: str, location: str, dataset: str, store: str, study: str | None = None
) -> Response:
    name = store_name(project, location, dataset, store)
    check_uids(study=study)
    accept = request.headers.get("Accept")
    media = wants(accept, (XML, JSON, "application/json"))
    if media is None:
        raise not_acceptable(accept, f"{XML}, {JSON}")
    storage_class = request.headers.get("Storage-Class", "STANDARD")
    if storage_class not in _STORAGE_CLASSES:
        raise InvalidArgument(f"the header Storage-Class must be one of {', '.join(_STORAGE_CLASSES)}")
    try:
        results = engine.ingest.store(name, _parts(engine, request), study_uid=study, storage_class=storage_class)
    except DicomFormatError as exc:
        raise InvalidArgument(str(exc)) from exc
    if not results:
        raise InvalidArgument("the body holds no instance")
    base = f"{origin(request)}{api_version(request)}/{name}/dicomWeb"
    status = 409 if any(r.outcome == "failed" for r in results) else 200
    if media == XML:
        return Response(_xml(results, base), status=status, content_type=XML)
    body = orjson.dumps(_json(results, base, with_numbers=engine.mode == "friendly"))
    return Response(body, status=status, content_type=media)


def _parts(engine: Engine, request: Request) -> Iterator[Part]:
    """The instances of the body, one after another."""
    refuse_content_encoding(request)
    content_type = request.headers.get("Content-Type", "")
    media, params = parse_media_type(content_type)
    tmp = engine.storage.home.tmp
    if media == "application/dicom":
        part = whole(request.stream, media, tmp_dir=tmp)
        if part.size:
            yield part
        else:
            part.close()
    elif media == "multipart/related" and (kind := params.get("type", "application/dicom").lower()) in _MULTIPARTS:
        if kind == "application/dicom":
            yield from parts(request.stream, content_type, tmp_dir=tmp)
        else:
            # All bulk data has to be there before an instance can be written.
            received = parts(
                request.stream, content_type, tmp_dir=tmp, spool_bytes=_BULK_SPOOL_BYTES, max_parts=_MAX_BULK_PARTS
            )
            yield from instances_of(received, tmp)
    else:
        # Google answers 400 here, where PS3.18 has 415.
        raise InvalidArgument(
            'the Content-Type must be application/dicom, or multipart/related with type="application/dicom" or '
            'type="application/dicom+json"; boundary=...'
        )


def _study_url(results: Sequence[StoreResult], base: str) -> str | None:
    """URL of the study, where all instances that have one are of the same."""
    studies = {r.study_uid for r in results if r.study_uid}
    return f"{base}/studies/{studies.pop()}" if len(studies) == 1 else None


def _instance_url(result: StoreResult, base: str) -> str:
    return f"{base}/studies/{result.study_uid}/series/{result.series_uid}/instances/{result.sop_uid}"


# DICOM JSON


def _json(results: Sequence[StoreResult], base: str, *, with_numbers: bool) -> Item:
    answer: Item = {}
    if url := _study_url(results, base):
        answer["00081190"] = {"vr": "UR", "Value": [url]}
    failed = [_failed_item(r, with_numbers) for r in results if r.outcome == "failed"]
    stored = [_stored_item(r, base, with_numbers) for r in results if r.outcome != "failed"]
    if failed:
        answer["00081198"] = {"vr": "SQ", "Value": failed}
    if stored:
        answer["00081199"] = {"vr": "SQ", "Value": stored}
    return answer


def _references(result: StoreResult) -> Item:
    item: Item = {}
    if result.sop_class:
        item["00081150"] = {"vr": "UI", "Value": [result.sop_class]}
    if result.sop_uid:
        item["00081155"] = {"vr": "UI", "Value": [result.sop_uid]}
    return item


def _stored_item(result: StoreResult, base: str, with_numbers: bool) -> Item:
    item = _references(result)
    item["00081190"] = {"vr": "UR", "Value": [_instance_url(result, base)]}
    if with_numbers:
        item |= {"00090011": {"vr": "LO", "Value": ["DICOMKIT"]}} | _numbers(result)
    return item


def _failed_item(result: StoreResult, with_numbers: bool) -> Item:
    item = _references(result)
    item["00081197"] = {"vr": "US", "Value": [PROCESSING_FAILURE]}
    item["00090010"] = {"vr": "LO", "Value": ["GOOGLE"]}
    if with_numbers:
        item["00090011"] = {"vr": "LO", "Value": ["DICOMKIT"]}
    item["00091097"] = {"vr": "LT", "Value": [result.reason]}
    return item | _numbers(result) if with_numbers else item


def _numbers(result: StoreResult) -> Item:
    return {
        "00091101": {"vr": "CS", "Value": [result.outcome.upper()]},
        "00091102": {"vr": "IS", "Value": [result.number]},
    }


# Native DICOM Model


def _xml(results: Sequence[StoreResult], base: str) -> str:
    parts_ = ['<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xml:space="preserve">']
    if url := _study_url(results, base):
        parts_.append(_attribute("00081190", "UR", "RetrieveURL", url))
    failed = [r for r in results if r.outcome == "failed"]
    stored = [r for r in results if r.outcome != "failed"]
    if failed:
        items = [
            _xml_references(r)
            + _attribute("00081197", "US", "FailureReason", str(PROCESSING_FAILURE))
            + _attribute("00090097", "LT", "FailureDetail", r.reason, creator="GOOGLE")
            for r in failed
        ]
        parts_.append(_sequence("00081198", "FailedSOPSequence", items))
    if stored:
        items = [
            _xml_references(r) + _attribute("00081190", "UR", "RetrieveURL", _instance_url(r, base)) for r in stored
        ]
        parts_.append(_sequence("00081199", "ReferencedSOPSequence", items))
    parts_.append("</NativeDicomModel>\n")
    return "".join(parts_)


def _xml_references(result: StoreResult) -> str:
    text = ""
    if result.sop_class:
        text += _attribute("00081150", "UI", "ReferencedSOPClassUID", result.sop_class)
    if result.sop_uid:
        text += _attribute("00081155", "UI", "ReferencedSOPInstanceUID", result.sop_uid)
    return text


def _attribute(tag: str, vr: str, keyword: str, value: str, *, creator: str | None = None) -> str:
    private = f" privateCreator={quoteattr(creator)}" if creator else ""
    return (
        f'<DicomAttribute tag="{tag}" vr="{vr}" keyword="{keyword}"{private}>'
        f'<Value number="1">{escape(value)}</Value></DicomAttribute>'
    )


def _sequence(tag: str, keyword: str, items: Sequence[str]) -> str:
    inner = "".join(f'<Item number="{number}">{item}</Item>' for number, item in enumerate(items, 1))
    return f'<DicomAttribute tag="{tag}" vr="SQ" keyword="{keyword}">{inner}</DicomAttribute>'


_ID = "healthcare.projects.locations.datasets.dicomStores"

ROUTES = (
    Route(f"{_ID}.storeInstances", "POST", f"{WEB}/studies", _store),
    Route(f"{_ID}.studies.storeInstances", "POST", f"{WEB}/studies/<study>", _store),
)
