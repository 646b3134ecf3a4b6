"""Metrics of stores, studies and series, and storage info of instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dicomkit.engine.routes import STORE, WEB, Route
from dicomkit.engine.wire import check_uids, json_response, store_name
from dicomkit.names import DicomStoreName

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]


def _named(project: str, location: str, dataset: str, store: str, **uids: str) -> tuple[DicomStoreName, dict[str, str]]:
    check_uids(**uids)
    return store_name(project, location, dataset, store), uids


def _of_store(engine: Engine, request: Request, **path: str) -> Response:
    return json_response(request, engine.metrics.store(store_name(**path)))


def _of_study(engine: Engine, request: Request, **path: str) -> Response:
    name, uids = _named(**path)
    return json_response(request, engine.metrics.study(name, **uids))


def _of_series(engine: Engine, request: Request, **path: str) -> Response:
    name, uids = _named(**path)
    return json_response(request, engine.metrics.series(name, **uids))


def _storage_info(engine: Engine, request: Request, **path: str) -> Response:
    name, uids = _named(**path)
    return json_response(request, engine.metrics.storage_info(name, **uids))


_ID = "healthcare.projects.locations.datasets.dicomStores"
_STUDIES = f"{_ID}.dicomWeb.studies"
_STUDY = f"{WEB}/studies/<study>"
_SERIES = f"{_STUDY}/series/<series>"
_INSTANCE = f"{_SERIES}/instances/<instance>"

ROUTES = (
    Route(f"{_ID}.getDICOMStoreMetrics", "GET", f"{STORE}:getDICOMStoreMetrics", _of_store),
    Route(f"{_STUDIES}.getStudyMetrics", "GET", f"{_STUDY}:getStudyMetrics", _of_study),
    Route(f"{_STUDIES}.series.getSeriesMetrics", "GET", f"{_SERIES}:getSeriesMetrics", _of_series),
    Route(f"{_STUDIES}.series.instances.getStorageInfo", "GET", f"{_INSTANCE}:getStorageInfo", _storage_info),
)
