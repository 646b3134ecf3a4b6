"""The page that says which functions work is true: each has an answer, or is refused by its name."""

from __future__ import annotations

import pytest

from dicomkit.engine.services.googlesql.translate import supported_functions
from dicomkit.errors import InvalidArgument

from .conftest import Query
from .documented import FAMILIES, PAGE, Example, page

WORKS = [example for family in FAMILIES for example in family.works]
REFUSED = [name for family in FAMILIES for name in family.refused]

SYNTAX = {
    "ARRAY", "CASE", "CAST", "CUME_DIST", "DENSE_RANK", "EXTRACT", "FIRST_VALUE", "IF", "LAG", "LAST_VALUE", "LEAD",
    "NTH_VALUE", "NTILE", "PERCENTILE_CONT", "PERCENTILE_DISC", "PERCENT_RANK", "RANK", "ROW_NUMBER", "SAFE_CAST",
}  # fmt: skip
"""What is written like a function and is grammar, or needs OVER."""


@pytest.mark.parametrize("example", WORKS, ids=lambda example: example.name)
def test_a_function_that_works_gives_the_documented_answer(query: Query, example: Example) -> None:
    """The call is one of the documentation, or as simple, and so is its answer."""
    assert query(example.sql) == [(example.answer,)]


@pytest.mark.parametrize("name", REFUSED)
def test_a_function_that_is_refused_is_named(query: Query, name: str) -> None:
    """The reader of the message knows that it is not the spelling."""
    with pytest.raises(InvalidArgument, match=rf"the function {name} is not supported by the embedded BigQuery"):
        query(f"SELECT {name}('x')")


def test_every_function_is_on_the_page() -> None:
    """Nothing works that the page does not name, and no name is on it twice."""
    names = [example.name for example in WORKS] + REFUSED
    assert len(names) == len(set(names))
    assert {example.name for example in WORKS} - SYNTAX == set(supported_functions())


def test_the_page_is_made_from_the_list() -> None:
    """Run ``python -m tests.unit.googlesql.documented`` after a change of the list."""
    assert PAGE.read_text(encoding="utf-8") == page()
