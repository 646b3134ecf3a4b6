"""Metadata of instances into a BigQuery table, by one load.

Rows are made of the stored bytes, read again, and kept in a file, portion by portion; a crash costs the portion that
was being made. In the end one load brings them all into the table: it is made or widened, its former rows go, and the
new ones come in one transaction, so that a reader sees the table as it was or as it is to be. An export that fails or
is cancelled leaves the table as it was. The load is named after the operation, so that it happens once although the
process may end between the load and the operation's end.

A row may have 100 MB, as in any load; the limit of 1 MB is that of streaming. Larger ones are failures.

Source: Cloud Healthcare API, "Export DICOM metadata to BigQuery", ``BigQueryDestination.WriteDisposition``; BigQuery
documentation, "Quotas and limits" (load jobs).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from dicomkit.bigquery.row import build_json_row, build_row
from dicomkit.bigquery.schema import merge
from dicomkit.collection_pause import collection_paused
from dicomkit.dicom.reader import read_part10
from dicomkit.engine.persistence import operations as operation_rows
from dicomkit.engine.persistence.blob_reader import WHOLE_BYTES
from dicomkit.engine.persistence.index_cursor import SelectedInstance
from dicomkit.engine.persistence.row_spool import RowSpool
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.bigquery_errors import already_exists, table_name
from dicomkit.engine.services.filter_config import FilterFiles, selected
from dicomkit.engine.services.prepare import RowForm, row_of
from dicomkit.engine.services.retrieve import Retrieve
from dicomkit.engine.services.table_shape import TableShape
from dicomkit.engine.services.task import Interrupted, Task
from dicomkit.errors import ApiError, DicomFormatError, InvalidArgument, NotFound
from dicomkit.names import DicomStoreName
from dicomkit.resources.bigquery_destination import BigQueryDestination
from dicomkit.resources.export_request import ExportDicomDataRequest

if TYPE_CHECKING:
    from dicomkit.engine.services.bigquery import BigQueryService

__all__ = ["MAX_ROW_BYTES", "BigQueryExport"]

_log = logging.getLogger(__name__)

MAX_ROW_BYTES = 100 * 1000 * 1000
"""Largest row of a load, as JSON."""

PORTION_ROWS = 2_000
"""Rows that are written, and are on disk, together."""

PORTION_BYTES = 8 << 20
"""About the most JSON of a portion."""

_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class _Portion:
    """Rows that are written together; what is counted, and where to go on, is told when they are on disk."""

    def __init__(self, task: Task, spool: RowSpool, left: int) -> None:
        self._task = task
        self._spool = spool
        self._lines: list[bytes] = []
        self._bytes = 0
        self._after: int | None = None
        self._left = left
        task.pending(left)

    def add(self, key: int, line: bytes | None) -> None:
        """Add the row of the instance with a key, if it has one."""
        self._after = key
        self._left -= 1
        if line is not None:
            self._lines.append(line)
            self._bytes += len(line)
        if len(self._lines) >= PORTION_ROWS or self._bytes >= PORTION_BYTES:
            self.keep()

    def keep(self) -> None:
        """Write the portion, and begin the next."""
        if self._lines:
            self._spool.append(self._lines)
        task = self._task
        task.success(len(self._lines))
        task.pending(self._left)
        task.state["size"] = self._spool.size
        if self._after is not None:
            task.state["after"] = self._after
        self._lines, self._bytes = [], 0
        task.save()


class BigQueryExport:
    """Does exports into tables.

    Parameters
    ----------
    storage
        The home's files.
    buckets
        Where filter files are.
    retrieve
        Reads instances.
    bigquery
        Opens the embedded BigQuery; called when there is something to do.
    folder
        For rows on their way; made when it is needed.
    make_datasets
        Whether a missing dataset is made; the Cloud Healthcare API makes none.
    """

    def __init__(
        self,
        storage: Storage,
        buckets: FilterFiles,
        retrieve: Retrieve,
        bigquery: Callable[[], BigQueryService],
        folder: Path,
        *,
        make_datasets: bool,
    ) -> None:
        self._storage = storage
        self._buckets = buckets
        self._retrieve = retrieve
        self._bigquery = bigquery
        self._folder = folder
        self._make_datasets = make_datasets
        self._forget_leftovers()

    def _forget_leftovers(self) -> None:
        """Remove the rows of operations that will not go on."""
        if self._folder.is_dir():
            with self._storage.database.read() as connection:
                going_on = set(operation_rows.unfinished(connection))
            for path in self._folder.iterdir():
                if path.name.partition(".")[0] not in going_on:
                    path.unlink()

    def work(self, task: Task, store: DicomStoreName, request: ExportDicomDataRequest) -> None:
        """Do an export whose request has a table."""
        destination = request.bigquery_destination
        if destination is None:
            raise InvalidArgument("the export has no table")
        service = self._bigquery()
        path = self._folder / f"{task.id}.json.gz"
        if service.was_loaded(task.name):
            path.unlink(missing_ok=True)
            return
        spool = RowSpool(path, task.state.get("size", 0))
        try:
            self._check(service, destination)
            shape = self._make_rows(task, store, request, destination, spool)
            if task.counter.get("success") or not task.counter.get("failure"):
                self._load(task, service, destination, spool, shape)
        except Interrupted:
            spool.close()
            raise
        except BaseException:
            # The rows were made, and none of them is in the table.
            task.counter.pop("success", None)
            spool.remove()
            raise
        spool.remove()

    def _check(self, service: BigQueryService, destination: BigQueryDestination) -> None:
        """Raise at once what the load would raise in the end."""
        reference = destination.table
        try:
            table = service.get_table(reference)
        except NotFound:
            if not self._make_datasets:
                service.tables.get_dataset(reference.project, reference.dataset)
            return
        if table["type"] == "VIEW":
            raise InvalidArgument(f"{table_name(reference)} is a view; export to a table")
        if destination.disposition == "WRITE_EMPTY" and int(table["numRows"]):
            raise already_exists("Table", table_name(reference))

    def _make_rows(
        self,
        task: Task,
        store: DicomStoreName,
        request: ExportDicomDataRequest,
        destination: BigQueryDestination,
        spool: RowSpool,
    ) -> TableShape:
        """Bring a row of each instance into *spool*, and return the columns that they need."""
        state = task.state
        items = selected(
            self._storage,
            self._buckets,
            store,
            request.filter_config,
            after=state.get("after", 0),
            up_to=state.get("upTo"),
            check=task.check,
        )
        state["upTo"] = items.up_to
        form = RowForm(destination.schema == "json", str(store) if destination.include_source_store else None, ())
        # Without any row the table has the columns that are none of an attribute.
        shape = TableShape()
        shape.add(_bare_row(form))
        for line in spool.lines():
            task.check()
            shape.add(orjson.loads(line))
        portion = _Portion(task, spool, left=len(items))
        try:
            for item in items:
                task.check()
                portion.add(item.key, self._line(task, store, form, item, shape))
        except Interrupted:
            portion.keep()
            raise
        portion.keep()
        task.save(now=True)
        return shape

    def _line(
        self, task: Task, store: DicomStoreName, form: RowForm, item: SelectedInstance, shape: TableShape
    ) -> bytes | None:
        """The row of an instance; ``None``, and a failure unless the instance is gone, when there is none."""
        source = item.source(store)
        size = item.stored.place.length
        try:
            if size > WHOLE_BYTES:
                # Its hash takes a while; who cancels need not wait for it.
                for _ in self._retrieve.chunks(item.stored):
                    task.check()
            data = self._retrieve.view(item.stored)
            with collection_paused():
                row = row_of(read_part10(data), form, item.updated, item.storage_class, size)
                line = orjson.dumps(row)
                if len(line) > MAX_ROW_BYTES:
                    task.failure(source, f"the row is larger than {MAX_ROW_BYTES} bytes, the most that a load takes")
                    return None
                shape.add(row)
            return line
        except NotFound:
            return None
        except DicomFormatError as exc:
            task.failure(source, str(exc))
        except ApiError as exc:
            task.failure(source, exc.message, exc.code)
        except (ValueError, TypeError, KeyError, RecursionError) as exc:
            # The traceback would hold values of the file.
            _log.error("no row could be made of an instance: %s", type(exc).__name__)
            task.failure(source, "no row could be made of the instance", "INTERNAL")
        return None

    def _load(
        self,
        task: Task,
        service: BigQueryService,
        destination: BigQueryDestination,
        spool: RowSpool,
        shape: TableShape,
    ) -> None:
        reference = destination.table
        if self._make_datasets:
            service.ensure_dataset(reference.project, reference.dataset)
        fields = shape.fields
        if destination.disposition != "WRITE_TRUNCATE":
            try:
                fields = merge(service.get_table(reference).get("schema", {}).get("fields", []), fields)
            except NotFound:
                pass

        def stopped() -> bool:
            task.check()
            return False

        service.load_spool(reference, spool.open, destination.disposition, fields, name=task.name, stopped=stopped)


def _bare_row(form: RowForm) -> dict[str, Any]:
    """The row of an instance without attributes."""
    return (build_json_row if form.is_json else build_row)(
        {}, {}, event="", last_updated=_NO_TIME, storage_class="", blob_size=0, source_store=form.source_store
    )
