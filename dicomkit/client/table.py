"""The table that a store streams to, and what can be made of its rows.

Source: Cloud Healthcare API, "Streaming DICOM metadata to BigQuery" and "BigQuery schema for DICOM".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from dicomkit.bigquery import current, flatten, private, summaries, typed
from dicomkit.bigquery.paths import check, tag_of_column, vr_of_column
from dicomkit.bigquery.relation import Relation, of_table
from dicomkit.bigquery.schema import Field
from dicomkit.bigquery.table_uri import TableReference
from dicomkit.client.bigquery import client_of, errors_as_ours, retry_of
from dicomkit.client.table_query import TableQuery, TableSource
from dicomkit.dicom.dictionary import name_of
from dicomkit.errors import NotFound
from dicomkit.frames.table_columns import TABLE_SCHEMA
from dicomkit.frames.tables import table

__all__ = ["StreamedTable", "TableRows", "TypedRows"]

_FIXED = {
    "OtherElements": "Elements that have no column, or a value that their column does not take.",
    "DroppedTags": "Elements that are not in the row: pixels, and what is too large or too deep.",
    "Type": "What happened: CREATE, UPDATE, DELETE.",
    "LastUpdated": "When it happened.",
    "StorageClass": "Storage class of the instance.",
    "BlobStorageSize": "Bytes of the instance.",
    "StructuredStorageSize": "Bytes of its metadata.",
    "SourceDicomStore": "Resource name of the store.",
    "Metadata": "All attributes of the instance, as JSON.",
}
"""Columns that are no attribute."""


class TableRows(TableQuery):
    """Rows with the columns of a streamed table, and questions about them. Nothing runs before it is asked to."""

    def flatten(
        self,
        *paths: str,
        keep: str | Sequence[str] | None = None,
        branches: flatten.Branches = "aligned",
        keep_empty: bool = False,
        places: bool = False,
    ) -> TableRows:
        """Sequences as rows: one for each item, a column for each path.

        Parameters
        ----------
        *paths
            As ``"RequestAttributesSequence.ScheduledProcedureStepID"``, of any depth. Attributes of one item are in
            one row, and what the item is inside of is repeated beside it. A path to a sequence itself stands for all
            attributes of its items.
        keep
            Columns of the instance to keep; the three UIDs when left out.
        branches
            For paths of different sequences: ``"aligned"`` puts their items side by side by their places, the first
            beside the first, so that no row is there twice; ``"product"`` each item with each.
        keep_empty
            Whether an instance without any item has a row, too.
        places
            Whether each sequence has a column ``Sequence__place``, the number of the item from 0.

        Returns
        -------
        TableRows
            Columns are called ``RequestAttributesSequence__ScheduledProcedureStepID``.

        Raises
        ------
        InvalidArgument
            A path leads nowhere in this table, or none leads through a sequence.
        """
        keep = (keep,) if isinstance(keep, str) else keep
        check(*paths, *(keep or ()))
        return self._rows(
            flatten.flatten(self._relation, paths, keep=keep, branches=branches, keep_empty=keep_empty, places=places)
        )

    def private(self, *, creator: str | None = None, within: str | None = None) -> TableRows:
        """Private elements, one row each, with the creator of their block.

        Parameters
        ----------
        creator
            Only those of this private creator.
        within
            Those in the items of this sequence, and not of the instance itself.

        Returns
        -------
        TableRows
            The UIDs, then ``creator``, ``tag`` (eight hex digits), ``attribute`` (``0009xx02[CREATOR]``, as a search
            takes it), ``values``, and ``items``, how many a private sequence has: :meth:`flatten` takes its column
            ``Tag_GGGGEEEE``. Binary values are in no table.
        """
        check(*(() if within is None else (within,)))
        return self._rows(private.private(self._relation, creator=creator, within=within))

    def typed(self, *attributes: str, raw: bool = True) -> TypedRows:
        """Columns with the types of their values, so that they can be computed with.

        IS becomes an integer and DS a float; AS stays, and has a column ``PatientAge_years`` beside it; PN is text in
        DICOM's own form. DA, TM, DT and binary numbers have their types in the table already. What does not fit is
        missing then: ``typed(...).misfits()`` lists it.

        Parameters
        ----------
        *attributes
            Columns; all of them when left out. The UIDs are always there.
        raw
            Whether what was cast is kept as it was, in ``SliceThickness_raw``.
        """
        check(*attributes)
        return TypedRows(self._source, self._relation, attributes, raw=raw)

    def facets(self, *attributes: str, top: int = 20) -> TableQuery:
        r"""The values of attributes, the most frequent first, and how many studies, series and instances have each.

        Parameters
        ----------
        *attributes
            Several values of one instance count as one text, ``ORIGINAL\PRIMARY``.
        top
            Most values of each attribute.

        Returns
        -------
        TableQuery
            Columns ``attribute``, ``value`` (missing where there is none), ``studies``, ``series``, ``instances``.
        """
        check(*attributes)
        return TableQuery(self._source, summaries.facets(self._relation, attributes, top=top))

    def missing(self, *attributes: str, by: str | None = None) -> TableQuery:
        """How many rows have no value of each attribute, the worst first.

        DICOM's "absent" and "there, and empty" look alike in a table.

        Parameters
        ----------
        *attributes
            Columns; all of them when left out.
        by
            Count for each value of this attribute apart, as ``"Modality"``.

        Returns
        -------
        TableQuery
            Columns ``attribute``, ``rows``, ``missing``, ``share``; before them that of *by*.
        """
        check(*attributes, *(() if by is None else (by,)))
        return TableQuery(self._source, summaries.missing(self._relation, attributes, by=by))

    def describe(self, *attributes: str) -> TableQuery:
        """How many values each attribute has, how many different ones, and from where to where they go.

        Parameters
        ----------
        *attributes
            Columns; all that are no sequences when left out.

        Returns
        -------
        TableQuery
            Columns ``attribute``, ``vr``, ``type``, ``present``, ``missing``, ``distinct``, ``min``, ``max`` (as text;
            by number for IS and DS) and ``mean``.
        """
        check(*attributes)
        return TableQuery(self._source, summaries.describe(self._relation, attributes))

    def sample(self, rows: int = 10, *, seed: int = 0) -> TableRows:
        """Some rows, chosen by a hash of their instance: the same ones each time, and on every BigQuery.

        Parameters
        ----------
        rows
            At most so many.
        seed
            Another number chooses others.
        """
        return self._rows(current.sample(self._relation, rows, seed))

    def _rows(self, relation: Relation) -> TableRows:
        return TableRows(self._source, relation)


class TypedRows(TableRows):
    """Rows whose values have types. ``TableRows.typed`` makes it."""

    def __init__(self, source: TableSource, relation: Relation, attributes: Sequence[str], *, raw: bool) -> None:
        super().__init__(source, typed.typed(relation, attributes, raw=raw))
        self._before = relation
        self._attributes = tuple(attributes)

    def misfits(self) -> TableQuery:
        """The values that have no place in the type of their attribute, and how many instances have each.

        Returns
        -------
        TableQuery
            Columns ``attribute``, ``vr``, ``value`` (the text of the file) and ``instances``.
        """
        return TableQuery(self._source, typed.misfits(self._before, self._attributes))


class StreamedTable(TableRows):
    """The table that a store streams to: a row for each event of an instance. ``Store.table`` makes it.

    Parameters
    ----------
    source
        Where the table is.
    reference
        Its name.
    """

    def __init__(self, source: TableSource, reference: TableReference) -> None:
        super().__init__(source, of_table(reference, ()))
        self._reference = reference

    @property
    def uri(self) -> str:
        """``bq://project.dataset.table``."""
        return self._reference.uri

    def schema(self) -> pd.DataFrame:
        """The columns, those inside of others too: one row each, columns ``frames.TABLE_SCHEMA``.

        Raises
        ------
        NotFound
            There is no table yet.
        """
        cells: dict[str, list[Any]] = {each.name: [] for each in TABLE_SCHEMA}
        for path, field in _walk(self._fields()):
            tag = None if field["name"] in _FIXED else tag_of_column(field["name"])
            cells["path"].append(path)
            cells["type"].append(field["type"])
            cells["mode"].append(field.get("mode") or "NULLABLE")
            cells["tag"].append(tag)
            cells["vr"].append((vr_of_column(field["name"]) or None) if tag else None)
            cells["description"].append(_FIXED.get(field["name"]) or (name_of(tag) if tag else None))
        return table(TABLE_SCHEMA, cells)

    def current(self) -> TableRows:
        """The newest row of each instance, without those that were deleted: what is in the store now.

        Rows of before stay in the table, as those of a deleted instance do, and delivery can repeat one; all that is
        asked of the table itself counts them. Start from here to count instances.
        """
        return self._rows(current.current(self._relation))

    @property
    def _relation(self) -> Relation:
        # Read anew each time: a table gets columns while instances are streamed to it.
        return of_table(self._reference, self._fields())

    def _fields(self) -> list[Field]:
        self._source.wait()
        connection = self._source.connection
        try:
            with errors_as_ours(connection):
                client = client_of(connection, self._source.project)
                found = client.get_table(str(self._reference), retry=retry_of(connection))
        except NotFound:
            raise NotFound(
                f"there is no table {self.uri} at {connection.place} yet; it is made with the first instance that is "
                "stored after the store got its stream config"
            ) from None
        return [field.to_api_repr() for field in found.schema]

    def _parts(self) -> tuple[str, Mapping[str, Any], list[tuple[str, str]]]:
        more = "current() flatten() private() typed() facets() missing() describe() sample() schema()"
        return self._query.sql, {}, [("table", self.uri), ("made of it", more)]


def _walk(fields: Sequence[Field], above: str = "") -> Iterator[tuple[str, Field]]:
    for field in fields:
        path = f"{above}{field['name']}"
        yield path, field
        yield from _walk(field.get("fields", ()), f"{path}.")
