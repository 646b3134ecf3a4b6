"""The DICOM JSON model as Python has it, and the bulk values it refers to.

Source: DICOM PS3.18 Annex F.
"""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple

__all__ = ["BulkValue", "DataSet", "Element"]

Element = dict[str, Any]
"""``{"vr": "CS", "Value": ["CT"]}``; ``InlineBinary`` or ``BulkDataURI`` replace ``Value``; ``vr`` alone if empty."""

DataSet = dict[str, Element]
"""Eight upper-case hex digits -> element."""


class BulkValue(NamedTuple):
    """Where one bulk value stands in the file."""

    path: str
    """Path below ``bulkdata/``: a tag, or ``{sequence tag}/{item index from 0}/{tag}`` nested."""
    vr: str
    offset: int
    """Of the value's first byte; of the first item for encapsulated pixel data."""
    length: int
    """Bytes of the value, delimiters of encapsulated pixel data included."""
    fragments: array[int] | None = None
    """Encapsulated pixel data: offset and length of each item in turn, the offset table first."""
