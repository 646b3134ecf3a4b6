"""Rules of an export's request."""

from __future__ import annotations

from typing import Any

import pytest

from dicomkit.errors import InvalidArgument
from dicomkit.resources.export_request import AS_STORED, MIME_TYPES, ExportDicomDataRequest, GcsDestination
from tests.discovery import document

BUCKET = {"gcsDestination": {"uriPrefix": "gs://bucket/out"}}
TABLE = {"bigqueryDestination": {"tableUri": "bq://p.d.t"}}


def destination(mime_type: str) -> GcsDestination:
    return GcsDestination(uri_prefix="gs://bucket/out", mime_type=mime_type)


def test_the_mime_types_are_the_documented_ones() -> None:
    """Each that the discovery document names in its list is taken, and none beside them."""
    text = document()["schemas"]["GoogleCloudHealthcareV1DicomGcsDestination"]["properties"]["mimeType"]["description"]
    listed = text.partition("are supported:")[2].partition("The following extensions")[0]
    documented = [entry.partition(" (")[0].strip() for entry in listed.split(" - ") if entry.strip()]
    assert sorted(map(str, MIME_TYPES)) == sorted(documented)


@pytest.mark.parametrize("known", MIME_TYPES, ids=str)
def test_a_documented_type_is_read_however_it_is_spaced_and_quoted(known: Any) -> None:
    """A MIME type may be written in several ways (RFC 9110, 8.3.1)."""
    assert destination(str(known)).format == known
    spaced = f'{known.media_type.upper()};transfer-syntax="{known.transfer_syntax}"' if known.transfer_syntax else None
    assert destination(spaced or "IMAGE/PNG").format == known


def test_without_a_type_the_files_are_exported_as_they_are() -> None:
    """ "If unspecified, the instances are exported in the original DICOM format they were uploaded in." """
    assert GcsDestination(uri_prefix="gs://bucket/out").format == AS_STORED
    assert destination("").format.is_as_stored
    assert destination("application/dicom; transfer-syntax=*").format.is_as_stored


@pytest.mark.parametrize(
    ("mime_type", "extension"),
    [
        ("application/dicom; transfer-syntax=1.2.840.10008.1.2", ".dcm"),
        ("image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", ".jpg"),
        ("image/png", ".png"),
        ("application/octet-stream; transfer-syntax=*", ""),
    ],
)
def test_extensions_are_the_documented_ones(mime_type: str, extension: str) -> None:
    """The document's list of extensions."""
    assert destination(mime_type).format.extension == extension


@pytest.mark.parametrize(
    "mime_type",
    [
        "application/dicom",
        "image/jpeg",
        "image/jpeg; transfer-syntax=*",
        "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.70",
        "image/png; transfer-syntax=*",
        "image/png; quality=90",
        "image/gif",
        "application/octet-stream",
        "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.5",
        "application/dicom; transfer-syntax=1.2.840.10008.1.2.2",
        "application/dicom; transfer-syntax=1.2.840.10008.1.2.1; charset=utf-8",
        "application/dicom+json",
        "multipart/related",
        "*/*",
        "dicom",
        "image/png\r\nX: y",
    ],
)
def test_another_type_is_refused(mime_type: str) -> None:
    """The message names the field and what it may be."""
    with pytest.raises(InvalidArgument, match="^gcsDestination.mimeType: must be "):
        ExportDicomDataRequest.from_api({"gcsDestination": {"uriPrefix": "gs://bucket/out", "mimeType": mime_type}})


@pytest.mark.parametrize(
    ("prefix", "folder"),
    [("gs://bucket", ""), ("gs://bucket/", ""), ("gs://bucket/a/b", "a/b/"), ("gs://bucket/a/b/", "a/b/")],
)
def test_a_slash_is_appended_to_the_prefix(prefix: str, folder: str) -> None:
    """ "If there is no trailing slash, the service appends one when composing the object path." """
    assert GcsDestination(uri_prefix=prefix).folder.below("1.2").object == f"{folder}1.2"


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "bucket/out",
        "file:///tmp/out",
        "http://169.254.169.254/x",
        "gs://",
        "gs:///out",
        "gs://bucket/../out",
        "gs://bucket/a/../../b",
        "gs://bucket/%2e%2e/b",
        "gs://bucket/a*",
        "gs://bucket//out",
        "gs://bucket/a\x00b",
        "gs://bucket/" + "d" * 1000,
    ],
)
def test_a_prefix_that_is_no_folder_of_a_bucket_is_refused(prefix: str) -> None:
    """The message names the field."""
    with pytest.raises(InvalidArgument, match="^gcsDestination.uriPrefix: "):
        ExportDicomDataRequest.from_api({"gcsDestination": {"uriPrefix": prefix}})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "needs a destination"),
        ({"filterConfig": {"resourcePathsGcsUri": "gs://bucket/x"}}, "needs a destination"),
        (BUCKET | TABLE, "^bigqueryDestination: must not be set together with gcsDestination"),
        (BUCKET | {"filterConfig": {}}, "^filterConfig.resourcePathsGcsUri: is required"),
        ({"gcsDestination": {}}, "^gcsDestination.uriPrefix: is required"),
        ({"gcsDestination": []}, "^gcsDestination: must be a JSON object"),
        ({"bigqueryDestination": {"tableUri": "bq://p.d"}}, "^bigqueryDestination.tableUri: "),
        ({"bigqueryDestination": {"tableUri": "bq://p.d.t", "writeDisposition": "X"}}, "writeDisposition: must be"),
        ({"gcsDestination": {"uriPrefix": 5}}, "^gcsDestination.uriPrefix: must be a string"),
    ],
)
def test_one_destination_is_needed_and_checked(body: dict[str, Any], message: str) -> None:
    """The destinations are a union; what is wrong is named by its path."""
    with pytest.raises(InvalidArgument, match=message):
        ExportDicomDataRequest.from_api(body, strict=True)


def test_an_unknown_name_is_refused_in_googles_words() -> None:
    """As a server does."""
    with pytest.raises(InvalidArgument, match="Unknown name \"uri\" at 'gcs_destination': Cannot find field"):
        ExportDicomDataRequest.from_api({"gcsDestination": {"uri": "gs://bucket/out"}}, strict=True)


def test_a_request_is_written_as_it_was_read() -> None:
    """So that it can be kept with its operation."""
    body = TABLE | {"filterConfig": {"resourcePathsGcsUri": "gs://bucket/x"}}
    assert ExportDicomDataRequest.from_api(body, strict=True).to_api() == body
