"""A path as a person writes it -> the columns of a table that it leads through.

``RequestAttributesSequence.ScheduledProcedureStepID``, with ``__`` for the dot as in the keywords of a search, tags
for keywords, and names of the table's own (``OtherElements.Tag``).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dicomkit.bigquery.columns import COLUMNS
from dicomkit.bigquery.relation import is_record, is_repeated, refuse_json
from dicomkit.bigquery.schema import Field
from dicomkit.dicom.dictionary import nearest_keywords, parse_attribute, tag_of, vr_of
from dicomkit.errors import InvalidArgument

__all__ = ["SEPARATOR", "ColumnPath", "check", "resolve", "tag_of_column", "vr_of_column"]

SEPARATOR = "__"
"""Between the names of a path in the name of a column; ``Sequence__Attribute`` is the keyword of a search, too."""

MAX_PATH = 1024
"""Most characters of a path."""

_DOTS = re.compile(r"\.|__")
_PATH = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnPath:
    """One column, and those that it is inside of before it."""

    fields: tuple[Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names as the table has them."""
        return tuple(each["name"] for each in self.fields)

    @property
    def column(self) -> str:
        """Name of a result's column."""
        return SEPARATOR.join(self.names)

    @property
    def last(self) -> Field:
        """Where the path leads."""
        return self.fields[-1]

    @property
    def chain(self) -> tuple[int, ...]:
        """How many names lead to each sequence on the way, the last included where it is one."""
        return tuple(n for n, each in enumerate(self.fields, 1) if is_record(each) and is_repeated(each))


def check(*texts: str) -> None:
    """Raise ``InvalidArgument`` for what can name no column of any table."""
    for text in texts:
        if not isinstance(text, str) or len(text) > MAX_PATH or not _PATH.fullmatch(text):
            raise InvalidArgument(
                f"a column is named by 1 to {MAX_PATH} ASCII letters, digits and underscores, with dots between names, "
                f"as in 'RequestAttributesSequence.ScheduledProcedureStepID'; got {text!a:.80}"
            )


def resolve(fields: Sequence[Field], text: str) -> ColumnPath:
    """The column that *text* names.

    Raises
    ------
    InvalidArgument
        It names none of *fields*; the message says what is known of the name, and what is near it.
    """
    check(text)
    whole = _find(fields, text)  # a column of an earlier step is called Sequence__Attribute already
    if whole is not None:
        return ColumnPath(fields=(whole,))
    found: list[Field] = []
    inside = fields
    for name in _DOTS.split(text):
        if found and not is_record(found[-1]):
            raise InvalidArgument(f"{found[-1]['name']} has no fields, so that {text!a:.80} names nothing")
        each = _find(inside, name) or _find(inside, _name_of(name, inside, text))
        if each is None:
            refuse_json(fields)
            where = f" in {found[-1]['name']}" if found else ""
            raise InvalidArgument(
                f"the table has no column {name!a:.80}{where}: no instance that was streamed to it has this attribute "
                "with a value that a column can hold"
            )
        found.append(each)
        inside = each.get("fields", ())
    return ColumnPath(fields=tuple(found))


def tag_of_column(name: str) -> str | None:
    """The tag of a column's attribute, eight hex digits; of ``Sequence__Attribute`` the last; ``None`` for others."""
    last = name.rpartition(SEPARATOR)[2]
    if re.fullmatch(r"Tag_[0-9A-F]{8}", last):
        return last[4:]
    try:
        return tag_of(last)
    except KeyError:
        return None


def vr_of_column(name: str) -> str:
    """VR of a column's attribute, the first where the dictionary has a choice; empty for other columns."""
    tag = tag_of_column(name)
    return ((vr_of(tag) if tag else None) or "").split(" or ")[0]


def _find(fields: Sequence[Field], name: str) -> Field | None:
    # Columns of BigQuery do not differ by case.
    return next((each for each in fields if each["name"].lower() == name.lower()), None)


def _name_of(name: str, fields: Sequence[Field], text: str) -> str:
    """The column that the attribute *name* would have: of a tag, or to say that it is no attribute."""
    try:
        return COLUMNS[parse_attribute(name)].name
    except InvalidArgument:
        near = difflib.get_close_matches(name, [each["name"] for each in fields], n=3) or nearest_keywords(name[:64])
        raise InvalidArgument(
            f"{name!a:.80} in {text!a:.80} is neither a column of the table nor a DICOM attribute"
            + (f"; did you mean {', '.join(near)}?" if near else "")
        ) from None
