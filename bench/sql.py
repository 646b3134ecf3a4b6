"""A SQL frame through the whole way (BigQuery client, REST, translation) against DuckDB fetched straight to pandas."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import duckdb
import pandas as pd

import dicomkit as dk
from bench.measure import Row, seconds
from bench.search import fill

__all__ = ["run"]

TABLE = "bq://local.bench.instances"

QUERIES = {
    "20 groups": "SELECT Modality, Manufacturer, COUNT(*) AS n FROM {table} GROUP BY Modality, Manufacturer ORDER BY n",
    "every row, 10 columns": (
        "SELECT StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, Modality, Manufacturer, PatientID, StudyDate, "
        "InstanceNumber, Rows, Columns FROM {table} ORDER BY SOPInstanceUID"
    ),
}


def _physical_table(connection: duckdb.DuckDBPyConnection, rows: int) -> str:
    """The quoted name of the table that holds the streamed rows, found by its columns and its size."""
    names = connection.execute(
        "SELECT table_schema, table_name FROM information_schema.columns WHERE column_name = 'SOPInstanceUID'"
    ).fetchall()
    for schema, table in names:
        quoted = ".".join('"' + part.replace('"', '""') + '"' for part in (schema, table))
        found = connection.execute(f"SELECT COUNT(*) FROM {quoted}").fetchone()  # noqa: S608 - names of the catalogue
        if found is not None and found[0] == rows:
            return quoted
    raise AssertionError(f"no table of {rows} rows in the warehouse")


def _direct(connection: duckdb.DuckDBPyConnection, query: str) -> pd.DataFrame:
    return connection.execute(query).df()


def run(*, repeat: int, quick: bool) -> Iterator[Row]:
    """Yield one row for each query; there is no target, the figures say what the way costs."""
    count = 2_000 if quick else 20_000
    ours: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="dicomkit-bench-") as temporary:
        home = Path(temporary) / "home"
        with dk.connect(home) as dataset:
            store = dataset.create_store("sql", stream_to=TABLE)
            fill(store, count, seed=8)
            for name, query in QUERIES.items():
                rows = len(store.sql(query))
                if rows == 0 or (name.startswith("every") and rows != count):
                    raise AssertionError(f"{name}: {rows} rows")
                ours[name] = [seconds(partial(store.sql, query)) for _ in range(repeat)]
        # DuckDB locks its file, so the lower bound follows when the engine has let go of it.
        connection = duckdb.connect(str(home / "warehouse.duckdb"), read_only=True)
        try:
            table = _physical_table(connection, count)
            for name, query in QUERIES.items():
                text = query.replace("{table}", table)
                _direct(connection, text)
                bound = [seconds(partial(_direct, connection, text)) for _ in range(repeat)]
                yield Row(
                    what=f"SQL, {name} of {count:,}, to a frame",
                    ours=f"{statistics.median(ours[name]) * 1e3:.0f} ms",
                    theirs=f"DuckDB {duckdb.__version__} direct: {statistics.median(bound) * 1e3:.1f} ms",
                    ratios=[a / b for a, b in zip(ours[name], bound, strict=True)],
                )
        finally:
            connection.close()
