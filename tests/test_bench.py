"""The benchmark's own parts: a wrong corpus or a wrong verdict would make every figure worthless."""

from __future__ import annotations

import hashlib
import os
import shutil
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from bench import corpus, nginx, retrieve_http
from bench.beside import working
from bench.latency import percentile
from bench.measure import Row, alternate, cores_for_http, on_cores, table
from bench.served import serving
from bench.wire import plain_session, stow
from dicomkit.dicom.multipart_writer import Writer


@pytest.fixture(scope="module")
def study() -> list[corpus.Instance]:
    """One generated study."""
    return list(corpus.instances(corpus.STUDY, seed=1))


def test_corpus_says_what_its_bytes_say(study: list[corpus.Instance]) -> None:
    """Pydicom reads in the bytes the UIDs that the corpus names, in the header and in the file meta."""
    for instance in study:
        ds = pydicom.dcmread(BytesIO(instance.data))
        assert (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID) == (
            instance.study,
            instance.series,
            instance.uid,
        )
        assert ds.file_meta.MediaStorageSOPInstanceUID == instance.uid


def test_corpus_is_of_the_promised_kind(study: list[corpus.Instance]) -> None:
    """About 30 KB and 200 elements an instance, of several modalities and makers."""
    assert 25_000 < sum(len(instance.data) for instance in study) / len(study) < 35_000
    assert 180 < corpus.mean_elements(study) < 240
    headers = [pydicom.dcmread(BytesIO(instance.data), stop_before_pixels=True) for instance in study]
    assert {ds.Modality for ds in headers} == {"CT", "MR", "NM", "SR", "SEG", "RTPLAN", "CR"}
    assert len({ds.get("Manufacturer") for ds in headers}) >= 4


def test_pixels_are_as_long_as_the_header_says(study: list[corpus.Instance]) -> None:
    """The pixels that were put in fit rows and columns, so that no reader has a reason to complain."""
    for instance in study:
        ds = pydicom.dcmread(BytesIO(instance.data))
        if "PixelData" in ds:
            assert len(ds.PixelData) == ds.Rows * ds.Columns * 2


def test_seeds_give_other_instances() -> None:
    """Two cells never upload the same instance; the same seed gives the same bytes."""
    one, other = (list(corpus.instances(50, seed=seed)) for seed in (1, 2))
    assert len({instance.uid for instance in one + other}) == 100
    assert [instance.data for instance in one] == [instance.data for instance in corpus.instances(50, seed=1)]


@pytest.mark.parametrize(
    ("ratios", "target", "verdict"),
    [
        ([4.0, 6.0, 5.0], ">= 5", "met"),
        ([4.0, 4.9, 9.0], ">= 5", "missed"),
        ([2.0], "<= 2", "met"),
        ([2.1], "<= 2", "missed"),
        ([], ">= 5", ""),
        ([3.0], "", ""),
    ],
)
def test_verdict_is_that_of_the_median(ratios: list[float], target: str, verdict: str) -> None:
    """A target is met by the median, at the bound too; without a measurement nothing is claimed."""
    assert Row(what="w", ours="o", theirs="t", ratios=ratios, target=target).verdict == verdict


def test_table_is_markdown() -> None:
    """Every line of the table has as many cells as its head."""
    lines = table([Row(what="w", ours="o", theirs="t", ratios=[1.0, 2.0, 3.0], target=">= 1.5")]).splitlines()
    assert {line.count("|") for line in lines} == {7}
    assert "2.00 [1.00-3.00]" in lines[2]


def test_order_alternates() -> None:
    """No candidate is always the first one to run."""
    calls: list[str] = []

    def note(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    found = alternate({"a": lambda: note("a"), "b": lambda: note("b")}, 3)
    assert "".join(calls) == "abbaab"
    assert found == {"a": [1.0, 4.0, 5.0], "b": [2.0, 3.0, 6.0]}


def test_studies_of_the_mixed_corpus_differ() -> None:
    """A modality of one kind of study is in no other, so that a search by modality has something to choose."""
    assert {sum(count for _, count in kind) for kind in corpus.MIXED} == {corpus.STUDY}
    found: dict[str, set[str]] = {}
    for instance in corpus.instances(5 * corpus.STUDY, seed=3, pixels=False, kinds=corpus.MIXED):
        header = pydicom.dcmread(BytesIO(instance.data), stop_before_pixels=True)
        found.setdefault(header.Modality, set()).add(instance.study)
    assert len(found["SR"]) == 1
    assert len(found["CT"]) == 4


def test_series_is_one_of_large_slices() -> None:
    """As many as asked for, 512 x 512 each."""
    slices = list(corpus.ct_series(3, seed=4))
    assert len({item.series for item in slices}) == 1
    for number, item in enumerate(slices):
        ds = pydicom.dcmread(BytesIO(item.data))
        assert (ds.Rows, ds.Columns, len(ds.PixelData), ds.InstanceNumber) == (512, 512, 512 * 512 * 2, number + 1)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system binds nothing to a core")
def test_cores_are_given_back() -> None:
    """A section that wants other cores leaves the next one those that it had."""
    before = os.sched_getaffinity(0)
    client, servers = cores_for_http()
    with on_cores(client):
        assert os.sched_getaffinity(0) == client
    assert os.sched_getaffinity(0) == before
    assert servers == client or not servers & client


def test_percentile_is_a_call_that_was_made() -> None:
    """The 99th of 400 calls is the fourth longest; of few it is the longest."""
    times = [float(n) for n in range(400)]
    assert percentile(times, 99) == 396.0
    assert percentile(times, 50) == 200.0
    assert percentile([1.0, 2.0], 99) == 2.0


def test_instances_of_an_answer_are_told_apart() -> None:
    """The hashes are those of the contents, whatever is in them but the boundary."""
    contents = [b"one", b"\r\n--x\r\n\r\n", os.urandom(1000)]
    writer = Writer([("application/dicom", content) for content in contents])
    found = retrieve_http.digests(writer.content_type, b"".join(writer))
    assert found == sorted(hashlib.sha256(content).hexdigest() for content in contents)


def test_nginx_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it there is a row that says how to get it, and no error."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with nginx.running() as server:
        assert server is None


def test_server_is_a_process_that_work_runs_beside(tmp_path: Path, study: list[corpus.Instance]) -> None:
    """What is stored once is refused when it is to be new; an upload and renderings work between go and stop."""
    with serving(tmp_path / "home") as served, plain_session(served.token) as session:
        first = study[0]
        stow(session, served.web, [first.data])
        same = study[1].data.replace(study[1].uid.encode(), first.uid.encode())
        with pytest.raises((AssertionError, OSError)):
            stow(session, served.web, [same])
        path = f"studies/{first.study}/series/{first.series}/instances/{first.uid}"
        common = {"web": served.web, "token": served.token}
        with working("render", **common, paths=[path]) as render:
            for _ in range(2):
                render.go()
                assert session.get(f"{served.web}/{path}/metadata", timeout=60).status_code == 200
                assert render.stop() >= 1
        count = session.get(f"{served.web}/instances", params={"limit": 1000}, timeout=60)
        assert len(count.json()) == 1
