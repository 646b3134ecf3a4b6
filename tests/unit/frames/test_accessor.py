"""``frame.dicom``: studies, series, UIDs, attributes, and files for spreadsheets."""

from __future__ import annotations

import csv
import os
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from dicomkit import frames
from dicomkit.errors import InvalidArgument


@pytest.fixture
def instances() -> pd.DataFrame:
    """Two studies: one of two series with three instances, one of one."""
    return pd.DataFrame(
        {
            "StudyInstanceUID": ["1", "1", "1", "2"],
            "SeriesInstanceUID": ["1.1", "1.1", "1.2", "2.1"],
            "SOPInstanceUID": ["1.1.1", "1.1.2", "1.2.1", "2.1.1"],
            "PatientID": ["A", "A", "A", "B"],
            "StudyDate": pd.to_datetime(["2024-01-02", "2024-01-02", "2024-01-02", None]).astype("datetime64[us]"),
            "Modality": ["CT", "CT", "SR", "MR"],
            "Rows": pd.array([512, 256, None, None], dtype="Int64"),
            "SliceThickness": pd.array([1.5, None, None, 0.25], dtype="Float64"),
            "ImageType": [("A", "B"), ("A", "B"), (), ("C",)],
            "mine": ["x", "y", "z", None],
        }
    )


def test_studies_have_what_belongs_to_them(instances: pd.DataFrame) -> None:
    """And count the series and instances that the frame has; nothing of the levels below."""
    found = instances.dicom.studies()
    assert found.columns.tolist() == ["StudyInstanceUID", "PatientID", "StudyDate", "series", "instances"]
    assert found["StudyInstanceUID"].tolist() == ["1", "2"]
    assert found["series"].tolist() == [2, 1]
    assert found["instances"].tolist() == [3, 1]


def test_series_have_the_columns_of_their_studies_too(instances: pd.DataFrame) -> None:
    """In the order of their first rows."""
    found = instances.iloc[::-1].dicom.series()
    assert found["SeriesInstanceUID"].tolist() == ["2.1", "1.2", "1.1"]
    assert found["Modality"].tolist() == ["MR", "SR", "CT"]
    assert found["PatientID"].tolist() == ["B", "A", "A"]
    assert found["instances"].tolist() == [1, 1, 2]


def test_uids_are_each_combination_once(instances: pd.DataFrame) -> None:
    """The levels that the frame has."""
    assert len(instances.dicom.uids()) == 4
    found = instances.drop(columns="SOPInstanceUID").dicom.uids()
    assert found.values.tolist() == [["1", "1.1"], ["1", "1.2"], ["2", "2.1"]]


def test_describe_tells_each_column(instances: pd.DataFrame) -> None:
    """An empty tuple is no value; ranges are of numbers and dates."""
    found = instances.dicom.describe().set_index("name")
    assert found.reset_index().columns.tolist() == [column.name for column in frames.ATTRIBUTES]
    assert found.loc["Rows", ["tag", "vr", "present", "missing", "distinct"]].tolist() == ["00280010", "US", 2, 2, 2]
    assert found.loc["Rows", ["smallest", "largest"]].tolist() == ["256", "512"]
    assert found.loc["SliceThickness", ["smallest", "largest"]].tolist() == ["0.25", "1.5"]
    assert found.loc["StudyDate", ["smallest", "largest", "missing"]].tolist() == ["2024-01-02", "2024-01-02", 1]
    assert found.loc["ImageType", ["present", "distinct", "description"]].tolist() == [3, 2, "Image Type"]
    assert found.loc["mine", ["tag", "vr"]].isna().all()


def test_frames_without_rows_have_the_same_columns(instances: pd.DataFrame) -> None:
    """Nothing found is no error."""
    empty = instances.head(0).dicom
    assert empty.studies().columns.tolist() == instances.dicom.studies().columns.tolist()
    assert empty.uids().empty
    assert empty.describe()["present"].eq(0).all()


def test_frame_of_something_else_is_refused() -> None:
    """With the column that is missing."""
    with pytest.raises(InvalidArgument, match="no column StudyInstanceUID, SeriesInstanceUID"):
        pd.DataFrame({"x": [1]}).dicom.series()


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", "=cmd|' /C calc'!A0", "'=1", "'"]


def test_no_text_is_a_formula_in_a_workbook_and_all_comes_back(tmp_path: Path) -> None:
    """Each cell is of type text, and reads as it was."""
    frame = pd.DataFrame({"PatientName": [*FORMULAS, "Doe^Jané", None], "=1": 1.5})
    path = frame.dicom.to_excel_safe(tmp_path / "cohort.xlsx")
    sheet = load_workbook(path).active
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"s", "n"}
    back = pd.read_excel(path)
    wanted = frame["PatientName"].str.replace("\r", "_x000D_")  # XML has no carriage return of its own
    pd.testing.assert_series_equal(back["PatientName"], wanted, check_dtype=False)
    assert back["=1"].tolist() == [1.5] * len(frame)


def test_no_text_is_a_formula_in_csv_and_all_comes_back(tmp_path: Path) -> None:
    """An apostrophe stands before it; without it the text is there again."""
    frame = pd.DataFrame({"PatientName": FORMULAS})
    path = frame.dicom.to_excel_safe(tmp_path / "cohort.csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        cells = [row[0] for row in csv.reader(file)][1:]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝")) for cell in cells)
    assert [cell.removeprefix("'") for cell in cells] == FORMULAS


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=30))
def test_any_text_can_be_written(tmp_path: Path, text: str) -> None:
    """Control characters and halves of pairs, which XML cannot hold, are written as escapes."""
    path = pd.DataFrame({"PatientName": [text, "end"]}).dicom.to_excel_safe(tmp_path / "any.xlsx")
    assert pd.read_excel(path, keep_default_na=False)["PatientName"].iloc[-1] == "end"


def test_typed_frames_are_written_as_a_person_reads_them(instances: pd.DataFrame, tmp_path: Path) -> None:
    """Numbers are numbers, dates as in ISO 8601, several values a list."""
    sheet = load_workbook(instances.dicom.to_excel_safe(tmp_path / "x.xlsx")).active
    names, first, *_ = ([cell.value for cell in row] for row in sheet.iter_rows())
    row = dict(zip(names, first, strict=True))
    assert row["StudyDate"] == "2024-01-02"
    assert row["SliceThickness"] == 1.5
    assert row["ImageType"] == '["A", "B"]'


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_file_is_of_its_owner_alone(instances: pd.DataFrame, tmp_path: Path) -> None:
    """It has patients' data; nothing else is left behind."""
    path = instances.dicom.to_excel_safe(tmp_path / "x.csv")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_spreadsheet_is_refused(instances: pd.DataFrame, tmp_path: Path) -> None:
    """Other suffixes, and what a sheet cannot hold; nothing is written."""
    with pytest.raises(InvalidArgument, match=r"\.xlsx or \.csv"):
        instances.dicom.to_excel_safe(tmp_path / "x.pdf")
    with pytest.raises(InvalidArgument, match=r"at most 32,767 characters"):
        pd.DataFrame({"x": ["y" * 40_000]}).dicom.to_excel_safe(tmp_path / "x.xlsx")
    with pytest.raises(InvalidArgument, match=r"1,048,576 rows"):
        pd.DataFrame({"x": np.zeros(1_048_576)}).dicom.to_excel_safe(tmp_path / "x.xlsx")
    assert list(tmp_path.iterdir()) == []
