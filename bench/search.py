"""20,000 search rows to a typed frame, client and engine in one process, against ``json.loads`` of the same answer."""

from __future__ import annotations

import gc
import json
import statistics
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import requests

import dicomkit as dk
from bench import corpus
from bench.measure import Row, alternate, seconds
from dicomkit.client.store import Store

__all__ = ["fill", "run"]

TARGET = "<= 2"
PAGE = 10_000


def fill(store: Store, count: int, *, seed: int) -> None:
    """Put *count* instances with tiny images into the store."""
    with tempfile.TemporaryDirectory(prefix="dicomkit-bench-") as temporary:
        frame = store.upload(corpus.write(Path(temporary) / "files", count, seed=seed, pixels=False))
    if not (frame["outcome"] == "stored").all():
        raise AssertionError(f"not all instances were stored: {frame['outcome'].value_counts().to_dict()}")


def _answers(store: Store, session: requests.Session, count: int) -> list[bytes]:
    """The bodies that a client of DICOM JSON gets for the same search, page by page."""
    url = store.search("instance", page_size=PAGE).url
    return [
        session.get(f"{url}&offset={offset}", headers={"Accept": "application/dicom+json"}).content
        for offset in range(0, count, PAGE)
    ]


def run(*, repeat: int, quick: bool) -> Iterator[Row]:
    """Yield the row with the target, and one against ``json.loads`` with the garbage collector off."""
    count = 2_000 if quick else 20_000
    with (
        tempfile.TemporaryDirectory(prefix="dicomkit-bench-") as temporary,
        dk.connect(Path(temporary) / "home") as dataset,
    ):
        store = dataset.create_store("search")
        fill(store, count, seed=7)
        bodies = [body for body in _answers(store, dataset.session, count) if body]
        rows = sum(len(json.loads(body)) for body in bodies)
        frame = store.search_instances()
        if len(frame) != count or rows != count:
            raise AssertionError(f"{len(frame)} rows in the frame and {rows} on the wire, stored were {count}")

        def loads() -> None:
            for body in bodies:
                json.loads(body)

        def loads_without_collector() -> None:
            # The collector walks the growing result again and again; our frames are built without it.
            gc.disable()
            try:
                loads()
            finally:
                gc.enable()

        found = alternate(
            {
                "ours": partial(seconds, store.search_instances),
                "as it is": partial(seconds, loads),
                "without the collector": partial(seconds, loads_without_collector),
            },
            repeat,
        )
        size = sum(len(body) for body in bodies) / 2**20
        what = f"search, {count:,} instances to a typed frame of {len(frame.columns)} columns, {len(bodies)} pages"
        for name, target in (("as it is", TARGET), ("without the collector", "")):
            yield Row(
                what=what,
                ours=f"{statistics.median(found['ours']) * 1e3:.0f} ms",
                theirs=f"json.loads {name}, the same {size:.1f} MiB: {statistics.median(found[name]) * 1e3:.0f} ms",
                ratios=[a / b for a, b in zip(found["ours"], found[name], strict=True)],
                target=target,
            )
