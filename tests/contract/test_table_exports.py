"""Rows of a table in files and databases, and other clients of the same BigQuery."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pandas_gbq
import pyarrow.parquet as pq
import pytest
from google.cloud import bigquery
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

import dicomkit as dk
from dicomkit.errors import AlreadyExists, FailedPrecondition, InvalidArgument, Unimplemented
from tests.contract.instances import ct_slice
from tests.contract.streamed import requested

SQL = "SELECT Modality, COUNT(*) AS n FROM `local.imaging.ct` WHERE Modality = @m GROUP BY Modality"


@pytest.fixture
def store(conn: dk.Dataset) -> dk.Store:
    """A store whose table has three rows."""
    made = conn.create_store("ct", stream_to="bq://local.imaging.ct")
    made.upload([requested(), ct_slice(2), ct_slice(3)])
    made.sql("SELECT 1 FROM {table}")
    return made


def test_parquet_has_the_rows_and_their_types(store: dk.Store, tmp_path: Path) -> None:
    """Nested records stay records; the file of before goes when the new one is whole."""
    table = store.table()
    path = table.current().to_parquet(tmp_path / "ct.parquet")
    read = pq.read_table(path)
    assert read.sort_by("SOPInstanceUID").equals(table.current().to_arrow().sort_by("SOPInstanceUID"))
    assert {"date32[day]", "time64[us]", "timestamp[us, tz=UTC]"} <= {str(kind) for kind in read.schema.types}
    assert read.column("RequestAttributesSequence").to_pylist().count([]) == 2
    before = path.read_bytes()
    with pytest.raises(FailedPrecondition):
        table.to_parquet(path, max_gb=1e-9)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.glob("*parquet*")] == ["ct.parquet"]
    assert pq.read_table(table.flatten("RequestAttributesSequence").sample(1).to_parquet(path)).num_rows == 1


def test_duckdb_has_the_rows(store: dk.Store, tmp_path: Path) -> None:
    """In a file or over a connection; a table that is there stays unless it may go."""
    table = store.table()
    path = tmp_path / "cohort.duckdb"
    table.current().to_duckdb(path, "ct")
    with duckdb.connect(str(path)) as connection:
        sql = "SELECT PatientName.Alphabetic.GivenName, StudyDate::VARCHAR FROM ct ORDER BY 1"
        assert connection.execute(sql).fetchall() == [(f"Patient{n}", f"2024-01-0{n}") for n in (1, 2, 3)]
        with pytest.raises(AlreadyExists, match="replace=True"):
            table.to_duckdb(connection, "ct")
        table.sample(1).to_duckdb(connection, "ct", replace=True)
        assert connection.execute("SELECT COUNT(*) FROM ct").fetchall() == [(1,)]
        for name in ('a"b', "a;b", "", "a b"):
            with pytest.raises(InvalidArgument):
                table.to_duckdb(connection, name)
    with pytest.raises(FailedPrecondition, match="DuckDB"):
        table.to_duckdb(tmp_path, "ct")


def test_an_empty_result_has_its_columns_in_a_file_too(store: dk.Store, tmp_path: Path) -> None:
    """No row is no reason to lose the types."""
    none = store.table().private(creator="nobody")
    assert pq.read_schema(none.to_parquet(tmp_path / "none.parquet")).names == list(none.to_frame())
    none.to_duckdb(tmp_path / "none.duckdb", "none")
    with duckdb.connect(str(tmp_path / "none.duckdb")) as connection:
        assert connection.table("none").columns == list(none.to_frame())


def test_bigframes_need_googles_bigquery(store: dk.Store) -> None:
    """They run in the service itself; the message names what there is instead."""
    with pytest.raises(Unimplemented, match="to_duckdb"):
        store.table().to_bigframes()


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # what these packages say to each other
def test_the_official_client_is_that_of_google(conn: dk.Dataset, store: dk.Store) -> None:
    """Unmodified but for what it must not reach, and what it must not close."""
    client = conn.bigquery_client()
    assert isinstance(client, bigquery.Client)
    config = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter("m", "STRING", "CT")])
    # With the storage library installed, this would ask Google for it.
    assert client.query(SQL, job_config=config).to_dataframe()["n"].tolist() == [3]
    assert [table.table_id for table in client.list_tables("imaging")] == ["ct"]
    client.close()
    assert len(conn.stores()) == 1
    assert conn.bigquery_client(project="other").project == "other"


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # what these packages say to each other
def test_pandas_gbq_reads_and_appends(conn: dk.Dataset, store: dk.Store) -> None:
    """Through the client that it is given."""
    client = conn.bigquery_client()
    config = {
        "query": {
            "parameterMode": "NAMED",
            "queryParameters": [
                {"name": "m", "parameterType": {"type": "STRING"}, "parameterValue": {"value": "CT"}},
            ],
        }
    }
    read = pandas_gbq.read_gbq(SQL, bigquery_client=client, configuration=config, progress_bar_type=None)
    assert read.values.tolist() == [["CT", 3]]
    fields = [bigquery.SchemaField("PatientID", "STRING"), bigquery.SchemaField("arm", "INTEGER")]
    client.create_table(bigquery.Table("local.imaging.arms", schema=fields))
    arms = pd.DataFrame({"PatientID": ["P1", "P2"], "arm": [1, 2]})
    pandas_gbq.to_gbq(arms, "imaging.arms", bigquery_client=client, if_exists="append", progress_bar=False)
    joined = conn.sql("SELECT arm FROM `local.imaging.arms` JOIN `local.imaging.ct` USING (PatientID) ORDER BY arm")
    assert joined["arm"].tolist() == [1, 2]


@pytest.fixture
def shell(store: dk.Store) -> Iterator[InteractiveShell]:
    """What a notebook's cells run in."""
    made = InteractiveShell()
    made.user_ns["store"] = store
    yield made
    made.history_manager.end_session()
    InteractiveShell.clear_instance()


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # what these packages say to each other
def test_bigquery_magics_ask_this_server(
    conn: dk.Dataset, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """%%bigquery of Google's own package, after one line."""
    import bigquery_magics
    from bigquery_magics import bigquery as magic

    for name in ("_project", "_credentials", "_connection"):
        monkeypatch.setattr(bigquery_magics.context, name, None)
    monkeypatch.setattr(magic, "get_ipython", lambda: shell)
    conn.configure_bigquery_magics()
    shell.run_line_magic("load_ext", "bigquery_magics")
    line = "counts --use_rest_api --progress_bar_type None --params {'m': 'CT'}"
    shell.run_cell_magic("bigquery", line, SQL)
    assert shell.user_ns["counts"].values.tolist() == [["CT", 3]]
    assert len(conn.stores()) == 1


def test_dicomsql_is_a_cell_of_sql(shell: InteractiveShell, store: dk.Store) -> None:
    """The store by its variable, or the only one there is; a frame that is shown, or put into a variable."""
    shell.run_line_magic("load_ext", "dicomkit")
    shell.user_ns["wanted"] = {"m": "CT", "ids": pd.Series(["P1", "P2"])}
    cell = "SELECT COUNT(*) AS n FROM {current} WHERE Modality = @m AND PatientID IN UNNEST(@ids)"
    assert shell.run_cell_magic("dicomsql", "store --params wanted", cell)["n"].tolist() == [2]
    assert shell.run_cell_magic("dicomsql", "--params wanted -o found", cell) is None
    assert shell.user_ns["found"]["n"].tolist() == [2]
    json = """--params '{"m": "CT"}' --dtypes arrow"""
    frame = shell.run_cell_magic("dicomsql", json, "SELECT StudyDate FROM {table} WHERE Modality = @m")
    assert str(frame["StudyDate"].dtype) == "date32[day][pyarrow]"
    cost = shell.run_cell_magic("dicomsql", "--dry-run", "SELECT * FROM {table}")
    assert cost["bytes"].tolist() == store.sql("SELECT * FROM {table}", dry_run=True)["bytes"].tolist()
    with pytest.raises(FailedPrecondition, match="max_gb"):
        shell.run_cell_magic("dicomsql", "--max-gb 1e-9", "SELECT * FROM {table}")


def test_dicomsql_says_what_is_wrong_with_its_line(conn: dk.Dataset, shell: InteractiveShell) -> None:
    """As any magic does, without a traceback."""
    shell.run_line_magic("load_ext", "dicomkit")
    shell.user_ns.update(ds=conn, number=3, other=conn.create_store("other"))

    def says(line: str, text: str) -> None:
        with pytest.raises(UsageError, match=text):
            shell.run_cell_magic("dicomsql", line, "SELECT 1 AS x")

    says("", "other, store")
    says("nothing", "no such variable")
    says("number", "this is a int")
    says("store --params number", "takes a dict")
    says("store --params '{'", "JSON")
    says("store --limit 3", "unrecognized arguments")
    says("store --max-gb many", "invalid float")
    says("store -o 'a b'", "no name of a variable")
    says("store '", "quotation")
    assert shell.run_cell_magic("dicomsql", "ds", "SELECT 1 AS x")["x"].tolist() == [1]


def test_a_query_shows_its_sql_before_it_runs(store: dk.Store) -> None:
    """In a notebook and as text, escaped, and without asking the server."""
    query: Any = store.table().current().private(creator="<b>'x'")
    assert query.sql in repr(query)
    html = query._repr_html_()
    assert "<b>'x'" not in html
    assert "&lt;b&gt;" in html
    table = store.table("bq://local.imaging.nowhere")
    assert "local.imaging.nowhere" in repr(table)
    assert "bq://local.imaging.nowhere" in table._repr_html_()
