"""Arrays inside of records that are older than the array: NULL in the file, and empty for whoever asks."""

from __future__ import annotations

import pytest

from dicomkit.engine.services.bigquery import BigQueryService
from tests.unit.warehouse.conftest import TABLE, field, resource, rows, service, warehouse

__all__ = ["service", "warehouse"]

UID = field("UID", "STRING")


@pytest.fixture
def grown(service: BigQueryService) -> BigQueryService:
    """A table with a row from before its records got an array, and one from after."""
    record = field("Items", "RECORD", field("Name", "STRING"), mode="REPEATED")
    service.create_table(resource(UID, record))
    service.insert_all(TABLE, [{"json": {"UID": "old", "Items": [{"Name": "a"}, {"Name": "b"}]}}])
    code = field("Codes", "RECORD", field("Value", "STRING"), mode="REPEATED")
    wider = field("Items", "RECORD", field("Name", "STRING"), code, mode="REPEATED")
    service.tables.patch_table(TABLE, {"schema": {"fields": [UID, wider]}})
    new = {"UID": "new", "Items": [{"Name": "c", "Codes": [{"Value": "1"}, {"Value": "2"}]}, {"Name": "d"}]}
    service.insert_all(TABLE, [{"json": new}])
    return service


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT UID, c.Value FROM imaging.ct AS t, UNNEST(t.Items) AS i, UNNEST(i.Codes) AS c ORDER BY 2",
         [("new", "1"), ("new", "2")]),
        ("SELECT UID, i.Name, c.Value FROM imaging.ct AS t, UNNEST(t.Items) AS i LEFT JOIN UNNEST(i.Codes) AS c "
         "ORDER BY Name, Value",
         [("old", "a", None), ("old", "b", None), ("new", "c", "1"), ("new", "c", "2"), ("new", "d", None)]),
        ("SELECT c.Value, place FROM imaging.ct AS t, UNNEST(t.Items) AS i, UNNEST(i.Codes) AS c WITH OFFSET AS place "
         "ORDER BY 1",
         [("1", "0"), ("2", "1")]),
        ("SELECT UID FROM imaging.ct AS t WHERE EXISTS "
         "(SELECT 1 FROM UNNEST(t.Items) AS i, UNNEST(i.Codes) AS c WHERE c.Value = '2')",
         [("new",)]),
        ("SELECT UID FROM imaging.ct AS t WHERE NOT EXISTS (SELECT 1 FROM UNNEST(t.Items) AS i, UNNEST(i.Codes))",
         [("old",)]),
        ("SELECT i.Name, ARRAY_LENGTH(i.Codes) FROM imaging.ct AS t, UNNEST(t.Items) AS i ORDER BY 1",
         [("a", "0"), ("b", "0"), ("c", "2"), ("d", "0")]),
    ],
    ids=["unnest", "left-join", "offset", "exists", "not-exists", "length"],
)  # fmt: skip
def test_an_older_record_has_an_empty_array(grown: BigQueryService, sql: str, expected: list[tuple[str, ...]]) -> None:
    """It has no element, is never NULL, and its row is kept by a LEFT JOIN, as BigQuery has it."""
    assert rows(grown, sql) == expected
