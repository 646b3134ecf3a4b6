"""Results of a search as an Arrow IPC stream: for frames of many rows, which JSON costs most of their time.

- One column for each attribute that a result can have, named by its tag, tags ascending.
- A cell is the attribute's element in the DICOM JSON model, as JSON: what stands behind the tag in the answer that
  JSON would have been. An attribute that a result lacks is null.
- Columns are dictionary-encoded, a dictionary for each record batch: a value that many results share is encoded,
  sent and decoded once for all of them, and an attribute of a study once for all of its series.
- The last record batch has no rows and says in its metadata how it ended: ``complete``, or ``error`` with the body
  that the error would have had as an answer. A stream without it has been cut.

Sources: Apache Arrow columnar format 1.5, "IPC streaming format" (dictionaries may be replaced), and IANA's
registration of ``application/vnd.apache.arrow.stream``; docs/adr/0010.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import orjson

from dicomkit.collection_pause import collection_paused
from dicomkit.engine.services.search_lines import Lines, Portion
from dicomkit.errors import ApiError, to_body

__all__ = ["columns"]

_TAG, _VALUE = slice(1, 9), slice(11, None)
"""Parts of a line, which is ``"00080020":...``."""


def columns(tags: Sequence[str], portions: Iterator[Portion]) -> Iterator[bytes]:
    """The chunks of a stream: one for each portion, and the end."""
    pa = import_module("pyarrow")  # of the engine only this answer needs it, and it takes a while to load
    kind = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema([(tag, kind) for tag in tags])
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        end = {"complete": "true"}
        try:
            while _write_next(pa, writer, schema, portions):
                yield _taken(sink)
        except ApiError as error:
            end = {"error": orjson.dumps(to_body(error)).decode()}
        writer.write_batch(
            pa.record_batch([pa.nulls(0, field.type) for field in schema], schema=schema), custom_metadata=end
        )
    yield sink.getvalue()


def _write_next(pa: Any, writer: Any, schema: Any, portions: Iterator[Portion]) -> bool:
    """Write the next record batch; false when there is none."""
    with collection_paused():
        portion = next(portions, None)
        if portion is not None:
            writer.write_batch(_batch(pa, schema, portion))
        return portion is not None


def _taken(sink: io.BytesIO) -> bytes:
    chunk = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return chunk


class _Coded:
    """Lines of some results, or of what they are in: those of each tag once, and who has which."""

    def __init__(self, lines_of: Iterable[Lines], wanted: frozenset[bytes] | None = None) -> None:
        self.length = 0
        self._of_tag: dict[bytes, tuple[dict[bytes, int], list[int], list[int]]] = {}
        of_tag = self._of_tag
        for place, lines in enumerate(lines_of):
            self.length += 1
            for line in lines:
                tag = line[_TAG]
                found = of_tag.get(tag)
                if found is None:
                    if wanted is not None and tag not in wanted:
                        continue
                    found = of_tag[tag] = {}, [], []
                known, codes, places = found
                codes.append(known.setdefault(line, len(known)))
                places.append(place)

    def __contains__(self, tag: bytes) -> bool:
        return tag in self._of_tag

    def values(self, tag: bytes) -> list[bytes]:
        """What stands behind a tag, each once."""
        return [line[_VALUE] for line in self._of_tag[tag][0]]

    def codes(self, tag: bytes) -> np.ndarray:
        """Of each, the place of its value among ``values``; -1 where it has none."""
        _, codes, places = self._of_tag[tag]
        found = np.array(codes, dtype=np.int32)
        if len(found) == self.length:
            return found
        spread = np.full(self.length, -1, dtype=np.int32)
        spread[places] = found
        return spread


def _batch(pa: Any, schema: Any, portion: Portion) -> Any:
    own = _Coded(portion.own, portion.wanted)
    shared = _Coded(portion.parents.values())
    place_of = {key: place for place, key in enumerate(portion.parents)}
    places = np.array([place_of[key] for key in portion.parent_of], dtype=np.int32)
    arrays = []
    for field in schema:
        tag = field.name.encode()
        if tag in own:
            codes, values = own.codes(tag), own.values(tag)
        elif tag in shared:
            codes, values = shared.codes(tag)[places], shared.values(tag)
        else:
            arrays.append(pa.nulls(len(portion.own), field.type))
            continue
        indices = pa.array(codes, mask=codes < 0)
        arrays.append(pa.DictionaryArray.from_arrays(indices, pa.array(values, type=field.type.value_type)))
    return pa.record_batch(arrays, schema=schema)
