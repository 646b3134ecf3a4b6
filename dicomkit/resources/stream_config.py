"""Streaming of a DICOM store's metadata into BigQuery.

Source: Cloud Healthcare API v1, ``StreamConfig`` and ``DicomStore.streamConfigs``; "Stream DICOM metadata to
BigQuery" (at most five configs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.resources._json import invalid, kind_of, located
from dicomkit.resources._wire import Resource, one
from dicomkit.resources.bigquery_destination import BigQueryDestination

__all__ = ["MAX_STREAM_CONFIGS", "StreamConfig", "StreamConfigLike", "check_stream_configs", "stream_configs_from"]

MAX_STREAM_CONFIGS = 5
"""Most stream configs of a store."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StreamConfig(Resource):
    """One destination to which each instance that is inserted is streamed.

    Parameters
    ----------
    bigquery_destination
        The table; rows are appended to it. Deletions of instances are not applied there.
    """

    bigquery_destination: BigQueryDestination | None = one(BigQueryDestination)  # noqa: RUF009 - it is a dataclass field

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for a config without a destination."""
        # A destination of a kind that dicomkit does not know lies in `extra`, and must survive a save.
        if self.bigquery_destination is None and all(value is None for value in self.extra.values()):
            raise invalid(
                'is required; name the table, as in {"tableUri": "bq://project.dataset.table"}',
                path="bigqueryDestination",
            )

    @classmethod
    def to_table(cls, table_uri: str, **options: Any) -> StreamConfig:
        """Make the config that streams to one table.

        Parameters
        ----------
        table_uri
            ``bq://project.dataset.table``.
        **options
            Further fields of :class:`BigQueryDestination`, as ``include_source_store=True``.
        """
        with located("bigqueryDestination"):
            return cls(bigquery_destination=BigQueryDestination(table_uri=table_uri, **options))

    @property
    def table(self) -> TableReference | None:
        """The table streamed to; ``None`` for a destination that dicomkit does not know."""
        return None if self.bigquery_destination is None else self.bigquery_destination.table


StreamConfigLike = str | StreamConfig
"""A table URI ``bq://project.dataset.table``, or a whole config."""


def stream_configs_from(like: StreamConfigLike | Sequence[StreamConfigLike]) -> tuple[StreamConfig, ...]:
    """Stream configs of what a caller gave: one table URI or config, or several.

    Raises
    ------
    InvalidArgument
        An entry is neither, or breaks a rule; the message says which.
    """
    several: Sequence[object] = like if isinstance(like, list | tuple) else (like,)
    configs = []
    for index, entry in enumerate(several):
        with located(f"streamConfigs[{index}]"):
            if isinstance(entry, StreamConfig):
                configs.append(entry)
            elif isinstance(entry, str):
                configs.append(StreamConfig.to_table(entry))
            else:
                raise invalid(
                    f"must be a table URI or a StreamConfig, not {kind_of(entry)}; write bq://project.dataset.table"
                )
    return tuple(configs)


def check_stream_configs(configs: Sequence[StreamConfig]) -> None:
    """Raise ``InvalidArgument`` for too many configs, and for two that name one table."""
    with located("streamConfigs"):
        if len(configs) > MAX_STREAM_CONFIGS:
            raise invalid(f"must be at most {MAX_STREAM_CONFIGS} configs, {len(configs)} were given; remove some")
        seen: dict[tuple[str, str, str], int] = {}
        for index, config in enumerate(configs):
            table = config.table
            if table is None:
                continue
            # Project ids are lower case by rule, so that spelling one in capitals names no other project.
            first = seen.setdefault((table.project.lower(), table.dataset, table.table), index)
            if first != index:
                raise invalid(
                    f"must be a table that no other config names, and streamConfigs[{first}] names it too; remove one",
                    path=f"[{index}].bigqueryDestination.tableUri",
                )
