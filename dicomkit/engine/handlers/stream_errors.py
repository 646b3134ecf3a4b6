"""Rows of a store that no table has taken: what they are, and sending them again or giving them up; our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dicomkit.engine.routes import STORE, Route
from dicomkit.engine.wire import MAX_PAGE, json_response, number, read_json, store_name
from dicomkit.errors import InvalidArgument

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]

_MAX_ID_DIGITS = 18


def _list(engine: Engine, request: Request, **path: str) -> Response:
    """``GET ...:streamErrors?pageSize=N&pageToken=T``: the oldest first."""
    size = min(number(request, "pageSize") or MAX_PAGE, MAX_PAGE)
    found = engine.streaming.errors(store_name(**path), after=number(request, "pageToken"), limit=size + 1)
    answer: dict[str, object] = {"errors": found[:size]}
    return json_response(request, answer | ({"nextPageToken": found[size - 1]["id"]} if len(found) > size else {}))


def _retry(engine: Engine, request: Request, **path: str) -> Response:
    """``POST ...:retryStreamErrors`` with ``{"ids": [...]}``, or ``{}`` for all that can be sent again."""
    count = engine.streaming.retry_errors(store_name(**path), _ids(read_json(request)))
    return json_response(request, {"rows": count})


def _drop(engine: Engine, request: Request, **path: str) -> Response:
    """``POST ...:dropStreamErrors`` with ``{"ids": [...]}``."""
    ids = _ids(read_json(request))
    if ids is None:
        raise InvalidArgument("ids is required: what is given up is gone")
    return json_response(request, {"rows": engine.streaming.drop_errors(store_name(**path), ids)})


def _ids(body: dict[str, object]) -> list[int] | None:
    ids = body.get("ids")
    if ids is None:
        return None
    if not isinstance(ids, list) or not all(_is_id(item) for item in ids):
        raise InvalidArgument("ids must be an array of ids as streamErrors gives them")
    return [int(item) for item in ids]


def _is_id(item: object) -> bool:
    return isinstance(item, str) and item.isascii() and item.isdigit() and len(item) <= _MAX_ID_DIGITS


_OWN = STORE.replace("/v1/", "/dicomkit/v1/", 1)

ROUTES = (
    Route("dicomkit.streamErrors", "GET", f"{_OWN}:streamErrors", _list),
    Route("dicomkit.retryStreamErrors", "POST", f"{_OWN}:retryStreamErrors", _retry),
    Route("dicomkit.dropStreamErrors", "POST", f"{_OWN}:dropStreamErrors", _drop),
)
