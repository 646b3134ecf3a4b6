"""What a command is told: matches, paths, pairs, typed parameters."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from dicomkit.commands import queries
from dicomkit.commands.options import Format
from dicomkit.commands.output import check_output, show
from dicomkit.commands.targets import matches, opened, uids_of
from dicomkit.errors import InvalidArgument, NotFound


def test_matches_are_split_at_the_first_sign() -> None:
    """A value may hold equals signs, and be empty."""
    assert matches(["PatientID=a=b", "StudyDate=", "0020000d=1.2"]) == {
        "PatientID": "a=b",
        "StudyDate": "",
        "0020000d": "1.2",
    }


@pytest.mark.parametrize("words", [["PatientID"], ["=x"], ["PatientID=1", "PatientID=2"], ["limit=3"], ["self=3"]])
def test_what_is_no_match_is_refused(words: list[str]) -> None:
    """A word without a keyword, a keyword given twice, and an argument of the Python method are no matches."""
    with pytest.raises(InvalidArgument):
        matches(words)


def test_a_value_without_keyword_is_not_repeated_in_the_error() -> None:
    """It may be a patient's name whose keyword was forgotten."""
    with pytest.raises(InvalidArgument) as caught:
        matches(["Doe^Jane"])
    assert "Doe" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "uids"),
    [
        ("studies/1.2", ("1.2",)),
        ("/studies/1.2/", ("1.2",)),
        ("studies/1.2/series/3", ("1.2", "3")),
        ("studies/1.2/series/3/instances/4.5", ("1.2", "3", "4.5")),
    ],
)
def test_paths_name_studies_series_and_instances(path: str, uids: tuple[str, ...]) -> None:
    """The paths are those of DICOMweb."""
    assert uids_of(path) == uids


@pytest.mark.parametrize(
    "path",
    [
        "",
        "1.2",
        "studies/",
        "studies/../x",
        "studies/1.2/instances/3",
        "series/1",
        "studies/1.2/series/3/4",
        "studies/a",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    """Nothing else becomes a part of a URL that deletes."""
    with pytest.raises(InvalidArgument, match="studies/UID"):
        uids_of(path)


def test_parameters_are_typed_as_they_say() -> None:
    """A parameter is text unless it names its type."""
    assert queries._params(
        ["a=1", "b:INT64=1", "c:bool=TRUE", "d:DATE=2004-01-19", "e:TIMESTAMP=2004-01-19T01:00"]
    ) == {
        "a": "1",
        "b": 1,
        "c": True,
        "d": datetime.date(2004, 1, 19),
        "e": datetime.datetime(2004, 1, 19, 1, tzinfo=datetime.UTC),
    }


@pytest.mark.parametrize("word", ["a:INT64=x", "a:BOOL=1", "a:RECORD=1", "a"])
def test_wrong_parameters_are_refused(word: str) -> None:
    """The error names the parameter, and not its value."""
    with pytest.raises(InvalidArgument):
        queries._params([word])


def test_a_missing_folder_is_made_only_when_something_is_made_in_it(tmp_path: Path) -> None:
    """A name that was mistyped is no empty home."""
    folder = tmp_path / "typo"
    with pytest.raises(NotFound, match="no folder"), opened(str(folder), "default", None):
        pass
    assert not folder.exists()
    with opened(str(folder), "default", None, make=True) as dataset:
        assert len(dataset.stores()) == 0


def test_output_that_cannot_be_is_refused_before_the_work(tmp_path: Path) -> None:
    """Parquet that is followed, and a file in a folder that is missing."""
    with pytest.raises(InvalidArgument, match="--follow"):
        check_output(Format.parquet, None, follow=True)
    with pytest.raises(InvalidArgument, match="no folder"):
        check_output(Format.csv, tmp_path / "missing" / "x.csv")


@pytest.mark.parametrize("format_", list(Format))
def test_a_file_is_its_owners_and_nothing_is_left_beside_it(tmp_path: Path, format_: Format) -> None:
    """Output has patient data: nobody else may read it."""
    import pandas as pd

    path = tmp_path / "rows"
    show(pd.DataFrame({"PatientID": ["4711"]}), format_, path)
    assert b"4711" in path.read_bytes() or format_ is Format.parquet
    assert path.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [path]
