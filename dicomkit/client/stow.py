"""One store request: parts go out, and its answer says what became of each.

Source: DICOM PS3.18 section 10.5 and Annex I (store transaction and its response), edition 2024e; the conformance
statement of the Cloud Healthcare API (409 for any failure, FailureDetail in private elements).
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import requests

from dicomkit.client.rest import Rest
from dicomkit.dicom.dictionary import tag_of
from dicomkit.dicom.multipart_writer import Writer
from dicomkit.errors import from_body
from dicomkit.names import is_uid

__all__ = ["FAILED", "STORED", "STORED_BEFORE", "Outcome", "store_parts"]

STORED = "stored"
STORED_BEFORE = "already_stored"
FAILED = "failed"

ACCEPT = "application/dicom+json"
ANSWERS = frozenset({202, 409})
"""Statuses beyond 200 with a store response: some failed (PS3.18), at least one failed (Healthcare API)."""

_STUDY, _SERIES, _INSTANCE = (tag_of(k) for k in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
_REFERENCED, _FAILED = tag_of("ReferencedSOPSequence"), tag_of("FailedSOPSequence")
_SOP_UID, _URL, _REASON = tag_of("ReferencedSOPInstanceUID"), tag_of("RetrieveURL"), tag_of("FailureReason")

_DETAILS = ("00091097", "00090097")
"""Google's private text of a failure."""

_CREATOR = "DICOMKIT"
"""Private creator of what dicomkit's engine says beyond the standard: the outcome, and the part's number from 1."""

_OUTCOME, _NUMBER = "01", "02"

_REASONS = {
    0x0110: "processing failure",
    0x0111: "the instance exists already, with other content",
    0x0112: "no such instance",
    0x0117: "an invalid UID",
    0x0119: "class and instance do not belong together",
    0x0122: "the SOP class is not supported",
    0x0124: "not authorised",
    0x0131: "the data set is not well-formed",
    0xA700: "out of resources",
    0xA900: "the data set does not match its SOP class",
    0xC000: "the data set is not understood",
}


@dataclass(slots=True)
class Outcome:
    """What became of one part."""

    outcome: str = ""
    reason: str | None = None
    study: str | None = None
    series: str | None = None
    instance: str | None = None


def store_parts(rest: Rest, web: str, parts: Sequence[bytes | Path], *, attempts: int | None = None) -> list[Outcome]:
    """Send *parts* in one request; the outcomes come in the same order.

    Sending twice does no harm, since the same bytes are stored once: so the request is repeated when no answer
    comes.

    Raises
    ------
    ApiError
        The request as a whole was refused, or got no answer.
    """
    writer = Writer(("application/dicom", part) for part in parts)
    headers = {"Content-Type": writer.content_type, "Accept": ACCEPT}
    request: dict[str, Any] = {"data": writer, "headers": headers, "attempts": attempts}

    def take(response: requests.Response) -> tuple[Any, int]:
        return rest.parse(response), response.status_code

    answer, status = rest.receive("POST", f"{web}/studies", take, is_repeatable=True, good=ANSWERS, **request)
    url = f"{rest.base_url}/{web}/studies"
    if not isinstance(answer, Mapping) or "error" in answer:
        if status in ANSWERS or answer is not None:
            raise from_body(answer, status=status, method="POST", url=url)
        answer = {}
    outcomes = [Outcome() for _ in parts]
    items = [(item, False) for item in _items(answer, _REFERENCED)] + [(item, True) for item in _items(answer, _FAILED)]
    if all(_part_index(item, len(parts)) is not None for item, _ in items):
        for item, has_failed in items:
            _fill(outcomes[_part_index(item, len(parts)) or 0], item, has_failed)
    else:
        _match(outcomes, items, parts)
    for outcome in outcomes:
        if not outcome.outcome:
            outcome.outcome = STORED if status < 300 and status not in ANSWERS else FAILED
            outcome.reason = None if outcome.outcome == STORED else "the server's answer does not name the instance"
    return outcomes


def _items(answer: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    element = answer.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return [item for item in values if isinstance(item, Mapping)] if isinstance(values, list) else []


def _first(item: Mapping[str, Any], tag: str) -> Any:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return values[0] if isinstance(values, list) and values else None


def _uid(item: Mapping[str, Any], tag: str) -> str | None:
    uid = _first(item, tag)
    return uid if isinstance(uid, str) and is_uid(uid) else None


def _own(item: Mapping[str, Any], element: str) -> Any:
    """A value in the block that the engine's private creator reserves (PS3.5 section 7.8.1)."""
    for tag in item:
        if tag.startswith("000900") and _first(item, tag) == _CREATOR:
            return _first(item, f"0009{tag[6:]}{element}")
    return None


def _part_index(item: Mapping[str, Any], count: int) -> int | None:
    """Which part an item is about, where the server says it."""
    number = _own(item, _NUMBER)
    return number - 1 if isinstance(number, int) and 1 <= number <= count else None


def _fill(outcome: Outcome, item: Mapping[str, Any], has_failed: bool) -> None:
    was_there = str(_own(item, _OUTCOME)).lower() == STORED_BEFORE
    outcome.outcome = FAILED if has_failed else STORED_BEFORE if was_there else STORED
    outcome.reason = _reason(item) if has_failed else None
    outcome.study = _uid(item, _STUDY) or _uid_in_url(item, "studies") or outcome.study
    outcome.series = _uid(item, _SERIES) or _uid_in_url(item, "series") or outcome.series
    outcome.instance = _uid(item, _SOP_UID) or outcome.instance


def _uid_in_url(item: Mapping[str, Any], name: str) -> str | None:
    parts = str(_first(item, _URL) or "").split("/")
    uid = parts[parts.index(name) + 1] if name in parts[:-1] else ""
    return uid if is_uid(uid) else None


def _reason(item: Mapping[str, Any]) -> str:
    detail = next((text for tag in _DETAILS if isinstance(text := _first(item, tag), str) and text), None)
    if detail:
        return detail
    code = _first(item, _REASON)
    if not isinstance(code, int):
        return "the server does not say why"
    text = _REASONS.get(code) or _REASONS.get(code & 0xFF00) or _REASONS.get(code & 0xF000) or "an unknown reason"
    return f"{text} (FailureReason 0x{code:04X})"


def _match(outcomes: list[Outcome], items: list[tuple[Mapping[str, Any], bool]], parts: Sequence[bytes | Path]) -> None:
    """Match by SOPInstanceUID, for a server that does not say which part an item is about.

    Items without a UID are those of parts that have none; there is no better order than that of the request.
    """
    by_uid: dict[str | None, list[Outcome]] = {}
    for outcome, part in zip(outcomes, parts, strict=True):
        outcome.study, outcome.series, outcome.instance = _read_uids(part)
        by_uid.setdefault(outcome.instance, []).append(outcome)
    for item, has_failed in items:
        waiting = by_uid.get(_uid(item, _SOP_UID)) or by_uid.get(None)
        if waiting:
            _fill(waiting.pop(0), item, has_failed)


def _read_uids(part: bytes | Path) -> tuple[str | None, str | None, str | None]:
    uids = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
    source: Any = io.BytesIO(part) if isinstance(part, bytes) else part
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = pydicom.dcmread(source, stop_before_pixels=True, force=True, specific_tags=list(uids))
            values = [str(found.get(uid) or "") for uid in uids]
    except Exception:  # noqa: BLE001 - pydicom raises whatever a damaged file makes it meet
        return None, None, None
    study, series, instance = (value if is_uid(value) else None for value in values)
    return study, series, instance
