"""Text of a column -> the number that it says, in GoogleSQL.

DS and IS are STRING in the table, and a column of them can hold what is no number. CAST would end the query then, and
BigQuery's SAFE_CAST takes ``0x1F`` and ``nan``, which are none in DICOM: a pattern comes first.

========  =======================================================================================
VR        value
========  =======================================================================================
IS        INT64
DS        FLOAT64
AS        years, as FLOAT64: days / 365.25, weeks * 7 / 365.25, months / 12
PN        text in DICOM's own form, ``Family^Given^...=Ideographic=Phonetic``, as a search has it
========  =======================================================================================

A column with several values is an array of these; where one of them does not fit, it is an empty array, because a
result of BigQuery holds no array with NULL in it.

Source: DICOM PS3.5 sections 6.2 and 6.2.1; GoogleSQL reference, "Conversion functions", "RE2".
"""

from __future__ import annotations

from dataclasses import dataclass

from dicomkit.bigquery.identifiers import identifier
from dicomkit.bigquery.paths import vr_of_column
from dicomkit.bigquery.relation import is_record, is_repeated
from dicomkit.bigquery.schema import Field

__all__ = ["Cast", "cast_of", "text_of"]

_INTEGER = r"r'^ *[+-]?[0-9]+ *$'"
_NUMBER = r"r'^ *[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)? *$'"
_AGE = r"r'^ *[0-9][0-9][0-9][DWMY] *$'"
# What is left of "+5" is a number everywhere.
_BARE = "LTRIM(TRIM({0}), '+')"

_ONE = {
    "IS": f"IF(REGEXP_CONTAINS({{0}}, {_INTEGER}), SAFE_CAST({_BARE} AS INT64), NULL)",
    "DS": f"IF(REGEXP_CONTAINS({{0}}, {_NUMBER}), SAFE_CAST({_BARE} AS FLOAT64), NULL)",
    "AS": (
        f"IF(REGEXP_CONTAINS({{0}}, {_AGE}), CAST(SUBSTR(TRIM({{0}}), 1, 3) AS FLOAT64) * "
        "CASE SUBSTR(TRIM({0}), 4, 1) WHEN 'D' THEN 1 / 365.25 WHEN 'W' THEN 7 / 365.25 WHEN 'M' THEN 1 / 12 ELSE 1 END"
        ", NULL)"
    ),
}
_TYPES = {"IS": "INTEGER", "DS": "FLOAT", "AS": "FLOAT"}

_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


@dataclass(frozen=True, slots=True)
class Cast:
    """How one column becomes another type."""

    vr: str
    type: str
    one: str
    """Of one value, for ``format``."""
    is_array: bool

    def of(self, value: str) -> str:
        """The cast of *value*, an expression of the column's type."""
        if not self.is_array:
            return self.one.format(value)
        if self.vr == "PN":
            # An empty name among others: no array of a result may hold NULL.
            name = f"IFNULL({self.one.format('v')}, '')"
            return f"ARRAY(SELECT {name} FROM UNNEST({value}) AS v WITH OFFSET AS place ORDER BY place)"
        some = f"EXISTS(SELECT 1 FROM UNNEST({value}) AS v WHERE {self.one.format('v')} IS NULL)"
        all_of = f"ARRAY(SELECT {self.one.format('v')} FROM UNNEST({value}) AS v WITH OFFSET AS place ORDER BY place)"
        return f"IF({some}, [], {all_of})"

    def fails(self, value: str) -> str:
        """Whether *value* says something, and does not fit."""
        if self.is_array:
            return f"EXISTS(SELECT 1 FROM UNNEST({value}) AS v WHERE {self.one.format('v')} IS NULL)"
        return f"(TRIM({value}) != '' AND {self.one.format(value)} IS NULL)"


def cast_of(each: Field) -> Cast | None:
    """The cast of a column; ``None`` for one that has its type already, or has none that is better."""
    vr = vr_of_column(each["name"])
    if vr == "PN" and is_record(each):
        return Cast(vr, "STRING", _name("{0}"), is_repeated(each))
    if vr in _ONE and each["type"] == "STRING":
        return Cast(vr, _TYPES[vr], _ONE[vr], is_repeated(each))
    return None


def text_of(each: Field, value: str) -> str | None:
    r"""*value* as text, several values with ``\`` between them; ``None`` for JSON, and records that are no name."""
    if is_record(each):
        if vr_of_column(each["name"]) != "PN":
            return None
        if not is_repeated(each):
            return _name(value)
        return _joined(value, f"IFNULL({_name('v')}, '')")
    if each["type"] == "JSON":
        return None
    if not is_repeated(each):
        return value if each["type"] == "STRING" else f"CAST({value} AS STRING)"
    if each["type"] == "STRING":
        return rf"NULLIF(ARRAY_TO_STRING({value}, '\\'), '')"
    return _joined(value, "CAST(v AS STRING)")


def _joined(array: str, one: str) -> str:
    return rf"(SELECT STRING_AGG({one}, '\\' ORDER BY place) FROM UNNEST({array}) AS v WITH OFFSET AS place)"


def _name(value: str) -> str:
    groups = []
    for group in _GROUPS:
        parts = ", '^', ".join(f"IFNULL({value}.{identifier(group)}.{identifier(part)}, '')" for part in _COMPONENTS)
        groups.append(f"RTRIM(CONCAT({parts}), '^')")
    return f"NULLIF(RTRIM(CONCAT({', '.join(_between(groups))}), '='), '')"


def _between(groups: list[str]) -> list[str]:
    return [groups[0], "'='", groups[1], "'='", groups[2]]
