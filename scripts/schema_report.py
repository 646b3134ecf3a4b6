"""Compare every column of a table that the Cloud Healthcare API wrote with the column that dicomkit makes of its name.

``python scripts/schema_report.py``: prints how many columns were compared, are equal and differ, by where the table's
type is known from and by level of nesting; then each difference with its reason, and what cannot be compared. Ends
with 1 when a difference has no reason.

Only names go into our side: a row that has these columns and no value, of which ``bigquery.schema`` makes the schema
as it does for every table. A column whose type was derived by the rule under test proves its name and its place, and
is counted apart.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomkit.bigquery.columns import COLUMNS, GroupColumn, Kind, column_named
from dicomkit.bigquery.schema import schema_for

__all__ = ["Comparison", "Published", "compare", "published_columns", "report"]

DATA = Path(__file__).parents[1] / "tests" / "data" / "published_columns.tsv"

SOURCES = {
    "published": "type and mode published by the Imaging Data Commons",
    "table": "type and mode from an older schema or a copy of the table",
    "rule": "type and mode derived by the same rule: only name and place count",
}
"""What the last field of a line in the file of columns means."""

REASONS = {
    "SegmentSequence.SegmentAlgorithmName": "the table's mode is that of VM 1; PS3.6 has 1-n for (0062,0009) now",
}
"""Path of a column that differs -> why."""

_OWN_COLUMNS = ("OtherElements", "DroppedTags", "Type", "LastUpdated", "StorageClass", "BlobStorageSize")
"""Columns that no attribute has: for them the row has nothing but the name."""


@dataclass(slots=True)
class Published:
    """A column of the published table, with the columns inside it."""

    name: str
    type: str
    mode: str
    tag: str
    source: str
    fields: list[Published] = field(default_factory=list)


@dataclass(slots=True)
class Comparison:
    """What was found.

    Attributes
    ----------
    compared, equal, levels, level_equal
        Columns by source, and by level of nesting.
    differences
        Path, what the table has, what we have.
    records, misordered
        RECORDs (and the table itself) with published fields; paths of those whose columns stand in another order.
    tags, lost_tags
        Attributes of the first level; those whose tag does not lead to their column.
    unpublished
        Sequences whose fields nobody published.
    """

    compared: Counter[str] = field(default_factory=Counter)
    equal: Counter[str] = field(default_factory=Counter)
    levels: Counter[int] = field(default_factory=Counter)
    level_equal: Counter[int] = field(default_factory=Counter)
    differences: list[tuple[str, str, str]] = field(default_factory=list)
    records: int = 0
    misordered: list[str] = field(default_factory=list)
    tags: int = 0
    lost_tags: list[str] = field(default_factory=list)
    unpublished: list[str] = field(default_factory=list)

    @property
    def unexplained(self) -> list[str]:
        """Whatever differs without a known reason."""
        return [path for path, *_ in self.differences if path not in REASONS] + self.misordered + self.lost_tags


def published_columns(path: Path = DATA) -> list[Published]:
    """The columns of the first level, each with those inside it."""
    top: list[Published] = []
    open_lists = [top]
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        level, name, kind, mode, tag, source = line.split("\t")
        column = Published(name, kind, mode, tag, source)
        del open_lists[int(level) + 1 :]
        open_lists[-1].append(column)
        open_lists.append(column.fields)
    return top


def compare(columns: Sequence[Published]) -> Comparison:
    """Compare the columns, at every depth, with those that the same names have here."""
    found = Comparison()
    for column in columns:
        if column.tag:
            found.tags += 1
            if COLUMNS[column.tag].name != column.name:
                found.lost_tags.append(column.name)
    _compare_record(columns, schema_for(_row(columns)), "", 0, found)
    return found


def _row(columns: Iterable[Published]) -> dict[str, Any]:
    """A row that has these columns, as far as we know their names, and nothing in them."""
    return {column.name: _cell(column) for column in columns if _is_ours(column.name)}


def _is_ours(name: str) -> bool:
    try:
        return name in _OWN_COLUMNS or bool(column_named(name))
    except KeyError:
        return False


def _cell(column: Published) -> Any:
    if column.name in _OWN_COLUMNS:
        return None
    ours = column_named(column.name)
    if isinstance(ours, GroupColumn):
        inside = next((part for part in column.fields if part.name == "Value"), None)
        return [{"Id": "", "Value": [_row(inside.fields)] if inside is not None and inside.fields else None}]
    if ours.kind in (Kind.SEQUENCE, Kind.OTHER):
        return [_row(column.fields)]
    return None


def _compare_record(
    theirs: Sequence[Published], ours: Sequence[Mapping[str, Any]], path: str, level: int, found: Comparison
) -> None:
    found.records += 1
    by_name = {one["name"]: one for one in ours}
    for column in theirs:
        here = f"{path}{column.name}"
        found.compared[column.source] += 1
        found.levels[level] += 1
        mine = by_name.get(column.name)
        is_equal = mine is not None and (mine["type"], mine["mode"]) == (column.type, column.mode)
        if is_equal:
            found.equal[column.source] += 1
            found.level_equal[level] += 1
        else:
            has = f"{mine['type']} {mine['mode']}" if mine is not None else "no such column"
            found.differences.append((here, f"{column.type} {column.mode}", has))
        if column.type == "RECORD" and not column.fields:
            found.unpublished.append(here)
        elif column.type == "RECORD" and mine is not None:
            _compare_record(column.fields, mine.get("fields", ()), f"{here}.", level + 1, found)
    # Whatever is ours alone is a difference of the order.
    if [one["name"] for one in ours] != [column.name for column in theirs if column.name in by_name]:
        found.misordered.append(path.rstrip(".") or "(the table)")


def report(found: Comparison) -> Iterator[str]:
    """Yield the lines of the report."""
    yield "idc_v17.dicom_metadata of the Imaging Data Commons, written by the Cloud Healthcare API, against dicomkit"
    yield ""
    yield f"{'columns':<66} {'compared':>8} {'equal':>8} {'different':>9}"
    for source, meaning in SOURCES.items():
        yield _line(meaning, found.compared[source], found.equal[source])
    for level in sorted(found.levels):
        yield _line(f"level {level}", found.levels[level], found.level_equal[level])
    yield _line("all", found.compared.total(), found.equal.total())
    yield ""
    yield f"records whose columns stand in our order: {found.records - len(found.misordered)} of {found.records}"
    yield f"attributes whose tag leads to their column: {found.tags - len(found.lost_tags)} of {found.tags}"
    yield ""
    yield f"different: {len(found.differences)}"
    for path, theirs, ours in found.differences:
        yield f"  {path}: there {theirs}, here {ours}: {REASONS.get(path, 'NO REASON KNOWN')}"
    yield from (f"  {path}: columns in another order" for path in found.misordered)
    yield from (f"  {name}: its tag leads to another column" for name in found.lost_tags)
    yield f"sequences whose fields are published nowhere: {len(found.unpublished)}"
    yield f"  {', '.join(found.unpublished)}"
    yield f"without a reason: {len(found.unexplained)}"


def _line(what: str, compared: int, equal: int) -> str:
    return f"{what:<66} {compared:>8,} {equal:>8,} {compared - equal:>9,}"


def main() -> int:
    """Print the report; 1 when something differs without a reason."""
    found = compare(published_columns())
    print("\n".join(report(found)))
    return int(bool(found.unexplained))


if __name__ == "__main__":
    sys.exit(main())
