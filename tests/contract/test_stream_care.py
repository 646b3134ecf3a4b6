"""Rows from before a stream, and what ``doctor`` says of streams that do not work."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

import dicomkit as dk
from dicomkit.errors import FailedPrecondition, InvalidArgument
from tests.contract.instances import ROOT, ct_slice

TABLE = "bq://local.imaging.ct"


@pytest.fixture
def store(conn: dk.Dataset) -> dk.Store:
    """Two instances, and no stream."""
    made = conn.create_store("ct")
    made.upload([ct_slice(1, 1, 1), ct_slice(1, 1, 2)])
    return made


def states(report: pd.DataFrame) -> dict[str, str]:
    """The state of each check."""
    assert report.columns.tolist() == [column.name for column in dk.frames.DOCTOR]
    return dict(zip(report["check"], report["state"], strict=True))


def row_of(report: pd.DataFrame, check: str) -> pd.Series:
    """The row of one check."""
    (row,) = (row for _, row in report.iterrows() if row["check"] == check)
    return row


def test_backfill_brings_what_was_there_before_the_stream(store: dk.Store) -> None:
    """Rows of old instances and of new ones in one table; the current rows have each instance once."""
    store.patch(stream_to=TABLE)
    store.upload(ct_slice(1, 1, 3))
    assert store.sql("SELECT COUNT(*) AS n FROM {current}")["n"].tolist() == [1]
    assert store.backfill().result().counters["success"] == 3
    found = store.sql("SELECT SOPInstanceUID FROM {current} ORDER BY 1")["SOPInstanceUID"].tolist()
    assert found == [f"{ROOT}.1.1.{number}" for number in (1, 2, 3)]
    assert store.sql("SELECT COUNT(*) AS n FROM {table}")["n"].tolist() == [4]


def test_backfill_wants_to_know_which_stream(store: dk.Store) -> None:
    """And none that the store does not have."""
    with pytest.raises(FailedPrecondition, match=r"streams to no table; set one with store\.patch"):
        store.backfill()
    store.patch(stream_to=[TABLE, f"{TABLE}_too"])
    with pytest.raises(FailedPrecondition, match=f"several tables; name one of {TABLE}, {TABLE}_too"):
        store.backfill()
    with pytest.raises(InvalidArgument, match="does not stream to 'bq://local.imaging.other'"):
        store.backfill("bq://local.imaging.other")
    assert store.backfill(f"{TABLE}_too").result().counters["success"] == 2


def test_doctor_finds_a_healthy_stream_healthy(conn: dk.Dataset) -> None:
    """Every check is made, and none has a remedy."""
    store = conn.create_store("ct", stream_to=TABLE)
    store.upload([ct_slice(1, 1, 1), ct_slice(1, 1, 2)])
    store.delete_instance(f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1")
    assert store.sql("SELECT COUNT(*) AS n FROM {table}")["n"].tolist() == [3]
    report = store.doctor()
    assert states(report) == dict.fromkeys(("notifications", "dataset", "table", "schema", "rows", "delivery"), "ok")
    assert report["remedy"].isna().all()
    assert set(report["table_uri"].dropna()) == {TABLE}


def test_doctor_misses_a_stream(store: dk.Store) -> None:
    """The commonest reason for an empty table."""
    row = row_of(store.doctor(), "stream")
    assert (row["state"], row["remedy"]) == ("failed", 'store.patch(stream_to="bq://project.dataset.table")')


def test_doctor_misses_what_was_there_before_the_stream(store: dk.Store) -> None:
    """Without a table, and with one that lacks rows; its remedy helps."""
    store.patch(stream_to=TABLE)
    assert row_of(store.doctor(), "table")["remedy"] == f'store.backfill("{TABLE}")'
    store.upload(ct_slice(1, 1, 3))
    assert store.sql("SELECT COUNT(*) AS n FROM {table}")["n"].tolist() == [1]
    row = row_of(store.doctor(), "rows")
    assert (row["state"], row["finding"]) == ("warning", "1 of 3 instances have a current row")
    assert row["remedy"] == f'store.backfill("{TABLE}")'
    store.backfill(TABLE).result()
    assert set(states(store.doctor()).values()) == {"ok"}


def test_doctor_sees_a_schema_that_somebody_changed(conn: dk.Dataset) -> None:
    """The column, what it is and what it must be; columns of one's own do no harm."""
    client = conn.bigquery_client(project="local")
    client.create_dataset("imaging")
    fields = [bigquery.SchemaField("PatientID", "INTEGER"), bigquery.SchemaField("my_score", "FLOAT")]
    client.create_table(bigquery.Table("local.imaging.ct", schema=fields))
    store = conn.create_store("ct", stream_to=TABLE)
    row = row_of(store.doctor(), "schema")
    assert row["state"] == "failed"
    assert row["finding"].startswith("PatientID is INTEGER and must be STRING; LastUpdated, SOPInstanceUID")
    assert "delete the table" in row["remedy"]


def test_doctor_sees_rows_of_somebody_else(conn: dk.Dataset) -> None:
    """Two stores that stream to one table cannot be told apart in it."""
    for number, name in enumerate(("ct", "mr"), 1):
        store = conn.create_store(name, stream_to=TABLE)
        store.upload(ct_slice(number, 1, 1))
        assert store.sql("SELECT COUNT(*) AS n FROM {table}")["n"].tolist() == [number]
    row = row_of(store.doctor(), "rows")
    assert row["state"] == "warning"
    assert row["finding"].startswith("2 instances have a current row, and the store has 1")


def test_stream_to_google_is_told_apart(tmp_path: Path) -> None:
    """A home with credentials: its table is where this connection cannot look, and where no export of it goes."""
    with dk.connect(tmp_path / "home", credentials=AnonymousCredentials()) as dataset:
        store = dataset.create_store("ct", stream_to="bq://some-project.imaging.ct")
        report = store.doctor()
        assert states(report) == {"notifications": "ok", "dataset": "unknown", "delivery": "ok"}
        assert "Google's BigQuery with credentials of its own" in row_of(report, "dataset")["finding"]
        with pytest.raises(InvalidArgument, match="project"):
            store.backfill()
