"""The filter of a list of stores."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomkit.errors import InvalidArgument
from dicomkit.resources.label_filter import MAX_CHARACTERS, LabelFilter

LABELS = {"env": "test", "site": "a-1", "empty": ""}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("  ", True),
        ("labels.env=test", True),
        (" labels.env = test ", True),
        ('labels.env="test"', True),
        ("labels.env=tes", False),
        ("labels.env=TEST", False),
        ("labels.none=test", False),
        ('labels.empty=""', True),
        ('labels.none=""', False),
        ('labels."env"=test', True),
        ("NOT labels.env=test", False),
        ("NOT NOT labels.env=test", True),
        ("labels.env=test AND labels.site=a-1", True),
        ("labels.env=test AND NOT labels.site=a-1", False),
        ("labels.env=x OR labels.site=a-1", True),
        ("labels.env=test OR labels.env=x AND labels.site=x", True),
        ("(labels.env=test OR labels.env=x) AND labels.site=x", False),
        ("NOT (labels.env=x OR labels.site=x)", True),
        ("NOT labels.env=x AND labels.site=x", False),
        ('labels.env="test" AND (labels.site=a-1)', True),
        ('labels.env="x AND labels.site=a-1"', False),
        ('labels.env="\\t\\e\\s\\t"', True),
        ('labels.env="AND" OR labels.site=a-1', True),
    ],
)
def test_filter_decides(text: str, fits: bool) -> None:
    """Equality, quotes, NOT before AND before OR, and parentheses; a word inside quotes is text."""
    assert LabelFilter.parse(text).matches(LABELS) is fits


@pytest.mark.parametrize(
    "text",
    [
        "env=test",
        "name=ct",
        "labels",
        "labels=x",
        "labels.",
        "labels.=x",
        "labels.env",
        "labels.env=",
        "labels.env=AND",
        "labels.env==x",
        "labels.env!=x",
        "labels.env>x",
        "labels.env=>x",
        "labels.env=<5",
        "labels.env:x",
        "labels.a=1 labels.b=2",
        "labels.a=1 and labels.b=2",
        "labels.a=1 AND",
        "AND labels.a=1",
        "NOT",
        "()",
        "(labels.a=1",
        "labels.a=1)",
        'labels.a="1',
        'labels.a=1"',
        "labels.a=\\",
        '"labels.a"=1',
        '"labels.a=1"',
        "labels.a=" + "x" * MAX_CHARACTERS,
        "(" * 1000 + "labels.a=1" + ")" * 1000,
        "NOT " * 400 + "labels.a=1",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    """400 with the name of the parameter; no guess, and no recursion without end."""
    with pytest.raises(InvalidArgument, match="^filter: "):
        LabelFilter.parse(text)


@given(st.text(alphabet='labels.env=test"()\\ ANDORT<>!\n', max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """There is no third way out."""
    try:
        LabelFilter.parse(text).matches(LABELS)
    except InvalidArgument as error:
        assert "filter" in error.message
