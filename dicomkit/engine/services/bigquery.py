"""The embedded BigQuery as one service: datasets, tables, streaming, jobs.

Its methods are those of the REST API, without HTTP. The handlers call it for requests, the delivery of a store's
stream calls it directly; there is no second way into a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse import Warehouse
from dicomkit.engine.persistence.warehouse_catalog import Catalog
from dicomkit.engine.persistence.warehouse_types import Field
from dicomkit.engine.services.bigquery_copy import Copies
from dicomkit.engine.services.bigquery_ddl import Definitions
from dicomkit.engine.services.bigquery_errors import invalid, not_implemented
from dicomkit.engine.services.bigquery_extract import Extracts
from dicomkit.engine.services.bigquery_job import Job
from dicomkit.engine.services.bigquery_jobs import Jobs
from dicomkit.engine.services.bigquery_load import LoadOutcome, Loads
from dicomkit.engine.services.bigquery_load_job import LoadJobs
from dicomkit.engine.services.bigquery_load_options import JSON, LoadOptions
from dicomkit.engine.services.bigquery_load_text import Opener
from dicomkit.engine.services.bigquery_pages import Page, query_page, table_page
from dicomkit.engine.services.bigquery_query import Queries
from dicomkit.engine.services.bigquery_query_job import QueryJobs, QueryTask
from dicomkit.engine.services.bigquery_statements import Statements
from dicomkit.engine.services.bigquery_streaming import Streaming
from dicomkit.engine.services.bigquery_tables import Tables
from dicomkit.engine.services.bigquery_uploads import Uploads
from dicomkit.engine.services.buckets import Buckets

__all__ = ["BigQueryService"]

_DEFAULT_WAIT_S = 10.0
_LONGEST_WAIT_S = 200.0
_QUERY_ONLY = (
    "query", "useLegacySql", "defaultDataset", "parameterMode", "queryParameters", "maximumBytesBilled",
    "createSession", "connectionProperties", "continuous", "destinationEncryptionConfiguration",
)  # fmt: skip
"""What a ``QueryRequest`` has of a job's configuration."""


class BigQueryService:
    """The part of BigQuery that streamed tables and queries need, over one warehouse.

    Parameters
    ----------
    warehouse
        The open file; closed by its owner after :meth:`close`.
    buckets
        Where loads and extracts find ``gs://`` URIs; without it they find none.
    """

    def __init__(self, warehouse: Warehouse, buckets: Buckets | None = None) -> None:
        self._warehouse = warehouse
        self._catalog = Catalog(warehouse)
        queries = Queries(warehouse, self._catalog)
        self.tables = Tables(self._catalog, queries.columns)
        self._streaming = Streaming(warehouse, self._catalog)
        self.uploads = Uploads()
        self._loads = Loads(warehouse, self._catalog)
        definitions = Definitions(warehouse, self._catalog, queries, self.tables)
        statements = Statements(warehouse, self._catalog, queries, definitions)
        self.jobs = Jobs(
            QueryJobs(warehouse, self._catalog, queries, statements),
            LoadJobs(self._loads, buckets),
            Copies(self._catalog),
            Extracts(warehouse, self._catalog, buckets),
        )

    def ensure_dataset(self, project: str, dataset: str) -> None:
        """Make the dataset if it is not there."""
        self.tables.ensure_dataset(project, dataset)

    def get_table(self, reference: TableReference) -> dict[str, Any]:
        """``tables.get``."""
        return self.tables.get_table(reference)

    def create_table(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """``tables.insert``."""
        return self.tables.create_table(resource)

    def patch_table(
        self, reference: TableReference, resource: Mapping[str, Any], etag: str | None = None
    ) -> dict[str, Any]:
        """``tables.patch``; 412 when *etag* is not the current one."""
        return self.tables.patch_table(reference, resource, etag=etag)

    def delete_table(self, reference: TableReference) -> None:
        """``tables.delete``."""
        self._streaming.forget(self.tables.delete_table(reference))

    def insert_all(
        self,
        reference: TableReference,
        rows: Sequence[Mapping[str, Any]],
        *,
        skip_invalid_rows: bool = False,
        ignore_unknown_values: bool = False,
    ) -> list[dict[str, Any]]:
        """``tabledata.insertAll``: the ``insertErrors``; see :meth:`Streaming.insert_all`."""
        return self._streaming.insert_all(
            reference, rows, skip_invalid_rows=skip_invalid_rows, ignore_unknown_values=ignore_unknown_values
        )

    def insert_whole(self, reference: TableReference, lines: Sequence[bytes], insert_ids: Sequence[str]) -> bool:
        """Insert rows that are JSON already, all or none; ``False`` when one of them does not fit the table.

        For a caller that is nearly always right: what is wrong with which row, :meth:`insert_all` tells.
        """
        return self._streaming.insert_whole(reference, lines, insert_ids)

    def load_spool(
        self,
        reference: TableReference,
        opener: Opener,
        disposition: str,
        schema: Sequence[Field],
        *,
        name: str,
        stopped: Callable[[], bool] = lambda: False,
    ) -> LoadOutcome:
        """Load a file of JSON lines in one transaction, and keep its name in the same.

        Parameters
        ----------
        opener
            Opens the file, which may be gzip; it is read once, and once more where a row does not fit.
        disposition
            ``WRITE_APPEND``, ``WRITE_EMPTY`` or ``WRITE_TRUNCATE``.
        schema
            That every row fits. A table that is there is widened by it, or has it in place of its own when its rows
            are erased.
        name
            For :meth:`was_loaded`.
        stopped
            Asked between two batches; what it raises undoes the load.

        Raises
        ------
        ApiError
            As a load job would end with; nothing was loaded.
        """
        options = LoadOptions(
            reference=reference,
            source_format=JSON,
            write=disposition,
            schema=list(schema),
            add_fields=True,
            relax_fields=True,
        )
        outcome = LoadOutcome()
        self._loads.run(options, opener, outcome, stopped, name=name)
        return outcome

    def was_loaded(self, name: str) -> bool:
        """Whether a load of this name was committed, by this process or one before it."""
        return self._loads.was_done(name)

    def list_rows(self, reference: TableReference, args: Mapping[str, Any]) -> bytes:
        """``tabledata.list``: the answer's body."""
        entry = self.tables.entry(reference)
        if entry.is_view:
            raise invalid("Cannot list a table of type VIEW.")
        return table_page(self._warehouse, self._catalog, entry, Page(args), args.get("selectedFields"))

    def query(self, project: str, request: Mapping[str, Any]) -> bytes:
        """``jobs.query``: the answer's body, with the first page when the query is done in time."""
        if str(request.get("queryResultsFormat") or "STRUCT_ENCODING") != "STRUCT_ENCODING":
            raise not_implemented(f"queryResultsFormat {str(request['queryResultsFormat'])[:40]}")
        configuration = {"jobType": "QUERY", "query": {name: request[name] for name in _QUERY_ONLY if name in request}}
        page = Page(request)
        if request.get("dryRun"):
            job = self.jobs.dry_run(project, configuration, request)
        else:
            job = self.jobs.start(project, configuration, request)
        job.done.wait(_wait(request))
        return self._results(job, page, "bigquery#queryResponse")

    def query_results(self, project: str, job_id: str, args: Mapping[str, Any]) -> bytes:
        """``jobs.getQueryResults``: the answer's body."""
        page, job = Page(args), self.jobs.get(project, job_id)
        job.done.wait(_wait(args))
        return self._results(job, page, "bigquery#getQueryResultsResponse")

    def close(self) -> None:
        """Stop the jobs that run."""
        self.jobs.close()
        self.uploads.close()

    def _results(self, job: Job, page: Page, kind: str) -> bytes:
        head: dict[str, Any] = {"kind": kind, "jobReference": job.reference, "jobComplete": job.done.is_set()}
        if not job.done.is_set():
            return orjson.dumps(head)
        result = self.jobs.result(job)
        if not isinstance(job.task, QueryTask):
            raise invalid(f"Job {job.project}:{job.id} is no query")
        head |= job.task.answer()
        if not job.task.has_rows:
            return orjson.dumps(head)
        return query_page(head, result, page)


def _wait(args: Mapping[str, Any]) -> float:
    value = args.get("timeoutMs")
    if value is None:
        return _DEFAULT_WAIT_S
    try:
        return min(max(float(value) / 1000, 0.0), _LONGEST_WAIT_S)
    except (TypeError, ValueError):
        raise invalid("Invalid value for timeoutMs", "timeoutMs") from None
