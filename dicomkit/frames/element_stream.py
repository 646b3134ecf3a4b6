"""A search as an Arrow IPC stream of elements -> columns of a frame.

What comes is described in ``docs/adr/0010``: a column for each attribute, whose cells are elements of the DICOM JSON
model as JSON, dictionary-encoded; the last record batch has no rows and says how the stream ended. Each distinct cell
is decoded once, by what decodes JSON pages (``dicom_json``, ``arrays``), so that the frame is the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from importlib import import_module
from typing import Any, BinaryIO

import numpy as np
import orjson

from dicomkit.errors import DicomFormatError, from_body
from dicomkit.frames.arrays import BULK, array_of
from dicomkit.frames.columns import Column, attribute
from dicomkit.frames.dicom_json import TIMEZONE, ColumnBuilder, cells_of

__all__ = ["MEDIA_TYPE", "extend_from_stream"]

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
"""What such an answer is called."""

_CHANGEABLE = BULK | {"SQ", ""}
"""VRs whose cells are or hold lists and dicts: no two rows share one, for whoever changes it means that row."""


def extend_from_stream(
    builder: ColumnBuilder,
    file: BinaryIO,
    *,
    key: Sequence[str] = (),
    known: Collection[tuple[str | None, ...]] = (),
    most: int | None = None,
) -> bool:
    """Take the rows of a stream.

    Parameters
    ----------
    key, known
        Rows are left out whose first values of the attributes *key*, those that are text, are among *known*.
    most
        How many rows are taken at most; what is behind them is not read.

    Returns
    -------
    bool
        Whether these are all rows.

    Raises
    ------
    DicomFormatError
        It is no such stream, or it has been cut.
    ApiError
        The server could not go on, and said so.
    """
    pa = import_module("pyarrow")
    left = most
    try:
        with pa.ipc.open_stream(file) as reader:
            if not all(_is_known(pa, kind) for kind in reader.schema.types):
                raise DicomFormatError("the stream of results has columns of another kind")
            while True:
                batch, end = reader.read_next_batch_with_custom_metadata()
                batch.validate(full=True)  # what came over a network is not to be trusted with pointers
                if end is not None and (b"complete" in end or b"error" in end):
                    break
                rows = _Rows(batch, builder.columns)
                if not rows.are_new(key, known):
                    rows = rows.without(key, known)
                if left is not None and rows.count > left:
                    rows.first(left).add_to(builder)
                    return False
                left = None if left is None else left - rows.count
                rows.add_to(builder)
            failure = orjson.loads(end[b"error"]) if b"error" in end else None
    except StopIteration:
        raise DicomFormatError("the stream of results ends before its last record batch") from None
    except OSError as error:
        if type(error) is not OSError or error.errno is not None:  # the file's own
            raise
        raise DicomFormatError("the stream of results cannot be read, or ends in the middle") from error
    except (pa.ArrowException, MemoryError, orjson.JSONDecodeError) as error:
        raise DicomFormatError(f"the stream of results cannot be read ({type(error).__name__})") from error
    if failure is not None:
        raise from_body(failure, status=500)
    return True


def _is_known(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type))


class _Rows:
    """The rows of a record batch."""

    def __init__(self, batch: Any, columns: Sequence[Column]) -> None:
        self.count: int = batch.num_rows
        self._batch = batch
        self._columns = columns
        self._cells = {column.tag: _Cells(batch, column) for column in columns}

    def are_new(self, key: Sequence[str], known: Collection[tuple[str | None, ...]]) -> bool:
        """Whether it is certain, by a look at the last attribute of the key alone, that none of them is known."""
        if not known:
            return True
        return {values[-1] for values in known}.isdisjoint(map(_first, self._cells[key[-1]].distinct))

    def without(self, key: Sequence[str], known: Collection[tuple[str | None, ...]]) -> _Rows:
        """Those whose keys are not known."""
        keys = zip(*(map(_first, self._cells[tag].of_rows()) for tag in key), strict=True)
        new = import_module("pyarrow").array([found not in known for found in keys])
        return _Rows(self._batch.filter(new), self._columns)

    def first(self, count: int) -> _Rows:
        """The first of them."""
        return _Rows(self._batch.slice(0, count), self._columns)

    def add_to(self, builder: ColumnBuilder) -> None:
        zones: Sequence[Any] = ()
        if any(column.vr == "DT" for column in self._columns):
            zones = _Cells(self._batch, attribute(TIMEZONE)).of_rows()
        builder.extend_arrays(self.count, {tag: cells.array(zones) for tag, cells in self._cells.items()})


def _first(cell: Any) -> str | None:
    """What a key has of a cell; what is no text tells no row from another."""
    return cell[0] if cell and isinstance(cell[0], str) else None


class _Cells:
    """The cells of one column of a record batch: each distinct one, and who has which."""

    def __init__(self, batch: Any, column: Column) -> None:
        self._column = column
        self._texts: list[str] = []
        place = batch.schema.get_field_index(column.tag)
        if place < 0:
            self._codes = np.zeros(batch.num_rows, dtype=np.int64)
            return
        found = batch.column(place)
        if found.dictionary.null_count:
            raise DicomFormatError("the stream of results has a cell that is none")
        self._texts = found.dictionary.to_pylist()
        # Behind the distinct cells is one for rows that have none.
        self._codes = found.indices.fill_null(len(self._texts)).to_numpy(zero_copy_only=False)

    @cached_property
    def distinct(self) -> list[Any]:
        """Each cell that a row of the batch has, and perhaps more; the last is that of rows which have none."""
        return [*_decoded(self._column, self._texts), None]

    def array(self, zones: Sequence[Any]) -> tuple[Any, int]:
        """The typed array, and how many values had to be left out of it."""
        column = self._column
        if column.vr not in _CHANGEABLE and column.vr != "DT":
            array, bad = array_of(column, self.distinct, zones)
            if not bad:  # else they are to be counted row by row
                return array.take(self._codes), 0
        return array_of(column, self.of_rows(), zones)

    def of_rows(self) -> Sequence[Any]:
        """The cell of each row."""
        if self._column.vr in _CHANGEABLE:
            texts = [*self._texts, "null"]
            return _decoded(self._column, [texts[code] for code in self._codes])
        cells = self.distinct
        return [cells[code] for code in self._codes]


def _decoded(column: Column, texts: Sequence[str]) -> list[Any]:
    elements = orjson.loads(f"[{','.join(texts)}]")
    if len(elements) != len(texts):
        raise DicomFormatError("the stream of results holds something else than elements")
    return cells_of([{column.tag: element} for element in elements], column)
