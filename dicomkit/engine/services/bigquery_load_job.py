"""Load jobs: what is loaded, an upload or objects of buckets, and how the job tells of it.

Source: BigQuery REST v2, ``JobConfigurationLoad``; BigQuery documentation, "Batch loading data" (one ``*`` in a URI
stands for any text, also across folders).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dicomkit.engine.services.bigquery_errors import invalid, not_found
from dicomkit.engine.services.bigquery_job import Job
from dicomkit.engine.services.bigquery_load import LoadOutcome, Loads
from dicomkit.engine.services.bigquery_load_options import LoadOptions
from dicomkit.engine.services.bigquery_load_text import Opener
from dicomkit.engine.services.buckets import Buckets
from dicomkit.errors import InvalidArgument
from dicomkit.resources.gcs import GcsUri, parse_gcs_uri

__all__ = ["LoadJobs", "LoadTask"]


@dataclass(slots=True)
class LoadTask:
    """A load."""

    loads: Loads
    options: LoadOptions
    openers: Callable[[LoadOutcome], list[Opener]]
    """Finds the files when the job runs."""
    path: Path | None = None
    """An upload; gone when the job is done."""
    outcome: LoadOutcome = field(default_factory=LoadOutcome)

    kind = "LOAD"

    def run(self, job: Job) -> None:
        """Load all files in one transaction."""
        self.loads.run(self.options, self.openers(self.outcome), self.outcome, lambda: job.cancelled)

    def statistics(self, job: Job) -> dict[str, Any]:
        """``JobStatistics3`` of a load that worked."""
        return {"load": self.outcome.statistics()} if job.done.is_set() and job.error is None else {}

    def row_errors(self) -> Sequence[dict[str, str]]:
        """Rows that were left out."""
        return self.outcome.errors

    def close(self) -> None:
        """Remove the upload."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


class LoadJobs:
    """Makes load jobs.

    Parameters
    ----------
    buckets
        Where ``sourceUris`` lead; ``None`` where there are no buckets.
    """

    def __init__(self, loads: Loads, buckets: Buckets | None) -> None:
        self._loads = loads
        self._buckets = buckets

    def from_upload(self, given: Mapping[str, Any], path: Path) -> LoadTask:
        """The file at *path*, which is the job's from now on."""
        options = LoadOptions.from_api(given)
        if options.source_uris:
            raise invalid("A load job has an upload or sourceUris, not both", "load.sourceUris")

        def openers(outcome: LoadOutcome) -> list[Opener]:
            outcome.input_bytes = path.stat().st_size
            return [lambda: path.open("rb")]

        return LoadTask(self._loads, options, openers, path)

    def from_buckets(self, given: Mapping[str, Any]) -> LoadTask:
        """The objects that ``sourceUris`` name."""
        options = LoadOptions.from_api(given)
        if not options.source_uris:
            raise invalid("Required parameter is missing: sourceUris", "load.sourceUris")
        patterns = [_pattern(uri) for uri in options.source_uris]

        def openers(outcome: LoadOutcome) -> list[Opener]:
            found: list[Opener] = []
            outcome.input_bytes = 0
            for pattern, uri in zip(patterns, options.source_uris, strict=True):
                if self._buckets is None:
                    raise not_found("URI", uri)
                objects = list(self._buckets.find(pattern))
                if not objects:
                    raise not_found("URI", uri)
                outcome.input_bytes += sum(each.size for each in objects)
                found += [partial(self._buckets.open, each.uri) for each in objects]
            outcome.input_files = len(found)
            return found

        return LoadTask(self._loads, options, openers)


def _pattern(uri: str) -> GcsUri:
    if uri.count("*") > 1:
        raise invalid("A source URI has at most one *", "load.sourceUris")
    try:
        return parse_gcs_uri(uri.replace("*", "**"), wildcards=True, path="load.sourceUris")
    except InvalidArgument as error:
        raise invalid(error.message, "load.sourceUris") from None
