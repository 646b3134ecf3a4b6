"""Load jobs: a file into a table, all of it or nothing.

The table is made or widened in the transaction that holds the rows. That transaction keeps other writers of the
warehouse waiting; readers it does not.

Source: BigQuery REST v2, ``JobConfigurationLoad``, ``JobStatistics3``; BigQuery documentation, "Introduction to loading
data", "Modifying table schemas".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from dicomkit.engine.persistence.warehouse import Cursor, Warehouse
from dicomkit.engine.persistence.warehouse_catalog import Catalog, TableEntry
from dicomkit.engine.persistence.warehouse_rows import Appender, RowsDoNotFit
from dicomkit.engine.persistence.warehouse_statements import has_rows
from dicomkit.engine.persistence.warehouse_types import Field
from dicomkit.engine.services.bigquery_errors import already_exists, invalid, job_error, not_found, table_name
from dicomkit.engine.services.bigquery_load_options import CSV, JSON, PARQUET, LoadOptions
from dicomkit.engine.services.bigquery_load_parquet import ParquetFile
from dicomkit.engine.services.bigquery_load_text import BadRows, CsvFile, JsonLines, Opener
from dicomkit.engine.services.bigquery_schema import widened

__all__ = ["LoadOutcome", "Loads"]


@dataclass(slots=True)
class LoadOutcome:
    """What a load did."""

    rows: int = 0
    input_files: int = 1
    input_bytes: int = 0
    output_bytes: int = 0
    bad_rows: int = 0
    errors: list[dict[str, str]] = field(default_factory=list)
    """Rows that were left out, as ``ErrorProto``; of a load that failed, why."""

    def statistics(self) -> dict[str, Any]:
        """``JobStatistics3``."""
        return {
            "inputFiles": str(self.input_files),
            "inputFileBytes": str(self.input_bytes),
            "outputRows": str(self.rows),
            "outputBytes": str(self.output_bytes),
            "badRecords": str(self.bad_rows),
        }


class _File(Protocol):
    @property
    def typed(self) -> bool: ...

    def schema(self) -> list[Field] | None: ...

    def batches(self, fields: Sequence[Field], bad: BadRows, *, careful: bool) -> Iterator[pa.Table]: ...


_FORMATS: dict[str, Callable[[Opener, LoadOptions], _File]] = {JSON: JsonLines, PARQUET: ParquetFile, CSV: CsvFile}


class _Several:
    """Files one after the other; what they hold is what the first says, or more of the table's columns."""

    def __init__(self, files: Sequence[_File]) -> None:
        self._files = files

    @property
    def typed(self) -> bool:
        return self._files[0].typed

    def schema(self) -> list[Field] | None:
        return self._files[0].schema()

    def batches(self, fields: Sequence[Field], bad: BadRows, *, careful: bool) -> Iterator[pa.Table]:
        for file in self._files:
            yield from file.batches(fields, bad, careful=careful)


class Loads:
    """Runs loads over the catalogue."""

    def __init__(self, warehouse: Warehouse, catalog: Catalog) -> None:
        self._warehouse = warehouse
        self._catalog = catalog

    def run(
        self,
        options: LoadOptions,
        openers: Opener | Sequence[Opener],
        outcome: LoadOutcome,
        stopped: Callable[[], bool] = lambda: False,
        *,
        name: str | None = None,
    ) -> None:
        """Load; *outcome* is filled in, also when this fails.

        Parameters
        ----------
        openers
            The files, each with the same columns.
        stopped
            Asked between two batches; what it raises undoes the load, too.
        name
            Kept with the rows, for :meth:`was_done`.

        Raises
        ------
        InvalidArgument
            Schema or rows are wrong; nothing was loaded.
        AlreadyExists
            ``WRITE_EMPTY``, and the table has rows.
        NotFound
            There is no such dataset; with ``CREATE_NEVER``, no such table.
        """
        form = _FORMATS[options.source_format]
        files = [form(opener, options) for opener in (openers if isinstance(openers, Sequence) else (openers,))]
        file = files[0] if len(files) == 1 else _Several(files)
        own = options.schema or file.schema()
        while True:
            bad = BadRows(options.max_bad)
            try:
                if self._once(options, file, own, bad, outcome, stopped, name, careful=False):
                    return
            except RowsDoNotFit:
                # A date that does not exist, or the like: every row is looked at, so that the bad one is told.
                bad = BadRows(options.max_bad)
                try:
                    if self._once(options, file, own, bad, outcome, stopped, name, careful=True):
                        return
                except RowsDoNotFit:
                    raise invalid("Error while reading data, error message: a value does not fit its column") from None
            finally:
                outcome.bad_rows, outcome.errors = bad.count, bad.errors

    def was_done(self, name: str) -> bool:
        """Whether a load of this name was committed, by this process or one before it."""
        return self._catalog.has_load(name)

    def _once(
        self,
        options: LoadOptions,
        file: _File,
        own: list[Field] | None,
        bad: BadRows,
        outcome: LoadOutcome,
        stopped: Callable[[], bool],
        name: str | None,
        *,
        careful: bool,
    ) -> bool:
        """Whether it is done; ``False`` when the table changed meanwhile."""
        reference = options.reference
        old = self._catalog.tables.get(reference)
        resource, replace = self._target(options, old, own)

        def fill(cursor: Cursor, entry: TableEntry) -> None:
            outcome.rows = outcome.output_bytes = 0
            if options.write == "WRITE_EMPTY" and old is not None and has_rows(cursor, entry):
                raise already_exists("Table", table_name(reference))
            appender = Appender(cursor, entry, typed=file.typed)
            for batch in file.batches(entry.fields, bad, careful=careful):
                if stopped():
                    raise job_error({"reason": "stopped", "message": "Job execution was cancelled"})
                if batch.num_rows:
                    appender.append(batch)
                outcome.rows += batch.num_rows
                outcome.output_bytes += batch.nbytes
            if name is not None:
                self._catalog.note_load(cursor, name)

        return self._catalog.write_table(reference, old, resource, fill, replace=replace) is not None

    def _target(
        self, options: LoadOptions, old: TableEntry | None, own: list[Field] | None
    ) -> tuple[dict[str, Any], bool]:
        """The resource that the table shall have, and whether its rows go first."""
        reference = options.reference
        if (reference.project, reference.dataset) not in self._catalog.datasets:
            raise not_found("Dataset", f"{reference.project}:{reference.dataset}")
        if old is not None and old.is_view:
            raise invalid(f"{table_name(reference)} is not allowed for this operation because it is currently a VIEW.")
        if old is None and options.create == "CREATE_NEVER":
            raise not_found("Table", table_name(reference))
        if old is None or not old.fields:
            if own is None:
                raise invalid("No schema specified on job or table.")
            names = {"projectId": reference.project, "datasetId": reference.dataset, "tableId": reference.table}
            return {**(old.resource if old else {"tableReference": names}), "schema": {"fields": own}}, False
        if options.write == "WRITE_TRUNCATE":
            return (old.resource if own is None else {**old.resource, "schema": {"fields": own}}), True
        if own is None:
            return old.resource, False
        given = own if options.schema else _as_known(own, old.fields, options)
        fields = widened(old.fields, given, table_name(reference), add=options.add_fields, relax=options.relax_fields)
        return (old.resource if fields == old.fields else {**old.resource, "schema": {"fields": fields}}), False


def _as_known(own: Sequence[Field], known: Sequence[Field], options: LoadOptions) -> list[Field]:
    """Fields that were found in the file, in the table's words where it has them.

    A text file's values are checked against the table; a Parquet file has types of its own, which must be the table's.
    What is not in the table and may be ignored is.
    """
    names = {field["name"].lower(): field for field in known}
    fields = []
    for found in own:
        column = names.get(found["name"].lower())
        if column is None:
            if not options.ignore_unknown or options.add_fields:
                fields.append(found)
        elif found["type"] == column["type"] == "RECORD":
            inner = _as_known(found["fields"], column["fields"], options)
            fields.append({**column, "fields": inner})
        elif options.source_format == PARQUET and found["type"] != column["type"]:
            fields.append(found if column["type"] not in ("JSON", "NUMERIC") else column)
        else:
            fields.append(column)
    return fields
