"""Names of BigQuery tables."""

from __future__ import annotations

import pytest

from dicomkit.bigquery.table_uri import TableReference, parse_uri
from dicomkit.errors import InvalidArgument


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("bq://local.imaging.ct", ("local", "imaging", "ct")),
        ("bq://my-project-1.DICOM_1.scans-2024", ("my-project-1", "DICOM_1", "scans-2024")),
        ("bq://example.com:proj.ds.t", ("example.com:proj", "ds", "t")),
        ("bq://p.d.Türen 01", ("p", "d", "Türen 01")),
    ],
)
def test_uri_round_trips(uri: str, parts: tuple[str, str, str]) -> None:
    """A URI gives the three parts, and the parts give the URI back."""
    ref = parse_uri(uri)
    assert (ref.project, ref.dataset, ref.table) == parts
    assert ref.uri == uri
    assert TableReference(*parts) == ref


def test_sql_quotes_the_whole_name() -> None:
    """GoogleSQL takes the three parts in one pair of back-ticks."""
    assert parse_uri("bq://my-project.ds.t-1").sql == "`my-project.ds.t-1`"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "local.imaging.ct",
        "BQ://p.d.t",
        "gs://p.d.t",
        "bq://",
        "bq://p.d",
        "bq://p..t",
        "bq://.d.t",
        "bq://p.d.",
        "bq://p.d.t.x",
        "bq://p/d.d.t",
        "bq://p.d-1.t",
        "bq://p.dä.t",
        "bq://p.d.t`; DROP TABLE x",
        "bq://p.d.a\\b",
        "bq://p.d.a\nb",
        "bq://p.d.a'b",
        'bq://p.d.a"b',
        "bq://p.d.t$20240101",
        "bq://p.d.\ud800",
        "bq://p\n.d.t",
        "bq://-p.d.t",
        "bq://p.d." + "é" * 513,
    ],
)
def test_bad_uris_are_refused(uri: str) -> None:
    """Nothing passes that BigQuery does not take as a name, and nothing that could leave its quotes in SQL."""
    with pytest.raises(InvalidArgument):
        parse_uri(uri)


def test_length_is_limited() -> None:
    """``tableUri`` has at most 2000 characters; the length is told, not the text."""
    uri = "bq://p." + "d" * 1000 + "." + "t" * 1000
    with pytest.raises(InvalidArgument, match="2000 characters"):
        parse_uri(uri)


def test_message_says_the_form() -> None:
    """Who writes the URI wrong reads in the message how it is written."""
    with pytest.raises(InvalidArgument, match="bq://project.dataset.table"):
        parse_uri("projects/p/datasets/d/tables/t")
