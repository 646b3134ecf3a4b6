"""A query over a streamed table as a value: its SQL can be seen before it runs, and what it would read."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dicomkit.bigquery.relation import Relation
from dicomkit.client import streams
from dicomkit.client.cards import card
from dicomkit.client.connection import Connection
from dicomkit.client.sql import Statement
from dicomkit.errors import SetupError, Unimplemented
from dicomkit.frames.arrow import Dtypes, check_dtypes, frame_of_arrow
from dicomkit.frames.export import DuckDBTarget, write_duckdb, write_parquet

__all__ = ["TableQuery", "TableSource"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSource:
    """Where a table is, and whose stream fills it.

    Attributes
    ----------
    store
        Path of the store below the API's base URL.
    project
        The project that queries run in.
    wait_s
        How long to wait at most for rows that are on their way to the table.
    """

    connection: Connection
    store: str
    project: str
    wait_s: float

    def wait(self) -> None:
        """Let what was acknowledged before arrive."""
        streams.wait(self.connection, self.store, self.wait_s)


class TableQuery:
    """A query that has not run yet. The methods of ``Store.table()`` make it.

    Parameters
    ----------
    source
        Where the table is.
    relation
        The query.
    """

    def __init__(self, source: TableSource, relation: Relation) -> None:
        self._source = source
        self._query = relation

    @property
    def _relation(self) -> Relation:
        return self._query

    @property
    def sql(self) -> str:
        """The GoogleSQL, for the console of BigQuery or ``Store.sql``, with :attr:`params`."""
        return self._relation.sql

    @property
    def params(self) -> dict[str, Any]:
        """Values for ``@name`` in the SQL."""
        return dict(self._relation.params)

    def dry_run(self) -> pd.DataFrame:
        """What the query would read: one row, columns ``frames.QUERY_COST``. Nothing is read, and nothing is billed."""
        return self._statement().cost()

    def to_frame(self, *, max_gb: float | None = None, dtypes: Dtypes = "pandas") -> pd.DataFrame:
        """Run the query, and return its rows.

        Parameters
        ----------
        max_gb
            Most gigabytes to read, 10^9 bytes each; a query that would read more is refused before it runs.
        dtypes
            ``"pandas"``: types that merge with a search, see ``frames.arrow``; ``"arrow"``: Arrow's own for every
            column, dates and nested records too.

        Raises
        ------
        FailedPrecondition
            The query would read more than *max_gb*.

        Warns
        -----
        StreamLagWarning
            Not all rows have reached the table in time.
        """
        check_dtypes(dtypes)
        return frame_of_arrow(self.to_arrow(max_gb=max_gb), dtypes)

    def to_arrow(self, *, max_gb: float | None = None) -> Any:
        """Run the query, and return its rows as a ``pyarrow.Table``; see :meth:`to_frame`."""
        return self._statement().arrow(max_gb=max_gb)

    def to_parquet(self, path: str | os.PathLike[str], *, max_gb: float | None = None) -> Path:
        """Run the query, and write its rows to a Parquet file, page by page; return its path.

        Parameters
        ----------
        path
            The file; one that is there is replaced when the new one is whole.
        max_gb
            As for :meth:`to_frame`.
        """
        return write_parquet(lambda: self._statement().batches(max_gb=max_gb), path)

    def to_duckdb(
        self,
        target: DuckDBTarget,
        name: str,
        *,
        replace: bool = False,
        max_gb: float | None = None,
    ) -> None:
        """Run the query, and write its rows to a table of DuckDB, page by page.

        Parameters
        ----------
        target
            A connection, or the path of a database file, which is made where there is none.
        name
            The table, of letters, digits and underscores.
        replace
            Whether a table of this name goes.
        max_gb
            As for :meth:`to_frame`.

        Raises
        ------
        AlreadyExists
            There is such a table.
        FailedPrecondition
            The database cannot be opened for writing, as where another process has it open.
        """
        write_duckdb(lambda: self._statement().batches(max_gb=max_gb), target, name, replace=replace)

    def to_bigframes(self) -> Any:
        """The query as a ``bigframes.pandas.DataFrame``, which stays in BigQuery: for what outgrows one machine.

        Raises
        ------
        Unimplemented
            The table is in an embedded BigQuery, which bigframes cannot speak to.
        SetupError
            bigframes is not installed.
        """
        connection = self._source.connection
        if not connection.is_cloud:
            raise Unimplemented(
                f"BigQuery DataFrames run in Google's BigQuery alone, and this table is at {connection.place}; "
                "to_duckdb() and to_parquet() take tables that are larger than memory"
            )
        try:
            import bigframes.pandas as bpd
        except ImportError:
            raise SetupError(
                "BigQuery DataFrames come with another package: pip install 'dicomkit[bigframes]'"
            ) from None
        from google.cloud import bigquery

        from dicomkit.client.sql_parameters import parameters

        config = bigquery.QueryJobConfig(query_parameters=parameters(self.params)).to_api_repr()
        return bpd.read_gbq_query(self.sql, configuration=config)

    def _statement(self) -> Statement:
        relation = self._relation
        self._source.wait()
        return Statement(
            connection=self._source.connection,
            text=relation.sql,
            project=self._source.project,
            params=relation.params,
        )

    def _parts(self) -> tuple[str, Mapping[str, Any], list[tuple[str, str]]]:
        """SQL, parameters and further lines of the card; without a request."""
        return self._query.sql, self._query.params, []

    def __repr__(self) -> str:
        sql, params, _ = self._parts()
        return f"<{type(self).__name__} of {self._source.project}>\n{sql}" + (f"\n{dict(params)}" if params else "")

    def _repr_html_(self) -> str:
        sql, params, rows = self._parts()
        rows += [(f"@{name}", repr(value)) for name, value in params.items()]
        rows += [("run it", ".to_frame()   .to_parquet(path)   .to_duckdb(path, name)"), ("cost", ".dry_run()")]
        text = f'<pre style="margin:.4em 0;white-space:pre-wrap">{html.escape(sql)}</pre>'
        return card("query", type(self).__name__, rows) + text
