"""What goes into a store from here, comes out of it to here, and is deleted in it.

Source: DICOM PS3.18, store and retrieve transactions; Cloud Healthcare API v1, ``dicomStores.storeInstances``,
``retrieveInstance``, ``retrieveMetadata``, and the deletes of studies, series and instances.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pydicom

from dicomkit.client import retrieve, upload
from dicomkit.client.named import NamedStore
from dicomkit.client.operation import Operation, begin
from dicomkit.client.sources import SourceLike

__all__ = ["Instances"]


class Instances(NamedStore):
    """The instances of a store."""

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

    def delete_study(self, study_instance_uid: str) -> Operation:
        """Have a study and every instance in it deleted, and return the operation at once.

        Rows that a stream has written to a table stay there.

        Raises
        ------
        NotFound
            The store has no such study.

        Notes
        -----
        Healthcare API ``dicomStores.studies.delete``. Until it has ended nothing can be stored in the study at Google.
        """
        return self._delete(study_instance_uid, method="DeleteStudy")

    def delete_series(self, study_instance_uid: str, series_instance_uid: str) -> Operation:
        """Have a series and every instance in it deleted, and return the operation at once.

        Raises
        ------
        NotFound
            The store has no such series.

        Notes
        -----
        Healthcare API ``dicomStores.studies.series.delete``.
        """
        return self._delete(study_instance_uid, series_instance_uid, method="DeleteSeries")

    def delete_instance(self, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str) -> None:
        """Delete one instance; it is gone when this returns, though Google's searches may show it some seconds more.

        Raises
        ------
        NotFound
            The store has no such instance.

        Notes
        -----
        Healthcare API ``dicomStores.studies.series.instances.delete``.
        """
        path = retrieve.instance_path(study_instance_uid, series_instance_uid, sop_instance_uid)
        self._rest.json("DELETE", f"{self._web}/{path}")

    def _delete(self, *uids: str, method: str) -> Operation:
        return begin(self._connection, f"{self._web}/{retrieve.uid_path(*uids)}", None, method=method)
