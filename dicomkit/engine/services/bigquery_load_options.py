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

__all__ = ["CSV", "JSON", "PARQUET", "CsvOptions", "LoadOptions"]

JSON, PARQUET, CSV = "NEWLINE_DELIMITED_JSON", "PARQUET", "CSV"

_WRITES = ("WRITE_APPEND", "WRITE_EMPTY", "WRITE_TRUNCATE")
_CREATES = ("CREATE_IF_NEEDED", "CREATE_NEVER")
_UPDATES = ("ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION")

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
    "sourceUris",
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
        if not isinstance(updates, list) or any(update not in _UPDATES for update in updates):
            raise invalid(f"schemaUpdateOptions must be among {', '.join(_UPDATES)}", "load.schemaUpdateOptions")
        write = _choice(load, "writeDisposition", _WRITES)
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
            reference=_destination(load.get("destinationTable")),
            source_format=source_format,
            write=write,
            create=_choice(load, "createDisposition", _CREATES),
            schema=fields or None,
            autodetect=load.get("autodetect") is True,
            add_fields=_UPDATES[0] in updates,
            relax_fields=_UPDATES[1] in updates,
            ignore_unknown=load.get("ignoreUnknownValues") is True,
            max_bad=_whole(load, "maxBadRecords"),
            list_inference=parquet.get("enableListInference") is True,
            csv=_csv(load),
        )


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


def _choice(load: Mapping[str, Any], name: str, known: tuple[str, ...]) -> str:
    value = load.get(name) or known[0]
    if value not in known:
        raise invalid(f"{name} must be one of {', '.join(known)}", f"load.{name}")
    return str(value)


def _whole(load: Mapping[str, Any], name: str) -> int:
    text = str(load.get(name) or 0)
    if not text.isdigit() or len(text) > 12:
        raise invalid(f"{name} must be a non-negative integer", f"load.{name}")
    return int(text)


def _destination(given: object) -> TableReference:
    if not isinstance(given, Mapping):
        raise invalid("Required parameter is missing: destinationTable", "load.destinationTable")
    names = [given.get(part) for part in ("projectId", "datasetId", "tableId")]
    if not all(isinstance(name, str) for name in names):
        raise invalid("Required parameter is missing: destinationTable.tableId", "load.destinationTable")
    return TableReference(*(str(name) for name in names))
