"""Names of BigQuery tables, read and checked.

Source: Cloud Healthcare API v1, ``BigQueryDestination.tableUri`` (form and length); BigQuery documentation,
"Create datasets" and "Create and use tables" (dataset and table ids); Resource Manager (project ids).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from dicomkit.errors import InvalidArgument

__all__ = ["MAX_URI", "SCHEME", "TableReference", "parse_uri"]

SCHEME = "bq://"
"""What a table URI begins with."""

MAX_URI = 2000
"""Most characters of a table URI (``BigQueryDestination.tableUri``)."""

MAX_ID = 1024
"""Most characters of a dataset id, and most UTF-8 bytes of a table id."""

# A domain-scoped project is written "example.com:project". Google asks for 6 to 30 characters; shorter ids
# pass here because the embedded engine's own project is called "local".
_PROJECT = re.compile(r"(?:[a-z0-9][a-z0-9.-]{0,252}:)?[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}")
# Letters, marks, numbers, connectors, dashes and spaces. Neither a back-tick nor a backslash nor a control
# character is in these categories, so that a name can be quoted in SQL without escapes.
_TABLE_CATEGORIES = frozenset(("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Zs"))


@dataclass(frozen=True, slots=True)
class TableReference:
    """``project.dataset.table``, each part checked.

    Raises
    ------
    InvalidArgument
        A part breaks BigQuery's rule for it; the message names the part and the rule.
    """

    project: str
    dataset: str
    table: str

    def __post_init__(self) -> None:
        if not _PROJECT.fullmatch(self.project):
            raise InvalidArgument(
                "a BigQuery project id is made of letters, digits and hyphens "
                f"(domain-scoped: example.com:project); got {self.project!r:.80}"
            )
        if not _DATASET.fullmatch(self.dataset):
            raise InvalidArgument(
                f"a BigQuery dataset id is made of 1 to {MAX_ID} ASCII letters, digits and underscores; "
                f"got {self.dataset!r:.80}"
            )
        if not _is_table_id(self.table):
            raise InvalidArgument(
                f"a BigQuery table id is made of letters, marks, numbers, connectors, dashes and spaces, "
                f"1 to {MAX_ID} bytes of UTF-8; got {self.table!r:.80}"
            )

    @property
    def uri(self) -> str:
        """``bq://project.dataset.table``."""
        return f"{SCHEME}{self}"

    @property
    def sql(self) -> str:
        """The table in GoogleSQL, in back-ticks."""
        return f"`{self}`"

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.table}"


def parse_uri(uri: str) -> TableReference:
    """Read ``bq://project.dataset.table``.

    Raises
    ------
    InvalidArgument
        The scheme, the number of parts, the length or a part is wrong; the message says which.
    """
    if not isinstance(uri, str) or not uri.startswith(SCHEME):
        raise InvalidArgument(f"tableUri must have the form bq://project.dataset.table; got {uri!r:.120}")
    if len(uri) > MAX_URI:
        raise InvalidArgument(f"tableUri must have at most {MAX_URI} characters; got {len(uri)}")
    # From the right: the project may be domain-scoped and then has dots of its own.
    parts = uri[len(SCHEME) :].rsplit(".", 2)
    if len(parts) != 3:
        raise InvalidArgument(
            f"tableUri must name project, dataset and table, as in bq://project.dataset.table; got {uri!r:.120}"
        )
    return TableReference(*parts)


def _is_table_id(text: str) -> bool:
    if not 0 < len(text) <= MAX_ID:
        return False
    if not all(unicodedata.category(c) in _TABLE_CATEGORIES for c in text):
        return False
    return len(text.encode()) <= MAX_ID
