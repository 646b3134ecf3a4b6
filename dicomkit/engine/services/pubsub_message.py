"""What a message says to who reads it.

Source: Cloud Healthcare API v1, ``DicomNotificationConfig``, and "Configure DICOM Pub/Sub notifications" (page of
2026-04).
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from dicomkit.engine.persistence.messages import Message

__all__ = ["attributes", "data", "moment"]

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def data(message: Message) -> str:
    """What a message says: the name of the instance."""
    change = message.change
    return f"{message.store}/dicomWeb/studies/{change.study_uid}/series/{change.series_uid}/instances/{change.sop_uid}"


def attributes(message: Message) -> dict[str, str]:
    """Attributes of a message; none for the older form, and none without a value."""
    if message.action is None:
        return {}
    change = message.change
    named = {
        "action": message.action,
        "lastUpdatedTime": _rfc1123(change.updated),
        "storeName": message.store,
        "studyInstanceUID": change.study_uid,
        "seriesInstanceUID": change.series_uid,
        "sopInstanceUID": change.sop_uid,
        # Base64 of the time in nanoseconds, as in the page's example.
        "versionId": base64.b64encode(f"{change.updated}000".encode()).decode().rstrip("="),
        "modality": change.modality,
        "storageClass": change.storage_class,
        "previousStorageClass": change.previous_storage_class,
    }
    return {key: value for key, value in named.items() if value}


def moment(microseconds: int) -> str:
    """A time as JSON has it."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _rfc1123(microseconds: int) -> str:
    """A time as the page writes it, whatever the locale: ``Mon, 01 Jan 2020 00:00:00 UTC``."""
    at = datetime.fromtimestamp(microseconds // 1_000_000, UTC)
    return f"{_WEEKDAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at:%Y %H:%M:%S} UTC"
