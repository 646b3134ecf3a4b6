"""QIDO-RS: searching for studies, series and instances.

Source: "DICOM conformance statement" of the Cloud Healthcare API, search transaction (page of 2026-04-14). Nothing
found is 204 with an empty body, as the service answers.

In friendly mode ``Accept: application/vnd.apache.arrow.stream`` gets columns instead of rows, and all matches where
there is no ``limit`` (docs/adr/0010). JSON is what everybody gets who does not name that type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dicomkit.dicom.query import Query
from dicomkit.engine.accept import not_acceptable, wants
from dicomkit.engine.handlers.dicomweb_answers import started
from dicomkit.engine.routes import WEB, Route
from dicomkit.engine.wire import store_name

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]

OFFERS = ("application/dicom+json", "application/json")

COLUMNS = "application/vnd.apache.arrow.stream"
"""Media type of a stream of columns, as IANA has it."""


def _search(
    engine: Engine,
    request: Request,
    project: str,
    location: str,
    dataset: str,
    store: str,
    study: str | None = None,
    series: str | None = None,
) -> Response:
    above = (f"studies/{study}/" if study else "") + (f"series/{series}/" if series else "")
    query = Query.parse(above + request.path.rpartition("/")[2], request.args.items(multi=True), mode=engine.mode)
    accept = request.headers.get("Accept")
    media = wants(accept, (*OFFERS, COLUMNS) if engine.search.has_columns(query) else OFFERS)
    if media is None:
        raise not_acceptable(accept, OFFERS[0])
    name = store_name(project, location, dataset, store)
    if media == COLUMNS:
        chunks = engine.search.stream(name, query)
        if chunks is None:
            return Response(status=204)
        return Response(started(chunks), content_type=media, headers={"Vary": "Accept"}, direct_passthrough=True)
    found = engine.search.run(name, query)
    if not found:
        return Response(status=204)
    return Response(b"[" + b",\n".join(found) + b"]", content_type=media)


_ID = "healthcare.projects.locations.datasets.dicomStores"
_STUDY = f"{WEB}/studies/<study>"

ROUTES = (
    Route(f"{_ID}.searchForStudies", "GET", f"{WEB}/studies", _search),
    Route(f"{_ID}.searchForSeries", "GET", f"{WEB}/series", _search),
    Route(f"{_ID}.searchForInstances", "GET", f"{WEB}/instances", _search),
    Route(f"{_ID}.studies.searchForSeries", "GET", f"{_STUDY}/series", _search),
    Route(f"{_ID}.studies.searchForInstances", "GET", f"{_STUDY}/instances", _search),
    Route(f"{_ID}.studies.series.searchForInstances", "GET", f"{_STUDY}/series/<series>/instances", _search),
)
