"""Where DICOM metadata is streamed or exported to.

Source: Cloud Healthcare API v1, ``BigQueryDestination`` (discovery document, revision 20261013).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dicomkit.bigquery.table_uri import MAX_URI, TableReference, parse_uri
from dicomkit.resources._json import boolean, invalid, json_object, located, quoted, text
from dicomkit.resources._wire import Resource, wire

__all__ = ["WRITE_DISPOSITIONS", "BigQueryDestination"]

UNSPECIFIED = "WRITE_DISPOSITION_UNSPECIFIED"

WRITE_DISPOSITIONS = (UNSPECIFIED, "WRITE_EMPTY", "WRITE_TRUNCATE", "WRITE_APPEND")
"""What ``writeDisposition`` may say; unspecified means ``WRITE_EMPTY``."""


def _write_disposition(value: object) -> str:
    if text(value) not in WRITE_DISPOSITIONS:
        raise invalid(f"must be one of {', '.join(WRITE_DISPOSITIONS)}; {quoted(text(value))} is none of them")
    return text(value)


class _NoFields(Resource):
    """``SchemaFlattened`` and ``SchemaJSON``: messages that say something by being there."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BigQueryDestination(Resource):
    """The BigQuery table where the server writes.

    Parameters
    ----------
    table_uri
        ``bq://project.dataset.table``, at most 2000 characters. Required.
    force
        Older form of *write_disposition*: true is ``WRITE_TRUNCATE``, false is ``WRITE_EMPTY``. Ignored when a
        disposition is specified.
    write_disposition
        What an export does with a table that has rows, one of ``WRITE_DISPOSITIONS``. A stream always appends.
    include_source_store
        Add the column ``SourceDicomStore``.
    schema_flattened
        ``{}`` asks for one column for each attribute. This is the default.
    schema_json
        ``{}`` asks for one JSON column with all attributes. Not together with *schema_flattened*.
    """

    table_uri: str | None = wire(text, default="")
    force: bool | None = wire(boolean, default=False)
    write_disposition: str | None = wire(_write_disposition, default=UNSPECIFIED)
    include_source_store: bool | None = wire(boolean, default=False)
    schema_flattened: Mapping[str, Any] | None = wire(json_object, message=_NoFields)
    schema_json: Mapping[str, Any] | None = wire(json_object, message=_NoFields)

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for a table URI that is none, and for two schemas at once."""
        with located("tableUri"):
            if not self.table_uri:
                raise invalid("is required; write bq://project.dataset.table")
            if len(self.table_uri) > MAX_URI:
                raise invalid(f"must have at most {MAX_URI} characters, it has {len(self.table_uri)}; shorten the ids")
            parse_uri(self.table_uri)
        if self.schema_flattened is not None and self.schema_json is not None:
            raise invalid("must not be set together with schemaFlattened; leave one out", path="schemaJson")

    @property
    def table(self) -> TableReference:
        """The table that ``table_uri`` names."""
        return parse_uri(self.table_uri or "")

    @property
    def schema(self) -> Literal["flattened", "json"]:
        """Which of the two table layouts is asked for."""
        return "flattened" if self.schema_json is None else "json"

    @property
    def disposition(self) -> str:
        """What an export does: the disposition where one is specified, else what *force* means."""
        if self.write_disposition and self.write_disposition != UNSPECIFIED:
            return self.write_disposition
        return "WRITE_TRUNCATE" if self.force else "WRITE_EMPTY"
