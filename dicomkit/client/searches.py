"""What a store is searched with: studies, series and instances as frames, and how many there are.

Source: DICOM PS3.18 section 10.6 (search transaction), edition 2024e; Cloud Healthcare API v1,
``dicomStores.searchForStudies``, ``searchForSeries``, ``searchForInstances``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from dicomkit.client import counts
from dicomkit.client.local_filter import split
from dicomkit.client.named import NamedStore
from dicomkit.client.search import Search
from dicomkit.dicom.attributes import Level
from dicomkit.dicom.query import Query
from dicomkit.errors import InvalidArgument

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
        strict: bool = False,
        **match: Any,
    ) -> Search:
        """A search that has not run yet: its ``url`` can be looked at, its ``pages()`` taken one by one.

        Parameters
        ----------
        level
            ``"study"``, ``"series"`` or ``"instance"``.
        page_size
            Rows of one request.
        fields, limit, fuzzymatching, strict, **match
            As for :meth:`search_studies`.
        """
        query = Query.build(level, fields=fields, limit=limit, fuzzymatching=fuzzymatching, **match)
        after = split(query) if self._connection.searches_as_google else None
        if strict and after is not None and after.conditions:
            raise InvalidArgument(
                f"Google's service cannot match {after.names} so; leave strict out to have it applied after fetching"
            )
        return Search(
            rest=self._rest,
            web=self._web,
            query=query,
            page_size=page_size,
            owner=self._connection,
            after=after,
            may_stream=not self._connection.searches_as_google,
        )

    def search_studies(
        self,
        *,
        fields: str | Iterable[str] = (),
        limit: int | None = None,
        fuzzymatching: bool = False,
        page_size: int | None = None,
        strict: bool = False,
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
        strict
            Raise ``InvalidArgument`` where a condition could only be applied after fetching.
        **match
            Attribute keyword = value. Dates take ``"20240101-20240131"``, a date, or a pair of dates; ``*`` and ``?``
            are wildcards. Google's service matches few attributes (those of ``dicom.attributes.SEARCHABLE``), and no
            wildcards or lists of UIDs: such conditions are applied here to all that the others leave.

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
        ClientSideFilterWarning
            Conditions were applied after fetching, because the server does not know them.

        Notes
        -----
        DICOM PS3.18, Search Transaction; Healthcare API ``dicomStores.searchForStudies``. A dicomkit engine sends what
        is behind the first 1,000 rows as one Arrow stream, unless a ``page_size`` is given: the same frame, sooner.
        """
        search = self.search(
            "study",
            fields=fields,
            limit=limit,
            fuzzymatching=fuzzymatching,
            page_size=page_size,
            strict=strict,
            **match,
        )
        return search.to_frame()

    def search_series(
        self,
        *,
        fields: str | Iterable[str] = (),
        limit: int | None = None,
        fuzzymatching: bool = False,
        page_size: int | None = None,
        strict: bool = False,
        **match: Any,
    ) -> pd.DataFrame:
        """Find series, and return them as one row each, with the attributes of their studies.

        Parameters, errors and warnings are those of :meth:`search_studies`; the columns are ``frames.SERIES`` then
        *fields*. Healthcare API ``dicomStores.searchForSeries``.
        """
        search = self.search(
            "series",
            fields=fields,
            limit=limit,
            fuzzymatching=fuzzymatching,
            page_size=page_size,
            strict=strict,
            **match,
        )
        return search.to_frame()

    def search_instances(
        self,
        *,
        fields: str | Iterable[str] = (),
        limit: int | None = None,
        fuzzymatching: bool = False,
        page_size: int | None = None,
        strict: bool = False,
        **match: Any,
    ) -> pd.DataFrame:
        """Find instances, and return them as one row each, with the attributes of their series and studies.

        Parameters, errors and warnings are those of :meth:`search_studies`; the columns are ``frames.INSTANCES`` then
        *fields*. Without a match key every instance of the store comes. Healthcare API
        ``dicomStores.searchForInstances``.
        """
        search = self.search(
            "instance",
            fields=fields,
            limit=limit,
            fuzzymatching=fuzzymatching,
            page_size=page_size,
            strict=strict,
            **match,
        )
        return search.to_frame()

    def count_studies(self, *, fuzzymatching: bool = False, strict: bool = False, **match: Any) -> int:
        """How many studies a search would find.

        A dicomkit engine counts, and sends no rows. Google's service cannot: where nothing is matched this is the
        number of its metrics, which may lag behind; else the matches are fetched page by page, with few attributes.

        Parameters
        ----------
        fuzzymatching, strict, **match
            As for :meth:`search_studies`.

        Notes
        -----
        Healthcare API ``getDICOMStoreMetrics`` and ``dicomStores.searchForStudies``.
        """
        return self._count("study", fuzzymatching, strict, match)

    def count_series(self, *, fuzzymatching: bool = False, strict: bool = False, **match: Any) -> int:
        """How many series a search would find; as :meth:`count_studies`."""
        return self._count("series", fuzzymatching, strict, match)

    def count_instances(self, *, fuzzymatching: bool = False, strict: bool = False, **match: Any) -> int:
        """How many instances a search would find; as :meth:`count_studies`."""
        return self._count("instance", fuzzymatching, strict, match)

    def _count(self, level: Level, fuzzymatching: bool, strict: bool, match: dict[str, Any]) -> int:
        search = self.search(level, fuzzymatching=fuzzymatching, strict=strict, **match)
        return counts.count(self._connection, self.name, search)
