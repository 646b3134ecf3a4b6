"""Jobs: queries, statements, loads, copies and extracts that run in the background, and their results.

A job is kept in memory, and its rows until newer results need the room, as BigQuery keeps them for a day.

Source: BigQuery REST v2, ``jobs`` (insert, get, list, cancel, delete, query, getQueryResults).
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb

from dicomkit.engine.persistence.warehouse import Result
from dicomkit.engine.services.bigquery_copy import Copies
from dicomkit.engine.services.bigquery_errors import (
    already_exists,
    error_proto,
    invalid,
    invalid_query,
    job_error,
    not_found,
    not_implemented,
)
from dicomkit.engine.services.bigquery_extract import Extracts
from dicomkit.engine.services.bigquery_job import Job, Task
from dicomkit.engine.services.bigquery_load_job import LoadJobs
from dicomkit.engine.services.bigquery_query import explained
from dicomkit.engine.services.bigquery_query_job import QueryJobs, QueryTask
from dicomkit.engine.services.bigquery_tables import LOCATION
from dicomkit.errors import ApiError

__all__ = ["Jobs"]

MAX_JOBS = 1_000
"""Jobs that are remembered."""

MAX_KEPT_BYTES = 512 << 20
"""Results that are kept, in all; the newest one always is."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,1024}")
_WORKERS = 4
_KINDS = ("query", "load", "extract", "copy")


class Jobs:
    """The jobs of this process."""

    def __init__(self, queries: QueryJobs, loads: LoadJobs, copies: Copies, extracts: Extracts) -> None:
        self._queries = queries
        self._loads = loads
        self._copies = copies
        self._extracts = extracts
        self._jobs: dict[tuple[str, str], Job] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="dicomkit-query")

    def insert(self, project: str, resource: Mapping[str, Any], *, wait_s: float = 1.0) -> dict[str, Any]:
        """``jobs.insert``: start a job, or estimate a query (``dryRun``); a short one is done when this returns."""
        configuration = _configuration(resource)
        kinds = [kind for kind in _KINDS if isinstance(configuration.get(kind), Mapping)]
        if len(kinds) != 1:
            raise invalid(
                f"Required parameter is missing: configuration must have exactly one of {', '.join(_KINDS)}",
                "configuration",
            )
        (kind,) = kinds
        given = configuration[kind]
        if configuration.get("dryRun"):
            if kind != "query":
                raise not_implemented(f"a dry run of a {kind} job")
            return self.dry_run(project, configuration, given).resource()
        job_id = _job_id(resource)
        if kind == "query":
            job = self.start(project, configuration, given, job_id)
        else:
            name = self._free(project, job_id)
            task: Task
            if kind == "load":
                task = self._loads.from_buckets(given)
            elif kind == "copy":
                task = self._copies.task(given)
            else:
                task = self._extracts.task(given)
            job = self._started(Job(project, name, configuration, task))
        job.done.wait(wait_s)
        return job.resource()

    def dry_run(self, project: str, configuration: dict[str, Any], query: Mapping[str, Any]) -> Job:
        """A job that is done without having run: its schema, and what it would read."""
        task = self._queries.task(project, query)
        job = Job(project, uuid.uuid4().hex, configuration, task)
        job.result = task.described()
        job.done.set()
        return job

    def start(
        self, project: str, configuration: dict[str, Any], query: Mapping[str, Any], job_id: object = None
    ) -> Job:
        """Translate a query or another statement, where most errors are found, and run it in the background."""
        name = self._free(project, job_id)
        return self._started(Job(project, name, configuration, self._queries.task(project, query)))

    def load(self, project: str, resource: Mapping[str, Any], path: Path, *, wait_s: float = 1.0) -> dict[str, Any]:
        """``jobs.insert`` with an upload: load the file at *path*, which is the job's from now on.

        Options are checked at once; what depends on the table or the rows is the job's own error.
        """
        configuration = _configuration(resource)
        given = configuration.get("load")
        if not isinstance(given, Mapping):
            raise invalid("Required parameter is missing: configuration.load", "configuration")
        if configuration.get("dryRun"):
            raise not_implemented("a dry run of a load job")
        name = self._free(project, _job_id(resource))
        job = self._started(Job(project, name, configuration, self._loads.from_upload(given, path)))
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
        return [job for job in reversed(list(self._jobs.values())) if job.project == project]

    def cancel(self, project: str, job_id: str) -> Job:
        """``jobs.cancel``: ask a job to stop; one that is done stays as it is."""
        job = self.get(project, job_id)
        for _ in range(100):
            if not job.done.is_set():
                job.stop()
            if job.done.wait(0.05):
                break
        return job

    def delete(self, project: str, job_id: str) -> None:
        """``jobs.delete``: forget a job that is done."""
        job = self.get(project, job_id)
        if not job.done.is_set():
            raise invalid(f"Job {project}:{job_id} is still running; cancel it first", "jobId")
        with self._lock:
            self._jobs.pop((project, job_id), None)

    def result(self, job: Job) -> Result:
        """The rows of a job that is done, or the error that it ended with."""
        if job.error is not None:
            raise job_error(job.error)
        if not isinstance(job.task, QueryTask):
            raise invalid(f"Job {job.project}:{job.id} is no query")
        if job.result is None:
            raise not_found("Job", f"{job.project}:{job.id}: its results are no longer kept; run the query again")
        return job.result

    def close(self) -> None:
        """Stop what runs, and wait for it."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for job in list(self._jobs.values()):
            job.stop()
        self._pool.shutdown(wait=True)

    def _run(self, job: Job) -> None:
        job.started = time.time_ns() // 1_000_000
        try:
            job.check()
            job.result = job.task.run(job)
        except ApiError as error:
            job.error = error_proto(error)
        except duckdb.Error as error:
            job.error = error_proto(explained(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the job has to end and say so
            job.error = error_proto(invalid_query(f"The job failed: {type(error).__name__}"))
        finally:
            job.cursor = None
            job.task.close()
            job.ended = time.time_ns() // 1_000_000
            job.done.set()

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


def _configuration(resource: Mapping[str, Any]) -> dict[str, Any]:
    configuration = resource.get("configuration")
    if not isinstance(configuration, Mapping):
        raise invalid("Required parameter is missing: configuration", "configuration")
    return dict(configuration)


def _job_id(resource: Mapping[str, Any]) -> object:
    reference = resource.get("jobReference") or {}
    if not isinstance(reference, Mapping):
        raise invalid("jobReference must be an object", "jobReference")
    return reference.get("jobId")
