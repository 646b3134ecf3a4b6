"""What a load job asks for, checked before a byte is read.

An option that would change the rows and is not understood is refused by name; it is never passed over.

Source: BigQuery REST v2, ``JobConfigurationLoad``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse_types import Field
from dicomkit.engine.services.bigquery_errors import invalid, not_implemented
from dicomkit.engine.services.bigquery_schema import checked_schema

__all__ = [
    "CREATES",
    "CSV",
    "JSON",
    "PARQUET",
    "UPDATES",
    "WRITES",
    "CsvOptions",
    "LoadOptions",
    "choice",
    "destination",
]

JSON, PARQUET, CSV = "NEWLINE_DELIMITED_JSON", "PARQUET", "CSV"

WRITES = ("WRITE_APPEND", "WRITE_EMPTY", "WRITE_TRUNCATE")
CREATES = ("CREATE_IF_NEEDED", "CREATE_NEVER")
UPDATES = ("ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION")

_REFUSED = (
    "allowJaggedRows",
    "columnNameCharacterMap",
    "connectionProperties",
    "copyFilesOnly",
    "createSession",
    "dateFormat",
    "datetimeFormat",
    "decimalTargetTypes",
    "destinationEncryptionConfiguration",
    "fileSetSpecType",
    "hivePartitioningOptions",
    "jsonExtension",
    "nullMarkers",
    "preserveAsciiControlCharacters",
    "projectionFields",
    "referenceFileSchemaUri",
    "schemaInline",
    "sourceColumnMatch",
    "timeFormat",
    "timePartitioning",
    "rangePartitioning",
    "timeZone",
    "timestampFormat",
    "timestampTargetPrecision",
    "useAvroLogicalTypes",
)
"""What would change the rows or where they go; partitions are in no file of DuckDB."""

_ENCODINGS = {"": "utf8", "UTF-8": "utf8", "UTF8": "utf8", "ISO-8859-1": "iso-8859-1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvOptions:
    """How a CSV file is written."""

    skip_rows: int = 0
    delimiter: str = ","
    quote: str = '"'
    newlines: bool = False
    null_marker: str = ""
    encoding: str = "utf8"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """A load job's configuration."""

    reference: TableReference
    source_format: str
    write: str = "WRITE_APPEND"
    create: str = "CREATE_IF_NEEDED"
    schema: list[Field] | None = None
    autodetect: bool = False
    add_fields: bool = False
    relax_fields: bool = False
    ignore_unknown: bool = False
    max_bad: int = 0
    list_inference: bool = False
    source_uris: tuple[str, ...] = ()
    csv: CsvOptions = CsvOptions()

    @classmethod
    def from_api(cls, load: Mapping[str, Any]) -> LoadOptions:
        """Checked options.

        Raises
        ------
        InvalidArgument
            A value is not one that BigQuery has.
        Unimplemented
            BigQuery has it and the embedded one does not.
        """
        for name in _REFUSED:
            if load.get(name):
                raise not_implemented(f"a load job with {name}")
        source_format = str(load.get("sourceFormat") or CSV)
        if source_format not in (JSON, PARQUET, CSV):
            raise not_implemented(f"a load job of the sourceFormat {source_format[:40]}")
        schema = load.get("schema")
        if schema is not None and not isinstance(schema, Mapping):
            raise invalid("schema must be an object", "load.schema")
        updates = load.get("schemaUpdateOptions") or []
        if not isinstance(updates, list) or any(update not in UPDATES for update in updates):
            raise invalid(f"schemaUpdateOptions must be among {', '.join(UPDATES)}", "load.schemaUpdateOptions")
        write = choice(load, "writeDisposition", WRITES)
        if updates and write != "WRITE_APPEND":
            raise invalid(
                "Schema update options should only be specified with WRITE_APPEND disposition, or with WRITE_TRUNCATE "
                "disposition on a table partition.",
                "load.schemaUpdateOptions",
            )
        fields = checked_schema(schema.get("fields") or []) if schema else []
        parquet = load.get("parquetOptions") or {}
        if not isinstance(parquet, Mapping) or parquet.get("enumAsString") or parquet.get("mapTargetType"):
            raise not_implemented("a load job with parquetOptions beyond enableListInference")
        return cls(
            reference=destination(load.get("destinationTable"), "load.destinationTable"),
            source_format=source_format,
            write=write,
            create=choice(load, "createDisposition", CREATES),
            schema=fields or None,
            autodetect=load.get("autodetect") is True,
            add_fields=UPDATES[0] in updates,
            relax_fields=UPDATES[1] in updates,
            ignore_unknown=load.get("ignoreUnknownValues") is True,
            max_bad=_whole(load, "maxBadRecords"),
            list_inference=parquet.get("enableListInference") is True,
            source_uris=_uris(load.get("sourceUris")),
            csv=_csv(load),
        )


def _uris(given: object) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(uri, str) for uri in given):
        raise invalid("sourceUris must be an array of text", "load.sourceUris")
    return tuple(given)


def _csv(load: Mapping[str, Any]) -> CsvOptions:
    delimiter, quote = load.get("fieldDelimiter") or ",", load.get("quote", '"')
    delimiter = {"tab": "\t", "\\t": "\t"}.get(str(delimiter), str(delimiter))
    encoding = _ENCODINGS.get(str(load.get("encoding") or "").upper())
    if encoding is None:
        raise not_implemented(f"a load job with the encoding {str(load['encoding'])[:40]}")
    for name, text, least in (("fieldDelimiter", delimiter, 1), ("quote", quote, 0)):
        if not isinstance(text, str) or not least <= len(text) <= 1 or not text.isascii():
            raise invalid(f"{name} must be one ASCII character", f"load.{name}")
    return CsvOptions(
        skip_rows=_whole(load, "skipLeadingRows"),
        delimiter=delimiter,
        quote=quote,
        newlines=load.get("allowQuotedNewlines") is True,
        null_marker=str(load.get("nullMarker") or ""),
        encoding=encoding,
    )


def choice(given: Mapping[str, Any], name: str, known: tuple[str, ...], where: str = "load") -> str:
    """The value of an option that has few; the first of *known* where it is not given."""
    value = given.get(name) or known[0]
    if value not in known:
        raise invalid(f"{name} must be one of {', '.join(known)}", f"{where}.{name}")
    return str(value)


def _whole(load: Mapping[str, Any], name: str) -> int:
    text = str(load.get(name) or 0)
    if not text.isdigit() or len(text) > 12:
        raise invalid(f"{name} must be a non-negative integer", f"load.{name}")
    return int(text)


def destination(given: object, where: str) -> TableReference:
    """A ``TableReference`` of the API; *where* is the field that it stands in."""
    if not isinstance(given, Mapping):
        raise invalid(f"Required parameter is missing: {where.rpartition('.')[2]}", where)
    names = [given.get(part) for part in ("projectId", "datasetId", "tableId")]
    if not all(isinstance(name, str) for name in names):
        raise invalid(f"Required parameter is missing: {where.rpartition('.')[2]}.tableId", where)
    return TableReference(*(str(name) for name in names))
