"""The tables that the benchmark asks: the same rows on both sides, of the promised width."""

from __future__ import annotations

from pathlib import Path

import orjson

from bench.table import CODES, FRAME, FRAME_COLUMNS, TABLE, both, headers, line


def test_rows_have_about_a_hundred_columns_and_are_of_three_makers() -> None:
    """None is much wider or narrower, so that rows a second mean something."""
    rows = [orjson.loads(line(part10)) for part10 in headers(120, seed=1)]
    widths = [len(row) for row in rows]
    assert 85 < min(widths) <= max(widths) < 115
    assert len({(row["Modality"], row["Manufacturer"]) for row in rows}) == 3
    assert len({row["SOPInstanceUID"] for row in rows}) == 120


def test_engine_and_duckdb_have_the_same_tables(tmp_path: Path) -> None:
    """Also after the rows were multiplied: each is another instance of another patient."""
    with both(tmp_path, 240, base=120) as tables:
        for name, count in ((TABLE, 240), (FRAME, 120)):
            ours = tables.dataset.sql(f"SELECT * FROM `{name}` ORDER BY SOPInstanceUID", dtypes="arrow")
            direct = tables.direct.execute(
                f"SELECT * FROM {tables.tables[name]} ORDER BY SOPInstanceUID"
            ).to_arrow_table()
            assert len(ours) == direct.num_rows == count
            assert list(ours.columns) == direct.column_names
            for column in ("SOPInstanceUID", "PatientID", "StudyDate", "ImageType", "Rows"):
                assert ours[column].to_list() == direct[column].to_pylist()
                if name == TABLE and column in ("SOPInstanceUID", "PatientID"):
                    assert ours[column].nunique() == (240 if column == "SOPInstanceUID" else 6)
        assert list(ours.columns) == list(FRAME_COLUMNS)
        assert len(FRAME_COLUMNS) == 30
        codes = tables.dataset.sql(
            f"SELECT COUNT(DISTINCT c.CodeValue) AS n FROM `{TABLE}` AS t, UNNEST(t.RequestAttributesSequence) AS r, "
            "UNNEST(r.RequestedProcedureCodeSequence) AS c"
        )
        assert codes["n"].to_list() == [CODES]
