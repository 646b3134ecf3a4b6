"""Jobs: queries and loads that run in the background, their state, and the pages of their results.

A job is kept in memory, and its rows until newer results need the room, as BigQuery keeps them for a day. Kinds of
jobs that the embedded engine does not have are refused by name.

Source: BigQuery REST v2, ``jobs`` (insert, get, list, cancel, query, getQueryResults).
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from dicomkit.engine.persistence.warehouse import Cursor, Result, Warehouse
from dicomkit.engine.services.bigquery_errors import (
    already_exists,
    error_proto,
    invalid,
    invalid_query,
    job_error,
    not_found,
    not_implemented,
)
from dicomkit.engine.services.bigquery_load import LoadOutcome, Loads
from dicomkit.engine.services.bigquery_load_options import LoadOptions
from dicomkit.engine.services.bigquery_query import Prepared, Queries
from dicomkit.engine.services.bigquery_tables import LOCATION
from dicomkit.errors import ApiError

__all__ = ["Job", "Jobs", "LoadTask"]

MAX_JOBS = 1_000
"""Jobs that are remembered."""

MAX_KEPT_BYTES = 512 << 20
"""Results that are kept, in all; the newest one always is."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,1024}")
_WORKERS = 4


@dataclass(slots=True)
class LoadTask:
    """What a load job does."""

    options: LoadOptions
    path: Path
    """The bytes that came; gone when the job is done."""
    outcome: LoadOutcome = field(default_factory=LoadOutcome)


@dataclass(slots=True)
class Job:
    """A query, or a load."""

    project: str
    id: str
    configuration: dict[str, Any]
    prepared: Prepared | None = None
    load: LoadTask | None = None
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

    def resource(self) -> dict[str, Any]:
        """``Job``."""
        state = "DONE" if self.done.is_set() else "RUNNING" if self.started else "PENDING"
        statistics: dict[str, Any] = {"creationTime": str(self.created)}
        if self.prepared is not None:
            size = str(self.prepared.total_bytes)
            statistics["totalBytesProcessed"] = size
            statistics["query"] = {
                "statementType": "SELECT",
                "cacheHit": False,
                "totalBytesProcessed": size,
                "totalBytesBilled": "0",
                "referencedTables": [
                    {"projectId": table.project, "datasetId": table.dataset, "tableId": table.table}
                    for table in self.prepared.tables
                ],
            }
        if self.load is not None and self.done.is_set() and self.error is None:
            statistics["load"] = self.load.outcome.statistics()
        if self.started:
            statistics["startTime"] = str(self.started)
        if self.ended:
            statistics["endTime"] = str(self.ended)
        if self.result is not None:
            statistics["query"]["schema"] = {"fields": self.result.fields}
        status: dict[str, Any] = {"state": state}
        rows = self.load.outcome.errors if self.load is not None and self.done.is_set() else []
        if self.error is not None:
            status |= {"errorResult": self.error, "errors": [self.error, *rows]}
        elif rows:
            status["errors"] = rows
        return {
            "kind": "bigquery#job",
            "id": f"{self.project}:{LOCATION}.{self.id}",
            "jobReference": self.reference,
            "configuration": self.configuration,
            "statistics": statistics,
            "status": status,
            "user_email": "local",
        }


class Jobs:
    """The jobs of this process."""

    def __init__(self, warehouse: Warehouse, queries: Queries, loads: Loads) -> None:
        self._warehouse = warehouse
        self._queries = queries
        self._loads = loads
        self._jobs: dict[tuple[str, str], Job] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="dicomkit-query")

    def insert(self, project: str, resource: Mapping[str, Any], *, wait_s: float = 1.0) -> dict[str, Any]:
        """``jobs.insert``: start a query, or estimate it (``dryRun``); a short one is done when this returns."""
        configuration = dict(resource.get("configuration") or {})
        for kind in ("load", "extract", "copy"):
            if kind in configuration:
                raise not_implemented(f"a {kind} job" + " without an upload" * (kind == "load"))
        query = configuration.get("query")
        if not isinstance(query, Mapping):
            raise invalid("Required parameter is missing: configuration.query", "configuration")
        configuration.setdefault("jobType", "QUERY")
        given = (resource.get("jobReference") or {}).get("jobId")
        if configuration.get("dryRun"):
            return self.dry_run(project, configuration, query).resource()
        job = self.start(project, configuration, query, given)
        job.done.wait(wait_s)
        return job.resource()

    def dry_run(self, project: str, configuration: dict[str, Any], query: Mapping[str, Any]) -> Job:
        """A job that is done without having run: its schema, and what it would read."""
        prepared = self._prepared(project, query)
        job = Job(project, uuid.uuid4().hex, configuration, prepared)
        job.result = self._queries.describe(prepared)
        job.done.set()
        return job

    def start(
        self, project: str, configuration: dict[str, Any], query: Mapping[str, Any], job_id: object = None
    ) -> Job:
        """Translate a query, which is where most errors are found, and run it in the background."""
        name = self._free(project, job_id)
        return self._started(Job(project, name, configuration, self._prepared(project, query)))

    def load(self, project: str, resource: Mapping[str, Any], path: Path, *, wait_s: float = 1.0) -> dict[str, Any]:
        """``jobs.insert`` with an upload: load the file at *path*, which is the job's from now on.

        Options are checked at once; what depends on the table or the rows is the job's own error.
        """
        configuration = dict(resource.get("configuration") or {})
        given = configuration.get("load")
        if not isinstance(given, Mapping):
            raise invalid("Required parameter is missing: configuration.load", "configuration")
        if configuration.get("dryRun"):
            raise not_implemented("a dry run of a load job")
        name = self._free(project, (resource.get("jobReference") or {}).get("jobId"))
        task = LoadTask(LoadOptions.from_api(given), path)
        task.outcome.input_bytes = path.stat().st_size
        job = self._started(Job(project, name, {**configuration, "jobType": "LOAD"}, load=task))
        job.done.wait(wait_s)
        return job.resource()

    def _free(self, project: str, job_id: object) -> str:
        if job_id is not None and not (isinstance(job_id, str) and _ID.fullmatch(job_id)):
            raise invalid("Invalid job ID: letters, digits, underscores and dashes, at most 1024", "jobReference.jobId")
        name = str(job_id or uuid.uuid4())
        if (project, name) in self._jobs:
            raise already_exists("Job", f"{project}:{LOCATION}.{name}")
        return name

    def _started(self, job: Job) -> Job:
        with self._lock:
            if self._jobs.setdefault((job.project, job.id), job) is not job:
                raise already_exists("Job", f"{job.project}:{LOCATION}.{job.id}")
            self._forget()
        self._pool.submit(self._run, job)
        return job

    def get(self, project: str, job_id: str) -> Job:
        """``jobs.get``."""
        job = self._jobs.get((project, job_id))
        if job is None:
            raise not_found("Job", f"{project}:{job_id[:200]}")
        return job

    def list(self, project: str) -> list[Job]:
        """``jobs.list``, newest first."""
        return [job for job in reversed(self._jobs.values()) if job.project == project]

    def cancel(self, project: str, job_id: str) -> Job:
        """``jobs.cancel``: ask a query to stop; one that is done stays as it is."""
        job = self.get(project, job_id)
        job.cancelled = True
        for _ in range(100):
            cursor = job.cursor
            if cursor is not None:
                # Closed since, perhaps. One that has not begun yet does not hear the first call.
                with contextlib.suppress(duckdb.Error):
                    cursor.interrupt()
            if job.done.wait(0.05):
                break
        return job

    def result(self, job: Job) -> Result:
        """The rows of a job that is done, or the error that it ended with."""
        if job.error is not None:
            raise job_error(job.error)
        if job.prepared is None:
            raise invalid(f"Job {job.project}:{job.id} is no query")
        if job.result is None:
            raise not_found("Job", f"{job.project}:{job.id}: its results are no longer kept; run the query again")
        return job.result

    def close(self) -> None:
        """Stop what runs, and wait for it."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for job in list(self._jobs.values()):
            job.cancelled = True
            cursor = job.cursor
            if cursor is not None:
                with contextlib.suppress(duckdb.Error):
                    cursor.interrupt()
        self._pool.shutdown(wait=True)

    def _prepared(self, project: str, query: Mapping[str, Any]) -> Prepared:
        for name in ("destinationTable", "tableDefinitions", "destinationEncryptionConfiguration"):
            if query.get(name):
                raise not_implemented(f"a query with {name}")
        if query.get("createSession"):
            raise not_implemented("a session")
        prepared = self._queries.prepare(project, query)
        limit = query.get("maximumBytesBilled")
        if limit is not None and prepared.total_bytes > int(limit):
            message = f"Query exceeded limit for bytes billed: {limit}. {prepared.total_bytes} or higher required."
            raise job_error({"reason": "bytesBilledLimitExceeded", "message": message})
        return prepared

    def _run(self, job: Job) -> None:
        job.started = time.time_ns() // 1_000_000
        try:
            if job.load is not None:
                task = job.load
                self._loads.run(task.options, lambda: task.path.open("rb"), task.outcome, lambda: job.cancelled)
            elif job.prepared is not None:
                self._run_query(job, job.prepared)
        except ApiError as error:
            job.error = error_proto(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the job has to end and say so
            job.error = error_proto(invalid_query(f"The job failed: {type(error).__name__}"))
        finally:
            job.cursor = None
            if job.load is not None:
                job.load.path.unlink(missing_ok=True)
            job.ended = time.time_ns() // 1_000_000
            job.done.set()

    def _run_query(self, job: Job, prepared: Prepared) -> None:
        with contextlib.closing(self._warehouse.cursor()) as cursor:
            job.cursor = cursor
            if job.cancelled:
                raise job_error({"reason": "stopped", "message": "Job execution was cancelled"})
            job.result = self._queries.run(prepared, cursor)

    def _forget(self) -> None:
        """Let old results and jobs go; called with the lock held."""
        kept = 0
        for job in reversed(self._jobs.values()):
            if job.result is not None:
                kept += job.result.table.nbytes
                if kept > MAX_KEPT_BYTES:
                    job.result = None
        for key in list(self._jobs)[: max(0, len(self._jobs) - MAX_JOBS)]:
            if self._jobs[key].done.is_set():
                del self._jobs[key]
