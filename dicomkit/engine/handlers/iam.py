"""getIamPolicy, setIamPolicy and testIamPermissions of datasets and of DICOM stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dicomkit.engine.access import caller_of
from dicomkit.engine.routes import DATASET, STORE, Route
from dicomkit.engine.wire import dataset_name, json_response, read_json, store_name
from dicomkit.errors import InvalidArgument
from dicomkit.names import DatasetName, DicomStoreName

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]

Namer = Callable[..., DatasetName | DicomStoreName]


def _version(request: Request) -> int | None:
    spellings = ("options.requestedPolicyVersion", "options.requested_policy_version")
    given = next((text for name in spellings if (text := request.args.get(name)) is not None), None)
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise InvalidArgument("options.requestedPolicyVersion: must be 0, 1 or 3; leave it out, or write 3")
    return int(given)


def _routes(prefix: str, rule: str, name: Namer) -> tuple[Route, ...]:
    def get(engine: Engine, request: Request, **path: str) -> Response:
        return json_response(request, engine.iam.get(name(**path), _version(request)))

    def set_(engine: Engine, request: Request, **path: str) -> Response:
        return json_response(request, engine.iam.set(name(**path), read_json(request)))

    def test(engine: Engine, request: Request, **path: str) -> Response:
        held = engine.iam.test(name(**path), read_json(request), caller_of(request))
        return json_response(request, {"permissions": held} if held else {})

    return (
        Route(f"{prefix}.getIamPolicy", "GET", f"{rule}:getIamPolicy", get),
        Route(f"{prefix}.setIamPolicy", "POST", f"{rule}:setIamPolicy", set_),
        Route(f"{prefix}.testIamPermissions", "POST", f"{rule}:testIamPermissions", test),
    )


_ID = "healthcare.projects.locations.datasets"

ROUTES = (*_routes(_ID, DATASET, dataset_name), *_routes(f"{_ID}.dicomStores", STORE, store_name))
