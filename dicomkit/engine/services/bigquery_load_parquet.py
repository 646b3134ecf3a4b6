"""Parquet files as batches that go into a table, by Arrow's types.

Source: BigQuery documentation, "Loading Parquet data from Cloud Storage" (Parquet conversions, list logical type).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from dicomkit.engine.persistence.warehouse_types import Field, arrow_type, is_repeated
from dicomkit.engine.services.bigquery_errors import invalid, not_implemented
from dicomkit.engine.services.bigquery_load_options import LoadOptions
from dicomkit.engine.services.bigquery_load_text import BadRows, Opener
from dicomkit.engine.services.bigquery_schema import checked_schema

__all__ = ["ParquetFile"]

BATCH_ROWS = 4_096

_TYPES: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (pa.types.is_boolean, "BOOLEAN"),
    (pa.types.is_integer, "INTEGER"),
    (pa.types.is_floating, "FLOAT"),
    (pa.types.is_string, "STRING"),
    (pa.types.is_large_string, "STRING"),
    (pa.types.is_binary, "BYTES"),
    (pa.types.is_large_binary, "BYTES"),
    (pa.types.is_fixed_size_binary, "BYTES"),
    (pa.types.is_date, "DATE"),
    (pa.types.is_time, "TIME"),
    (pa.types.is_decimal, "NUMERIC"),
)


class ParquetFile:
    """A file that says its own schema."""

    typed = True

    def __init__(self, opener: Opener, options: LoadOptions) -> None:
        self._opener = opener
        self._options = options

    def schema(self) -> list[Field] | None:
        """The columns of the file, in BigQuery's types."""
        with self._opener() as opened:
            return checked_schema([self._field(field, "") for field in _opened(opened).schema_arrow])

    def _field(self, field: pa.Field, path: str) -> Field:
        where, kind, mode = f"{path}{field.name}", field.type, "NULLABLE"
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            self._check_lists(where)
            kind, mode = kind.value_type, "REPEATED"
        if pa.types.is_struct(kind):
            inner = [self._field(kind.field(place), f"{where}.") for place in range(kind.num_fields)]
            return {"name": field.name, "type": "RECORD", "mode": mode, "fields": inner}
        return {"name": field.name, "type": _scalar(kind, where), "mode": mode}

    def _check_lists(self, where: str) -> None:
        if not self._options.list_inference:
            # Without it BigQuery makes a record "list" of "element"s.
            raise not_implemented(f"a Parquet list ({where[:300]}) without parquetOptions.enableListInference")

    def batches(self, fields: Sequence[Field], bad: BadRows, *, careful: bool) -> Iterator[pa.Table]:
        """Tables for ``append`` with ``typed``."""
        with self._opener() as opened:
            parquet = _opened(opened)
            known = {field["name"].lower(): field for field in fields}
            for field in parquet.schema_arrow:
                column = known.get(field.name.lower())
                if column is None and not self._options.ignore_unknown:
                    raise invalid(f"The Parquet column {field.name[:300]} is not in the schema", field.name[:300])
                if column is not None and is_repeated(column):
                    self._check_lists(field.name)
            try:
                for batch in parquet.iter_batches(BATCH_ROWS, use_threads=False):
                    bad.seen += batch.num_rows
                    names = {name.lower(): place for place, name in enumerate(batch.schema.names)}
                    columns = []
                    for field in fields:
                        place = names.get(field["name"].lower())
                        missing = pa.nulls(batch.num_rows) if place is None else batch.column(place)
                        columns.append(_conformed(missing, field, field["name"]))
                    yield pa.Table.from_arrays(columns, names=[field["name"] for field in fields])
            except (OSError, pa.ArrowInvalid) as error:
                raise _unreadable() from error


def _opened(opened: object) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(opened)
    except (OSError, pa.ArrowInvalid) as error:
        raise _unreadable() from error


def _unreadable() -> Exception:
    return invalid("Error while reading data, error message: the input file is not in Parquet format, or is damaged")


def _scalar(kind: pa.DataType, where: str) -> str:
    if pa.types.is_dictionary(kind):
        return _scalar(kind.value_type, where)
    if pa.types.is_timestamp(kind):
        return "DATETIME" if kind.tz is None else "TIMESTAMP"
    for matches, name in _TYPES:
        if matches(kind):
            return name
    raise invalid(f"The Parquet column {where[:300]} has a type that is not supported here; give a schema", where[:300])


def _conformed(array: pa.Array, field: Field, path: str) -> pa.Array:
    """*array* as the column's type; nothing is cast to another kind of value."""
    if is_repeated(field):
        if pa.types.is_null(array.type):
            return pa.ListArray.from_arrays(pa.array([0] * (len(array) + 1), pa.int32()), pa.array([], arrow_type(
                field | {"mode": "NULLABLE"})))  # fmt: skip
        if not (pa.types.is_list(array.type) or pa.types.is_large_list(array.type)):
            raise _other_type(path, array.type, field)
        values = array.flatten()
        if values.null_count:
            raise invalid(f"Only optional fields can be set to NULL. Field: {path}; Value: NULL", path)
        inner = _conformed(values, field | {"mode": "NULLABLE"}, path)
        lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        offsets = pa.array([0, *lengths.cumsum().tolist()], pa.int32())
        return pa.ListArray.from_arrays(offsets, inner)
    if field.get("mode") == "REQUIRED" and array.null_count:
        raise invalid(f"Missing required field: {path}.", path)
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), arrow_type(field))
    if field["type"] == "RECORD":
        if not pa.types.is_struct(array.type):
            raise _other_type(path, array.type, field)
        return _record(array, field, path)
    found, wanted = _scalar(array.type, path), field["type"]
    if found != wanted and (found, wanted) not in (("STRING", "JSON"), ("INTEGER", "NUMERIC")):
        raise _other_type(path, array.type, field)
    try:
        return array.cast(arrow_type(field))
    except pa.ArrowInvalid:
        raise invalid(f"A value of the Parquet column {path[:300]} does not fit {wanted}", path[:300]) from None


def _record(array: pa.Array, field: Field, path: str) -> pa.Array:
    # Flattened children carry the nulls of the record itself.
    parts = {array.type.field(place).name.lower(): child for place, child in enumerate(array.flatten())}
    inside = []
    for part in field["fields"]:
        child = parts.pop(part["name"].lower(), None)
        child = pa.nulls(len(array)) if child is None else child
        inside.append(_conformed(child, part, f"{path}.{part['name']}"))
    for name in parts:
        raise invalid(f"The Parquet column {path}.{name[:300]} is not in the schema", path)
    names = [part["name"] for part in field["fields"]]
    return pa.StructArray.from_arrays(inside, names, mask=array.is_null() if array.null_count else None)


def _other_type(path: str, kind: pa.DataType, field: Field) -> Exception:
    message = f"The Parquet column {path[:300]} has type {str(kind)[:80]}, which does not match the target type"
    return invalid(f"Error while reading data, error message: {message} {field['type']}", path[:300])
