"""The DICOM store as a resource.

Source: Cloud Healthcare API v1, ``projects.locations.datasets.dicomStores`` (REST reference page, and discovery
document of revision 20261013 for what came later).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from dicomkit.names import DicomStoreName
from dicomkit.resources._json import invalid, json_object, located, text
from dicomkit.resources._wire import Resource, many, one, wire
from dicomkit.resources.labels import check_labels
from dicomkit.resources.notification import DicomNotificationConfig, NotificationConfig
from dicomkit.resources.stream_config import StreamConfig, check_stream_configs

__all__ = ["DicomStore"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DicomStore(Resource):
    """A DICOM store: its name and what is configured about it.

    Parameters
    ----------
    name
        ``projects/{p}/locations/{l}/datasets/{d}/dicomStores/{store}``; given by the server.
    labels
        At most 64 key-value pairs; see ``resources.labels`` for their rules.
    notification_config
        Older notifications; not together with *notification_configs*.
    notification_configs
        Topics that are told of every change of an instance.
    stream_configs
        At most five BigQuery tables, each another one, that rows of new instances are appended to.
    """

    MASK_PATHS: ClassVar[frozenset[str]] = frozenset(
        (
            "labels",
            "labels.*",
            "notificationConfig",
            "notificationConfig.pubsubTopic",
            "notificationConfig.sendForBulkImport",
            "notificationConfigs",
            "streamConfigs",
        )
    )

    name: str | None = wire(text, default="")
    labels: Mapping[str, str] | None = wire(json_object, default={})
    notification_config: NotificationConfig | None = one(NotificationConfig)  # noqa: RUF009 - it is a dataclass field
    notification_configs: tuple[DicomNotificationConfig, ...] | None = many(DicomNotificationConfig)
    stream_configs: tuple[StreamConfig, ...] | None = many(StreamConfig)

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for the first rule of the resource that is broken."""
        if self.name:
            with located("name"):
                DicomStoreName.parse(self.name)
        check_labels(self.labels or {})
        if self.notification_config is not None and self.notification_configs:
            raise invalid(
                "is not compatible with notificationConfigs, and is being deprecated; set notificationConfigs only",
                path="notificationConfig",
            )
        check_stream_configs(self.stream_configs or ())
