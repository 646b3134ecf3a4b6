"""A whole series over HTTP as it is stored, against nginx sending the same bytes, and against Orthanc.

``dicomkit serve``, nginx and Orthanc are processes of their own on one core, the client is alone on another one, where
there are two. nginx sends our own answer from a file, with ``sendfile``. What Orthanc sends has a boundary of its own.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from bench import corpus, nginx, orthanc
from bench.measure import Row, alternate, cores_for_http, on_cores
from bench.served import serving
from bench.wire import plain_session, stow

__all__ = ["digests", "run"]

ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
TARGET = ">= 0.8"
RATES = 3
"""Transfers of which one figure is the median."""

BATCH = 50

_BUFFER = bytearray(1 << 20)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the series comes from, on a connection of its own."""

    url: str
    headers: Mapping[str, str]

    def _answer(self) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=300)
        connection.request("GET", parts.path, headers=dict(self.headers))
        answer = connection.getresponse()
        if answer.status != 200:
            raise AssertionError(f"GET of the series: {answer.status} {answer.read(500)!r}")
        return connection, answer

    def whole(self) -> tuple[str, bytes]:
        """Content type and body."""
        connection, answer = self._answer()
        try:
            return answer.headers["Content-Type"], answer.read()
        finally:
            connection.close()

    def rate(self) -> float:
        """MB a second, from the request to the last byte; the bytes are counted and dropped."""
        size, view = 0, memoryview(_BUFFER)
        start = time.perf_counter()
        connection, answer = self._answer()
        try:
            while got := answer.readinto(view):
                size += got
            return size / (time.perf_counter() - start) / 1e6
        finally:
            connection.close()


def digests(content_type: str, body: bytes) -> list[str]:
    """SHA-256 of each instance in a multipart answer, sorted."""
    found = re.search(r'boundary="?([^";]+)', content_type)
    if found is None:
        raise AssertionError(f"no multipart answer: {content_type}")
    delimiter = b"--" + found[1].encode()
    digests = []
    at = body.index(delimiter)
    while (end := body.find(b"\r\n" + delimiter, at)) >= 0:
        start = body.index(b"\r\n\r\n", at) + 4
        digests.append(hashlib.sha256(memoryview(body)[start:end]).hexdigest())
        at = end + 2
    return sorted(digests)


def _rate(source: _Source) -> float:
    return statistics.median(source.rate() for _ in range(RATES))


def _first_rate(source: _Source, blobs: Path) -> float:
    """The rate when no hash is known: of files that somebody has touched, none is."""
    for path in blobs.iterdir():
        os.utime(path)
    time.sleep(0.2)  # of what changed just now nothing is remembered
    return source.rate()


def _row(what: str, theirs: str, mine: list[float], peer: list[float], target: str = "") -> Row:
    return Row(
        what=what,
        ours=f"{statistics.median(mine):.0f} MB/s",
        theirs=f"{theirs}: {statistics.median(peer):.0f} MB/s" if peer else theirs,
        ratios=[a / b for a, b in zip(mine, peer, strict=True)] if peer else [],
        target=target,
    )


def run(*, repeat: int, quick: bool) -> Iterator[Row]:
    """Yield the row with the target, one where every hash is made, and one against Orthanc."""
    count = 50 if quick else 500
    client, servers = cores_for_http()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dicomkit-bench-")))
        with on_cores(servers):
            served = stack.enter_context(serving(folder / "home"))
            peer = stack.enter_context(nginx.running(folder))
            other = stack.enter_context(orthanc.running(folder))
        stack.enter_context(on_cores(client))
        slices = list(corpus.ct_series(count, seed=11))
        session = stack.enter_context(plain_session(served.token))
        for first in range(0, count, BATCH):
            batch = [item.data for item in slices[first : first + BATCH]]
            stow(session, served.web, batch)
            if other is not None:
                other.store(batch)
        path = f"studies/{slices[0].study}/series/{slices[0].series}"
        expected = sorted(hashlib.sha256(item.data).hexdigest() for item in slices)
        del slices

        ours = _Source(f"{served.web}/{path}", {"Accept": ACCEPT, "Authorization": f"Bearer {served.token}"})
        content_type, body = ours.whole()
        size = len(body)
        candidates = {
            "ours": partial(_rate, ours),
            "each hash made": partial(_first_rate, ours, folder / "home" / "blobs"),
        }
        if digests(content_type, body) != expected:
            raise AssertionError("what dicomkit sends is not what was stored")
        if peer is not None:
            (peer.files / "series").write_bytes(body)
            from_nginx = _Source(f"{peer.url}/series", {})
            if from_nginx.whole()[1] != body:
                raise AssertionError("nginx sends other bytes")
            candidates["nginx"] = partial(_rate, from_nginx)
        del body
        if other is not None:
            from_orthanc = _Source(f"{other.web}/{path}", {"Accept": ACCEPT})
            if digests(*from_orthanc.whole()) != expected:
                raise AssertionError("what Orthanc sends is not what was stored")
            candidates["orthanc"] = partial(_rate, from_orthanc)
        found = alternate(candidates, repeat)
    what = f"retrieve over HTTP, a series of {count} instances, {size / 1e6:.0f} MB"
    rates = {name: found.get(name, []) for name in ("ours", "each hash made", "nginx", "orthanc")}
    sends = f"nginx {peer.version} sends the same body from one file" if peer is not None else nginx.MISSING
    yield _row(what, sends, rates["ours"], rates["nginx"], TARGET)
    yield _row(f"{what}, each hash made anew", sends, rates["each hash made"], rates["nginx"])
    version = f"Orthanc {other.version}" if other is not None else orthanc.MISSING
    yield _row(what, version, rates["ours"], rates["orthanc"])
