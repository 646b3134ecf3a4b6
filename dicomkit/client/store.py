"""A DICOM store: what is in it, what goes into it, what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dicomkit.client.access import AccessControl
from dicomkit.client.cards import card
from dicomkit.client.connection import Connection
from dicomkit.client.downloads import Downloads
from dicomkit.client.images import Images
from dicomkit.client.instances import Instances
from dicomkit.client.metrics import metrics, storage_info
from dicomkit.client.stream_care import StreamCare
from dicomkit.client.tables import Tables
from dicomkit.client.transfers import Transfers
from dicomkit.errors import InvalidArgument
from dicomkit.names import DicomStoreName
from dicomkit.resources import DicomNotificationConfig, DicomStore, StreamConfigLike, stream_configs_from

__all__ = ["Store", "notification_configs_from"]

NotificationConfigLike = str | DicomNotificationConfig
"""A topic ``projects/{project}/topics/{topic}``, or a whole config."""


class Store(StreamCare, Instances, Downloads, Images, Transfers, Tables, AccessControl):
    """A DICOM store of a dataset. ``Dataset.store`` and ``Dataset.create_store`` make it.

    Parameters
    ----------
    connection
        The server.
    resource
        The store as the server last described it.
    """

    def __init__(self, connection: Connection, resource: DicomStore) -> None:
        self._connection = connection
        self._rest = connection.rest
        self._name = DicomStoreName.parse(resource.name or "")
        self._resource = resource

    @property
    def id(self) -> str:
        """The id within its dataset."""
        return self._name.store

    @property
    def name(self) -> str:
        """The resource name, ``projects/{p}/locations/{l}/datasets/{d}/dicomStores/{store}``."""
        return str(self._name)

    @property
    def resource(self) -> DicomStore:
        """The store as the server last described it."""
        return self._resource

    @property
    def dicomweb_url(self) -> str:
        """Root of the store's DICOMweb service, for any DICOMweb client over ``Dataset.session``."""
        return f"{self._rest.base_url}/{self._web}"

    def refresh(self) -> Store:
        """Ask the server for the resource again, and return this store."""
        self._resource = DicomStore.from_api(self._rest.json("GET", self._path))
        return self

    def patch(
        self,
        *,
        labels: Mapping[str, str] | None = None,
        stream_to: StreamConfigLike | Sequence[StreamConfigLike] | None = None,
        notification_configs: Sequence[NotificationConfigLike] | None = None,
    ) -> Store:
        """Change the store, and return it.

        Parameters
        ----------
        labels, stream_to, notification_configs
            The new value, whole; ``{}`` or ``()`` clears it. What is left out stays as it is.

        Raises
        ------
        InvalidArgument
            A value breaks a rule, or nothing was given to change.

        Notes
        -----
        Healthcare API ``dicomStores.patch``; the update mask names just what is given here, and the older
        ``notificationConfig`` where ``notificationConfigs`` take its place.
        """
        changes: dict[str, Any] = {}
        if labels is not None:
            changes["labels"] = labels
        if stream_to is not None:
            changes["stream_configs"] = stream_configs_from(stream_to)
        if notification_configs is not None:
            changes["notification_configs"] = notification_configs_from(notification_configs)
        if not changes:
            raise InvalidArgument("nothing was given to change; give labels=, stream_to= or notification_configs=")
        body = DicomStore(**changes).to_api()
        mask = [*body]
        if "notificationConfigs" in body and self._resource.notification_config is not None:
            mask.append("notificationConfig")  # the older form, which the service does not take beside the newer one
        params = {"updateMask": ",".join(mask)}
        self._resource = DicomStore.from_api(self._rest.json("PATCH", self._path, body=body, params=params))
        return self

    def delete(self) -> None:
        """Delete the store and every instance in it."""
        self._rest.json("DELETE", self._path)

    def metrics(self, study_instance_uid: str | None = None, series_instance_uid: str | None = None) -> pd.DataFrame:
        """How many studies, series and instances there are, and how many bytes they take: one row.

        Parameters
        ----------
        study_instance_uid, series_instance_uid
            Count in this study, or in this series of it, and not in the whole store.

        Returns
        -------
        DataFrame, one row, columns ``frames.METRICS``; several concatenate.
            Google counts those of a store from time to time, so that they may lag behind.

        Raises
        ------
        NotFound
            The store has no such study or series.

        Notes
        -----
        Healthcare API ``getDICOMStoreMetrics``, ``getStudyMetrics`` and ``getSeriesMetrics``.
        """
        return metrics(self._rest, self.name, study_instance_uid, series_instance_uid)

    def storage_info(self, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str) -> pd.DataFrame:
        """Storage class and sizes of one instance: one row, columns ``frames.STORAGE_INFO``.

        Raises
        ------
        NotFound
            The store has no such instance.

        Notes
        -----
        Healthcare API ``getStorageInfo``.
        """
        return storage_info(self._rest, self.name, study_instance_uid, series_instance_uid, sop_instance_uid)

    def __repr__(self) -> str:
        return f"<Store {self.name} at {self._connection.place}>"

    def _repr_html_(self) -> str:
        tables = [str(config.table) for config in self._resource.stream_configs or () if config.table is not None]
        rows = [("dataset", str(self._name.dataset)), ("at", self._connection.place), ("DICOMweb", self.dicomweb_url)]
        rows += [("streams to", name) for name in tables]
        return card("DICOM store", self.id, rows, self._resource.labels)


def notification_configs_from(likes: Sequence[NotificationConfigLike]) -> tuple[DicomNotificationConfig, ...]:
    """Notification configs of topics and configs."""
    several = [likes] if isinstance(likes, str | DicomNotificationConfig) else likes
    return tuple(DicomNotificationConfig(pubsub_topic=like) if isinstance(like, str) else like for like in several)
