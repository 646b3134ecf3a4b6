"""Datasets and tables: the declared schema is kept, it only grows, and it is there again after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse import Warehouse
from dicomkit.engine.services.bigquery import BigQueryService
from dicomkit.engine.services.bigquery_errors import error_proto
from dicomkit.errors import AlreadyExists, ApiError, FailedPrecondition, InvalidArgument, NotFound

from .conftest import TABLE, field, resource, rows

NAME = field("Name", "RECORD", field("Family", "STRING"), field("Given", "STRING"))
SEQUENCE = field("Items", "RECORD", field("Value", "STRING"), mode="REPEATED")


def fields_of(service: BigQueryService) -> list[dict[str, Any]]:
    fields: list[dict[str, Any]] = service.get_table(TABLE)["schema"]["fields"]
    return fields


def test_a_table_is_answered_as_it_was_declared(service: BigQueryService) -> None:
    """Spelling, order, descriptions and labels come back; type aliases become the REST names."""
    declared = {**resource(NAME, {"name": "n", "type": "INT64", "description": "a number"}), "labels": {"a": "b"}}
    made = service.create_table(declared)
    assert made["labels"] == {"a": "b"}
    assert made["schema"]["fields"] == [
        NAME,
        {"name": "n", "type": "INTEGER", "mode": "NULLABLE", "description": "a number"},
    ]
    assert service.get_table(TABLE)["etag"] == made["etag"]
    assert (made["numRows"], made["type"], made["id"]) == ("0", "TABLE", "local:imaging.ct")


def test_columns_and_nested_fields_are_added(service: BigQueryService) -> None:
    """Rows keep what they had; what is new is NULL in a record and empty where it is REPEATED."""
    service.create_table(resource(NAME, SEQUENCE))
    service.insert_all(TABLE, [{"json": {"Name": {"Family": "Doe"}, "Items": [{"Value": "v"}]}}])
    wider = field("Items", "RECORD", field("Value", "STRING"), field("Sizes", "INTEGER", mode="REPEATED"),
                  field("Inner", "RECORD", field("A", "STRING"), mode="REPEATED"), mode="REPEATED")  # fmt: skip
    grown = [
        field("Name", "RECORD", field("Family", "STRING"), field("Given", "STRING"), field("Middle", "STRING")),
        wider,
        field("Extra", "STRING", mode="REPEATED"),
    ]
    service.patch_table(TABLE, {"schema": {"fields": grown}})
    assert fields_of(service) == grown
    assert rows(service, "SELECT * FROM imaging.ct") == [(("Doe", None, None), [("v", [], [])], [])]
    assert rows(service, "SELECT ARRAY_LENGTH(Extra), ARRAY_LENGTH(Items[OFFSET(0)].Sizes) FROM imaging.ct") == [
        ("0", "0")
    ]
    row = {"Items": [{"Value": "w", "Sizes": [1], "Inner": [{"A": "a"}]}], "Extra": ["x"]}
    assert service.insert_all(TABLE, [{"json": row}]) == []
    assert rows(service, "SELECT Items, Extra FROM imaging.ct WHERE ARRAY_LENGTH(Extra) > 0") == [
        ([("w", ["1"], [("a",)])], ["x"])
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ([NAME], "Field Items is missing in new schema"),
        ([field("Name", "STRING"), SEQUENCE], "Field Name has changed type from RECORD to STRING"),
        ([NAME, {**SEQUENCE, "mode": "NULLABLE"}], "Field Items has changed mode from REPEATED to NULLABLE"),
        (
            [field("Name", "RECORD", field("Given", "STRING")), SEQUENCE],
            "Field Name.Family is missing in new schema",
        ),
        ([NAME, SEQUENCE, field("New", "STRING", mode="REQUIRED")], "Cannot add required fields"),
    ],
)
def test_a_schema_does_not_shrink(service: BigQueryService, change: list[dict[str, Any]], message: str) -> None:
    """Columns are not dropped, retyped or made REQUIRED, at no depth; the message names the path."""
    service.create_table(resource(NAME, SEQUENCE))
    with pytest.raises(InvalidArgument, match=message):
        service.patch_table(TABLE, {"schema": {"fields": change}})
    assert fields_of(service) == [NAME, SEQUENCE]


def test_a_stale_etag_is_a_conflict(service: BigQueryService) -> None:
    """The second of two writers that read the same etag gets 412 and its change is not made."""
    etag = service.create_table(resource(NAME))["etag"]
    service.patch_table(TABLE, {"description": "first"}, etag)
    with pytest.raises(FailedPrecondition) as caught:
        service.patch_table(TABLE, {"description": "second"}, etag)
    assert caught.value.status == 412
    assert error_proto(caught.value)["reason"] == "conditionNotMet"
    assert service.get_table(TABLE)["description"] == "first"


def test_names_of_tables_differ_by_case(service: BigQueryService) -> None:
    """``ct`` and ``CT`` are two tables, as in BigQuery."""
    upper = TableReference("local", "imaging", "CT")
    service.create_table(resource(field("a", "STRING")))
    service.create_table(resource(field("b", "STRING"), table=upper))
    service.insert_all(upper, [{"json": {"b": "x"}}])
    assert rows(service, "SELECT b FROM imaging.CT") == [("x",)]
    assert rows(service, "SELECT a FROM imaging.ct") == []


@pytest.mark.parametrize(
    "fields",
    [
        [field('a"; DROP TABLE t; --', "STRING")],
        [field("a" * 301, "STRING")],
        [field("1a", "STRING")],
        [field("", "STRING")],
        [field("é", "STRING")],
        [field("_PARTITIONTIME", "STRING")],
        [field("a", "STRING"), field("A", "STRING")],
        [field("a", "GEOGRAPHY")],
        [field("a", "VARCHAR); DROP TABLE t; --")],
        [field("a", "RECORD")],
        [field("a", "STRING", mode="SOMETIMES")],
        ["a"],
        "a",
    ],
)
def test_a_schema_that_breaks_a_rule_is_refused(service: BigQueryService, fields: Any) -> None:
    """Whatever a schema says, the answer is an error of the request and no table is made."""
    given = resource()
    given["schema"]["fields"] = fields
    with pytest.raises(InvalidArgument):
        service.create_table(given)
    with pytest.raises(NotFound):
        service.get_table(TABLE)


def test_nesting_has_a_limit(service: BigQueryService) -> None:
    """15 levels of RECORD are taken, 16 are not."""

    def nested(levels: int) -> dict[str, Any]:
        inner = field("leaf", "STRING")
        for _ in range(levels):
            inner = field("r", "RECORD", inner)
        return inner

    service.create_table(resource(nested(15)))
    with pytest.raises(InvalidArgument, match="nested deeper"):
        service.create_table(resource(nested(16), table=TableReference("local", "imaging", "deep")))


def test_what_is_missing_or_there_already_is_told_by_reason(service: BigQueryService) -> None:
    """Reasons are those that BigQuery's clients choose by."""
    service.create_table(resource(NAME))

    def reason(call: Any, *args: Any) -> str:
        with pytest.raises(ApiError) as caught:
            call(*args)
        return error_proto(caught.value)["reason"]

    assert reason(service.create_table, resource(NAME)) == "duplicate"
    assert reason(service.get_table, TableReference("local", "imaging", "nope")) == "notFound"
    assert reason(service.create_table, resource(NAME, table=TableReference("local", "nope", "t"))) == "notFound"
    assert reason(service.tables.delete_dataset, "local", "imaging") == "invalid"
    with pytest.raises(AlreadyExists):
        service.tables.create_dataset({"datasetReference": {"projectId": "local", "datasetId": "imaging"}})


def test_a_dataset_goes_with_its_tables_when_asked(service: BigQueryService) -> None:
    """``deleteContents`` removes the tables; one made again under the name is empty."""
    service.create_table(resource(NAME))
    service.insert_all(TABLE, [{"insertId": "i", "json": {}}])
    service.tables.delete_dataset("local", "imaging", delete_contents=True)
    service.ensure_dataset("local", "imaging")
    service.create_table(resource(NAME))
    assert service.get_table(TABLE)["numRows"] == "0"
    assert service.insert_all(TABLE, [{"insertId": "i", "json": {}}]) == []
    assert service.get_table(TABLE)["numRows"] == "1"


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    """Datasets, schema, etag and rows survive closing."""
    path = tmp_path / "w.duckdb"
    with Warehouse(path) as warehouse:
        service = BigQueryService(warehouse)
        service.ensure_dataset("local", "imaging")
        etag = service.create_table(resource(NAME, SEQUENCE))["etag"]
        service.insert_all(TABLE, [{"json": {"Name": {"Family": "Doe"}}}])
        service.close()
    with Warehouse(path) as warehouse:
        service = BigQueryService(warehouse)
        assert service.get_table(TABLE)["etag"] == etag
        assert fields_of(service) == [NAME, SEQUENCE]
        assert rows(service, "SELECT Name.Family FROM imaging.ct") == [("Doe",)]
        service.close()


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ({}, "view.query"),
        ({"query": "SELECT 1 AS a"}, "legacy SQL"),
        ({"query": "SELECT 1 AS a", "useLegacySql": True}, "legacy SQL"),
        ({"query": "SELECT 1 AS a", "useLegacySql": False, "userDefinedFunctionResources": [{}]}, "userDefined"),
        ({"query": 5, "useLegacySql": False}, "view.query"),
    ],
)
def test_a_view_that_is_not_understood_is_refused(service: BigQueryService, view: dict[str, Any], message: str) -> None:
    """By name; a table is never made a view, nor a view a table."""
    with pytest.raises(InvalidArgument, match=message):
        service.create_table({**resource(), "view": view})


def test_a_view_stays_a_view_and_is_there_after_a_restart(tmp_path: Path) -> None:
    """Its description changes and its rows are those of its query, however often the file is opened."""
    path = tmp_path / "w.duckdb"
    view = TableReference("local", "imaging", "v")
    made = {**resource(table=view), "view": {"query": "SELECT n FROM imaging.ct", "useLegacySql": False}}
    for number in (1, 2):
        with Warehouse(path) as warehouse:
            service = BigQueryService(warehouse)
            if number == 1:
                service.ensure_dataset("local", "imaging")
                service.create_table(resource(field("n", "INTEGER")))
                service.create_table(made)
                with pytest.raises(InvalidArgument, match="cannot be made a view"):
                    service.patch_table(TABLE, {"view": made["view"]})
            patched = service.patch_table(view, {"description": f"{number}", "labels": {f"l{number}": "x"}})
            assert (patched["type"], patched["description"]) == ("VIEW", f"{number}")
            assert len(patched["labels"]) == number
            service.insert_all(TABLE, [{"json": {"n": number}}])
            assert rows(service, "SELECT COUNT(*) FROM imaging.v") == [(str(number),)]
            service.close()
