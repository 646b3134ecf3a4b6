"""Frames as JSON, CSV, Parquet and tables."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomkit.commands.tables import print_table
from dicomkit.frames.arrays import strings
from dicomkit.frames.formats import csv_text, json_lines, json_text, parquet_bytes


def texts(values: list[Any]) -> pd.DataFrame:
    """A frame with one column of text."""
    return pd.DataFrame({"text": strings(values)})


@pytest.fixture
def typed() -> pd.DataFrame:
    """A frame with a column of each kind that dicomkit's frames have, and a row in which all are missing."""
    objects = {
        "several": [("CT", "MR"), None],
        "numbers": [(0.5, 0.25), None],
        "sequence": [[{"Code": "a", "n": (1, 2)}], None],
        "labels": [{"site": "a"}, None],
        "bytes": [b"\x00\xff", None],
    }
    return pd.DataFrame(
        {
            "text": pd.array(["Doe^Jané", None], dtype=pd.StringDtype(na_value=np.nan)),
            "date": pd.to_datetime(pd.Series(["2004-01-19", None])).astype("datetime64[us]"),
            "local": pd.to_datetime(pd.Series(["2004-01-19T07:27:30", None])).astype("datetime64[us]"),
            "moment": pd.to_datetime(pd.Series(["2004-01-19T07:27:30.5+01:00", None]), utc=True).astype(
                "datetime64[us, UTC]"
            ),
            "time": pd.to_timedelta(pd.Series(["07:27:30.000250", None])).astype("timedelta64[us]"),
            "count": pd.array([2**60 + 1, None], dtype="Int64"),
            "number": pd.array([0.1, None], dtype="Float64"),
            "flag": pd.array([True, None], dtype="boolean"),
            "exact": pd.array([Decimal("1.10"), None], dtype=pd.ArrowDtype(pa.decimal128(38, 9))),
            **{name: pd.Series(values, dtype=object) for name, values in objects.items()},
        }
    )


def test_json_has_iso_dates_and_null(typed: pd.DataFrame) -> None:
    """Each kind of column has one form in JSON, and what is missing is null."""
    first, second = json.loads(json_text(typed))
    assert first == {
        "text": "Doe^Jané",
        "date": "2004-01-19",
        "local": "2004-01-19T07:27:30",
        "moment": "2004-01-19T06:27:30.500000Z",
        "time": "07:27:30.000250",
        "count": 2**60 + 1,
        "number": 0.1,
        "flag": True,
        "exact": "1.100000000",
        "several": ["CT", "MR"],
        "numbers": [0.5, 0.25],
        "sequence": [{"Code": "a", "n": [1, 2]}],
        "labels": {"site": "a"},
        "bytes": "AP8=",
    }
    assert set(second) == set(first)
    assert set(second.values()) == {None}


def test_json_is_a_record_a_line_and_valid_when_empty(typed: pd.DataFrame) -> None:
    """The array can be cut by lines; without rows it is an empty array."""
    assert len(json_text(typed).splitlines()) == 2 + len(typed)
    assert [json.loads(line) for line in json_lines(typed).splitlines()] == json.loads(json_text(typed))
    assert json.loads(json_text(typed.iloc[:0])) == []
    assert json_lines(typed.iloc[:0]) == ""


@given(st.lists(st.one_of(st.none(), st.text(), st.text("\x85\u2028\u2029\x0b\n\r\x1c,\"'", max_size=4))))
def test_json_keeps_every_text(values: list[str | None]) -> None:
    """Whatever a text holds, line ends of Unicode included, JSON has it, one record a line."""
    frame = texts(values)
    assert [row["text"] for row in json.loads(json_text(frame))] == values
    assert len(json_text(frame).splitlines()) == (len(values) + 2 if values else 1)
    assert json_text(frame).encode()


@given(
    st.lists(
        st.one_of(
            st.text(min_size=1, alphabet=st.characters(exclude_characters="\x00", exclude_categories=("Cs",))),
            st.builds(str.__add__, st.sampled_from("=+-@\t\r\n'＝＋－＠"), st.text("a1'=,\"\r\n", max_size=5)),
        ),
        min_size=1,
    )
)
def test_csv_holds_no_formula_and_gives_every_text_back(values: list[str]) -> None:
    """No cell begins like a formula; without one leading apostrophe each is the text again (OWASP, CSV Injection)."""
    rows = list(csv.reader(io.StringIO(csv_text(texts(values)), newline=""), strict=True))
    cells = [row[0] for row in rows[1:]]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")) for cell in cells)
    assert [cell.removeprefix("'") for cell in cells] == values


def test_csv_leaves_numbers_alone_and_neutralises_names() -> None:
    """A negative number is no formula; a column's name can be one."""
    frame = pd.DataFrame({"=HYPERLINK(1)": pd.array([-1, None], dtype="Int64"), "x": pd.array([-0.5, 2], "Float64")})
    assert csv_text(frame) == "'=HYPERLINK(1),x\n-1,-0.5\n,2.0\n"
    assert csv_text(frame, header=False) == "-1,-0.5\n,2.0\n"


def test_csv_reads_back_in_pandas(typed: pd.DataFrame) -> None:
    """What pandas reads has the same numbers, dates and missing cells; several values are JSON."""
    back = pd.read_csv(io.StringIO(csv_text(typed)), parse_dates=["date", "moment"], dtype={"count": "Int64"})
    assert back["count"].tolist()[0] == 2**60 + 1
    assert back["date"][0] == pd.Timestamp("2004-01-19")
    assert back["moment"][0] == pd.Timestamp("2004-01-19T06:27:30.5Z")
    assert json.loads(back["several"][0]) == ["CT", "MR"]
    assert back.loc[1].isna().all()


def test_parquet_keeps_the_types(typed: pd.DataFrame) -> None:
    """Parquet has the types of the frame; a sequence is JSON text, a time of day is a time."""
    table = pq.read_table(io.BytesIO(parquet_bytes(typed)))
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {
        "text": types["text"],
        "date": "timestamp[us]",
        "local": "timestamp[us]",
        "moment": "timestamp[us, tz=UTC]",
        "time": "time64[us]",
        "count": "int64",
        "number": "double",
        "flag": "bool",
        "exact": "decimal128(38, 9)",
        "several": "list<element: string>",
        "numbers": "list<element: double>",
        "sequence": "string",
        "labels": "string",
        "bytes": "binary",
    }
    assert types["text"] in ("string", "large_string")
    assert table.column("count").to_pylist() == [2**60 + 1, None]
    assert table.column("several").to_pylist() == [["CT", "MR"], None]
    assert json.loads(table.column("sequence")[0].as_py()) == [{"Code": "a", "n": [1, 2]}]


def test_parquet_of_no_rows_has_the_columns(typed: pd.DataFrame) -> None:
    """A search without matches gives a file that can be read, with the columns of one with matches."""
    table = pq.read_table(io.BytesIO(parquet_bytes(typed.iloc[:0])))
    assert table.column_names == list(typed.columns)
    assert table.num_rows == 0


def printed(frame: pd.DataFrame, *, width: int = 200, encoding: str = "utf-8") -> str:
    """What :func:`print_table` writes to a stream of this encoding, strictly."""
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_table(frame, out, width=width)
    out.flush()
    return out.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


def test_table_has_no_character_that_does_something() -> None:
    """Escape sequences, line ends and marks that turn the direction of text come as escapes: a name is no command."""
    shown = printed(texts(["\x1b[2Jgone\x07", "two\nlines", "turned\u202eback", "[red]plain[/red]"]))
    assert not set(shown) & set("\x1b\x07\u202e")
    assert "\\x1b[2Jgone\\x07" in shown
    assert "two lines" in shown
    assert "[red]plain[/red]" in shown


def test_table_in_latin_1_writes_what_the_terminal_has() -> None:
    """What the encoding lacks is escaped, and nothing fails."""
    assert "Doe^Jané \\u5c71" in printed(texts(["Doe^Jané 山"]), encoding="latin-1")
    assert "\\xe9 \\u5c71" in printed(texts(["é 山"]), encoding="ascii")


def test_table_leaves_out_what_does_not_fit_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """A narrow terminal has the first columns whole, and stderr the names of the others; empty ones do not count."""
    frame = pd.DataFrame({"a": ["x" * 30], "none": [None], "b": ["y" * 30]})
    shown = printed(frame, width=40)
    assert "x" * 30 in shown
    assert "none" not in shown
    assert "y" not in shown
    assert "not shown for want of width: b;" in capsys.readouterr().err
    assert "y" * 30 in printed(frame, width=80)


def test_table_of_no_rows_says_so_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """No header without rows."""
    assert printed(texts([])) == ""
    assert capsys.readouterr().err == "dicomkit: no rows\n"
