"""Exports of the instances of a store: what is checked before one begins, and who does it.

Source: Cloud Healthcare API v1, ``dicomStores.export``.
"""

from __future__ import annotations

from typing import Any

from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.buckets import Buckets
from dicomkit.engine.services.exports_bigquery import BigQueryExport
from dicomkit.engine.services.exports_gcs import GcsExport
from dicomkit.engine.services.operations import API, Operations
from dicomkit.engine.services.task import Task
from dicomkit.errors import InvalidArgument
from dicomkit.names import DicomStoreName
from dicomkit.resources.export_request import ExportDicomDataRequest

__all__ = ["Exports"]

_KIND = "export"

_METHOD = "dicom.DicomService.ExportDicomData"


class Exports:
    """What exports.

    Parameters
    ----------
    storage
        The home's files.
    buckets
        Where objects go.
    gcs, bigquery
        Do the work.
    """

    def __init__(self, storage: Storage, buckets: Buckets, gcs: GcsExport, bigquery: BigQueryExport) -> None:
        self._storage = storage
        self._buckets = buckets
        self._gcs = gcs
        self._bigquery = bigquery

    def register(self, operations: Operations) -> None:
        """Make the operations of :meth:`begin` possible."""
        operations.register(_KIND, _METHOD, self.work)

    def begin(
        self, operations: Operations, store: DicomStoreName, request: ExportDicomDataRequest, *, api: str
    ) -> dict[str, Any]:
        """Have the instances of a store exported, and return the operation's name.

        Raises
        ------
        NotFound
            There is no such store, or no such bucket to write into.
        InvalidArgument
            The table is in another project than the store.
        """
        with self._storage.database.read() as connection:
            catalog.store(connection, store)
        if request.gcs_destination is not None:
            self._buckets.check_bucket(request.gcs_destination.folder)
        if request.bigquery_destination is not None:
            project = request.bigquery_destination.table.project
            if project != store.dataset.project:
                raise InvalidArgument(
                    "bigqueryDestination.tableUri: must name a table in the project of the DICOM store, "
                    f"{store.dataset.project!r}; it names one in {project!r:.80}"
                )
        return operations.start(
            store.dataset, _KIND, {"store": str(store), "request": request.to_api(), "api": api}, api=api
        )

    def work(self, task: Task) -> dict[str, Any]:
        """Do an operation of :meth:`begin`."""
        store = DicomStoreName.parse(task.request["store"])
        request = ExportDicomDataRequest.from_api(task.request["request"])
        worker = self._bigquery if request.bigquery_destination is not None else self._gcs
        worker.work(task, store, request)
        return {"@type": f"type.googleapis.com/{API}.{task.request['api']}.dicom.ExportDicomDataResponse"}
