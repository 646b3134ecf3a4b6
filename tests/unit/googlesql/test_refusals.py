"""What is refused, and that it is told by name: an answer is never a guess."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomkit.engine.services.bigquery_errors import error_proto
from dicomkit.engine.services.googlesql.translate import supported_functions
from dicomkit.errors import ApiError, InvalidArgument

from .conftest import Query

NOT_SUPPORTED = {
    "SELECT FORMAT('%T', 1)": "FORMAT of %T",
    "SELECT NET.HOST('x')": "the function NET.HOST",
    "SELECT AEAD.ENCRYPT(b'', 'x', 'y')": "the function AEAD.ENCRYPT",
    "SELECT ST_GEOGPOINT(1, 2)": "the function ST_GEOGPOINT",
    "SELECT Modality NOT LIKE ANY ('a', 'b') FROM imaging.instances": "LIKE",
    "SELECT SAFE.ROUND(1.5) FROM imaging.instances": "the function SAFE.ROUND",
    "SELECT * FROM imaging.INFORMATION_SCHEMA.ROUTINES": "INFORMATION_SCHEMA.ROUTINES",
    "SELECT * FROM `region-us`.INFORMATION_SCHEMA.TABLES": "INFORMATION_SCHEMA of anything but one dataset",
    "SELECT * FROM (SELECT 1 AS a, 2 AS b) UNPIVOT ((v, u) FOR k IN ((a, b)))": "UNPIVOT",
    "SELECT * FROM (SELECT Modality AS m FROM imaging.instances) PIVOT (COUNT(*) FOR m IN (NULL))": "without an alias",
    "SELECT * FROM (SELECT Modality AS m FROM imaging.instances) PIVOT (COUNT(*) FOR m IN ('C T'))": "give it an alias",
    "SELECT * FROM (SELECT Modality AS m FROM imaging.instances) "
    "PIVOT (ARRAY_AGG(m) FOR m IN ('C'))": "PIVOT with ARRAY_AGG",
    "SELECT 1 FROM imaging.instances TABLESAMPLE SYSTEM (@p PERCENT)": "TABLESAMPLE",
    "SELECT 1 FROM imaging.instances FOR SYSTEM_TIME AS OF CURRENT_TIMESTAMP()": "version",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n FROM r": "recursive",
    "SELECT @@project_id": "a system variable",
    "SELECT EXTRACT(HOUR FROM LastUpdated AT TIME ZONE 'Europe/Berlin') FROM imaging.instances": "other than UTC",
    "SELECT FORMAT_DATE('%Q', StudyDate) FROM imaging.instances": "the format element %Q",
    "SELECT PARSE_DATE('%m', '5')": "without year, month and day",
    "SELECT REGEXP_EXTRACT(Modality, r'a(b)?') FROM imaging.instances": "a group that need not take part",
    "SELECT TO_JSON_STRING(x) FROM (SELECT NULL AS x)": "whose type is not known",
    "SELECT AS VALUE STRUCT(1 AS a)": "SELECT AS VALUE",
    "SELECT [STRUCT(1 AS a, 2 AS b), STRUCT(3, 4)]": "different names",
    "SELECT [STRUCT(1 AS a, 2 AS b), STRUCT(3 AS b, 4 AS a)]": "another order",
    "SELECT 1; SELECT 2": "a script of several statements",
    "DECLARE x INT64": "the statement DECLARE",
    "BEGIN TRANSACTION": "the statement BEGIN",
    "EXPORT DATA OPTIONS(uri='gs://b/x') AS SELECT 1": "the statement EXPORT",
    "EXECUTE IMMEDIATE 'SELECT 1'": "the statement EXECUTE",
    "ASSERT TRUE": "the statement ASSERT",
    "CREATE FUNCTION imaging.f(x INT64) AS (x + 1)": "the statement CREATE FUNCTION",
    "LOAD DATA INTO imaging.x FROM FILES (uris = ['gs://b/x'])": "the statement LOAD",
    "CALL imaging.f()": "the statement CALL",
    "GRANT `roles/x` ON TABLE imaging.instances TO 'user:a@b.c'": "the statement GRANT",
}
"""Query -> what its refusal names."""


@pytest.mark.parametrize("sql", NOT_SUPPORTED)
def test_what_is_not_supported_is_named(query: Query, sql: str) -> None:
    """The reason is invalidQuery and the message says what it is that the embedded BigQuery has not."""
    with pytest.raises(InvalidArgument, match="supported by the embedded BigQuery") as caught:
        query(sql)
    assert NOT_SUPPORTED[sql] in caught.value.message
    assert error_proto(caught.value)["reason"] == "invalidQuery"


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT Nope FROM imaging.instances", "Unrecognized name: Nope"),
        ("SELECT t.Nope FROM imaging.instances t", "Name Nope not found inside t"),
        ("SELECT PatientName.Nope FROM imaging.instances", "Field name Nope does not exist in STRUCT"),
        ("SELECT OtherElements.Tag FROM imaging.instances", "Cannot access field Tag on a value with type ARRAY"),
        ("SELECT Rows FROM imaging.instances a, imaging.instances b", "Column name Rows is ambiguous"),
        ("SELECT 1 FROM imaging.instances WHERE SliceThickness > 1", "No matching signature for operator >"),
        ("SELECT SliceThickness * 2 FROM imaging.instances", "No matching signature for operator \\*"),
        ("SELECT SUM(SliceThickness) FROM imaging.instances", "No matching signature for SUM"),
        ("SELECT 1 FROM imaging.instances WHERE SliceThickness IN (1, 2)", "No matching signature for operator IN"),
        (
            "SELECT 1 FROM imaging.instances WHERE ImageType = 'A'",
            "Operator = is not defined for arguments of type ARRAY",
        ),
        ("SELECT 1 UNION ALL SELECT 'a'", "incompatible types: INT64, STRING"),
        ("SELECT ImageType FROM imaging.instances GROUP BY ImageType", "Grouping by expressions of type ARRAY"),
        ("SELECT 1 AS a, 2 AS A", "Duplicate column names"),
        ("SELECT UPPER(Modality) AS Modality FROM imaging.instances GROUP BY Modality", "both a column and an alias"),
        ("SELECT n FROM imaging.instances AS n, UNNEST(n.Modality)", "Values referenced in UNNEST must be arrays"),
        ("SELECT 1 FROM imaging.instances WHERE Rows", "WHERE clause should return type BOOL"),
        ("SELECT IF(1, 2, 3)", "No matching signature for function IF"),
        ("SELECT BIT_AND(1.5)", "No matching signature for aggregate function BIT_AND"),
        ("SELECT POW(10, 1000)", "Floating point overflow"),
        ("SELECT DATE '9999-12-31' + 1", "DATE is out of range"),
        ("SELECT REGEXP_CONTAINS('a', '(')", "Cannot parse regular expression"),
        ("SELECT ARRAY_FIRST(CAST([] AS ARRAY<INT64>))", "ARRAY"),
        ("SELECT INT64(JSON '\"x\"')", "The JSON value is not an int64"),
        ("SELECT JSON '{bad'", "Invalid JSON literal"),
        ("SELECT ERROR('no row')", "no row"),
        ("SELECT CHR(-1)", "Invalid codepoint"),
        ("SELECT FORMAT('%d', 'x')", "Expected integer; Got STRING"),
        ("SELECT SUM(x) OVER w FROM UNNEST([1]) AS x", "Unrecognized window alias w"),
        ("SELECT 1/0", "division by zero"),
        ("SELECT MOD(1, 0)", "division by zero"),
        ("SELECT ImageType[OFFSET(9)] FROM imaging.instances", "Array index is out of bounds"),
        ("SELECT CAST('abc' AS INT64)", "Bad int64 value"),
        ("SELECT 9223372036854775807 + 1", "overflow"),
        ("SELECT 9223372036854775808", "Invalid integer literal"),
        ("SELECT ARRAY_AGG(BodyPartExamined) FROM imaging.instances", "Array cannot have a null element"),
        ("SELECT PARSE_DATE('%Y%m%d', 'bad')", "Failed to parse input string"),
        ("SELECT Modality, COUNT(*) FROM imaging.instances", "GROUP BY"),
        ("SELECT 1 FROM instances", "must be qualified with a dataset"),
        ("SELEC 1", "Syntax error"),
        ("SELECT 'a", "Syntax error"),
        ("-- nothing", "Unexpected end of statement"),
    ],
)
def test_what_is_wrong_is_explained(query: Query, sql: str, message: str) -> None:
    """The error is BigQuery's in kind and, where its text is known, in words."""
    with pytest.raises(InvalidArgument, match=message) as caught:
        query(sql)
    assert error_proto(caught.value)["reason"] == "invalidQuery"
    assert "__dk_" not in caught.value.message


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/hostname')",
        "SELECT read_text('/etc/hostname')",
        "SELECT getenv('HOME')",
        "SELECT * FROM catalog.tables",
        "SELECT * FROM `wh.main.t1`",
        "SELECT * FROM `memory.main.t1`",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM '/etc/hostname'",
        "SELECT nextval('wh.catalog.numbers')",
        'SELECT 1 AS `x"; DROP TABLE t; --`',
        'SELECT * FROM imaging.instances AS `a"; DROP`',
        "COPY (SELECT 1) TO 'x'",
        "PRAGMA database_list",
        "ATTACH 'x.db'",
        "SET memory_limit = '1GB'",
    ],
)
def test_there_is_no_way_past_the_translator(query: Query, sql: str) -> None:
    """DuckDB's functions, tables, files and statements do not exist."""
    try:
        answer = query.answer(sql)
    except ApiError as error:
        assert error.status in (400, 404)
    else:
        # A range variable may be called anything: it never gets into DuckDB's text.
        assert answer["schema"]["fields"][0]["name"] == "StudyInstanceUID"
    assert query("SELECT COUNT(*) FROM imaging.instances") == [("5",)]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            "SELECT|*|FROM|imaging.instances|t|,|(|)|UNNEST|ImageType|AS|WHERE|EXISTS|1|'a'|=|GROUP BY|ORDER BY|LIMIT|"
            "WITH|UNION ALL|[|]|OVER|COUNT|@p|?|CAST|INT64|EXCEPT|STRUCT|.|-|NOT|IN|CASE|WHEN|END|JOIN|ON|`|;".split(
                "|"
            )
        ),
        max_size=12,
    )
)
def test_any_text_is_answered(query: Query, words: list[str]) -> None:
    """A query of any words is an answer or an error of the request, never a defect."""
    try:
        query(" ".join(words))
    except ApiError as error:
        assert error.status in (400, 404)


def test_deep_and_long_queries_end(query: Query) -> None:
    """Nesting has a limit, length too; a long chain is no nesting."""
    for sql in (
        "(" * 5_000 + "SELECT 1" + ")" * 5_000,
        "SELECT " + "-(" * 3_000 + "1" + ")" * 3_000,
        "SELECT 1" * 500_000,
    ):
        with pytest.raises(InvalidArgument):
            query(sql)
    chain = " OR ".join(f"Rows = {number}" for number in range(500))
    assert query(f"SELECT COUNT(*) FROM imaging.instances WHERE {chain}") == [("1",)]


def test_the_functions_are_a_list() -> None:
    """What can be called is known, so that documents and messages can say it."""
    names = supported_functions()
    assert {"APPROX_TOP_COUNT", "DATE_TRUNC", "SAFE_DIVIDE", "STRING_AGG"} <= set(names)
    assert names == sorted(set(names))
