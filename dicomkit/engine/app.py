"""The engine as a WSGI application: a request goes through the route table, an error becomes Google's body."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as WrongVerb
from werkzeug.exceptions import NotFound as NoRoute
from werkzeug.routing import Map
from werkzeug.wrappers import Request, Response

from dicomkit.engine.access import METHOD_ID, caller_of
from dicomkit.engine.assembly import Assembly, Mode
from dicomkit.engine.defects import place_of
from dicomkit.engine.handlers import all_routes
from dicomkit.engine.persistence.blobs import SEGMENT_BYTES
from dicomkit.engine.routes import Route, url_map
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

__all__ = ["Engine"]

_log = logging.getLogger(__name__)

StartResponse = Callable[..., Any]


class Engine(Assembly):
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
        super().__init__(home, mode=mode, segment_bytes=segment_bytes, credentials=credentials)
        self._map = _route_map()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        begin = time.perf_counter()
        request = Request(environ)
        method_id = "-"
        try:
            route, path = self._route(request)
            method_id = environ[METHOD_ID] = route.method_id
            self.iam.authorize(caller_of(request), method_id, path)
            if request.method == "GET":
                self.turns.note_reader()
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
        _log.error("%s failed: %s in %s", method_id, type(exc).__name__, place_of(exc))
        error = Internal("internal error")
    body = orjson.dumps(to_body(error), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    return Response(body, status=error.status, content_type="application/json; charset=UTF-8")
