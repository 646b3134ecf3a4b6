"""How long a search and a retrieve take over HTTP, quiet and while an upload and renderings run beside them.

``dicomkit serve``, the measuring client, the upload and the renderings are four processes, and share every core that
there is. Both kinds of time are measured in turn; a ratio is that of one quiet and one busy stretch next to each other.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import requests

from bench import corpus
from bench.beside import Worker, working
from bench.measure import ALLOWED, Row, on_cores
from bench.served import serving
from bench.wire import plain_session, stow

__all__ = ["percentile", "run"]

CALLS = 400
"""Calls of each kind in one stretch."""

TARGET = "<= 4"
INSTANCES = 2_000
RENDERED = 20

_ACCEPT = {"search": "application/dicom+json", "retrieve": "application/dicom; transfer-syntax=*"}


def _stretch(session: requests.Session, urls: dict[str, list[str]], calls: int) -> dict[str, list[float]]:
    """Milliseconds of each call, sorted; searches and retrieves take turns."""
    times: dict[str, list[float]] = {kind: [] for kind in urls}
    for number in range(calls):
        for kind, of_kind in urls.items():
            start = time.perf_counter()
            answer = session.get(of_kind[number % len(of_kind)], headers={"Accept": _ACCEPT[kind]}, timeout=60)
            times[kind].append((time.perf_counter() - start) * 1e3)
            if answer.status_code != 200 or not answer.content:
                raise AssertionError(f"{kind}: {answer.status_code}")
    return {kind: sorted(found) for kind, found in times.items()}


def _busy(
    workers: dict[str, Worker], session: requests.Session, urls: dict[str, list[str]], calls: int
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Times as of a stretch, and how many requests were answered beside it."""
    for worker in workers.values():
        worker.go()
    times = _stretch(session, urls, calls)
    done = {name: worker.stop() for name, worker in workers.items()}
    if not all(done.values()):
        raise AssertionError(f"nothing ran beside: {done}")
    return times, done


def percentile(times: list[float], percent: int) -> float:
    """The one of *times*, which ascend, that *percent* of them do not exceed."""
    return times[min(len(times) - 1, len(times) * percent // 100)]


def run(*, repeat: int, quick: bool) -> Iterator[Row]:
    """Yield the rows of the median and of the 99th percentile, of searches and of retrieves."""
    calls = 100 if quick else CALLS
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dicomkit-bench-")))
        stack.enter_context(on_cores(ALLOWED))
        served = stack.enter_context(serving(folder / "home"))
        session = stack.enter_context(plain_session(served.token))
        instances = list(corpus.instances(INSTANCES, seed=71))
        for first in range(0, INSTANCES, 100):
            stow(session, served.web, [item.data for item in instances[first : first + 100]])
        paths = [f"studies/{item.study}/series/{item.series}/instances/{item.uid}" for item in instances]
        studies = sorted({item.study for item in instances})
        urls = {
            "search": [f"{served.web}/studies?StudyInstanceUID={study}" for study in studies],
            "retrieve": [f"{served.web}/{path}" for path in paths[::7]],
        }
        # The first series of each study is a CT.
        pictures = paths[:: corpus.STUDY][:RENDERED]
        del instances
        common = {"web": served.web, "token": served.token}
        workers = {
            "upload": stack.enter_context(working("upload", **common)),
            "render": stack.enter_context(working("render", **common, paths=pictures)),
        }
        _stretch(session, urls, 50)
        quiet, busy, beside = [], [], []
        for round_ in range(repeat):
            if round_ % 2 == 0:
                quiet.append(_stretch(session, urls, calls))
            times, done = _busy(workers, session, urls, calls)
            busy.append(times)
            beside.append(done)
            if round_ % 2:
                quiet.append(_stretch(session, urls, calls))
    load = (
        f"{sum(done['upload'] for done in beside)} requests of 100 instances and "
        f"{sum(done['render'] for done in beside)} renderings beside"
    )
    for kind in urls:
        for percent, target in ((50, ""), (99, TARGET)):
            calm = [percentile(times[kind], percent) for times in quiet]
            loaded = [percentile(times[kind], percent) for times in busy]
            yield Row(
                what=f"latency over HTTP, {kind}, p{percent} of {calls} calls: {load}",
                ours=f"{statistics.median(loaded):.2f} ms",
                theirs=f"the same, quiet: {statistics.median(calm):.2f} ms",
                ratios=[a / b for a, b in zip(loaded, calm, strict=True)],
                target=target,
            )
