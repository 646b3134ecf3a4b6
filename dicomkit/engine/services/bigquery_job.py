"""One job: what it is asked to do, how far it is, and the resource that says so.

Source: BigQuery REST v2, ``Job``, ``JobStatistics``, ``JobStatus``.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import duckdb

from dicomkit.engine.persistence.warehouse import Cursor, Result
from dicomkit.engine.services.bigquery_errors import job_error
from dicomkit.engine.services.bigquery_tables import LOCATION

__all__ = ["Job", "Task"]


class Task(Protocol):
    """What a job does: one of the kinds that ``JobConfiguration`` has."""

    @property
    def kind(self) -> str:
        """``QUERY``, ``LOAD``, ``EXTRACT`` or ``COPY``."""
        ...

    def run(self, job: Job) -> Result | None:
        """Do it; what comes back are the rows of a query. *job* says when to stop."""
        ...

    def statistics(self, job: Job) -> dict[str, Any]:
        """The parts of ``JobStatistics`` that are of this kind; of a failed job, those that are known."""
        ...

    def row_errors(self) -> Sequence[dict[str, str]]:
        """Rows that were left out, as ``ErrorProto``."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


@dataclass(slots=True)
class Job:
    """A job and its state."""

    project: str
    id: str
    configuration: dict[str, Any]
    task: Task
    created: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    started: int = 0
    ended: int = 0
    error: dict[str, str] | None = None
    result: Result | None = None
    done: threading.Event = field(default_factory=threading.Event)
    cursor: Cursor | None = None
    cancelled: bool = False

    @property
    def reference(self) -> dict[str, str]:
        """``JobReference``."""
        return {"projectId": self.project, "jobId": self.id, "location": LOCATION}

    def check(self) -> None:
        """Raise the error of a job that was stopped when somebody asked for that."""
        if self.cancelled:
            raise job_error(
                {"reason": "stopped", "message": "Job execution was cancelled: User requested cancellation"}
            )

    def stop(self) -> None:
        """Interrupt the statement that runs, if one does; one that has not begun yet does not hear it."""
        self.cancelled = True
        cursor = self.cursor
        if cursor is not None:
            # Closed since, perhaps.
            with contextlib.suppress(duckdb.Error):
                cursor.interrupt()

    def resource(self) -> dict[str, Any]:
        """``Job``."""
        is_done = self.done.is_set()
        statistics: dict[str, Any] = {"creationTime": str(self.created), **self.task.statistics(self)}
        if self.started:
            statistics["startTime"] = str(self.started)
        if self.ended:
            statistics["endTime"] = str(self.ended)
        status: dict[str, Any] = {"state": "DONE" if is_done else "RUNNING" if self.started else "PENDING"}
        rows = list(self.task.row_errors()) if is_done else []
        if self.error is not None:
            status |= {"errorResult": self.error, "errors": [self.error, *rows]}
        elif rows:
            status["errors"] = rows
        return {
            "kind": "bigquery#job",
            "id": f"{self.project}:{LOCATION}.{self.id}",
            "jobReference": self.reference,
            "configuration": {**self.configuration, "jobType": self.task.kind},
            "statistics": statistics,
            "status": status,
            "user_email": "local",
        }
