"""``dicomStores.export``: begins an operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dicomkit.engine.routes import STORE, Route
from dicomkit.engine.wire import api_version, json_response, read_json, store_name
from dicomkit.resources.export_request import ExportDicomDataRequest

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]


def _export(engine: Engine, request: Request, **path: str) -> Response:
    name = store_name(**path)
    wanted = ExportDicomDataRequest.from_api(read_json(request), strict=True)
    return json_response(request, engine.exports.begin(engine.operations, name, wanted, api=api_version(request)))


ROUTES = (Route("healthcare.projects.locations.datasets.dicomStores.export", "POST", f"{STORE}:export", _export),)
