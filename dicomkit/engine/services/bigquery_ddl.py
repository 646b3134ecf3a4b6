"""CREATE, DROP and ALTER: the same changes of the catalogue that the REST methods make.

Source: BigQuery documentation, "Data definition language (DDL) statements in GoogleSQL"; BigQuery REST v2,
``JobStatistics2`` (ddlOperationPerformed, ddlTargetTable).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

import duckdb
from sqlglot import exp

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse import Cursor, Warehouse
from dicomkit.engine.persistence.warehouse_catalog import Catalog, TableEntry
from dicomkit.engine.persistence.warehouse_statements import insert_result
from dicomkit.engine.services.bigquery_errors import (
    already_exists,
    invalid_query,
    not_found,
    not_supported,
    table_name,
)
from dicomkit.engine.services.bigquery_job import Job
from dicomkit.engine.services.bigquery_query import Prepared, Queries, explained
from dicomkit.engine.services.bigquery_schema import checked_schema
from dicomkit.engine.services.bigquery_statement import Statement
from dicomkit.engine.services.bigquery_tables import Tables
from dicomkit.engine.services.googlesql.definitions import column_field, options, view_text
from dicomkit.engine.services.googlesql.parser import only, what
from dicomkit.errors import AlreadyExists, FailedPrecondition, NotFound

__all__ = ["Definitions"]


class _Definition(Statement):
    """A DDL statement: *do* makes the change and says what it did."""

    def __init__(self, kind: str, do: Callable[[Job], dict[str, Any]], prepared: Prepared | None = None) -> None:
        super().__init__(kind, prepared.tables if prepared else (), prepared.total_bytes if prepared else 0)
        self._do = do

    def run(self, job: Job) -> dict[str, Any]:
        """Make the change."""
        return self._do(job)


class Definitions:
    """Makes DDL statements ready to run."""

    def __init__(self, warehouse: Warehouse, catalog: Catalog, queries: Queries, tables: Tables) -> None:
        self._warehouse = warehouse
        self._catalog = catalog
        self._queries = queries
        self._tables = tables

    def prepare(self, project: str, request: Mapping[str, Any], tree: exp.Expr) -> Statement:
        """The statement *tree*."""
        kind = str(tree.args.get("kind") or "").upper()
        if isinstance(tree, exp.Create) and kind == "TABLE":
            return self._create_table(project, request, tree)
        if isinstance(tree, exp.Create) and kind == "VIEW":
            return self._create_view(project, request, tree)
        if isinstance(tree, exp.Drop) and kind in ("TABLE", "VIEW"):
            return self._drop(project, request, tree, kind)
        if isinstance(tree, exp.Create | exp.Drop) and kind == "SCHEMA":
            return self._schema(project, tree)
        if isinstance(tree, exp.Alter) and kind == "TABLE":
            return self._alter(project, request, tree)
        raise not_supported(f"the statement {tree.key.upper()} {kind[:40]}".strip())

    def _reference(self, project: str, request: Mapping[str, Any], table: exp.Expr) -> TableReference:
        if not isinstance(table, exp.Table) or not all(isinstance(part, exp.Identifier) for part in table.parts):
            raise invalid_query("Syntax error: the name of a table is expected")
        only(table, "this", "db", "catalog")
        return self._queries.tables(project, request).reference([part.name for part in table.parts])

    def _create_table(self, project: str, request: Mapping[str, Any], tree: exp.Create) -> Statement:
        only(tree, "this", "kind", "replace", "exists", "expression", "properties")
        told = options(tree.args.get("properties"))
        columns = tree.this.expressions if isinstance(tree.this, exp.Schema) else []
        reference = self._reference(
            project, request, tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        )
        resource = {**_names(reference), **told}
        replace, exists = bool(tree.args.get("replace")), bool(tree.args.get("exists"))
        if replace and exists:
            raise invalid_query("CREATE TABLE cannot have both OR REPLACE and IF NOT EXISTS")
        query, prepared = tree.expression, None
        if query is not None:
            if not isinstance(query, exp.Query):
                raise not_supported(f"CREATE TABLE AS {what(query)}")
            if columns:
                raise not_supported("CREATE TABLE with both a list of columns and AS")
            prepared = self._queries.prepare(project, request, query)
        elif not columns:
            raise invalid_query("CREATE TABLE needs a list of columns, or AS and a query")
        fields = checked_schema([column_field(column) for column in columns])

        def do(job: Job) -> dict[str, Any]:
            rows, schema = None, fields
            if exists and reference in self._catalog.tables:
                return _did("SKIP", reference)
            if prepared is not None:
                with closing(self._warehouse.cursor()) as cursor:
                    job.cursor = cursor
                    rows = self._queries.run(prepared, cursor)
                schema = checked_schema(rows.fields)

            def fill(cursor: Cursor, entry: TableEntry) -> None:
                if rows is not None:
                    insert_result(cursor, entry, rows.table, rows.fields)

            while True:
                old = self._catalog.tables.get(reference)
                if old is not None and exists:
                    return _did("SKIP", reference)
                if old is not None and not replace:
                    raise already_exists("Table", table_name(reference))
                if old is not None and old.is_view:
                    raise invalid_query(f"{table_name(reference)} is a VIEW; DROP VIEW it first")
                if (reference.project, reference.dataset) not in self._catalog.datasets:
                    raise not_found("Dataset", f"{reference.project}:{reference.dataset}")
                declared = {**resource, "schema": {"fields": schema}}
                try:
                    if self._catalog.write_table(reference, old, declared, fill, replace=True) is not None:
                        return _did("REPLACE" if old is not None else "CREATE", reference)
                except duckdb.Error as error:
                    raise explained(error) from None

        return _Definition("CREATE_TABLE_AS_SELECT" if prepared else "CREATE_TABLE", do, prepared)

    def _create_view(self, project: str, request: Mapping[str, Any], tree: exp.Create) -> Statement:
        only(tree, "this", "kind", "replace", "exists", "expression", "properties")
        if isinstance(tree.this, exp.Schema):
            raise not_supported("CREATE VIEW with a list of columns")
        if not isinstance(tree.expression, exp.Query):
            raise invalid_query("CREATE VIEW needs AS and a query")
        reference = self._reference(project, request, tree.this)
        view = {"query": view_text(str(request["query"])), "useLegacySql": False}
        resource = {**_names(reference), **options(tree.args.get("properties")), "view": view}
        replace, exists = bool(tree.args.get("replace")), bool(tree.args.get("exists"))

        def do(job: Job) -> dict[str, Any]:
            old = self._catalog.tables.get(reference)
            if old is not None and exists:
                return _did("SKIP", reference)
            if old is not None and replace:
                if not old.is_view:
                    raise invalid_query(f"{table_name(reference)} is a table; DROP TABLE it first")
                self._tables.patch_table(reference, resource)
                return _did("REPLACE", reference)
            self._tables.create_table(resource)
            return _did("CREATE", reference)

        return _Definition("CREATE_VIEW", do)

    def _drop(self, project: str, request: Mapping[str, Any], tree: exp.Drop, kind: str) -> Statement:
        only(tree, "tables", "kind", "exists")
        tables = tree.args.get("tables") or []
        if len(tables) != 1:
            raise not_supported(f"DROP {kind} of several names")
        reference, exists = self._reference(project, request, tables[0]), bool(tree.args.get("exists"))

        def do(job: Job) -> dict[str, Any]:
            try:
                entry = self._tables.entry(reference)
                if entry.is_view is not (kind == "VIEW"):
                    raise invalid_query(f"{table_name(reference)} is not a {kind}")
                self._tables.delete_table(reference)
            except NotFound:
                if not exists:
                    raise
                return _did("SKIP", reference)
            return _did("DROP", reference)

        return _Definition(f"DROP_{kind}", do)

    def _schema(self, project: str, tree: exp.Create | exp.Drop) -> Statement:
        only(tree, "this", "tables", "kind", "exists", "properties", "cascade", "restrict")
        table = tree.this if isinstance(tree, exp.Create) else (tree.args.get("tables") or [None])[0]
        if not isinstance(table, exp.Table) or not table.db:
            raise invalid_query("Syntax error: the name of a dataset is expected")
        owner, name = table.catalog or project, table.db
        if not table.catalog and "." in name:
            owner, name = name.rsplit(".", 1)
        exists, told = bool(tree.args.get("exists")), {"projectId": owner, "datasetId": name}
        made = {"datasetReference": told, **options(tree.args.get("properties"))}

        def create(job: Job) -> dict[str, Any]:
            try:
                self._tables.create_dataset(made)
            except AlreadyExists:
                if not exists:
                    raise
                return {"ddlOperationPerformed": "SKIP", "ddlTargetDataset": told}
            return {"ddlOperationPerformed": "CREATE", "ddlTargetDataset": told}

        def drop(job: Job) -> dict[str, Any]:
            try:
                self._tables.delete_dataset(owner, name, delete_contents=bool(tree.args.get("cascade")))
            except NotFound:
                if not exists:
                    raise
                return {"ddlOperationPerformed": "SKIP", "ddlTargetDataset": told}
            return {"ddlOperationPerformed": "DROP", "ddlTargetDataset": told}

        if isinstance(tree, exp.Create):
            return _Definition("CREATE_SCHEMA", create)
        return _Definition("DROP_SCHEMA", drop)

    def _alter(self, project: str, request: Mapping[str, Any], tree: exp.Alter) -> Statement:
        only(tree, "this", "kind", "exists", "actions")
        reference, exists = self._reference(project, request, tree.this), bool(tree.args.get("exists"))
        actions = tree.args["actions"]
        for action in actions:
            if not isinstance(action, exp.ColumnDef | exp.AlterSet):
                raise not_supported(f"ALTER TABLE with {_action(action)}")

        def do(job: Job) -> dict[str, Any]:
            while True:
                try:
                    entry = self._tables.entry(reference)
                except NotFound:
                    if not exists:
                        raise
                    return _did("SKIP", reference)
                if entry.is_view:
                    raise invalid_query(f"{table_name(reference)} is a VIEW")
                patch = _altered(entry, actions)
                try:
                    self._tables.patch_table(reference, patch, etag=entry.etag)
                except FailedPrecondition:
                    continue
                return _did("ALTER", reference)

        return _Definition("ALTER_TABLE", do)


def _action(action: exp.Expr) -> str:
    names: dict[type[exp.Expr], str] = {
        exp.AlterRename: "RENAME TO",
        exp.RenameColumn: "RENAME COLUMN",
        exp.AlterColumn: "ALTER COLUMN",
        exp.Drop: "DROP COLUMN",
    }
    return names.get(type(action), what(action))


def _altered(entry: TableEntry, actions: list[exp.Expr]) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    fields = list(entry.fields)
    for action in actions:
        if isinstance(action, exp.AlterSet):
            only(action, "expressions")
            for properties in action.expressions:
                patch |= options(properties)
            continue
        field = column_field(action)
        if any(other["name"].lower() == field["name"].lower() for other in fields):
            if action.args.get("exists"):
                continue
            raise invalid_query(f"Column already exists: {field['name']}")
        fields.append(field)
    return {**patch, "schema": {"fields": fields}}


def _names(reference: TableReference) -> dict[str, Any]:
    return {
        "tableReference": {
            "projectId": reference.project,
            "datasetId": reference.dataset,
            "tableId": reference.table,
        }
    }


def _did(operation: str, reference: TableReference) -> dict[str, Any]:
    return {"ddlOperationPerformed": operation, "ddlTargetTable": _names(reference)["tableReference"]}
