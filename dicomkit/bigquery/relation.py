"""Rows that a query starts from, and the steps that were made of them: GoogleSQL as a value.

A step is a SELECT over the one before it. All but the last are written as WITH clauses, so that the text reads from
the table to the result. Columns are known at each step, which is what lets the next be written and checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dicomkit.bigquery.identifiers import column, identifier
from dicomkit.bigquery.schema import Field
from dicomkit.bigquery.table_uri import TableReference
from dicomkit.errors import FailedPrecondition

__all__ = ["UIDS", "Relation", "T", "is_record", "is_repeated", "of_table"]

T = "t"
"""The range variable of the rows that a step selects from."""

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
"""What names an instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """Rows with known columns.

    Attributes
    ----------
    table
        The table that all began with.
    fields
        Columns of the last step.
    steps
        Name and text of each SELECT.
    params
        Values for ``@name`` in the texts.
    """

    table: TableReference
    fields: tuple[Field, ...]
    steps: tuple[tuple[str, str], ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """What the next step selects from, as :data:`T`."""
        return f"{identifier(self.steps[-1][0]) if self.steps else self.table.sql} AS {T}"

    @property
    def sql(self) -> str:
        """The whole query."""
        if not self.steps:
            return f"SELECT *\nFROM {self.table.sql}"
        *before, (_, last) = self.steps
        if not before:
            return last
        clauses = ",\n".join(f"{identifier(name)} AS (\n{_indented(text)}\n)" for name, text in before)
        return f"WITH {clauses}\n{last}"

    def then(
        self, name: str, select: str, fields: Iterable[Field], params: Mapping[str, Any] | None = None
    ) -> Relation:
        """The rows of one more step.

        Parameters
        ----------
        name
            What it does, for the WITH clause.
        select
            Its text, over :attr:`source`.
        fields
            The columns of its result.
        params
            Values for the names that :meth:`free` gave.
        """
        taken = {step for step, _ in self.steps}
        return replace(
            self,
            steps=(*self.steps, (_free(name, taken), select)),
            fields=tuple(fields),
            params={**self.params, **(params or {})},
        )

    def free(self, name: str) -> str:
        """A name for a parameter that no step has used yet."""
        return _free(name, self.params)

    def has(self, *names: str) -> bool:
        """Whether there are columns of these names."""
        return set(names) <= {each["name"] for each in self.fields}

    def require(self, names: Iterable[str], why: str) -> None:
        """Raise ``FailedPrecondition`` where one of *names* is no column."""
        missing = [name for name in names if not self.has(name)]
        if missing:
            raise FailedPrecondition(
                f"{why} needs the columns {', '.join(missing)}, which {self.table.uri} does not have"
            )

    @property
    def uids(self) -> list[str]:
        """Those of :data:`UIDS` that are columns."""
        return [name for name in UIDS if self.has(name)]

    def listed(self, names: Iterable[str]) -> str:
        """A SELECT list of plain columns."""
        return ", ".join(column(T, name) for name in names)

    def named(self, name: str) -> Field:
        """The column of this name."""
        return next(each for each in self.fields if each["name"] == name)


def of_table(table: TableReference, fields: Iterable[Field]) -> Relation:
    """All rows of a table with these columns."""
    return Relation(table=table, fields=tuple(fields))


def refuse_json(fields: Iterable[Field]) -> None:
    """Raise ``FailedPrecondition`` for a table of the JSON schema, whose attributes are no columns."""
    if any(each["name"] == "Metadata" and each["type"] == "JSON" for each in fields):
        raise FailedPrecondition(
            "the table has the JSON schema (schemaJson): attributes are inside of its column Metadata, in a form that "
            "Google does not publish. Stream to a table of the flattened schema, or take the JSON apart in store.sql"
        )


def is_record(each: Field) -> bool:
    """Whether the column has fields of its own."""
    return each["type"] in ("RECORD", "STRUCT")


def is_repeated(each: Field) -> bool:
    """Whether the column is an array."""
    return each.get("mode") == "REPEATED"


def _free(name: str, taken: Iterable[str]) -> str:
    known = set(taken)
    free, number = name, 1
    while free in known:
        number += 1
        free = f"{name}_{number}"
    return free


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
