"""Sequences as rows: one for each item, with the columns that paths lead to.

What several paths share they share in the result, too: attributes of one sequence's item are in one row, and those of
the items that it is inside of are repeated. Where paths part into different sequences the caller says what belongs
together, because no rule of DICOM does.

Source: GoogleSQL reference, "Query syntax" (UNNEST, WITH OFFSET, LEFT JOIN), "Array functions" (``ARRAY(subquery)``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from dicomkit.bigquery.identifiers import column, identifier
from dicomkit.bigquery.paths import SEPARATOR, ColumnPath, resolve
from dicomkit.bigquery.relation import Relation, T
from dicomkit.bigquery.schema import Field
from dicomkit.errors import InvalidArgument

__all__ = ["Branches", "flatten"]

Branches = Literal["aligned", "product"]
"""Paths of different sequences: item beside item by their places, or each item with each."""


@dataclass(slots=True)
class _Items:
    """The items of one sequence, as a range variable of a query."""

    alias: str
    column: str
    """The sequence's path as the name of a column; empty for the rows themselves."""
    array: str
    leaves: list[Field] = field(default_factory=list)
    """Columns of the result that come from an item itself; ``value`` is the expression."""
    inside: dict[tuple[str, ...], _Items] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"{self.alias}_place"

    @property
    def unnest(self) -> str:
        return f"UNNEST({self.array}) AS {self.alias} WITH OFFSET AS {self.place}"

    def below(self) -> Iterator[_Items]:
        """The sequences inside, at every depth."""
        for each in self.inside.values():
            yield each
            yield from each.below()


def flatten(
    relation: Relation,
    paths: Sequence[str],
    *,
    keep: Sequence[str] | None,
    branches: Branches,
    keep_empty: bool,
    places: bool,
) -> Relation:
    """One row per item of the sequences that *paths* lead through; see ``TableRows.flatten``."""
    if branches not in ("aligned", "product"):
        raise InvalidArgument(f"branches is 'aligned' or 'product'; got {branches!a:.40}")
    tree = _Tree(places=places)
    for name in relation.uids if keep is None else keep:
        tree.keep(resolve(relation.fields, name))
    for path in paths:
        tree.add(resolve(relation.fields, path))
    if not tree.top.inside:
        raise InvalidArgument(
            "no path leads through a sequence, so there is nothing to flatten; give one, as in "
            "'RequestAttributesSequence.ScheduledProcedureStepID'"
        )
    where = ""
    if not keep_empty:
        some = " OR ".join(f"ARRAY_LENGTH({each.array}) > 0" for each in tree.top.inside.values())
        where = f"\nWHERE {some}"
    trunk = [tree.top]
    while len(trunk[-1].inside) == 1:
        trunk.append(next(iter(trunk[-1].inside.values())))
    parted = list(trunk[-1].inside.values())
    if branches == "product" or not parted:
        text, fields = _joined(relation, tree, where)
    else:
        text, fields = _aligned(relation, tree, trunk, parted, where)
    return relation.then("flattened", text, [{k: v for k, v in each.items() if k != "value"} for each in fields])


class _Tree:
    """The sequences that paths lead through, what they share as one."""

    def __init__(self, *, places: bool) -> None:
        self.top = _Items(T, "", "")
        self.names: dict[str, int] = {}
        """Names of the result, in the order in which they were asked for."""
        self._places = places
        self._count = 0

    def keep(self, path: ColumnPath) -> None:
        """A column of the rows themselves, whole."""
        if any(end < len(path.fields) for end in path.chain):
            raise InvalidArgument(f"keep takes columns that are in no sequence; give {path.column} as a path")
        self._leaf(self.top, path.column, column(T, *path.names), path.last)

    def add(self, path: ColumnPath) -> None:
        at, begin = self.top, 0
        for end in path.chain:
            at = self._items(at, path.names[begin:end], SEPARATOR.join(path.names[:end]))
            begin = end
        rest = path.names[begin:]
        if rest:
            self._leaf(at, path.column, column(at.alias, *rest), path.last)
            return
        for each in path.last.get("fields", ()):  # a sequence itself: everything that its items have
            self._leaf(at, f"{path.column}{SEPARATOR}{each['name']}", column(at.alias, each["name"]), each)

    def ordered(self, fields: Iterable[Field]) -> list[Field]:
        return sorted(fields, key=lambda each: self.names[each["name"]])

    def _items(self, at: _Items, step: tuple[str, ...], name: str) -> _Items:
        if step not in at.inside:
            self._count += 1
            items = at.inside[step] = _Items(f"i{self._count}", name, column(at.alias, *step))
            if self._places:
                number = {"type": "INTEGER", "mode": "NULLABLE"}
                self._leaf(items, f"{name}{SEPARATOR}place", items.place, number)
        return at.inside[step]

    def _leaf(self, at: _Items, name: str, value: str, kind: Field) -> None:
        if name not in self.names:
            self.names[name] = len(self.names)
            at.leaves.append({**kind, "name": name, "value": value})


def _joined(relation: Relation, tree: _Tree, where: str) -> tuple[str, list[Field]]:
    fields = tree.ordered(each for items in (tree.top, *tree.top.below()) for each in items.leaves)
    joins = [f"LEFT JOIN {items.unnest}" for items in tree.top.below()]
    return "\n".join([f"SELECT {_listed(fields)}", f"FROM {relation.source}", *joins]) + where, fields


def _aligned(
    relation: Relation, tree: _Tree, trunk: Sequence[_Items], parted: Sequence[_Items], where: str
) -> tuple[str, list[Field]]:
    """The trunk joined; each branch an array of records; then the arrays side by side."""
    shared = tree.ordered(each for items in trunk for each in items.leaves)
    fields = [{**each, "value": column(T, each["name"])} for each in shared]
    inner = [_listed(shared)] if shared else []
    arrays = []
    for number, branch in enumerate(parted):
        chain = [branch, *branch.below()]
        if any(len(items.inside) > 1 for items in chain):
            raise InvalidArgument(
                f"inside {branch.column} the paths part once more, and items can be put side by side at one place "
                "only; flatten them one after the other, or give branches='product'"
            )
        leaves = [each for items in chain for each in items.leaves]
        joins = "".join(f" LEFT JOIN {items.unnest}" for items in chain[1:])
        order = ", ".join(items.place for items in chain)
        name = f"branch_{number}"
        inner.append(
            f"ARRAY(SELECT AS STRUCT {_listed(leaves)} FROM {branch.unnest}{joins} ORDER BY {order}) AS {name}"
        )
        arrays.append(f"{T}.{name}")
        fields += [{**each, "value": f"{T}.{name}[SAFE_OFFSET(place)].{identifier(each['name'])}"} for each in leaves]
    fields = tree.ordered(fields)
    lines = [f"SELECT {', '.join(inner)}", f"FROM {relation.source}", *(f"LEFT JOIN {i.unnest}" for i in trunk[1:])]
    longest = f"GREATEST({', '.join(f'ARRAY_LENGTH({array})' for array in arrays)})"
    return (
        f"SELECT {_listed(fields)}\nFROM (\n  "
        + ("\n".join(lines) + where).replace("\n", "\n  ")
        + f"\n) AS {T}\nLEFT JOIN UNNEST(GENERATE_ARRAY(0, {longest} - 1)) AS place"
    ), fields


def _listed(fields: Iterable[Field]) -> str:
    return ", ".join(f"{each['value']} AS {identifier(each['name'])}" for each in fields)
