"""What a download is of: a frame of a search or UIDs, made into instances.

Source: Cloud Healthcare API v1, ``dicomStores.searchForInstances``, which says what is in a study or a series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from dicomkit.client.retrieve import instance_path, uid_path
from dicomkit.client.search import Search
from dicomkit.client.slices import values_of
from dicomkit.dicom.attributes import UIDS
from dicomkit.dicom.dictionary import tag_of
from dicomkit.errors import InvalidArgument
from dicomkit.names import is_uid

__all__ = ["Target", "WhatLike", "named", "targets"]

WhatLike = pd.DataFrame | str | tuple[str, ...] | Iterable[str | tuple[str, ...]]
"""A frame with a row for each study, series or instance; a study's UID; a tuple (study[, series[, instance]]); or an
iterable of such UIDs and tuples."""

Uids = tuple[str, ...]
Find = Callable[[Mapping[str, str], tuple[str, ...]], Search]
"""Makes a search for instances of a match and of extra fields."""

_TAGS = tuple(tag_of(uid) for uid in UIDS)


@dataclass(frozen=True, slots=True)
class Target:
    """One instance that is wanted, or a study or series in which nothing was found."""

    uids: Uids
    row: Mapping[str, Any] = field(repr=False)
    """Its attributes in the DICOM JSON model, as far as they are known."""

    @property
    def is_instance(self) -> bool:
        """Whether it names an instance."""
        return len(self.uids) == len(UIDS)


def named(what: WhatLike) -> list[Uids]:
    """The UIDs of studies, series and instances, each once, in the order given.

    Raises
    ------
    InvalidArgument
        The frame has no column ``StudyInstanceUID``, or something is no UID.
    """
    if isinstance(what, pd.DataFrame):
        found: Iterator[Uids] = _rows(what)
    elif isinstance(what, str | tuple):
        found = iter([_tuple(what)])
    else:
        found = map(_tuple, what)
    several = dict.fromkeys(found)
    for uids in several:
        _ = instance_path(*uids) if len(uids) == len(UIDS) else uid_path(*uids)
    return [*several]


def _rows(frame: pd.DataFrame) -> Iterator[Uids]:
    columns = []
    for uid in UIDS:
        if uid not in frame.columns:
            break
        columns.append(frame[uid])
    if not columns:
        raise InvalidArgument("the frame has no column StudyInstanceUID; give a frame of a search, or UIDs")
    if "SOPInstanceUID" in frame.columns and len(columns) < len(UIDS):
        raise InvalidArgument("the frame has instances without SeriesInstanceUID; give all three columns")
    for values in zip(*columns, strict=True):
        # An upload's frame has rows without UIDs: what failed is not in the store.
        if not pd.isna(values[0]):
            yield tuple(str(value) for value in values if not pd.isna(value))


def _tuple(value: object) -> Uids:
    uids = (value,) if isinstance(value, str) else value
    if not isinstance(uids, tuple) or not 1 <= len(uids) <= len(UIDS) or not all(map(_is_uid, uids)):
        raise InvalidArgument("give UIDs as text: of a study, or a tuple (study, series) or (study, series, instance)")
    return uids


def _is_uid(value: object) -> bool:
    return isinstance(value, str) and is_uid(value)


def targets(what: WhatLike, find: Find, fields: tuple[str, ...]) -> Iterator[Target]:
    """The instances of *what*, each once.

    Parameters
    ----------
    find
        Asks the store what is in a study or a series.
    fields
        Tags of attributes that are wanted of each instance; with none, an instance that is named is not asked for.
    """
    wanted = named(what)
    seen: set[Uids] = set()
    groups: dict[Uids, set[str] | None] = {}  # what to search in, and which instances of it: all or these
    for uids in wanted:
        if len(uids) < len(UIDS):
            groups[uids] = None
        elif fields:
            chosen = groups.setdefault(uids[:2], set())
            if chosen is not None:
                chosen.add(uids[2])
        elif uids not in seen:
            seen.add(uids)
            yield Target(uids, _attributes(uids))
    for above, only in groups.items():
        for target in _found(above, only, find, fields):
            if target.uids not in seen:
                seen.add(target.uids)
                yield target


def _found(above: Uids, only: set[str] | None, find: Find, fields: tuple[str, ...]) -> Iterator[Target]:
    missing = None if only is None else set(only)
    is_empty = True
    for page in find(dict(zip(UIDS, above, strict=False)), fields).pages():
        for row in page:
            uids = tuple(str(values[0]) if (values := values_of(row, uid)) else "" for uid in UIDS)
            if missing is None or uids[2] in missing:
                is_empty = False
                yield Target(uids, row)
            if missing is not None:
                missing.discard(uids[2])
    if missing is None and is_empty:
        yield Target(above, _attributes(above))
    for uid in sorted(missing or ()):
        yield Target((*above, uid), _attributes((*above, uid)))


def _attributes(uids: Uids) -> dict[str, Any]:
    return {tag: {"vr": "UI", "Value": [uid]} for tag, uid in zip(_TAGS, uids, strict=False)}
