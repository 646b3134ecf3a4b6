"""Views and changes of datasets as the official client makes them."""

from __future__ import annotations

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from .test_bigquery_client import NAME, client, table

__all__ = ["client", "table"]  # fixtures

VIEW = "local.imaging.newest"


def view(client: bigquery.Client, sql: str, name: str = VIEW) -> bigquery.Table:
    made = bigquery.Table(name)
    made.view_query = sql
    return client.create_table(made)


def values(client: bigquery.Client, sql: str) -> list[tuple[object, ...]]:
    return [row.values() for row in client.query_and_wait(sql)]


def test_a_view_is_asked_like_a_table(client: bigquery.Client, table: bigquery.Table) -> None:
    """It has its query's columns, and its rows are those of the moment; a view of a view, too."""
    made = view(client, f"SELECT UID, SUM(Number) AS total FROM `{NAME}` GROUP BY UID")
    assert (made.table_type, [(field.name, field.field_type) for field in made.schema]) == (
        "VIEW",
        [("UID", "STRING"), ("total", "INTEGER")],
    )
    view(client, "WITH w AS (SELECT * FROM imaging.newest) SELECT w.total FROM w", "local.imaging.second")
    for number in (1, 2):
        client.insert_rows_json(NAME, [{"UID": "a", "Number": number}])
    sql = f"SELECT v.UID, v.total, s.total FROM `{VIEW}` AS v, imaging.second AS s WHERE v.UID = 'a'"
    assert values(client, sql.replace("s.total", "s.total AS again")) == [("a", 3, 3)]
    assert values(client, f"SELECT total, UID FROM `{VIEW}`") == [(3, "a")]
    assert values(client, "SELECT * FROM imaging.second") == [(3,)]
    assert {each.table_id: each.table_type for each in client.list_tables("imaging")} == {
        "ct": "TABLE", "newest": "VIEW", "second": "VIEW",
    }  # fmt: skip
    sql = "SELECT view_definition FROM imaging.INFORMATION_SCHEMA.VIEWS WHERE table_name = 'second'"
    assert values(client, sql) == [("WITH w AS (SELECT * FROM imaging.newest) SELECT w.total FROM w",)]
    dry = bigquery.QueryJobConfig(dry_run=True)
    assert client.query(f"SELECT * FROM `{VIEW}`", job_config=dry).total_bytes_processed > 0


def test_a_view_is_changed_and_deleted(client: bigquery.Client, table: bigquery.Table) -> None:
    """Another query is another schema; the table that it reads stays."""
    made = view(client, f"SELECT UID FROM `{NAME}`")
    made.view_query = f"SELECT Number AS total, Codes FROM `{NAME}`"
    assert [field.name for field in client.update_table(made, ["view_query"]).schema] == ["total", "Codes"]
    client.insert_rows_json(NAME, [{"Number": 7, "Codes": [{"Value": "v"}]}])
    assert values(client, f"SELECT total, c.Value FROM `{VIEW}`, UNNEST(Codes) AS c") == [(7, "v")]
    client.delete_table(VIEW)
    assert client.get_table(NAME).num_rows == 1
    with pytest.raises(exceptions.NotFound):
        client.get_table(VIEW)


def test_rows_do_not_go_into_a_view(client: bigquery.Client, table: bigquery.Table) -> None:
    """Neither streamed nor loaded, and it has none that could be listed."""
    view(client, f"SELECT UID FROM `{NAME}`")
    with pytest.raises(exceptions.BadRequest, match="type VIEW"):
        client.insert_rows_json(VIEW, [{"UID": "a"}])
    with pytest.raises(exceptions.BadRequest, match="currently a VIEW"):
        client.load_table_from_json([{"UID": "a"}], VIEW).result()
    with pytest.raises(exceptions.BadRequest, match="type VIEW"):
        list(client.list_rows(client.get_table(VIEW)))


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT Nope FROM imaging.ct", "Unrecognized name: Nope"),
        ("SELECT @p AS p", "Query parameter 'p' not found"),
        ("DROP TABLE imaging.ct", "the statement DROP as a view"),
    ],
)
def test_a_query_that_cannot_run_is_no_view(
    client: bigquery.Client, table: bigquery.Table, sql: str, message: str
) -> None:
    """It is found when the view is made, as a client's BadRequest."""
    with pytest.raises(exceptions.BadRequest, match=message):
        view(client, sql)


def test_views_in_a_circle_end(client: bigquery.Client, table: bigquery.Table) -> None:
    """A view that is changed to read itself is refused."""
    made = view(client, f"SELECT UID FROM `{NAME}`")
    view(client, f"SELECT UID FROM `{VIEW}`", "local.imaging.second")
    made.view_query = "SELECT UID FROM imaging.second"
    client.update_table(made, ["view_query"])
    with pytest.raises(exceptions.BadRequest, match="Too many nested views"):
        client.query_and_wait(f"SELECT * FROM `{VIEW}`")


def test_a_dataset_is_changed(client: bigquery.Client, table: bigquery.Table) -> None:
    """Labels are set and removed one by one; what is not named stays; a stale etag is told."""
    first, second = client.get_dataset("imaging"), client.get_dataset("imaging")
    first.description, first.labels = "of the ward", {"a": "1", "b": "2"}
    first = client.update_dataset(first, ["description", "labels"])
    second.description = "stale"
    with pytest.raises(exceptions.PreconditionFailed):
        client.update_dataset(second, ["description"])
    first.labels["a"] = None
    client.update_dataset(first, ["labels"])
    now = client.get_dataset("imaging")
    assert (now.description, now.labels, now.created) == ("of the ward", {"b": "2"}, second.created)
    assert [each.table_id for each in client.list_tables("imaging")] == ["ct"]
    for text, found in (
        ("labels.b:2", ["imaging"]),
        ("labels.b labels.c", []),
        ("labels.b:3", []),
        ("labels.b", ["imaging"]),
    ):
        assert [each.dataset_id for each in client.list_datasets(filter=text)] == found
    with pytest.raises(exceptions.BadRequest):
        list(client.list_datasets(filter="name:x"))
    url = f"{client._connection.API_BASE_URL}/bigquery/v2/projects/local/datasets/imaging"
    put = client._http.put(url, json={"friendlyName": "x"})
    assert ("description" in put.json(), put.json()["friendlyName"]) == (False, "x")
    assert client._http.patch(url, json={"datasetReference": {"datasetId": "other"}}).status_code == 400
