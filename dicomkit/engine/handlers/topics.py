"""Topics that stores notify, and the messages in them: our own, for Google's API has Pub/Sub for that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dicomkit.engine.routes import Route
from dicomkit.engine.wire import dataset_name, json_response, number
from dicomkit.errors import InvalidArgument

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]

MAX_MESSAGES = 1_000
"""Most messages of one answer, and how many there are where nothing is asked for."""


def _messages(engine: Engine, request: Request, project: str, topic: str) -> Response:
    """``GET ...:messages?after=ID&since=TIME&maxMessages=N``: messages after the one with this id, oldest first."""
    dataset_name(project, "-", "-")  # checks the project
    limit = number(request, "maxMessages") or MAX_MESSAGES
    found = engine.notifications.messages(
        f"projects/{project}/topics/{topic}",
        after=number(request, "after"),
        since=_time(request.args.get("since", "")),
        limit=min(limit, MAX_MESSAGES),
    )
    return json_response(request, {"messages": found})


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise InvalidArgument("since must be a time by RFC 3339, as in 2026-01-31T12:00:00Z") from exc


def _list(engine: Engine, request: Request, project: str) -> Response:
    dataset_name(project, "-", "-")  # checks the project
    return json_response(request, {"topics": engine.notifications.topics(project)})


_TOPICS = "/dicomkit/v1/projects/<project>/topics"

ROUTES = (
    Route("dicomkit.topics", "GET", _TOPICS, _list),
    Route("dicomkit.messages", "GET", f"{_TOPICS}/<topic>:messages", _messages),
)
