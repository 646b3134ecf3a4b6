"""Numbers, ages and names of a table with their types, and what could not get one."""

from __future__ import annotations

from collections.abc import Sequence

from dicomkit.bigquery.casts import Cast, cast_of, text_of
from dicomkit.bigquery.columns import OTHER_ELEMENTS
from dicomkit.bigquery.identifiers import column, identifier, label
from dicomkit.bigquery.paths import resolve, tag_of_column, vr_of_column
from dicomkit.bigquery.relation import Relation, T, is_record, refuse_json
from dicomkit.bigquery.schema import Field
from dicomkit.errors import InvalidArgument

__all__ = ["misfits", "typed"]

RAW = "_raw"
"""After the name of a column that is as the table has it; no DICOM keyword has an underscore."""

YEARS = "_years"
"""After the name of an AS attribute, whose own column stays."""


def typed(relation: Relation, names: Sequence[str], *, raw: bool) -> Relation:
    """The columns with their types; see ``TableRows.typed``."""
    listed: list[str] = []
    fields: list[Field] = []

    def add(name: str, value: str, kind: Field) -> None:
        listed.append(f"{value} AS {identifier(name)}")
        fields.append({**kind, "name": name})

    for each in _chosen(relation, names):
        name, value, cast = each["name"], column(T, each["name"]), cast_of(each)
        if cast is None:
            add(name, value, each)
            continue
        kind: Field = {"type": cast.type, "mode": each.get("mode", "NULLABLE")}
        if cast.vr == "AS":
            add(name, value, each)
            add(name + YEARS, cast.of(value), kind)
        else:
            add(name, cast.of(value), kind)
            if raw:
                add(name + RAW, value, each)
    return relation.then("typed", f"SELECT {', '.join(listed)}\nFROM {relation.source}", fields)


def misfits(relation: Relation, names: Sequence[str]) -> Relation:
    """The values that have no place in the type of their column; see ``TypedRows.misfits``.

    Two kinds: text in a column of text (IS, DS, AS) that is no number, and what the service wrote to OtherElements
    because the column's own type (DATE, TIME, TIMESTAMP, INTEGER, FLOAT, a name) could not hold it.
    """
    relation.require(("SOPInstanceUID",), "a report of values")
    chosen = _chosen(relation, names)
    casts = [(each, cast) for each in chosen if (cast := cast_of(each)) is not None and cast.vr != "PN"]
    aside = [
        (each["name"], f"Tag_{tag_of_column(each['name'])}", vr_of_column(each["name"]))
        for each in chosen
        if _is_strict(each) and relation.has(OTHER_ELEMENTS)
    ]
    parts = []
    if casts:
        structs = ", ".join(_value(each, cast) for each, cast in casts)
        parts.append(
            f"SELECT f.attribute AS attribute, f.vr AS vr, f.value AS value, {column(T, 'SOPInstanceUID')} AS uid\n"
            f"FROM {relation.source}\nCROSS JOIN UNNEST([{structs}]) AS f\nWHERE f.misfits"
        )
    if aside:
        structs = ", ".join(
            f"STRUCT({label(name)} AS attribute, {label(vr)} AS vr, {label(tag)} AS tag)" for name, tag, vr in aside
        )
        parts.append(
            f"SELECT a.attribute AS attribute, a.vr AS vr, "
            rf"ARRAY_TO_STRING(o.{identifier('Data')}, '\\') AS value, {column(T, 'SOPInstanceUID')} AS uid"
            f"\nFROM {relation.source}\nCROSS JOIN UNNEST({column(T, OTHER_ELEMENTS)}) AS o\n"
            f"CROSS JOIN UNNEST([{structs}]) AS a\nWHERE a.tag = o.{identifier('Tag')}"
        )
    if not parts:
        raise InvalidArgument("none of the columns has a type that a value could fail to have")
    inner = "\nUNION ALL\n".join(parts).replace("\n", "\n  ")
    return relation.then(
        "misfits",
        "SELECT m.attribute AS attribute, m.vr AS vr, m.value AS value, COUNT(DISTINCT m.uid) AS instances\n"
        f"FROM (\n  {inner}\n) AS m\nGROUP BY m.attribute, m.vr, m.value\nORDER BY attribute, instances DESC, value",
        [
            {"name": "attribute", "type": "STRING", "mode": "NULLABLE"},
            {"name": "vr", "type": "STRING", "mode": "NULLABLE"},
            {"name": "value", "type": "STRING", "mode": "NULLABLE"},
            {"name": "instances", "type": "INTEGER", "mode": "NULLABLE"},
        ],
    )


def _chosen(relation: Relation, names: Sequence[str]) -> list[Field]:
    if not names:
        refuse_json(relation.fields)
        return list(relation.fields)
    wanted = [*relation.uids]
    for name in names:
        path = resolve(relation.fields, name)
        if len(path.fields) > 1:
            raise InvalidArgument(
                f"{name!a:.80} is inside of {path.names[0]}; flatten it first, then give {path.column}"
            )
        if path.column not in wanted:
            wanted.append(path.column)
    return [relation.named(name) for name in wanted]


def _is_strict(each: Field) -> bool:
    """Whether the service puts a value aside that the column's type does not take."""
    if tag_of_column(each["name"]) is None or "__" in each["name"]:
        return False
    return vr_of_column(each["name"]) == "PN" if is_record(each) else each["type"] != "STRING"


def _value(each: Field, cast: Cast) -> str:
    value = column(T, each["name"])
    return (
        f"STRUCT({label(each['name'])} AS attribute, {label(cast.vr)} AS vr, "
        f"{text_of(each, value)} AS value, {cast.fails(value)} AS misfits)"
    )
