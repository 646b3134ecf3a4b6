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

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson

from dicomkit.bigquery.columns import MAX_NESTING, OTHER_ELEMENTS, Column, GroupColumn, Kind, column_of
from dicomkit.bigquery.values import BINARY_VRS, UTC_OFFSET, DoesNotFit, offset_of, texts_of, timestamp_text

__all__ = ["build_json_row", "build_row"]

Elements = Mapping[str, Mapping[str, Any]]
"""A dataset in the DICOM JSON model."""

_PIXEL_DATA = "7FE00010"
_TIMEZONE_OFFSET = "00080201"

# From this level on a PN's two levels of RECORD can be too many; above it nothing has to be checked.
_DEEP = MAX_NESTING - 2


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
    builder = _Builder()
    row: dict[str, Any] = {}
    others: list[dict[str, Any]] = []
    zone = _zone(elements, UTC_OFFSET)
    builder.fill(row, others, meta, 0, zone, "")
    builder.fill(row, others, elements, 0, zone, "")
    if len(elements.get(_PIXEL_DATA, ())) > 1:
        builder.drop("PixelData", "")
    for text in dropped:
        builder.drop(*_dropped_name(text))
    row[OTHER_ELEMENTS] = others
    row["DroppedTags"] = [{"TagName": name, "TagReference": path} for name, path in builder.dropped]
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
    metadata = orjson.dumps(_without_binary(meta) | _without_binary(elements))
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
    names = ["PixelData"] if len(elements.get(_PIXEL_DATA, ())) > 1 else []
    for text in dropped:
        name, path = _dropped_name(text)
        names.append(f"{path}.{name}" if path else name)
    row["Metadata"] = metadata.decode()
    row["StructuredStorageSize"] = len(metadata)
    row["DroppedTags"] = list(dict.fromkeys(names))
    row["StorageClass"] = storage_class
    row["LastUpdated"] = _utc(last_updated)
    row["BlobStorageSize"] = blob_size
    row["Type"] = event
    return row


class _Builder:
    """One row in the making; collects what is dropped at any level."""

    __slots__ = ("dropped",)

    def __init__(self) -> None:
        self.dropped: dict[tuple[str, str], None] = {}

    def drop(self, name: str, path: str) -> None:
        self.dropped[name, path] = None

    def fill(
        self,
        record: dict[str, Any],
        others: list[dict[str, Any]],
        elements: Elements,
        level: int,
        zone: timedelta,
        path: str,
    ) -> None:
        """Put *elements* into *record*, which is *level* RECORDs deep, and the rest into *others*."""
        deep = level > _DEEP
        for tag, element in elements.items():
            column = column_of(tag)
            kind = column.kind
            if deep and level + column.levels > MAX_NESTING:
                if kind is not Kind.BINARY and element["vr"] not in BINARY_VRS:
                    self.drop(column.name, path)
                continue
            convert = column.convert
            if convert is None:
                if kind is not Kind.BINARY:
                    self._structure(record, others, tag, element, column, level, zone, path)
                continue
            values = element.get("Value")
            if values:
                try:
                    record[column.name] = convert(values, element["vr"], zone)
                    continue
                except DoesNotFit:
                    self._other(others, tag, element, column, level, path)
            elif "BulkDataURI" in element and element["vr"] not in BINARY_VRS:
                self.drop(column.name, path)
            record[column.name] = [] if column.repeated else None

    def _structure(
        self,
        record: dict[str, Any],
        others: list[dict[str, Any]],
        tag: str,
        element: Mapping[str, Any],
        column: Column,
        level: int,
        zone: timedelta,
        path: str,
    ) -> None:
        """An element that is a sequence, one of a repeating group, or has no keyword."""
        if isinstance(column, GroupColumn):
            self._group(record, others, tag, element, column, level, zone, path)
        elif element["vr"] == "SQ":
            record[column.name] = self._items(element, column.name, level + 1, zone, path)
        elif column.kind is Kind.SEQUENCE:
            record[column.name] = []
            if element.get("Value"):
                self._other(others, tag, element, column, level, path)
        elif element["vr"] not in BINARY_VRS:
            if "BulkDataURI" in element:
                self.drop(column.name, path)
            else:
                self._other(others, tag, element, column, level, path)

    def _items(
        self, element: Mapping[str, Any], name: str, level: int, zone: timedelta, path: str
    ) -> list[dict[str, Any]]:
        """Records of a sequence's items, *level* RECORDs deep."""
        inside = f"{path}.{name}" if path else name
        records = []
        for item in element.get("Value", ()):
            record: dict[str, Any] = {}
            others: list[dict[str, Any]] = []
            if item:
                self.fill(record, others, item, level, _zone(item, zone), inside)
            if others:
                record[OTHER_ELEMENTS] = others
            records.append(record)
        return records

    def _group(
        self,
        record: dict[str, Any],
        others: list[dict[str, Any]],
        tag: str,
        element: Mapping[str, Any],
        column: GroupColumn,
        level: int,
        zone: timedelta,
        path: str,
    ) -> None:
        """Add ``{Id, Value}`` to a repeating group's column."""
        inner = column.value
        values = element.get("Value", ())
        value: Any = [] if inner.repeated else None
        if inner.kind is Kind.SEQUENCE:
            if element["vr"] == "SQ":
                value = self._items(element, column.name, level + 2, zone, path)
            elif values:
                self._other(others, tag, element, column, level, path)
        elif values and inner.convert is not None:
            try:
                value = inner.convert(values, element["vr"], zone)
            except DoesNotFit:
                self._other(others, tag, element, column, level, path)
        elif "BulkDataURI" in element and element["vr"] not in BINARY_VRS:
            self.drop(column.name, path)
        record.setdefault(column.name, []).append({"Id": column.id_of(tag), "Value": value})

    def _other(
        self,
        others: list[dict[str, Any]],
        tag: str,
        element: Mapping[str, Any],
        column: Column,
        level: int,
        path: str,
    ) -> None:
        """Keep an element as text, where its level has room for one more RECORD."""
        if element["vr"] == "SQ" or level >= MAX_NESTING:
            self.drop(column.name, path)
        else:
            others.append({"Tag": f"Tag_{tag}", "Data": texts_of(element.get("Value", ()))})


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


def _dropped_name(text: str) -> tuple[str, str]:
    """Name and path of what the reader dropped; item numbers are left out of the path."""
    names = [_name(part) for part in text.split("/")[0::2]]
    return names[-1], ".".join(names[:-1])


def _name(text: str) -> str:
    """Keyword, or ``Tag_GGGGEEEE``, of a keyword or a tag."""
    return column_of(text).name if len(text) == 8 and _is_tag(text) else text


def _is_tag(text: str) -> bool:
    try:
        return int(text, 16) >= 0
    except ValueError:
        return False


def _without_binary(elements: Elements) -> dict[str, Any]:
    """The DICOM JSON model without binary and bulk values; empty elements stay."""
    kept: dict[str, Any] = {}
    for tag, element in elements.items():
        if element["vr"] == "SQ" and "Value" in element:
            kept[tag] = {"vr": "SQ", "Value": [_without_binary(item) for item in element["Value"]]}
        elif "BulkDataURI" not in element and "InlineBinary" not in element:
            kept[tag] = element
    return kept
