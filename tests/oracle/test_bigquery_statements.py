"""DML and DDL as the official client sends them: what is changed, what is counted, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from .test_bigquery_client import NAME, client, table

__all__ = ["client", "table"]  # fixtures

pytestmark = pytest.mark.timeout(60)


def done(client: bigquery.Client, sql: str, **options: Any) -> bigquery.QueryJob:
    job = client.query(sql, job_config=bigquery.QueryJobConfig(**options))
    job.result()
    return client.get_job(job.job_id)


def values(client: bigquery.Client, sql: str) -> list[tuple[Any, ...]]:
    return [row.values() for row in client.query_and_wait(sql)]


def numbers(client: bigquery.Client) -> list[tuple[Any, ...]]:
    return values(client, f"SELECT UID, Number FROM `{NAME}` ORDER BY UID, Number")


@pytest.fixture
def filled(client: bigquery.Client, table: bigquery.Table) -> bigquery.Client:
    """Rows a 1, b 2, c 3."""
    assert client.insert_rows_json(table, [{"UID": uid, "Number": n} for n, uid in enumerate("abc", 1)]) == []
    return client


def test_insert_takes_rows_and_queries(filled: bigquery.Client) -> None:
    """Values of every kind arrive as their types; what is not named is NULL or an empty array."""
    job = done(
        filled,
        f"INSERT INTO `{NAME}` (UID, Number, Day, Money, Names, Codes) VALUES "
        "('d', @n + 1, '2020-01-05', 1.5, ['x', 'y'], [STRUCT('v' AS Value, [1, 2] AS N)]), "
        "('e', DEFAULT, DATE '2020-01-06', NULL, [], NULL)",
        query_parameters=[bigquery.ScalarQueryParameter("n", "INT64", 3)],
    )
    assert (job.num_dml_affected_rows, job.dml_stats.inserted_row_count, job.statement_type) == (2, 2, "INSERT")
    sql = f"SELECT Number, CAST(Day AS STRING), CAST(Money AS FLOAT64), Names, Codes FROM `{NAME}` "
    assert values(filled, sql + "WHERE UID > 'c' ORDER BY UID") == [
        (4, "2020-01-05", 1.5, ["x", "y"], [{"Value": "v", "N": [1, 2]}]),
        (None, "2020-01-06", None, [], []),
    ]
    job = done(filled, f"INSERT `{NAME}` (Number, UID) SELECT SUM(Number), 'sum' FROM `{NAME}` WHERE UID < 'd'")
    assert job.num_dml_affected_rows == 1
    assert ("sum", 6) in numbers(filled)


def test_update_changes_what_where_finds(filled: bigquery.Client) -> None:
    """With columns of the row, and of another source beside it."""
    job = done(filled, f"UPDATE `{NAME}` AS t SET t.Number = Number * 10, Names = ['n'] WHERE UID != 'b'")
    assert (job.num_dml_affected_rows, job.dml_stats.updated_row_count) == (2, 2)
    assert numbers(filled) == [("a", 10), ("b", 2), ("c", 30)]
    sql = (
        f"UPDATE `{NAME}` t SET Number = s.n FROM (SELECT 'b' AS u, 7 AS n UNION ALL SELECT 'x', 8) s WHERE t.UID = s.u"
    )
    assert done(filled, sql).num_dml_affected_rows == 1
    assert numbers(filled) == [("a", 10), ("b", 7), ("c", 30)]


def test_delete_and_truncate(filled: bigquery.Client) -> None:
    """The rows that WHERE finds, also by a subquery; all of them."""
    job = done(filled, f"DELETE FROM `{NAME}` WHERE Number > (SELECT AVG(Number) FROM `{NAME}`)")
    assert (job.num_dml_affected_rows, job.dml_stats.deleted_row_count) == (1, 1)
    assert numbers(filled) == [("a", 1), ("b", 2)]
    assert done(filled, f"TRUNCATE TABLE `{NAME}`").dml_stats.deleted_row_count == 2
    assert numbers(filled) == []


def test_merge_inserts_updates_and_deletes_at_once(filled: bigquery.Client) -> None:
    """Each row by the first clause that fits it, and each kind is counted."""
    job = done(
        filled,
        f"MERGE `{NAME}` AS t USING (SELECT 'a' AS UID, 100 AS Number UNION ALL SELECT 'z', 26) AS s ON t.UID = s.UID "
        "WHEN MATCHED AND s.Number > 50 THEN UPDATE SET Number = s.Number + t.Number "
        "WHEN NOT MATCHED THEN INSERT (UID, Number) VALUES (s.UID, s.Number) "
        "WHEN NOT MATCHED BY SOURCE AND t.UID = 'c' THEN DELETE",
    )
    stats = job.dml_stats
    assert (stats.inserted_row_count, stats.updated_row_count, stats.deleted_row_count) == (1, 1, 1)
    assert (job.num_dml_affected_rows, job.statement_type) == (3, "MERGE")
    assert numbers(filled) == [("a", 101), ("b", 2), ("z", 26)]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (f"UPDATE `{NAME}` SET Number = 1", "must have a WHERE clause"),
        (f"DELETE FROM `{NAME}`", "must have a WHERE clause"),
        (f"UPDATE `{NAME}` SET Nope = 1 WHERE TRUE", "Column Nope is not present"),
        (f"UPDATE `{NAME}` SET Number = 'x' WHERE TRUE", "has type STRING which cannot be inserted into column Number"),
        (f"UPDATE `{NAME}` SET Number = 1.5 WHERE TRUE", "has type FLOAT64 which cannot be inserted"),
        (f"UPDATE `{NAME}` SET Number = 1, Number = 2 WHERE TRUE", "assigned more than once"),
        (f"INSERT `{NAME}` (UID, Number) VALUES ('x')", "wrong column count"),
        (f"INSERT `{NAME}` (UID, UID) VALUES ('x', 'y')", "duplicate name"),
        (f"INSERT `{NAME}` (Names) VALUES (['a', NULL])", "Array cannot have a null element"),
        (f"INSERT `{NAME}` (Codes) VALUES ([STRUCT(1 AS other)])", "which cannot be inserted into column Codes"),
        (f"UPDATE `{NAME}` t SET Number = s.n FROM UNNEST([1, 2]) AS n, (SELECT 'a' u, n) s WHERE t.UID = s.u", "n"),
        (
            f"UPDATE `{NAME}` t SET Number = s.n FROM (SELECT 'a' AS u, 1 AS n UNION ALL SELECT 'a', 2) s "
            "WHERE t.UID = s.u",
            "must match at most one source row",
        ),
        (
            f"MERGE `{NAME}` t USING (SELECT 'a' AS u UNION ALL SELECT 'a') s ON t.UID = s.u WHEN MATCHED THEN DELETE",
            "must match at most one source row",
        ),
        (f"INSERT INTO `{NAME}` (UID) VALUES ('x'); DELETE FROM `{NAME}` WHERE TRUE", "a script of several statements"),
    ],
)
def test_a_statement_that_fails_changes_nothing(filled: bigquery.Client, sql: str, message: str) -> None:
    """It is the client's BadRequest, with what is wrong."""
    with pytest.raises(exceptions.BadRequest, match=message):
        filled.query_and_wait(sql)
    assert numbers(filled) == [("a", 1), ("b", 2), ("c", 3)]


def test_a_required_column_is_never_null(client: bigquery.Client, table: bigquery.Table) -> None:
    """Neither inserted nor updated; a statement that tries changes no row."""
    done(client, "CREATE TABLE imaging.strict (id INT64 NOT NULL, s STRING)")
    assert client.get_table("local.imaging.strict").schema[0].mode == "REQUIRED"
    done(client, "INSERT imaging.strict VALUES (1, 'x')")
    for sql in (
        "INSERT imaging.strict (s) VALUES ('y')",
        "INSERT imaging.strict VALUES (2, 'a'), (NULL, 'b')",
        "UPDATE imaging.strict SET id = NULL WHERE TRUE",
    ):
        with pytest.raises(exceptions.BadRequest, match="Required field id cannot be null"):
            client.query_and_wait(sql)
    assert values(client, "SELECT id, s FROM imaging.strict") == [(1, "x")]


def test_tables_are_made_replaced_and_dropped(client: bigquery.Client, table: bigquery.Table) -> None:
    """With columns, options and rows of a query; the job says what it did."""
    job = done(
        client,
        "CREATE TABLE imaging.made (a INT64 OPTIONS(description='number'), b ARRAY<STRUCT<c STRING, d DATE>>) "
        "OPTIONS(description='by hand', labels=[('k', 'v')])",
    )
    assert (job.statement_type, job.ddl_operation_performed) == ("CREATE_TABLE", "CREATE")
    assert job.ddl_target_table.table_id == "made"
    made = client.get_table("local.imaging.made")
    assert (made.description, made.labels, made.schema[0].description) == ("by hand", {"k": "v"}, "number")
    assert (made.schema[1].mode, [part.field_type for part in made.schema[1].fields]) == (
        "REPEATED",
        ["STRING", "DATE"],
    )
    assert done(client, "CREATE TABLE IF NOT EXISTS imaging.made (x STRING)").ddl_operation_performed == "SKIP"
    with pytest.raises(exceptions.Conflict):
        done(client, "CREATE TABLE imaging.made (x STRING)")
    job = done(client, "CREATE OR REPLACE TABLE imaging.made AS SELECT n, [n] AS l FROM UNNEST([1, 2]) AS n")
    assert (job.statement_type, job.ddl_operation_performed) == ("CREATE_TABLE_AS_SELECT", "REPLACE")
    assert values(client, "SELECT n, l FROM imaging.made ORDER BY n") == [(1, [1]), (2, [2])]
    assert done(client, "DROP TABLE imaging.made").ddl_operation_performed == "DROP"
    assert done(client, "DROP TABLE IF EXISTS imaging.made").ddl_operation_performed == "SKIP"
    with pytest.raises(exceptions.NotFound):
        done(client, "DROP TABLE imaging.made")


def test_views_and_datasets_are_made_and_dropped(filled: bigquery.Client) -> None:
    """A view has the text that was written; a dataset with tables needs CASCADE."""
    done(filled, f"CREATE VIEW imaging.v AS (SELECT UID AS u  FROM `{NAME}`);")
    assert filled.get_table("local.imaging.v").view_query == f"(SELECT UID AS u  FROM `{NAME}`)"
    assert done(filled, "CREATE OR REPLACE VIEW imaging.v AS SELECT 1 AS one").ddl_operation_performed == "REPLACE"
    assert values(filled, "SELECT * FROM imaging.v") == [(1,)]
    with pytest.raises(exceptions.BadRequest, match="is not a TABLE"):
        done(filled, "DROP TABLE imaging.v")
    done(filled, "DROP VIEW imaging.v")
    assert done(filled, "CREATE SCHEMA other").ddl_operation_performed == "CREATE"
    assert done(filled, "CREATE SCHEMA IF NOT EXISTS `local.other`").ddl_operation_performed == "SKIP"
    done(filled, "CREATE TABLE other.t AS SELECT 1 AS a")
    with pytest.raises(exceptions.BadRequest, match="still in use"):
        done(filled, "DROP SCHEMA other")
    done(filled, "DROP SCHEMA other CASCADE")
    assert [each.dataset_id for each in filled.list_datasets()] == ["imaging"]


def test_columns_are_added(filled: bigquery.Client) -> None:
    """Old rows have NULL or an empty array in them; what else ALTER could do is refused by name."""
    done(filled, f"ALTER TABLE `{NAME}` ADD COLUMN extra STRING, ADD COLUMN IF NOT EXISTS more ARRAY<INT64>")
    assert values(filled, f"SELECT extra, more FROM `{NAME}` WHERE UID = 'a'") == [(None, [])]
    done(filled, f"ALTER TABLE `{NAME}` ADD COLUMN IF NOT EXISTS extra STRING")
    done(filled, f"ALTER TABLE `{NAME}` SET OPTIONS (description = 'told')")
    assert filled.get_table(NAME).description == "told"
    for action, message in (
        ("ADD COLUMN extra STRING", "Column already exists: extra"),
        ("ADD COLUMN r INT64 NOT NULL", "Cannot add required fields"),
        ("DROP COLUMN extra", "ALTER TABLE with DROP COLUMN is not supported"),
        ("RENAME TO x", "ALTER TABLE with RENAME TO is not supported"),
        ("RENAME COLUMN extra TO y", "ALTER TABLE with RENAME COLUMN is not supported"),
        ("ALTER COLUMN extra SET DATA TYPE INT64", "ALTER TABLE with ALTER COLUMN is not supported"),
    ):
        with pytest.raises(exceptions.BadRequest, match=message):
            done(filled, f"ALTER TABLE `{NAME}` {action}")


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("CREATE TEMP TABLE imaging.x AS SELECT 1 AS a", "TEMPORARY"),
        ("CREATE TABLE imaging.x PARTITION BY d AS SELECT CURRENT_DATE() AS d", "PARTITIONED BY"),
        ("CREATE TABLE imaging.x CLUSTER BY a AS SELECT 1 AS a", "CLUSTER"),
        ("CREATE TABLE imaging.x LIKE imaging.ct", "LIKE"),
        ("CREATE TABLE imaging.x CLONE imaging.ct", "clone"),
        ("CREATE TABLE imaging.x (a GEOGRAPHY)", "GEOGRAPHY"),
        ("CREATE TABLE imaging.x (a NUMERIC(10, 2))", "NUMERIC"),
        ("CREATE TABLE imaging.x (a INT64 DEFAULT 1)", "DEFAULT"),
        ("CREATE TABLE imaging.x (a INT64) OPTIONS(expiration_timestamp = TIMESTAMP '2030-01-01')", "expiration"),
        ("CREATE MATERIALIZED VIEW imaging.x AS SELECT 1 AS a", "MATERIALIZED"),
        ("CREATE FUNCTION imaging.f(x INT64) AS (x)", "CREATE FUNCTION"),
        ("CREATE SEARCH INDEX i ON imaging.ct (ALL COLUMNS)", "CREATE"),
        ("DROP FUNCTION imaging.f", "DROP FUNCTION"),
        ("UPDATE imaging.ct SET Codes.x = 1 WHERE TRUE", "UPDATE of a field inside of a STRUCT"),
    ],
)
def test_other_definitions_are_refused_by_name(
    client: bigquery.Client, table: bigquery.Table, sql: str, name: str
) -> None:
    """The message says what it is that the embedded BigQuery has not; no table is made."""
    with pytest.raises(exceptions.BadRequest, match="(?i)supported by the embedded BigQuery") as caught:
        client.query_and_wait(sql)
    assert name.lower() in caught.value.message.lower()
    assert [each.table_id for each in client.list_tables("imaging")] == ["ct"]


def test_a_dry_run_changes_nothing(filled: bigquery.Client) -> None:
    """It says what would be read, and what kind of statement it is."""
    dry = bigquery.QueryJobConfig(dry_run=True)
    job = filled.query(f"DELETE FROM `{NAME}` WHERE TRUE", job_config=dry)
    assert (job.statement_type, job.total_bytes_processed > 0) == ("DELETE", True)
    job = filled.query("DROP TABLE imaging.ct", job_config=dry)
    assert job.statement_type == "DROP_TABLE"
    assert len(numbers(filled)) == 3
