"""Rows as JSON into a table: one conversion for the whole batch.

The batch is read by Arrow's JSON reader with the table's own types, which refuses a name that the table does not have,
at any depth, and a value of another JSON type. So the common case costs no Python per value; what does not pass is
looked at row by row by the caller, which then knows which row is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from dicomkit.engine.persistence.warehouse import Cursor
from dicomkit.engine.persistence.warehouse_catalog import TableEntry
from dicomkit.engine.persistence.warehouse_types import (
    Field,
    canonical_type,
    column_type,
    is_repeated,
    json_type,
    quote,
)

__all__ = ["Appender", "RowsDoNotFit", "append", "read_rows"]

_BLOCK_BYTES = 2 << 20
"""What one thread reads at a time; smaller pieces cost more in all, larger ones leave a thread without work."""

_FORMS = {
    # RE2. What DuckDB would take beyond these ("infinity", "epoch", a year of five digits) is no value in BigQuery.
    "DATE": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "TIME": r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?$",
    "DATETIME": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?$",
    "TIMESTAMP": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})$",
    "NUMERIC": r"^-?[0-9]{1,29}(?:\.[0-9]{1,9})?$",
    "BYTES": r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
}
"""Type -> the whole of what its text may look like here; a validated row is written in these forms."""


class RowsDoNotFit(Exception):
    """Some row of the batch is not what the table takes; nothing was inserted."""


def read_rows(lines: Sequence[bytes], fields: Sequence[Field]) -> pa.Table:
    """The batch as an Arrow table in the order of *fields*.

    Parameters
    ----------
    lines
        One JSON object each, without a line feed in it (as JSON writers leave it out).
    fields
        Schema of the table.

    Raises
    ------
    RowsDoNotFit
        A name is unknown, a type is another one, an array holds a null, a date is no date by its form.
    """
    schema = pa.schema([(field["name"], json_type(field)) for field in fields])
    data = b"\n".join(lines)
    has_threads = len(data) > _BLOCK_BYTES and pa.cpu_count() > 1
    # A row may lie in two blocks, not in three. The order is that of the lines however many threads there are.
    block = max(_BLOCK_BYTES, max(map(len, lines), default=0) + 1) if has_threads else max(len(data) + 1, 1024)
    try:
        table = pj.read_json(
            pa.BufferReader(data),
            read_options=pj.ReadOptions(use_threads=has_threads, block_size=block),
            parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise RowsDoNotFit from error
    if table.num_rows != len(lines):
        raise RowsDoNotFit
    arrays = [_finished(_whole(table.column(index)), field, top=True) for index, field in enumerate(fields)]
    return pa.Table.from_arrays(arrays, names=[field["name"] for field in fields])


def append(cursor: Cursor, entry: TableEntry, rows: pa.Table, *, typed: bool = False) -> None:
    """Insert what :func:`read_rows` made, or with *typed* a table of Arrow's own types (``arrow_type``).

    Raises
    ------
    RowsDoNotFit
        DuckDB cannot cast a value (a 30th of February); the transaction must be rolled back.
    """
    names = ", ".join(quote(field["name"]) for field in entry.fields)
    values = ", ".join(quote(field["name"]) if typed else _value(field) for field in entry.fields)
    cursor.register("__dk_batch", rows)
    try:
        cursor.execute(
            f"INSERT INTO {entry.physical} ({names}) SELECT {values} FROM __dk_batch"  # noqa: S608 - quoted names
        )
    except (duckdb.ConversionException, duckdb.OutOfRangeException) as error:
        raise RowsDoNotFit from error
    finally:
        cursor.unregister("__dk_batch")


class Appender:
    """Inserts the batches of one transaction into a table, and keeps none of them.

    What :func:`append` makes known to DuckDB by a name is held until the transaction ends, since a rollback could need
    it; that is nothing where one batch is the transaction, and all of a file where a load is.

    Parameters
    ----------
    typed
        Values have Arrow's own types, as for :func:`append`.
    """

    def __init__(self, cursor: Cursor, entry: TableEntry, *, typed: bool = False) -> None:
        self._cursor = cursor
        self._entry = entry
        cursor.execute(f"SELECT * FROM {entry.physical} LIMIT 0")  # noqa: S608 - our name
        values = {field["name"].lower(): quote(field["name"]) if typed else _value(field) for field in entry.fields}
        # By place, hence in the order of the table itself, which a schema need not have.
        self._values = ", ".join(values.get(name.lower(), "NULL") for name, *_ in cursor.description or ())

    def append(self, rows: pa.Table) -> None:
        """Insert a batch; raises what :func:`append` raises."""
        try:
            self._cursor.from_arrow(rows).project(self._values).insert_into(self._entry.physical)
        except (duckdb.ConversionException, duckdb.OutOfRangeException) as error:
            raise RowsDoNotFit from error


def _value(field: Field) -> str:
    name, kind = quote(field["name"]), canonical_type(field["type"])
    if kind in ("STRING", "INTEGER", "FLOAT", "BOOLEAN"):
        return name
    if kind == "BYTES":
        return f"list_transform({name}, lambda v: from_base64(v))" if is_repeated(field) else f"from_base64({name})"
    return f"CAST({name} AS {column_type(field)})"


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _finished(array: pa.Array, field: Field, *, top: bool = False) -> pa.Array:
    """*array* with an empty array for each missing one, after its text was looked at."""
    kind = canonical_type(field["type"])
    if is_repeated(field):
        values = array.flatten()
        if values.null_count:
            raise RowsDoNotFit
        inner = _finished(values, field | {"mode": "NULLABLE"})
        # The offsets of a missing array are those of an empty one.
        offsets = array.offsets if array.offset == 0 else pc.subtract(array.offsets, array.offsets[0])
        return pa.ListArray.from_arrays(offsets, inner)
    if str(field.get("mode", "")).upper() == "REQUIRED" and array.null_count:
        raise RowsDoNotFit
    if kind == "RECORD":
        parts = field["fields"]
        inside = [_finished(array.field(index), part) for index, part in enumerate(parts)]
        names = [part["name"] for part in parts]
        return pa.StructArray.from_arrays(inside, names, mask=array.is_null() if array.null_count else None)
    if kind == "BYTES" and not top:
        raise RowsDoNotFit
    form = _FORMS.get(kind)
    if form is not None and array.null_count < len(array):
        fits = pc.match_substring_regex(array, form)
        # Of the values that are there; a null neither fits nor not.
        if not pc.all(fits, skip_nulls=True).as_py():
            raise RowsDoNotFit
    return array
