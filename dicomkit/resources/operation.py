"""A long-running operation as a resource, and ``google.rpc.Status``, in which its failure is told.

Source: Cloud Healthcare API v1, ``projects.locations.datasets.operations`` and ``OperationMetadata``;
``google.rpc.Code`` for the numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dicomkit.errors import ApiError, OperationError
from dicomkit.resources._json import boolean, invalid, json_object, text
from dicomkit.resources._wire import Resource, wire

__all__ = ["RPC_CODES", "Operation", "rpc_status"]

RPC_CODES = {
    "OK": 0,
    "CANCELLED": 1,
    "UNKNOWN": 2,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "DATA_LOSS": 15,
    "UNAUTHENTICATED": 16,
}
"""Canonical code -> its number in ``google.rpc.Status``."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Operation(Resource):
    """Work that a server does after it has answered.

    Parameters
    ----------
    name
        ``projects/{p}/locations/{l}/datasets/{d}/operations/{id}``.
    metadata
        ``OperationMetadata``: method, times, counters, whether a cancellation was asked for.
    done
        True when it has ended; then either *response* or *error* is there.
    response
        What the method gives, with its ``@type``.
    error
        ``google.rpc.Status``: ``code`` (a number of ``RPC_CODES``), ``message``, ``details``.
    """

    name: str | None = wire(text, default="")
    metadata: Mapping[str, Any] | None = wire(json_object)
    done: bool | None = wire(boolean, default=False)
    response: Mapping[str, Any] | None = wire(json_object)
    error: Mapping[str, Any] | None = wire(json_object)

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for an operation that has both failed and not failed."""
        if self.error is not None and self.response is not None:
            raise invalid("must not be set together with response; an operation ends with one of them", path="error")

    @property
    def counters(self) -> dict[str, int]:
        """``success``, ``failure``, ``pending`` and the like; counters of zero may be missing."""
        counter = (self.metadata or {}).get("counter")
        if not isinstance(counter, Mapping):
            return {}
        # int64 is a string in proto3 JSON, of at most 19 digits.
        return {key: int(n) for key, n in counter.items() if re.fullmatch(r"[0-9]{1,19}", str(n))}

    def failure(self) -> OperationError | None:
        """Return the error that a failed operation stands for; ``None`` while it runs and when it succeeded."""
        if self.error is None:
            return None
        number = self.error.get("code")
        code = next((name for name, n in RPC_CODES.items() if n == number), "UNKNOWN")
        message = self.error.get("message") or "the operation failed without saying why"
        return OperationError(f"{message} ({code})", operation=self.name or "", counters=self.counters)


def rpc_status(error: ApiError) -> dict[str, Any]:
    """``google.rpc.Status`` of *error*, for :attr:`Operation.error`."""
    status: dict[str, Any] = {"code": RPC_CODES.get(error.code, RPC_CODES["UNKNOWN"]), "message": error.message}
    return status | ({"details": [dict(d) for d in error.details]} if error.details else {})
