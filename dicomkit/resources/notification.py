"""Pub/Sub notifications of changes to a DICOM store.

Source: Cloud Healthcare API v1, ``NotificationConfig`` (older) and ``DicomNotificationConfig``; Pub/Sub API v1,
``Topic.name`` (form of a topic's name).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dicomkit.resources._json import boolean, invalid, text
from dicomkit.resources._wire import Resource, wire

__all__ = ["DicomNotificationConfig", "NotificationConfig", "check_topic"]

_TOPIC = re.compile(r"projects/[A-Za-z0-9][A-Za-z0-9.:-]{0,255}/topics/(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}")


def check_topic(topic: str) -> str:
    """Return *topic* if it has the form of a topic's name, else raise ``InvalidArgument``."""
    if not _TOPIC.fullmatch(topic):
        raise invalid(
            "must have the form projects/{project}/topics/{topic}, where the topic is 3 to 255 letters, digits or any "
            "of '-_.~+%', begins with a letter and does not begin with goog; write the full name of the topic"
        )
    return topic


def _topic(value: object) -> str:
    topic = text(value)
    return check_topic(topic) if topic else topic


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class NotificationConfig(Resource):
    """The older form: one topic, told of new instances only.

    Parameters
    ----------
    pubsub_topic
        ``projects/{project}/topics/{topic}``; nothing is sent while it is empty.
    send_for_bulk_import
        Notify of instances that an import brings, too.
    """

    pubsub_topic: str | None = wire(_topic, default="")
    send_for_bulk_import: bool | None = wire(boolean, default=False)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DicomNotificationConfig(Resource):
    """An entry of ``notificationConfigs``: a topic that is told of every change of an instance.

    Parameters
    ----------
    pubsub_topic
        ``projects/{project}/topics/{topic}``. Required.
    """

    pubsub_topic: str | None = wire(_topic, default="")

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for an entry without a topic."""
        if not self.pubsub_topic:
            raise invalid("is required; write projects/{project}/topics/{topic}", path="pubsubTopic")
