"""Accept headers, as RFC 9110 section 12.5.1 and PS3.18 section 8.7.4 read them."""

from __future__ import annotations

import pytest

from dicomkit.engine.accept import Accept, Offer, Offers, parse_accept, wants


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


OCTETS = "application/octet-stream"
PARTS = Offer("image/jp2", multipart=True, syntax="1.2.840.10008.1.2.4.90")
LOSSY_PARTS = Offer("image/jp2", multipart=True, syntax="1.2.840.10008.1.2.4.91", is_default=False)
ALONE = Offer("image/jp2", syntax="1.2.840.10008.1.2.4.90")
RAW = Offer(OCTETS, multipart=True, syntax="1.2.840.10008.1.2.1")
STORED = Offer(OCTETS, multipart=True, syntax="*", is_default=False)
OFFERS = Offers((RAW, STORED, PARTS, LOSSY_PARTS, ALONE))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, [RAW, PARTS, ALONE]),
        ("multipart/related", [RAW, PARTS]),
        ("image/*", [ALONE]),
        ('multipart/related; type="image/*"', [PARTS]),
        ("multipart/related; type=image/jp2", [PARTS]),
        ("Multipart/Related; Type=IMAGE/JP2", [PARTS]),
        ("multipart/related; type=image/jp2; transfer-syntax=1.2.840.10008.1.2.4.91", [LOSSY_PARTS]),
        ('multipart/related; type="image/jp2"; transfer-syntax="1.2.840.10008.1.2.4.91"', [LOSSY_PARTS]),
        (f'multipart/related; type="{OCTETS}"; transfer-syntax=*', [STORED]),
        (f'multipart/related; type="{OCTETS}"; transfer-syntax=*; q=0.1, image/jp2; q=0.2', [ALONE, STORED]),
        # The most specific range decides about an offer (RFC 9110 section 12.5.1).
        ("*/*; q=0.9, image/jp2; q=0", [RAW, PARTS]),
        ("image/*, image/jp2; q=0.3, multipart/*; q=0.5", [RAW, PARTS, ALONE]),
        ('*/*, multipart/related; type="image/jp2"; q=0', [RAW, ALONE]),
        ("multipart/related; type=image/gif", []),
        ("image/jp2; transfer-syntax=1.2.3", []),
    ],
)
def test_offers_are_ranked_by_what_the_client_wants(header: str | None, expected: list[Offer]) -> None:
    """Types of parts, transfer syntaxes, wildcards and weights; a syntax that is not named is the default one."""
    assert list(Accept.of(header, b"", heeds_query=True).ranked(OFFERS)) == expected


@pytest.mark.parametrize(
    ("query", "header", "expected"),
    [
        (b"accept=image/jp2", "*/*", [ALONE, RAW, PARTS]),
        (b"x=1&accept=multipart/related%3Btype=image/jp2", "text/html", [PARTS]),
        (b"accept=multipart%2Frelated;type=%22image/jp2%22,image/jp2", None, [PARTS, ALONE, RAW]),
        (b"accept=text/html", "image/jp2", [ALONE]),
        (b"accept=*/*", "text/html", []),
        (b"accept=", "image/jp2", [ALONE]),
    ],
)
def test_the_query_parameter_goes_before_the_header(query: bytes, header: str | None, expected: list[Offer]) -> None:
    """It has no wildcards; what it names and cannot be had leaves the choice to the header (PS3.18 8.7.8.1)."""
    assert list(Accept.of(header, query, heeds_query=True).ranked(OFFERS)) == expected


def test_a_plus_sign_in_the_query_is_one() -> None:
    """?accept=application/dicom+json, as people type it."""
    offers = Offers((Offer("text/html"), Offer("application/dicom+json")))
    accept = Accept.of(None, b"accept=application/dicom+json", heeds_query=True)
    assert accept.ranked(offers)[0].media == "application/dicom+json"
    assert Accept.of(None, accept.query.encode(), heeds_query=False).ranked(offers)[0].media == "text/html"


def test_a_refusal_says_what_can_be_had() -> None:
    """In the words of the service; long input is cut."""
    error = Accept.of("text/" + "x" * 500, b"", heeds_query=True).refusal(OFFERS)
    assert error.status == 406
    assert error.message.startswith("no supported media type found in [text/xxx")
    assert f'accept-header must include one of multipart/related; type="{OCTETS}"' in error.message
    assert len(error.message) < 700
