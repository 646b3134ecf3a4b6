"""Statements that are no queries, found by their kind: DML here, DDL in :mod:`.bigquery_ddl`.

A DML statement is one transaction. The rows of a stream go into the same table by another way, one transaction each, so
that either sees the other whole or not at all; what the stream knows of a table, its columns, DML does not change.

Source: BigQuery documentation, "Data manipulation language (DML) statements in GoogleSQL", "Introduction to DML"
(an UPDATE or MERGE that matches a row more than once fails).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
from sqlglot import exp

from dicomkit.engine.persistence.warehouse import Warehouse
from dicomkit.engine.persistence.warehouse_catalog import Catalog, TableEntry
from dicomkit.engine.persistence.warehouse_statements import changed_rows, merged_rows, returns_rows
from dicomkit.engine.services.bigquery_ddl import Definitions
from dicomkit.engine.services.bigquery_errors import invalid_query
from dicomkit.engine.services.bigquery_job import Job
from dicomkit.engine.services.bigquery_named_tables import NamedTables
from dicomkit.engine.services.bigquery_query import Queries, explained
from dicomkit.engine.services.bigquery_statement import Statement
from dicomkit.engine.services.googlesql.assignment import Target
from dicomkit.engine.services.googlesql.dml import Dml, target_names, write_dml
from dicomkit.engine.services.googlesql.merge import write_merge
from dicomkit.engine.services.googlesql.translate import new_writer

__all__ = ["Statements"]

_COUNTED = {"INSERT": "insertedRowCount", "UPDATE": "updatedRowCount", "DELETE": "deletedRowCount"}


class Statements:
    """Makes statements ready to run."""

    def __init__(self, warehouse: Warehouse, catalog: Catalog, queries: Queries, definitions: Definitions) -> None:
        self._warehouse = warehouse
        self._catalog = catalog
        self._queries = queries
        self._definitions = definitions

    def prepare(self, project: str, request: Mapping[str, Any], tree: exp.Expr) -> Statement:
        """The statement *tree*, its names resolved and its expressions written."""
        if isinstance(tree, exp.Create | exp.Drop | exp.Alter):
            return self._definitions.prepare(project, request, tree)
        return _Change(self._warehouse, self._catalog, self._queries, project, request, tree)


class _Change(Statement):
    """A DML statement."""

    def __init__(
        self,
        warehouse: Warehouse,
        catalog: Catalog,
        queries: Queries,
        project: str,
        request: Mapping[str, Any],
        tree: exp.Expr,
    ) -> None:
        self._warehouse = warehouse
        self._catalog = catalog
        self._queries = queries
        self._asked = (project, request, tree)
        self._entry, self._dml, names = self._written()
        size = names.size(self._dml.tables)
        if self._dml.kind not in ("INSERT", "TRUNCATE_TABLE"):
            size += names.size([(names.find(target_names(tree)[0]), None)])
        super().__init__(self._dml.kind, names.references(), size)

    def _written(self) -> tuple[TableEntry, Dml, NamedTables]:
        project, request, tree = self._asked
        names = self._queries.tables(project, request)
        parameters = self._queries.parameters(request)
        path, _ = target_names(tree)
        entry = names.entry(path)
        target = Target(path, entry.physical, entry.fields)

        try:
            if isinstance(tree, exp.Merge):
                return entry, write_merge(tree, target, lambda: new_writer(names.find, parameters)), names
            return entry, write_dml(tree, target, lambda: new_writer(names.find, parameters)), names
        except RecursionError:
            raise invalid_query("The query is nested too deeply") from None

    def run(self, job: Job) -> dict[str, Any]:
        """Change the rows, all or none."""
        while True:
            try:
                counts = self._once(job)
            except duckdb.Error as error:
                raise explained(error) from None
            finally:
                job.cursor = None
            if counts is not None:
                break
            self._entry, self._dml, _ = self._written()
        stats = {_COUNTED[action]: str(count) for action, count in counts.items()}
        return {"numDmlAffectedRows": str(sum(counts.values())), "dmlStats": stats}

    def _once(self, job: Job) -> dict[str, int] | None:
        """How many rows were changed how; ``None`` when the table is no longer as it was when this was written."""
        dml = self._dml
        with self._warehouse.transaction() as cursor:
            if self._catalog.tables.get(self._entry.reference) is not self._entry:
                return None
            job.cursor = cursor
            job.check()
            if dml.check and returns_rows(cursor, dml.check, dml.check_values):
                raise invalid_query("UPDATE/MERGE must match at most one source row for each target row")
            if dml.kind == "MERGE":
                return merged_rows(cursor, dml.sql, dml.values)
            count = changed_rows(cursor, dml.sql, dml.values)
            return {"DELETE" if dml.kind == "TRUNCATE_TABLE" else dml.kind: count}
