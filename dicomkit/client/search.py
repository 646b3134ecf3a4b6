"""A search as a value, and its way into a frame: paging is here and nowhere else.

A frame of more rows than a first page has comes from a dicomkit engine as one stream of columns, and from everybody
else by pages; it is the same frame.

Source: DICOM PS3.18 sections 8.3.4 and 10.6 (search transaction), edition 2024e; Cloud Healthcare API v1,
``dicomStores.searchForStudies``, ``searchForSeries``, ``searchForInstances`` (page until 204 or fewer than ``limit``).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import requests

from dicomkit.client.local_filter import LocalFilter
from dicomkit.client.rest import Rest, quote_path
from dicomkit.client.search_stream import take_stream
from dicomkit.collection_pause import collection_paused
from dicomkit.dicom.attributes import MAX_LIMIT, MAX_OFFSET, UIDS, levels_down_to
from dicomkit.dicom.dictionary import tag_of
from dicomkit.dicom.query import ALL, Query
from dicomkit.errors import ClientSideFilterWarning, InvalidArgument, PartialResultsWarning, warn
from dicomkit.frames import ColumnBuilder, first_values, search_columns

__all__ = ["Search"]

Row = Mapping[str, Any]

PAGE = {"study": 5_000, "series": 5_000, "instance": 10_000}
"""Rows asked for in one request."""

PAGE_OF_ALL = 1_000
"""The same where every attribute of an instance is wanted."""

PAGE_BEFORE_STREAM = 1_000
"""Rows of the first page where a stream of columns may follow: so few come as quickly in JSON."""

_STUDY, _SERIES, _INSTANCE = (tag_of(keyword) for keyword in UIDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search that has not run yet.

    Parameters
    ----------
    query
        What is searched for; its ``limit`` is the most rows wanted in all, ``None`` for every match.
    web
        Path of the store's DICOMweb service below the API's base URL, percent-encoded.
    page_size
        Rows of one request; how many there are changes nothing in the result.
    owner
        Kept as long as the search, so that the connection stays open.
    after
        Conditions of *query* that the server does not know, and what it is asked instead.
    may_stream
        Whether the server may know columns; Google's does not.
    """

    rest: Rest = field(repr=False, compare=False)
    web: str
    query: Query
    page_size: int | None = None
    owner: object = field(default=None, repr=False, compare=False)
    after: LocalFilter | None = field(default=None, repr=False)
    may_stream: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        most = MAX_LIMIT[self.query.level]
        if self.page_size is not None and not 1 <= self.page_size <= most:
            raise InvalidArgument(f"page_size must be from 1 to {most} at {self.query.level} level")

    @property
    def url(self) -> str:
        """The request for the first of the :meth:`pages`."""
        wire = self._wire(self._page_size, 0)
        return f"{self.rest.base_url}/{self.web}/{wire.path()}?{urlencode(wire.params())}"

    def pages(self) -> Iterator[list[Row]]:
        """The answer, page by page, each when it is asked for; ends with the last row that is wanted.

        Warns
        -----
        PartialResultsWarning
            The server has more that cannot be had: it repeats a page, or the offset would pass its maximum.
        ClientSideFilterWarning
            Some conditions are applied here, because the server does not know them.
        """
        return (rows for rows, _ in self._pages())

    def to_frame(self) -> pd.DataFrame:
        """All matches as a frame, one row each, columns ``frames.search_columns``.

        Returns
        -------
        DataFrame
            ``attrs["complete"]`` says whether these are all matches.

        Warns
        -----
        PartialResultsWarning
            Matches are missing that were wanted. (Those that ``limit`` cut off were not.)
        LenientValueWarning
            Values that break the rules of their VR are missing.
        ClientSideFilterWarning
            Some conditions are applied here, because the server does not know them.
        """
        with collection_paused():  # until the frame is there: no row outlives this block
            frame, is_complete = self._built()
        frame.attrs["complete"] = is_complete
        return frame

    def _built(self) -> tuple[pd.DataFrame, bool]:
        builder = self._begun()
        is_complete = True
        may_stream = self._may_stream
        for rows, is_complete in self._pages(PAGE_BEFORE_STREAM if may_stream else None):
            if may_stream and is_complete and len(rows) == PAGE_BEFORE_STREAM:
                found = self._streamed(rows)
                if found is not None:
                    builder, is_complete = found
                    break
            may_stream = False
            builder.extend(rows)
        return builder.frame(), is_complete

    @property
    def _may_stream(self) -> bool:
        """Whether a stream may take less time than pages: not where one page is all that is wanted."""
        query = self.query
        return (
            self.may_stream
            and self.page_size is None
            and self.after is None
            and ALL not in query.fields
            and (query.limit is None or query.limit > self._page_size)
        )

    def _begun(self, *pages: list[Row]) -> ColumnBuilder:
        """Columns for the answer, with the rows of *pages* in them."""
        builder = ColumnBuilder(
            search_columns(self.query.level, self.query.fields), all_fields=ALL in self.query.fields
        )
        for rows in pages:
            builder.extend(rows)
        return builder

    def _streamed(self, rows: list[Row]) -> tuple[ColumnBuilder, bool] | None:
        """The whole answer, which begins with *rows*, and whether it is all; ``None`` where there is no stream."""
        wanted = self.query.limit
        wire = dataclasses.replace(self._wire(1, self.query.offset + len(rows)), limit=None)
        return take_stream(
            self.rest,
            f"{self.web}/{quote_path(wire.path())}",
            wire.params(),
            lambda: self._begun(rows),
            key=self._key,
            known={tuple(uid if isinstance(uid, str) else None for uid in key) for key in self._keys(rows)},
            most=None if wanted is None else wanted - len(rows),
        )

    def conditions(self) -> list[tuple[str, str]]:
        """What the server is asked to match, as parameters of the query string; none where everything matches."""
        wire = dataclasses.replace(self._wire(1, 0), limit=None, fields=())
        return wire.params() if wire.match else []

    @property
    def _page_size(self) -> int:
        level = self.query.level
        return self.page_size or (PAGE_OF_ALL if ALL in self._sent.fields and level == "instance" else PAGE[level])

    @property
    def _sent(self) -> Query:
        """What the server is asked, page by page."""
        return self.query if self.after is None else self.after.wire

    def _wire(self, limit: int, offset: int) -> Query:
        """The query of one page.

        UIDs go into the query string and not into the path: only a search of the whole store returns the
        attributes of the levels above (PS3.18 tables 10.6.3-3 to 5; the Healthcare API alike), and a column of
        the frame must not be empty because of the form of a URL.
        """
        query = self._sent
        uids = ((_STUDY, query.study_instance_uid), (_SERIES, query.series_instance_uid))
        match = tuple((tag, uid) for tag, uid in uids if uid) + query.match
        return dataclasses.replace(
            query, study_instance_uid=None, series_instance_uid=None, match=match, limit=limit, offset=offset
        )

    def _pages(self, first_size: int | None = None) -> Iterator[tuple[list[Row], bool]]:
        """Pages, each with whether nothing is missing if it is the last.

        Parameters
        ----------
        first_size
            Rows of the first one, where that is not to have as many as the others.
        """
        wanted = self.query.limit
        offset = self.query.offset
        if self.after is not None and self.after.conditions:
            warn(
                f"Google's service cannot match {self.after.names} so: all that the other conditions leave is fetched, "
                "and filtered here; strict=True raises instead",
                ClientSideFilterWarning,
            )
        seen: set[bytes] = set()
        given = 0
        size = first_size or self._page_size
        while True:
            # One row more than wanted: it says whether the limit cut anything off.
            is_counted = wanted is not None and self.after is None
            limit = min(size, (wanted or 0) + 1 - given) if is_counted else size
            size = self._page_size
            rows, has_more = self._page(limit, offset)
            if not rows:
                return
            fresh = self._unseen(rows, seen) if seen or has_more else rows
            if not fresh:
                yield [], False
                self._warn("the server sends the same matches again and does not go on")
                return
            offset += len(rows)
            if self.after is not None:
                fresh = [row for row in fresh if self.after.keeps(row)]
            if wanted is not None and given + len(fresh) > wanted:
                yield fresh[: wanted - given], False
                return
            given += len(fresh)
            is_stopped = has_more and offset > MAX_OFFSET
            yield fresh, not is_stopped
            if is_stopped:
                self._warn(f"no server goes beyond offset {MAX_OFFSET:,}; narrow the search, e.g. by StudyDate")
            if not has_more or is_stopped:
                return

    def _page(self, limit: int, offset: int) -> tuple[list[Row], bool]:
        """Rows of one request, and whether there may be more."""
        wire = self._wire(limit, offset)
        headers = {"Accept": "application/dicom+json"}
        path = f"{self.web}/{quote_path(wire.path())}"

        def take(response: requests.Response) -> tuple[list[Row], bool]:
            rows = self.rest.parse(response) or []
            # PS3.18 section 10.6.3.1.3: a server that gives fewer than were asked for says so in this header.
            is_cut = response.headers.get("Warning", "").startswith("299")
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise self.rest.odd(response, "something that is not a list of search results")
            return rows, is_cut or len(rows) >= limit

        return self.rest.receive("GET", path, take, params=wire.params(), headers=headers)

    @property
    def _key(self) -> tuple[str, ...]:
        """The attributes that tell one row from another."""
        return (_STUDY, _SERIES, _INSTANCE)[: len(levels_down_to(self.query.level))]

    def _keys(self, rows: list[Row]) -> list[tuple[Any, ...]]:
        return list(zip(*(first_values(rows, tag) for tag in self._key), strict=True))

    def _unseen(self, rows: list[Row], seen: set[bytes]) -> list[Row]:
        """The rows that no page before had; instances that arrive meanwhile push rows onto the next page."""
        fresh = []
        for row, key in zip(rows, self._keys(rows), strict=True):
            # The UIDs themselves are four times as long, of every row of a long answer.
            digest = hashlib.blake2b(repr(key).encode("utf-8", "surrogatepass"), digest_size=16).digest()
            if digest not in seen:
                seen.add(digest)
                fresh.append(row)
        return fresh

    def _warn(self, what: str) -> None:
        warn(f"the result is not complete: {what}", PartialResultsWarning)
