"""A streamed table of many rows, in an engine and, as a copy of its file, in DuckDB itself."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson

import dicomkit as dk
from bench import corpus
from dicomkit.bigquery.row import build_row
from dicomkit.bigquery.schema import Field
from dicomkit.dicom.reader import Part10, read_part10
from dicomkit.engine.services.table_shape import TableShape

__all__ = ["CODES", "FRAME", "FRAME_COLUMNS", "TABLE", "Both", "both", "headers", "line", "open_copy", "physical_table"]

HEADERS = ("examples_overlay.dcm", "CT_small.dcm", "JPEG2000.dcm")
"""Images of three makers with about 100 columns each: an MR, a CT with 170 private elements, a nuclear one."""

TABLE, FRAME = "local.bench.instances", "local.bench.frame"

FRAME_COLUMNS = (
    *("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "SOPClassUID", "TransferSyntaxUID", "Modality"),
    *("Manufacturer", "ManufacturerModelName", "StudyDescription", "SeriesDescription", "PatientID", "PatientSex"),
    *("PatientAge", "StudyDate", "SeriesDate", "StudyTime", "SeriesTime", "SeriesNumber", "InstanceNumber"),
    *("SliceThickness", "KVP", "ImageType", "PixelSpacing", "Rows", "Columns", "BitsAllocated", "BitsStored"),
    *("LastUpdated", "BlobStorageSize", "StorageClass"),
)
"""The columns of the smaller table: identifiers, text, dates, times, numbers, two that repeat."""

CODES = 18
"""Distinct codes in RequestAttributesSequence > RequestedProcedureCodeSequence."""

BASE_ROWS = 4_000
"""How many rows are made from headers."""

_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def headers(count: int, *, seed: int) -> Iterator[Part10]:
    """Instances, read; a third of them of each header."""
    kinds = tuple(((header, corpus.STUDY),) for header in HEADERS)
    for instance in corpus.instances(count, seed=seed, pixels=False, kinds=kinds):
        yield read_part10(instance.data)


def line(part10: Part10, *, codes: tuple[int, ...] = ()) -> bytes:
    """The row of an instance as it waits for its table: JSON.

    Parameters
    ----------
    codes
        What is put into RequestAttributesSequence, two sequences deep.
    """
    elements: dict[str, Any] = dict(part10.elements)
    if codes:
        items = [_code(number) for number in codes]
        elements["00400275"] = {"vr": "SQ", "Value": [{"00321064": {"vr": "SQ", "Value": items}}]}
    return orjson.dumps(
        build_row(
            part10.meta,
            elements,
            event="CREATE",
            last_updated=_MOMENT,
            storage_class="STANDARD",
            blob_size=10_000,
            dropped=part10.dropped,
        )
    )


def _code(number: int) -> dict[str, Any]:
    texts = {"00080100": ("SH", f"C{number}"), "00080102": ("SH", "99BENCH"), "00080104": ("LO", f"Procedure {number}")}
    return {tag: {"vr": vr, "Value": [text]} for tag, (vr, text) in texts.items()}


def _schema(lines: list[bytes]) -> list[Field]:
    """The columns that rows need."""
    shape = TableShape()
    for one in lines:
        shape.add(orjson.loads(one))
    return shape.fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """The same tables twice.

    Attributes
    ----------
    dataset
        The engine's.
    direct
        DuckDB, with a copy of the engine's file.
    tables
        Name of a table in SQL for the engine -> its name in DuckDB.
    rows, frame_rows
        Of ``TABLE`` and of ``FRAME``.
    """

    dataset: dk.Dataset
    direct: duckdb.DuckDBPyConnection
    tables: dict[str, str]
    rows: int
    frame_rows: int


@contextmanager
def both(folder: Path, rows: int, *, base: int = BASE_ROWS) -> Iterator[Both]:
    """Make the tables of *rows* and half as many rows, and open them in an engine and in DuckDB.

    Parameters
    ----------
    base
        Rows of instances of their own; the others are copies of them that no UID and no patient tells.
    """
    home = folder / "home"
    with dk.connect(home) as dataset:
        _fill(dataset, base, rows // base)
    copy = folder / "copy.duckdb"
    shutil.copy(home / "warehouse.duckdb", copy)
    with dk.connect(home) as dataset, closing(open_copy(copy)) as direct:
        tables = {TABLE: physical_table(direct, rows), FRAME: physical_table(direct, rows // 2)}
        yield Both(dataset=dataset, direct=direct, tables=tables, rows=rows, frame_rows=rows // 2)


def _fill(dataset: dk.Dataset, base: int, times: int) -> None:
    """Load *base* rows, and multiply them: all UIDs, patients and descriptions of the copies are others."""
    from google.cloud import bigquery

    lines = []
    for number, part10 in enumerate(headers(base, seed=21)):
        lines.append(line(part10, codes=(number % 7, 7 + number % 11)[: 1 + number % 2]))
    client = dataset.bigquery_client(project="local")
    client.create_dataset("bench")
    fields = [bigquery.SchemaField.from_api_repr(field) for field in _schema(lines)]
    config = bigquery.LoadJobConfig(schema=fields, source_format="NEWLINE_DELIMITED_JSON")
    client.load_table_from_file(io.BytesIO(b"\n".join(lines)), TABLE, job_config=config).result()
    new = ", ".join(
        f"CONCAT({name}, '.', CAST(copy AS STRING)) AS {name}"
        for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID")
    )
    if times > 1:
        copies = f"UNNEST(GENERATE_ARRAY(2, {times})) AS copy"
        client.query(
            f"INSERT INTO `{TABLE}` SELECT t.* REPLACE ({new}) FROM `{TABLE}` AS t, {copies}"  # noqa: S608 - names of ours
        ).result()
    client.query(
        f"CREATE TABLE `{FRAME}` AS SELECT {', '.join(FRAME_COLUMNS)} FROM `{TABLE}` LIMIT {base * times // 2}"  # noqa: S608
    ).result()


def open_copy(path: Path) -> duckdb.DuckDBPyConnection:
    """DuckDB with a warehouse's file, on as many threads as the process has cores, as the engine has it."""
    import os

    connection = duckdb.connect(":memory:")
    connection.execute(f"ATTACH '{path}' AS wh (READ_ONLY)")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    connection.execute(f"SET threads = {cores}")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def physical_table(connection: duckdb.DuckDBPyConnection, rows: int) -> str:
    """The quoted name of the table with *rows* streamed rows."""
    names = connection.execute(
        "SELECT database_name, schema_name, table_name FROM duckdb_columns() WHERE column_name = 'SOPInstanceUID'"
    ).fetchall()
    for parts in names:
        quoted = ".".join('"' + part.replace('"', '""') + '"' for part in parts)
        found = connection.execute(f"SELECT COUNT(*) FROM {quoted}").fetchone()  # noqa: S608 - names of the catalogue
        if found is not None and found[0] == rows:
            return quoted
    raise AssertionError(f"no table of {rows} rows in the warehouse")
