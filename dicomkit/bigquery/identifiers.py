"""Names of columns in GoogleSQL text: the one place where a name from outside becomes SQL.

Values never become SQL text: they are query parameters. Source: BigQuery documentation, "Specifying a schema" (column
names); GoogleSQL reference, "Lexical structure and syntax" (quoted identifiers).
"""

from __future__ import annotations

import re

from dicomkit.errors import InvalidArgument

__all__ = ["MAX_NAME", "column", "identifier", "label"]

MAX_NAME = 300
"""Most characters of a column name (BigQuery, "Specifying a schema")."""

# BigQuery has "flexible" names, too, with quotes and blanks; no DICOM attribute is called so.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def identifier(name: str) -> str:
    """*name* in back-ticks, which also lets reserved words (``Rows``) be names.

    Raises
    ------
    InvalidArgument
        It is not made of ASCII letters, digits and underscores, or too long.
    """
    return f"`{_checked(name)}`"


def label(name: str) -> str:
    """*name*, which must be legal for a column, as a text in SQL: what a result calls the column."""
    return f"'{_checked(name)}'"


def column(table: str, *names: str) -> str:
    """A column of the range variable *table*, or a field inside it: ``t.`PatientName`.`Alphabetic```."""
    return ".".join([table, *map(identifier, names)])


def _checked(name: str) -> str:
    if not isinstance(name, str) or len(name) > MAX_NAME or not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"a column is named by 1 to {MAX_NAME} ASCII letters, digits and underscores, of which the first is no "
            f"digit; got {name!a:.80}"
        )
    return name
