"""Where and how the instances of a store are exported.

Source: Cloud Healthcare API v1, ``ExportDicomDataRequest``, ``GoogleCloudHealthcareV1DicomGcsDestination`` and
``GoogleCloudHealthcareV1DicomBigQueryDestination`` (discovery document, revision 20261013).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dicomkit.dicom.media_type import parse_media_type
from dicomkit.errors import DicomFormatError
from dicomkit.resources._json import invalid, text
from dicomkit.resources._wire import Resource, one, wire
from dicomkit.resources.bigquery_destination import BigQueryDestination
from dicomkit.resources.filter_config import DicomFilterConfig
from dicomkit.resources.gcs import MAX_OBJECT_BYTES, GcsUri, parse_gcs_uri

__all__ = ["AS_STORED", "MIME_TYPES", "RAW", "ExportDicomDataRequest", "ExportFormat", "GcsDestination"]

DICOM = "application/dicom"
RAW = "application/octet-stream"
JPEG = "image/jpeg"
PNG = "image/png"

_EXTENSIONS = {DICOM: ".dcm", JPEG: ".jpg", PNG: ".png", RAW: ""}

_ROOT = "1.2.840.10008."
_DICOM_SYNTAXES = (
    *(f"{_ROOT}{end}" for end in ("1.2", "1.2.1", "1.2.1.99")),
    *(f"{_ROOT}1.2.4.{end}" for end in (50, 51, 57, 70, 80, 81, 90, 91, 110, 111, 112, 201, 202, 203)),
    *(f"{_ROOT}{end}" for end in ("1.2.5", "1.2.8.1")),
    "*",
)

MAX_NAME_BYTES = len("/".join(["1" * 64] * 3)) + len("/1234567890.jpg")
"""Longest name below the prefix: three UIDs, the number of a frame and an extension."""


class ExportFormat(NamedTuple):
    """What an exported object holds."""

    media_type: str
    transfer_syntax: str | None
    """A UID; ``*`` for that of each instance; ``None`` where the media type has none."""

    @property
    def extension(self) -> str:
        """End of the objects' names."""
        return _EXTENSIONS[self.media_type]

    @property
    def is_as_stored(self) -> bool:
        """Whether the files are those that were received."""
        return self == AS_STORED

    @property
    def is_by_frame(self) -> bool:
        """Whether each frame of a multi-frame instance is an object of its own."""
        return self.media_type != DICOM

    def __str__(self) -> str:
        return self.media_type + (f"; transfer-syntax={self.transfer_syntax}" if self.transfer_syntax else "")


AS_STORED = ExportFormat(DICOM, "*")
"""What is exported when no MIME type is given."""

MIME_TYPES = (
    *(ExportFormat(DICOM, syntax) for syntax in _DICOM_SYNTAXES),
    ExportFormat(RAW, f"{_ROOT}1.2.1"),
    ExportFormat(RAW, "*"),
    ExportFormat(JPEG, f"{_ROOT}1.2.4.50"),
    ExportFormat(PNG, None),
)
"""What ``mimeType`` may say."""


def _format(value: str) -> ExportFormat:
    """The format that a ``mimeType`` asks for: one of the documented ones, however it is spaced and quoted."""
    try:
        media, parameters = parse_media_type(value)
    except DicomFormatError:
        raise invalid(f"must be a MIME type, as in {AS_STORED}", path="mimeType") from None
    found = ExportFormat(media, parameters.get("transfer-syntax"))
    if found in MIME_TYPES and len(parameters) == (found.transfer_syntax is not None):
        return found
    near = [str(known) for known in MIME_TYPES if known.media_type == media]
    offers = near or sorted({f"{known.media_type}" for known in MIME_TYPES})
    raise invalid(
        f"must be one of the documented MIME types; of these there {'is' if len(offers) == 1 else 'are'} "
        f"{', '.join(offers)}",
        path="mimeType",
    )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GcsDestination(Resource):
    """A folder in Cloud Storage, and what is written into it.

    Parameters
    ----------
    uri_prefix
        ``gs://bucket/folder``, with or without a slash at its end; the bucket must be there. Required. An instance
        becomes ``{uri_prefix}/{study}/{series}/{instance}{extension}``, and a frame of a multi-frame instance that is
        not exported as DICOM ``.../{instance}/{frame}{extension}``, counted from 1.
    mime_type
        One of ``MIME_TYPES``, as ``"application/dicom; transfer-syntax=1.2.840.10008.1.2.1"`` or ``"image/png"``. As
        stored when it is left out.
    """

    uri_prefix: str | None = wire(text, default="")
    mime_type: str | None = wire(text, default="")

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for a folder that is none, and for a type that is not documented."""
        if not self.uri_prefix:
            raise invalid("is required; write gs://bucket/folder", path="uriPrefix")
        folder = parse_gcs_uri(self.uri_prefix, prefix=True, path="uriPrefix")
        if len(folder.object.rstrip("/").encode()) + 1 + MAX_NAME_BYTES > MAX_OBJECT_BYTES:
            raise invalid(
                f"must have a folder of at most {MAX_OBJECT_BYTES - MAX_NAME_BYTES - 1} bytes in UTF-8, since the UIDs "
                "of an instance follow it; choose a shorter one",
                path="uriPrefix",
            )
        if self.mime_type:
            _format(self.mime_type)

    @property
    def folder(self) -> GcsUri:
        """Where the objects go."""
        return parse_gcs_uri(self.uri_prefix, prefix=True, path="uriPrefix")

    @property
    def format(self) -> ExportFormat:
        """What is written."""
        return _format(self.mime_type) if self.mime_type else AS_STORED


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ExportDicomDataRequest(Resource):
    """What ``dicomStores.export`` is asked for: one destination, and which instances.

    Parameters
    ----------
    gcs_destination
        Copies of the instances, or their frames, as objects.
    bigquery_destination
        Rows with the metadata of the instances. The table's project must be that of the store.
    filter_config
        Which instances; all of the store when it is left out.
    """

    gcs_destination: GcsDestination | None = one(GcsDestination)  # noqa: RUF009 - it is a dataclass field
    bigquery_destination: BigQueryDestination | None = one(BigQueryDestination)  # noqa: RUF009 - it is a dataclass field
    filter_config: DicomFilterConfig | None = one(DicomFilterConfig)  # noqa: RUF009 - it is a dataclass field

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for two destinations, and for none."""
        if self.gcs_destination is not None and self.bigquery_destination is not None:
            raise invalid("must not be set together with gcsDestination; leave one out", path="bigqueryDestination")
        if self.gcs_destination is None and self.bigquery_destination is None:
            raise invalid("needs a destination: give gcsDestination or bigqueryDestination")
