"""A search as an Arrow IPC stream of elements -> columns of a frame.

What comes is described in ``docs/adr/0010``: a column for each attribute, whose cells are elements of the DICOM JSON
model as JSON, dictionary-encoded; the last record batch has no rows and says how the stream ended. Each distinct cell
is decoded once, by what decodes JSON pages (``dicom_json``, ``arrays``), so that the frame is the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
    known: Collection[tuple[Any, ...]] = (),
    most: int | None = None,
) -> bool:
    """Take the rows of a stream.

    Parameters
    ----------
    key, known
        Rows are left out whose first values of the attributes *key* are among *known*.
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
                rows = _fresh(batch, key, known)
                if left is not None and rows.num_rows > left:
                    _extend(builder, rows.slice(0, left))
                    return False
                left = None if left is None else left - rows.num_rows
                _extend(builder, rows)
            failure = orjson.loads(end[b"error"]) if b"error" in end else None
    except StopIteration:
        raise DicomFormatError("the stream of results ends before its last record batch") from None
    except (pa.ArrowException, MemoryError, orjson.JSONDecodeError) as error:
        raise DicomFormatError(f"the stream of results cannot be read ({type(error).__name__})") from error
    if failure is not None:
        raise from_body(failure, status=500)
    return True


def _is_known(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type))


def _fresh(batch: Any, key: Sequence[str], known: Collection[tuple[Any, ...]]) -> Any:
    """The rows of a batch whose keys are not known."""
    if not known:
        return batch
    # The last attribute of a key is nearly the key itself; the others are looked at where it is known.
    columns = [_Cells(batch, attribute(tag)) for tag in key]
    if {values[-1] for values in known}.isdisjoint(_first(cell) for cell in columns[-1].distinct):
        return batch
    keys = zip(*([_first(cell) for cell in cells.of_rows()] for cells in columns), strict=True)
    return batch.filter(import_module("pyarrow").array([found not in known for found in keys]))


def _first(cell: Any) -> Any:
    return cell[0] if cell else None


def _extend(builder: ColumnBuilder, batch: Any) -> None:
    zones: Sequence[Any] = ()
    if any(column.vr == "DT" for column in builder.columns):
        zones = _Cells(batch, attribute(TIMEZONE)).of_rows()
    builder.extend_arrays(batch.num_rows, {c.tag: _Cells(batch, c).array(zones) for c in builder.columns})


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
        self._texts = found.dictionary.to_pylist()
        # Behind the distinct cells is one for rows that have none.
        self._codes = found.indices.fill_null(len(self._texts)).to_numpy(zero_copy_only=False)

    @property
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
