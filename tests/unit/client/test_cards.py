"""Cards for notebooks: text that is hostile stays text."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from dicomkit.client.cards import card

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</code><b>", "&lt;", "<thin>"]


class Tags(HTMLParser):
    """Counts tags and gathers the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(text: str) -> Tags:
    """A card with *text* in each of its places."""
    parser = Tags()
    parser.feed(card(text, text, [(text, text)], {text: text}))
    parser.close()
    return parser


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_adds_no_element(text: str) -> None:
    """The elements and attributes are those of a card with harmless text, and the text can be read."""
    got = parsed(text)
    assert got.tags == parsed("harmless").tags
    assert got.text.count(text) == 6
