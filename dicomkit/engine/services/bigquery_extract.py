"""Extract jobs: the rows of a table into objects of a bucket, as JSON lines, CSV or Parquet.

Source: BigQuery REST v2, ``JobConfigurationExtract``; BigQuery documentation, "Export table data to Cloud Storage"
(1 GB a file without a wildcard, twelve digits in place of one, how each type is written).
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse import Warehouse
from dicomkit.engine.persistence.warehouse_catalog import Catalog
from dicomkit.engine.persistence.warehouse_statements import scan
from dicomkit.engine.persistence.warehouse_types import Field, arrow_type, is_repeated
from dicomkit.engine.services.bigquery_errors import invalid, not_found, not_implemented, table_name
from dicomkit.engine.services.bigquery_extract_text import csv_header, csv_lines, json_lines
from dicomkit.engine.services.bigquery_job import Job
from dicomkit.engine.services.bigquery_load_options import CSV, JSON, PARQUET, destination
from dicomkit.engine.services.bigquery_tables import estimated_bytes
from dicomkit.engine.services.buckets import Buckets
from dicomkit.errors import InvalidArgument
from dicomkit.resources.gcs import parse_gcs_uri

__all__ = ["ExtractTask", "Extracts"]

MAX_FILE_BYTES = 1 << 30
"""Largest file that is written without a wildcard, as it is before it is compressed."""

SHARD_BYTES = 256 << 20
"""About how much goes into each file with a wildcard, as it is in memory."""

_COMPRESSIONS = {
    JSON: ("NONE", "GZIP"),
    CSV: ("NONE", "GZIP"),
    PARQUET: ("NONE", "SNAPPY", "GZIP", "ZSTD"),
}


class _Writer(Protocol):
    def write(self, batch: pa.RecordBatch) -> None: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class ExtractTask:
    """An extract."""

    warehouse: Warehouse
    catalog: Catalog
    buckets: Buckets | None
    source: TableReference
    uri: str
    format: str
    compression: str
    delimiter: str = ","
    header: bool = True
    files: int = 0
    size: int = 0
    fields: list[Field] = field(default_factory=list)

    kind = "EXTRACT"

    def run(self, job: Job) -> None:
        """Write the files; each is there when it is whole."""
        entry = self.catalog.tables.get(self.source)
        if entry is None:
            raise not_found("Table", table_name(self.source))
        if entry.is_view:
            raise invalid(
                f"{table_name(self.source)} is not allowed for this operation because it is currently a VIEW."
            )
        if self.buckets is None:
            raise not_found("Bucket", self.uri)
        self.fields = entry.fields
        if self.format == CSV:
            for each in self.fields:
                if is_repeated(each) or each["type"] == "RECORD":
                    raise invalid(f"Operation cannot be performed on a nested schema. Field: {each['name']}")
        self.buckets.check_bucket(parse_gcs_uri(self.uri.replace("*", "")))
        with closing(self.warehouse.cursor()) as cursor:
            job.cursor = cursor
            self._write(self.buckets, scan(cursor, entry), job)
        self.size = self.catalog.count_rows(entry) * estimated_bytes(self.fields)

    def _write(self, buckets: Buckets, batches: Iterator[pa.RecordBatch], job: Job) -> None:
        shards = "*" in self.uri
        batch = next(batches, None)
        while True:
            with self._file(buckets, self.files) as writer:
                written = 0
                while batch is not None and (written < SHARD_BYTES or not shards):
                    job.check()
                    written += batch.nbytes
                    if written > MAX_FILE_BYTES and not shards:
                        raise invalid(
                            f"Table {table_name(self.source)} too large to be exported to a single file. Specify a uri "
                            "including a * to shard export."
                        )
                    writer.write(batch)
                    batch = next(batches, None)
            self.files += 1
            if batch is None:
                return

    def _file(self, buckets: Buckets, number: int) -> _Open:
        return _Open(self, buckets, self.uri.replace("*", f"{number:012d}"))

    def statistics(self, job: Job) -> dict[str, Any]:
        """``JobStatistics4``."""
        if not job.done.is_set() or job.error is not None:
            return {}
        return {"extract": {"destinationUriFileCounts": [str(self.files)], "inputBytes": str(self.size)}}

    def row_errors(self) -> Sequence[dict[str, str]]:
        """None: a row is written or the job fails."""
        return ()

    def close(self) -> None:
        """Nothing is held."""


class _Open:
    """One file under way; it is an object when the block is left without an error."""

    def __init__(self, task: ExtractTask, buckets: Buckets, uri: str) -> None:
        self._task, self._buckets, self._uri = task, buckets, uri
        self._parts = ExitStack()

    def __enter__(self) -> _Writer:
        task = self._task
        stream: Any = self._parts.enter_context(self._buckets.writer(self._uri))
        if task.format == PARQUET:
            writer: _Writer = _Parquet(stream, task.fields, task.compression)
        else:
            if task.compression == "GZIP":
                stream = self._parts.enter_context(gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=6, mtime=0))
            writer = _Text(stream, task)
        return self._parts.enter_context(closing(writer))

    def __exit__(self, *error: Any) -> bool | None:
        return self._parts.__exit__(*error)


class _Text:
    def __init__(self, stream: BinaryIO, task: ExtractTask) -> None:
        self._stream, self._task = stream, task
        if task.format == CSV and task.header:
            stream.write(csv_header(task.fields, task.delimiter))

    def write(self, batch: pa.RecordBatch) -> None:
        if self._task.format == CSV:
            self._stream.write(csv_lines(batch, self._task.fields, self._task.delimiter))
        else:
            self._stream.write(json_lines(batch, self._task.fields))

    def close(self) -> None:
        """The stream is its owner's."""


class _Parquet:
    def __init__(self, stream: BinaryIO, fields: Sequence[Field], compression: str) -> None:
        self._schema = pa.schema(
            [pa.field(each["name"], arrow_type(each), nullable=each.get("mode") != "REQUIRED") for each in fields]
        )
        # Closing the sink is its owner's, too.
        self._writer = pq.ParquetWriter(pa.PythonFile(_Unclosed(stream), "w"), self._schema, compression=compression)

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [
            (column.storage if isinstance(column, pa.ExtensionArray) else column).cast(kind.type)
            for column, kind in zip(batch.columns, self._schema, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


class _Unclosed(io.RawIOBase):
    """A stream that stays open when Arrow closes what it writes to."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._stream.write(bytes(data))
        return len(data)


class Extracts:
    """Makes extract jobs.

    Parameters
    ----------
    buckets
        Where they are written; ``None`` where there are no buckets.
    """

    def __init__(self, warehouse: Warehouse, catalog: Catalog, buckets: Buckets | None) -> None:
        self._warehouse = warehouse
        self._catalog = catalog
        self._buckets = buckets

    def task(self, given: Mapping[str, Any]) -> ExtractTask:
        """An extract, its options checked."""
        if given.get("sourceModel"):
            raise not_implemented("an extract job of a model")
        source = destination(given.get("sourceTable"), "extract.sourceTable")
        file_format = str(given.get("destinationFormat") or CSV)
        if file_format not in _COMPRESSIONS:
            raise not_implemented(f"an extract job of the destinationFormat {file_format[:40]}")
        compression = str(given.get("compression") or "NONE")
        if compression not in _COMPRESSIONS[file_format]:
            raise invalid(
                f"compression must be one of {', '.join(_COMPRESSIONS[file_format])} for {file_format}",
                "extract.compression",
            )
        delimiter = str(given.get("fieldDelimiter") or ",")
        delimiter = {"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter)
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
            raise invalid("fieldDelimiter must be one ASCII character", "extract.fieldDelimiter")
        return ExtractTask(
            self._warehouse,
            self._catalog,
            self._buckets,
            source,
            _uri(given),
            file_format,
            compression,
            delimiter,
            given.get("printHeader") is not False,
        )


def _uri(given: Mapping[str, Any]) -> str:
    uris = given.get("destinationUris")
    if uris is None:
        uris = [given["destinationUri"]] if given.get("destinationUri") is not None else []
    if not isinstance(uris, list) or not uris or not all(isinstance(uri, str) for uri in uris):
        raise invalid("Required parameter is missing: destinationUris", "extract.destinationUris")
    if len(uris) > 1:
        raise not_implemented("an extract job with several destinationUris")
    (uri,) = uris
    if uri.count("*") > 1:
        raise invalid("A destination URI has at most one *", "extract.destinationUris")
    try:
        parse_gcs_uri(uri.replace("*", "000000000000"), path="extract.destinationUris")
    except InvalidArgument as error:
        raise invalid(error.message, "extract.destinationUris") from None
    return str(uri)
