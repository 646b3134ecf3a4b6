"""SQL through the official BigQuery client (REST, translation, JSON), and a long result to a frame, against DuckDB."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pandas as pd

from bench.measure import Row, alternate, seconds
from bench.table import CODES, FRAME, FRAME_COLUMNS, TABLE, Both, both

__all__ = ["run"]

TARGET = "<= 1.5"
TARGET_EXISTS = "<= 1.1"
"""Not slower, with a tenth for what two measurements of the same differ by."""
TARGET_FRAME = "<= 3"

FIXED = "SELECT 1 AS x"
"""What it costs to ask anything at all."""


class Query(NamedTuple):
    """A question, as it is asked of BigQuery and of DuckDB; ``{t}`` is the table."""

    what: str
    ours: str
    direct: str
    rows: int


QUERIES = (
    Query(
        "group by",
        "SELECT Modality, Manufacturer, COUNT(*) AS n, COUNT(DISTINCT SeriesInstanceUID) AS series FROM `{t}` "
        "GROUP BY Modality, Manufacturer ORDER BY Modality",
        "SELECT Modality, Manufacturer, COUNT(*) AS n, COUNT(DISTINCT SeriesInstanceUID) AS series FROM {t} "
        "GROUP BY Modality, Manufacturer ORDER BY Modality",
        3,
    ),
    Query(
        "distinct",
        "SELECT DISTINCT StudyDate, Modality FROM `{t}` ORDER BY StudyDate, Modality LIMIT 50",
        "SELECT DISTINCT StudyDate, Modality FROM {t} ORDER BY StudyDate, Modality LIMIT 50",
        50,
    ),
    Query(
        "point",
        "SELECT SOPInstanceUID, Modality, StudyDate, InstanceNumber FROM `{t}` WHERE SOPInstanceUID = '{uid}'",
        "SELECT SOPInstanceUID, Modality, StudyDate, InstanceNumber FROM {t} WHERE SOPInstanceUID = '{uid}'",
        1,
    ),
    Query(
        "two-level unnest",
        "SELECT c.CodeValue AS code, COUNT(*) AS n FROM `{t}` AS t, UNNEST(t.RequestAttributesSequence) AS r, "
        "UNNEST(r.RequestedProcedureCodeSequence) AS c GROUP BY code ORDER BY code",
        # The fastest of DuckDB's ways to say it; UNNEST in FROM takes many times as long.
        "SELECT c.CodeValue AS code, COUNT(*) AS n FROM (SELECT unnest(r.RequestedProcedureCodeSequence) AS c "
        "FROM (SELECT unnest(RequestAttributesSequence) AS r FROM {t})) GROUP BY code ORDER BY code",
        CODES,
    ),
)

EXISTS = Query(
    "EXISTS over UNNEST, two levels",
    "SELECT COUNT(*) AS n FROM `{t}` AS t WHERE EXISTS (SELECT 1 FROM UNNEST(t.RequestAttributesSequence) AS r, "
    "UNNEST(r.RequestedProcedureCodeSequence) AS c WHERE c.CodeValue = 'C8')",
    "SELECT COUNT(*) AS n FROM {t} WHERE len(list_filter(flatten(list_transform(RequestAttributesSequence, "
    "lambda r: r.RequestedProcedureCodeSequence)), lambda c: c.CodeValue = 'C8')) > 0",
    1,
)


def _rows_of(table: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_pylist()
    return found


class _Asked:
    """A query on both sides."""

    def __init__(self, tables: Both, query: Query, uid: str) -> None:
        # A client of its own costs nothing, and is what a notebook has.
        self._client: Any = tables.dataset.bigquery_client(project="local")
        self._direct = tables.direct
        self._ours = query.ours.format(t=TABLE, uid=uid)
        self._theirs = query.direct.format(t=tables.tables[TABLE], uid=uid)
        ours, theirs = _rows_of(self.ours()), _rows_of(self.theirs())
        if ours != theirs or len(ours) != query.rows:
            raise AssertionError(f"{query.what}: {len(ours)} rows of ours, {len(theirs)} of DuckDB, or not the same")

    def ours(self) -> Any:
        return self._client.query(self._ours).result().to_arrow(create_bqstorage_client=False)

    def fixed(self) -> Any:
        return self._client.query(FIXED).result().to_arrow(create_bqstorage_client=False)

    def theirs(self) -> Any:
        return self._direct.execute(self._theirs).to_arrow_table()


def _query_rows(tables: Both, uid: str, repeat: int) -> Iterator[Row]:
    duck = f"DuckDB {duckdb.__version__} direct"
    asks = [(query, query.what, duck, TARGET) for query in QUERIES]
    for query, what, peer, target in [
        *asks,
        (EXISTS, f"{EXISTS.what},", "DuckDB's list functions direct", TARGET_EXISTS),
    ]:
        asked = _Asked(tables, query, uid)
        found = _timed({"ours": asked.ours, "fixed": asked.fixed, "direct": asked.theirs}, repeat)
        fixed = statistics.median(found["fixed"])
        yield Row(
            what=f"SQL, {what} of {tables.rows:,} rows, above the client's fixed cost",
            ours=f"{_ms(found['ours'])} ms, of which {fixed * 1e3:.1f} ms for any query",
            theirs=f"{peer}: {_ms(found['direct'])} ms",
            ratios=[max(a - fixed, 0.0) / b for a, b in zip(found["ours"], found["direct"], strict=True)],
            target=target,
        )


def _frame_row(tables: Both, repeat: int) -> Row:
    ours = partial(tables.dataset.sql, f"SELECT * FROM `{FRAME}`")  # noqa: S608 - a name of ours
    direct = partial(_frame, tables.direct, f"SELECT * FROM {tables.tables[FRAME]}")  # noqa: S608 - a name of ours
    mine, theirs = ours(), direct()
    if list(mine.columns) != list(FRAME_COLUMNS) or list(theirs.columns) != list(FRAME_COLUMNS):
        raise AssertionError("other columns than were asked for")
    # The same order: a scan of the same file by one thread. The types differ, for ours do not depend on the rows.
    for name in ("SOPInstanceUID", "StudyDate", "Rows", "PatientAge"):
        if len(mine) != tables.frame_rows or mine[name].isna().to_list() != theirs[name].isna().to_list():
            raise AssertionError(f"the frames differ in {name}")
    if sorted(mine["SOPInstanceUID"]) != sorted(theirs["SOPInstanceUID"]):
        raise AssertionError("the frames have other rows")
    found = _timed({"ours": ours, "direct": direct}, repeat)
    return Row(
        what=f"SQL, {tables.frame_rows:,} rows x {len(FRAME_COLUMNS)} columns to a typed frame",
        ours=f"{_ms(found['ours'])} ms",
        theirs=f"DuckDB {duckdb.__version__} .df(): {_ms(found['direct'])} ms",
        ratios=[a / b for a, b in zip(found["ours"], found["direct"], strict=True)],
        target=TARGET_FRAME,
    )


def _frame(connection: duckdb.DuckDBPyConnection, text: str) -> pd.DataFrame:
    return connection.execute(text).df()


def _timed(candidates: dict[str, Callable[[], Any]], repeat: int) -> dict[str, list[float]]:
    return alternate({name: partial(seconds, work) for name, work in candidates.items()}, repeat)


def _ms(times: list[float]) -> str:
    return f"{statistics.median(times) * 1e3:.1f}"


def run(*, repeat: int, quick: bool) -> Iterator[Row]:
    """Yield one row for each query, and one for the frame."""
    with (
        tempfile.TemporaryDirectory(prefix="dicomkit-bench-") as temporary,
        both(Path(temporary), 8_000 if quick else 200_000) as tables,
    ):
        found = tables.direct.execute(f"SELECT SOPInstanceUID FROM {tables.tables[TABLE]} LIMIT 1 OFFSET 1000")  # noqa: S608
        (uid,) = found.fetchall()[0]
        # Short ones, on a machine that does other things too.
        yield from _query_rows(tables, uid, repeat * 5)
        yield _frame_row(tables, repeat)
