"""Whatever is sent to the embedded BigQuery is an answer or an error of the request: never a 5xx, never a way out."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomkit.engine.app import Engine
from dicomkit.transport.engine_adapter import ORIGIN, EngineAdapter

BASE = f"{ORIGIN}/bigquery/v2/projects/local"
TABLE = {"projectId": "local", "datasetId": "imaging", "tableId": "ct"}
OTHER = {**TABLE, "tableId": "other"}
FIELDS = [
    {"name": "a", "type": "INTEGER"},
    {"name": "s", "type": "STRING", "mode": "REPEATED"},
    {"name": "r", "type": "RECORD", "fields": [{"name": "x", "type": "DATE"}]},
]


class Caller:
    """Sends requests to one engine over ``local.imaging.ct``."""

    def __init__(self, home: Path, session: requests.Session) -> None:
        self.home = home
        self.session = session

    def __call__(self, verb: str, path: str, body: Any = None) -> requests.Response:
        return self.session.request(verb, f"{BASE}/{path}", data=orjson.dumps(body) if body is not None else None)

    def count(self) -> Any:
        """Rows of the table."""
        return self.query("SELECT COUNT(*) FROM imaging.ct").json()["rows"]

    def query(self, sql: str, **options: Any) -> requests.Response:
        return self("POST", "queries", {"query": sql, "useLegacySql": False, **options})


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    home = tmp_path_factory.mktemp("bq") / "home"
    (home / "buckets" / "out").mkdir(parents=True)
    with Engine(home) as engine, requests.Session() as session:
        session.mount(ORIGIN, EngineAdapter(engine))
        made = Caller(home, session)
        assert made("POST", "datasets", {"datasetReference": {"datasetId": "imaging"}}).ok
        assert made("POST", "datasets/imaging/tables", {"tableReference": TABLE, "schema": {"fields": FIELDS}}).ok
        yield made


BODIES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "datasets", {"datasetReference": {"projectId": "local", "datasetId": "d"}, "labels": {"a": "b"}}),
    ("PATCH", "datasets/imaging", {"labels": {"a": None}, "description": "x"}),
    ("POST", "datasets/imaging/tables", {"tableReference": OTHER, "schema": {"fields": FIELDS}}),
    ("PATCH", "datasets/imaging/tables/ct", {"schema": {"fields": FIELDS}, "description": "x"}),
    (
        "POST",
        "datasets/imaging/tables",
        {"tableReference": OTHER, "view": {"query": "SELECT 1", "useLegacySql": False}},
    ),
    ("POST", "datasets/imaging/tables/ct/insertAll", {"rows": [{"insertId": "i", "json": {"a": 1, "s": ["x"]}}]}),
    (
        "POST",
        "queries",
        {
            "query": "SELECT @p AS p, @q AS q",
            "useLegacySql": False,
            "maxResults": 5,
            "timeoutMs": 1000,
            "dryRun": False,
            "maximumBytesBilled": "1000000000",
            "defaultDataset": {"projectId": "local", "datasetId": "imaging"},
            "parameterMode": "NAMED",
            "formatOptions": {"useInt64Timestamp": True},
            "queryParameters": [
                {
                    "name": "p",
                    "parameterType": {"type": "ARRAY", "arrayType": {"type": "INT64"}},
                    "parameterValue": {"arrayValues": [{"value": "1"}]},
                },
                {
                    "name": "q",
                    "parameterType": {"type": "STRUCT", "structTypes": [{"name": "x", "type": {"type": "DATE"}}]},
                    "parameterValue": {"structValues": {"x": {"value": "2020-01-01"}}},
                },
            ],
        },
    ),
    (
        "POST",
        "jobs",
        {
            "jobReference": {"projectId": "local"},
            "configuration": {
                "query": {
                    "query": "SELECT 1 AS a",
                    "destinationTable": OTHER,
                    "writeDisposition": "WRITE_APPEND",
                    "createDisposition": "CREATE_IF_NEEDED",
                    "schemaUpdateOptions": ["ALLOW_FIELD_ADDITION"],
                }
            },
        },
    ),
    (
        "POST",
        "jobs",
        {
            "configuration": {
                "copy": {"sourceTables": [TABLE], "destinationTable": OTHER, "writeDisposition": "WRITE_EMPTY"}
            }
        },
    ),
    (
        "POST",
        "jobs",
        {
            "configuration": {
                "extract": {
                    "sourceTable": TABLE,
                    "destinationUris": ["gs://out/x-*.json"],
                    "destinationFormat": "NEWLINE_DELIMITED_JSON",
                    "compression": "GZIP",
                    "fieldDelimiter": ",",
                    "printHeader": True,
                }
            }
        },
    ),
    (
        "POST",
        "jobs",
        {
            "configuration": {
                "load": {
                    "sourceUris": ["gs://out/x"],
                    "destinationTable": OTHER,
                    "sourceFormat": "CSV",
                    "schema": {"fields": FIELDS},
                    "skipLeadingRows": 1,
                    "maxBadRecords": 2,
                    "parquetOptions": {"enableListInference": True},
                }
            }
        },
    ),
]

ODD = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        -1,
        1.5,
        1 << 40,
        "",
        "x",
        "'",
        "`",
        "-1",
        "9" * 30,
        [],
        {},
        [None],
        [[]],
        {"": None},
        "\0",
        "ü",
    ]
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _places(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _places(inner, (*path, number))


def _replaced(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(body)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    "number", range(len(BODIES)), ids=[f"{verb} {path} {n}" for n, (verb, path, _) in enumerate(BODIES)]
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_body_with_anything_in_it_is_answered(call: Caller, number: int, data: st.DataObject) -> None:
    """One place of a good body, or two, holds something else: the status is one that no client retries for."""
    verb, path, body = BODIES[number]
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(list(_places(body))))
        body = _replaced(body, place, data.draw(ODD))
    answer = call(verb, path, body)
    assert answer.status_code < 500 or answer.status_code == 501, (body, answer.text)
    assert call("GET", "datasets/imaging/tables/ct").status_code == 200
    assert call("GET", "datasets?filter=labels.a").status_code == 200


WORDS = (
    "SELECT|*|FROM|imaging.ct|t|,|(|)|UNNEST|s|a|r|x|AS|WHERE|EXISTS|1|'a'|=|GROUP BY|ORDER BY|LIMIT|WITH|[|]|UNION ALL"
    "|"
    "OVER|COUNT|@p|?|CAST|INT64|EXCEPT|STRUCT|.|-|NOT|IN|CASE|WHEN|END|JOIN|ON|`|;|INSERT|INTO|VALUES|UPDATE|SET|DELETE|"
    "MERGE|USING|MATCHED|THEN|CREATE|TABLE|VIEW|OR REPLACE|ALTER|ADD COLUMN|DEFAULT|NULL|JSON|DATE|INTERVAL|DAY|<|>|&|"
    "TO_JSON|FORMAT|ARRAY|PIVOT|UNPIVOT|FOR|QUALIFY|WINDOW|ROLLUP|TABLESAMPLE SYSTEM|PERCENT|TRUE|NaN|SAFE.|b'x'"
).split("|")


@settings(max_examples=400, deadline=None)
@given(words=st.lists(st.sampled_from(WORDS), max_size=14))
def test_a_statement_of_any_words_is_answered(call: Caller, words: list[str]) -> None:
    """Queries, DML and DDL alike; none of them runs, or it does what it says."""
    answer = call.query(" ".join(words), dryRun=True)
    assert answer.status_code < 500, (words, answer.text)
    # What the translator tells when it has a defect.
    assert "this statement is not supported" not in answer.text, words


FILES = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM read_parquet('x')",
    "SELECT * FROM read_json('x')",
    "SELECT * FROM parquet_scan('x')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM `/etc/passwd`",
    "SELECT * FROM `https://example.com/x.parquet`",
    "SELECT read_text('/etc/passwd')",
    "SELECT read_blob('/etc/passwd')",
    "SELECT getenv('HOME')",
    "SELECT current_setting('temp_directory')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM pragma_database_list()",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM information_schema.tables",
    "SELECT nextval('wh.catalog.numbers')",
    "SELECT bq_sha512(b'x')",
    "INSERT INTO imaging.ct (a) SELECT * FROM read_csv('/etc/passwd')",
    "CREATE TABLE imaging.x AS SELECT * FROM read_csv('/etc/passwd')",
    "CREATE VIEW imaging.x AS SELECT * FROM read_csv('/etc/passwd')",
    "MERGE imaging.ct t USING read_csv('/etc/passwd') s ON FALSE WHEN NOT MATCHED THEN INSERT ROW",
    "UPDATE imaging.ct SET a = 1 FROM read_csv('/etc/passwd') WHERE TRUE",
    "DELETE FROM wh.catalog.tables WHERE TRUE",
    "TRUNCATE TABLE `wh.catalog.tables`",
    "DROP TABLE `wh.main.t1`",
    "COPY imaging.ct TO '/tmp/x.csv'",
    "COPY (SELECT 1) TO 'x'",
    "EXPORT DATABASE 'x'",
    "IMPORT DATABASE 'x'",
    "ATTACH 'x.db'",
    "ATTACH 'x.db' AS x",
    "DETACH wh",
    "USE wh",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '/tmp/x.so'",
    "SET enable_external_access = true",
    "SET memory_limit = '1GB'",
    "RESET ALL",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "CHECKPOINT",
    "VACUUM",
    "CALL pragma_version()",
    "CREATE SECRET s (TYPE s3)",
    "CREATE MACRO f(x) AS x",
    "CREATE SEQUENCE s",
    "DESCRIBE imaging.ct",
    "SHOW TABLES",
    "EXPLAIN SELECT 1",
    "EXPORT DATA OPTIONS(uri='file:///tmp/x') AS SELECT 1",
    "LOAD DATA INTO imaging.x FROM FILES (uris = ['file:///etc/passwd'])",
    "CREATE EXTERNAL TABLE imaging.x OPTIONS (format = 'CSV', uris = ['file:///etc/passwd'])",
]


@pytest.mark.parametrize("sql", FILES)
def test_sql_reaches_no_file_and_no_setting(call: Caller, sql: str) -> None:
    """Neither DuckDB's statements nor its functions nor its tables exist (C53)."""
    rows = call.count()
    before = sorted(path for path in call.home.rglob("*") if not path.name.endswith((".wal", ".tmp")))
    answer = call.query(sql)
    assert answer.status_code in (400, 404), answer.text
    assert answer.json()["error"]["errors"][0]["reason"] in ("invalidQuery", "notFound", "invalid")
    assert sorted(path for path in call.home.rglob("*") if not path.name.endswith((".wal", ".tmp"))) == before
    assert call.count() == rows


NAMES = st.one_of(
    st.sampled_from(
        ["`", "``", '"', "'", ";", "a`b", 'a"; DROP TABLE t; --', "x" * 1025, "\\`", "a\nb", "\u202e", "*", "a.b"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40),
)


@settings(max_examples=150, deadline=None)
@given(name=NAMES)
def test_a_name_is_never_a_part_of_sql(call: Caller, name: str) -> None:
    """Of a table, a column, an alias, a parameter: it is that name, or an error of the request (C54)."""
    rows = call.count()
    texts = [
        f"SELECT 1 AS `{name}`",
        f"SELECT `{name}` FROM imaging.ct",
        f"SELECT 1 FROM `imaging.{name}`",
        f"SELECT 1 FROM imaging.ct AS `{name}`",
        f"CREATE TABLE imaging.`{name}` (`{name}` INT64)",
        f"ALTER TABLE imaging.ct ADD COLUMN `{name}` INT64",
        f"INSERT imaging.ct (`{name}`) VALUES (1)",
        f"CREATE SCHEMA `{name}`",
    ]
    for sql in texts:
        answer = call.query(sql, dryRun=True)
        assert answer.status_code < 500, (sql, answer.text)
    resource = {"tableReference": {**TABLE, "tableId": name}, "schema": {"fields": [{"name": name, "type": "STRING"}]}}
    assert call("POST", "datasets/imaging/tables", resource).status_code < 500
    parameter = {"name": name, "parameterType": {"type": "STRING"}, "parameterValue": {"value": name}}
    answer = call.query("SELECT @p AS p", queryParameters=[{**parameter, "name": "p"}])
    assert answer.json()["rows"] == [{"f": [{"v": name}]}]
    assert call.query("SELECT 1", queryParameters=[parameter]).status_code < 500
    struct = {
        "name": "p",
        "parameterType": {"type": "STRUCT", "structTypes": [{"name": name, "type": {"type": "STRING"}}]},
        "parameterValue": {"structValues": {name: {"value": name}}},
    }
    assert call.query("SELECT @p AS p", queryParameters=[struct]).status_code < 500
    assert call.count() == rows
