"""insertAll: what goes in, what is refused and how that is told, and that nothing is lost or doubled meanwhile."""

from __future__ import annotations

import threading
from typing import Any

import orjson
import pytest

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse import Warehouse
from dicomkit.engine.services.bigquery import BigQueryService
from dicomkit.errors import InvalidArgument, NotFound

from .conftest import TABLE, field, resource, rows

CODE = field("Code", "RECORD", field("Value", "STRING"), field("Sizes", "INTEGER", mode="REPEATED"), mode="REPEATED")
FIELDS = (
    field("UID", "STRING"),
    field("Number", "INTEGER"),
    field("Ratio", "FLOAT"),
    field("Flag", "BOOLEAN"),
    field("Day", "DATE"),
    field("Clock", "TIME"),
    field("Moment", "TIMESTAMP"),
    field("Local", "DATETIME"),
    field("Money", "NUMERIC"),
    field("Raw", "BYTES"),
    field("Meta", "JSON"),
    field("Names", "STRING", mode="REPEATED"),
    CODE,
)


@pytest.fixture
def table(service: BigQueryService) -> BigQueryService:
    """The service with one table that has a column of every type."""
    service.create_table(resource(*FIELDS))
    return service


def insert(service: BigQueryService, *given: dict[str, Any], **options: bool) -> list[dict[str, Any]]:
    return service.insert_all(TABLE, [{"json": row} for row in given], **options)


def test_every_type_comes_back_as_it_went_in(table: BigQueryService) -> None:
    """Each value of the batch path is read again in the form of the REST API; what is missing is NULL or empty."""
    full = {
        "UID": "1.2.3", "Number": 7, "Ratio": 0.5, "Flag": True, "Day": "2018-04-27", "Clock": "20:08:07.000001",
        "Moment": "2018-04-27T20:27:40.000000Z", "Local": "2018-04-27T20:27:40", "Money": "1.5", "Raw": "AP8=",
        "Meta": '{"a": 1}', "Names": ["x", "y"], "Code": [{"Value": "v", "Sizes": [1, 2]}, {}],
    }  # fmt: skip
    assert insert(table, full, {"UID": "4"}) == []
    assert rows(table, "SELECT * FROM imaging.ct ORDER BY UID") == [
        (
            "1.2.3", "7", "0.5", "true", "2018-04-27", "20:08:07.000001", "1524860860000000", "2018-04-27T20:27:40",
            "1.5", "AP8=", '{"a": 1}', ["x", "y"], [("v", ["1", "2"]), (None, [])],
        ),
        ("4", None, None, None, None, None, None, None, None, None, None, [], []),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "stored"),
    [
        ({"uid": "a"}, ("a", None)),
        ({"UID": 5, "Number": "5"}, ("5", "5")),
        ({"UID": True, "Number": 5.0}, ("true", "5")),
    ],
)
def test_values_are_converted_as_the_service_does(
    table: BigQueryService, row: dict[str, Any], stored: tuple[Any, ...]
) -> None:
    """Names differ by case alone, numbers come as text and text as numbers: a legacy insert takes all of it."""
    assert insert(table, row) == []
    assert rows(table, "SELECT UID, Number FROM imaging.ct") == [stored]


def test_a_row_may_come_as_json(table: BigQueryService) -> None:
    """A row that is already encoded is taken as it is."""
    assert table.insert_all(TABLE, [{"insertId": None, "json": orjson.dumps({"UID": "ü", "Names": ["\n"]})}]) == []
    assert rows(table, "SELECT UID, Names FROM imaging.ct") == [("ü", ["\n"])]


@pytest.mark.parametrize(
    ("row", "location", "message"),
    [
        ({"Nope": 1}, "Nope", "no such field: Nope."),
        ({"Code": [{"Value": "a"}, {"Nope": 1}]}, "Code[1].Nope", "no such field: Code[1].Nope."),
        ({"Number": "x"}, "Number", "Cannot convert value to integer (bad value)"),
        ({"Number": 1 << 63}, "Number", "Cannot convert value to integer (bad value)"),
        ({"Day": "2018-02-30"}, "Day", "Could not parse as DATE with message 'Invalid date'"),
        ({"Day": "infinity"}, "Day", "Could not parse as DATE with message 'Invalid date'"),
        ({"Clock": "24:00:00"}, "Clock", "Could not parse as TIME with message 'Invalid time'"),
        ({"Moment": "10000-01-01T00:00:00Z"}, "Moment", "Could not parse as TIMESTAMP"),
        ({"Names": "x"}, "Names", "Repeated field must be imported as a JSON array"),
        ({"Names": ["x", None]}, "Names", "Only optional fields can be set to NULL"),
        ({"Code": [{"Sizes": [None]}]}, "Code[0].Sizes", "Only optional fields can be set to NULL"),
        ({"Code": "x"}, "Code", "Repeated field must be imported as a JSON array"),
        ({"Code": ["x"]}, "Code[0]", "This field: Code is a record."),
        ({"UID": {"a": 1}}, "UID", "This field: UID is not a record."),
        ({"Raw": "*"}, "Raw", "Could not decode base64 string to bytes"),
        ({"Meta": "{"}, "Meta", "Invalid JSON"),
    ],
)
def test_one_bad_row_stops_the_request(
    table: BigQueryService, row: dict[str, Any], location: str, message: str
) -> None:
    """The error names path and rule, the other rows are reported as stopped, and nothing is stored."""
    good, bad = insert(table, {"UID": "good"}, row)
    assert good == {"index": 0, "errors": [{"reason": "stopped", "location": "", "debugInfo": "", "message": ""}]}
    (error,) = bad["errors"]
    assert (bad["index"], error["reason"], error["location"]) == (1, "invalid", location)
    assert error["message"].startswith(message)
    assert rows(table, "SELECT COUNT(*) FROM imaging.ct") == [("0",)]


def test_skip_invalid_rows_keeps_the_others(table: BigQueryService) -> None:
    """With skipInvalidRows the valid rows go in and only the invalid ones are told."""
    errors = insert(table, {"UID": "a"}, {"Nope": 1}, {"UID": "c"}, skip_invalid_rows=True)
    assert [error["index"] for error in errors] == [1]
    assert rows(table, "SELECT UID FROM imaging.ct ORDER BY UID") == [("a",), ("c",)]


def test_ignore_unknown_values_leaves_them_out(table: BigQueryService) -> None:
    """With ignoreUnknownValues a value without a column is dropped, nested ones too."""
    row = {"UID": "a", "Nope": 1, "Code": [{"Value": "v", "More": 2}]}
    assert insert(table, row, ignore_unknown_values=True) == []
    assert rows(table, "SELECT UID, Code FROM imaging.ct") == [("a", [("v", [])])]


def test_the_same_insert_id_is_stored_once(table: BigQueryService) -> None:
    """A row that is sent again within the window, or twice in a request, is one row."""
    row = {"insertId": "i", "json": {"UID": "a"}}
    assert table.insert_all(TABLE, [row, row]) == []
    assert table.insert_all(TABLE, [row, {"insertId": "j", "json": {"UID": "b"}}]) == []
    assert rows(table, "SELECT UID FROM imaging.ct ORDER BY UID") == [("a",), ("b",)]


def test_an_insert_id_counts_only_once_its_row_is_stored(table: BigQueryService) -> None:
    """A row of a request that was refused comes again under its id and goes in."""
    good = {"insertId": "i", "json": {"UID": "a"}}
    assert table.insert_all(TABLE, [good, {"insertId": "j", "json": {"Nope": 1}}])
    assert table.insert_all(TABLE, [good]) == []
    assert rows(table, "SELECT UID FROM imaging.ct") == [("a",)]


def test_values_are_data(table: BigQueryService) -> None:
    """Text that looks like SQL, JSON or an escape is text."""
    hostile = ["'); DROP TABLE t; --", '"\\\x01\x1f', "{}", "\N{GRINNING FACE}", "a\tb\r\nc"]
    assert insert(table, {"Names": hostile}) == []
    assert rows(table, "SELECT Names FROM imaging.ct") == [(hostile,)]


@pytest.mark.parametrize("given", [None, [], "text", 5, b"[1]", b"{}\n{}"])
def test_a_row_that_is_no_object_is_an_error_of_that_row(table: BigQueryService, given: Any) -> None:
    """Whatever stands for a row, the answer is an error of its index."""
    errors = table.insert_all(TABLE, [{"json": given}, {"json": {"UID": "a"}}], skip_invalid_rows=True)
    assert [error["index"] for error in errors] == [0]
    assert rows(table, "SELECT UID FROM imaging.ct") == [("a",)]


def test_required_is_required(service: BigQueryService) -> None:
    """A REQUIRED column without a value is an error."""
    service.create_table(resource(field("UID", "STRING", mode="REQUIRED"), field("N", "INTEGER")))
    (error,) = insert(service, {"N": 1})
    assert error["errors"][0]["message"] == "Missing required field: UID."


def test_requests_without_rows_or_table_are_refused(table: BigQueryService) -> None:
    """No rows, too many rows and a missing table are errors of the request."""
    with pytest.raises(InvalidArgument, match="No rows"):
        table.insert_all(TABLE, [])
    with pytest.raises(InvalidArgument, match="too many rows"):
        table.insert_all(TABLE, [{"json": {}}] * 50_001)
    with pytest.raises(NotFound, match="local:imaging.nope"):
        table.insert_all(TableReference("local", "imaging", "nope"), [{"json": {}}])


def test_writers_and_a_growing_schema_lose_nothing(table: BigQueryService, warehouse: Warehouse) -> None:
    """Two threads insert while a third adds columns: every row is there, once."""
    errors: list[Any] = []

    def write(name: str) -> None:
        for batch in range(10):
            errors.extend(table.insert_all(TABLE, [{"json": {"UID": f"{name}{batch}-{n}"}} for n in range(20)]))

    def grow() -> None:
        for number in range(10):
            fields = table.get_table(TABLE)["schema"]["fields"]
            table.patch_table(
                TABLE, {"schema": {"fields": [*fields, field(f"New{number}", "STRING", mode="REPEATED")]}}
            )

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"] + [threading.Thread(target=grow)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert rows(table, "SELECT COUNT(*), COUNT(DISTINCT UID), MIN(ARRAY_LENGTH(New9)) FROM imaging.ct") == [
        ("400", "400", "0")
    ]
