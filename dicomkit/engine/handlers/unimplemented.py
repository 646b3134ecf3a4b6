"""Methods of the API that this server does not have: they answer 501 and name the method, never 404.

``BETA`` are those that v1beta1 has and v1 has not: instances that replace others, and changes of stored metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dicomkit.engine.routes import WEB, Route
from dicomkit.errors import Unimplemented

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["BETA", "ROUTES"]


def _route(method_id: str, verb: str, rule: str) -> Route:
    def refuse(engine: Engine, request: Request, **path: str) -> Response:
        raise Unimplemented(f"{method_id} is not implemented by this server")

    return Route(method_id, verb, rule, refuse)


_ID = "healthcare.projects.locations"
_STORES = f"{_ID}.datasets.dicomStores"
_STUDY = f"{WEB}/studies/<study>"
_SERIES = f"{_STUDY}/series/<series>"
_INSTANCE = f"{_SERIES}/instances/<instance>"

ROUTES: tuple[Route, ...] = ()


def _beta(name: str, verb: str, rule: str) -> Route:
    return _route(f"{_STORES}.{name}", verb, rule.replace("/v1/", "/v1beta1/", 1))


BETA = (
    _beta("updateInstances", "PUT", f"{WEB}/studies"),
    _beta("studies.updateInstances", "PUT", _STUDY),
    _beta("studies.updateMetadata", "PATCH", f"{_STUDY}/metadata"),
    _beta("studies.series.updateMetadata", "PATCH", f"{_SERIES}/metadata"),
    _beta("studies.series.instances.updateMetadata", "PATCH", f"{_INSTANCE}/metadata"),
)
