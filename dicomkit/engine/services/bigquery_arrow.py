"""Rows of a query's result as an Arrow IPC stream, in the types in which BigQuery's official client has them.

BigQuery has the Storage API for long results; over REST each value is a cell object of its own, which costs a client
more than the query cost the server. The rows are the same, and the same results are refused.

Source: Apache Arrow columnar format 1.5, "IPC streaming format"; BigQuery Storage API, "Arrow schema details".
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from dicomkit.engine.persistence.warehouse import Result
from dicomkit.engine.persistence.warehouse_types import Field, arrow_type, is_repeated
from dicomkit.engine.services.bigquery_errors import invalid_query

__all__ = ["arrow_stream"]

_BATCH_ROWS = 65_536


def arrow_stream(result: Result) -> Iterator[bytes]:
    """The chunks of a stream: the schema, one for each record batch, and the end.

    Raises
    ------
    InvalidArgument
        An array holds a NULL, or an integer is outside of INT64: BigQuery cannot write either.
    """
    schema = pa.schema([(field["name"], arrow_type(field)) for field in result.fields])
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in result.table.to_batches(max_chunksize=_BATCH_ROWS):
            columns = [_typed(column, field) for column, field in zip(batch.columns, result.fields, strict=True)]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
            yield _taken(sink)
    yield sink.getvalue()


def _taken(sink: io.BytesIO) -> bytes:
    chunk = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return chunk


def _typed(array: pa.Array, field: Field) -> pa.Array:
    """*array* in the field's own type, with an empty array for each missing one."""
    kind = arrow_type(field)
    if is_repeated(field):
        items = array.flatten()
        if items.null_count:
            raise invalid_query("Array cannot have a null element; error in writing field " + field["name"])
        offsets = array.offsets if array.offsets[0].as_py() == 0 else pc.subtract(array.offsets, array.offsets[0])
        inner = _typed(items, field | {"mode": "NULLABLE"})
        return pa.ListArray.from_arrays(offsets.cast(pa.int32()), inner).cast(kind)
    if array.type == kind:
        return array
    if field["type"] == "RECORD":
        parts = [_typed(part, sub) for part, sub in zip(array.flatten(), field["fields"], strict=True)]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=mask)
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), kind)
    try:
        return array.cast(kind)
    except pa.ArrowInvalid:
        raise invalid_query(f"{field['type']} overflow; error in writing field {field['name']}") from None
