"""What an engine is made of: put together in order, and taken apart in the opposite one."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from dicomkit.engine.home import Home
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services import pubsub
from dicomkit.engine.services.buckets import Buckets
from dicomkit.engine.services.bulk_data import BulkData
from dicomkit.engine.services.compaction import Compaction
from dicomkit.engine.services.datasets import Datasets
from dicomkit.engine.services.deidentification import Deidentification
from dicomkit.engine.services.deidentify_preview import DeidentifyPreview
from dicomkit.engine.services.dicom_stores import DicomStores
from dicomkit.engine.services.exports import Exports
from dicomkit.engine.services.exports_bigquery import BigQueryExport
from dicomkit.engine.services.exports_gcs import GcsExport
from dicomkit.engine.services.iam import Iam
from dicomkit.engine.services.imports import Imports
from dicomkit.engine.services.ingest import Ingest
from dicomkit.engine.services.metrics import Metrics
from dicomkit.engine.services.notifications import Notifications
from dicomkit.engine.services.operations import Operations
from dicomkit.engine.services.pixel_workers import PixelWorkers
from dicomkit.engine.services.publishing import Publishing
from dicomkit.engine.services.removal import Removal
from dicomkit.engine.services.renderings import Renderings
from dicomkit.engine.services.retrieve import Retrieve
from dicomkit.engine.services.search import Search
from dicomkit.engine.services.storage_settings import StorageSettings
from dicomkit.engine.services.streaming import Streaming
from dicomkit.engine.services.table_places import TablePlaces
from dicomkit.engine.services.turns import Turns
from dicomkit.errors import InvalidArgument

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

    from dicomkit.engine.services.bigquery import BigQueryService

__all__ = ["Assembly", "Mode"]

Mode = Literal["friendly", "google"]
"""How an engine answers: with what DICOM allows, or with what the cloud would answer and nothing more."""


class Assembly:
    """The services over one folder. ``Engine`` adds how they are reached.

    The parameters, and what is raised, are those of ``Engine``.
    """

    def __init__(self, home: str | Path, *, mode: Mode, segment_bytes: int, credentials: Credentials | None) -> None:
        if mode not in ("friendly", "google"):
            raise InvalidArgument(f"mode must be 'friendly' or 'google'; got {mode!r:.40}")
        self.mode: Mode = mode
        self.has_credentials = credentials is not None
        # Closed in the opposite order; at once, when a part cannot be made.
        with ExitStack() as parts:
            self._open(home, segment_bytes, parts)
            self._serve(credentials, parts)
            self.operations.resume()
            # Nothing in it refers to the engine, so that one that is forgotten is closed and its folder freed.
            self._close = weakref.finalize(self, parts.pop_all().close)

    def _open(self, home: str | Path, segment_bytes: int, parts: ExitStack) -> None:
        """The folder and the files in it."""
        self.home = Home(home)
        parts.callback(self.home.close)
        self.storage = Storage(self.home, segment_bytes=segment_bytes)
        parts.callback(self.storage.close)
        self._warehouse = _Warehouse(self.home.warehouse)
        parts.callback(self._warehouse.close)

    def _serve(self, credentials: Credentials | None, parts: ExitStack) -> None:
        """The services, those first that others are made of."""
        storage, warehouse = self.storage, self._warehouse
        make_datasets = self.mode == "friendly"
        self.iam = Iam(storage)
        self.search = Search(storage, self.mode)
        self.metrics = Metrics(storage)
        self.buckets = Buckets(self.home.buckets, credentials)
        warehouse.buckets = self.buckets

        self.retrieve = Retrieve(storage)
        self.pixels = PixelWorkers()
        parts.callback(self.pixels.close)
        self.renderings = Renderings(self.retrieve, self.pixels)
        self.bulk_data = BulkData(self.retrieve, self.renderings)

        forward = pubsub.sender(credentials)
        self.publishing = Publishing(storage, forward) if forward is not None else None
        if self.publishing is not None:
            parts.callback(self.publishing.close)
        self.notifications = Notifications(storage, self.publishing)
        self.streaming = Streaming(storage, TablePlaces(warehouse.service, credentials, make_datasets=make_datasets))
        parts.callback(self.streaming.close)
        self.compaction = Compaction(storage)
        parts.callback(self.compaction.close)

        self.operations = Operations(storage)
        parts.callback(self.operations.close)
        self.removal = Removal(storage, self.notifications, self.compaction.notify, self.streaming.notify)
        self.datasets = Datasets(storage, self.operations, self.removal)
        self.dicom_stores = DicomStores(storage, self.removal, self.notifications, self.streaming.warm_up)
        self.turns = Turns()
        self.ingest = Ingest(storage, self.notifications, self.streaming.notify, self.turns)
        self.imports = Imports(storage, self.ingest, self.buckets)
        to_buckets = GcsExport(storage, self.buckets, self.retrieve, self.renderings)
        to_tables = BigQueryExport(
            storage, self.buckets, self.retrieve, warehouse.service, self.home.exports, make_datasets=make_datasets
        )
        self.exports = Exports(storage, self.buckets, to_buckets, to_tables)
        self.deidentification = Deidentification(storage, self.retrieve, self.ingest, self.buckets)
        self.deidentify_preview = DeidentifyPreview(storage, self.retrieve, self.buckets)
        self.storage_settings = StorageSettings(
            storage, self.notifications, self.retrieve, self.buckets, self.streaming.notify
        )
        for service in (self.imports, self.exports, self.deidentification, self.storage_settings):
            service.register(self.operations)

    @property
    def bigquery(self) -> BigQueryService:
        """The embedded BigQuery; its file is opened by the first use."""
        return self._warehouse.service()

    def close(self) -> None:
        """Deliver what is waiting for a table or for Pub/Sub, within a limit, and let go of the folder."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Warehouse:
    """The embedded BigQuery, opened when it is needed: DuckDB takes a while to load."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._service: BigQueryService | None = None
        self.buckets: Buckets | None = None
        """What the jobs of it load from and extract to."""
        self._closers: list[Callable[[], None]] = []

    def service(self) -> BigQueryService:
        with self._lock:
            if self._service is None:
                from dicomkit.engine.persistence.warehouse import Warehouse
                from dicomkit.engine.services.bigquery import BigQueryService

                warehouse = Warehouse(self._path)
                self._closers.append(warehouse.close)
                self._service = BigQueryService(warehouse, self.buckets)
                self._closers.append(self._service.close)
            return self._service

    def close(self) -> None:
        with self._lock:
            while self._closers:
                self._closers.pop()()
