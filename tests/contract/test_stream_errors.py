"""Rows that no table takes, as a user sees them: listed, sent again, given up."""

from __future__ import annotations

import pandas as pd
import pytest

import dicomkit as dk
from dicomkit.errors import InvalidArgument, NotFound
from dicomkit.frames import STREAM_ERRORS, STREAMS
from tests.contract.instances import ct_slice

TABLE = "bq://local.imaging.ct"


def refused(conn: dk.Dataset, count: int) -> dk.Store:
    """A store whose table takes no PatientID but a number, and so has refused *count* rows."""
    url = f"{conn.bigquery_endpoint}/bigquery/v2/projects/local/datasets"
    body: dict[str, object] = {"datasetReference": {"projectId": "local", "datasetId": "imaging"}}
    assert conn.session.post(url, json=body).ok
    fields = [{"name": "PatientID", "type": "INTEGER"}, {"name": "SOPInstanceUID", "type": "STRING"}]
    reference = {"projectId": "local", "datasetId": "imaging", "tableId": "ct"}
    body = {"tableReference": reference, "schema": {"fields": fields}}
    assert conn.session.post(f"{url}/imaging/tables", json=body).ok
    store = conn.create_store("ct", stream_to=TABLE)
    store.upload([ct_slice(1, 1, number) for number in range(1, count + 1)])
    store.sql("SELECT 1 AS one")
    return store


def test_no_errors_make_a_frame_without_rows(conn: dk.Dataset) -> None:
    """With all columns and their types."""
    frame = conn.create_store("ct", stream_to=TABLE).stream_errors()
    assert dict(frame.dtypes.astype(str)) == {column.name: column.dtype for column in STREAM_ERRORS}
    assert len(frame) == 0


def test_what_a_table_refuses_is_listed_with_the_reason(conn: dk.Dataset) -> None:
    """One row for each instance, which joins with a search; the status counts them."""
    store = refused(conn, 3)
    frame = store.stream_errors()
    assert list(frame.columns) == [column.name for column in STREAM_ERRORS]
    found = store.search_instances().merge(frame, on=["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
    assert len(found) == 3
    assert frame["reason"].str.contains("PatientID").all()
    assert frame["can_retry"].all()
    status = store.stream_status()
    assert list(status.columns) == [column.name for column in STREAMS]
    row = status.iloc[0]
    assert (row["failed"], row["waiting"], row["state"], row["place"], row["active"]) == (
        3,
        0,
        "idle",
        "embedded",
        True,
    )
    assert row["lag_s"] == 0
    assert pd.isna(row["next_attempt_time"])


def test_rows_are_sent_again_when_the_table_is_mended(conn: dk.Dataset) -> None:
    """Some, and then all that is left."""
    store = refused(conn, 3)
    errors = store.stream_errors()
    url = f"{conn.bigquery_endpoint}/bigquery/v2/projects/local/datasets/imaging/tables/ct"
    assert conn.session.delete(url).ok
    assert store.retry_stream_errors(errors.head(1)) == 1
    assert store.sql("SELECT COUNT(*) AS n FROM {table}")["n"].tolist() == [1]
    assert store.retry_stream_errors() == 2
    assert store.sql("SELECT COUNT(*) AS n FROM {table}")["n"].tolist() == [3]
    assert len(store.stream_errors()) == 0
    assert store.retry_stream_errors() == 0
    assert store.stream_status()["delivered"].tolist() == [3]


def test_rows_are_given_up_on_purpose_only(conn: dk.Dataset) -> None:
    """Those that are named; the instances stay."""
    store = refused(conn, 3)
    errors = store.stream_errors()
    assert store.drop_stream_errors(errors[1:]) == 2
    assert store.stream_errors()["id"].tolist() == errors["id"].tolist()[:1]
    assert store.drop_stream_errors(errors) == 1
    assert store.stream_status()["failed"].tolist() == [0]
    assert len(store.search_instances()) == 3
    with pytest.raises(InvalidArgument, match="stream_errors"):
        store.drop_stream_errors(errors[["reason"]])


def test_a_store_that_is_gone_has_no_errors_to_ask_for(conn: dk.Dataset) -> None:
    """404, by each verb."""
    store = refused(conn, 1)
    errors = store.stream_errors()
    store.delete()
    for ask in (store.stream_errors, store.retry_stream_errors, lambda: store.drop_stream_errors(errors)):
        with pytest.raises(NotFound):
            ask()
