"""The storage class of instances.

Source: Cloud Healthcare API v1, ``BlobStorageSettings`` and ``SetBlobStorageSettingsRequest`` (discovery document,
revision 20261013). The document speaks of an update mask, which the request does not have.
"""

from __future__ import annotations

from dataclasses import dataclass

from dicomkit.resources._json import invalid, quoted, text
from dicomkit.resources._wire import Resource, one, wire
from dicomkit.resources.filter_config import DicomFilterConfig

__all__ = ["BLOB_STORAGE_CLASSES", "BlobStorageSettings", "SetBlobStorageSettingsRequest"]

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


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SetBlobStorageSettingsRequest(Resource):
    """Body of ``setBlobStorageSettings`` of a store, a study, a series or an instance.

    Parameters
    ----------
    blob_storage_settings
        The class that the instances are moved to. Required.
    filter_config
        Which instances, where the resource is a store; all of it without one.
    """

    blob_storage_settings: BlobStorageSettings | None = one(BlobStorageSettings)  # noqa: RUF009 - a dataclass field
    filter_config: DicomFilterConfig | None = one(DicomFilterConfig)  # noqa: RUF009

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for a request that names no class: leaving it out does not mean ``STANDARD``."""
        named = self.blob_storage_settings and self.blob_storage_settings.blob_storage_class
        if not named or named == UNSPECIFIED:
            raise invalid(
                f"is required; write one of {', '.join(BLOB_STORAGE_CLASSES[1:])}",
                path="blobStorageSettings.blobStorageClass",
            )

    @property
    def storage_class(self) -> str:
        """The class that the instances are moved to."""
        return (self.blob_storage_settings or BlobStorageSettings()).storage_class

    def check_below_store(self) -> None:
        """Raise ``InvalidArgument`` for a filter where the resource is not a whole store."""
        if self.filter_config is not None:
            raise invalid(
                "must not be set for a study, a series or an instance; leave it out, or name the store",
                path="filterConfig",
            )
