"""What the topics of a dataset's stores were told, as frames: routes that only a dicomkit engine has.

Source: Cloud Healthcare API v1, "Configure DICOM Pub/Sub notifications" (attributes of a message; ``lastUpdatedTime``
is RFC 1123 in its table and RFC 3339 in its sample).
"""

from __future__ import annotations

import base64
import email.utils
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from dicomkit.client.connection import Connection
from dicomkit.client.named import NamedResource
from dicomkit.client.rest import quote_path
from dicomkit.errors import FailedPrecondition, InvalidArgument, Unavailable, Unimplemented
from dicomkit.frames.columns import MESSAGES, TOPICS
from dicomkit.frames.tables import table
from dicomkit.resources.notification import check_topic

__all__ = ["Topics"]

PAGE_SIZE = 1_000
"""Messages of one request."""

POLL_S = 1.0
"""How often a topic that is followed is asked."""

SinceLike = str | int | date | None
"""The id of a message, or a time."""

_STEP_S = 0.1
_INSTANCE = re.compile(r"(.+)/dicomWeb/studies/([^/]+)/series/([^/]+)/instances/([^/]+)")
_GOOGLE = (
    "Pub/Sub keeps messages for its subscriptions only, and dicomkit does not make one; run "
    "`gcloud pubsub subscriptions create NAME --topic={topic}` before the messages come, and pull with "
    "google-cloud-pubsub or `gcloud pubsub subscriptions pull NAME --auto-ack`"
)


class Topics(NamedResource):
    """What a dataset knows of the topics that its stores notify."""

    def messages(self, topic: str, since: SinceLike = None) -> pd.DataFrame:
        """What a topic was told, one row for each message, oldest first, columns ``frames.MESSAGES``.

        The engine keeps messages for seven days, and the last million of a topic, also those that it has forwarded to
        Pub/Sub.

        Parameters
        ----------
        topic
            Its id, for a topic of the dataset's own project, or ``projects/{project}/topics/{topic}``.
        since
            A message id: the messages after it. Or a time (text by ISO 8601, a datetime or a date, UTC unless it says
            otherwise): the messages from then on. All by default.

        Raises
        ------
        NotFound
            No store notifies such a topic.
        InvalidArgument
            The topic's name, or *since*, is of another form.
        Unimplemented
            The dataset is Google's: messages are had from a subscription there.
        """
        name = self._topic(topic)
        found: list[Mapping[str, Any]] = []
        for page in _pages(self._connection, name, _asked(since)):
            found += page
        return _frame(found)

    def follow_messages(self, topic: str, since: SinceLike = None, *, poll_s: float = POLL_S) -> Iterator[pd.DataFrame]:
        """Messages as they come: each step waits until there are new ones, and gives them as :meth:`messages` does.

        The loop over it ends when the dataset is closed, or when it is interrupted (Ctrl-C, the notebook's stop button)
        while it waits. To go on later where it ended, give the last ``message_id`` as *since*.

        Parameters
        ----------
        topic, since
            As for :meth:`messages`: without *since*, what is kept already comes first.
        poll_s
            How often the engine is asked.
        """
        if not poll_s > 0:
            raise InvalidArgument("poll_s must be greater than 0")
        return self._follow(self._topic(topic), _asked(since), poll_s)

    def topics(self) -> pd.DataFrame:
        """The topics of the dataset's project that stores notify, one row each, columns ``frames.TOPICS``.

        Raises
        ------
        Unimplemented
            The dataset is Google's: Pub/Sub knows its topics.
        """
        if self._connection.is_cloud:
            raise Unimplemented("Pub/Sub knows its topics: run `gcloud pubsub topics list`")
        found = self._connection.own.json("GET", f"{quote_path(self._project)}/topics")["topics"]
        names = ("name", "messages", "waiting", "delivered", "oldestWaitingTime", "lastError")
        columns = {
            column.name: [topic.get(name) for topic in found] for column, name in zip(TOPICS[1:], names, strict=True)
        }
        return table(TOPICS, {"id": [topic["name"].rpartition("/")[2] for topic in found], **columns})

    @property
    def _project(self) -> str:
        return "/".join(self.name.split("/")[:2])

    def _topic(self, topic: str) -> str:
        """Whole name of a topic of an engine."""
        name = check_topic(topic if "/" in topic else f"{self._project}/topics/{topic}")
        if self._connection.is_cloud:
            raise Unimplemented(_GOOGLE.format(topic=name))
        return name

    def _follow(self, topic: str, asked: dict[str, str], poll_s: float) -> Iterator[pd.DataFrame]:
        while not self._connection.is_closed:
            try:
                page = next(_pages(self._connection, topic, asked), [])
                frame = _frame(page) if page else None
                if frame is None and not _wait(self._connection, poll_s):
                    return
            except KeyboardInterrupt:
                return
            except (FailedPrecondition, Unavailable):
                if self._connection.is_closed:
                    return
                raise
            if frame is not None:
                asked = {**asked, "after": page[-1]["messageId"]}
                yield frame


def _pages(connection: Connection, topic: str, asked: Mapping[str, str]) -> Iterator[Sequence[Mapping[str, Any]]]:
    """The messages of a topic in portions, none of which is empty."""
    params = {"maxMessages": str(PAGE_SIZE), **asked}
    while True:
        page = connection.own.json("GET", f"{quote_path(topic)}:messages", params=params)["messages"]
        if page:
            yield page
        if len(page) < PAGE_SIZE:
            return
        params["after"] = page[-1]["messageId"]


def _wait(connection: Connection, seconds: float) -> bool:
    """Wait; ``False`` as soon as the connection is closed."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not connection.is_closed:
        time.sleep(min(left, _STEP_S))
    return not connection.is_closed


def _asked(since: SinceLike) -> dict[str, str]:
    """*since* as query parameters."""
    if since is None:
        return {}
    if isinstance(since, bool):
        raise InvalidArgument("since is the id of a message or a time; got a bool")
    text = str(since)
    if text.isascii() and text.isdigit() and len(text) < 19:
        return {"after": text}
    try:
        moment = pd.Timestamp(since)
        moment = moment.tz_localize(UTC) if moment.tzinfo is None else moment.tz_convert(UTC)
        return {"since": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    except (ValueError, TypeError) as error:
        raise InvalidArgument(
            f"since is the id of a message, or a time as in '2026-01-31T12:00'; got {text!r:.60}"
        ) from error


def _frame(found: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    names = [base64.b64decode(message["data"]).decode() for message in found]
    told = [message.get("attributes") or {} for message in found]
    # A message of the older form has no attributes: its name says where and which.
    parts = [match.groups() if (match := _INSTANCE.fullmatch(name)) else (None,) * 4 for name in names]

    def cells(attribute: str, part: int | None = None) -> list[str | None]:
        return [a.get(attribute) or (p[part] if part is not None else None) for a, p in zip(told, parts, strict=True)]

    return table(
        MESSAGES,
        {
            "publish_time": [message["publishTime"] for message in found],
            "message_id": [message["messageId"] for message in found],
            "name": names,
            "action": cells("action"),
            "StudyInstanceUID": cells("studyInstanceUID", 1),
            "SeriesInstanceUID": cells("seriesInstanceUID", 2),
            "SOPInstanceUID": cells("sopInstanceUID", 3),
            "Modality": cells("modality"),
            "storage_class": cells("storageClass"),
            "previous_storage_class": cells("previousStorageClass"),
            "last_updated_time": [_moment(text) for text in cells("lastUpdatedTime")],
            "version_id": cells("versionId"),
            "store": cells("storeName", 0),
        },
    )


def _moment(text: str | None) -> datetime | None:
    """A time in either of its two forms; ``None`` for what is neither."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text) if text[:1].isdigit() else email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
