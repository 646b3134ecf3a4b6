"""Private elements: out of OtherElements, with the creator that reserved their block.

``OtherElements`` holds ``{Tag: "Tag_00091002", Data: [...]}`` for each element that has no column, its creators among
them (``Tag_00090010``); so it does at each level of nesting. A private sequence has a column of its own,
``Tag_00091010``, and is told here by the number of its items.

Source: Cloud Healthcare API, "BigQuery schema for DICOM"; DICOM PS3.5 section 7.8.1 (private blocks).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dicomkit.bigquery.columns import OTHER_ELEMENTS
from dicomkit.bigquery.identifiers import column, identifier, label
from dicomkit.bigquery.paths import ColumnPath, resolve
from dicomkit.bigquery.relation import Relation, T, is_record, refuse_json
from dicomkit.bigquery.schema import Field
from dicomkit.dicom.dictionary import is_private
from dicomkit.errors import InvalidArgument

__all__ = ["private"]

MAX_CREATOR = 64
"""Most characters of a private creator (VR LO)."""

_COLUMNS: list[Field] = [
    {"name": "creator", "type": "STRING", "mode": "NULLABLE"},
    {"name": "tag", "type": "STRING", "mode": "NULLABLE"},
    {"name": "attribute", "type": "STRING", "mode": "NULLABLE"},
    {"name": "values", "type": "STRING", "mode": "REPEATED"},
    {"name": "items", "type": "INTEGER", "mode": "NULLABLE"},
]


def private(relation: Relation, *, creator: str | None, within: str | None) -> Relation:
    """One row per private element; see ``TableRows.private``."""
    if creator is not None and not (isinstance(creator, str) and 1 <= len(creator.strip()) <= MAX_CREATOR):
        raise InvalidArgument(f"a private creator is text of 1 to {MAX_CREATOR} characters; got {creator!a:.80}")
    refuse_json(relation.fields)
    relation.require(("SOPInstanceUID",), "to list private elements")
    joins: list[str] = []
    owner, fields = T, list(relation.fields)
    if within is not None:
        path = resolve(relation.fields, within)
        joins, owner = _joins(path, within)
        fields = list(path.last.get("fields", ()))
    kept = [relation.named(name) for name in relation.uids]
    names = ", ".join(column(T, each["name"]) for each in kept)
    elements = _elements(owner, fields)
    # The creator of (gggg,xxee) is the value of (gggg,00xx) beside it.
    beside = "CONCAT(SUBSTR(e.tag, 1, 4), '00', SUBSTR(e.tag, 5, 2))"
    found = (
        f"(SELECT ANY_VALUE(TRIM(c.{identifier('Data')}[SAFE_OFFSET(0)])) "
        f"FROM UNNEST({column(owner, OTHER_ELEMENTS)}) AS c "
        f"WHERE c.{identifier('Tag')} = CONCAT('Tag_', {beside}))"
    )
    if not any(each["name"] == OTHER_ELEMENTS for each in fields):
        found = "CAST(NULL AS STRING)"
    lines = [
        f"SELECT {names}, {found} AS creator, e.tag AS tag, e.data AS data, e.items AS items",
        f"FROM {relation.source}",
        *(f"CROSS JOIN {join}" for join in joins),
        f"CROSS JOIN UNNEST({elements}) AS e",
        # Odd groups, and not the elements that name creators.
        "WHERE SUBSTR(e.tag, 4, 1) IN ('1', '3', '5', '7', '9', 'B', 'D', 'F') AND SUBSTR(e.tag, 5, 2) != '00'",
    ]
    listed = ", ".join(column(T, each["name"]) for each in kept)
    attribute = (
        "CONCAT(SUBSTR(t.tag, 1, 4), 'xx', SUBSTR(t.tag, 7, 2), IF(t.creator IS NULL, '', CONCAT('[', t.creator, ']')))"
    )
    text = (
        f"SELECT {listed}, t.creator AS creator, t.tag AS tag, {attribute} AS attribute, "
        f"t.data AS `values`, t.items AS items\nFROM (\n  " + "\n".join(lines).replace("\n", "\n  ") + f"\n) AS {T}"
    )
    params = {}
    if creator is not None:
        name = relation.free("creator")
        text += f"\nWHERE t.creator = @{name}"
        params[name] = creator.strip()
    text += f"\nORDER BY {column(T, 'SOPInstanceUID')}, t.tag"
    return relation.then("private_elements", text, [*kept, *_COLUMNS], params)


def _elements(owner: str, fields: Sequence[Field]) -> str:
    """An array of ``{tag, data, items}``: of OtherElements, and one for each private sequence that has items."""
    arrays = []
    if any(each["name"] == OTHER_ELEMENTS for each in fields):
        arrays.append(
            f"ARRAY(SELECT AS STRUCT SUBSTR(o.{identifier('Tag')}, 5) AS tag, o.{identifier('Data')} AS data, "
            f"CAST(NULL AS INT64) AS items FROM UNNEST({column(owner, OTHER_ELEMENTS)}) AS o)"
        )
    empty = "ARRAY(SELECT v FROM UNNEST(['']) AS v WHERE FALSE)"
    for each in fields:
        name = each["name"]
        if is_record(each) and re.fullmatch(r"Tag_[0-9A-F]{8}", name) and is_private(name[4:]):
            count = f"ARRAY_LENGTH({column(owner, name)})"
            arrays.append(
                f"ARRAY(SELECT AS STRUCT SUBSTR({label(name)}, 5) AS tag, {empty} AS data, {count} AS items "
                f"FROM UNNEST([1]) AS one WHERE {count} > 0)"
            )
    if not arrays:
        raise InvalidArgument("there is no column that could hold a private element here")
    text = arrays[0]
    for array in arrays[1:]:
        text = f"ARRAY_CONCAT({text}, {array})"
    return text


def _joins(path: ColumnPath, within: str) -> tuple[list[str], str]:
    if not path.chain or path.chain[-1] != len(path.fields):
        raise InvalidArgument(f"within names a sequence; {within!a:.80} is none")
    joins, owner, begin = [], T, 0
    for number, end in enumerate(path.chain, 1):
        joins.append(f"UNNEST({column(owner, *path.names[begin:end])}) AS i{number}")
        owner, begin = f"i{number}", end
    return joins, owner
