"""Searches over HTTP: the same instances in ``dicomkit serve`` and in Orthanc, asked by the same client.

Both are processes of their own on one core, the client is on another one, where there are two. It is ``requests`` with
one kept connection, and part of each figure; what it and loopback take alone is told by nginx, which sends the same
answers from files. Before anything is timed, both must have found the same studies, series or instances, and ours must
have every documented attribute that the instances have.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pydicom
import requests
from pydicom.dataset import Dataset

from bench import corpus, nginx, orthanc
from bench.measure import Row, alternate, cores_for_http, on_cores
from bench.served import serving
from bench.wire import plain_session, stow
from dicomkit.dicom.attributes import DEFAULTS, LEVELS, UIDS, Level
from dicomkit.dicom.dictionary import tag_of

__all__ = ["run"]

CALLS = 30
"""Calls of which one figure is the median, or as many as fit into ``MOST_S``, and ``FEWEST`` at least."""
FEWEST = 5
MOST_S = 1.5

BATCH = 100
MODALITY = "SR"
"""What every fifth study has."""
PREFIX = 6
"""Letters of a surname, which every eighth study has."""


@dataclass(frozen=True, slots=True)
class _Case:
    """One search: path and query below the root of DICOMweb, for it is the same for every server."""

    what: str
    level: Level
    path: str
    target: str = ">= 5"


class _Corpus:
    """What was stored, as far as searches are made of it and judged by it."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._first: dict[str, bytes] = {}
        """UID -> the first instance of a study or series, and of each series one instance."""

    def batches(self) -> Iterator[list[bytes]]:
        """The instances, in portions of one request each."""
        batch: list[bytes] = []
        for item in corpus.instances(self.count, seed=41, pixels=False, kinds=corpus.MIXED):
            if item.series not in self._first:
                for uid in (item.study, item.series, item.uid):
                    self._first.setdefault(uid, item.data)
            batch.append(item.data)
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def __contains__(self, uid: str) -> bool:
        """Whether the header is known."""
        return uid in self._first

    def header(self, uid: str) -> Dataset:
        """Of the first instance of a study or series, or of an instance that is such a one."""
        return pydicom.dcmread(BytesIO(self._first[uid]), stop_before_pixels=True)

    def cases(self) -> list[_Case]:
        """Searches for what there is: a busy month, and the study and the patient of an instance in the middle."""
        tags = ["StudyDate", "StudyInstanceUID"]
        dates = {
            header.StudyInstanceUID: str(header.StudyDate)
            for header in (pydicom.dcmread(BytesIO(data), specific_tags=tags) for data in self._first.values())
        }
        months = [date[:6] for date in dates.values()]
        month = max(sorted(set(months)), key=months.count)
        some = self.header(list(self._first)[len(self._first) // 2])
        study = f"studies/{some.StudyInstanceUID}"
        return [
            _Case("PatientID", "study", f"studies?PatientID={some.PatientID}"),
            _Case("a month of StudyDate", "study", f"studies?StudyDate={month}01-{month}28"),
            _Case("series of a study", "series", f"{study}/series"),
            _Case("instances of a series", "instance", f"{study}/series/{some.SeriesInstanceUID}/instances"),
            # The star as it is, and no caret: Orthanc finds nothing for %2A and %5E.
            _Case("PatientName prefix", "study", f"studies?PatientName={str(some.PatientName)[:PREFIX]}*"),
            _Case("ModalitiesInStudy", "study", f"studies?ModalitiesInStudy={MODALITY}", ">= 20"),
        ]


def _answer(session: requests.Session, url: str) -> bytes:
    answer = session.get(url, headers={"Accept": "application/dicom+json"}, timeout=300)
    if answer.status_code != 200:
        raise AssertionError(f"a search was answered with {answer.status_code}: {answer.text[:500]}")
    return answer.content


def _uids(case: _Case, results: list[dict[str, Any]]) -> list[str]:
    tag = tag_of(UIDS[LEVELS.index(case.level)])
    return sorted(result[tag]["Value"][0] for result in results)


def _check(case: _Case, results: list[dict[str, Any]], stored: _Corpus) -> None:
    """Raise where a result lacks a documented attribute that the instances have."""
    tag = tag_of(UIDS[LEVELS.index(case.level)])
    documented = {*DEFAULTS[case.level], *UIDS[: LEVELS.index(case.level) + 1]}
    for result in results:
        uid = result[tag]["Value"][0]
        if uid not in stored:
            continue
        header = stored.header(uid)
        missing = [name for name in documented if header.get(name) not in (None, "") and tag_of(name) not in result]
        if missing:
            raise AssertionError(f"{case.what}: a result lacks {', '.join(missing)}")


def _median_ms(work: Callable[[], object]) -> float:
    times: list[float] = []
    while len(times) < FEWEST or (len(times) < CALLS and sum(times) < MOST_S):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def run(*, repeat: int, quick: bool) -> Iterator[Row]:
    """Yield one row for each search."""
    stored = _Corpus(1_000 if quick else 20_000)
    client, servers = cores_for_http()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dicomkit-bench-")))
        with on_cores(servers):
            served = stack.enter_context(serving(folder / "home"))
            floor = stack.enter_context(nginx.running(folder))
            peer = stack.enter_context(orthanc.running(folder))
        stack.enter_context(on_cores(client))
        session = stack.enter_context(plain_session(served.token))
        for batch in stored.batches():
            stow(session, served.web, batch)
            if peer is not None:
                peer.store(batch)
        for case in stored.cases():
            url = f"{served.web}/{case.path}"
            body = _answer(session, url)
            results = orjson.loads(body)
            _check(case, results, stored)
            candidates = {"ours": partial(_median_ms, partial(_answer, session, url))}
            if peer is not None:
                url = f"{peer.web}/{case.path}"
                if _uids(case, results) != _uids(case, orjson.loads(_answer(peer.session, url))):
                    raise AssertionError(f"{case.what}: Orthanc has found something else")
                candidates["orthanc"] = partial(_median_ms, partial(_answer, peer.session, url))
            if floor is not None:
                (floor.files / case.level).write_bytes(body)
                plain = stack.enter_context(plain_session())
                candidates["client"] = partial(_median_ms, partial(_answer, plain, f"{floor.url}/{case.level}"))
            found = alternate(candidates, repeat)
            mine, theirs = found["ours"], found.get("orthanc", [])
            alone = f", of which client and loopback {statistics.median(found['client']):.2f}" if floor else ""
            yield Row(
                what=f"search over HTTP, {case.what}, {stored.count:,} instances: {len(results)} rows",
                ours=f"{statistics.median(mine):.2f} ms{alone}",
                theirs=f"Orthanc {peer.version}: {statistics.median(theirs):.1f} ms" if peer else orthanc.MISSING,
                ratios=[b / a for a, b in zip(mine, theirs, strict=True)] if theirs else [],
                target=case.target,
            )
