"""Many instances of a store, to files or one after the other.

Source: DICOM PS3.18, retrieve transaction; Cloud Healthcare API v1, ``retrieveInstance``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pydicom

from dicomkit.client import pool
from dicomkit.client.download import accept_of, download
from dicomkit.client.layout import DEFAULT_LAYOUT, Layout
from dicomkit.client.named import NamedStore
from dicomkit.client.retrieve import instance_path, read_dataset
from dicomkit.client.search import Search
from dicomkit.client.targets import Target, WhatLike, targets
from dicomkit.dicom.query import Query
from dicomkit.errors import NotFound

__all__ = ["Downloads"]


class Downloads(NamedStore):
    """What takes many instances out of a store."""

    def download(
        self,
        what: WhatLike,
        *,
        to: str | os.PathLike[str],
        layout: str = DEFAULT_LAYOUT,
        transfer_syntax: str = "*",
        workers: int = pool.WORKERS,
        progress: bool | None = None,
        raise_for_failures: bool = False,
    ) -> pd.DataFrame:
        """Save instances as files, and return what became of each.

        Download the same again to go on after an interruption, or to bring a folder up to date: a file that is there
        and whole is not fetched again. The server says so by its hash (a dicomkit engine); where it tells none, the
        size must be that of the server and the file must be the instance, read to its end. Of another
        *transfer_syntax* no server tells a size or a hash, and the reading alone decides.

        Parameters
        ----------
        what
            A frame with a row for each study, series or instance, e.g. of a search; the UID of a study; a tuple
            ``(study, series)`` or ``(study, series, instance)``; or an iterable of these.
        to
            The folder, which is made if missing. Only the owner may read the files in it.
        layout
            The path of a file below the folder. Names in braces are DICOM keywords; whatever their values are, each
            becomes a part of a name and cannot lead elsewhere.
        transfer_syntax
            UID of the transfer syntax of the files; ``"*"`` for the bytes that were uploaded.
        workers
            Instances at a time.
        progress
            Whether to show a bar; by default where somebody watches.
        raise_for_failures
            Raise ``DownloadError`` at the end if any instance failed.

        Returns
        -------
        DataFrame, one row per instance, columns ``frames.DOWNLOAD``.
            ``outcome`` is ``"saved"``, ``"already_there"`` or ``"failed"``, and ``reason`` says why. A study or series
            in which the store has nothing is a failed row. A file appears under its name only when it is whole.

        Raises
        ------
        InvalidArgument
            The layout is none, names no attribute, or gives several instances one path (nothing was fetched).
        Unavailable, DeadlineExceeded
            The server gives nothing any more, even when asked again.

        Notes
        -----
        DICOM PS3.18, Retrieve Transaction; Healthcare API ``retrieveInstance``.
        """
        read = Layout.parse(layout)
        return download(
            self._rest,
            self._web,
            targets(what, self._instances_of, read.fields),
            Path(to).expanduser(),
            read,
            transfer_syntax=transfer_syntax,
            workers=workers,
            progress=progress,
            raise_for_failures=raise_for_failures,
        )

    def iter_instances(
        self, what: WhatLike, *, transfer_syntax: str = "*", prefetch: int = 2 * pool.WORKERS
    ) -> Iterator[pydicom.FileDataset]:
        """Instances as pydicom data sets, one after the other in the order of *what*, for a data loader.

        The next ones are fetched while one is worked on. An instance that is not there any more ends the iteration
        with its error.

        Parameters
        ----------
        what
            As for :meth:`download`. A frame of instances is not asked for anything else; of a study or series come all
            instances, in the order of a search.
        transfer_syntax
            As for :meth:`download`; ``"1.2.840.10008.1.2.1"`` has the server decompress.
        prefetch
            Most instances in memory beside the one that is worked on.

        Raises
        ------
        NotFound
            The store does not have an instance, a study or a series of *what*.

        Notes
        -----
        DICOM PS3.18, Retrieve Transaction; Healthcare API ``retrieveInstance``.
        """
        accept = accept_of(transfer_syntax)

        def read(target: Target) -> pydicom.FileDataset:
            if not target.is_instance:
                raise NotFound("the store has nothing under the UIDs of a study or series that was asked for")
            return read_dataset(self._rest, f"{self._web}/{instance_path(*target.uids)}", accept)

        # The one that was handed out counts, too: it is made room for before the next is asked for.
        return pool.in_order(
            read,
            targets(what, self._instances_of, ()),
            workers=min(pool.WORKERS, max(1, prefetch)) if isinstance(prefetch, int) else pool.WORKERS,
            ahead=prefetch,
        )

    def _instances_of(self, match: Mapping[str, str], fields: tuple[str, ...]) -> Search:
        values: dict[str, Any] = {**match}
        query = Query.build("instance", fields=fields, **values)
        return Search(rest=self._rest, web=self._web, query=query, owner=self._connection)
