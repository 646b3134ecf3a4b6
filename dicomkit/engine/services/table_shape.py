"""The columns that rows need, found while the rows go by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dicomkit.bigquery.schema import Field, SchemaIndex, index_of, merge, schema_for, unknown_fields

__all__ = ["TableShape"]

Row = Mapping[str, Any]


class TableShape:
    """A table's schema, grown by what its rows bring.

    A table made for several rows has its columns in the order of a table made for one.

    Parameters
    ----------
    fields
        Of the table that is there.
    index
        Of *fields*, where it is known already.

    Attributes
    ----------
    has_grown
        Whether a row brought a column, or a field of one, that *fields* has not.
    """

    def __init__(self, fields: list[Field] | None = None, index: SchemaIndex | None = None) -> None:
        self._fields = fields or []
        self._index = index_of(self._fields) if index is None else index
        self._new: dict[str, Any] = {}
        self.has_grown = False

    def add(self, row: Row) -> None:
        """Look at a row, in the form of ``bigquery.row``; most have nothing new and cost little."""
        if not unknown_fields(row, self._index):
            return
        self.has_grown = True
        _blend(self._new, row)
        self._index = index_of(self.fields)

    @property
    def fields(self) -> list[Field]:
        """The schema that takes every row that was added."""
        return merge(self._fields, schema_for(self._new))


def _blend(shape: dict[str, Any], record: Row) -> None:
    """Make *shape*, a record that needs what several need, need what *record* needs: a list has one item in it."""
    for name, value in record.items():
        known = shape.setdefault(name, [])
        if type(value) is list and value and type(value[0]) is dict:
            if not known:
                known.append({})
            for item in value:
                _blend(known[0], item)
