"""A dataset: the parent of DICOM stores, and what ``dicomkit.connect`` gives."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import pandas as pd
import requests

from dicomkit.client import sql
from dicomkit.client.access import AccessControl
from dicomkit.client.bigquery import BigQueryAccess
from dicomkit.client.cards import card
from dicomkit.client.connection import Connection
from dicomkit.client.messages import Topics
from dicomkit.client.operation import Operation, begin, check_name
from dicomkit.client.operations import operations_frame
from dicomkit.client.paging import resources
from dicomkit.client.rest import Rest, quote_path
from dicomkit.client.store import NotificationConfigLike, Store, notification_configs_from
from dicomkit.client.surroundings import Surroundings
from dicomkit.errors import DeadlineExceeded, NotFound, PermissionDenied
from dicomkit.frames.arrow import Dtypes
from dicomkit.frames.columns import STORES
from dicomkit.frames.tables import table
from dicomkit.names import DatasetName, check_id
from dicomkit.resources import Dataset as DatasetResource
from dicomkit.resources import DicomStore, StreamConfigLike, stream_configs_from
from dicomkit.resources import Operation as OperationResource
from dicomkit.resources.deidentify_profile import DeidentifyConfigLike, deidentify_fields
from dicomkit.resources.deidentify_request import DeidentifyDatasetRequest
from dicomkit.resources.label_filter import LabelFilter

__all__ = ["Dataset", "create_if_missing"]


class Dataset(AccessControl, Topics, Surroundings, BigQueryAccess):
    """A dataset on a server, or in a folder of this machine. ``dicomkit.connect`` makes it.

    Parameters
    ----------
    connection
        The server.
    name
        ``projects/{p}/locations/{l}/datasets/{d}``.
    """

    def __init__(self, connection: Connection, name: DatasetName) -> None:
        self._connection = connection
        self._rest = connection.rest
        self._name = name

    @property
    def id(self) -> str:
        """The id within its location."""
        return self._name.dataset

    @property
    def name(self) -> str:
        """The resource name."""
        return str(self._name)

    @property
    def session(self) -> requests.Session:
        """The session that all requests go through; other clients of these APIs can use it, too."""
        return self._connection.session

    @property
    def base_url(self) -> str:
        """``{origin}/v1``, below which resource names are paths."""
        return self._rest.base_url

    @property
    def bigquery_endpoint(self) -> str | None:
        """``api_endpoint`` for ``google.cloud.bigquery.Client``; ``None`` for Google's own."""
        return self._connection.bigquery_endpoint

    def create_store(
        self,
        store_id: str,
        *,
        labels: Mapping[str, str] | None = None,
        stream_to: StreamConfigLike | Sequence[StreamConfigLike] | None = None,
        notification_configs: Sequence[NotificationConfigLike] | None = None,
    ) -> Store:
        """Make a DICOM store.

        Parameters
        ----------
        store_id
            1 to 256 letters, digits, ``_``, ``-`` or ``.``.
        labels
            At most 64 pairs of key and value.
        stream_to
            BigQuery tables that a row of each new instance goes to: ``"bq://project.dataset.table"``, a
            ``StreamConfig``, or several.
        notification_configs
            Pub/Sub topics that hear of each new instance.

        Raises
        ------
        AlreadyExists
            The dataset has a store of this id.
        InvalidArgument
            A value breaks a rule; the message names the field, the rule and the remedy.

        Notes
        -----
        Healthcare API ``dicomStores.create``.
        """
        resource = DicomStore(
            labels=labels,
            stream_configs=None if stream_to is None else stream_configs_from(stream_to),
            notification_configs=None
            if notification_configs is None
            else notification_configs_from(notification_configs),
        )
        params = {"dicomStoreId": check_id(store_id, "DICOM store id")}
        made = self._rest.json("POST", f"{self._path}/dicomStores", body=resource.to_api(), params=params)
        return Store(self._connection, DicomStore.from_api(made))

    def store(self, store_id: str) -> Store:
        """The DICOM store with this id.

        Raises
        ------
        NotFound
            The dataset has no such store. (Google answers ``PermissionDenied`` to a caller who may not know.)
        """
        name = self._name.store(store_id)
        return Store(self._connection, DicomStore.from_api(self._rest.json("GET", quote_path(str(name)))))

    def stores(self, *, filter: str = "") -> pd.DataFrame:
        """DICOM stores, one row each, columns ``frames.STORES``.

        Parameters
        ----------
        filter
            Which ones, by their labels: ``labels.KEY=VALUE``, with ``NOT``, ``AND``, ``OR`` and parentheses; a value
            may stand in double quotes. Everything by default.

        Raises
        ------
        InvalidArgument
            The filter is not of this form.

        Notes
        -----
        Healthcare API ``dicomStores.list``.
        """
        LabelFilter.parse(filter)
        listed = resources(
            self._rest, f"{self._path}/dicomStores", "dicomStores", {"filter": filter} if filter.strip() else None
        )
        stores = [DicomStore.from_api(store) for store in listed]
        return table(
            STORES,
            {
                "id": [(store.name or "").rpartition("/")[2] for store in stores],
                "name": [store.name for store in stores],
                "labels": [dict(store.labels or {}) for store in stores],
                "stream_to": [
                    tuple(config.table.uri for config in store.stream_configs or () if config.table is not None)
                    for store in stores
                ],
                "notification_topics": [_topics(store) for store in stores],
            },
        )

    def delete_store(self, store_id: str) -> None:
        """Delete a DICOM store and every instance in it.

        Raises
        ------
        NotFound
            The dataset has no such store.
        """
        self._rest.json("DELETE", quote_path(str(self._name.store(store_id))))

    def patch(self, *, time_zone: str) -> Dataset:
        """Change the dataset, and return it; :meth:`datasets` shows how it is.

        Parameters
        ----------
        time_zone
            IANA name of the time zone for times that say none, as ``"America/New_York"``; ``""`` is UTC.

        Raises
        ------
        InvalidArgument
            There is no such time zone.

        Notes
        -----
        Healthcare API ``datasets.patch``.
        """
        body = DatasetResource(time_zone=time_zone).to_api()
        self._rest.json("PATCH", self._path, body=body, params={"updateMask": ",".join(body)})
        return self

    def deidentify(self, to: str, *, config: DeidentifyConfigLike = "basic") -> Operation:
        """Have the server make a new dataset with de-identified copies of all stores; returns the operation at once.

        Parameters
        ----------
        to
            The new dataset, which must not exist yet: its id beside this one, or its whole name in the same location.
            ``dicomkit.connect(..., dataset=to)`` opens it.
        config
            As for ``Store.deidentify``.

        Raises
        ------
        InvalidArgument
            The config breaks a rule, or the name is none.
        AlreadyExists
            There is such a dataset.
        Unimplemented
            The server cannot do what the config asks for.

        Notes
        -----
        Healthcare API ``datasets.deidentify``.
        """
        name = to if "/" in to else f"{self._name.parent}/datasets/{check_id(to, 'dataset id')}"
        request = DeidentifyDatasetRequest(destination_dataset=name, **deidentify_fields(config))
        return begin(self._connection, f"{self._path}:deidentify", request.to_api(), method="DeidentifyDataset")

    def operation(self, id_or_name: str) -> Operation:
        """The long-running operation with this id, or this whole name, whoever began it.

        Raises
        ------
        NotFound
            There is no such operation, or no longer: they are kept for 30 days after their end.

        Notes
        -----
        Healthcare API ``operations.get``.
        """
        name = check_name(id_or_name if "/" in id_or_name else f"{self.name}/operations/{id_or_name}")
        return Operation(self._connection, OperationResource(name=name)).refresh()

    def operations(self) -> pd.DataFrame:
        """The long-running operations of the dataset, one row each, columns ``frames.OPERATIONS``.

        Notes
        -----
        Healthcare API ``operations.list``.
        """
        return operations_frame(resources(self._rest, f"{self._path}/operations", "operations"))

    def sql(
        self,
        text: str,
        *,
        params: Mapping[str, Any] | None = None,
        dry_run: bool = False,
        max_gb: float | None = None,
        dtypes: Dtypes = "pandas",
    ) -> pd.DataFrame:
        """Run GoogleSQL over any table, and return the rows; see ``Store.sql``, which also waits for its stream.

        Parameters
        ----------
        text
            Tables by their whole name, in back-ticks.
        params, dry_run, max_gb, dtypes
            As for ``Store.sql``.
        """
        return sql.run(
            self._connection,
            text,
            project=self._name.project,
            params=params,
            max_gb=max_gb,
            dry_run=dry_run,
            dtypes=dtypes,
        )

    def close(self) -> None:
        """Close the connection, and the engine where it runs in this process. What was stored stays stored."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Dataset {self.name} at {self._connection.place}>"

    def _repr_html_(self) -> str:
        state = "closed" if self._connection.is_closed else "open"
        rows = [("project", self._name.project), ("location", self._name.location)]
        rows += [("at", self._connection.place), ("API", self.base_url), ("connection", state)]
        return card("Dataset", self.id, rows)


def create_if_missing(rest: Rest, name: DatasetName, *, timeout_s: float = 60.0) -> None:
    """Make the dataset *name* unless it exists, and wait until it is there.

    Raises
    ------
    OperationError
        The server began to make it, and failed.
    DeadlineExceeded
        It was not there in time.
    """
    try:
        rest.json("GET", quote_path(str(name)))
        return
    except PermissionDenied:
        return  # who may not see the dataset may still have a role on a store in it
    except NotFound:
        pass
    params = {"datasetId": name.dataset}
    operation = OperationResource.from_api(
        rest.json("POST", f"{quote_path(name.parent)}/datasets", body={}, params=params)
    )
    until = time.monotonic() + timeout_s
    while not operation.done:
        if time.monotonic() > until:
            raise DeadlineExceeded(f"the dataset was not there after {timeout_s:g} s; see {operation.name}")
        time.sleep(0.1)
        operation = OperationResource.from_api(rest.json("GET", quote_path(operation.name or "")))
    failure = operation.failure()
    if failure is not None:
        raise failure


def _topics(store: DicomStore) -> tuple[str, ...]:
    topics = [config.pubsub_topic for config in store.notification_configs or ()]
    if store.notification_config is not None:
        topics.append(store.notification_config.pubsub_topic)
    return tuple(topic for topic in topics if topic)
