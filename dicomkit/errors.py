"""Every error dicomkit raises, and the one table that maps them to the wire.

::

    DicomkitError
    ├─ ApiError(message, status, code, details, method, url)
    │  ├─ InvalidArgument(ValueError)          400 INVALID_ARGUMENT
    │  ├─ FailedPrecondition                   400 FAILED_PRECONDITION (412 for a stale etag of BigQuery)
    │  ├─ OutOfRange(ValueError)               400 OUT_OF_RANGE
    │  ├─ Unauthenticated                      401 UNAUTHENTICATED
    │  ├─ PermissionDenied(PermissionError)    403 PERMISSION_DENIED
    │  ├─ NotFound(LookupError)                404 NOT_FOUND
    │  ├─ MethodNotAllowed                     405 UNIMPLEMENTED
    │  ├─ NotAcceptable                        406 INVALID_ARGUMENT
    │  ├─ AlreadyExists                        409 ALREADY_EXISTS
    │  ├─ Aborted                              409 ABORTED
    │  ├─ PayloadTooLarge                      413 INVALID_ARGUMENT
    │  ├─ UnsupportedMediaType                 415 INVALID_ARGUMENT
    │  ├─ ResourceExhausted                    429 RESOURCE_EXHAUSTED
    │  ├─ Cancelled                            499 CANCELLED
    │  ├─ Internal                             500 INTERNAL
    │  ├─ Unimplemented                        501 UNIMPLEMENTED
    │  ├─ Unavailable                          503 UNAVAILABLE
    │  └─ DeadlineExceeded(TimeoutError)       504 DEADLINE_EXCEEDED
    ├─ OperationError(operation, counters)     a long-running operation that finished and failed
    ├─ DicomFormatError(ValueError)            file, DICOM JSON or multipart that cannot be read
    ├─ UploadError                             some rows of an upload failed and the caller asked to raise
    ├─ DownloadError                           the same of a download
    └─ SetupError                              credentials or an extra are missing; the message names the remedy
    DicomkitWarning(UserWarning)
    ├─ PartialResultsWarning                   a result is not complete
    ├─ ClientSideFilterWarning                 a condition was applied after fetching
    ├─ StreamLagWarning                        a table does not hold everything acknowledged yet
    └─ LenientValueWarning                     a value was kept although it breaks its VR

The engine raises ``NotFound``; :func:`to_body` makes Google's error body of it, and :func:`from_body` makes
the same ``NotFound`` again on the client. Canonical codes are those of ``google.rpc.Code``; the HTTP status
is what the Cloud Healthcare API documents.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

__all__ = [
    "Aborted",
    "AlreadyExists",
    "ApiError",
    "Cancelled",
    "ClientSideFilterWarning",
    "DeadlineExceeded",
    "DicomFormatError",
    "DicomkitError",
    "DicomkitWarning",
    "DownloadError",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "LenientValueWarning",
    "MethodNotAllowed",
    "NotAcceptable",
    "NotFound",
    "OperationError",
    "OutOfRange",
    "PartialResultsWarning",
    "PayloadTooLarge",
    "PermissionDenied",
    "ResourceExhausted",
    "SetupError",
    "StreamLagWarning",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "UnsupportedMediaType",
    "UploadError",
    "from_body",
    "to_body",
]


class DicomkitError(Exception):
    """Root of all errors that dicomkit raises on purpose."""


class ApiError(DicomkitError):
    """A request that was refused or failed.

    Parameters
    ----------
    message
        What was asked, what was found, what to do. Never a value from a DICOM file.
    status
        HTTP status; the class's own when left out.
    code
        Canonical code of ``google.rpc.Code``; the class's own when left out.
    details
        ``google.rpc`` detail messages in JSON form, each with an ``@type``.
    method, url
        The request, where it is known. They are not part of the wire body.
    """

    status: int = 500
    code: str = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        details: Sequence[Mapping[str, Any]] = (),
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status
        if code is not None:
            self.code = code
        self.details: tuple[Mapping[str, Any], ...] = tuple(details)
        self.method = method
        self.url = url

    def __str__(self) -> str:
        return self.message or f"HTTP {self.status} {self.code}"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self) or not isinstance(other, ApiError):
            return NotImplemented
        return (self.message, self.status, self.code, self.details) == (
            other.message,
            other.status,
            other.code,
            other.details,
        )

    def __hash__(self) -> int:
        return hash((type(self), self.message, self.status, self.code))


class InvalidArgument(ApiError, ValueError):
    """The request breaks a documented rule; the message names the field, the rule and the remedy."""

    status, code = 400, "INVALID_ARGUMENT"


class FailedPrecondition(ApiError):
    """The request is well formed, but the resource's state does not allow it."""

    status, code = 400, "FAILED_PRECONDITION"


class OutOfRange(ApiError, ValueError):
    """A number is outside what the resource has."""

    status, code = 400, "OUT_OF_RANGE"


class Unauthenticated(ApiError):
    """No credentials, or credentials that are not valid."""

    status, code = 401, "UNAUTHENTICATED"


class PermissionDenied(ApiError, PermissionError):
    """The caller lacks the permission, or the resource does not exist for this caller."""

    status, code = 403, "PERMISSION_DENIED"


class NotFound(ApiError, LookupError):
    """The named resource does not exist."""

    status, code = 404, "NOT_FOUND"


class MethodNotAllowed(ApiError):
    """The path exists, but not with this HTTP method."""

    status, code = 405, "UNIMPLEMENTED"


class NotAcceptable(ApiError):
    """None of the media types in Accept can be produced."""

    status, code = 406, "INVALID_ARGUMENT"


class AlreadyExists(ApiError):
    """A resource with this name exists already."""

    status, code = 409, "ALREADY_EXISTS"


class Aborted(ApiError):
    """A concurrent change won; read again and repeat."""

    status, code = 409, "ABORTED"


class PayloadTooLarge(ApiError):
    """The request, or one part of it, is larger than the limit the message names."""

    status, code = 413, "INVALID_ARGUMENT"


class UnsupportedMediaType(ApiError):
    """The Content-Type is none that this method takes."""

    status, code = 415, "INVALID_ARGUMENT"


class ResourceExhausted(ApiError):
    """A quota or a disk is full."""

    status, code = 429, "RESOURCE_EXHAUSTED"


class Cancelled(ApiError):
    """The work was cancelled by its caller."""

    status, code = 499, "CANCELLED"


class Internal(ApiError):
    """A defect of the server."""

    status, code = 500, "INTERNAL"


class Unimplemented(ApiError):
    """The method exists in the API, but this server does not have it."""

    status, code = 501, "UNIMPLEMENTED"


class Unavailable(ApiError):
    """The server cannot answer now; the same request may pass later."""

    status, code = 503, "UNAVAILABLE"


class DeadlineExceeded(ApiError, TimeoutError):
    """The time limit passed before the answer."""

    status, code = 504, "DEADLINE_EXCEEDED"


class OperationError(DicomkitError):
    """A long-running operation finished, and failed.

    Parameters
    ----------
    message
        The operation's own error text.
    operation
        Resource name of the operation.
    counters
        ``success``, ``failure`` and the like, as far as the operation got.
    """

    def __init__(self, message: str, *, operation: str = "", counters: Mapping[str, int] | None = None) -> None:
        super().__init__(message)
        self.operation = operation
        self.counters = dict(counters or {})


class DicomFormatError(DicomkitError, ValueError):
    """Bytes that are not the DICOM they should be.

    Parameters
    ----------
    message
        What is wrong, never with a value from the file.
    offset
        Byte offset in the stream where it was found.
    tag
        Attribute as eight upper-case hex digits, where one was being read.
    """

    def __init__(self, message: str, *, offset: int | None = None, tag: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.tag = tag

    def __str__(self) -> str:
        where = []
        if self.tag:
            where.append(f"({self.tag[:4]},{self.tag[4:]})")
        if self.offset is not None:
            where.append(f"offset {self.offset}")
        return f"{self.message} [{', '.join(where)}]" if where else self.message


class UploadError(DicomkitError):
    """Some files of an upload failed, and ``raise_for_failures`` was asked for.

    Parameters
    ----------
    message
        How many failed, and why the first did.
    frame
        The whole outcome, a DataFrame with one row per file.
    """

    def __init__(self, message: str, *, frame: Any = None) -> None:
        super().__init__(message)
        self.frame = frame


class DownloadError(DicomkitError):
    """Some instances of a download failed, and ``raise_for_failures`` was asked for.

    Parameters
    ----------
    message
        How many failed, and why the first did.
    frame
        The whole manifest, a DataFrame with one row per instance.
    """

    def __init__(self, message: str, *, frame: Any = None) -> None:
        super().__init__(message)
        self.frame = frame


class SetupError(DicomkitError):
    """Something is missing outside dicomkit; the message names the command that brings it."""


class DicomkitWarning(UserWarning):
    """Root of all warnings that dicomkit gives."""


class PartialResultsWarning(DicomkitWarning):
    """A result is not complete; the message says what is missing and how to get it."""


class ClientSideFilterWarning(DicomkitWarning):
    """The server does not know a condition of a search, which was applied to what it gave without it."""


class StreamLagWarning(DicomkitWarning):
    """Not everything that was acknowledged has reached the table yet."""


class LenientValueWarning(DicomkitWarning):
    """A value breaks the rules of its VR and was kept as text."""


def warn(message: str, category: type[DicomkitWarning]) -> None:
    """Warn at the line outside dicomkit that led here, however deep the way inside was."""
    frame = sys._getframe(1)
    level = 2
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "dicomkit":
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)


class _Wire:
    """The table class <-> (HTTP status, canonical code), built from the classes themselves."""

    classes: ClassVar[tuple[type[ApiError], ...]] = (
        InvalidArgument,
        FailedPrecondition,
        OutOfRange,
        Unauthenticated,
        PermissionDenied,
        NotFound,
        MethodNotAllowed,
        NotAcceptable,
        AlreadyExists,
        Aborted,
        PayloadTooLarge,
        UnsupportedMediaType,
        ResourceExhausted,
        Cancelled,
        Internal,
        Unimplemented,
        Unavailable,
        DeadlineExceeded,
    )
    by_both: ClassVar[dict[tuple[int, str], type[ApiError]]] = {(c.status, c.code): c for c in classes}
    # Where only one half is known, the first class in the table stands for it.
    by_status: ClassVar[dict[int, type[ApiError]]] = {c.status: c for c in reversed(classes)}
    by_code: ClassVar[dict[str, type[ApiError]]] = {c.code: c for c in reversed(classes)}


def to_body(error: ApiError) -> dict[str, Any]:
    """Google's JSON error body for *error*."""
    body: dict[str, Any] = {"code": error.status, "message": error.message, "status": error.code}
    if error.details:
        body["details"] = [dict(d) for d in error.details]
    return {"error": body}


def from_body(
    body: object, *, status: int | None = None, method: str | None = None, url: str | None = None
) -> ApiError:
    """The error that a response body stands for.

    Parameters
    ----------
    body
        Parsed JSON: ``{"error": {...}}``, or the same in a one-element array, which DICOMweb methods
        of the Cloud Healthcare API send. Anything else gives an error chosen by *status* alone.
    status
        HTTP status of the response; wins over the body's ``code`` when that is missing.
    """
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    inner = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(inner, Mapping):
        inner = {}
    number, code, message, details = (inner.get(key) for key in ("code", "status", "message", "details"))
    http = number if isinstance(number, int) and 400 <= number <= 599 else status or 500
    if not isinstance(code, str):
        code = None
    if not isinstance(message, str):
        message = f"HTTP {http} without an error message"
    details = [d for d in details if isinstance(d, Mapping)] if isinstance(details, list) else []
    cls = _Wire.by_both.get((http, code or ""))
    if cls is None and code != ApiError.code:
        cls = (_Wire.by_code.get(code) if code else None) or _Wire.by_status.get(http)
    cls = cls or ApiError
    return cls(message, status=http, code=code or cls.code, details=details, method=method, url=url)
