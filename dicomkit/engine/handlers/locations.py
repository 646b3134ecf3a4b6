"""``projects.locations``: where datasets are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dicomkit.engine.routes import PARENT, Route
from dicomkit.engine.wire import json_response, page
from dicomkit.errors import Unimplemented

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]


def _list(engine: Engine, request: Request, project: str) -> Response:
    if request.args.get("filter"):
        raise Unimplemented("filter is not supported by this server; list all locations and filter the answer")
    return json_response(
        request,
        page(request, "locations", lambda after, limit: engine.datasets.locations(project, after=after, limit=limit)),
    )


def _get(engine: Engine, request: Request, project: str, location: str) -> Response:
    return json_response(request, engine.datasets.location(project, location))


_ID = "healthcare.projects.locations"

ROUTES = (
    Route(f"{_ID}.list", "GET", "/v1/projects/<project>/locations", _list),
    Route(f"{_ID}.get", "GET", PARENT, _get),
)
