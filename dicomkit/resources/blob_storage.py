"""The storage class of instances. Source: Cloud Healthcare API v1, ``BlobStorageSettings``."""

from __future__ import annotations

from dataclasses import dataclass

from dicomkit.resources._json import invalid, quoted, text
from dicomkit.resources._wire import Resource, wire

__all__ = ["BLOB_STORAGE_CLASSES", "BlobStorageSettings"]

UNSPECIFIED = "BLOB_STORAGE_CLASS_UNSPECIFIED"

BLOB_STORAGE_CLASSES = (UNSPECIFIED, "STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")
"""What ``blobStorageClass`` may say."""


def _blob_storage_class(value: object) -> str:
    if text(value) not in BLOB_STORAGE_CLASSES:
        raise invalid(f"must be one of {', '.join(BLOB_STORAGE_CLASSES)}; {quoted(text(value))} is none of them")
    return text(value)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BlobStorageSettings(Resource):
    """How the bytes of instances are stored.

    Parameters
    ----------
    blob_storage_class
        One of ``BLOB_STORAGE_CLASSES``.
    """

    blob_storage_class: str | None = wire(_blob_storage_class, default=UNSPECIFIED)

    @property
    def storage_class(self) -> str:
        """The class that is meant: ``STANDARD`` where none is specified."""
        named = self.blob_storage_class or UNSPECIFIED
        return "STANDARD" if named == UNSPECIFIED else named
