"""Accept headers, as RFC 9110 section 12.5.1 and PS3.18 section 8.7.4 read them."""

from __future__ import annotations

import pytest

from dicomkit.engine.accept import parse_accept, wants


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, [("*/*", {})]),
        ("", [("*/*", {})]),
        ("a/b;q=0.1, c/d", [("c/d", {}), ("a/b", {})]),
        ("a/b, c/d", [("a/b", {}), ("c/d", {})]),
        ("a/b;q=0", []),
        ("a/b;q=nan", []),
        ('x/y; type="a,b/c"; q=0.5, z/*', [("z/*", {}), ("x/y", {"type": "a,b/c"})]),
        ("nonsense, a/b", [("a/b", {})]),
        (
            'multipart/related; type="application/dicom"; transfer-syntax=*',
            [("multipart/related", {"type": "application/dicom", "transfer-syntax": "*"})],
        ),
    ],
)
def test_ranges_come_in_the_order_of_preference(header: str | None, expected: list) -> None:
    """Quality first, then the order of the header; what is refused or unreadable is left out."""
    assert [(r.media, r.params) for r in parse_accept(header)] == expected


def test_a_long_header_is_bounded() -> None:
    """A hundred thousand entries cost no more than a few."""
    assert len(parse_accept("a/b," * 100_000)) == 64


def test_the_first_offer_of_the_most_wanted_range_wins() -> None:
    """*/* takes the server's default."""
    offers = ("application/dicom+xml", "application/dicom+json")
    assert wants("*/*", offers) == offers[0]
    assert wants("application/dicom+json, */*;q=0.5", offers) == offers[1]
    assert wants("image/*", offers) is None
