"""``setBlobStorageSettings`` of stores, and of studies, series and instances.

The document has one method for all that is below a store; its ``resource`` may end in any of the three levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dicomkit.engine.routes import STORE, WEB, Route
from dicomkit.engine.wire import api_version, check_uids, json_response, read_json, store_name

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]


def _set(
    engine: Engine, request: Request, project: str, location: str, dataset: str, store: str, **uids: str
) -> Response:
    check_uids(**uids)
    name = store_name(project, location, dataset, store)
    begun = engine.storage_settings.begin(engine.operations, name, uids, read_json(request), api=api_version(request))
    return json_response(request, begun)


_ID = "healthcare.projects.locations.datasets.dicomStores"
_STUDY = f"{WEB}/studies/<study>"
_SERIES = f"{_STUDY}/series/<series>"

ROUTES = (
    Route(f"{_ID}.setBlobStorageSettings", "POST", f"{STORE}:setBlobStorageSettings", _set),
    *(
        Route(f"{_ID}.dicomWeb.studies.setBlobStorageSettings", "POST", f"{rule}:setBlobStorageSettings", _set)
        # The document writes the resource of a series with a slash at its end.
        for rule in (_STUDY, _SERIES, f"{_SERIES}/", f"{_SERIES}/instances/<instance>")
    ),
)
