"""The engine as a WSGI application: a request goes through the route table, an error becomes Google's body."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import orjson
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as WrongVerb
from werkzeug.exceptions import NotFound as NoRoute
from werkzeug.routing import Map
from werkzeug.wrappers import Request, Response

from dicomkit.engine.access import METHOD_ID, caller_of
from dicomkit.engine.handlers import all_routes
from dicomkit.engine.home import Home
from dicomkit.engine.persistence.blobs import SEGMENT_BYTES
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.routes import Route, url_map
from dicomkit.engine.services import pubsub, storage_settings
from dicomkit.engine.services.buckets import Buckets
from dicomkit.engine.services.bulk_data import BulkData
from dicomkit.engine.services.compaction import Compaction
from dicomkit.engine.services.datasets import Datasets
from dicomkit.engine.services.deidentification import METHODS as DEIDENTIFICATIONS
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
from dicomkit.engine.services.table_writer import TableWriter
from dicomkit.errors import (
    ApiError,
    DicomFormatError,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    MethodNotAllowed,
    NotFound,
    SetupError,
    to_body,
)

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

    from dicomkit.engine.services.bigquery import BigQueryService

__all__ = ["Engine"]

_log = logging.getLogger(__name__)

Mode = Literal["friendly", "google"]

StartResponse = Callable[..., Any]


class Engine:
    """DICOM stores, their DICOMweb services and an embedded BigQuery in one folder, as a WSGI application.

    Parameters
    ----------
    home
        Folder that holds everything; made when missing, readable by its owner only.
    mode
        ``"friendly"`` takes the searches that DICOM PS3.18 allows beyond the Cloud Healthcare API;
        ``"google"`` refuses what the cloud would refuse.
    segment_bytes
        Size at which a blob file that instances share is sealed. Small ones are for tests.
    credentials
        Of google-auth. Only with them are services of Google Cloud used: Cloud Storage for ``gs://`` buckets that are
        no folder in ``buckets/``, and Pub/Sub for the topics that stores notify. With ``PUBSUB_EMULATOR_HOST`` in the
        environment the latter go to an emulator, with and without credentials.

    Raises
    ------
    Unavailable
        The folder is open elsewhere.
    """

    def __init__(
        self,
        home: str | Path,
        *,
        mode: Mode = "friendly",
        segment_bytes: int = SEGMENT_BYTES,
        credentials: Credentials | None = None,
    ) -> None:
        if mode not in ("friendly", "google"):
            raise InvalidArgument(f"mode must be 'friendly' or 'google'; got {mode!r:.40}")
        self.mode: Mode = mode
        self.has_credentials = credentials is not None
        self.home = Home(home)
        try:
            self.storage = Storage(self.home, segment_bytes=segment_bytes)
        except BaseException:
            self.home.close()
            raise
        warehouse = _Warehouse(self.home.warehouse)
        self._warehouse = warehouse
        self.operations = Operations(self.storage)
        self.buckets = Buckets(self.home.buckets, credentials)
        # Nothing below refers to the engine, so that one that is forgotten is closed and its folder freed.
        self.compaction = Compaction(self.storage)
        forward = pubsub.sender(credentials)
        self.publishing = Publishing(self.storage, forward) if forward is not None else None
        self.notifications = Notifications(self.storage, self.publishing)
        make_datasets = mode == "friendly"
        self.streaming = Streaming(self.storage, lambda: TableWriter(warehouse.service(), make_datasets=make_datasets))
        self.removal = Removal(self.storage, self.notifications, self.compaction.notify, self.streaming.notify)
        self.datasets = Datasets(self.storage, self.operations, self.removal)
        self.iam = Iam(self.storage)
        self.search = Search(self.storage, mode)
        self.retrieve = Retrieve(self.storage)
        self.pixels = PixelWorkers()
        self.renderings = Renderings(self.retrieve, self.pixels)
        self.bulk_data = BulkData(self.retrieve, self.renderings)
        self.metrics = Metrics(self.storage)
        self.dicom_stores = DicomStores(self.storage, self.removal, self.notifications, self.streaming.warm_up)
        self.ingest = Ingest(self.storage, self.notifications, self.streaming.notify)
        self.imports = Imports(self.storage, self.ingest, self.buckets)
        self.imports.register(self.operations)
        self.exports = Exports(
            self.storage,
            self.buckets,
            GcsExport(self.storage, self.buckets, self.retrieve, self.renderings),
            BigQueryExport(
                self.storage,
                self.buckets,
                self.retrieve,
                warehouse.service,
                self.home.exports,
                make_datasets=make_datasets,
            ),
        )
        self.exports.register(self.operations)
        self.deidentification = Deidentification(self.storage, self.retrieve, self.ingest, self.buckets)
        self.deidentify_preview = DeidentifyPreview(self.storage, self.retrieve, self.buckets)
        for kind, method in DEIDENTIFICATIONS.items():
            self.operations.register(kind, method, self.deidentification.work)
        self.storage_settings = StorageSettings(
            self.storage, self.notifications, self.retrieve, self.buckets, self.streaming.notify
        )
        self.operations.register(storage_settings.KIND, storage_settings.METHOD, self.storage_settings.work)
        self.operations.resume()
        self._map = _route_map()
        self._close = weakref.finalize(
            self,
            _close,
            self.operations,
            self.compaction,
            self.streaming,
            self.publishing,
            self.pixels,
            warehouse,
            self.storage,
            self.home,
        )

    @property
    def bigquery(self) -> BigQueryService:
        """The embedded BigQuery; its file is opened by the first use."""
        return self._warehouse.service()

    def close(self) -> None:
        """Deliver what is waiting for a table or for Pub/Sub, within a limit, and let go of the folder."""
        self._close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        begin = time.perf_counter()
        request = Request(environ)
        method_id = "-"
        try:
            route, path = self._route(request)
            method_id = environ[METHOD_ID] = route.method_id
            self.iam.authorize(caller_of(request), method_id, path)
            response = route.handler(self, request, **path)
        except Exception as exc:  # noqa: BLE001 - the one place where an error becomes an answer
            response = _error_response(exc, method_id)
        # Whatever is in a file, no browser may guess that it is a page.
        response.headers["X-Content-Type-Options"] = "nosniff"
        if _log.isEnabledFor(logging.DEBUG):
            # The path holds UIDs; the method id says what it was.
            milliseconds = (time.perf_counter() - begin) * 1e3
            _log.debug("%s %s %d %.1f ms", request.method, method_id, response.status_code, milliseconds)
        return response(environ, start_response)

    def _route(self, request: Request) -> tuple[Route, dict[str, str]]:
        try:
            endpoint, path = self._map.bind_to_environ(request.environ).match()
        except WrongVerb as exc:
            raise MethodNotAllowed(f"the method {request.method} does not apply to this resource") from exc
        except NoRoute as exc:
            raise NotFound("there is no such resource; check the path of the request") from exc
        return endpoint, dict(path)


@cache
def _route_map() -> Map:
    """Werkzeug's map, which takes a while to make and is the same for every engine."""
    return url_map(all_routes())


class _Warehouse:
    """The embedded BigQuery, opened when it is needed: DuckDB takes a while to load."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._service: BigQueryService | None = None
        self._closers: list[Callable[[], None]] = []

    def service(self) -> BigQueryService:
        with self._lock:
            if self._service is None:
                from dicomkit.engine.persistence.warehouse import Warehouse
                from dicomkit.engine.services.bigquery import BigQueryService

                warehouse = Warehouse(self._path)
                self._closers.append(warehouse.close)
                self._service = BigQueryService(warehouse)
                self._closers.append(self._service.close)
            return self._service

    def close(self) -> None:
        with self._lock:
            while self._closers:
                self._closers.pop()()


def _close(
    operations: Operations,
    compaction: Compaction,
    streaming: Streaming,
    publishing: Publishing | None,
    pixels: PixelWorkers,
    warehouse: _Warehouse,
    storage: Storage,
    home: Home,
) -> None:
    try:
        operations.close()
        compaction.close()
        streaming.close()
        if publishing is not None:
            publishing.close()
    finally:
        try:
            pixels.close()
            warehouse.close()
        finally:
            storage.close()
            home.close()


def _error_response(exc: Exception, method_id: str) -> Response:
    """Google's error body for *exc*; a defect is logged without its text, which can hold values."""
    if isinstance(exc, ApiError):
        error = exc
    elif isinstance(exc, DicomFormatError):
        error = InvalidArgument(str(exc))
    elif isinstance(exc, SetupError):
        error = FailedPrecondition(str(exc))
    elif isinstance(exc, HTTPException):
        error = ApiError(exc.name, status=exc.code or 500, code="INVALID_ARGUMENT")
    else:
        frame = exc.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        where = f"{frame.tb_frame.f_code.co_name}:{frame.tb_lineno}" if frame is not None else "?"
        _log.error("%s failed: %s in %s", method_id, type(exc).__name__, where)
        error = Internal("internal error")
    body = orjson.dumps(to_body(error), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    return Response(body, status=error.status, content_type="application/json; charset=UTF-8")
