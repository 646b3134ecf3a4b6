"""Requests that bring instances in. Source: Cloud Healthcare API v1, ``ImportDicomDataRequest``."""

from __future__ import annotations

from dataclasses import dataclass

from dicomkit.resources._json import invalid, located, text
from dicomkit.resources._wire import Resource, one, wire
from dicomkit.resources.blob_storage import BlobStorageSettings
from dicomkit.resources.gcs import GcsUri, parse_gcs_uri

__all__ = ["GcsSource", "ImportDicomDataRequest"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GcsSource(Resource):
    """Objects of Cloud Storage.

    Parameters
    ----------
    uri
        ``gs://{bucket}/{object}``; the object may have wildcards. Required.
    """

    uri: str | None = wire(text, default="")

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for a missing URI, and for one that is none."""
        if not self.uri:
            raise invalid("is required; write gs://{bucket}/{object}", path="uri")
        parse_gcs_uri(self.uri, wildcards=True, path="uri")

    @property
    def pattern(self) -> GcsUri:
        """The objects that are meant."""
        return parse_gcs_uri(self.uri, wildcards=True, path="uri")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ImportDicomDataRequest(Resource):
    """Body of ``dicomStores.import``.

    Parameters
    ----------
    gcs_source
        Where the files are. Required.
    blob_storage_settings
        How their bytes are stored.
    """

    gcs_source: GcsSource | None = one(GcsSource)  # noqa: RUF009 - it is a dataclass field
    blob_storage_settings: BlobStorageSettings | None = one(BlobStorageSettings)  # noqa: RUF009

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for a request without a source."""
        if self.gcs_source is None:
            with located("gcsSource"):
                raise invalid('is required; write {"uri": "gs://{bucket}/{object}"}')

    @property
    def pattern(self) -> GcsUri:
        """The objects to import."""
        return (self.gcs_source or GcsSource()).pattern

    @property
    def storage_class(self) -> str:
        """Storage class of the instances that are imported."""
        return (self.blob_storage_settings or BlobStorageSettings()).storage_class
