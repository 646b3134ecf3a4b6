"""Copy jobs: the rows of one table or several into another, in one transaction.

Source: BigQuery REST v2, ``JobConfigurationTableCopy``, ``JobStatistics.copy``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse import Cursor
from dicomkit.engine.persistence.warehouse_catalog import Catalog, TableEntry
from dicomkit.engine.persistence.warehouse_statements import copy_rows, has_rows
from dicomkit.engine.services.bigquery_errors import already_exists, invalid, not_found, not_implemented, table_name
from dicomkit.engine.services.bigquery_job import Job
from dicomkit.engine.services.bigquery_load_options import CREATES, WRITES, choice, destination
from dicomkit.engine.services.bigquery_schema import widened
from dicomkit.engine.services.bigquery_tables import estimated_bytes

__all__ = ["Copies", "CopyTask"]

MAX_SOURCES = 1_200
"""Most source tables of a job (BigQuery, "Quotas and limits")."""


class _Changed(Exception):
    """A table is no longer as it was read."""


@dataclass(slots=True)
class CopyTask:
    """A copy."""

    catalog: Catalog
    sources: list[TableReference]
    target: TableReference
    write: str
    create: str
    rows: int = 0
    size: int = 0

    kind = "COPY"

    def run(self, job: Job) -> None:
        """Copy; nothing is seen before all of it is."""
        while not self._once(job):
            pass

    def statistics(self, job: Job) -> dict[str, Any]:
        """How much was copied."""
        if not job.done.is_set() or job.error is not None:
            return {}
        return {"copy": {"copiedRows": str(self.rows), "copiedLogicalBytes": str(self.size)}}

    def row_errors(self) -> Sequence[dict[str, str]]:
        """None: a row is copied or the job fails."""
        return ()

    def close(self) -> None:
        """Nothing is held."""

    def _once(self, job: Job) -> bool:
        """Whether it is done; ``False`` when a table changed meanwhile."""
        sources = [self._source(reference) for reference in self.sources]
        old = self.catalog.tables.get(self.target)
        resource, replace = self._target(old, sources)

        def fill(cursor: Cursor, entry: TableEntry) -> None:
            job.cursor = cursor
            if self.write == "WRITE_EMPTY" and old is not None and has_rows(cursor, entry):
                raise already_exists("Table", table_name(self.target))
            self.rows = self.size = 0
            for source in sources:
                job.check()
                if self.catalog.tables.get(source.reference) is not source:
                    raise _Changed
                count = copy_rows(cursor, source, entry)
                self.rows += count
                self.size += count * estimated_bytes(source.fields)

        try:
            return self.catalog.write_table(self.target, old, resource, fill, replace=replace) is not None
        except _Changed:
            return False
        finally:
            job.cursor = None

    def _source(self, reference: TableReference) -> TableEntry:
        entry = self.catalog.tables.get(reference)
        if entry is None:
            raise not_found("Table", table_name(reference))
        return _no_view(entry)

    def _target(self, old: TableEntry | None, sources: Sequence[TableEntry]) -> tuple[dict[str, Any], bool]:
        """The resource that the target shall have, and whether its rows go first."""
        if (self.target.project, self.target.dataset) not in self.catalog.datasets:
            raise not_found("Dataset", f"{self.target.project}:{self.target.dataset}")
        first, name = sources[0], table_name(self.target)
        for source in sources[1:]:
            widened(first.fields, source.fields, table_name(first.reference), add=False, relax=False)
        if old is None and self.create == "CREATE_NEVER":
            raise not_found("Table", name)
        names = {
            "projectId": self.target.project,
            "datasetId": self.target.dataset,
            "tableId": self.target.table,
        }
        copied = {**first.resource, "tableReference": names}
        if old is None:
            return copied, False
        _no_view(old)
        if self.write == "WRITE_TRUNCATE":
            return copied, True
        if not old.fields:
            return {**old.resource, "schema": first.resource["schema"]}, False
        widened(old.fields, first.fields, name, add=False, relax=False)
        return old.resource, False


class Copies:
    """Makes copy jobs."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def task(self, given: Mapping[str, Any]) -> CopyTask:
        """A copy, its options checked."""
        operation = str(given.get("operationType") or "COPY")
        if operation not in ("COPY", "OPERATION_TYPE_UNSPECIFIED"):
            raise not_implemented(f"a copy job of the operationType {operation[:40]}")
        for name in ("destinationEncryptionConfiguration", "destinationExpirationTime"):
            if given.get(name):
                raise not_implemented(f"a copy job with {name}")
        listed = given.get("sourceTables")
        if listed is None:
            listed = [given["sourceTable"]] if given.get("sourceTable") is not None else []
        if not isinstance(listed, list) or not listed:
            raise invalid("Required parameter is missing: sourceTables", "copy.sourceTables")
        if len(listed) > MAX_SOURCES:
            raise invalid(f"Too many source tables; the limit is {MAX_SOURCES}", "copy.sourceTables")
        sources = [destination(each, "copy.sourceTables") for each in listed]
        target = destination(given.get("destinationTable"), "copy.destinationTable")
        # A copy onto what is there fails unless it is told what to do.
        write = choice({"writeDisposition": "WRITE_EMPTY", **_set(given)}, "writeDisposition", WRITES, "copy")
        create = choice(given, "createDisposition", CREATES, "copy")
        if target in sources and write == "WRITE_TRUNCATE":
            raise invalid("A table cannot be replaced by a copy of itself", "copy.destinationTable")
        return CopyTask(self._catalog, sources, target, write, create)


def _set(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value}


def _no_view(entry: TableEntry) -> TableEntry:
    if entry.is_view:
        name = table_name(entry.reference)
        raise invalid(f"{name} is not allowed for this operation because it is currently a VIEW.")
    return entry
