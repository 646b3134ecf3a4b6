"""Whatever a file says, its row fits: VRs that are not the dictionary's, odd text, any nesting."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import keyword_dict

from dicomkit.bigquery.columns import COLUMNS, Kind
from dicomkit.bigquery.row import build_json_row, build_row
from dicomkit.bigquery.schema import index_of, merge, schema_for, unknown_fields
from dicomkit.bigquery.values import BINARY_VRS
from tests.unit.bigquery.checker import row_errors, schema_errors

FACTS: dict[str, Any] = {
    "event": "CREATE",
    "last_updated": datetime(2024, 1, 1, tzinfo=UTC),
    "storage_class": "STANDARD",
    "blob_size": 1,
}

ODD_TAGS = ["00091001", "00090010", "00080003", "60000010", "60020050", "50002600", "00203101", "00281201", "FFFEE000"]
TAGS = st.sampled_from(ODD_TAGS) | st.sampled_from([f"{tag:08X}" for tag in sorted(keyword_dict.values())])

TEXT = st.sampled_from(
    [
        "",
        " ",
        "^",
        "=",
        "a^b^c^d^e^f",
        "20040101",
        "2004",
        "101500.5",
        "20040101101500+0100",
        "1",
        "-1.5",
        "nan",
        "+0100",
    ]
) | st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
NAME = st.dictionaries(st.sampled_from(["Alphabetic", "Ideographic", "Phonetic"]), TEXT, max_size=3)
VALUES = {
    **dict.fromkeys(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "SH", "ST", "TM"), st.none() | TEXT),
    **dict.fromkeys(("UC", "UI", "UR", "UT"), st.none() | TEXT),
    **dict.fromkeys(("US", "SS", "UL", "SL", "UV", "SV"), st.integers(-(2**63), 2**64 - 1)),
    **dict.fromkeys(("FL", "FD"), st.floats()),
    "AT": st.integers(0, 2**32 - 1).map("{:08X}".format),
    "PN": st.none() | NAME,
}


def _element(vr: str) -> st.SearchStrategy[dict[str, Any]]:
    full = st.lists(VALUES[vr], min_size=1, max_size=3).map(lambda values: {"vr": vr, "Value": values})
    return full | st.sampled_from([{"vr": vr}, {"vr": vr, "BulkDataURI": "x"}])


BINARY = st.sampled_from(["OB", "OD", "OF", "OL", "OV", "OW", "UN"]).flatmap(
    lambda vr: st.sampled_from([{"vr": vr}, {"vr": vr, "InlineBinary": "AAA="}, {"vr": vr, "BulkDataURI": "x"}])
)
PLAIN = st.sampled_from(sorted(VALUES)).flatmap(_element) | BINARY


def _datasets(elements: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, dict[str, Any]]]:
    return st.dictionaries(TAGS, elements, max_size=6).map(lambda dataset: dict(sorted(dataset.items())))


DATASETS = st.recursive(
    _datasets(PLAIN),
    lambda items: _datasets(PLAIN | st.lists(items, max_size=3).map(lambda value: {"vr": "SQ", "Value": value})),
    max_leaves=20,
)


def _deep(dataset: dict[str, Any], depth: int) -> dict[str, Any]:
    for _ in range(depth):
        dataset = {"0040A730": {"vr": "SQ", "Value": [dataset]}}
    return dataset


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DATASETS, DATASETS, st.sampled_from([0, 0, 11, 12, 13, 14, 15, 16]))
def test_any_row_fits_its_schema(first: dict[str, Any], second: dict[str, Any], depth: int) -> None:
    """No dataset makes a row that BigQuery refuses, alone or in a table with another."""
    rows = [build_row({}, _deep(dataset, depth), **FACTS) for dataset in (first, second)]
    table: list[dict[str, Any]] = []
    for row in rows:
        fields = schema_for(row)
        assert schema_errors(fields) == []
        assert row_errors(row, fields) == []
        assert not unknown_fields(row, index_of(fields))
        assert orjson.loads(orjson.dumps(row)) == row
        table = merge(table, fields)
    assert schema_errors(table) == []
    for row in rows:
        assert not unknown_fields(row, index_of(table))
        assert row_errors(row, table) == []


@settings(deadline=None)
@given(TAGS, PLAIN)
def test_no_text_is_lost_silently(tag: str, element: dict[str, Any]) -> None:
    """A value is in its column, else told as text, else named as dropped; only binary attributes vanish."""
    row = build_row({}, {tag: element}, **FACTS)
    column = COLUMNS[tag]
    if column.kind is Kind.BINARY or element["vr"] in BINARY_VRS:
        assert row["OtherElements"] == []
        return
    others, dropped = row["OtherElements"], row["DroppedTags"]
    value = row.get(column.name)
    if column.kind is Kind.GROUP:
        value = value and value[0]["Value"]
    assert (len(others), len(dropped)) in ((0, 0), (1, 0), (0, 1))
    if others:
        assert value in (None, [])
        assert others[0]["Tag"] == f"Tag_{tag}"
        assert len(others[0]["Data"]) == len(element.get("Value", ()))
    elif dropped:
        assert "BulkDataURI" in element
    else:
        told = value if isinstance(value, list) else [value]
        assert any(one not in (None, "", {}) for one in told) or not any(map(_is_written, element.get("Value", ())))


def _is_written(value: Any) -> bool:
    return any(value.values()) if isinstance(value, dict) else value not in (None, "")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DATASETS)
def test_any_json_row_fits(dataset: dict[str, Any]) -> None:
    """The same for ``schemaJson``."""
    row = build_json_row({}, dataset, **FACTS)
    fields = schema_for(row)
    assert schema_errors(fields) == []
    assert isinstance(orjson.loads(row["Metadata"]), dict)
