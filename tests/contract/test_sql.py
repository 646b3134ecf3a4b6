"""SQL over the streamed table, through the real BigQuery client."""

from __future__ import annotations

import datetime
import decimal
from pathlib import Path

import pandas as pd
import pytest
from google.api_core.exceptions import GoogleAPICallError

import dicomkit as dk
from dicomkit.errors import FailedPrecondition, InvalidArgument, NotFound
from tests.conftest import Loaded
from tests.contract.instances import ROOT, ct_files, ct_slice


def test_counts_are_those_of_the_search(loaded: Loaded) -> None:
    """Every acknowledged instance is in the table once, without any waiting by the caller."""
    frame = loaded.store.sql("SELECT Modality, COUNT(*) AS n FROM {table} GROUP BY Modality")
    want = loaded.store.search_series()[["StudyInstanceUID", "SeriesInstanceUID", "Modality"]]
    instances = loaded.stored.merge(want, on=["StudyInstanceUID", "SeriesInstanceUID"])
    assert dict(zip(frame["Modality"].fillna(""), frame["n"], strict=True)) == dict(
        instances["Modality"].fillna("").value_counts()
    )


def test_columns_merge_with_a_search(conn: dk.Dataset, tmp_path: Path) -> None:
    """The same keywords with the same types, so that pandas joins them without a cast."""
    store = conn.create_store("ct", stream_to="bq://local.imaging.ct")
    ct_files(tmp_path, studies=2, series=1, instances=3)
    store.upload(tmp_path)
    table = store.sql("SELECT SOPInstanceUID, StudyDate, StudyTime, SliceThickness, Rows FROM {table}")
    search = store.search_instances()
    for name in ("SOPInstanceUID", "StudyDate", "StudyTime", "Rows"):
        assert table[name].dtype == search[name].dtype
    merged = search.merge(table, on=["SOPInstanceUID", "StudyDate", "StudyTime", "Rows"])
    assert len(merged) == 6
    assert set(merged["SliceThickness"]) == {"2.50"}


def test_own_writes_are_read(conn: dk.Dataset) -> None:
    """A row is in the table when the query after its upload runs."""
    store = conn.create_store("ct", stream_to="bq://local.imaging.ct")
    for i in range(1, 4):
        store.upload(ct_slice(1, 1, i))
        assert store.sql("SELECT COUNT(*) AS n FROM {table}")["n"].tolist() == [i]
    status = store.stream_status()
    assert status["waiting"].tolist() == [0]
    assert status["delivered"].tolist() == [3]


def test_types_do_not_depend_on_the_rows(conn: dk.Dataset) -> None:
    """Each type of BigQuery has one dtype, also where no row comes."""
    store = conn.create_store("ct", stream_to="bq://local.imaging.ct")
    store.upload(ct_slice())
    columns = """1 AS i, 1.5 AS f, TRUE AS b, 'x' AS s, DATE '2024-02-29' AS d, TIME '10:30:00.5' AS t,
        TIMESTAMP '2024-02-29 10:30:00+01' AS ts, DATETIME '2024-02-29 10:30:00' AS civil, NUMERIC '1.10' AS n,
        [1, 2] AS arr, STRUCT(1 AS x) AS rec, [STRUCT(1 AS x)] AS recs"""
    one = store.sql(f"SELECT {columns}")
    none = store.sql(f"SELECT * FROM (SELECT {columns}) WHERE FALSE")
    assert len(none) == 0
    assert none.dtypes.equals(one.dtypes)
    dtypes = {name: str(dtype) for name, dtype in one.dtypes.items()}
    assert dtypes.pop("n").startswith("decimal")
    assert dtypes == {
        **{"i": "Int64", "f": "Float64", "b": "boolean", "s": "str", "d": "datetime64[us]", "t": "timedelta64[us]"},
        **{"ts": "datetime64[us, UTC]", "civil": "datetime64[us]", "arr": "object", "rec": "object", "recs": "object"},
    }
    row = one.iloc[0]
    assert (row.i, row.f, row.b, row.s) == (1, 1.5, True, "x")
    assert row.d == pd.Timestamp("2024-02-29")
    assert row.t == pd.Timedelta(hours=10, minutes=30, milliseconds=500)
    assert row.ts == pd.Timestamp("2024-02-29 09:30", tz="UTC")
    assert row.civil == pd.Timestamp("2024-02-29 10:30")
    assert row.n == decimal.Decimal("1.10")
    assert (row.arr, row.rec, row.recs) == ((1, 2), {"x": 1}, [{"x": 1}])


def test_repeated_columns_are_tuples_and_records_dicts(conn: dk.Dataset) -> None:
    """As multi-valued attributes and sequences are in a search."""
    store = conn.create_store("ct", stream_to="bq://local.imaging.ct")
    store.upload([ct_slice(1), ct_slice(2, ImageType=None)])
    frame = store.sql("SELECT ImageType, PatientName FROM {table} ORDER BY StudyInstanceUID")
    assert frame["ImageType"].tolist() == [("ORIGINAL", "PRIMARY", "AXIAL"), ()]
    assert frame["PatientName"][0]["Alphabetic"]["FamilyName"] == "Test"


def test_values_go_as_parameters(conn: dk.Dataset) -> None:
    """Text from outside is a value and never SQL; its type follows the Python type."""
    store = conn.create_store("ct", stream_to="bq://local.imaging.ct")
    store.upload([ct_slice(1, PatientID="o'Neill"), ct_slice(2)])
    where = "SELECT StudyInstanceUID FROM {table} WHERE"
    assert store.sql(f"{where} PatientID = @id", params={"id": "o'Neill"}).iloc[0, 0] == f"{ROOT}.1"
    assert len(store.sql(f"{where} StudyDate >= @day", params={"day": datetime.date(2024, 1, 2)})) == 1
    assert len(store.sql(f"{where} PatientID IN UNNEST(@ids)", params={"ids": ["P2", "x"]})) == 1
    assert len(store.sql(f"{where} Rows = @rows", params={"rows": 4})) == 2
    for params in ({"x": {}}, {"x": []}):
        with pytest.raises(InvalidArgument, match="'x'"):
            store.sql("SELECT @x", params=params)


def test_lists_and_records_go_as_parameters(conn: dk.Dataset) -> None:
    """A column of a frame is a list of values, a dict a record, a list of dicts a small table to join with."""
    store = conn.create_store("ct", stream_to="bq://local.imaging.ct")
    store.upload([ct_slice(1), ct_slice(2), ct_slice(3)])
    found = store.search_studies(PatientID="P1")["StudyInstanceUID"]
    text = "SELECT PatientID FROM {table} WHERE StudyInstanceUID IN UNNEST(@uids)"
    assert store.sql(text, params={"uids": found})["PatientID"].tolist() == ["P1"]
    one = store.sql("SELECT @r.low + 1 AS n, @r.name AS name", params={"r": {"low": 1, "name": "a"}})
    assert one.values.tolist() == [[2, "a"]]
    arms = [{"id": "P1", "arm": "a"}, {"id": "P3", "arm": "b"}]
    joined = "SELECT t.PatientID, r.arm FROM {table} AS t, UNNEST(@arms) AS r WHERE r.id = t.PatientID ORDER BY 1"
    assert store.sql(joined, params={"arms": arms}).values.tolist() == [["P1", "a"], ["P3", "b"]]


def test_cost_comes_first(conn: dk.Dataset) -> None:
    """A dry run reads nothing and says how much it would be; a limit refuses before anything runs."""
    store = conn.create_store("ct", stream_to="bq://local.imaging.ct")
    store.upload([ct_slice(1), ct_slice(2)])
    every = store.sql("SELECT * FROM {table}", dry_run=True)
    one = store.sql("SELECT Modality FROM {table}", dry_run=True)
    assert list(every) == [column.name for column in dk.frames.QUERY_COST]
    assert 0 < one["bytes"][0] < every["bytes"][0]
    assert every["gb"][0] == every["bytes"][0] / 10**9
    with pytest.raises(FailedPrecondition, match="nothing ran"):
        store.sql("SELECT * FROM {table}", max_gb=one["gb"][0])
    assert len(store.sql("SELECT * FROM {table}", max_gb=1)) == 2
    assert conn.sql("SELECT * FROM `local.imaging.ct`", dry_run=True).equals(every)
    for limit in (0, -1, float("nan"), float("inf"), True, "1"):
        with pytest.raises(InvalidArgument, match="max_gb"):
            store.sql("SELECT 1", max_gb=limit)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="NoSuchColumn"):
        store.sql("SELECT NoSuchColumn FROM {table}", dry_run=True)


def test_arrow_types_where_pandas_has_none(conn: dk.Dataset) -> None:
    """Dates are dates and records are records, also where no row comes."""
    store = conn.create_store("ct", stream_to="bq://local.imaging.ct")
    store.upload(ct_slice())
    text = "SELECT StudyDate, StudyTime, PatientName, ImageType FROM {table}"
    one, none = (store.sql(f"{text} WHERE {when}", dtypes="arrow") for when in ("TRUE", "FALSE"))
    assert len(none) == 0
    assert none.dtypes.equals(one.dtypes)
    assert one["StudyDate"][0] == datetime.date(2024, 1, 1)
    assert one["StudyTime"][0] == datetime.time(10, 30)
    assert one["PatientName"].struct.field(["Alphabetic", "FamilyName"]).tolist() == ["Test"]
    assert one["ImageType"].list.len().tolist() == [3]
    with pytest.raises(InvalidArgument, match="dtypes"):
        store.sql(text, dtypes="numpy")  # type: ignore[arg-type]


def test_many_pages_are_one_frame(conn: dk.Dataset) -> None:
    """A result of more rows than a page holds comes whole and in order."""
    frame = conn.sql(
        "SELECT n, CONCAT('row ', CAST(n AS STRING)) AS t FROM UNNEST(GENERATE_ARRAY(1, 60000)) AS n ORDER BY n"
    )
    assert frame["n"].tolist() == list(range(1, 60_001))
    assert frame["t"].iloc[-1] == "row 60000"


def test_a_query_that_is_interrupted_stops(conn: dk.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stops a cell does not go on paying for its query."""

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dicomkit.client.sql.time.sleep", interrupt)
    endless = (
        "SELECT COUNT(*) AS n FROM UNNEST(GENERATE_ARRAY(1, 1000000)) AS a, UNNEST(GENERATE_ARRAY(1, 1000000)) AS b"
    )
    with pytest.raises(KeyboardInterrupt):
        conn.sql(f"{endless} WHERE MOD(a * b, 7) = 3")
    monkeypatch.undo()
    (job,) = conn.bigquery_client().list_jobs(max_results=1)
    with pytest.raises(GoogleAPICallError, match="cancelled"):
        job.result(timeout=60)


def test_a_query_shows_how_far_it_is(
    conn: dk.Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where somebody watches, and only after a while."""
    monkeypatch.setattr("dicomkit.progress.is_watched", lambda: True)
    text = "SELECT n FROM UNNEST(GENERATE_ARRAY(1, 100)) AS n"
    conn.sql(text)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("dicomkit.client.sql.WATCH_S", 0.0)
    conn.sql(text)
    shown = capsys.readouterr().err
    assert "query:" in shown
    assert "/100" in shown


def test_store_without_a_stream_has_no_table(conn: dk.Dataset) -> None:
    """The message says how to give it one; other tables can be queried all the same."""
    store = conn.create_store("ct")
    for name in ("{table}", "{current}"):
        with pytest.raises(FailedPrecondition, match="stream_to"):
            store.sql(f"SELECT 1 FROM {name}")
    assert store.sql("SELECT 1 AS one")["one"].tolist() == [1]


def test_dataset_queries_any_table(conn: dk.Dataset) -> None:
    """By its whole name."""
    store = conn.create_store("ct", stream_to="bq://local.imaging.ct")
    store.upload(ct_slice())
    store.sql("SELECT 1 FROM {table}")
    assert conn.sql("SELECT COUNT(*) AS n FROM `local.imaging.ct`")["n"].tolist() == [1]


def test_sql_that_is_wrong_is_a_typed_error(conn: dk.Dataset) -> None:
    """BigQuery's own words, without the URL that its client puts before them."""
    store = conn.create_store("ct", stream_to="bq://local.imaging.ct")
    store.upload(ct_slice())
    with pytest.raises(InvalidArgument) as caught:
        store.sql("SELECT NoSuchColumn FROM {table}")
    assert "NoSuchColumn" in str(caught.value)
    assert "http" not in str(caught.value)
    with pytest.raises(InvalidArgument):
        store.sql("SELEC 1")
    with pytest.raises(NotFound):
        conn.sql("SELECT * FROM `local.imaging.none`")


def test_table_has_one_row_for_an_instance_that_was_sent_twice(conn: dk.Dataset) -> None:
    """An upload that is repeated adds nothing."""
    store = conn.create_store("ct", stream_to="bq://local.imaging.ct")
    store.upload(ct_slice())
    store.upload(ct_slice())
    assert store.sql("SELECT COUNT(*) AS n FROM {table}")["n"].tolist() == [1]
