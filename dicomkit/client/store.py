"""A DICOM store: what is in it, what goes into it, what comes out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pydicom

from dicomkit.client import retrieve, sql, streams, upload
from dicomkit.client.access import AccessControl
from dicomkit.client.cards import card
from dicomkit.client.connection import Connection
from dicomkit.client.metrics import metrics
from dicomkit.client.rest import quote_path
from dicomkit.client.search import Search
from dicomkit.client.sources import SourceLike
from dicomkit.dicom.attributes import Level
from dicomkit.dicom.query import Query
from dicomkit.errors import FailedPrecondition, InvalidArgument
from dicomkit.names import DicomStoreName
from dicomkit.resources import DicomNotificationConfig, DicomStore, StreamConfigLike, stream_configs_from

__all__ = ["Store", "notification_configs_from"]

WAIT_S = 10.0
"""How long :meth:`Store.sql` waits for rows that are on their way to the table."""

NotificationConfigLike = str | DicomNotificationConfig
"""A topic ``projects/{project}/topics/{topic}``, or a whole config."""


class Store(AccessControl):
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

    @property
    def _path(self) -> str:
        return quote_path(self.name)

    @property
    def _web(self) -> str:
        return f"{self._path}/dicomWeb"

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
        Healthcare API ``dicomStores.patch``; the update mask names just what is given here.
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
        params = {"updateMask": ",".join(body)}
        self._resource = DicomStore.from_api(self._rest.json("PATCH", self._path, body=body, params=params))
        return self

    def delete(self) -> None:
        """Delete the store and every instance in it."""
        self._rest.json("DELETE", self._path)

    def upload(
        self,
        sources: SourceLike,
        *,
        batch_bytes: int = upload.BATCH_BYTES,
        progress: bool | None = None,
        raise_for_failures: bool = False,
    ) -> pd.DataFrame:
        """Store files and data sets, and return what became of each.

        Parameters
        ----------
        sources
            A file, a folder (with all below it), a glob pattern, a pydicom data set, the bytes of a file, or an
            iterable of any of these.
        batch_bytes
            Bytes of one request; a larger file goes alone and is streamed from disk.
        progress
            Whether to show a bar; by default where somebody watches.
        raise_for_failures
            Raise ``UploadError`` at the end if any file failed.

        Returns
        -------
        DataFrame, one row per file, columns ``frames.UPLOAD``.
            ``outcome`` is ``"stored"``, ``"already_stored"`` (the same bytes were there) or ``"failed"``, and
            ``reason`` says why. A folder's DICOMDIR and its files that are no DICOM are failed rows; its hidden files
            are not looked at, ``attrs["hidden_files"]`` counts them.

        Raises
        ------
        NotFound
            A path does not exist (nothing was sent), or the store does not.
        Unavailable, DeadlineExceeded
            The server does not answer, even when asked again. Upload the same again to go on.

        Notes
        -----
        Healthcare API ``dicomStores.storeInstances``; DICOM PS3.18, Store Transaction.
        """
        return upload.upload(
            self._rest,
            self._web,
            sources,
            batch_bytes=batch_bytes,
            progress=progress,
            raise_for_failures=raise_for_failures,
        )

    def search(
        self,
        level: Level,
        *,
        fields: str | Iterable[str] = (),
        limit: int | None = None,
        fuzzymatching: bool = False,
        page_size: int | None = None,
        **match: Any,
    ) -> Search:
        """A search that has not run yet: its ``url`` can be looked at, its ``pages()`` taken one by one.

        Parameters
        ----------
        level
            ``"study"``, ``"series"`` or ``"instance"``.
        page_size
            Rows of one request.
        fields, limit, fuzzymatching, **match
            As for :meth:`search_studies`.
        """
        query = Query.build(level, fields=fields, limit=limit, fuzzymatching=fuzzymatching, **match)
        return Search(rest=self._rest, web=self._web, query=query, page_size=page_size, owner=self._connection)

    def search_studies(
        self,
        *,
        fields: str | Iterable[str] = (),
        limit: int | None = None,
        fuzzymatching: bool = False,
        page_size: int | None = None,
        **match: Any,
    ) -> pd.DataFrame:
        """Find studies, and return them as one row each.

        Parameters
        ----------
        fields
            Extra attributes by DICOM keyword or tag, e.g. ``["StudyDescription"]``; ``"all"`` for every one.
        limit
            Most rows wanted. ``None`` pages until the server has no more.
        fuzzymatching
            Match PatientName by the beginnings of its words.
        page_size
            Rows of one request; it changes nothing in the result.
        **match
            Attribute keyword = value. Dates take ``"20240101-20240131"``, a date, or a pair of dates; ``*`` and ``?``
            are wildcards where the server knows them (Google does not).

        Returns
        -------
        DataFrame, one row per study, columns ``frames.STUDIES`` then *fields*.
            UIDs are strings, dates ``datetime64``, times ``timedelta64``; where several values are allowed, a tuple.
            ``attrs["complete"]`` says whether these are all matches.

        Raises
        ------
        InvalidArgument
            A keyword is no DICOM attribute (the nearest is suggested), or cannot be searched at this level.

        Warns
        -----
        PartialResultsWarning
            The server has more matches than it gives.

        Notes
        -----
        DICOM PS3.18, Search Transaction; Healthcare API ``dicomStores.searchForStudies``.
        """
        search = self.search(
            "study", fields=fields, limit=limit, fuzzymatching=fuzzymatching, page_size=page_size, **match
        )
        return search.to_frame()

    def search_series(
        self,
        *,
        fields: str | Iterable[str] = (),
        limit: int | None = None,
        fuzzymatching: bool = False,
        page_size: int | None = None,
        **match: Any,
    ) -> pd.DataFrame:
        """Find series, and return them as one row each, with the attributes of their studies.

        Parameters, errors and warnings are those of :meth:`search_studies`; the columns are ``frames.SERIES`` then
        *fields*. Healthcare API ``dicomStores.searchForSeries``.
        """
        search = self.search(
            "series", fields=fields, limit=limit, fuzzymatching=fuzzymatching, page_size=page_size, **match
        )
        return search.to_frame()

    def search_instances(
        self,
        *,
        fields: str | Iterable[str] = (),
        limit: int | None = None,
        fuzzymatching: bool = False,
        page_size: int | None = None,
        **match: Any,
    ) -> pd.DataFrame:
        """Find instances, and return them as one row each, with the attributes of their series and studies.

        Parameters, errors and warnings are those of :meth:`search_studies`; the columns are ``frames.INSTANCES`` then
        *fields*. Without a match key every instance of the store comes. Healthcare API
        ``dicomStores.searchForInstances``.
        """
        search = self.search(
            "instance", fields=fields, limit=limit, fuzzymatching=fuzzymatching, page_size=page_size, **match
        )
        return search.to_frame()

    def metadata(
        self, study_instance_uid: str, series_instance_uid: str | None = None, sop_instance_uid: str | None = None
    ) -> list[pydicom.Dataset]:
        """Attributes of every instance of a study, of a series, or of one instance, without bulk data.

        Raises
        ------
        NotFound
            The store has no such study, series or instance.

        Notes
        -----
        DICOM PS3.18, Retrieve Transaction, metadata resources; Healthcare API ``retrieveMetadata``.
        """
        path = retrieve.uid_path(study_instance_uid, series_instance_uid, sop_instance_uid)
        return retrieve.metadata_of(self._rest, f"{self._web}/{path}")

    def dataset(self, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str) -> pydicom.FileDataset:
        """One instance, pixels and all, as pydicom reads the very bytes that were uploaded.

        Raises
        ------
        NotFound
            The store has no such instance.

        Notes
        -----
        DICOM PS3.18, Retrieve Transaction; Healthcare API ``retrieveInstance`` with ``transfer-syntax=*``.
        """
        path = retrieve.instance_path(study_instance_uid, series_instance_uid, sop_instance_uid)
        return retrieve.read_dataset(self._rest, f"{self._web}/{path}")

    def retrieve(
        self,
        study_instance_uid: str,
        series_instance_uid: str,
        sop_instance_uid: str,
        *,
        to: str | os.PathLike[str],
    ) -> Path:
        """Save one instance to a file, byte for byte as it was uploaded, and return the file's path.

        Parameters
        ----------
        to
            The file, or an existing folder, where it becomes ``{SOPInstanceUID}.dcm``. The file appears under its name
            only when it is whole, and only its owner may read it.

        Raises
        ------
        NotFound
            The store has no such instance.
        """
        path = retrieve.instance_path(study_instance_uid, series_instance_uid, sop_instance_uid)
        return retrieve.save(self._rest, f"{self._web}/{path}", Path(to), f"{sop_instance_uid}.dcm")

    def sql(self, text: str, *, params: Mapping[str, Any] | None = None, wait_s: float = WAIT_S) -> pd.DataFrame:
        """Run GoogleSQL over the table that the store streams to, and return the rows.

        Parameters
        ----------
        text
            ``{table}`` in it stands for the table of the store's first stream config.
        params
            Values for ``@name`` in the text.
        wait_s
            How long to wait at most for rows of instances that were acknowledged before. Google tells nothing of
            these, so there is no waiting there.

        Returns
        -------
        DataFrame whose columns are DICOM keywords where the query keeps them, typed as ``frames.arrow`` says.

        Raises
        ------
        FailedPrecondition
            The store streams to no table.
        InvalidArgument
            The SQL is not valid; the message is BigQuery's.

        Warns
        -----
        StreamLagWarning
            Not all rows arrived within *wait_s*.
        """
        configs = self._resource.stream_configs or ()
        tables = [config.table for config in configs if config.table is not None]
        if "{table}" in text:
            if not tables:
                raise FailedPrecondition(
                    f"the store {self.id!r} streams to no table, so {{table}} stands for none; "
                    'set one with store.patch(stream_to="bq://project.dataset.table")'
                )
            text = text.replace("{table}", tables[0].sql)
        if configs:
            streams.wait(self._connection, self._path, wait_s)
        project = tables[0].project if tables else self._name.dataset.project
        return sql.run(self._connection, text, project=project, params=params)

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

    def stream_status(self) -> pd.DataFrame:
        """How far the streams to BigQuery are, one row per table, columns ``frames.STREAMS``.

        Raises
        ------
        Unimplemented
            The server is Google's, which tells nothing of it through this API.
        """
        return streams.status(self._connection, self._path)

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
