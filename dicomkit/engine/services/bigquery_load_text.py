"""Files of JSON lines and of CSV, as batches that go into a table.

A batch of JSON lines goes through the reader of :mod:`.warehouse_rows` as a whole; only one that does not pass is
looked at row by row. CSV is taken apart by Arrow, which knows a quoted empty text from a missing one, and its rows
are then checked like JSON's.

Source: BigQuery documentation, "Loading JSON data from Cloud Storage", "Loading CSV data from Cloud Storage".
"""

from __future__ import annotations

import codecs
import gzip
import io
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, BinaryIO, TypeAlias

import orjson
import pyarrow as pa
import pyarrow.csv as pcsv

from dicomkit.engine.persistence.warehouse_rows import RowsDoNotFit, read_rows
from dicomkit.engine.persistence.warehouse_types import Field, is_repeated
from dicomkit.engine.services.bigquery_detect import detected_columns, detected_schema
from dicomkit.engine.services.bigquery_errors import invalid
from dicomkit.engine.services.bigquery_load_options import LoadOptions
from dicomkit.engine.services.bigquery_values import checked_row

__all__ = ["BadRows", "CsvFile", "JsonLines", "Opener"]

Opener: TypeAlias = Callable[[], BinaryIO]
"""Opens the bytes of a load anew: they are read once to find a schema, once or twice for the rows."""

BATCH_ROWS = 4_096
BATCH_BYTES = 8 << 20
MAX_LINE = 100 << 20
"""Largest row (BigQuery, "Quotas and limits": 100 MB)."""

DETECT_ROWS = 500
"""Rows that autodetect looks at."""

_MAX_TOLD = 20
_PREFIX = "Error while reading data, error message: "


class BadRows:
    """Rows that were left out, up to ``maxBadRecords``.

    Counting and refusing are two steps: Arrow's CSV reader counts from where no exception can leave.
    """

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed
        self.count = 0
        self.seen = 0
        self.errors: list[dict[str, str]] = []

    def add(self, message: str, location: str = "") -> None:
        """Count a row; *message* holds none of its values."""
        self.count += 1
        if len(self.errors) < _MAX_TOLD:
            where = f" Field: {location}." if location else ""
            self.errors.append({"reason": "invalid", "location": location, "message": f"{_PREFIX}{message}{where}"})

    def check(self) -> None:
        """Raise ``InvalidArgument`` when there are more than are allowed."""
        if self.count > self.allowed:
            raise invalid(
                f"{_PREFIX}the table encountered too many errors, giving up. Rows: {self.seen}; errors: {self.count}. "
                "Please look into the errors[] collection for more details."
            )


def _unpacked(opened: BinaryIO) -> Any:
    """*opened*, without gzip where it is compressed."""
    is_gzip = opened.read(2) == b"\x1f\x8b"
    opened.seek(0)
    return gzip.GzipFile(fileobj=opened) if is_gzip else opened


class _Utf8(io.RawIOBase):
    """Text of another encoding as UTF-8; what cannot be read raises UnicodeDecodeError.

    Arrow would pass over a row that is no UTF-8 when it has the wrong number of columns, and print it.
    """

    def __init__(self, stream: Any, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        while True:
            data = self._stream.read(size)
            text = self._decoder.decode(data, final=not data)
            if text or not data:
                return text.encode()


class JsonLines:
    """One JSON object a line."""

    typed = False

    def __init__(self, opener: Opener, options: LoadOptions) -> None:
        self._opener = opener
        self._ignore = options.ignore_unknown
        self._autodetect = options.autodetect

    def schema(self) -> list[Field] | None:
        """What the first rows say, when that was asked for."""
        if not self._autodetect:
            return None
        rows = []
        for number, line in enumerate(itertools.islice(self._lines(), DETECT_ROWS)):
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                row = None
            if not isinstance(row, dict):
                raise invalid(f"{_PREFIX}row {number} (the first is 0) is no JSON object")
            rows.append(row)
        return detected_schema(rows)

    def batches(self, fields: Sequence[Field], bad: BadRows, *, careful: bool) -> Iterator[pa.Table]:
        """Tables for ``append``; *careful* looks at every row alone."""
        for start, lines in _batched(self._lines()):
            bad.seen = start + len(lines)
            # Arrow's reader has no limits of its own and can end the process on what is no JSON, so that it is given
            # nothing but what was read and written again.
            clean = [] if careful else [line for line in map(_rewritten, lines) if line is not None]
            if len(clean) == len(lines):
                try:
                    yield read_rows(clean, fields)
                    continue
                except RowsDoNotFit:
                    pass
            yield _checked(((start + n, _row(line)) for n, line in enumerate(lines)), fields, bad, self._ignore)

    def _lines(self) -> Iterator[bytes]:
        with self._opener() as opened, closing(_unpacked(opened)) as stream:
            try:
                while line := stream.readline(MAX_LINE + 1):
                    if len(line) > MAX_LINE:
                        raise invalid(f"{_PREFIX}a row is larger than the limit of {MAX_LINE} bytes")
                    line = line.strip(b"\xef\xbb\xbf \t\r\n")
                    if line:
                        yield line
            except (EOFError, OSError, zlib.error) as error:
                raise _broken_gzip() from error


def _broken_gzip() -> Exception:
    return invalid(f"{_PREFIX}the file cannot be read; it may be a broken gzip file")


def _row(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _rewritten(line: bytes) -> bytes | None:
    """*line* written anew; ``None`` when it is no JSON object. No object outlives its line: thousands are slow."""
    row = _row(line)
    return orjson.dumps(row) if isinstance(row, dict) else None


def _batched(lines: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    batch: list[bytes] = []
    start = size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield start, batch
            start, batch, size = start + len(batch), [], 0
    if batch:
        yield start, batch


def _checked(
    rows: Iterable[tuple[int, object]], fields: Sequence[Field], bad: BadRows, ignore_unknown: bool
) -> pa.Table:
    good = []
    for number, row in rows:
        clean, wrong = checked_row(row, fields, ignore_unknown=ignore_unknown)
        if wrong:
            bad.add(f"could not read row {number} (the first is 0): {wrong[0]['message']}", wrong[0]["location"])
            bad.check()
            continue
        line = orjson.dumps(clean)
        try:
            # What is wrong beyond the checks (a text that is no UTF-8) is found here, and by row.
            read_rows([line], fields)
        except RowsDoNotFit:
            bad.add(f"could not read row {number} (the first is 0): a value does not fit its column")
            bad.check()
        else:
            good.append(line)
    return read_rows(good, fields) if good else read_rows([b"{}"], _nullable(fields)).slice(0, 0)


def _nullable(fields: Sequence[Field]) -> list[Field]:
    return [field | {"mode": "NULLABLE"} if field["mode"] == "REQUIRED" else field for field in fields]


class CsvFile:
    """Rows of CSV; columns come in the order of the schema."""

    typed = False

    def __init__(self, opener: Opener, options: LoadOptions) -> None:
        self._opener = opener
        self._csv = options.csv
        self._ignore = options.ignore_unknown
        self._autodetect = options.autodetect

    def schema(self) -> list[Field] | None:
        """The header's names with the types that the first rows have, when that was asked for."""
        if not self._autodetect:
            return None
        if self._csv.skip_rows < 1:
            raise invalid(
                "autodetect of a CSV file without skipLeadingRows is not supported by the embedded BigQuery: whether "
                "the first row is a header would be a guess; give a schema, or skipLeadingRows = 1"
            )
        rows: list[list[str | None]] = []
        names: list[str] | None = None
        bad = BadRows(0)
        for batch in self._read(None, self._csv.skip_rows - 1, bad):
            columns = [column.to_pylist() for column in batch.columns]
            rows += [list(row) for row in zip(*columns, strict=True)]
            if len(rows) > DETECT_ROWS:
                break
        if rows:
            names = [str(name or "") for name in rows.pop(0)]
        return detected_columns(names or [], rows[:DETECT_ROWS])

    def batches(self, fields: Sequence[Field], bad: BadRows, *, careful: bool) -> Iterator[pa.Table]:
        """Tables for ``append``."""
        for field in fields:
            if field["type"] == "RECORD" or is_repeated(field):
                raise invalid(f"Field {field['name']} is nested or repeated; a CSV file has neither", "load.schema")
        names = [field["name"] for field in fields]
        start = 0
        for batch in self._read(names, self._csv.skip_rows, bad):
            rows = ({name: value for name, value in row.items() if value is not None} for row in batch.to_pylist())
            bad.seen = start + batch.num_rows
            yield _checked(enumerate(rows, start), fields, bad, self._ignore)
            start += batch.num_rows

    def _read(self, names: list[str] | None, skip: int, bad: BadRows) -> Iterator[pa.RecordBatch]:
        options = self._csv

        def unread(row: Any) -> str:
            bad.add(f"a row has {row.actual_columns} columns, {row.expected_columns} are expected")
            return "skip"

        with self._opener() as opened, closing(_unpacked(opened)) as stream:
            try:
                reader = pcsv.open_csv(
                    _Utf8(stream, options.encoding),
                    read_options=pcsv.ReadOptions(
                        use_threads=False,
                        block_size=BATCH_BYTES // 4,
                        skip_rows=skip,
                        column_names=names,
                        autogenerate_column_names=names is None,
                    ),
                    parse_options=pcsv.ParseOptions(
                        delimiter=options.delimiter,
                        quote_char=options.quote or False,
                        newlines_in_values=options.newlines,
                        invalid_row_handler=unread,
                    ),
                    convert_options=pcsv.ConvertOptions(
                        column_types={name: pa.string() for name in names or _generated()},
                        strings_can_be_null=True,
                        quoted_strings_can_be_null=False,
                        null_values=[options.null_marker],
                    ),
                )
                for batch in reader:
                    bad.check()
                    yield batch
                bad.check()
            except UnicodeDecodeError:
                raise invalid(f"{_PREFIX}the file is no text in the encoding {options.encoding}") from None
            except pa.ArrowInvalid as error:
                if "Empty CSV file" in str(error):
                    return
                # Arrow's message may quote the row.
                raise invalid(f"{_PREFIX}the file is no CSV of this form, or not in the encoding given") from None
            except (EOFError, OSError, zlib.error) as error:
                raise _broken_gzip() from error


def _generated() -> list[str]:
    """The names that Arrow gives to columns without one."""
    return [f"f{number}" for number in range(10_000)]
