"""What the server does with many instances of a store at once, as long-running operations.

Source: Cloud Healthcare API v1, ``dicomStores.import``, ``export``, ``deidentify`` and ``setBlobStorageSettings``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import pandas as pd

from dicomkit.client.deidentification import preview as preview_of
from dicomkit.client.named import NamedStore
from dicomkit.client.operation import Operation, begin
from dicomkit.client.retrieve import uid_path
from dicomkit.errors import InvalidArgument
from dicomkit.names import DicomStoreName
from dicomkit.resources.bigquery_destination import BigQueryDestination
from dicomkit.resources.blob_storage import BlobStorageSettings, SetBlobStorageSettingsRequest
from dicomkit.resources.deidentify_profile import DeidentifyConfigLike, deidentify_fields
from dicomkit.resources.deidentify_request import DeidentifyDicomStoreRequest
from dicomkit.resources.export_request import ExportDicomDataRequest, GcsDestination
from dicomkit.resources.filter_config import DicomFilterConfig
from dicomkit.resources.transfer import GcsSource, ImportDicomDataRequest

if TYPE_CHECKING:
    from dicomkit.client.store import Store

__all__ = ["Transfers"]


class Transfers(NamedStore):
    """The operations of a store."""

    _name: DicomStoreName

    def import_dicom(self, uri: str, *, storage_class: str | None = None) -> Operation:
        """Have the server store the files of a bucket, and return the operation at once.

        What is stored already is not stored twice, and not overwritten. A file that is no DICOM is a failure among the
        operation's ``errors()``; the others go in.

        Parameters
        ----------
        uri
            ``"gs://bucket/object"``. ``*`` stands for any characters but ``/`` and ``?`` for one; ``**`` at the end, or
            before an extension, for any characters: ``"gs://bucket/scans/**.dcm"``. For a folder's own engine a bucket
            is the folder ``buckets/{bucket}`` of the home.
        storage_class
            ``"STANDARD"`` (the default), ``"NEARLINE"``, ``"COLDLINE"`` or ``"ARCHIVE"``.

        Raises
        ------
        InvalidArgument
            The URI or the class is none.
        NotFound
            There is no such bucket.

        Notes
        -----
        Healthcare API ``dicomStores.import``.
        """
        settings = None if storage_class is None else BlobStorageSettings(blob_storage_class=storage_class)
        request = ImportDicomDataRequest(gcs_source=GcsSource(uri=uri), blob_storage_settings=settings)
        return begin(self._connection, f"{self._path}:import", request.to_api(), method="ImportDicomData")

    def export(
        self,
        to: str | BigQueryDestination,
        *,
        mime_type: str | None = None,
        write_disposition: str | None = None,
        filter_uri: str | None = None,
    ) -> Operation:
        """Have the server write the instances to a bucket, or their metadata to a table; returns the operation at once.

        Parameters
        ----------
        to
            ``"gs://bucket/folder"``, where an instance becomes ``{study}/{series}/{instance}.dcm``;
            ``"bq://project.dataset.table"``; or a ``BigQueryDestination``.
        mime_type
            For a bucket: what is written, as stored by default. ``"application/dicom; transfer-syntax=T"``,
            ``"application/octet-stream; transfer-syntax=*"``, ``"image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50"``
            or ``"image/png"``; the last three give an object for each frame.
        write_disposition
            For a table: ``"WRITE_EMPTY"`` (the default: fail if it has rows), ``"WRITE_TRUNCATE"`` or
            ``"WRITE_APPEND"``.
        filter_uri
            ``"gs://bucket/object"``, a text file with one ``/studies/{uid}[/series/{uid}[/instances/{uid}]]`` a line:
            only these are exported.

        Raises
        ------
        InvalidArgument
            A value breaks a rule; the message names the field, the rule and the remedy.
        NotFound
            There is no such bucket.

        Notes
        -----
        Healthcare API ``dicomStores.export``.
        """
        destinations: dict[str, Any]
        if isinstance(to, str) and not to.startswith("bq:"):
            if write_disposition is not None:
                raise InvalidArgument("write_disposition is for tables; leave it out, or export to a bq:// table")
            destinations = {"gcs_destination": GcsDestination(uri_prefix=to, mime_type=mime_type)}
        else:
            if mime_type is not None:
                raise InvalidArgument("mime_type is for buckets; leave it out, or export to a gs:// folder")
            table = BigQueryDestination(table_uri=to) if isinstance(to, str) else to
            if write_disposition is not None:
                table = table.replace(write_disposition=write_disposition)
            destinations = {"bigquery_destination": table}
        request = ExportDicomDataRequest(**destinations, filter_config=_filter(filter_uri))
        return begin(self._connection, f"{self._path}:export", request.to_api(), method="ExportDicomData")

    @overload
    def deidentify(
        self,
        to: Store | str | None = None,
        *,
        config: DeidentifyConfigLike = ...,
        filter_uri: str | None = ...,
        preview: Literal[False] = ...,
    ) -> Operation: ...

    @overload
    def deidentify(
        self,
        to: Store | str | None = None,
        *,
        config: DeidentifyConfigLike = ...,
        filter_uri: str | None = ...,
        preview: Literal[True],
    ) -> pd.DataFrame: ...

    def deidentify(
        self,
        to: Store | str | None = None,
        *,
        config: DeidentifyConfigLike = "basic",
        filter_uri: str | None = None,
        preview: bool = False,
    ) -> Operation | pd.DataFrame:
        """Have the server write de-identified copies of the instances into another store.

        Parameters
        ----------
        to
            The store for the copies, which must exist: a ``Store``, its whole name, or its id in this dataset. Not
            needed for a preview.
        config
            ``"basic"`` for the confidentiality profile of DICOM PS3.15 (the default), ``"minimal"`` for the few
            attributes that an image cannot be without, ``"keep_all"`` (the UIDs are still replaced), ``"clean_text"``
            for the profile that inspects text; a ``DeidentifyConfig`` or its JSON as a dict; or
            ``"gs://bucket/config.json"``.
        filter_uri
            ``"gs://bucket/object"``, as for :meth:`export`: only these are copied.
        preview
            Write nothing, and return what would become of each attribute.

        Returns
        -------
        Operation, at once; with *preview* a DataFrame, columns ``frames.DEIDENTIFY_PREVIEW``.
            One row for each attribute and each thing that would happen to it, and no value of any. A preview looks at
            some instances of each series: ``attrs["instances"]`` of ``attrs["total"]``.

        Raises
        ------
        InvalidArgument
            The config breaks a rule; the message names the field, the rule and the remedy.
        NotFound
            There is no such destination.
        Unimplemented
            The server cannot do what the config asks for, or is Google's, which has no preview.

        Notes
        -----
        Healthcare API ``dicomStores.deidentify``. The preview is a dicomkit engine's own.
        """
        request = DeidentifyDicomStoreRequest(
            destination_store=None if to is None else self._store_name(to),
            filter_config=_filter(filter_uri),
            **deidentify_fields(config),
        )
        if preview:
            return preview_of(self._connection, self._path, request.to_api())
        _ = request.destination  # says that it is missing
        return begin(self._connection, f"{self._path}:deidentify", request.to_api(), method="DeidentifyDicomStore")

    def set_blob_storage_settings(
        self,
        storage_class: str,
        study_instance_uid: str | None = None,
        series_instance_uid: str | None = None,
        sop_instance_uid: str | None = None,
        *,
        filter_uri: str | None = None,
    ) -> Operation:
        """Have the server move instances to another storage class, and return the operation at once.

        Parameters
        ----------
        storage_class
            ``"STANDARD"``, ``"NEARLINE"``, ``"COLDLINE"`` or ``"ARCHIVE"``.
        study_instance_uid, series_instance_uid, sop_instance_uid
            Only those of this study, of this series of it, or this one instance, and not of the whole store.
        filter_uri
            ``"gs://bucket/object"``, as for :meth:`export`: only these; for the whole store only.

        Raises
        ------
        InvalidArgument
            The class or a UID is none, or there is a filter for less than a store.
        NotFound
            The store has no such study, series or instance.

        Notes
        -----
        Healthcare API ``dicomStores.setBlobStorageSettings`` and ``dicomWeb.studies.setBlobStorageSettings``. To see
        how an instance is stored, there is ``Store.storage_info``.
        """
        request = SetBlobStorageSettingsRequest(
            blob_storage_settings=BlobStorageSettings(blob_storage_class=storage_class),
            filter_config=_filter(filter_uri),
        )
        path = self._path
        if study_instance_uid is not None:
            request.check_below_store()
            path = f"{self._web}/{uid_path(study_instance_uid, series_instance_uid, sop_instance_uid)}"
        elif series_instance_uid is not None or sop_instance_uid is not None:
            raise InvalidArgument("a series is found in its study: give study_instance_uid, too")
        return begin(
            self._connection, f"{path}:setBlobStorageSettings", request.to_api(), method="SetBlobStorageSettings"
        )

    def _store_name(self, to: Store | str) -> str:
        if isinstance(to, NamedStore):
            return to.name
        return str(DicomStoreName.parse(to) if "/" in to else self._name.dataset.store(to))


def _filter(uri: str | None) -> DicomFilterConfig | None:
    return None if uri is None else DicomFilterConfig(resource_paths_gcs_uri=uri)
