"""``projects.locations.datasets.operations``, and our own list of what an operation could not do.

Google writes the latter to Cloud Logging (``ImportDicomLogEntry`` and the like).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dicomkit.engine.routes import DATASET, Route
from dicomkit.engine.wire import dataset_name, json_response, number, page, read_json
from dicomkit.errors import InvalidArgument, Unimplemented

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]

MAX_FAILURES = 1_000
"""Most failures of one page."""


def _get(engine: Engine, request: Request, project: str, location: str, dataset: str, operation: str) -> Response:
    return json_response(request, engine.operations.get(dataset_name(project, location, dataset), operation))


def _list(engine: Engine, request: Request, project: str, location: str, dataset: str) -> Response:
    if request.args.get("filter", "").strip():
        raise InvalidArgument("filter: operations cannot be filtered here; leave it out and choose among all")
    if request.args.get("returnPartialSuccess", "false").lower() not in ("false", "0", ""):
        raise Unimplemented("returnPartialSuccess is not supported by this service")
    name = dataset_name(project, location, dataset)
    return json_response(
        request,
        page(request, "operations", lambda after, limit: engine.operations.list(name, after=after, limit=limit)),
    )


def _cancel(engine: Engine, request: Request, project: str, location: str, dataset: str, operation: str) -> Response:
    unknown = sorted(read_json(request))
    if unknown:
        raise InvalidArgument(f'Invalid JSON payload received. Unknown name "{unknown[0]:.40}": Cannot find field.')
    engine.operations.cancel(dataset_name(project, location, dataset), operation)
    return json_response(request, {})


def _errors(engine: Engine, request: Request, project: str, location: str, dataset: str, operation: str) -> Response:
    """``GET ...:errors?after=KEY``: up to 1,000 failures whose keys come after KEY."""
    found = engine.operations.failures(
        dataset_name(project, location, dataset), operation, after=number(request, "after"), limit=MAX_FAILURES
    )
    return json_response(request, {"errors": found})


_ID = "healthcare.projects.locations.datasets.operations"
_OPERATION = f"{DATASET}/operations/<operation>"

ROUTES = (
    Route(f"{_ID}.get", "GET", _OPERATION, _get),
    Route(f"{_ID}.list", "GET", f"{DATASET}/operations", _list),
    Route(f"{_ID}.cancel", "POST", f"{_OPERATION}:cancel", _cancel),
    Route("dicomkit.operationErrors", "GET", f"/dicomkit{_OPERATION}:errors", _errors),
)
