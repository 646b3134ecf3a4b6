"""Person names taken apart, and frames of plain rows."""

from __future__ import annotations

import pandas as pd
import pytest
from pydicom.valuerep import PersonName

from dicomkit.errors import InvalidArgument
from dicomkit.frames import STORES, STREAMS, UPLOAD, person_name, table
from dicomkit.frames.persons import COMPONENTS

# Examples of PS3.5 section 6.2.1.2 and Annex H.
NAMES = [
    "Adams^John Robert Quincy^^Rev.^B.A. M.Div.",
    "Morrison-Jones^Susan^^^Ph.D., Chief Executive Officer",
    "Doe^John",
    "Smith^Fluffy",
    "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "=山田^太郎",
    "",
]


@pytest.mark.parametrize("group", ["Alphabetic", "Ideographic", "Phonetic"])
def test_components_are_those_of_pydicom(group: str) -> None:
    """pydicom's PersonName takes the same names apart."""
    frame = person_name(pd.Series(NAMES, dtype="str"), group)  # type: ignore[arg-type]
    for name, cells in zip(NAMES, frame.itertuples(index=False), strict=True):
        groups = [*str(PersonName(name)).split("="), "", "", ""]
        want = PersonName(groups[("Alphabetic", "Ideographic", "Phonetic").index(group)])
        parts = (want.family_name, want.given_name, want.middle_name, want.name_prefix, want.name_suffix)
        assert [None if pd.isna(cell) else cell for cell in cells] == [part or None for part in parts]


def test_index_is_that_of_the_names() -> None:
    """The parts can be joined to the frame that the names came from; a missing name has missing parts."""
    names = pd.Series(["Doe^Jane", None], index=[5, 9], dtype="str")
    frame = person_name(names)
    assert frame.index.tolist() == [5, 9]
    assert list(frame.columns) == list(COMPONENTS)
    assert frame.loc[9].isna().all()
    assert (frame.dtypes.astype(str) == "str").all()


def test_unknown_group_is_refused() -> None:
    """The message names the groups that there are."""
    with pytest.raises(InvalidArgument, match="Ideographic"):
        person_name(pd.Series(["x"]), "Runic")  # type: ignore[arg-type]


@pytest.mark.parametrize("columns", [STORES, STREAMS, UPLOAD], ids=["stores", "streams", "upload"])
def test_empty_table_has_all_dtypes(columns: tuple) -> None:
    """No rows, and the same types."""
    frame = table(columns, {column.name: [] for column in columns})
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {c.name: c.dtype for c in columns}


@pytest.mark.parametrize("columns", [STORES, STREAMS, UPLOAD], ids=["stores", "streams", "upload"])
def test_missing_cells_change_no_dtype(columns: tuple) -> None:
    """A row without any value has the types of one with all."""
    frame = table(columns, {column.name: [None] for column in columns})
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {c.name: c.dtype for c in columns}


def test_moments_of_a_table_are_utc() -> None:
    """Timestamps of the API are RFC 3339, with and without a fraction."""
    cells = {column.name: [None, None] for column in STREAMS}
    cells["oldest_waiting_time"] = ["2026-11-24T13:00:00Z", "2026-11-24T14:00:00.5+01:00"]  # type: ignore[list-item]
    times = table(STREAMS, cells)["oldest_waiting_time"]
    assert times.tolist() == [
        pd.Timestamp("2026-11-24 13:00", tz="UTC"),
        pd.Timestamp("2026-11-24 13:00:00.5", tz="UTC"),
    ]
