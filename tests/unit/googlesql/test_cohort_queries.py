"""The 35 queries that researchers ask of a streamed table, each with the answer worked out by hand.

The rows are those of conftest; what GoogleSQL leaves open (the order without ORDER BY, a tie, LIMIT without ORDER BY)
is left open here.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from .conftest import FIELDS, ROWS, Query

QUERIES: dict[str, str] = {
    name: sql.strip().rstrip(";")
    for name, sql in re.findall(
        r"^-- name: (\d\d)[^\n]*\n(.*?;)\s*$",
        Path(__file__).with_name("cohort_queries.sql").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
}

Rows = list[tuple[Any, ...]]

EXACT: dict[str, Rows] = {
    "01": [("CT", "3", "2"), ("MR", "2", "1")],
    "02": [("3", "0.6")],
    "03": [("45", "1"), ("46", "1")],
    "06": [("2",)],
    "07": [("1",)],
    "09": [("5",)],
    # Three codes of the first row's two items, one of the second row's.
    "10": [("4",)],
    "11": [("0", "2.0"), ("1", "3.0"), ("2", "4.5")],
    "14": [("1.1.1", [("2", "1.1.1.1"), ("10", "1.1.1.2")]), ("1.2.1", [("1", "1.2.1.1")])],
    # "10" comes before "2" as a number; NULL is last when descending.
    "17": [("1.1", "1.1.1", "10"), ("1.2", "1.2.1", "1"), ("2.1", "2.1.1", None)],
    # Six years with two leap days less four days; five years with one leap day less 37 days.
    "18": [("2020-01-01", "2020", "2020-01", "2188"), ("2021-02-01", "2021", "2021-02", "1789")],
    # A Saturday before the year's first Sunday is in week 0; weeks begin on Sunday.
    "19": [
        ("7", "0", "2019-12-29"),
        ("1", "1", "2020-01-05"),
        ("1", "6", "2021-02-07"),
    ],
    "25": [("CT", "2.25"), ("MR", "5.0")],
    "26": [(None, "1", "2", "0"), ("CHEST", "1", "0", "0"), ("HEAD", "1", "0", "0")],
    "27": [("A", "1")],
    "28": [("Diameter", "7.5", "mm")],
    "31": [(hashlib.sha256(b"A").hexdigest(), base64.b64encode(hashlib.md5(b"A").digest()).decode())],
    "32": [("PatientName", "STRUCT<Alphabetic STRUCT<FamilyName STRING, GivenName STRING>>"), ("StudyDate", "DATE")],
    "33": [("2",)],
    "34": [(None,), ("2020-01-01",)],
    "35": [("2015-01-01", "0"), ("2015-01-02", "0"), ("2015-01-03", "0")],
}
"""Query -> its rows, where the order is told by the query or there is one row."""

ANY_ORDER: dict[str, Rows] = {
    "04": [("Doe", "Doe^Jo"), ("Doe", "Doe^"), (None, None), (None, None), (None, None)],
    "05": [("AXIAL", "1"), (None, "4")],
    "08": [("LN", "24627-2", "2"), ("LN", "24628-0", "2")],
    "12": [("AXIAL|ORIGINAL|PRIMARY", "1"), ("DERIVED|PRIMARY", "1"), ("ORIGINAL", "1"), (None, "2")],
    "21": [("Tag_00090010", "ACME", "ACME", "1"), ("Tag_00091001", "x", "x", "1")],
    # Of the algorithm that test_farm_hash proves: 'A' is -1531450017087491052, 'B' 8703560047562643528; 2 and 8 of 10.
    "30": [("true", "1"), ("false", "1")],
}
"""Query -> its rows, in any order."""

ONE_OF: dict[str, Rows] = {
    "13": [([("T-28000", "Lung")],), ([],)],
    "22": [
        (['"ACME"'], ["ACME"], '{"x":1,"z":"y"}'),
        (['"x"', '"y"'], ["x", "y"], '{"x":1,"z":"y"}'),
    ],
    "23": [("true", "1.5", "1.1.1"), (None, None, "1.2.1"), (None, None, "2.1.1")],
}
"""Query -> rows of which LIMIT 1 gives one."""

PARAMETERS = [
    {"name": "m", "parameterType": {"type": "STRING"}, "parameterValue": {"value": "CT"}},
    {
        "name": "uids",
        "parameterType": {"type": "ARRAY", "arrayType": {"type": "STRING"}},
        "parameterValue": {"arrayValues": [{"value": "1.1"}, {"value": "2.1"}]},
    },
    {"name": "d", "parameterType": {"type": "DATE"}, "parameterValue": {"value": "2020-01-01"}},
]


def run(query: Query, name: str) -> Rows:
    return query(QUERIES[name], **({"queryParameters": PARAMETERS} if name == "33" else {}))


def key(row: tuple[Any, ...]) -> str:
    return repr(row)


def test_there_are_35() -> None:
    """Each has its expectation here."""
    others = {"15", "16", "20", "24", "29"}
    assert len(QUERIES) == 35
    assert {*EXACT, *ANY_ORDER, *ONE_OF, *others} == set(QUERIES)


@pytest.mark.parametrize("name", EXACT)
def test_rows_in_order(query: Query, name: str) -> None:
    """The rows are those that were worked out, in the order that the query asks for."""
    assert run(query, name) == EXACT[name]


@pytest.mark.parametrize("name", ANY_ORDER)
def test_rows_in_any_order(query: Query, name: str) -> None:
    """The rows are those that were worked out."""
    assert sorted(run(query, name), key=key) == sorted(ANY_ORDER[name], key=key)


@pytest.mark.parametrize("name", ONE_OF)
def test_a_row_of_those_possible(query: Query, name: str) -> None:
    """LIMIT 1 without an order gives any of them."""
    (row,) = run(query, name)
    assert row in ONE_OF[name]


def test_15_no_values_are_no_array(query: Query) -> None:
    """The parts of a patient in any order; an array of nothing is NULL, which is written as an empty one."""
    rows = dict(run(query, "15"))
    assert {patient: sorted(parts or []) for patient, parts in rows.items()} == {"A": ["CHEST", "HEAD"], "B": []}


def test_16_the_newest_row_of_each_instance(query: Query) -> None:
    """Two of the three that are not deleted, with every column of the table."""
    rows = run(query, "16")
    uids = [row[[field["name"] for field in FIELDS].index("SOPInstanceUID")] for row in rows]
    assert len(set(uids)) == 2
    assert set(uids) < {"1.1.1.1", "1.1.1.2", "1.2.1.1"}
    assert all(len(row) == len(FIELDS) for row in rows)


def test_20_timestamps(query: Query) -> None:
    """27 days of whole hours; the DATETIME is of any row's date and time."""
    ((hours, text, day, moment),) = run(query, "20")
    assert (hours, text, day) == ("648", "2026-01-05 00:00:00", "1767571200000000")
    assert moment in (None, *(f"{row['StudyDate']}T10:20:30" for row in ROWS))


def test_24_approximate_aggregates(query: Query) -> None:
    """Two patients; five boundaries from the least to the greatest; the counts with their values."""
    ((patients, quantiles, top),) = run(query, "24")
    assert patients == "2"
    assert quantiles == sorted(quantiles, key=float)
    assert (len(quantiles), quantiles[0], quantiles[-1]) == (5, "1.5", "5.0")
    assert top == [("CT", "3"), ("MR", "2")]


def test_29_a_star_with_changes(query: Query) -> None:
    """All columns but one, in order; the replaced one where it was."""
    answer = query.answer(QUERIES["29"])
    names = [field["name"] for field in answer["schema"]["fields"]]
    assert names == [field["name"] for field in FIELDS if field["name"] != "OtherElements"]
    (row,) = run(query, "29")
    assert row[names.index("BodyPartExamined")] in ("CHEST", "HEAD", "UNKNOWN")


def test_names_of_pivot_columns(query: Query) -> None:
    """As documented: the value, an underscore before a number, the alias of the aggregate before it."""

    def names(sql: str) -> list[str]:
        return [name for name, _ in query.types(sql)]

    assert names(QUERIES["26"]) == ["BodyPartExamined", "CT", "MR", "US"]
    source = "SELECT * FROM (SELECT Modality, Rows, PatientID FROM imaging.instances)"
    sql = f"{source} PIVOT (COUNT(*) AS n, SUM(Rows) AS s FOR Modality IN ('CT', 'MR' AS mri))"
    assert names(sql) == ["PatientID", "n_CT", "s_CT", "n_mri", "s_mri"]
    # 512 + 512 + 256 rows of CT; no row is no sum, but a count of 0.
    assert query(f"{sql} AS p ORDER BY p.PatientID") == [("A", "3", "1280", "0", None), ("B", "0", None, "2", None)]
    sql = "SELECT p._512 FROM (SELECT Rows, PatientID FROM imaging.instances) PIVOT (COUNT(DISTINCT PatientID) FOR "
    assert query(f"{sql} Rows IN (512)) AS p") == [("1",)]


def test_information_schema(query: Query) -> None:
    """Columns, nested paths and tables, by any spelling of the path."""
    paths = query(
        "SELECT field_path, data_type FROM imaging.INFORMATION_SCHEMA.COLUMN_FIELD_PATHS "
        "WHERE table_name = 'instances' AND column_name = 'OtherElements' ORDER BY field_path"
    )
    assert paths == [
        ("OtherElements", "ARRAY<STRUCT<Tag STRING, Data ARRAY<STRING>>>"),
        ("OtherElements.Data", "ARRAY<STRING>"),
        ("OtherElements.Tag", "STRING"),
    ]
    columns = query(
        "SELECT c.ordinal_position, c.is_nullable, COLUMNS.data_type FROM "
        "`local`.imaging.INFORMATION_SCHEMA.COLUMNS AS c JOIN imaging.INFORMATION_SCHEMA.COLUMNS USING (column_name) "
        "WHERE column_name IN ('StudyInstanceUID', 'Rows', 'ImageType') ORDER BY 1"
    )
    assert columns == [("1", "YES", "STRING"), ("14", "YES", "INT64"), ("15", "NO", "ARRAY<STRING>")]
    tables = query(
        "SELECT table_name, table_type FROM INFORMATION_SCHEMA.TABLES",
        defaultDataset={"projectId": "local", "datasetId": "imaging"},
    )
    assert tables == [("instances", "BASE TABLE")]
    assert query("SELECT COUNT(*) FROM imaging.INFORMATION_SCHEMA.VIEWS") == [("0",)]
