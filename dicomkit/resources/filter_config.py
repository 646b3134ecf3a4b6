r"""Which instances of a store an operation is for: the config, and the file that it names.

Source: Cloud Healthcare API v1, ``DicomFilterConfig`` (discovery document, revision 20261013): a file in Cloud Storage
with one resource path a line, ``/studies/{s}[/series/{se}[/instances/{i}]]``, lines separated by ``\n`` or ``\r\n``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dicomkit.errors import InvalidArgument
from dicomkit.names import is_uid
from dicomkit.resources._json import invalid, text
from dicomkit.resources._wire import Resource, wire
from dicomkit.resources.gcs import GcsUri, parse_gcs_uri

__all__ = ["MAX_LINE_BYTES", "DicomFilterConfig", "ResourcePath", "parse_resource_paths"]

MAX_LINE_BYTES = 1024
"""More than any resource path has; a longer line is not read to its end."""

_LEVELS = ("studies", "series", "instances")
_FORM = "/studies/{s}[/series/{se}[/instances/{i}]]"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DicomFilterConfig(Resource):
    """The instances that an operation is for; without a config it is for all of a store.

    Parameters
    ----------
    resource_paths_gcs_uri
        ``gs://bucket/object``, a text file with one path a line: ``/studies/{s}``, ``/studies/{s}/series/{se}`` or
        ``/studies/{s}/series/{se}/instances/{i}``. Required.
    """

    resource_paths_gcs_uri: str | None = wire(text, default="")

    def validate(self) -> None:
        """Raise ``InvalidArgument`` where the file is not named, or not by a URI of Cloud Storage."""
        if not self.resource_paths_gcs_uri:
            raise invalid("is required; write gs://bucket/path/to/object", path="resourcePathsGcsUri")
        parse_gcs_uri(self.resource_paths_gcs_uri, path="resourcePathsGcsUri")

    @property
    def uri(self) -> GcsUri:
        """The file that ``resource_paths_gcs_uri`` names."""
        return parse_gcs_uri(self.resource_paths_gcs_uri, path="resourcePathsGcsUri")


@dataclass(frozen=True, slots=True)
class ResourcePath:
    """A study, a series in it, or an instance in that."""

    study: str
    series: str | None = None
    instance: str | None = None

    def __str__(self) -> str:
        uids = (uid for uid in (self.study, self.series, self.instance) if uid is not None)
        return "".join(f"/{level}/{uid}" for level, uid in zip(_LEVELS, uids, strict=False))


def parse_resource_paths(lines: Iterable[bytes]) -> Iterator[ResourcePath]:
    r"""Read the lines of a filter file, one at a time.

    Parameters
    ----------
    lines
        The file's lines with or without their ends, as a binary file gives them. A line without text is passed over,
        and so is the byte order mark that some editors write.

    Raises
    ------
    InvalidArgument
        A line is no resource path; the message names its number, from 1, and none of its text.
    """
    for number, line in enumerate(lines, 1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if line:
            yield _parsed(line, number)


def _parsed(line: bytes, number: int) -> ResourcePath:
    try:
        parts = line.decode("ascii").split("/")
    except UnicodeDecodeError:
        raise _malformed(number, "has characters that are in no UID") from None
    uids = parts[2::2]
    if parts[0] or len(parts) not in (3, 5, 7) or parts[1::2] != list(_LEVELS[: len(uids)]):
        raise _malformed(number, f"must have the form {_FORM}")
    if not all(map(is_uid, uids)):
        raise _malformed(number, "has a UID that is none: 1 to 64 digits and dots")
    return ResourcePath(*uids)


def _malformed(number: int, rule: str) -> InvalidArgument:
    return invalid(
        f"line {number} of the filter file {rule}; correct the line and begin the operation again",
        path="filterConfig.resourcePathsGcsUri",
    )
