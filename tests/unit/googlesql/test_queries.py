"""Queries over the table of conftest, their answers worked out by hand from GoogleSQL's documentation."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from .conftest import Query

QUERIES: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "group by and count distinct": (
        "SELECT Modality, COUNT(*) AS n, COUNT(DISTINCT StudyInstanceUID) AS studies "
        "FROM `local.imaging.instances` GROUP BY Modality ORDER BY n DESC",
        [("CT", "3", "2"), ("MR", "2", "1")],
    ),
    "COUNTIF and SAFE_DIVIDE": (
        "SELECT COUNTIF(Modality = 'CT'), SAFE_DIVIDE(COUNTIF(BodyPartExamined IS NULL), COUNT(*)), SAFE_DIVIDE(1, 0) "
        "FROM imaging.instances",
        [("3", "0.6", None)],
    ),
    "an age as text is cast, what is no number is NULL": (
        "SELECT SAFE_CAST(SUBSTR(PatientAge, 1, 3) AS INT64) AS age, COUNT(DISTINCT PatientID) AS n "
        "FROM imaging.instances WHERE ENDS_WITH(PatientAge, 'Y') GROUP BY age HAVING age BETWEEN 40 AND "
        "45 ORDER BY age",
        [("45", "1")],
    ),
    "a fraction is no INT64": (
        "SELECT SAFE_CAST(SliceThickness AS INT64), SAFE_CAST(SliceThickness AS FLOAT64) "
        "FROM imaging.instances WHERE StudyInstanceUID != '2.1' ORDER BY SOPInstanceUID",
        [(None, "1.5"), (None, None), ("3", "3.0")],
    ),
    "members of a name": (
        "SELECT PatientName.Alphabetic.FamilyName AS family, "
        "CONCAT(PatientName.Alphabetic.FamilyName, '^', IFNULL(PatientName.Alphabetic.GivenName, '')) AS pn, "
        "CONCAT(PatientName.Alphabetic.FamilyName, PatientName.Alphabetic.GivenName) AS both "
        "FROM imaging.instances WHERE PatientName.Alphabetic.FamilyName IS NOT NULL ORDER BY pn",
        [("Doe", "Doe^", None), ("Doe", "Doe^Jo", "DoeJo")],
    ),
    "elements by offset": (
        "SELECT ImageType[SAFE_OFFSET(2)] AS a, ImageType[SAFE_ORDINAL(1)] AS b, COUNT(*) AS n "
        "FROM imaging.instances GROUP BY a, b ORDER BY a, b",
        [(None, None, "2"), (None, "DERIVED", "1"), (None, "ORIGINAL", "1"), ("AXIAL", "ORIGINAL", "1")],
    ),
    "IN UNNEST is FALSE for an empty array": (
        "SELECT 'PRIMARY' IN UNNEST(ImageType) AS p, 'X' NOT IN UNNEST(ImageType) AS x, COUNT(*) AS n "
        "FROM imaging.instances GROUP BY p, x ORDER BY p",
        [("false", "true", "3"), ("true", "true", "2")],
    ),
    "EXISTS over two sequences counts rows once": (
        "SELECT COUNT(*) FROM imaging.instances t WHERE EXISTS (SELECT 1 FROM UNNEST(t.RequestAttributesSequence) r, "
        "UNNEST(r.RequestedProcedureCodeSequence) c WHERE c.CodeValue = '24627-2')",
        [("1",)],
    ),
    "EXISTS sees the query around it": (
        "SELECT SOPInstanceUID FROM imaging.instances t WHERE EXISTS (SELECT 1 FROM UNNEST(ImageType) AS i "
        "WITH OFFSET AS o WHERE o = 1 AND i = 'PRIMARY' AND t.InstanceNumber = '10')",
        [("1.1.1.2",)],
    ),
    "fields of an element need no alias": (
        "SELECT COUNT(*) FROM imaging.instances WHERE EXISTS (SELECT 1 FROM UNNEST(OtherElements) WHERE "
        "Tag = 'Tag_00090010')",
        [("1",)],
    ),
    "UNNEST of two sequences": (
        "SELECT c.CodeValue AS v, COUNT(*) AS n FROM imaging.instances AS t, UNNEST(t.RequestAttributesSequence) AS r, "
        "UNNEST(r.RequestedProcedureCodeSequence) AS c GROUP BY v ORDER BY v",
        [("24627-2", "2"), ("24628-0", "2")],
    ),
    "a path in FROM is an UNNEST": (
        "SELECT COUNT(*) FROM imaging.instances AS t, t.RequestAttributesSequence AS r, "
        "r.RequestedProcedureCodeSequence",
        [("4",)],
    ),
    "LEFT JOIN UNNEST keeps rows without elements": (
        "SELECT COUNT(*), COUNT(d.TagName) FROM imaging.instances AS t LEFT JOIN UNNEST(t.DroppedTags) AS d",
        [("5", "1")],
    ),
    "offsets begin at 0": (
        "SELECT off, AVG(CAST(v AS FLOAT64)) AS m FROM imaging.instances AS t, "
        "UNNEST(t.ImagePositionPatient) AS v WITH OFFSET AS off GROUP BY off ORDER BY off",
        [("0", "2.0"), ("1", "3.0"), ("2", "4.5")],
    ),
    "a scalar subquery over an array": (
        "SELECT (SELECT STRING_AGG(x, '|' ORDER BY x) FROM UNNEST(ImageType) AS x) AS it, COUNT(*) AS n "
        "FROM imaging.instances GROUP BY it ORDER BY it",
        [(None, "2"), ("AXIAL|ORIGINAL|PRIMARY", "1"), ("DERIVED|PRIMARY", "1"), ("ORIGINAL", "1")],
    ),
    "ARRAY of a subquery": (
        "SELECT ARRAY(SELECT AS STRUCT c.CodeValue AS v, c.CodeMeaning AS m FROM UNNEST(AnatomicRegionSequence) AS c) "
        "FROM imaging.instances ORDER BY SOPInstanceUID, LastUpdated LIMIT 2",
        [([("T-28000", "Lung")],), ([],)],
    ),
    "ARRAY_AGG with order and limit": (
        "SELECT ARRAY_AGG(STRUCT(CAST(InstanceNumber AS INT64) AS i, SOPInstanceUID AS uid) "
        "ORDER BY CAST(InstanceNumber AS INT64) DESC LIMIT 2) FROM imaging.instances WHERE Modality = 'CT'",
        [([("10", "1.1.1.2"), ("2", "1.1.1.1")],)],
    ),
    "ARRAY_AGG without NULLs and duplicates": (
        "SELECT PatientID, ARRAY_LENGTH(ARRAY_AGG(DISTINCT BodyPartExamined IGNORE NULLS)) FROM imaging.instances "
        "WHERE PatientID = 'A' GROUP BY PatientID",
        [("A", "2")],
    ),
    "the latest row of each instance": (
        "SELECT SOPInstanceUID FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY SOPInstanceUID ORDER BY "
        "LastUpdated DESC) "
        "AS rn FROM imaging.instances) WHERE rn = 1 AND Type != 'DELETE' ORDER BY 1",
        [("1.1.1.1",), ("1.1.1.2",), ("1.2.1.1",)],
    ),
    "QUALIFY": (
        "SELECT StudyInstanceUID, InstanceNumber FROM imaging.instances WHERE TRUE QUALIFY ROW_NUMBER() OVER "
        "(PARTITION BY StudyInstanceUID ORDER BY SAFE_CAST(InstanceNumber AS INT64) DESC) = 1 ORDER BY 1",
        [("1.1", "10"), ("1.2", "1"), ("2.1", None)],
    ),
    "dates are truncated to dates": (
        "SELECT DATE_TRUNC(StudyDate, MONTH) AS m, EXTRACT(YEAR FROM StudyDate) AS y, "
        "FORMAT_DATE('%Y-%m', StudyDate) AS f, "
        "DATE_DIFF(DATE '2026-01-01', MAX(StudyDate), DAY) AS d FROM imaging.instances GROUP BY m, y, f ORDER BY m",
        [("2020-01-01", "2020", "2020-01", "2188"), ("2021-02-01", "2021", "2021-02", "1789")],
    ),
    # 5 January 2020 and 7 February 2021 are Sundays, the first days of their weeks; 4 January 2020 is a Saturday.
    "weeks begin on Sunday": (
        "SELECT EXTRACT(DAYOFWEEK FROM StudyDate) AS dow, EXTRACT(WEEK FROM StudyDate) AS w, "
        "EXTRACT(ISOWEEK FROM StudyDate) AS iso, DATE_TRUNC(StudyDate, WEEK) AS ws, "
        "DATE_TRUNC(StudyDate, WEEK(MONDAY)) AS wm FROM imaging.instances GROUP BY dow, w, iso, ws, wm ORDER BY ws",
        [
            ("7", "0", "1", "2019-12-29", "2019-12-30"),
            ("1", "1", "1", "2020-01-05", "2019-12-30"),
            ("1", "6", "5", "2021-02-07", "2021-02-01"),
        ],
    ),
    "differences of dates count boundaries, of timestamps whole units": (
        "SELECT DATE_DIFF('2020-01-05', '2020-01-04', WEEK), DATE_DIFF('2020-01-05', '2020-01-04', ISOWEEK), "
        "DATE_DIFF('2020-02-01', '2020-01-31', MONTH), "
        "TIMESTAMP_DIFF(TIMESTAMP '2020-01-01 02:00:00+00', TIMESTAMP '2020-01-01 00:30:00+00', HOUR), "
        "TIMESTAMP_DIFF(TIMESTAMP '2020-01-01 00:30:00+00', TIMESTAMP '2020-01-01 02:00:00+00', HOUR)",
        [("1", "0", "1", "1", "-1")],
    ),
    "timestamps": (
        "SELECT TIMESTAMP_DIFF(TIMESTAMP '2026-02-01 00:00:00+00', MAX(LastUpdated), HOUR) AS h, "
        "FORMAT_TIMESTAMP('%F %T', MIN(LastUpdated)) AS s, TIMESTAMP_TRUNC(MIN(LastUpdated), DAY) AS d, "
        "DATETIME(MIN(StudyDate), MIN(StudyTime)) AS dt FROM imaging.instances",
        [("648", "2026-01-02 03:04:05", "1767312000000000", "2020-01-04T10:20:30")],
    ),
    "private elements": (
        "SELECT o.Tag AS tag, o.Data[SAFE_OFFSET(0)] AS v, JSON_VALUE(TO_JSON_STRING(o), '$.Data[1]') "
        "AS j, COUNT(*) AS n "
        "FROM imaging.instances AS t, UNNEST(t.OtherElements) AS o WHERE STARTS_WITH(o.Tag, 'Tag_0009') "
        "GROUP BY tag, v, j ORDER BY tag",
        [("Tag_00090010", "ACME", None, "1"), ("Tag_00091001", "x", "y", "1")],
    ),
    "arrays in JSON": (
        "SELECT JSON_QUERY_ARRAY(TO_JSON_STRING(o), '$.Data') AS a, JSON_VALUE_ARRAY(TO_JSON_STRING(o), "
        "'$.Data') AS b, "
        "TO_JSON_STRING(STRUCT(1 AS x, 'y' AS z)) AS j FROM imaging.instances AS t, UNNEST(t.OtherElements) AS o "
        "ORDER BY o.Tag",
        [(['"ACME"'], ["ACME"], '{"x":1,"z":"y"}'), (['"x"', '"y"'], ["x", "y"], '{"x":1,"z":"y"}')],
    ),
    "regular expressions": (
        "SELECT REGEXP_CONTAINS(SeriesDescription, r'(?i)lung'), REGEXP_EXTRACT(SeriesDescription, r'([0-9.]+)mm'), "
        "REGEXP_EXTRACT(SeriesDescription, r'none'), REGEXP_REPLACE(SOPInstanceUID, r'\\.[0-9]+$', '') "
        "FROM imaging.instances WHERE SOPInstanceUID = '1.1.1.1'",
        [("true", "1.5", None, "1.1.1")],
    ),
    "approximate counts come with their values": (
        "SELECT APPROX_TOP_COUNT(Modality, 2), APPROX_TOP_COUNT(BodyPartExamined, 1) FROM imaging.instances",
        [([("CT", "3"), ("MR", "2")], [(None, "3")])],
    ),
    "quantiles have their ends": (
        "SELECT APPROX_QUANTILES(SAFE_CAST(SliceThickness AS FLOAT64), 2) FROM imaging.instances",
        [(["1.5", "3.0", "5.0"],)],
    ),
    "a percentile as a window": (
        "SELECT DISTINCT Modality, PERCENTILE_CONT(SAFE_CAST(SliceThickness AS FLOAT64), 0.5) OVER "
        "(PARTITION BY Modality) AS med FROM imaging.instances ORDER BY Modality",
        [("CT", "2.25"), ("MR", "5.0")],
    ),
    "follow-ups of a cohort": (
        "WITH c AS (SELECT PatientID, MIN(StudyDate) AS first_study FROM imaging.instances GROUP BY PatientID), "
        "s AS (SELECT DISTINCT PatientID, StudyInstanceUID, StudyDate FROM imaging.instances WHERE Modality = 'CT') "
        "SELECT s.PatientID, COUNT(*) AS follow_ups FROM s JOIN c USING (PatientID) "
        "WHERE s.StudyDate > DATE_ADD(c.first_study, INTERVAL 0 DAY) GROUP BY 1",
        [("A", "1")],
    ),
    "measurements of a structured report": (
        "SELECT n.CodeMeaning AS what, mv.NumericValue[SAFE_OFFSET(0)] AS v, u.CodeValue AS unit FROM "
        "imaging.instances t, "
        "UNNEST(t.ContentSequence) g, UNNEST(g.ContentSequence) l, UNNEST(l.ConceptNameCodeSequence) n, "
        "UNNEST(l.MeasuredValueSequence) mv, UNNEST(mv.MeasurementUnitsCodeSequence) u",
        [("Diameter", "7.5", "mm")],
    ),
    "REPLACE in a star": (
        "SELECT * REPLACE(IFNULL(BodyPartExamined, 'UNKNOWN') AS BodyPartExamined) FROM "
        "(SELECT SOPInstanceUID, BodyPartExamined FROM imaging.instances) ORDER BY 1 LIMIT 2",
        [("1.1.1.1", "CHEST"), ("1.1.1.2", "UNKNOWN")],
    ),
    "hashes are bytes": (
        "SELECT DISTINCT TO_HEX(SHA256(PatientID)), TO_BASE64(MD5(PatientID)) FROM imaging.instances "
        "WHERE PatientID = 'A'",
        [(hashlib.sha256(b"A").hexdigest(), base64.b64encode(hashlib.md5(b"A").digest()).decode())],
    ),
    "SAFE. gives NULL for an error": (
        "SELECT SAFE.PARSE_DATE('%Y%m%d', 'bad') AS d UNION DISTINCT SELECT DATE '2020-01-01' ORDER BY d",
        [(None,), ("2020-01-01",)],
    ),
    "a calendar": (
        "SELECT d, COUNT(DISTINCT t.StudyInstanceUID) AS n FROM "
        "UNNEST(GENERATE_DATE_ARRAY('2020-01-03', '2020-01-05')) "
        "AS d LEFT JOIN imaging.instances t ON t.StudyDate = d GROUP BY d ORDER BY d",
        [("2020-01-03", "0"), ("2020-01-04", "1"), ("2020-01-05", "1")],
    ),
    "NULL comes first, and last when descending": (
        "SELECT STRING_AGG(IFNULL(b, '-'), ',' ORDER BY b), STRING_AGG(IFNULL(b, '-'), ',' ORDER BY b DESC) "
        "FROM (SELECT DISTINCT BodyPartExamined AS b FROM imaging.instances)",
        [("-,CHEST,HEAD", "HEAD,CHEST,-")],
    ),
    "casts of numbers": (
        "SELECT CAST(2.5 AS INT64), CAST(-2.5 AS INT64), CAST(1.0 AS STRING), CAST(0.1 AS STRING), "
        "SAFE_CAST('1_0' AS FLOAT64), SAFE_CAST(' 12 ' AS INT64), SAFE_CAST('yes' AS BOOL), CAST('TRUE' AS BOOL)",
        [("3", "-3", "1", "0.1", None, "12", None, "true")],
    ),
    "casts of dates": (
        "SELECT SAFE_CAST('2020-1-5' AS DATE), SAFE_CAST('2020/01/05' AS DATE), SAFE_CAST('infinity' AS DATE), "
        "CAST(TIMESTAMP '2020-01-05 10:00:00+02' AS STRING), CAST(DATE '2020-01-05' AS STRING)",
        [("2020-01-05", None, None, "2020-01-05 08:00:00+00", "2020-01-05")],
    ),
    "arithmetic": (
        "SELECT 7 / 2, DIV(7, 2), MOD(-7, 2), 2147483647 + 1, ROUND(2.5), ROUND(-2.5), TRUNC(-2.7), GREATEST(1, NULL)",
        [("3.5", "3", "-1", "2147483648", "3.0", "-3.0", "-2.0", None)],
    ),
    "text": (
        "SELECT SUBSTR('abcdef', 0, 2), SUBSTR('abcdef', -2), SUBSTR('abcdef', -9, 2), TRIM(' a\\t'), SPLIT('a,b'), "
        "'a_c' LIKE 'a\\\\_c', 'abc' LIKE 'a\\\\_c', 'a' || 'b'",
        [("ab", "ef", "ab", "a", ["a", "b"], "true", "false", "ab")],
    ),
    "shifts of dates": (
        "SELECT DATE_ADD('2020-01-31', INTERVAL 1 MONTH), DATE_SUB(DATE '2020-03-01', INTERVAL 1 DAY), "
        "LAST_DAY(DATE '2020-02-03'), DATE_ADD(DATE '2020-01-01', INTERVAL 1 QUARTER)",
        [("2020-02-29", "2020-02-29", "2020-02-29", "2020-04-01")],
    ),
    "a literal is coerced to a date": (
        "SELECT COUNT(*) FROM imaging.instances WHERE StudyDate >= '2021-01-01' AND StudyDate IN ('2021-02-07')",
        [("1",)],
    ),
    "a JOIN with elements and a condition": (
        "SELECT t.a, e FROM (SELECT 1 AS a, [1, 2] AS l UNION ALL SELECT 2, [1]) AS t LEFT JOIN UNNEST(t.l) AS e "
        "ON e = t.a ORDER BY t.a",
        [("1", "1"), ("2", None)],
    ),
    "named windows": (
        "SELECT n, SUM(n) OVER w, COUNT(*) OVER (w ORDER BY n) FROM UNNEST([1, 2, 3]) AS n "
        "WINDOW w AS (PARTITION BY MOD(n, 2)), other AS w ORDER BY n",
        [("1", "4", "1"), ("2", "2", "1"), ("3", "4", "2")],
    ),
    "UNPIVOT leaves NULL out": (
        "SELECT * FROM (SELECT 1 AS id, 10 AS q1, 20 AS q2, CAST(NULL AS INT64) AS q3) "
        "UNPIVOT (sales FOR quarter IN (q1, q2 AS 'second', q3)) ORDER BY sales",
        [("1", "10", "q1"), ("1", "20", "second")],
    ),
    "UNPIVOT INCLUDE NULLS keeps it": (
        "SELECT u.v, u.k FROM (SELECT 10 AS a, CAST(NULL AS INT64) AS b) UNPIVOT INCLUDE NULLS "
        "(v FOR k IN (a, b)) AS u ORDER BY u.k",
        [("10", "a"), (None, "b")],
    ),
    "ROLLUP has the sums of the sums": (
        "SELECT Modality, StudyInstanceUID, COUNT(*) FROM imaging.instances WHERE Modality = 'CT' "
        "GROUP BY ROLLUP (Modality, StudyInstanceUID) ORDER BY 1, 2",
        [(None, None, "3"), ("CT", None, "3"), ("CT", "1.1", "2"), ("CT", "1.2", "1")],
    ),
    "GROUPING SETS": (
        "SELECT Modality AS m, COUNT(*) FROM imaging.instances GROUP BY GROUPING SETS ((m), ()) ORDER BY 1",
        [(None, "5"), ("CT", "3"), ("MR", "2")],
    ),
    "all of a sample is all": (
        "SELECT COUNT(*) FROM imaging.instances TABLESAMPLE SYSTEM (100 PERCENT)",
        [("5",)],
    ),
    "a whole row is a value": (
        "SELECT TO_JSON_STRING(t), t FROM (SELECT 1 AS x, [1.0] AS l, DATE '2020-01-01' AS d) AS t",
        [('{"x":1,"l":[1],"d":"2020-01-01"}', ("1", ["1.0"], "2020-01-01"))],
    ),
    "JSON of a row of the table": (
        "SELECT JSON_VALUE(TO_JSON(t), '$.LastUpdated'), INT64(TO_JSON(t).Rows) FROM imaging.instances AS t "
        "WHERE SOPInstanceUID = '1.1.1.1'",
        [("2026-01-02T03:04:05.500Z", "512")],
    ),
    "several patterns": (
        "SELECT DISTINCT Modality LIKE ANY ('C%', 'X%'), Modality LIKE ALL ('%T', 'C%') "
        "FROM imaging.instances ORDER BY 1",
        [("false", "false"), ("true", "true")],
    ),
    "values with their types written": (
        "SELECT ARRAY<FLOAT64>[1, 2.5], STRUCT<a INT64, b STRING>(1, 'x'), ARRAY<STRING>[], ARRAY<DATE>['2020-01-05']",
        [(["1.0", "2.5"], ("1", "x"), [], ["2020-01-05"])],
    ),
    "an INTERVAL is added and taken away": (
        "SELECT MIN(StudyDate) + INTERVAL 1 DAY, MIN(LastUpdated) - INTERVAL 1 HOUR FROM imaging.instances",
        [("2020-01-05T00:00:00", "1767319445500000")],
    ),
    "bits": (
        "SELECT 12 & 10, 12 | 10, 12 ^ 10, ~0, 1 << 63, -1 >> 60",
        [("8", "14", "6", "-1", "-9223372036854775808", "15")],
    ),
    "windows with frames": (
        "SELECT SUM(n) OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), LAG(n) OVER (ORDER BY n), "
        "LAST_VALUE(n) OVER (ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) "
        "FROM UNNEST([3, 1, 2]) AS n ORDER BY n",
        [("1", None, "3"), ("3", "1", "3"), ("5", "2", "3")],
    ),
}
"""What it shows -> the query, its rows."""


@pytest.mark.parametrize("name", QUERIES)
def test_the_answer_is_what_the_documentation_says(query: Query, name: str) -> None:
    """The rows are those that were worked out by hand."""
    sql, expected = QUERIES[name]
    assert query(sql) == expected


@pytest.mark.parametrize(
    ("sql", "types"),
    [
        ("SELECT COUNT(*), SUM(Rows), AVG(Rows) FROM imaging.instances", ["INTEGER", "INTEGER", "FLOAT"]),
        ("SELECT COUNTIF(TRUE), 1.5, 1, 'a', TRUE", ["INTEGER", "FLOAT", "INTEGER", "STRING", "BOOLEAN"]),
        ("SELECT DATE_TRUNC(StudyDate, WEEK), TIMESTAMP_TRUNC(LastUpdated, DAY) FROM imaging.instances",
         ["DATE", "TIMESTAMP"]),
        ("SELECT DATETIME(StudyDate, StudyTime), StudyTime FROM imaging.instances", ["DATETIME", "TIME"]),
        ("SELECT ImageType, PatientName, OtherElements FROM imaging.instances", ["STRING[]", "RECORD", "RECORD[]"]),
        ("SELECT SHA256('a'), NUMERIC '1.5'", ["BYTES", "NUMERIC"]),
    ],
)  # fmt: skip
def test_types_are_those_of_bigquery(query: Query, sql: str, types: list[str]) -> None:
    """Counts and sums are INTEGER, truncated dates are DATE: not what DuckDB makes of them."""
    assert [kind for _, kind in query.types(sql)] == types


def test_columns_are_named_as_there(query: Query) -> None:
    """The alias, the last name of a path as it was written, f0_, f1_ for the rest."""
    sql = "SELECT modality, PatientName.Alphabetic.FamilyName, 1, Rows AS r, 2 FROM imaging.instances"
    assert [name for name, _ in query.types(sql)] == ["modality", "FamilyName", "f0_", "r", "f1_"]


def test_parameters_are_bound(query: Query) -> None:
    """Named ones of every use, whatever their text."""

    def of(name: str, kind: str, value: str) -> dict[str, Any]:
        return {"name": name, "parameterType": {"type": kind}, "parameterValue": {"value": value}}

    uids = {
        "name": "uids",
        "parameterType": {"type": "ARRAY", "arrayType": {"type": "STRING"}},
        "parameterValue": {"arrayValues": [{"value": "1.1"}, {"value": "'); DROP"}]},
    }
    sql = (
        "SELECT COUNT(*) FROM imaging.instances "
        "WHERE Modality = @m AND StudyInstanceUID IN UNNEST(@uids) AND StudyDate >= @d AND @M = 'CT'"
    )
    given = [of("m", "STRING", "CT"), of("d", "DATE", "2020-01-01"), uids]
    assert query(sql, queryParameters=given) == [("2",)]


def test_positional_parameters_are_bound_in_the_order_of_the_text(query: Query) -> None:
    """Although FROM is translated before the SELECT list."""
    given = [
        {"parameterType": {"type": kind}, "parameterValue": {"value": value}}
        for kind, value in (("INT64", "1"), ("STRING", "x"), ("STRING", "CT"))
    ]
    sql = "SELECT DISTINCT ? + 1, j FROM imaging.instances, UNNEST([?]) AS j WHERE Modality = ? /* ? */ AND '?' = '?'"
    assert query(sql, queryParameters=given) == [("2", "x")]
