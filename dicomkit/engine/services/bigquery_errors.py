"""Errors of the BigQuery API: canonical code, reason and location as its clients read them.

The reason travels as ``google.rpc.ErrorInfo`` in the details of the :mod:`dicomkit.errors` tree; the handler writes
from it the ``errors`` list of BigQuery's body. Clients choose by the reason: none of the reasons below is one they
retry for, so that bad input is an answer at once.

Source: BigQuery documentation, "Error messages"; BigQuery REST v2, ``ErrorProto``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.errors import AlreadyExists, ApiError, FailedPrecondition, InvalidArgument, NotFound, Unimplemented

__all__ = [
    "already_exists",
    "error_proto",
    "invalid",
    "invalid_query",
    "job_error",
    "not_found",
    "not_implemented",
    "not_supported",
    "object_in",
    "stale_etag",
    "table_name",
]

ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
"""Type of the detail that carries reason and location."""

E = TypeVar("E", bound=ApiError)

_REASONS = {
    "NOT_FOUND": "notFound",
    "ALREADY_EXISTS": "duplicate",
    "FAILED_PRECONDITION": "conditionNotMet",
    "PERMISSION_DENIED": "accessDenied",
    "RESOURCE_EXHAUSTED": "responseTooLarge",
    "UNIMPLEMENTED": "notImplemented",
    "UNAVAILABLE": "backendError",
    "INTERNAL": "internalError",
    "CANCELLED": "stopped",
}
"""Canonical code -> reason, for an error that carries none."""

_CLASSES: dict[str, type[ApiError]] = {"notFound": NotFound, "duplicate": AlreadyExists}


def _with(error: E, reason: str, location: str = "") -> E:
    info = {"@type": ERROR_INFO, "reason": reason, "domain": "global", "metadata": {"location": location}}
    error.details = (info, *error.details)
    return error


def invalid(message: str, location: str = "") -> InvalidArgument:
    """A request that breaks a rule; *location* is the field."""
    return _with(InvalidArgument(message), "invalid", location)


def invalid_query(message: str, location: str = "query") -> InvalidArgument:
    """SQL that is wrong."""
    return _with(InvalidArgument(message), "invalidQuery", location)


def not_supported(what: str) -> InvalidArgument:
    """SQL that BigQuery has and the embedded engine does not; *what* is its name."""
    return invalid_query(f"{what} is not supported by the embedded BigQuery")


def not_implemented(what: str) -> Unimplemented:
    """A method or a kind of job that the embedded engine does not have; *what* is its name."""
    return _with(Unimplemented(f"{what} is not implemented by the embedded BigQuery"), "notImplemented")


def not_found(what: str, name: str) -> NotFound:
    """*what* is ``Dataset``, ``Table`` or ``Job``."""
    return _with(NotFound(f"Not found: {what} {name}"), "notFound")


def already_exists(what: str, name: str) -> AlreadyExists:
    """*what* is ``Dataset``, ``Table`` or ``Job``."""
    return _with(AlreadyExists(f"Already Exists: {what} {name}"), "duplicate")


def object_in(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The field *name* of a request's body, which is an object; empty where it is missing."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise invalid(f"{name} must be an object", name)
    return value


def stale_etag() -> FailedPrecondition:
    """The resource changed since it was read: read it again and merge."""
    return _with(
        FailedPrecondition("Precondition Failed: the etag is not the current one", status=412), "conditionNotMet"
    )


def table_name(reference: TableReference) -> str:
    """``project:dataset.table``, as BigQuery's messages write it."""
    return f"{reference.project}:{reference.dataset}.{reference.table}"


def error_proto(error: ApiError) -> dict[str, str]:
    """``ErrorProto`` of *error*: reason, location where there is one, message."""
    reason, location = _REASONS.get(error.code, "invalid"), ""
    for detail in error.details:
        if detail.get("@type") == ERROR_INFO:
            reason, location = detail["reason"], detail["metadata"]["location"]
    proto = {"reason": reason, "message": error.message}
    return proto | {"location": location} if location else proto


def job_error(proto: dict[str, Any]) -> ApiError:
    """The error that a failed job's ``errorResult`` stands for."""
    cls = _CLASSES.get(proto["reason"], InvalidArgument)
    return _with(cls(proto["message"]), proto["reason"], proto.get("location", ""))
