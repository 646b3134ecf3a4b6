"""What a store is searched with: studies, series and instances as frames.

Source: DICOM PS3.18 section 10.6 (search transaction), edition 2024e; Cloud Healthcare API v1,
``dicomStores.searchForStudies``, ``searchForSeries``, ``searchForInstances``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from dicomkit.client.named import NamedStore
from dicomkit.client.search import Search
from dicomkit.dicom.attributes import Level
from dicomkit.dicom.query import Query

__all__ = ["Searches"]


class Searches(NamedStore):
    """The searches of a store."""

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
