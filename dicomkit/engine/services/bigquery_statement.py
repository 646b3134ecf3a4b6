"""What every statement has that is no query.

Source: BigQuery REST v2, ``JobStatistics2`` (statementType, ddlOperationPerformed, dmlStats).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.services.bigquery_job import Job

__all__ = ["Statement"]


class Statement(ABC):
    """A statement that changes something.

    Parameters
    ----------
    kind
        ``statementType``.
    tables
        What it names.
    total_bytes
        The estimate of what it reads.
    """

    def __init__(self, kind: str, tables: Sequence[TableReference] = (), total_bytes: int = 0) -> None:
        self.kind = kind
        self.tables = tables
        self.total_bytes = total_bytes

    @abstractmethod
    def run(self, job: Job) -> dict[str, Any]:
        """Do it; what it did, as fields of ``JobStatistics2``."""
