"""Queries over a streamed table as text: what names may become, what values never do, what steps are made of."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from dicomkit.bigquery import current, flatten, private, summaries, typed
from dicomkit.bigquery.identifiers import column, identifier, label
from dicomkit.bigquery.paths import check, resolve, tag_of_column, vr_of_column
from dicomkit.bigquery.relation import Relation, of_table
from dicomkit.bigquery.row import build_row
from dicomkit.bigquery.schema import schema_for
from dicomkit.bigquery.table_uri import parse_uri
from dicomkit.errors import FailedPrecondition, InvalidArgument
from tests.unit.bigquery.instances_of_tables import ELEMENTS, LAST_UPDATED

TABLE = parse_uri("bq://a-project.set.table")

HOSTILE = [
    "a`b",
    "a'b",
    'a"b',
    "a;b",
    "a b",
    "a\\b",
    "a-b",
    "a\nb",
    "a--b",
    "ä",
    "",
    "a" * 1025,
    "Modality\n",
    "x) OR (TRUE",
]
"""What no column is called, check C54 among them."""


def relation() -> Relation:
    """The rows of a table with sequences, names and private elements."""
    row = build_row({}, ELEMENTS, event="CREATE", last_updated=LAST_UPDATED, storage_class="STANDARD", blob_size=1)
    return of_table(TABLE, schema_for(row))


def flat(rows: Relation, *paths: str, branches: flatten.Branches = "aligned") -> Relation:
    """The usual way to flatten."""
    return flatten.flatten(rows, paths, keep=None, branches=branches, keep_empty=False, places=True)


STEPS: dict[str, Callable[[Relation], Relation]] = {
    "current": current.current,
    "sample": lambda rows: current.sample(rows, 5, 1),
    "flatten": lambda rows: flat(rows, "RequestAttributesSequence.ScheduledProcedureStepID"),
    "aligned": lambda rows: flat(rows, "RequestAttributesSequence", "AnatomicRegionSequence.CodeValue"),
    "product": lambda rows: flat(rows, "RequestAttributesSequence", "AnatomicRegionSequence", branches="product"),
    "private": lambda rows: private.private(rows, creator="ACME", within=None),
    "within": lambda rows: private.private(rows, creator=None, within="RequestAttributesSequence"),
    "typed": lambda rows: typed.typed(rows, (), raw=True),
    "misfits": lambda rows: typed.misfits(rows, ()),
    "facets": lambda rows: summaries.facets(rows, ("Modality", "ImageType", "PatientName"), top=3),
    "missing": lambda rows: summaries.missing(rows, (), by="Modality"),
    "describe": lambda rows: summaries.describe(rows, ()),
}
"""Every query that can be made of a table."""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_is_none_becomes_no_sql(name: str) -> None:
    """Each way of a name into the text refuses it, before anything is asked of a server."""
    for way in (
        identifier,
        label,
        check,
        lambda text: column("t", text),
        lambda text: resolve(relation().fields, text),
    ):
        with pytest.raises(InvalidArgument):
            way(name)


@given(st.text(max_size=40))
def test_any_text_is_a_quoted_name_or_refused(text: str) -> None:
    """What comes out is one identifier for a parser of BigQuery's SQL, and it is the text."""
    try:
        quoted = identifier(text)
    except InvalidArgument:
        assert not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text, re.ASCII)
        return
    (found,) = sqlglot.parse_one(f"SELECT {quoted}", dialect="bigquery").expressions
    assert found.name == text
    assert label(text) == f"'{text}'"


@pytest.mark.parametrize("step", STEPS)
def test_every_query_is_one_of_bigquery(step: str) -> None:
    """A parser that is not ours reads it as one SELECT; its columns are those that are told of it."""
    made = STEPS[step](current.current(relation()))
    (query,) = sqlglot.parse(made.sql, dialect="bigquery")
    assert query is not None
    names = [each["name"] for each in made.fields]
    assert len(names) == len(set(names))
    if not query.is_star:
        assert query.named_selects == names
    assert {name.lower() for name in re.findall(r"@(\w+)", made.sql)} == set(made.params)


def test_steps_have_names_and_parameters_of_their_own() -> None:
    """The same step twice is two WITH clauses, and neither takes the other's value."""
    made = current.sample(current.sample(relation(), 5, 1), 3, 2)
    assert sorted(made.params.values(), key=str) == sorted([5, "1", 3, "2"], key=str)
    made = current.sample(made, 1, 0)
    names = [cte.alias for cte in sqlglot.parse_one(made.sql, dialect="bigquery").ctes]
    assert len(names) == len(set(names)) == 2


@given(st.text(min_size=1, max_size=64).filter(lambda text: text.strip()))
def test_a_value_is_a_parameter_and_no_text(value: str) -> None:
    """The SQL is the same whatever creator is asked for."""
    made = private.private(relation(), creator=value, within=None)
    assert made.sql == STEPS["private"](relation()).sql
    assert made.params["creator"] == value.strip()


def test_a_table_without_what_tells_events_apart_has_no_current_rows() -> None:
    """Google's tables of before September 2022 lack Type and LastUpdated; a guess would be wrong."""
    old = of_table(TABLE, [each for each in relation().fields if each["name"] not in ("Type", "LastUpdated")])
    with pytest.raises(FailedPrecondition, match="Type, LastUpdated"):
        current.current(old)


@pytest.mark.parametrize(
    ("name", "tag", "vr"),
    [
        ("SliceThickness", "00180050", "DS"),
        ("RequestAttributesSequence__ScheduledProcedureStepID", "00400009", "SH"),
        ("SmallestImagePixelValue", "00280106", "US"),
        ("Tag_00091010", "00091010", ""),
        ("LastUpdated", None, ""),
        ("OtherElements", None, ""),
    ],
)
def test_a_column_leads_back_to_its_attribute(name: str, tag: str | None, vr: str) -> None:
    """Also after sequences were flattened; the table's own columns are no attributes."""
    assert tag_of_column(name) == tag
    assert vr_of_column(name) == vr


def test_flattened_columns_keep_their_types() -> None:
    """So that numbers of a sequence can be cast after it was flattened."""
    made = flat(relation(), "RequestAttributesSequence.ScheduledProcedureStepID", "AnatomicRegionSequence")
    kinds = {each["name"]: (each["type"], each.get("mode")) for each in made.fields}
    assert kinds["RequestAttributesSequence__ScheduledProcedureStepID"] == ("STRING", "NULLABLE")
    assert kinds["AnatomicRegionSequence__place"] == ("INTEGER", "NULLABLE")
    with pytest.raises(InvalidArgument, match="nothing to flatten"):
        flat(made, "RequestAttributesSequence__ScheduledProcedureStepID")
