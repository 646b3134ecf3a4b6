"""Stored rows into their table, against DuckDB that gets the same rows ready made; and what it costs to make them."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa

import dicomkit as dk
from bench import corpus
from bench.measure import ALLOWED, Row, alternate, on_cores, seconds
from bench.table import headers, line, open_copy, physical_table
from dicomkit.dicom.reader import read_part10
from dicomkit.engine import Engine
from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.outbox import NewRow
from dicomkit.engine.persistence.warehouse import Warehouse
from dicomkit.engine.services.stream_lane import BATCH_ROWS, EMBEDDED
from dicomkit.names import DatasetName, DicomStoreName

__all__ = ["run"]

TARGET = ">= 0.6"
TARGET_ROW = "<= 1"

STORE = "bench"
COMMIT = 400
"""Rows that were stored together."""
FIRST = 3 * corpus.STUDY
"""Rows that make the table, with every column; they are not timed on either side."""

FACTS = "SELECT count(*), count(DISTINCT SOPInstanceUID), sum(Rows), count(StudyDate) FROM {}"
"""What two tables of the same rows agree on."""


class _Rows:
    """The rows in every form that is needed."""

    def __init__(self, count: int, folder: Path) -> None:
        self.count = count
        self.lines = [line(part10) for part10 in headers(FIRST + count, seed=31)]
        largest = max(sum(map(len, self.lines[i : i + BATCH_ROWS])) for i in range(FIRST, FIRST + count, BATCH_ROWS))
        if largest > EMBEDDED.size:
            raise AssertionError("the rows are too large for whole batches: the batches would not be the same")
        self.columns = statistics.mean(len(orjson.loads(one)) for one in self.lines[FIRST : FIRST + 1_000])
        home = folder / "made"
        _deliver(self, home)
        with closing(open_copy(home / "warehouse.duckdb")) as connection:
            name = physical_table(connection, FIRST + count)
            self.facts = connection.execute(FACTS.format(name)).fetchall()
            table = connection.execute(f"SELECT * FROM {name} ORDER BY rowid").to_arrow_table()  # noqa: S608 - quoted
        if table["SOPInstanceUID"].to_pylist() != [orjson.loads(one)["SOPInstanceUID"] for one in self.lines]:
            raise AssertionError("the table has other rows than were stored")
        self.first = table.slice(0, FIRST).combine_chunks()
        self.batches = [table.slice(i, BATCH_ROWS).combine_chunks() for i in range(FIRST, FIRST + count, BATCH_ROWS)]


def _deliver(rows: _Rows, home: Path) -> float:
    """Seconds from rows that all wait to the last of them in the table, outbox and all."""
    with dk.connect(home) as dataset:
        dataset.create_store(STORE, stream_to="bq://local.bench.instances")
    name = DicomStoreName(DatasetName("local", "local", "default"), STORE)
    with Engine(home) as engine:
        storage, streaming = engine.storage, engine.streaming
        with storage.database.read() as connection:
            (stream,) = storage.outbox.streams(connection, catalog.store(connection, name).key)

        def put(lines: list[bytes]) -> None:
            with storage.database.write() as connection:
                storage.outbox.add(connection, [NewRow((stream.key,), one) for one in lines], time.time())

        put(rows.lines[:FIRST])
        streaming.drain(name, 600)
        for i in range(FIRST, len(rows.lines), COMMIT):
            put(rows.lines[i : i + COMMIT])
        taken = seconds(partial(streaming.drain, name, 600))
        (status,) = streaming.status(name)
        if (status["waiting"], status["failed"], status["delivered"]) != (0, 0, len(rows.lines)):
            raise AssertionError(f"not all rows were delivered: {status}")
    return taken


@contextmanager
def _same_settings(folder: Path) -> Iterator[Callable[[Callable[[duckdb.DuckDBPyConnection], None]], None]]:
    """DuckDB's file as the engine has it; what is given runs in a transaction."""
    with Warehouse(folder / "direct.duckdb") as warehouse:

        def transaction(work: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
            with warehouse.transaction() as cursor:
                work(cursor)

        yield transaction


@contextmanager
def _own_settings(folder: Path) -> Iterator[Callable[[Callable[[duckdb.DuckDBPyConnection], None]], None]]:
    """The same with nothing set but the number of threads and the time zone."""
    with closing(duckdb.connect(":memory:")) as connection:
        connection.execute(f"ATTACH '{folder / 'direct.duckdb'}' AS wh")
        connection.execute(f"SET threads = {pa.cpu_count()}")
        connection.execute("SET TimeZone = 'UTC'")

        def transaction(work: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
            connection.begin()
            work(connection)
            connection.commit()

        yield transaction


def _append(rows: _Rows, opened: Any) -> float:
    """Seconds that DuckDB takes for the same batches as Arrow tables of its own types, a transaction each."""

    def insert(cursor: duckdb.DuckDBPyConnection, batch: pa.Table, sql: str) -> None:
        cursor.register("__batch", batch)
        cursor.execute(sql)
        cursor.unregister("__batch")

    def all_batches() -> None:
        for batch in rows.batches:
            transaction(partial(insert, batch=batch, sql="INSERT INTO wh.main.direct SELECT * FROM __batch"))

    found: list[Any] = []
    with tempfile.TemporaryDirectory(prefix="dicomkit-bench-") as temporary, opened(Path(temporary)) as transaction:
        transaction(partial(insert, batch=rows.first, sql="CREATE TABLE wh.main.direct AS SELECT * FROM __batch"))
        taken = seconds(all_batches)
        transaction(lambda cursor: found.extend(cursor.execute(FACTS.format("wh.main.direct")).fetchall()))
    if found != rows.facts:
        raise AssertionError("DuckDB has other rows than the stream delivered")
    return taken


def _stream_rows(rows: _Rows, folder: Path, repeat: int, cores: str) -> Iterator[Row]:
    homes = iter(range(10**6))
    timed = alternate(
        {
            "ours": lambda: _deliver(rows, folder / f"{cores}-{next(homes)}"),
            "same": partial(_append, rows, _same_settings),
            "own": partial(_append, rows, _own_settings),
        },
        repeat,
    )
    middle = {name: f"{rows.count / statistics.median(times):,.0f} rows/s" for name, times in timed.items()}
    what = f"streaming {rows.count:,} rows of {rows.columns:.0f} columns, {cores}"
    # Peers are as they come; what DuckDB does with the engine's settings is what is left to be gained.
    for name, settings, target in (("own", "as it comes", TARGET), ("same", "with the engine's settings", "")):
        yield Row(
            what=what,
            ours=middle["ours"],
            theirs=f"DuckDB {duckdb.__version__} {settings}, the same rows as Arrow: {middle[name]}",
            ratios=[b / a for a, b in zip(timed["ours"], timed[name], strict=True)],
            target=target,
        )


def _row_row(count: int, repeat: int) -> Row:
    files = [instance.data for instance in corpus.instances(count, seed=32, pixels=False)]
    read = [read_part10(data) for data in files]

    def read_all() -> None:
        for data in files:
            read_part10(data)

    def build_all() -> None:
        for part10 in read:
            line(part10)

    timed = alternate({"row": partial(seconds, build_all), "read": partial(seconds, read_all)}, repeat)
    each = {name: f"{statistics.median(times) / count * 1e6:.0f} us" for name, times in timed.items()}
    return Row(
        what=f"making the row of an instance as JSON, {count:,} instances",
        ours=f"{each['row']} each",
        theirs=f"our reader before it: {each['read']}",
        ratios=[a / b for a, b in zip(timed["row"], timed["read"], strict=True)],
        target=TARGET_ROW,
    )


def run(*, repeat: int, quick: bool) -> Iterator[Row]:
    """Yield the rows of delivery on one core and on all, and that of the row builder."""
    yield _row_row(120 if quick else 1_200, repeat)
    with tempfile.TemporaryDirectory(prefix="dicomkit-bench-") as temporary:
        folder = Path(temporary)
        rows = _Rows(2_000 if quick else 20_000, folder)
        yield from _stream_rows(rows, folder, repeat, "one core")
        if len(ALLOWED) > 1:
            before = pa.cpu_count()
            pa.set_cpu_count(len(ALLOWED))
            try:
                with on_cores(ALLOWED):
                    yield from _stream_rows(rows, folder, repeat, f"{len(ALLOWED)} cores")
            finally:
                pa.set_cpu_count(before)
