"""``GET /dicomkit/v1/projects/P/queries/JOB/rows``: all rows of a finished query as an Arrow IPC stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dicomkit.engine.handlers.dicomweb_answers import started
from dicomkit.engine.routes import Route
from dicomkit.engine.services.bigquery_arrow import arrow_stream
from dicomkit.errors import FailedPrecondition

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]

ARROW = "application/vnd.apache.arrow.stream"
"""Media type of the answer, as IANA has it."""


def _rows(engine: Engine, request: Request, project: str, job: str) -> Response:
    found = engine.bigquery.jobs.get(project, job)
    if not found.done.is_set():
        raise FailedPrecondition(f"the job {job:.200} is not done yet; wait for it")
    chunks = arrow_stream(engine.bigquery.jobs.result(found))
    return Response(started(chunks), content_type=ARROW, direct_passthrough=True)


ROUTES = (Route("dicomkit.queryRows", "GET", "/dicomkit/v1/projects/<project>/queries/<job>/rows", _rows),)
