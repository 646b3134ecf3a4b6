"""``projects.locations.datasets``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dicomkit.engine.routes import DATASET, PARENT, Route
from dicomkit.engine.wire import api_version, dataset_name, json_response, page, read_json
from dicomkit.errors import InvalidArgument

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]


def _create(engine: Engine, request: Request, project: str, location: str) -> Response:
    wanted = request.args.get("datasetId")
    if not wanted:
        raise InvalidArgument("datasetId is required; add ?datasetId=...")
    name = dataset_name(project, location, wanted)
    return json_response(request, engine.datasets.create(name, read_json(request), api=api_version(request)))


def _get(engine: Engine, request: Request, project: str, location: str, dataset: str) -> Response:
    return json_response(request, engine.datasets.get(dataset_name(project, location, dataset)))


def _list(engine: Engine, request: Request, project: str, location: str) -> Response:
    # Any dataset id will do: the name checks project and location.
    parent = dataset_name(project, location, "-").parent
    return json_response(
        request,
        page(request, "datasets", lambda after, limit: engine.datasets.list(parent, after=after, limit=limit)),
    )


def _patch(engine: Engine, request: Request, project: str, location: str, dataset: str) -> Response:
    mask = request.args.get("updateMask") or request.args.get("update_mask")
    name = dataset_name(project, location, dataset)
    return json_response(request, engine.datasets.patch(name, read_json(request), mask))


def _delete(engine: Engine, request: Request, project: str, location: str, dataset: str) -> Response:
    engine.datasets.delete(dataset_name(project, location, dataset))
    return json_response(request, {})


_ID = "healthcare.projects.locations.datasets"

ROUTES = (
    Route(f"{_ID}.create", "POST", f"{PARENT}/datasets", _create),
    Route(f"{_ID}.list", "GET", f"{PARENT}/datasets", _list),
    Route(f"{_ID}.get", "GET", DATASET, _get),
    Route(f"{_ID}.patch", "PATCH", DATASET, _patch),
    Route(f"{_ID}.delete", "DELETE", DATASET, _delete),
)
