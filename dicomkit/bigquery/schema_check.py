"""Whether a table still has the columns that the service would give it: the answer to "did somebody change it?".

A column is known by its name alone, so that every column of a table can be held against what it must be. Columns that
no attribute has are somebody's own and do no harm; a known one of another type or mode takes no more values.

Source: Cloud Healthcare API, ``streamConfigs`` ("changing the schema by hand can cause incompatibilities that cannot be
resolved automatically"); BigQuery documentation, "Modifying table schemas".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dicomkit.bigquery.columns import Column, GroupColumn, Kind, column_named
from dicomkit.bigquery.schema import FIXED_COLUMNS, JSON_COLUMNS, Field, fixed_fields, name_fields

__all__ = ["WrongColumn", "wrong_columns"]

_SAME_TYPES = {"STRUCT": "RECORD", "INT64": "INTEGER", "FLOAT64": "FLOAT"}
"""BigQuery tells types by their older names, and takes both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongColumn:
    """A column that is not what its name says."""

    path: str
    """Where it is, as ``PatientName.Alphabetic``."""
    found: str
    """Type and mode that it has."""
    expected: str
    """Type and mode that its values need."""


def wrong_columns(fields: Iterable[Field]) -> list[WrongColumn]:
    """The columns of a table, at every depth, whose type or mode is not that of the values they are for.

    Parameters
    ----------
    fields
        The schema in BigQuery's REST form.
    """
    fields = list(fields)
    if any(field["name"] == "Metadata" and _type(field) == "JSON" for field in fields):
        expected = {name: (kind, name == "DroppedTags") for name, kind in JSON_COLUMNS.items()}
        return [
            wrong for field in fields if field["name"] in expected for wrong in _own(field, *expected[field["name"]])
        ]
    return list(_record(fields))


def _record(fields: Iterable[Field], path: str = "") -> Iterator[WrongColumn]:
    for field in fields:
        name = field["name"]
        if name in FIXED_COLUMNS:
            yield from _fixed(field, path)
            continue
        try:
            column = column_named(name)
        except KeyError:
            continue
        yield from _attribute(field, column, path)


def _attribute(field: Field, column: Column, path: str) -> Iterator[WrongColumn]:
    wrong = list(_own(field, column.type, column.repeated, path))
    if wrong:
        yield from wrong
        return
    here = f"{path}{field['name']}."
    inside: list[Field] = field.get("fields", [])
    if column.kind is Kind.NAME:
        yield from _named(inside, name_fields(), here)
    elif isinstance(column, GroupColumn):
        for part in inside:
            if part["name"] == "Id":
                yield from _own(part, "STRING", False, here)
            elif part["name"] == "Value":
                yield from _attribute(part, column.value, here)
    else:
        yield from _record(inside, here)


def _fixed(field: Field, path: str) -> Iterator[WrongColumn]:
    yield from _named([field], fixed_fields([field["name"]]), path)


def _named(fields: Iterable[Field], expected: Iterable[Field], path: str) -> Iterator[WrongColumn]:
    """Fields against those of the same names."""
    wanted = {each["name"]: each for each in expected}
    for field in fields:
        want = wanted.get(field["name"])
        if want is None:
            continue
        wrong = list(_own(field, want["type"], want["mode"] == "REPEATED", path))
        yield from wrong or _named(field.get("fields", ()), want.get("fields", ()), f"{path}{field['name']}.")


def _own(field: Field, kind: str, is_repeated: bool, path: str = "") -> Iterator[WrongColumn]:
    found, expected = _told(_type(field), field.get("mode") == "REPEATED"), _told(kind, is_repeated)
    if field.get("mode") == "REQUIRED":
        found = f"{found} REQUIRED"
    if found != expected:
        yield WrongColumn(path=f"{path}{field['name']}", found=found, expected=expected)


def _type(field: Field) -> str:
    kind: str = field["type"]
    return _SAME_TYPES.get(kind, kind)


def _told(kind: str, is_repeated: bool) -> str:
    return f"{kind} REPEATED" if is_repeated else kind
