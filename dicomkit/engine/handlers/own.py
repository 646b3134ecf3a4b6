"""What Google's API has no method for: how the engine answers, how far streams are, how many matches a search has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dicomkit.dicom.query import Query
from dicomkit.engine.routes import STORE, Route
from dicomkit.engine.wire import json_response, read_json, store_name
from dicomkit.errors import InvalidArgument

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]

MAX_WAIT_S = 600.0


def _about(engine: Engine, request: Request) -> Response:
    """How this engine answers: a client that is elsewhere cannot know."""
    return json_response(request, {"mode": engine.mode})


def _status(engine: Engine, request: Request, **path: str) -> Response:
    return json_response(request, {"streams": engine.streaming.status(store_name(**path))})


def _drain(engine: Engine, request: Request, **path: str) -> Response:
    timeout = read_json(request).get("timeoutSeconds", 10)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 <= timeout <= MAX_WAIT_S:
        raise InvalidArgument(f"timeoutSeconds must be a number from 0 to {MAX_WAIT_S:.0f}")
    name = store_name(**path)
    engine.streaming.drain(name, float(timeout))
    return json_response(request, {"streams": engine.streaming.status(name)})


def _count(engine: Engine, request: Request, **path: str) -> Response:
    """``GET .../dicomWeb/studies:count?PatientID=...``: how many matches a search has; DICOMweb cannot say it."""
    level = request.path.rpartition("/")[2].removesuffix(":count")
    query = Query.parse(level, request.args.items(multi=True), mode=engine.mode)
    return json_response(request, {"count": engine.search.count(store_name(**path), query)})


_OWN = STORE.replace("/v1/", "/dicomkit/v1/", 1)

ROUTES = (
    Route("dicomkit.about", "GET", "/dicomkit/v1/about", _about),
    Route("dicomkit.streamStatus", "GET", f"{_OWN}:streamStatus", _status),
    *(
        Route("dicomkit.countMatches", "GET", f"{_OWN}/dicomWeb/{level}:count", _count)
        for level in ("studies", "series", "instances")
    ),
    Route("dicomkit.drainStreams", "POST", f"{_OWN}:drainStreams", _drain),
)
