"""The benchmark's own parts: a wrong corpus or a wrong verdict would make every figure worthless."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest

from bench import corpus
from bench.measure import Row, alternate, table


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
