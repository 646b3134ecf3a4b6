"""Uploads into the embedded store through the public client, against Orthanc's STOW-RS.

Both get the same number of fresh instances of the same corpus, from files in the page cache, in the same batches, on
the same disk and core, in one run. Both answer when the instances are on disk. Ours is the whole way: client, engine,
index for all three search levels; with a stream also the table, until the last row can be queried. Orthanc streams
nothing, so there it is compared with less work.
"""

from __future__ import annotations

import itertools
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import requests

import dicomkit as dk
from bench import corpus
from bench.measure import Row, alternate
from bench.orthanc import MISSING, Orthanc, running
from dicomkit.client.dataset import Dataset
from dicomkit.client.store import Store

__all__ = ["run"]

_SEEDS = itertools.count(1000)
"""Another seed, and so other UIDs, for each timed cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One comparison: how many instances, in what batches, streamed or not."""

    what: str
    count: int
    batch: int
    stream: bool
    target: str


def _timed(folder: Path, cell: Cell, upload: Callable[[list[list[Path]]], object]) -> float:
    """Instances a second over fresh files in *folder*."""
    seed = next(_SEEDS)
    paths = corpus.write(folder / str(seed), cell.count, seed=seed)
    batches = [paths[start : start + cell.batch] for start in range(0, cell.count, cell.batch)]
    try:
        start = time.perf_counter()
        upload(batches)
        return cell.count / (time.perf_counter() - start)
    finally:
        shutil.rmtree(folder / str(seed))


def _into_orthanc(orthanc: Orthanc, batches: list[list[Path]]) -> None:
    for batch in batches:
        orthanc.store([path.read_bytes() for path in batch])


class _Ours:
    """An embedded home with a store that streams and one that does not."""

    def __init__(self, dataset: Dataset) -> None:
        self.plain: Store = dataset.create_store("plain")
        self.streaming: Store = dataset.create_store("streaming", stream_to="bq://local.bench.streamed")
        self.streamed = 0
        self.requests = 0
        dataset.session.hooks["response"].append(self._count)

    def _count(self, response: requests.Response, **_: object) -> None:
        self.requests += response.request.method == "POST" and "/dicomWeb/studies" in (response.request.url or "")

    def upload(self, stream: bool, batches: list[list[Path]]) -> None:
        """Upload, one request a batch; check that each instance was new, and wait for the table where there is one."""
        store = self.streaming if stream else self.plain
        before = self.requests
        count = sum(len(batch) for batch in batches)
        if len(batches[0]) == 1:
            outcomes = store.upload([path for batch in batches for path in batch], batch_bytes=1)["outcome"]
            if not (outcomes == "stored").all() or len(outcomes) != count:
                raise AssertionError(f"not all instances were stored: {outcomes.value_counts().to_dict()}")
        else:
            for batch in batches:
                outcomes = store.upload(batch, batch_bytes=1 << 30)["outcome"]
                if not (outcomes == "stored").all() or len(outcomes) != len(batch):
                    raise AssertionError(f"not all instances were stored: {outcomes.value_counts().to_dict()}")
        if self.requests - before != len(batches):
            raise AssertionError(f"{self.requests - before} requests for {len(batches)} batches")
        if stream:
            self.streamed += count
            self.wait_for_rows()

    def wait_for_rows(self) -> None:
        """Ask the table until it has every row; ``sql`` waits for the delivery itself."""
        rows = int(self.streaming.sql("SELECT COUNT(*) AS n FROM {table}")["n"].iloc[0])
        if rows != self.streamed:
            raise AssertionError(f"the table has {rows} rows, uploaded were {self.streamed}")


def _compare(cell: Cell, folder: Path, ours: _Ours, orthanc: Orthanc | None, repeat: int) -> Row:
    candidates: dict[str, Callable[[], float]] = {
        "ours": partial(_timed, folder, cell, partial(ours.upload, cell.stream)),
    }
    if orthanc is not None:
        candidates["orthanc"] = partial(_timed, folder, cell, partial(_into_orthanc, orthanc))
    found = alternate(candidates, repeat)
    mine, theirs = found["ours"], found.get("orthanc", [])
    return Row(
        what=f"upload, {cell.what} ({cell.count} instances)",
        ours=f"{statistics.median(mine):.0f} instances/s",
        theirs=f"Orthanc {orthanc.version}: {statistics.median(theirs):.0f}/s" if orthanc is not None else MISSING,
        ratios=[a / b for a, b in zip(mine, theirs, strict=True)] if theirs else [],
        target=cell.target,
    )


def run(*, repeat: int, quick: bool) -> Iterator[Row]:
    """Yield one row for each cell."""
    many, few = (200, 40) if quick else (2000, 300)
    cells = (
        Cell(what="100 a request, no stream", count=many, batch=100, stream=False, target=">= 5"),
        Cell(what="100 a request, streamed and delivered", count=many, batch=100, stream=True, target=">= 3"),
        Cell(what="1 a request, no stream", count=few, batch=1, stream=False, target=">= 1.5"),
    )
    with (
        tempfile.TemporaryDirectory(prefix="dicomkit-bench-") as temporary,
        running(Path(temporary)) as orthanc,
        dk.connect(Path(temporary) / "home") as dataset,
    ):
        folder = Path(temporary)
        ours = _Ours(dataset)
        # Imports, caches of both, and the table's columns are not what is measured.
        warm = Cell(what="warm-up", count=100, batch=50, stream=True, target="")
        _timed(folder, warm, partial(ours.upload, True))
        _timed(folder, warm, partial(ours.upload, False))
        if orthanc is not None:
            _timed(folder, warm, partial(_into_orthanc, orthanc))
        for cell in cells:
            yield _compare(cell, folder, ours, orthanc, repeat)
