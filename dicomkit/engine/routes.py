"""The form of the route table: one row per method id of the API.

Rows are kept beside their handlers (``handlers/*.py``, each with a ``ROUTES`` tuple); this module only says
what a row is and makes Werkzeug's map of all of them. A row below ``/v1/`` is also one below ``/v1beta1/``: every
method of v1 is one of v1beta1 too, with the same path and the same messages (discovery documents of 2026-10).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Response

__all__ = ["DATASET", "PARENT", "STORE", "WEB", "Handler", "Route", "url_map"]

PARENT = "/v1/projects/<project>/locations/<location>"
"""Rule of a location, the parent of datasets."""

DATASET = f"{PARENT}/datasets/<dataset>"
"""Rule of a dataset."""

STORE = f"{DATASET}/dicomStores/<store>"
"""Rule of a DICOM store."""

WEB = f"{STORE}/dicomWeb"
"""Rule of the DICOMweb root of a store."""

Handler = Callable[..., Response]
"""``handler(engine, request, **path) -> Response``; *path* holds the rule's variables as text."""


class Route(NamedTuple):
    """One method of the API: its id in the discovery document, and how a request for it looks."""

    method_id: str
    verb: str
    rule: str
    handler: Handler


def url_map(routes: Iterable[Route]) -> Map:
    """Werkzeug's map over *routes*; the endpoint of each rule is its row."""
    rules = [
        Rule(rule, methods=[route.verb], endpoint=route, strict_slashes=True)
        for route in routes
        for rule in _rules(route.rule)
    ]
    return Map(rules, merge_slashes=False, redirect_defaults=False)


def _rules(rule: str) -> tuple[str, ...]:
    return (rule, rule.replace("/v1/", "/v1beta1/", 1)) if rule.startswith("/v1/") else (rule,)
