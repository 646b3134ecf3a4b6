"""Which BigQuery a table is in: the embedded one of the home, or Google's.

A table is Google's when the engine was given credentials (``connect(folder, credentials=...)``, ``dicomkit serve
--cloud``) and its project is not :data:`EMBEDDED_PROJECT`. Every other table is in the home. Credentials that lie about
on the machine, and environment variables, change nothing: as with buckets (``services.buckets``) and topics
(``services.pubsub``), nothing is sent to the cloud by accident.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.services.google_bigquery import SETTLES_S, GoogleBigQuery
from dicomkit.engine.services.table_writer import TableService, TableWriter

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["EMBEDDED_PROJECT", "Place", "TablePlaces"]

EMBEDDED_PROJECT = "local"
"""The project that is always in the home; it is too short to be the id of a project of Google."""

Place = Literal["embedded", "google"]


class TablePlaces:
    """Says where tables are, and gives what writes into them.

    Parameters
    ----------
    embedded
        Opens the embedded BigQuery; called when there is something to write.
    credentials
        For Google's; without them every table is in the home.
    make_datasets
        Whether the embedded BigQuery is given a dataset that is missing. Google's never is, as the Cloud Healthcare API
        makes none either: its location would be a guess.
    """

    def __init__(
        self, embedded: Callable[[], TableService], credentials: Credentials | None, *, make_datasets: bool
    ) -> None:
        self._embedded = embedded
        self._credentials = credentials
        self._make_datasets = make_datasets

    def place(self, table: TableReference) -> Place:
        """Where a table is."""
        return "embedded" if self._credentials is None or table.project == EMBEDDED_PROJECT else "google"

    def writer(self, place: Place, left: Callable[[], float]) -> TableWriter:
        """What writes into the tables of a place.

        Parameters
        ----------
        left
            How long a request over the network may take, in seconds; asked before each.
        """
        if place == "embedded" or self._credentials is None:
            return TableWriter(self._embedded(), make_datasets=self._make_datasets)
        service = GoogleBigQuery(self._credentials, left)
        return TableWriter(service, make_datasets=False, settles_s=SETTLES_S, on_close=service.close)
