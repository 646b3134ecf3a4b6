"""Query jobs: a query, whose rows may go into a table, or another statement.

Source: BigQuery REST v2, ``JobConfigurationQuery``, ``JobStatistics2``; BigQuery documentation, "Writing query
results", "Estimate and control costs" (at least 10 MB are billed for each table that is read).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import duckdb

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.defects import place_of
from dicomkit.engine.persistence.warehouse import Cursor, Result, Warehouse
from dicomkit.engine.persistence.warehouse_catalog import Catalog, TableEntry
from dicomkit.engine.persistence.warehouse_statements import has_rows, insert_result
from dicomkit.engine.services.bigquery_errors import (
    already_exists,
    invalid,
    job_error,
    not_found,
    not_implemented,
    not_supported,
    table_name,
)
from dicomkit.engine.services.bigquery_job import Job
from dicomkit.engine.services.bigquery_load_options import CREATES, UPDATES, WRITES, choice, destination
from dicomkit.engine.services.bigquery_query import Prepared, Queries, explained
from dicomkit.engine.services.bigquery_schema import checked_schema, widened
from dicomkit.engine.services.bigquery_statement import Statement
from dicomkit.engine.services.bigquery_statements import Statements
from dicomkit.errors import ApiError

_log = logging.getLogger(__name__)

__all__ = ["QueryJobs", "QueryTask"]

_LEAST_BILLED = 10 << 20
_REFUSED = (
    "tableDefinitions",
    "destinationEncryptionConfiguration",
    "timePartitioning",
    "rangePartitioning",
    "createSession",
    "connectionProperties",
    "scriptOptions",
    "continuous",
    "userDefinedFunctionResources",
)


@dataclass(slots=True)
class Target:
    """The table that the rows of a query go into."""

    reference: TableReference
    write: str
    create: str
    add: bool = False
    relax: bool = False


@dataclass(slots=True)
class QueryTask:
    """A query or another statement."""

    jobs: QueryJobs
    plan: Prepared | Statement
    target: Target | None = None
    outcome: dict[str, Any] = field(default_factory=dict)
    """What a statement did, as ``JobStatistics2`` tells it."""

    kind = "QUERY"

    @property
    def billed(self) -> int:
        """The bytes that BigQuery would bill: whole megabytes, ten at least for each table."""
        count = len(self.plan.tables)
        return max(-(-self.plan.total_bytes // (1 << 20)) << 20, _LEAST_BILLED * count) if count else 0

    @property
    def has_rows(self) -> bool:
        """Whether there is a result, which a statement that changes something has not."""
        return isinstance(self.plan, Prepared)

    def run(self, job: Job) -> Result:
        """Run it."""
        if isinstance(self.plan, Statement):
            self.outcome = self.plan.run(job)
            return self.jobs.nothing
        with closing(self.jobs.warehouse.cursor()) as cursor:
            job.cursor = cursor
            job.check()
            result = self.jobs.queries.run(self.plan, cursor)
        if self.target is not None:
            self.jobs.keep(self.target, result)
        return result

    def described(self) -> Result:
        """The schema, without rows."""
        if isinstance(self.plan, Statement):
            return self.jobs.nothing
        return self.jobs.queries.describe(self.plan)

    def answer(self) -> dict[str, Any]:
        """What ``jobs.query`` and ``getQueryResults`` say besides the rows."""
        told = {
            "totalBytesProcessed": str(self.plan.total_bytes),
            "totalBytesBilled": str(self.billed),
            "cacheHit": False,
            "statementType": self.plan.kind,
        }
        return told | {name: self.outcome[name] for name in ("numDmlAffectedRows", "dmlStats") if name in self.outcome}

    def statistics(self, job: Job) -> dict[str, Any]:
        """``JobStatistics2``."""
        size = str(self.plan.total_bytes)
        told: dict[str, Any] = {
            "statementType": self.plan.kind,
            "cacheHit": False,
            "totalBytesProcessed": size,
            "totalBytesBilled": str(self.billed),
            "referencedTables": [
                {"projectId": table.project, "datasetId": table.dataset, "tableId": table.table}
                for table in self.plan.tables
            ],
            **self.outcome,
        }
        if job.configuration.get("dryRun"):
            told["totalBytesProcessedAccuracy"] = "UPPER_BOUND"
        if job.result is not None and self.has_rows:
            told["schema"] = {"fields": job.result.fields}
        return {"totalBytesProcessed": size, "query": told}

    def row_errors(self) -> Sequence[dict[str, str]]:
        """None: a query works or fails."""
        return ()

    def close(self) -> None:
        """Nothing is held."""


class QueryJobs:
    """Makes query jobs."""

    def __init__(self, warehouse: Warehouse, catalog: Catalog, queries: Queries, statements: Statements) -> None:
        self.warehouse = warehouse
        self.queries = queries
        self._catalog = catalog
        self._statements = statements
        self.nothing = Result([], warehouse.read("SELECT 1 AS nothing LIMIT 0").table)
        """The result of a statement that has none."""

    def task(self, project: str, given: Mapping[str, Any]) -> QueryTask:
        """Translate; *given* is ``JobConfigurationQuery`` or ``QueryRequest``."""
        for name in _REFUSED:
            if given.get(name):
                raise not_implemented("a session" if name == "createSession" else f"a query with {name}")
        target = _target(given)
        try:
            plan = self._plan(project, given, target)
        except ApiError:
            raise
        except Exception as error:
            # A defect of the translator. A 500 would be repeated for minutes by the client.
            _log.error("a statement could not be translated: %s in %s", type(error).__name__, place_of(error))
            raise not_supported("this statement") from error
        task = QueryTask(self, plan, target)
        limit = _limit(given.get("maximumBytesBilled"))
        if limit is not None and task.billed > limit:
            message = f"Query exceeded limit for bytes billed: {limit}. {task.billed} or higher required."
            raise job_error({"reason": "bytesBilledLimitExceeded", "message": message})
        return task

    def _plan(self, project: str, given: Mapping[str, Any], target: Target | None) -> Prepared | Statement:
        tree = self.queries.parsed(given)
        if self.queries.is_query(tree):
            return self.queries.prepare(project, given, tree)
        if target is not None:
            raise invalid("Cannot set destination table in jobs with DML or DDL statements", "destinationTable")
        return self._statements.prepare(project, given, tree)

    def keep(self, target: Target, result: Result) -> None:
        """Write the rows into their table, all or none."""
        reference = target.reference
        name = table_name(reference)
        fields = checked_schema(result.fields)

        while True:
            old = self._catalog.tables.get(reference)
            if (reference.project, reference.dataset) not in self._catalog.datasets:
                raise not_found("Dataset", f"{reference.project}:{reference.dataset}")
            if old is None and target.create == "CREATE_NEVER":
                raise not_found("Table", name)
            if old is not None and old.is_view:
                raise invalid(f"{name} is not allowed for this operation because it is currently a VIEW.")
            names = {
                "projectId": reference.project,
                "datasetId": reference.dataset,
                "tableId": reference.table,
            }
            resource = {**(old.resource if old else {"tableReference": names}), "schema": {"fields": fields}}
            if old is not None and old.fields and target.write != "WRITE_TRUNCATE":
                grown = widened(old.fields, fields, name, add=target.add, relax=target.relax)
                resource = old.resource if grown == old.fields else {**old.resource, "schema": {"fields": grown}}

            def fill(cursor: Cursor, entry: TableEntry, old: TableEntry | None = old) -> None:
                if target.write == "WRITE_EMPTY" and old is not None and has_rows(cursor, entry):
                    raise already_exists("Table", name)
                insert_result(cursor, entry, result.table, result.fields)

            try:
                replace = target.write == "WRITE_TRUNCATE"
                if self._catalog.write_table(reference, old, resource, fill, replace=replace) is not None:
                    return
            except duckdb.Error as error:
                raise explained(error) from None


def _target(given: Mapping[str, Any]) -> Target | None:
    if not given.get("destinationTable"):
        return None
    updates = given.get("schemaUpdateOptions") or []
    if not isinstance(updates, list) or any(update not in UPDATES for update in updates):
        raise invalid(f"schemaUpdateOptions must be among {', '.join(UPDATES)}", "query.schemaUpdateOptions")
    # Results go into a table without rows unless it is told what to do with those that are there.
    write = choice({"writeDisposition": given.get("writeDisposition") or "WRITE_EMPTY"}, "writeDisposition", WRITES)
    return Target(
        destination(given["destinationTable"], "query.destinationTable"),
        write,
        choice(given, "createDisposition", CREATES, "query"),
        UPDATES[0] in updates,
        UPDATES[1] in updates,
    )


def _limit(given: object) -> int | None:
    if given is None or given == "":
        return None
    text = str(given)
    if isinstance(given, bool) or not text.isascii() or not text.isdigit() or len(text) > 19:
        raise invalid("Invalid value for maximumBytesBilled: a positive integer is expected", "maximumBytesBilled")
    return int(text) or None
