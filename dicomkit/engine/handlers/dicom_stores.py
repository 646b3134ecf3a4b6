"""``projects.locations.datasets.dicomStores``: the stores themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from dicomkit.engine.routes import DATASET, STORE, Route
from dicomkit.engine.wire import dataset_name, json_response, page, read_json, store_name
from dicomkit.errors import InvalidArgument
from dicomkit.resources.label_filter import LabelFilter

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]


def _create(engine: Engine, request: Request, project: str, location: str, dataset: str) -> Response:
    wanted = request.args.get("dicomStoreId")
    if not wanted:
        raise InvalidArgument("dicomStoreId is required; add ?dicomStoreId=...")
    name = store_name(project, location, dataset, wanted)
    return json_response(request, engine.dicom_stores.create(name, read_json(request)))


def _get(engine: Engine, request: Request, **path: str) -> Response:
    return json_response(request, engine.dicom_stores.get(store_name(**path)))


def _list(engine: Engine, request: Request, project: str, location: str, dataset: str) -> Response:
    name = dataset_name(project, location, dataset)
    wanted = LabelFilter.parse(request.args.get("filter", ""))

    def fetch(after: str, limit: int) -> list[dict[str, Any]]:
        return engine.dicom_stores.list(name, after=after, limit=limit, wanted=wanted)

    return json_response(request, page(request, "dicomStores", fetch, scope=wanted.text))


def _patch(engine: Engine, request: Request, **path: str) -> Response:
    mask = request.args.get("updateMask") or request.args.get("update_mask")
    return json_response(request, engine.dicom_stores.patch(store_name(**path), read_json(request), mask))


def _delete(engine: Engine, request: Request, **path: str) -> Response:
    engine.dicom_stores.delete(store_name(**path))
    return json_response(request, {})


_ID = "healthcare.projects.locations.datasets.dicomStores"

ROUTES = (
    Route(f"{_ID}.create", "POST", f"{DATASET}/dicomStores", _create),
    Route(f"{_ID}.list", "GET", f"{DATASET}/dicomStores", _list),
    Route(f"{_ID}.get", "GET", STORE, _get),
    Route(f"{_ID}.patch", "PATCH", STORE, _patch),
    Route(f"{_ID}.delete", "DELETE", STORE, _delete),
)
