"""What a streamed row has no room for, with files as they come; and two writers of one table."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydicom import Dataset

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine import Engine
from dicomkit.engine.services.table_writer import TableWriter
from dicomkit.errors import Unavailable
from tests.unit.engine.factories import STORE, client, drain, instance, rows, store

T, U = "bq://local.imaging.ct", "bq://local.imaging.whole"
TABLE = TableReference("local", "imaging", "ct")
BOTH = {
    "streamConfigs": [
        {"bigqueryDestination": {"tableUri": T}},
        {"bigqueryDestination": {"tableUri": U, "schemaJson": {}, "includeSourceStore": True}},
    ]
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path) as made:
        yield made


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def test_a_sequence_above_a_mebibyte_is_a_dropped_tag(engine: Engine) -> None:
    """The instance is streamed without it, in both schemas; the column is there and empty (3.7, 3.10)."""
    http = client(engine, resource=BOTH)
    frames = [item(FrameComments="x" * 1_000) for _ in range(1_100)]
    assert store(http, instance(PerFrameFunctionalGroupsSequence=frames)).status_code == 200
    assert {s["delivered"] for s in drain(http).values()} == {1}
    flat = "SELECT ARRAY_LENGTH(PerFrameFunctionalGroupsSequence), TO_JSON_STRING(DroppedTags) FROM imaging.ct"
    ((length, dropped),) = rows(engine, flat)
    assert length == "0"
    assert {"TagName": "PerFrameFunctionalGroupsSequence", "TagReference": ""} in json.loads(dropped)
    whole = "SELECT TO_JSON_STRING(DroppedTags), SourceDicomStore, Metadata FROM imaging.whole"
    ((dropped, source, text),) = rows(engine, whole)
    assert "PerFrameFunctionalGroupsSequence" in json.loads(dropped)
    assert source == STORE.removeprefix("/v1/")
    assert len(text) < 10_000


def test_what_is_nested_deeper_than_fifteen_levels_is_a_dropped_tag(engine: Engine) -> None:
    """BigQuery's limit is of the flattened table; the JSON column has all of it."""
    http = client(engine, resource=BOTH)
    leaf = item(TextValue="the innermost")
    for _ in range(17):
        leaf = item(ValueType="CONTAINER", ContentSequence=[leaf])
    assert store(http, instance(ContentSequence=[leaf])).status_code == 200
    assert {s["delivered"] for s in drain(http).values()} == {1}
    ((tag, path),) = rows(
        engine,
        "SELECT d.TagName, d.TagReference FROM imaging.ct AS t, UNNEST(t.DroppedTags) AS d "
        "WHERE d.TagName = 'ContentSequence'",
    )
    assert (tag, path) == ("ContentSequence", ".".join(["ContentSequence"] * 15))
    ((text, dropped),) = rows(engine, "SELECT Metadata, TO_JSON_STRING(DroppedTags) FROM imaging.whole")
    assert "the innermost" in text
    assert "ContentSequence" not in dropped


def test_a_row_above_a_megabyte_is_not_streamed_and_told(engine: Engine) -> None:
    """The limit as it is, 1 MB: the instance is stored, the one beside it streamed (2.3)."""
    http = client(engine, resource=BOTH)
    large, small = instance(TextValue="x" * 1_000_001), instance(TextValue="x" * 900_000)
    assert store(http, large, small).status_code == 200
    status = drain(http)
    assert {(s["delivered"], s["failed"]) for s in status.values()} == {(1, 1)}
    assert rows(engine, "SELECT SOPInstanceUID FROM imaging.ct") == [(small.uid,)]
    found = http.get(f"/dicomkit{STORE}:streamErrors").json["errors"]
    assert [(e["sopInstanceUid"], e["canRetry"]) for e in found] == [(large.uid, False)] * 2
    assert all(e["sizeBytes"] > 1_000_001 for e in found)


def test_a_value_that_conflicts_with_its_column_is_kept_as_text(engine: Engine) -> None:
    """The column is NULL, and OtherElements has what was written, for other instances use the column (3.6)."""
    http = client(engine, resource=BOTH)
    good, bad = instance(ContentDate="20200229"), instance(ContentDate="20200229")
    bad = replace(bad, data=bad.data.replace(b"20200229", b"20200230"))
    assert store(http, good, bad).status_code == 200
    assert {s["delivered"] for s in drain(http).values()} == {2}
    found = rows(
        engine,
        "SELECT SOPInstanceUID, ContentDate, (SELECT o.Data[OFFSET(0)] FROM UNNEST(OtherElements) AS o "
        "WHERE o.Tag = 'Tag_00080023') FROM imaging.ct ORDER BY ContentDate",
    )
    assert found == [(bad.uid, None, "20200230"), (good.uid, "2020-02-29", None)]


KEYWORDS = ("PatientID", "PatientSex", "PatientAge", "StudyID", "SeriesNumber", "Modality", "KVP", "Manufacturer")


def test_two_writers_that_grow_one_table_lose_neither_rows_nor_columns(engine: Engine) -> None:
    """As two servers, or a store and an export: each brings columns that the other does not know."""
    engine.bigquery.ensure_dataset("local", "imaging")
    failures: list[BaseException] = []
    start = threading.Barrier(2)

    def write(side: int) -> None:
        writer = TableWriter(engine.bigquery, make_datasets=True)
        start.wait()
        for number, keyword in enumerate(KEYWORDS[side::2]):
            row = {"SOPInstanceUID": f"{side}.{number}", keyword: "x", "OtherElements": [], "Type": "CREATE"}
            item_row = {"ReferencedImageSequence": [{keyword: "y"}]}
            for attempt in range(20):
                try:
                    assert writer.write(TABLE, [orjson.dumps(row | item_row)], [f"{side}-{number}"]) == {}
                    break
                except Unavailable:
                    if attempt == 19:
                        raise

    def guarded(side: int) -> None:
        try:
            write(side)
        except BaseException as exc:  # noqa: BLE001 - raised again below
            failures.append(exc)

    threads = [threading.Thread(target=guarded, args=(side,)) for side in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    fields = {f["name"]: f for f in engine.bigquery.get_table(TABLE)["schema"]["fields"]}
    assert set(KEYWORDS) <= set(fields)
    assert {f["name"] for f in fields["ReferencedImageSequence"]["fields"]} >= set(KEYWORDS)
    counts = ", ".join(f"COUNTIF({keyword} = 'x')" for keyword in KEYWORDS)
    nested = ", ".join(
        f"(SELECT COUNT(*) FROM imaging.ct AS t, UNNEST(t.ReferencedImageSequence) AS r WHERE r.{keyword} = 'y')"
        for keyword in KEYWORDS
    )
    assert rows(engine, f"SELECT COUNT(*), {counts} FROM imaging.ct") == [("8", *["1"] * 8)]
    assert rows(engine, f"SELECT {nested}") == [tuple(["1"] * 8)]
