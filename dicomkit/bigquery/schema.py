"""The schema that a row needs, and how a table's schema grows.

Everything is derived from names: the row says which columns occur, the DICOM dictionary says what they are.
A RECORD must have a field, so that a sequence in which nothing was found yet gets OtherElements as its first.

Source: Cloud Healthcare API, "BigQuery schema for DICOM"; BigQuery REST v2, ``TableFieldSchema``; BigQuery
documentation, "Modifying table schemas".
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any, TypeAlias

from dicomkit.bigquery.columns import OTHER_ELEMENTS, Column, GroupColumn, Kind, column_named

__all__ = [
    "FIXED_COLUMNS",
    "JSON_COLUMNS",
    "Field",
    "SchemaIndex",
    "fixed_fields",
    "index_of",
    "merge",
    "name_fields",
    "schema_for",
    "unknown_fields",
]

Field: TypeAlias = dict[str, Any]
"""A column in BigQuery's REST form: ``{"name", "type", "mode", "fields"?}``."""

SchemaIndex: TypeAlias = dict[str, "SchemaIndex | None"]
"""Column name -> index of its fields, ``None`` for a column that has none."""

FIXED_COLUMNS = {
    "OtherElements": "RECORD",
    "DroppedTags": "RECORD",
    "Type": "STRING",
    "LastUpdated": "TIMESTAMP",
    "StorageClass": "STRING",
    "BlobStorageSize": "INTEGER",
    "SourceDicomStore": "STRING",
}
"""Columns that are no attribute -> type, in table order."""

JSON_COLUMNS = {
    "StudyInstanceUID": "STRING",
    "SeriesInstanceUID": "STRING",
    "SOPInstanceUID": "STRING",
    "SourceDicomStore": "STRING",
    "Metadata": "JSON",
    "StructuredStorageSize": "INTEGER",
    "DroppedTags": "STRING",
    "StorageClass": "STRING",
    "LastUpdated": "TIMESTAMP",
    "BlobStorageSize": "INTEGER",
    "Type": "STRING",
}
"""Columns of the JSON schema -> type, in table order."""


_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_NAME_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def schema_for(row: Mapping[str, Any]) -> list[Field]:
    """Fields that *row* needs, in the order of a table that is made for it.

    Attributes by tag, then ``Tag_GGGGEEEE`` columns, then the fixed ones; the same inside records.

    Raises
    ------
    KeyError
        A name in the row is neither a DICOM keyword with a column nor one of the table's own columns.
    """
    if "Metadata" in row:
        return [
            _field(name, kind, repeated=name == "DroppedTags") for name, kind in JSON_COLUMNS.items() if name in row
        ]
    return _attribute_fields({name: value for name, value in row.items() if name not in FIXED_COLUMNS}) + fixed_fields(
        row
    )


def fixed_fields(names: Container[str]) -> list[Field]:
    """Those of the columns that are no attribute which are among *names*."""
    return [_fixed_field(name, kind) for name, kind in FIXED_COLUMNS.items() if name in names]


def index_of(fields: Iterable[Field]) -> SchemaIndex:
    """Index of a table's fields for :func:`unknown_fields`; made once for a table's schema.

    BigQuery's names do not differ by case, so a column that somebody spelled ``patientid`` is one for PatientID;
    the index holds each name in lower case too.
    """
    index: SchemaIndex = {}
    for field in fields:
        name: str = field["name"]
        # OtherElements and DroppedTags have the same fields always: nothing to look for inside.
        grows = _is_record(field) and name not in FIXED_COLUMNS
        index[name] = index[name.lower()] = index_of(field.get("fields", ())) if grows else None
    return index


def unknown_fields(record: Mapping[str, Any], index: SchemaIndex) -> bool:
    """Whether *record* names a column, at any depth, that the table does not have."""
    if not record.keys() <= index.keys() and any(name not in index and name.lower() not in index for name in record):
        return True
    for name, value in record.items():
        kind = type(value)
        if kind is list:
            if not value or type(value[0]) is not dict:
                continue
        elif kind is dict:
            value = (value,)
        else:
            continue
        # None for a plain column: the table has another type, which no growth can mend.
        inside = index.get(name) or index.get(name.lower())
        if inside is not None:
            for item in value:
                if unknown_fields(item, inside):
                    return True
    return False


def merge(current: Iterable[Field], needed: Iterable[Field]) -> list[Field]:
    """*current* with what *needed* has and it has not, appended, at every depth.

    A column that exists keeps name, type, mode and everything else, also where *needed* wants another type:
    BigQuery changes no type. The one change is REQUIRED to NULLABLE, since an instance can lack any attribute.
    The arguments are not changed.
    """
    wanted = {field["name"].lower(): field for field in needed}
    merged: list[Field] = []
    for field in current:
        want = wanted.pop(field["name"].lower(), None)
        if want is not None:
            field = dict(field)
            if field.get("mode") == "REQUIRED":
                field["mode"] = "NULLABLE"
            if _is_record(field) and _is_record(want):
                field["fields"] = merge(field.get("fields", ()), want["fields"])
        merged.append(field)
    return merged + list(wanted.values())


def _is_record(field: Field) -> bool:
    return field["type"] in ("RECORD", "STRUCT")


def _field(name: str, kind: str, *, repeated: bool = False, fields: list[Field] | None = None) -> Field:
    field = {"name": name, "type": kind, "mode": "REPEATED" if repeated else "NULLABLE"}
    return field if fields is None else field | {"fields": fields}


def name_fields() -> list[Field]:
    """What a person name is made of."""
    return [
        _field(group, "RECORD", fields=[_field(component, "STRING") for component in _NAME_COMPONENTS])
        for group in _NAME_GROUPS
    ]


def _fixed_field(name: str, kind: str) -> Field:
    if name == OTHER_ELEMENTS:
        parts = [_field("Tag", "STRING"), _field("Data", "STRING", repeated=True)]
    elif name == "DroppedTags":
        parts = [_field("TagName", "STRING"), _field("TagReference", "STRING")]
    else:
        return _field(name, kind)
    return _field(name, "RECORD", repeated=True, fields=parts)


def _attribute_fields(record: Mapping[str, Any]) -> list[Field]:
    columns = sorted((column_named(name) for name in record), key=lambda column: column.order)
    return [_attribute_field(column, record[column.name]) for column in columns]


def _attribute_field(column: Column, value: Any) -> Field:
    if column.kind is Kind.NAME:
        return _field(column.name, "RECORD", repeated=column.repeated, fields=name_fields())
    if column.kind is Kind.VALUE:
        return _field(column.name, column.type, repeated=column.repeated)
    if isinstance(column, GroupColumn):
        repeats = [item for entry in value for item in entry["Value"]] if column.value.kind is Kind.SEQUENCE else None
        parts = [_field("Id", "STRING"), _attribute_field(column.value, repeats)]
        return _field(column.name, "RECORD", repeated=True, fields=parts)
    return _field(column.name, "RECORD", repeated=True, fields=_item_fields(value))


def _item_fields(items: Iterable[Mapping[str, Any]]) -> list[Field]:
    """Fields of a sequence: of all its items together."""
    shape: dict[str, Any] = {}
    for item in items:
        for name, value in item.items():
            # Only records are needed from the values: they have fields of their own.
            known = shape.setdefault(name, [])
            if type(value) is list and value and type(value[0]) is dict:
                known.extend(value)
    others = shape.pop(OTHER_ELEMENTS, None)
    fields = _attribute_fields(shape)
    if others is not None or not fields:
        fields.append(_fixed_field(OTHER_ELEMENTS, "RECORD"))
    return fields
