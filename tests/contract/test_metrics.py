"""How much is in a store."""

from __future__ import annotations

import pandas as pd
import pytest

import dicomkit as dk
from dicomkit.errors import InvalidArgument, NotFound
from dicomkit.frames import METRICS
from tests.conftest import Loaded
from tests.contract.instances import ROOT, ct_slice, part10

COUNTS = ["study_count", "series_count", "instance_count"]


def test_metrics_count_what_was_stored(conn: dk.Dataset) -> None:
    """One row for the store, a study or a series; bytes are those of the files."""
    store = conn.create_store("ct")
    slices = [ct_slice(s, e, i) for s in (1, 2) for e in (1, 2) for i in (1, 2, 3)]
    files = [part10(image) for image in slices]
    store.upload(files)
    whole = store.metrics()
    assert whole["store"].tolist() == [store.name]
    assert whole[COUNTS].iloc[0].tolist() == [2, 4, 12]
    assert whole["blob_size_bytes"].tolist() == [sum(map(len, files))]
    assert whole["structured_size_bytes"][0] > 0
    study = store.metrics(f"{ROOT}.1")
    assert study["StudyInstanceUID"].tolist() == [f"{ROOT}.1"]
    assert study["study_count"].isna().all()
    assert study[["series_count", "instance_count"]].iloc[0].tolist() == [2, 6]
    series = store.metrics(f"{ROOT}.1", f"{ROOT}.1.2")
    assert series["series_count"].isna().all()
    assert series["instance_count"].tolist() == [3]
    assert series["blob_size_bytes"].tolist() == [sum(map(len, files[3:6]))]


def test_metrics_of_an_empty_store_are_zeros(conn: dk.Dataset) -> None:
    """And typed as those of any other, so that rows of several stores concatenate."""
    frames = [conn.create_store(id_).metrics() for id_ in ("a", "b")]
    for frame in frames:
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {c.name: c.dtype for c in METRICS}
        assert frame[COUNTS].iloc[0].tolist() == [0, 0, 0]
    both = pd.concat(frames, ignore_index=True)
    assert both["store"].str[-1].tolist() == ["a", "b"]
    assert both.dtypes.equals(frames[0].dtypes)


def test_metrics_of_what_is_missing(conn: dk.Dataset) -> None:
    """No such study, series or store; and no UID at all."""
    store = conn.create_store("ct")
    store.upload(ct_slice())
    for uids in (("1.2",), (f"{ROOT}.1", "1.2")):
        with pytest.raises(NotFound):
            store.metrics(*uids)
    for bad in ({"study_instance_uid": "../x"}, {"series_instance_uid": "1.2"}):
        with pytest.raises(InvalidArgument):
            store.metrics(**bad)
    store.delete()
    with pytest.raises(NotFound):
        store.metrics()


@pytest.mark.filterwarnings("ignore::dicomkit.errors.LenientValueWarning")
def test_metrics_agree_with_a_search_of_real_files(loaded: Loaded) -> None:
    """The files of pydicom's wheel: counts of the metrics are rows of the searches."""
    store = loaded.store
    rows = [len(store.search_studies()), len(store.search_series()), len(store.search_instances())]
    assert store.metrics()[COUNTS].iloc[0].tolist() == rows
