"""Tables that say what is in a table: values and how often, what is missing, ranges.

Each reads the table once, however many columns are asked about. Source: GoogleSQL reference, "Aggregate functions",
"Array functions", QUALIFY.
"""

from __future__ import annotations

from collections.abc import Sequence

from dicomkit.bigquery.casts import cast_of, text_of
from dicomkit.bigquery.identifiers import column, identifier, label
from dicomkit.bigquery.paths import ColumnPath, resolve, vr_of_column
from dicomkit.bigquery.relation import Relation, T, is_record, is_repeated
from dicomkit.bigquery.schema import Field
from dicomkit.errors import InvalidArgument

__all__ = ["describe", "facets", "missing"]

MAX_TOP = 1_000_000
"""Most values of an attribute."""

_TEXT = {"type": "STRING", "mode": "NULLABLE"}
_WHOLE = {"type": "INTEGER", "mode": "NULLABLE"}
_NUMBER = {"type": "FLOAT", "mode": "NULLABLE"}
_COUNTED = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}
_NUMBERS = ("INTEGER", "INT64", "FLOAT", "FLOAT64")


def facets(relation: Relation, names: Sequence[str], *, top: int) -> Relation:
    """The values of attributes and how often each is there; see ``TableRows.facets``."""
    if not names:
        raise InvalidArgument("facets takes at least one attribute, as in facets('Modality', 'BodyPartExamined')")
    if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top <= MAX_TOP:
        raise InvalidArgument(f"top is a whole number from 1 to {MAX_TOP}; got {top!a:.40}")
    relation.require(_COUNTED.values(), "to count what has a value")
    structs = []
    for place, name in enumerate(names):
        path = _outside(relation, name)
        text = text_of(path.last, column(T, *path.names))
        if text is None:
            raise InvalidArgument(f"{name!a:.80} is a record, and has no values to count; give one of its fields")
        structs.append(f"STRUCT({place} AS place, {label(path.column)} AS attribute, {text} AS value)")
    counted = ", ".join(f"COUNT(DISTINCT {column(T, uid)}) AS {name}" for name, uid in _COUNTED.items())
    limit = relation.free("top")
    order = "v.instances DESC, v.value"
    return relation.then(
        "facets",
        f"SELECT v.attribute AS attribute, v.value AS value, {', '.join(f'v.{n} AS {n}' for n in _COUNTED)}\n"
        f"FROM (\n"
        f"  SELECT f.place AS place, f.attribute AS attribute, f.value AS value, {counted}\n"
        f"  FROM {relation.source}\n  CROSS JOIN UNNEST([{', '.join(structs)}]) AS f\n"
        f"  GROUP BY f.place, f.attribute, f.value\n"
        f") AS v\nWHERE TRUE\nQUALIFY ROW_NUMBER() OVER (PARTITION BY v.place ORDER BY {order}) <= @{limit}\n"
        f"ORDER BY v.place, {order}",
        [{"name": "attribute", **_TEXT}, {"name": "value", **_TEXT}, *({"name": n, **_WHOLE} for n in _COUNTED)],
        {limit: top},
    )


def missing(relation: Relation, names: Sequence[str], *, by: str | None) -> Relation:
    """How many rows have no value of each attribute; see ``TableRows.missing``."""
    group = None
    if by is not None:
        group = _outside(relation, by)
        if is_record(group.last) or is_repeated(group.last):
            raise InvalidArgument(f"by takes an attribute of one value; {by!a:.80} has several, or is a record")
    counts, structs = [], []
    for number, path in enumerate(_columns(relation, names)):
        counts.append(f"COUNTIF({_is_empty(path.last, column(T, *path.names))}) AS m{number}")
        structs.append(f"STRUCT({label(path.column)} AS attribute, c.m{number} AS missing)")
    head = "" if group is None else f"{column(T, *group.names)} AS kind, "
    kind = "" if group is None else f"c.kind AS {identifier(group.column)}, "
    return relation.then(
        "missing_values",
        f"SELECT {kind}a.attribute AS attribute, c.n AS `rows`, a.missing AS missing, "
        f"SAFE_DIVIDE(a.missing, c.n) AS share\n"
        f"FROM (\n  SELECT {head}COUNT(*) AS n, {', '.join(counts)}\n  FROM {relation.source}"
        + ("" if group is None else "\n  GROUP BY kind")
        + f"\n) AS c\nCROSS JOIN UNNEST([{', '.join(structs)}]) AS a\n"
        f"ORDER BY {'' if group is None else 'c.kind, '}a.missing DESC, a.attribute",
        [
            *([] if group is None else [{**group.last, "name": group.column}]),
            {"name": "attribute", **_TEXT},
            {"name": "rows", **_WHOLE},
            {"name": "missing", **_WHOLE},
            {"name": "share", **_NUMBER},
        ],
    )


def describe(relation: Relation, names: Sequence[str]) -> Relation:
    """How many values each attribute has, how many different ones, from where to where; see ``TableRows.describe``."""
    # Each value is cast and written as text once, in a SELECT of its own: a parser takes long over deep expressions.
    values, inner, structs = [], [], []
    for number, path in enumerate(_columns(relation, names)):
        value, field = column(T, *path.names), path.last
        text, cast = text_of(field, value), cast_of(field)
        if text is None:
            continue
        ordered, is_number = f"v.v{number}", field["type"] in _NUMBERS and not is_repeated(field)
        values.append(f"{value} AS v{number}")
        if is_repeated(field) or is_record(field):
            ordered = f"v.x{number}"
            values.append(f"{text} AS x{number}")
        elif cast is not None and cast.vr in ("IS", "DS"):
            ordered, is_number = f"v.x{number}", True
            values.append(f"{cast.of(value)} AS x{number}")
        distinct = ordered if is_repeated(field) or is_record(field) else f"v.v{number}"
        inner += [
            f"COUNTIF(NOT ({_is_empty(field, f'v.v{number}')})) AS p{number}",
            f"COUNT(DISTINCT {distinct}) AS d{number}",
            f"{_as_text(field, f'MIN({ordered})', is_number)} AS a{number}",
            f"{_as_text(field, f'MAX({ordered})', is_number)} AS z{number}",
            f"{f'AVG({ordered})' if is_number else 'CAST(NULL AS FLOAT64)'} AS m{number}",
        ]
        structs.append(
            f"STRUCT({number} AS place, {label(path.column)} AS attribute, "
            f"{label(vr_of_column(path.last['name']) or 'none')} AS vr, {label(field['type'])} AS type, "
            f"c.p{number} AS present, c.d{number} AS distinct_values, c.a{number} AS smallest, c.z{number} AS largest, "
            f"c.m{number} AS mean)"
        )
    if not structs:
        raise InvalidArgument("none of the columns has values that could be described; flatten sequences first")
    return relation.then(
        "described",
        "SELECT a.attribute AS attribute, NULLIF(a.vr, 'none') AS vr, a.type AS type, a.present AS present, "
        "c.n - a.present AS missing, a.distinct_values AS `distinct`, a.smallest AS min, a.largest AS max, "
        "a.mean AS mean\n"
        f"FROM (\n  SELECT COUNT(*) AS n, {', '.join(inner)}\n"
        f"  FROM (\n    SELECT {', '.join(values)}\n    FROM {relation.source}\n  ) AS v\n) AS c\n"
        f"CROSS JOIN UNNEST([{', '.join(structs)}]) AS a\nORDER BY a.place",
        [
            *({"name": name, **_TEXT} for name in ("attribute", "vr", "type")),
            *({"name": name, **_WHOLE} for name in ("present", "missing", "distinct")),
            *({"name": name, **_TEXT} for name in ("min", "max")),
            {"name": "mean", **_NUMBER},
        ],
    )


def _columns(relation: Relation, names: Sequence[str]) -> list[ColumnPath]:
    if names:
        return [_outside(relation, name) for name in names]
    return [ColumnPath(fields=(each,)) for each in relation.fields]


def _outside(relation: Relation, name: str) -> ColumnPath:
    path = resolve(relation.fields, name)
    if any(end < len(path.fields) for end in path.chain):
        raise InvalidArgument(f"{name!a:.80} is in a sequence, and a row has several of it; flatten it first")
    return path


def _is_empty(each: Field, value: str) -> str:
    return f"IFNULL(ARRAY_LENGTH({value}), 0) = 0" if is_repeated(each) else f"{value} IS NULL"


def _as_text(each: Field, value: str, is_number: bool) -> str:
    if not is_number and (each["type"] == "STRING" or is_record(each) or is_repeated(each)):
        return value
    return f"CAST({value} AS STRING)"
