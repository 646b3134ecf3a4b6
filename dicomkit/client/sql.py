"""SQL over the official BigQuery client: what it costs, the wait for it, its rows.

Source: BigQuery REST API v2 (``jobs``); BigQuery documentation, "Estimate and control costs".
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pandas as pd

from dicomkit.client.bigquery import client_of, errors_as_ours, retry_of
from dicomkit.client.connection import Connection
from dicomkit.client.query_rows import arrow_rows
from dicomkit.client.sql_parameters import parameters
from dicomkit.errors import FailedPrecondition, InvalidArgument
from dicomkit.frames.arrow import Dtypes, check_dtypes, frame_of_arrow
from dicomkit.frames.table_columns import QUERY_COST
from dicomkit.frames.tables import table
from dicomkit.progress import Progress

__all__ = ["Statement", "run"]

GB = 10**9
"""Bytes of a gigabyte, as BigQuery's quotas count them."""

WATCH_S = 2.0
"""A query that takes longer shows how far it is."""

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """GoogleSQL that can run.

    Attributes
    ----------
    project
        The project that it runs in.
    params
        Values for ``@name`` in the text; see ``client.sql_parameters``.
    """

    connection: Connection
    text: str
    project: str
    params: Mapping[str, Any] | None = None

    def cost(self) -> pd.DataFrame:
        """What it would read, by a dry run: one row, columns ``frames.QUERY_COST``."""
        read = self._bytes()
        return table(QUERY_COST, {"bytes": [read], "gb": [read / GB]})

    def arrow(self, *, max_gb: float | None = None) -> Any:
        """All rows, as a ``pyarrow.Table``."""
        import pyarrow as pa

        schema, batches = self.batches(max_gb=max_gb)
        return pa.Table.from_batches(batches, schema=schema)

    def batches(self, *, max_gb: float | None = None) -> tuple[Any, Iterator[Any]]:
        """Run it; the Arrow schema of the rows, and the rows as record batches that come as they are asked for.

        Raises
        ------
        FailedPrecondition
            It would read more than *max_gb*; nothing ran.
        ApiError
            As BigQuery's code and reason say; its message is kept.
        """
        limit = self._limit(max_gb)
        with errors_as_ours(self.connection):
            job = self._job(**({} if limit is None else {"maximum_bytes_billed": limit}))
            rows = self._finished(job)
            if not rows.total_rows:
                empty = rows.to_arrow(create_bqstorage_client=False)
                return empty.schema, iter(empty.to_batches())
            total = int(rows.total_rows)
            stream = None
            if not self.connection.is_cloud:
                stream = arrow_rows(self.connection.own, job.project, job.job_id, total)
            if stream is not None:
                schema, pages = stream
                return schema, self._watched(pages, total)
            pages = iter(rows.to_arrow_iterable())
            first = next(pages)
        return first.schema, self._watched(chain([first], pages), total)

    def _watched(self, pages: Iterator[Any], total: int) -> Iterator[Any]:
        with Progress(total, "rows", unit="row", delay_s=WATCH_S) as progress, errors_as_ours(self.connection):
            done = 0
            for page in pages:
                done += page.num_rows
                progress.reach(done, total)
                yield page

    def _limit(self, max_gb: float | None) -> int | None:
        if max_gb is None:
            return None
        if isinstance(max_gb, bool) or not isinstance(max_gb, int | float) or not 0 < max_gb < math.inf:
            raise InvalidArgument(f"max_gb is a positive number of gigabytes; got {max_gb!a:.40}")
        limit, read = max(1, int(max_gb * GB)), self._bytes()
        if read > limit:
            raise FailedPrecondition(
                f"the query would read {read / GB:.3g} GB, and max_gb is {max_gb:g}; nothing ran. BigQuery reads whole "
                "columns: name those that are needed, and not *"
            )
        return limit

    def _bytes(self) -> int:
        with errors_as_ours(self.connection):
            return int(self._job(dry_run=True).total_bytes_processed or 0)

    def _job(self, **options: Any) -> Any:
        from google.cloud import bigquery

        config = bigquery.QueryJobConfig(query_parameters=parameters(self.params), **options)
        client = client_of(self.connection, self.project)
        # job_retry would repeat the whole of it for up to 40 minutes more.
        return client.query(self.text, job_config=config, retry=retry_of(self.connection), job_retry=None)

    def _finished(self, job: Any) -> Any:
        """The rows of a job, which is waited for; who stops waiting stops the job, too."""
        retry, pause = retry_of(self.connection), _FIRST_PAUSE_S
        try:
            with Progress(None, "query", unit="stage", delay_s=WATCH_S) as progress:
                while not job.done(retry=retry, reload=False):
                    time.sleep(pause)
                    pause = min(pause * 1.5, _LONGEST_PAUSE_S)
                    job.reload(retry=retry)
                    stages = job.query_plan
                    progress.reach(sum(stage.status == "COMPLETE" for stage in stages), len(stages) or None)
        except KeyboardInterrupt:
            job.cancel(retry=retry)
            raise
        return job.result(retry=retry, job_retry=None)


def run(
    connection: Connection,
    text: str,
    *,
    project: str,
    params: Mapping[str, Any] | None = None,
    max_gb: float | None = None,
    dry_run: bool = False,
    dtypes: Dtypes = "pandas",
) -> pd.DataFrame:
    """Run GoogleSQL and return its rows, or what it would read; see ``Store.sql``."""
    check_dtypes(dtypes)
    statement = Statement(connection=connection, text=text, project=project, params=params)
    return statement.cost() if dry_run else frame_of_arrow(statement.arrow(max_gb=max_gb), dtypes)
