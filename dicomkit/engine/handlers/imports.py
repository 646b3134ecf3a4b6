"""``dicomStores.import``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dicomkit.engine.routes import STORE, Route
from dicomkit.engine.wire import api_version, json_response, read_json, store_name

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]


def _import(engine: Engine, request: Request, **path: str) -> Response:
    name = store_name(**path)
    begun = engine.imports.begin(engine.operations, name, read_json(request), api=api_version(request))
    return json_response(request, begun)


ROUTES = (Route("healthcare.projects.locations.datasets.dicomStores.import", "POST", f"{STORE}:import", _import),)
