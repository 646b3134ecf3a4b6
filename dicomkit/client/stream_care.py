"""What a store's streams need besides rows: those from before, and a look at what does not work."""

from __future__ import annotations

import pandas as pd

from dicomkit.client.doctor import Patient, examine
from dicomkit.client.operation import Operation, begin
from dicomkit.client.searches import Searches
from dicomkit.client.streams import Streams
from dicomkit.errors import FailedPrecondition, InvalidArgument
from dicomkit.names import DicomStoreName
from dicomkit.resources import DicomStore
from dicomkit.resources.bigquery_destination import BigQueryDestination
from dicomkit.resources.export_request import ExportDicomDataRequest

__all__ = ["StreamCare"]


class StreamCare(Streams, Searches):
    """Backfill and doctor of a store."""

    _name: DicomStoreName
    _resource: DicomStore

    def backfill(self, destination: str | None = None) -> Operation:
        """Bring what was stored before a stream was set up into its table, and return the operation at once.

        A stream has only what comes after it. This exports every instance of the store into the stream's table, with
        the stream's schema, and appends: an instance that has a row gets another one, which says the same.
        ``store.table().current()`` and ``{current}`` in SQL have each instance once.

        Parameters
        ----------
        destination
            ``"bq://project.dataset.table"`` of one of the store's streams; not needed where there is only one.

        Raises
        ------
        FailedPrecondition
            The store streams to no table, or to several and none is named.
        InvalidArgument
            The store does not stream to *destination*, or it is in another project than the store: exports go to the
            store's own.

        Notes
        -----
        Healthcare API ``dicomStores.export``, with ``WRITE_APPEND``.
        """
        request = ExportDicomDataRequest(bigquery_destination=self._destination(destination))
        return begin(self._connection, f"{self._path}:export", request.to_api(), method="ExportDicomData")

    def doctor(self) -> pd.DataFrame:
        """Look at every link from the store to its tables, and say what is wrong and what to do.

        Does the BigQuery dataset exist, where is it, may the service write there, is the table's schema as the service
        needs it, do rows wait or fail, does every instance have a row, do notifications exclude each other?

        Returns
        -------
        DataFrame, one row per check, columns ``frames.DOCTOR``.
            ``state`` is ``ok``, ``warning``, ``failed`` or ``unknown``. Checks behind a link that is broken are left
            out. Counting rows is a query, which Google bills by the columns that it reads.
        """
        resource = DicomStore.from_api(self._rest.json("GET", self._path))
        status = None if self._connection.is_cloud else self.stream_status()
        return examine(
            Patient(
                connection=self._connection,
                name=self._name,
                resource=resource,
                status=status,
                count=self.count_instances,
            )
        )

    def _destination(self, uri: str | None) -> BigQueryDestination:
        configs = self._resource.stream_configs or ()
        destinations = [each.bigquery_destination for each in configs if each.bigquery_destination is not None]
        streams = {each.table.uri: each for each in destinations}
        if not streams:
            raise FailedPrecondition(
                f"the store {self._name.store!r} streams to no table; set one with "
                'store.patch(stream_to="bq://project.dataset.table"), or export to one'
            )
        if uri is None and len(streams) > 1:
            raise FailedPrecondition(
                f"the store {self._name.store!r} streams to several tables; name one of {', '.join(streams)}"
            )
        found = next(iter(streams.values())) if uri is None else streams.get(uri)
        if found is None:
            raise InvalidArgument(f"the store does not stream to {uri!a:.120}; name one of {', '.join(streams)}")
        return found.replace(write_disposition="WRITE_APPEND", force=None)
