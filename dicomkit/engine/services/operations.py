"""Long-running operations; those of this engine are done when they are made.

Source: Cloud Healthcare API v1, "Manage long-running operations".
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.database import Connection
from dicomkit.engine.persistence.storage import Storage
from dicomkit.errors import NotFound
from dicomkit.names import DatasetName

__all__ = ["EMPTY", "Operations"]

EMPTY = "type.googleapis.com/google.protobuf.Empty"
"""``@type`` of a response that says nothing."""

_METADATA = "type.googleapis.com/google.cloud.healthcare.v1.OperationMetadata"


class Operations:
    """Operations of all datasets."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def finished(
        self,
        connection: Connection,
        dataset: DatasetName,
        dataset_key: int,
        method: str,
        response: Mapping[str, Any],
        counter: Mapping[str, int] | None = None,
    ) -> dict[str, Any]:
        """Keep an operation that has succeeded, and return it as ``operations.get`` will."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        body: dict[str, Any] = {
            "name": f"{dataset}/operations/{secrets.randbelow(9 * 10**18) + 10**18}",
            "metadata": {
                "@type": _METADATA,
                "apiMethodName": f"google.cloud.healthcare.v1.{method}",
                "createTime": now,
                "endTime": now,
            },
            "done": True,
            "response": dict(response),
        }
        if counter is not None:
            body["metadata"]["counter"] = {k: str(v) for k, v in counter.items() if v}
        catalog.insert_operation(connection, dataset_key, body)
        return body

    def record(
        self, dataset: DatasetName, method: str, response: Mapping[str, Any], counter: Mapping[str, int]
    ) -> dict[str, Any]:
        """Keep an operation, in a transaction of its own, for work that is done already."""
        with self._storage.database.write() as connection:
            key, _ = catalog.dataset_key(connection, dataset)
            return self.finished(connection, dataset, key, method, response, counter)

    def get(self, dataset: DatasetName, operation_id: str) -> dict[str, Any]:
        """The operation; ``NotFound`` when there is none."""
        name = f"{dataset}/operations/{operation_id}"
        with self._storage.database.read() as connection:
            body = catalog.operation(connection, name)
        if body is None:
            raise NotFound(f"there is no operation {name!r}")
        return body
