"""Rows of every readable file of pydicom's wheel, against BigQuery's rules and against pydicom's own values."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import orjson
import pydicom
import pytest
from pydicom.datadict import repeater_has_tag
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, DT, TM, PersonName

from dicomkit.bigquery.columns import COLUMNS
from dicomkit.bigquery.row import build_json_row, build_row
from dicomkit.bigquery.schema import index_of, merge, schema_for, unknown_fields
from dicomkit.dicom.reader import Part10, read_part10
from dicomkit.errors import DicomFormatError
from tests.unit.bigquery.checker import row_errors, schema_errors

FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
FACTS: dict[str, Any] = {
    "event": "CREATE",
    "last_updated": datetime(2024, 1, 1, tzinfo=UTC),
    "storage_class": "STANDARD",
    "blob_size": 1,
}
NO_TEXT = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}


def _read() -> Iterator[tuple[Path, Part10]]:
    for path in sorted(path for path in FOLDER.rglob("*") if path.is_file()):
        try:
            yield path, read_part10(path.read_bytes(), require_uids=False)
        except DicomFormatError:
            continue


FILES = list(_read())
NAMES = [str(path.relative_to(FOLDER)) for path, _ in FILES]


def rows(part10: Part10) -> dict[str, Any]:
    return build_row(part10.meta, part10.elements, dropped=part10.dropped, **FACTS)


def test_the_wheel_has_files_to_read() -> None:
    """The tests below stand on more than a handful of files."""
    assert len(FILES) > 100


@pytest.mark.parametrize("part10", [part10 for _, part10 in FILES], ids=NAMES)
def test_row_fits_its_own_schema(part10: Part10) -> None:
    """BigQuery takes the schema and then the row, and JSON carries it without loss."""
    row = rows(part10)
    fields = schema_for(row)
    assert schema_errors(fields) == []
    assert row_errors(row, fields) == []
    assert not unknown_fields(row, index_of(fields))
    assert orjson.loads(orjson.dumps(row)) == row


@pytest.mark.parametrize("part10", [part10 for _, part10 in FILES], ids=NAMES)
def test_json_row_fits_its_own_schema(part10: Part10) -> None:
    """The same for ``schemaJson``."""
    row = build_json_row(part10.meta, part10.elements, dropped=part10.dropped, **FACTS)
    fields = schema_for(row)
    assert schema_errors(fields) == []
    assert row_errors(row, fields) == []


def test_one_table_holds_all_files() -> None:
    """A table grown file by file takes every row, and never changes what it has."""
    table: list[dict[str, Any]] = []
    for _, part10 in FILES:
        row = rows(part10)
        if unknown_fields(row, index_of(table)):
            grown = merge(table, schema_for(row))
            assert [field["name"] for field in grown[: len(table)]] == [field["name"] for field in table]
            table = grown
        assert not unknown_fields(row, index_of(table))
        assert row_errors(row, table) == []
    assert schema_errors(table) == []
    assert merge(table, table) == table


@pytest.mark.parametrize(("path", "part10"), FILES, ids=NAMES)
def test_values_are_those_of_pydicom(path: Path, part10: Part10) -> None:
    """Every element is in its column with pydicom's value, or among the others, or without place by rule."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, force=True)
            dataset.walk(lambda _, element: element.value)
    except ValueError as error:
        pytest.skip(f"pydicom cannot read it whole: {type(error).__name__}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _compare(dataset, rows(part10), part10.elements)


def _compare(dataset: pydicom.Dataset, record: dict[str, Any], elements: dict[str, Any]) -> None:
    others = {entry["Tag"]: entry["Data"] for entry in record.get("OtherElements", ())}
    for element in dataset:
        tag = f"{int(element.tag):08X}"
        if tag not in elements or element.tag.element == 0:
            continue
        told = others.pop(f"Tag_{tag}", None)
        name = element.keyword or f"Tag_{tag}"
        vr = elements[tag]["vr"]
        if vr == "SQ" and element.VR == "SQ":
            for item, inner, model in zip(element.value, record[name], elements[tag].get("Value", ()), strict=True):
                _compare(item, inner, model)
        elif told is not None:
            assert len(told) == len(_values(element))
        elif vr in NO_TEXT or "Value" not in elements[tag] or element.VR in NO_TEXT:
            assert not record.get(name) or repeater_has_tag(int(element.tag))
        elif name in record and not repeater_has_tag(int(element.tag)):
            got = record[name] if COLUMNS[tag].repeated else [record[name]]
            assert got == [_expected(value, element.VR) for value in _values(element)], name
        else:
            assert repeater_has_tag(int(element.tag)) or COLUMNS[tag].name not in record


def _values(element: DataElement) -> list[Any]:
    if element.is_empty:
        return []
    return list(element.value) if isinstance(element.value, MultiValue | list) else [element.value]


def _expected(value: Any, vr: str) -> Any:
    """pydicom's value as the column should hold it; by pydicom's own parsing, not by ours."""
    if vr in ("DS", "IS"):
        text: str = getattr(value, "original_string", str(value))
        return text.strip(" \0")
    if vr == "DA":
        day: date = DA(value)  # type: ignore[assignment]
        return day.isoformat()
    if vr == "TM":
        hour: time = TM(value.replace(":", ""))  # type: ignore[assignment]  # ACR-NEMA wrote 14:04:38
        return hour.isoformat(timespec="microseconds" if "." in value else "seconds")
    if vr == "DT":
        moment: datetime = DT(value)  # type: ignore[assignment]
        zoned = moment.astimezone(UTC) if moment.tzinfo else moment
        return zoned.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if vr == "AT":
        return int(value)
    if vr == "PN":
        return _name(value)
    if isinstance(value, str):
        return value.strip(" \0") if vr not in ("LT", "ST", "UT", "UR") else value.rstrip(" \0")
    return value


def _name(value: PersonName) -> dict[str, dict[str, str]]:
    keys = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
    groups = {
        "Alphabetic": value.alphabetic,
        "Ideographic": value.ideographic,
        "Phonetic": value.phonetic,
    }
    parts = {g: {k: p for k, p in zip(keys, t.split("^"), strict=False) if p.strip()} for g, t in groups.items()}
    return {group: record for group, record in parts.items() if record}
