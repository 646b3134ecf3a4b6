"""An export of a whole store of real files, beside what streaming and retrieving give."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import dicomkit as dk
from tests.conftest import WHEEL
from tests.contract.instances import ct_slice


def _bare(value: Any) -> Any:
    """A value without fields that are empty: a record has them or not by the order in which its columns came."""
    if isinstance(value, dict):
        kept = {name: _bare(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in (None, (), [], {})}
    if isinstance(value, list | tuple):
        return [_bare(item) for item in value]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return None if value is not value or str(value) in ("NaT", "<NA>") else value


@pytest.mark.parametrize("schema", ["flattened", "json"])
def test_the_exported_table_is_the_streamed_one(conn: dk.Dataset, schema: str) -> None:
    """Of every file of the wheel that a store takes: the same columns, with the same types and values."""
    form = {"schema_json": {}} if schema == "json" else {"schema_flattened": {}}
    stream = dk.StreamConfig.to_table("bq://local.imaging.streamed", include_source_store=True, **form)
    store = conn.create_store("wheel", stream_to=stream)
    uploaded = store.upload(WHEEL)
    stored = int((uploaded["outcome"] == "stored").sum())
    table = dk.BigQueryDestination(table_uri="bq://local.imaging.exported", include_source_store=True, **form)
    assert store.export(table).result(timeout=60).counters["success"] == stored
    streamed = store.sql("SELECT * FROM {table} ORDER BY SOPInstanceUID, StudyInstanceUID")
    exported = conn.sql("SELECT * FROM `local.imaging.exported` ORDER BY SOPInstanceUID, StudyInstanceUID")
    assert len(exported) == len(streamed) == stored
    assert sorted(exported.columns) == sorted(streamed.columns)
    for name in streamed.columns:
        assert exported[name].dtype == streamed[name].dtype, name
        ours, theirs = (list(map(_bare, frame[name])) for frame in (exported, streamed))
        assert ours == theirs, name


def test_exported_objects_are_what_is_retrieved(conn: dk.Dataset, tmp_path: Path) -> None:
    """Each at the path of its UIDs, bit by bit as it was uploaded."""
    out = tmp_path / "home" / "buckets" / "out"
    out.mkdir(parents=True)
    store = conn.create_store("wheel")
    uploaded = store.upload(WHEEL)
    stored = uploaded[uploaded["outcome"] == "stored"]
    operation = store.export("gs://out/all/").result(timeout=60)
    assert operation.counters["success"] == len(stored)
    assert operation.errors().empty
    files = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    expected = {
        f"all/{row.StudyInstanceUID}/{row.SeriesInstanceUID}/{row.SOPInstanceUID}.dcm": Path(row.path).read_bytes()
        for row in stored.itertuples()
    }
    assert files == expected


def test_an_export_outlives_its_store(conn: dk.Dataset, tmp_path: Path) -> None:
    """ "Exported DICOM data persists when the DICOM store from which it was exported is deleted." """
    out = tmp_path / "home" / "buckets" / "out"
    out.mkdir(parents=True)
    store = conn.create_store("ct")
    store.upload(ct_slice())
    store.export("gs://out").result(timeout=60)
    store.export("bq://local.imaging.exported").result(timeout=60)
    conn.delete_store("ct")
    assert len(list(out.rglob("*.dcm"))) == 1
    assert conn.sql("SELECT PatientID FROM `local.imaging.exported`")["PatientID"].tolist() == ["P1"]
