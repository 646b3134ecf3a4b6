"""What a de-identification would do to each attribute, told from a few instances and without any value.

Not in Google's API.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.index_cursor import SelectedInstance, instances_of
from dicomkit.engine.persistence.index_sample import sample_keys
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.buckets import Buckets
from dicomkit.engine.services.deidentify_copy import read_whole
from dicomkit.engine.services.deidentify_workers import DeidentifyWorkers
from dicomkit.engine.services.filter_config import selected
from dicomkit.engine.services.retrieve import Retrieve
from dicomkit.errors import DicomFormatError, Internal, NotFound
from dicomkit.names import DicomStoreName
from dicomkit.resources.deidentify_config import DeidentifyConfig
from dicomkit.resources.filter_config import DicomFilterConfig

__all__ = ["MAX_SAMPLE", "SAMPLE", "DeidentifyPreview"]

SAMPLE = 100
"""Instances that are looked at when nobody says how many."""

MAX_SAMPLE = 1_000

MAX_BYTES = 256 << 20
"""About the most bytes of instances that one preview reads."""

LIMIT_S = 20.0
"""How long one instance may take."""

_NAMES = ("tag", "path", "vr", "action", "reason")
_NUMBER = re.compile(r"\[\d+\]")


class DeidentifyPreview:
    """Looks at instances of the stores of a home."""

    def __init__(self, storage: Storage, retrieve: Retrieve, buckets: Buckets) -> None:
        self._storage = storage
        self._retrieve = retrieve
        self._buckets = buckets

    def rows(
        self, source: DicomStoreName, config: DeidentifyConfig, wanted: DicomFilterConfig | None, limit: int
    ) -> dict[str, Any]:
        """The preview.

        Parameters
        ----------
        limit
            Most instances that are looked at: one of each series first, then more in the order of the store.

        Returns
        -------
        dict
            ``rows``: an object for each attribute and each thing that would happen to it, with ``tag`` (eight hex
            digits; empty for the preamble), ``path`` (keywords from the top, the items of a sequence taken together:
            ``ReferencedSeriesSequence[].SeriesInstanceUID``), ``vr``, ``action`` (keep, remove, empty, replace,
            remap, recode, transform, set), ``reason`` and ``instances``, the number of instances in which it is;
            in the order of tags. ``instances``: how many were looked at; ``total``: how many there are;
            ``unreadable``: how many of those looked at would fail.
        """
        items, total = self._sample(source, wanted, limit)
        counts: Counter[tuple[str, ...]] = Counter()
        looked = unreadable = size = 0
        key = bytes(16)  # none shows in a preview
        with DeidentifyWorkers(config, key, preview=True, workers=1, time_limit_s=LIMIT_S) as workers:
            for item in items:
                size += item.stored.place.length
                if looked and size > MAX_BYTES:
                    break
                try:
                    answer = json.loads(workers.begin(read_whole(self._retrieve, item)).result()[1][0])
                except NotFound:
                    total -= 1
                    continue
                except (DicomFormatError, Internal):
                    answer = []
                    unreadable += 1
                looked += 1
                # An attribute that stands in several items of a sequence counts once.
                counts.update({(tag, _NUMBER.sub("[]", path), *rest) for tag, path, *rest in answer})
        rows = [dict(zip(_NAMES, row, strict=True)) | {"instances": counts[row]} for row in _in_order(counts)]
        return {"rows": rows, "instances": looked, "total": total, "unreadable": unreadable}

    def _sample(
        self, source: DicomStoreName, wanted: DicomFilterConfig | None, limit: int
    ) -> tuple[list[SelectedInstance], int]:
        chosen = selected(self._storage, self._buckets, source, wanted)
        if wanted is not None:
            return [item for item, _ in zip(chosen, range(limit), strict=False)], len(chosen)
        with self._storage.database.read() as connection:
            key = catalog.store(connection, source).key
            return instances_of(connection, key, sample_keys(connection, key, chosen.up_to, limit)), len(chosen)


def _in_order(rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """By tag, and what lies in a sequence behind the sequence."""
    found = list(rows)
    tags = {path: tag for tag, path, *_ in found}

    def place(row: tuple[str, ...]) -> tuple[list[str], tuple[str, ...]]:
        steps = row[1].split(".")
        above = [".".join(steps[:depth]).removesuffix("[]") for depth in range(1, len(steps))]
        return [tags.get(path, "") for path in above] + [row[0]], row

    return sorted(found, key=place)
