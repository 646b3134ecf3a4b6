"""What the topics of a store are told: one message for each instance that is stored, deleted or moved.

The messages of a change are written by the transaction that makes the change, so that an acknowledged change always
has its messages. They are kept in the home; ``services.publishing`` forwards them to Pub/Sub where there is one.
Deleting a whole store or dataset tells nobody: the topics were the store's.

Source: Cloud Healthcare API v1, ``NotificationConfig``, ``DicomNotificationConfig``, and "Configure DICOM Pub/Sub
notifications" (attributes of a message, values of ``action``), page of 2026-04; Pub/Sub API v1, ``PubsubMessage``.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from dicomkit.engine.persistence import messages as rows
from dicomkit.engine.persistence.database import Connection
from dicomkit.engine.persistence.index import NewInstance
from dicomkit.engine.persistence.messages import Change
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.publishing import Publishing
from dicomkit.engine.services.pubsub import check_installed
from dicomkit.engine.services.pubsub_message import attributes, data, moment
from dicomkit.errors import NotFound
from dicomkit.names import DicomStoreName
from dicomkit.resources.notification import check_topic

__all__ = [
    "DEIDENTIFY",
    "DELETE",
    "IMPORT",
    "SET_BLOB_SETTINGS",
    "STORE",
    "Audience",
    "Notifications",
]

_log = logging.getLogger(__name__)

STORE = "StoreInstances"
IMPORT = "ImportDicomData"
SET_BLOB_SETTINGS = "SetBlobSettings"
DELETE = "DeleteInstances"
"""The values of ``action`` that are published; a delete of a study or series has one message for each instance."""

DEIDENTIFY = "DeidentifyDicomStore"
"""An instance that a de-identification wrote: named like the others by its endpoint, and published nowhere."""

KEPT_S = 7 * 24 * 3600
"""How long a message is kept, as by a subscription of Pub/Sub where nothing else is asked for."""

KEPT_WAITING_S = 31 * 24 * 3600
"""How long one is kept that Pub/Sub does not take, the longest that Pub/Sub itself would keep it."""

KEPT_MESSAGES = 1_000_000
"""Most messages of a topic, beside those that wait for Pub/Sub."""

_CLEAN_EVERY_S = 3600.0


class Audience(NamedTuple):
    """The topics that a store's configuration names."""

    topics: tuple[str, ...] = ()
    """Those of ``notificationConfigs``: told of everything, with attributes."""
    older: str = ""
    """That of ``notificationConfig``: told the names of new instances."""
    is_older_told_of_imports: bool = False

    @classmethod
    def of(cls, resource: Mapping[str, Any]) -> Audience:
        """The audience of a store, given in its JSON form."""
        configs, older = resource.get("notificationConfigs"), resource.get("notificationConfig")
        if not configs and not older:
            return _NOBODY
        topics = dict.fromkeys(config["pubsubTopic"] for config in configs or ())
        older = older or {}
        return cls(tuple(topics), older.get("pubsubTopic", ""), bool(older.get("sendForBulkImport")))

    def __bool__(self) -> bool:
        return bool(self.topics or self.older)

    def hears_by_name(self, action: str) -> bool:
        """Whether the older topic is told of *action*."""
        return bool(self.older) and (action == STORE or (action == IMPORT and self.is_older_told_of_imports))


_NOBODY = Audience()


class Notifications:
    """Writes the messages of changes, and reads the topics.

    Parameters
    ----------
    storage
        The home's files.
    publishing
        What forwards messages; without it they are kept in the home only.
    """

    def __init__(self, storage: Storage, publishing: Publishing | None = None) -> None:
        self._storage = storage
        self._publishing = publishing
        with storage.database.write() as connection:
            self._clean(connection, time.time())

    # Called inside the transaction of a change

    def set_topics(self, connection: Connection, resource: Mapping[str, Any]) -> None:
        """A store has been given this configuration: its topics are there from now on.

        Raises
        ------
        SetupError
            Messages are to be forwarded, and what does that is not installed.
        """
        audience = Audience.of(resource)
        if audience:
            if self._publishing is not None:
                check_installed()
            rows.add_topics(connection, filter(None, (*audience.topics, audience.older)))

    def stored(
        self,
        connection: Connection,
        name: DicomStoreName,
        audience: Audience,
        action: str,
        items: Sequence[NewInstance],
    ) -> None:
        """The instances *items* are new in a store."""
        changes = [Change(i.study_uid, i.series_uid, i.sop_uid, i.modality, i.storage_class, i.updated) for i in items]
        self._tell(connection, name, audience, action, changes)

    def changed(
        self,
        connection: Connection,
        name: DicomStoreName,
        resource: Mapping[str, Any],
        action: str,
        keys: Iterable[int],
        *,
        previous: Mapping[int, str] | None = None,
    ) -> None:
        """Instances of a store are changed, or are about to be deleted, by the transaction of *connection*.

        Parameters
        ----------
        name, resource
            The store, and its JSON (``catalog.store(connection, name).resource``).
        action
            :data:`DELETE`, before the rows are deleted, or :data:`SET_BLOB_SETTINGS`, after they have been changed.
        keys
            Keys of the instances.
        previous
            By key, the storage class that an instance had before.
        """
        audience = Audience.of(resource)
        if audience.topics or audience.hears_by_name(action):
            self._tell(connection, name, audience, action, list(rows.changes_of(connection, keys, previous)))

    def _tell(
        self, connection: Connection, name: DicomStoreName, audience: Audience, action: str, changes: list[Change]
    ) -> None:
        if not changes:
            return
        now = time.time()
        published, waiting = int(now * 1e6), self._publishing is not None
        if audience.topics:
            rows.add(connection, audience.topics, str(name), action, changes, published=published, waiting=waiting)
        elif audience.hears_by_name(action):
            rows.add(connection, [audience.older], str(name), None, changes, published=published, waiting=waiting)
        else:
            return
        if now >= self._clean_at:
            self._clean(connection, now)
        if self._publishing is not None:
            self._storage.database.after_commit(self._publishing.notify)

    def _clean(self, connection: Connection, now: float) -> None:
        lost = rows.forget(
            connection,
            published_before=int((now - KEPT_S) * 1e6),
            waiting_before=int((now - KEPT_WAITING_S) * 1e6),
            kept=KEPT_MESSAGES,
        )
        if lost:
            _log.warning(
                "%d messages are given up: Pub/Sub did not take them for %d days", lost, KEPT_WAITING_S // 86400
            )
        self._clean_at = now + _CLEAN_EVERY_S

    # What handlers ask

    def messages(self, topic: str, *, after: int, since: datetime | None, limit: int) -> list[dict[str, Any]]:
        """Messages of a topic in their order, as Pub/Sub shows them; ``messageId`` is the number that *after* takes.

        Raises
        ------
        InvalidArgument
            The topic's name is none.
        NotFound
            No store has notified, or is to notify, the topic.
        """
        check_topic(topic)
        begin = int(since.timestamp() * 1e6) if since is not None else 0
        with self._storage.database.read() as connection:
            key = rows.topic_key(connection, topic)
            if key is None:
                raise NotFound(f"no store notifies the topic {topic!r:.120}; name it in a store's notificationConfigs")
            found = rows.read(connection, key, after=after, since=begin, limit=limit)
        return [
            {
                "data": base64.b64encode(data(message).encode()).decode(),
                "attributes": attributes(message),
                "messageId": str(message.number),
                "publishTime": moment(message.published),
            }
            for message in found
        ]

    def topics(self, project: str) -> list[dict[str, Any]]:
        """Topics of a project: how many messages are kept, how many wait for Pub/Sub, since when, and why."""
        with self._storage.database.read() as connection:
            found = rows.list_topics(connection, f"projects/{project}/topics/")
        return [
            {
                "name": row.name,
                "messages": row.kept,
                "waiting": row.waiting,
                "delivered": row.delivered,
                "oldestWaitingTime": None if row.oldest_waiting is None else moment(row.oldest_waiting),
                "lastError": row.stall,
            }
            for row in found
        ]
