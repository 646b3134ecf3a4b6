"""The row that the Cloud Healthcare API writes for one instance.

Empty elements are in the row, as ``None`` or ``[]``, so that their column is made; elements that are not there are
not in it. What finds no place in a column goes to OtherElements of its level, as text. DroppedTags names

- PixelData,
- what the reader left out for its size (a sequence above 1 MiB, a long array of numbers),
- what lies deeper than BigQuery's 15 levels of RECORD,
- a sequence where the dictionary knows none: it has no text that OtherElements could hold.

``TagReference`` is empty for an element of the dataset itself, as in the published rows. Nobody tells what it holds
for a nested one; here it is the path of sequences, ``SpecimenDescriptionSequence.Tag_00091110``.

Source: Cloud Healthcare API, "BigQuery schema for DICOM"; published rows of Imaging Data Commons'
``dicom_metadata`` table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson

from dicomkit.bigquery.columns import COLUMNS, MAX_NESTING, OTHER_ELEMENTS, Column, GroupColumn, Kind
from dicomkit.bigquery.values import BINARY_VRS, TEXT_OF, UTC_OFFSET, DoesNotFit, offset_of, texts_of, timestamp_text

__all__ = ["build_json_row", "build_row"]

Elements = Mapping[str, Mapping[str, Any]]
"""A dataset in the DICOM JSON model."""

_PIXEL_DATA = "7FE00010"
_TIMEZONE_OFFSET = "00080201"
_TAG = re.compile(r"[0-9A-Fa-f]{8}")

# Below this level the levels of RECORD that an element brings, at most three, can be too many.
_DEEP = MAX_NESTING - 3

# An enumeration's member costs two look-ups each time.
_OTHER, _BINARY = Kind.OTHER, Kind.BINARY


def build_row(
    meta: Elements,
    elements: Elements,
    *,
    event: str,
    last_updated: datetime,
    storage_class: str,
    blob_size: int,
    dropped: Sequence[str] = (),
    source_store: str | None = None,
) -> dict[str, Any]:
    """Row of the flattened schema, in the JSON form of ``tabledata.insertAll``.

    Parameters
    ----------
    meta, elements
        File meta information and dataset in the DICOM JSON model; IS and DS as the text that is in the file.
    event
        ``Type``: ``"CREATE"`` for an instance that was stored.
    last_updated
        When the event happened; must have a time zone.
    storage_class, blob_size
        ``StorageClass``, and ``BlobStorageSize`` in bytes.
    dropped
        What the reader left out for its size: keywords, tags, or paths as ``"00081140/0/00080012"``.
    source_store
        Resource name of the store, where the stream asks for ``SourceDicomStore``.

    Returns
    -------
    dict
        Column name -> str, int, float, ``None``, list or record. DATE is ``"2018-04-27"``, TIME
        ``"20:08:07.000001"``, TIMESTAMP ``"2018-04-27T20:27:40.000000Z"``.
    """
    dropped_tags: dict[tuple[str, str], None] = {}
    top = _Level(0, _zone(elements, UTC_OFFSET), "", dropped_tags)
    top.fill(meta)
    top.fill(elements)
    _drop_more(dropped_tags, elements, dropped)
    row = top.record
    row[OTHER_ELEMENTS] = top.others
    row["DroppedTags"] = [{"TagName": name, "TagReference": path} for name, path in dropped_tags]
    row["Type"] = event
    row["LastUpdated"] = _utc(last_updated)
    row["StorageClass"] = storage_class
    row["BlobStorageSize"] = blob_size
    if source_store is not None:
        row["SourceDicomStore"] = source_store
    return row


def build_json_row(
    meta: Elements,
    elements: Elements,
    *,
    event: str,
    last_updated: datetime,
    storage_class: str,
    blob_size: int,
    dropped: Sequence[str] = (),
    source_store: str | None = None,
) -> dict[str, Any]:
    """Row of the JSON schema (``schemaJson``): the whole metadata in one JSON column.

    The parameters are those of :func:`build_row`. ``Metadata`` is JSON text, as ``tabledata.insertAll`` takes it:
    the DICOM JSON model without binary values (the service does not publish its form).
    ``StructuredStorageSize`` is the length of that text in bytes.
    """
    dropped_tags: dict[tuple[str, str], None] = {}
    metadata = orjson.dumps(_without_binary(meta, "", dropped_tags) | _without_binary(elements, "", dropped_tags))
    _drop_more(dropped_tags, elements, dropped)
    row: dict[str, Any] = {
        keyword: (elements.get(tag, {}).get("Value") or [None])[0]
        for keyword, tag in (
            ("StudyInstanceUID", "0020000D"),
            ("SeriesInstanceUID", "0020000E"),
            ("SOPInstanceUID", "00080018"),
        )
    }
    if source_store is not None:
        row["SourceDicomStore"] = source_store
    row["Metadata"] = metadata.decode()
    row["StructuredStorageSize"] = len(metadata)
    row["DroppedTags"] = [f"{path}.{name}" if path else name for name, path in dropped_tags]
    row["StorageClass"] = storage_class
    row["LastUpdated"] = _utc(last_updated)
    row["BlobStorageSize"] = blob_size
    row["Type"] = event
    return row


class _Level:
    """The record of one dataset in the making: the row itself, or that of a sequence's item.

    Parameters
    ----------
    level
        How many RECORDs deep the record is, 0 for the row.
    zone
        Offset from UTC of times without one.
    path
        Names of the sequences around it.
    dropped
        Name and path of what is left out; one dict for the whole row.
    """

    __slots__ = ("dropped", "level", "others", "path", "record", "zone")

    def __init__(self, level: int, zone: timedelta, path: str, dropped: dict[tuple[str, str], None]) -> None:
        self.record: dict[str, Any] = {}
        self.others: list[dict[str, Any]] = []
        self.level = level
        self.zone = zone
        self.path = path
        self.dropped = dropped

    def fill(self, elements: Elements) -> None:
        """Put every element into its column, or among the others."""
        record, others, zone = self.record, self.others, self.zone
        deep = self.level > _DEEP
        for tag, element in elements.items():
            column = COLUMNS[tag]
            if deep and self._is_too_deep(column, element):
                continue
            values = element.get("Value")
            convert = column.convert
            if convert is None:
                # Private elements are half of many a header, hence no call for what they mostly are.
                if values and column.kind is _OTHER and (cls := values[0].__class__) is not dict:
                    data = [TEXT_OF[cls](values[0])] if len(values) == 1 else texts_of(values)
                    others.append({"Tag": column.name, "Data": data})
                elif column.kind is not _BINARY:
                    self._structure(tag, element, column)
                continue
            if values:
                try:
                    record[column.name] = convert(values, element["vr"], zone)
                    continue
                except DoesNotFit:
                    self._keep_text(tag, element, column)
            elif "BulkDataURI" in element:
                self._drop_bulk(element, column)
            record[column.name] = [] if column.repeated else None

    def _is_too_deep(self, column: Column, element: Mapping[str, Any]) -> bool:
        """Whether BigQuery has no level left for the column; then it is a dropped tag."""
        if self.level + column.levels <= MAX_NESTING:
            return False
        if column.kind is not _BINARY and element["vr"] not in BINARY_VRS:
            self._drop(column)
        return True

    def _structure(self, tag: str, element: Mapping[str, Any], column: Column) -> None:
        """An element that is a sequence, one of a repeating group, or has no keyword."""
        vr = element["vr"]
        if isinstance(column, GroupColumn):
            entry = {"Id": column.id_of(tag), "Value": self._group_value(tag, element, column)}
            self.record.setdefault(column.name, []).append(entry)
        elif vr == "SQ":
            self._put_items(column, self._items(element, column, 1))
        elif column.kind is Kind.SEQUENCE:
            self._put_items(column, [])
            if element.get("Value"):
                self._keep_text(tag, element, column)
        elif "BulkDataURI" in element:
            self._drop_bulk(element, column)
        elif vr not in BINARY_VRS:
            self._keep_text(tag, element, column)

    def _put_items(self, column: Column, items: list[dict[str, Any]]) -> None:
        """Set the column of a sequence, if it can be one.

        A RECORD needs a field. Where no item has one it gets OtherElements, which needs a level of its own.
        """
        if any(items) or self.level + 1 < MAX_NESTING:
            self.record[column.name] = items
        elif items:
            self._drop(column)

    def _items(self, element: Mapping[str, Any], column: Column, levels: int) -> list[dict[str, Any]]:
        """Records of a sequence's items, *levels* RECORDs below this one."""
        path = f"{self.path}.{column.name}" if self.path else column.name
        records = []
        for item in element.get("Value", ()):
            inner = _Level(self.level + levels, _zone(item, self.zone), path, self.dropped)
            inner.fill(item)
            if inner.others:
                inner.record[OTHER_ELEMENTS] = inner.others
            records.append(inner.record)
        return records

    def _group_value(self, tag: str, element: Mapping[str, Any], column: GroupColumn) -> Any:
        """``Value`` of one element of a repeating group."""
        inner = column.value
        values = element.get("Value")
        if inner.kind is Kind.SEQUENCE and element["vr"] == "SQ":
            return self._items(element, column, 2)
        if values:
            try:
                if inner.convert is not None:
                    return inner.convert(values, element["vr"], self.zone)
            except DoesNotFit:
                pass
            self._keep_text(tag, element, column)
        elif "BulkDataURI" in element:
            self._drop_bulk(element, column)
        return [] if inner.repeated else None

    def _keep_text(self, tag: str, element: Mapping[str, Any], column: Column) -> None:
        """Put an element among the others, where their RECORD has a level left and the element has text."""
        if element["vr"] == "SQ" or self.level >= MAX_NESTING:
            self._drop(column)
        else:
            self.others.append({"Tag": f"Tag_{tag}", "Data": texts_of(element.get("Value", ()))})

    def _drop_bulk(self, element: Mapping[str, Any], column: Column) -> None:
        """A value that the reader took for bulk data: dropped for its size, unless it is binary anyway."""
        if element["vr"] not in BINARY_VRS:
            self._drop(column)

    def _drop(self, column: Column) -> None:
        self.dropped[column.name, self.path] = None


def _zone(elements: Elements, default: timedelta) -> timedelta:
    element = elements.get(_TIMEZONE_OFFSET)
    if element is None:
        return default
    values = element.get("Value")
    return offset_of(values[0], default) if values else default


def _utc(time: datetime) -> str:
    if time.tzinfo is None:
        raise ValueError("last_updated must have a time zone")
    return timestamp_text(time)


def _drop_more(names: dict[tuple[str, str], None], elements: Elements, dropped: Sequence[str]) -> None:
    """Add PixelData, and what the reader dropped, to the names and paths of what is left out."""
    # Besides its VR, an element has one more member unless it is empty.
    if len(elements.get(_PIXEL_DATA, ())) > 1:
        names["PixelData", ""] = None
    for text in dropped:
        # In a path of the reader, every other part is the number of an item.
        parts = [_name(part) for part in text.split("/")[0::2]]
        names[parts[-1], ".".join(parts[:-1])] = None


def _name(text: str) -> str:
    """Keyword, or ``Tag_GGGGEEEE``, of a keyword or a tag."""
    return COLUMNS[text.upper()].name if _TAG.fullmatch(text) else text


def _without_binary(elements: Elements, path: str, dropped: dict[tuple[str, str], None]) -> dict[str, Any]:
    """The DICOM JSON model without binary and bulk values; empty elements stay."""
    kept: dict[str, Any] = {}
    for tag, element in elements.items():
        vr = element["vr"]
        if vr == "SQ" and "Value" in element:
            inside = f"{path}.{COLUMNS[tag].name}" if path else COLUMNS[tag].name
            kept[tag] = {"vr": vr, "Value": [_without_binary(item, inside, dropped) for item in element["Value"]]}
        elif "BulkDataURI" not in element and "InlineBinary" not in element:
            kept[tag] = element
        elif vr not in BINARY_VRS:
            dropped[COLUMNS[tag].name, path] = None
    return kept
