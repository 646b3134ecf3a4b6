"""The BigQuery side of a store: SQL over the table that it streams to, and the table itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dicomkit.bigquery.current import current_sql
from dicomkit.bigquery.table_uri import TableReference, parse_uri
from dicomkit.client import sql
from dicomkit.client.named import NamedStore
from dicomkit.client.table import StreamedTable
from dicomkit.client.table_query import TableSource
from dicomkit.errors import FailedPrecondition, InvalidArgument
from dicomkit.frames.arrow import Dtypes
from dicomkit.names import DicomStoreName
from dicomkit.resources import DicomStore

__all__ = ["Tables"]

WAIT_S = 10.0
"""How long a query waits for rows that are on their way to the table."""


class Tables(NamedStore):
    """What a store has of BigQuery."""

    _name: DicomStoreName
    _resource: DicomStore

    def sql(
        self,
        text: str,
        *,
        params: Mapping[str, Any] | None = None,
        dry_run: bool = False,
        max_gb: float | None = None,
        dtypes: Dtypes = "pandas",
        wait_s: float = WAIT_S,
    ) -> pd.DataFrame:
        """Run GoogleSQL over the table that the store streams to, and return the rows.

        Parameters
        ----------
        text
            ``{table}`` in it stands for the table of the store's first stream config, with a row for each event of an
            instance; ``{current}`` for the newest row of each instance, without those that were deleted.
        params
            Values for ``@name`` in the text: text, numbers, dates and times, lists, Series and dicts of them. Values
            never become part of the SQL.
        dry_run
            Do not run it: the frame says what it would read, columns ``frames.QUERY_COST``.
        max_gb
            Most gigabytes to read, 10^9 bytes each. A query that would read more is refused before it runs, and one
            that turns out to read more fails and is not billed. BigQuery bills at least 0.01 for each table.
        dtypes
            ``"pandas"``: types that merge with a search, see ``frames.arrow``; ``"arrow"``: Arrow's own for every
            column, dates and nested records too.
        wait_s
            How long to wait at most for rows of instances that were acknowledged before. Google tells nothing of
            these, so there is no waiting there.

        Returns
        -------
        DataFrame whose columns are DICOM keywords where the query keeps them.
            A query that takes longer than two seconds shows how far it is, and stops when the cell is interrupted.

        Raises
        ------
        FailedPrecondition
            The store streams to no table, or the query would read more than *max_gb*.
        InvalidArgument
            The SQL is not valid; the message is BigQuery's.

        Warns
        -----
        StreamLagWarning
            Not all rows arrived within *wait_s*.
        """
        tables = self._streamed()
        for placeholder in ("{table}", "{current}"):
            if placeholder in text:
                if not tables:
                    raise FailedPrecondition(
                        f"the store {self._name.store!r} streams to no table, so {placeholder} stands for none; "
                        'set one with store.patch(stream_to="bq://project.dataset.table")'
                    )
                replacement = tables[0].sql if placeholder == "{table}" else current_sql(tables[0])
                text = text.replace(placeholder, replacement)
        source = self._source(tables[0].project if tables else self._name.dataset.project, wait_s)
        if tables:
            source.wait()
        return sql.run(
            self._connection, text, project=source.project, params=params, max_gb=max_gb, dry_run=dry_run, dtypes=dtypes
        )

    def table(self, destination: str | None = None, *, wait_s: float = WAIT_S) -> StreamedTable:
        """The table that the store streams to, with questions that are asked often.

        Parameters
        ----------
        destination
            ``"bq://project.dataset.table"``: which, where the store streams to several, or another table of this
            shape, as an export makes one.
        wait_s
            As for :meth:`sql`.

        Raises
        ------
        FailedPrecondition
            The store streams to no table, or to several and none is named.
        InvalidArgument
            *destination* is no name of a table.

        Examples
        --------
        >>> table = store.table()                                                   # doctest: +SKIP
        >>> table.current().facets("Modality", "BodyPartExamined").to_frame()       # doctest: +SKIP
        """
        if destination is not None:
            reference = parse_uri(destination)
        else:
            tables = self._streamed()
            if not tables:
                raise FailedPrecondition(
                    f"the store {self._name.store!r} streams to no table; set one with "
                    'store.patch(stream_to="bq://project.dataset.table"), or name another one'
                )
            if len(tables) > 1:
                raise FailedPrecondition(
                    f"the store {self._name.store!r} streams to several tables; name one of "
                    + ", ".join(f"store.table({each.uri!r})" for each in tables)
                )
            reference = tables[0]
        return StreamedTable(self._source(reference.project, wait_s), reference)

    def _streamed(self) -> list[TableReference]:
        configs = self._resource.stream_configs or ()
        return [config.table for config in configs if config.table is not None]

    def _source(self, project: str, wait_s: float) -> TableSource:
        if isinstance(wait_s, bool) or not isinstance(wait_s, int | float) or not wait_s >= 0:
            raise InvalidArgument(f"wait_s is a number of seconds from 0; got {wait_s!a:.40}")
        return TableSource(connection=self._connection, store=self._path, project=project, wait_s=wait_s)
