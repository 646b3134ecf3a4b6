"""Files that are small, and cost a careless reader gigabytes, minutes or its life, sent to ``dicomkit serve``.

What each may cost is said in CPU seconds and resident memory of the server, and in how long another client waits.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
import requests

from tests.faults.bombs import BOMBS, nested
from tests.process import TOKEN, Process, serve
from tests.unit.dicom.instances import raw_part10

DATASET = "/v1/projects/local/locations/local/datasets/default"
MOST_CPU_S = 5.0
MOST_BYTES = 150 << 20
MOST_DEFLATED_BYTES = 100 << 20
P99_S = 0.5


class Site:
    """A server with a store that streams to a table, and what it costs."""

    def __init__(self, process: Process) -> None:
        self._process = psutil.Process(process.popen.pid)
        self._url = f"{process.url}{DATASET}"
        with self.session() as session:
            assert session.post(f"{self._url.rpartition('/')[0]}?datasetId=default").status_code == 200
            config = {"bigqueryDestination": {"tableUri": "bq://local.imaging.ct"}}
            assert session.post(self._url + "/dicomStores?dicomStoreId=ct", json={"streamConfigs": [config]}).ok
        self.web = f"{self._url}/dicomStores/ct/dicomWeb"

    @staticmethod
    def session() -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.headers.update({"Authorization": f"Bearer {TOKEN}", "Accept": "application/dicom+json"})
        return session

    def store(self, session: requests.Session, data: bytes) -> requests.Response:
        headers = {"Content-Type": "application/dicom"}
        return session.post(f"{self.web}/studies", data=data, headers=headers, timeout=60)

    def cpu_s(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def bytes(self) -> int:
        return self._process.memory_info().rss

    @contextmanager
    def watched(self) -> Iterator[list[int]]:
        """Samples of the server's memory while the block runs."""
        samples, is_over = [self.bytes()], threading.Event()

        def sample() -> None:
            while not is_over.wait(0.002):
                samples.append(self.bytes())

        thread = threading.Thread(target=sample)
        thread.start()
        try:
            yield samples
        finally:
            is_over.set()
            thread.join()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serve(tmp_path_factory.mktemp("bombs") / "home", "--quiet") as process:
        made = Site(process)
        with made.session() as session:
            assert made.store(session, raw_part10()).status_code == 200
        yield made
        # Neither a defect nor a death.
        assert process.popen.poll() is None
        assert process.stop() == 0
        assert process.stderr.read() == ""


def test_no_bomb_costs_much_and_nobody_waits_for_it(site: Site) -> None:
    """Each is refused with a reason or stored, cheaply; a client that searches meanwhile hardly feels it."""
    waits: list[float] = []
    is_over = threading.Event()

    def search() -> None:
        with site.session() as session:
            while not is_over.wait(0.005):
                begin = time.perf_counter()
                assert session.get(f"{site.web}/studies?StudyInstanceUID=1.2.3", timeout=60).status_code == 200
                waits.append(time.perf_counter() - begin)

    thread = threading.Thread(target=search)
    thread.start()
    dear = []
    try:
        with site.session() as session:
            for number, (name, make) in enumerate(BOMBS.items(), 10):
                data = make().replace(b"1.2.3.4.5\0", b"1.2.3.4.%d" % number, 1)
                before, cpu = site.bytes(), site.cpu_s()
                with site.watched() as samples:
                    answer = site.store(session, data)
                cpu, grown = site.cpu_s() - cpu, max(samples) - before
                most = MOST_DEFLATED_BYTES if "inflate" in name else MOST_BYTES
                if answer.status_code not in (200, 409) or cpu > MOST_CPU_S or grown > most:
                    dear.append(f"{name}: {answer.status_code}, {cpu:.1f} s, {grown >> 20} MB")
                if answer.status_code == 409:
                    (item,) = answer.json()["00081198"]["Value"]
                    assert len(item["00091097"]["Value"][0]) > 10
    finally:
        is_over.set()
        thread.join()
    assert dear == []
    assert len(waits) > 100
    assert statistics.quantiles(waits, n=100)[-1] < P99_S


@pytest.mark.parametrize("is_open", [True, False])
def test_sequences_are_stored_64_deep_and_no_deeper(site: Site, is_open: bool) -> None:
    """65 and more are a reason of the instance, whatever their number; the server goes on."""
    with site.session() as session:
        for depth in (65, 199, 247, 1_000, 20_000 if is_open else 2_000):
            answer = site.store(session, nested(depth, is_open=is_open))
            (item,) = answer.json()["00081198"]["Value"]
            assert (answer.status_code, "64 deep" in item["00091097"]["Value"][0]) == (409, True)
        data = nested(64, is_open=is_open).replace(b"1.2.3.4.5\0", b"1.2.3.4.%d\0" % (7 + is_open), 1)
        assert site.store(session, data).status_code == 200


def test_what_was_stored_is_found(site: Site) -> None:
    """And nothing else: some of the bombs, those within every limit."""
    with site.session() as session:
        found = session.get(f"{site.web}/instances", timeout=60).json()
    assert 1 < len(found) < len(BOMBS)
