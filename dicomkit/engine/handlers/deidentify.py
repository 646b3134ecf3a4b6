"""``dicomStores.deidentify`` and ``datasets.deidentify``, and our own preview of what they would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dicomkit.engine.access import caller_of
from dicomkit.engine.routes import DATASET, STORE, Route
from dicomkit.engine.services.deidentify_preview import MAX_SAMPLE, SAMPLE
from dicomkit.engine.wire import api_version, dataset_name, json_response, number, read_json, store_name
from dicomkit.errors import InvalidArgument
from dicomkit.resources.deidentify_request import DeidentifyDatasetRequest, DeidentifyDicomStoreRequest
from dicomkit.resources.roles import DESTINATION_PERMISSION

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]


def _store(engine: Engine, request: Request, **path: str) -> Response:
    wanted = DeidentifyDicomStoreRequest.from_api(read_json(request), strict=True)
    engine.iam.require(caller_of(request), DESTINATION_PERMISSION, wanted.destination)
    operation = engine.deidentification.begin_store(
        engine.operations, store_name(**path), wanted, api=api_version(request)
    )
    return json_response(request, operation)


def _dataset(engine: Engine, request: Request, project: str, location: str, dataset: str) -> Response:
    wanted = DeidentifyDatasetRequest.from_api(read_json(request), strict=True)
    # It makes a dataset, and needs what that needs.
    engine.iam.authorize(caller_of(request), f"{_ID}.create", {"project": wanted.destination.project})
    operation = engine.deidentification.begin_dataset(
        engine.operations, dataset_name(project, location, dataset), wanted, api=api_version(request)
    )
    return json_response(request, operation)


def _preview(engine: Engine, request: Request, **path: str) -> Response:
    """``POST ...:previewDeidentify?maxInstances=100`` with the body of deidentify, where no destination is needed.

    The answer is that of ``DeidentifyPreview.rows``. Nothing is written.
    """
    wanted = DeidentifyDicomStoreRequest.from_api(read_json(request), strict=True)
    limit = number(request, "maxInstances") or SAMPLE
    if limit > MAX_SAMPLE:
        raise InvalidArgument(f"maxInstances must be at most {MAX_SAMPLE}; a preview looks at a sample")
    name = store_name(**path)
    if wanted.destination_store:
        engine.iam.require(caller_of(request), DESTINATION_PERMISSION, wanted.destination)
    service = engine.deidentification
    config = service.check_store(name, wanted) if wanted.destination_store else service.config(wanted)
    return json_response(request, engine.deidentify_preview.rows(name, config, wanted.filter_config, limit))


_ID = "healthcare.projects.locations.datasets"

ROUTES = (
    Route(f"{_ID}.deidentify", "POST", f"{DATASET}:deidentify", _dataset),
    Route(f"{_ID}.dicomStores.deidentify", "POST", f"{STORE}:deidentify", _store),
    Route("dicomkit.previewDeidentify", "POST", f"/dicomkit{STORE}:previewDeidentify", _preview),
)
