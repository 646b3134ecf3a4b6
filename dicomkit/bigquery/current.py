"""The rows of what is in a store now, out of a table that only grows.

A stream appends: an instance that was stored, deleted, stored again and moved to another storage class has a row for
each of these, told apart by ``Type`` and ``LastUpdated``; delivery can also repeat a row. The newest row of an
instance says how it is, and that it is gone where it is a ``DELETE``.

Source: Cloud Healthcare API, "Streaming DICOM metadata" (``Type``, ``LastUpdated``); GoogleSQL reference, QUALIFY.
"""

from __future__ import annotations

from dicomkit.bigquery.identifiers import column
from dicomkit.bigquery.relation import UIDS, Relation, T
from dicomkit.bigquery.table_uri import TableReference
from dicomkit.errors import InvalidArgument

__all__ = ["current", "current_sql", "sample"]

MAX_SAMPLE = 10_000_000
"""Most rows of a sample."""


def current_sql(table: TableReference) -> str:
    """The newest row of each instance that is not deleted: a query in parentheses, for FROM."""
    return f"({_indent(_current(f'{table.sql} AS {T}'))})"


def current(relation: Relation) -> Relation:
    """The newest row of each instance that is not deleted.

    Raises
    ------
    FailedPrecondition
        The table is older than the columns that tell rows apart (Google writes them since September 2022).
    """
    relation.require((*UIDS, "Type", "LastUpdated"), "to know the current rows")
    return relation.then("current_rows", _current(relation.source), relation.fields)


def _current(source: str) -> str:
    instance = ", ".join(column(T, name) for name in UIDS)
    # Two rows of one moment: the same row twice, or a deletion within the microsecond, which then comes first.
    newest = f"{column(T, 'LastUpdated')} DESC, IFNULL({column(T, 'Type')}, '') = 'DELETE' DESC"
    return (
        f"SELECT * FROM (\n"
        f"  SELECT * FROM {source} WHERE TRUE\n"
        f"  QUALIFY ROW_NUMBER() OVER (PARTITION BY {instance} ORDER BY {newest}) = 1\n"
        f") AS {T}\n"
        f"WHERE IFNULL({column(T, 'Type')}, '') != 'DELETE'"
    )


def sample(relation: Relation, rows: int, seed: int) -> Relation:
    """At most *rows* rows chosen by the hash of their instance, the same ones each time and on every BigQuery.

    Raises
    ------
    InvalidArgument
        The number is not between 1 and ten million.
    """
    if isinstance(rows, bool) or not isinstance(rows, int) or not 1 <= rows <= MAX_SAMPLE:
        raise InvalidArgument(f"a sample has 1 to {MAX_SAMPLE} rows; got {rows!a:.40}")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise InvalidArgument(f"the seed of a sample is a whole number; got {seed!a:.40}")
    relation.require(("SOPInstanceUID",), "a sample")
    limit, salt = relation.free("rows"), relation.free("seed")
    uid = column(T, "SOPInstanceUID")
    order = f"FARM_FINGERPRINT(CONCAT({uid}, @{salt})), {uid}"
    return relation.then(
        "sampled",
        f"SELECT * FROM {relation.source}\nORDER BY {order}\nLIMIT @{limit}",
        relation.fields,
        {limit: rows, salt: str(seed)},
    )


def _indent(text: str) -> str:
    return text.replace("\n", "\n  ")
