"""Uploads: every kind of source, one row per file, the same bytes once."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pydicom
import pytest

import dicomkit as dk
from dicomkit.errors import InvalidArgument, NotFound, UploadError
from dicomkit.frames import UPLOAD
from tests.conftest import WHEEL, Loaded
from tests.contract.instances import ROOT, ct_files, ct_slice, part10


@pytest.fixture
def store(conn: dk.Dataset) -> dk.Store:
    """An empty store."""
    return conn.create_store("ct")


def test_folder_gives_one_row_per_file(store: dk.Store, tmp_path: Path) -> None:
    """Path, outcome, the three UIDs and the size of each, in the order of the folder."""
    paths = ct_files(tmp_path / "in")
    frame = store.upload(tmp_path / "in")
    assert [column.name for column in UPLOAD] == list(frame.columns)
    assert frame["path"].tolist() == [str(path) for path in paths]
    assert frame["outcome"].tolist() == ["stored"] * 12
    assert frame["reason"].isna().all()
    assert frame["size_bytes"].tolist() == [path.stat().st_size for path in paths]
    for path, row in zip(paths, frame.itertuples(), strict=True):
        dataset = pydicom.dcmread(path)
        uids = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
        assert (row.StudyInstanceUID, row.SeriesInstanceUID, row.SOPInstanceUID) == uids
    assert len(store.search_instances()) == 12


def test_every_kind_of_source_is_taken(store: dk.Store, tmp_path: Path) -> None:
    """A folder, a file, a pattern, a data set, bytes, and a generator of all of them."""
    ct_files(tmp_path / "folder", studies=1, series=1, instances=2)
    single = tmp_path / "single"
    single.write_bytes(part10(ct_slice(2)))
    for name in "ab":
        (tmp_path / f"glob-{name}.x").write_bytes(part10(ct_slice(3, instance=ord(name))))
    sources = (
        source
        for source in [
            tmp_path / "folder",
            str(single),
            str(tmp_path / "glob-*.x"),
            ct_slice(4),
            part10(ct_slice(5)),
            [ct_slice(6), [ct_slice(7)]],
        ]
    )
    frame = store.upload(sources)
    assert frame["outcome"].tolist() == ["stored"] * 9
    assert frame["path"].isna().tolist() == [False] * 5 + [True] * 4
    assert frame["StudyInstanceUID"].nunique() == 7


def test_same_bytes_again_are_stored_once(store: dk.Store, tmp_path: Path) -> None:
    """An upload that was interrupted is simply done again."""
    ct_files(tmp_path / "in", studies=1)
    first = store.upload(tmp_path / "in")
    second = store.upload(tmp_path / "in")
    assert second["outcome"].tolist() == ["already_stored"] * 6
    uids = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
    pd.testing.assert_frame_equal(first[uids], second[uids])
    assert len(store.search_instances()) == 6


def test_same_file_twice_in_one_request_is_told_apart(store: dk.Store) -> None:
    """Each part of a request has an outcome of its own, though both have the same UIDs."""
    file = part10(ct_slice())
    assert sorted(store.upload([file, file])["outcome"]) == ["already_stored", "stored"]


def test_other_bytes_under_the_same_uids_fail(store: dk.Store) -> None:
    """The first bytes stay; the row says why the second failed."""
    store.upload(ct_slice())
    frame = store.upload(ct_slice(PatientID="other"))
    assert frame["outcome"].tolist() == ["failed"]
    assert "already exists" in frame["reason"][0]
    assert store.search_studies()["PatientID"].tolist() == ["P1"]


def test_batches_change_nothing(conn: dk.Dataset, tmp_path: Path) -> None:
    """One request per file, a few, or one for all: the same rows."""
    ct_files(tmp_path / "in")
    frames = [conn.create_store(f"s{size}").upload(tmp_path / "in", batch_bytes=size) for size in (1, 3000, 1 << 30)]
    pd.testing.assert_frame_equal(frames[0], frames[1])
    pd.testing.assert_frame_equal(frames[0], frames[2])


def test_large_file_is_streamed(store: dk.Store, tmp_path: Path) -> None:
    """A file above the limit of a batch goes alone and from disk, and comes back byte for byte."""
    big = tmp_path / "big.dcm"
    dataset = ct_slice(Rows=2048, Columns=2048, NumberOfFrames=4, PixelData=os.urandom(2048 * 2048 * 4 * 2))
    big.write_bytes(part10(dataset))
    assert big.stat().st_size > 32 << 20
    frame = store.upload([ct_slice(2), big, ct_slice(3)])
    assert frame["outcome"].tolist() == ["stored"] * 3
    row = frame.iloc[1]
    back = store.retrieve(row.StudyInstanceUID, row.SeriesInstanceUID, row.SOPInstanceUID, to=tmp_path / "back.dcm")
    assert back.read_bytes() == big.read_bytes()


def test_path_that_does_not_exist_is_told_before_anything_is_sent(store: dk.Store) -> None:
    """A typing error in the last path must not leave half an upload behind."""
    with pytest.raises(NotFound, match="nothing was sent"):
        store.upload([ct_slice(), "no/such/folder"])
    with pytest.raises(NotFound, match="no file matches"):
        store.upload([ct_slice(), "no/such/*.dcm"])
    with pytest.raises(InvalidArgument, match="int"):
        store.upload([ct_slice(), 5])
    assert len(store.search_instances()) == 0


def test_nothing_to_send_is_an_empty_frame(store: dk.Store, tmp_path: Path) -> None:
    """An empty folder, an empty list: the columns and dtypes of any upload."""
    (tmp_path / "empty").mkdir()
    for frame in (store.upload(tmp_path / "empty"), store.upload([])):
        assert len(frame) == 0
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {c.name: c.dtype for c in UPLOAD}


def test_folder_with_other_files_sends_what_is_dicom(store: dk.Store, tmp_path: Path) -> None:
    """What is no DICOM is a failed row with its reason; hidden files are counted, not looked at."""
    ct_files(tmp_path / "in", studies=1, series=1, instances=1)
    (tmp_path / "in" / "readme.txt").write_text("Read me. " * 50)
    (tmp_path / "in" / "empty").touch()
    (tmp_path / "in" / ".DS_Store").touch()
    (tmp_path / "in" / ".hidden").mkdir()
    (tmp_path / "in" / "DICOMDIR").write_bytes((WHEEL / "dicomdirtests" / "DICOMDIR").read_bytes())
    os.mkfifo(tmp_path / "in" / "pipe")
    (tmp_path / "in" / "dangling").symlink_to(tmp_path / "none")
    (tmp_path / "in" / "zlink").symlink_to(WHEEL, target_is_directory=True)
    frame = store.upload(tmp_path / "in")
    reasons = {Path(row.path).name: row.reason for row in frame.itertuples() if row.outcome == "failed"}
    assert sorted(reasons) == ["DICOMDIR", "dangling", "empty", "pipe", "readme.txt", "zlink"]
    assert "index" in reasons["DICOMDIR"]
    assert "not DICOM" in reasons["readme.txt"]
    assert "empty" in reasons["empty"]
    assert "regular" in reasons["pipe"]
    assert "not followed" in reasons["zlink"]
    assert frame["outcome"].tolist().count("stored") == 1
    assert frame.attrs["hidden_files"] == 2


def _unreadable(tmp_path: Path) -> Path:
    """A file that this user cannot read; root is refused by write-only files of the kernel alone."""
    path = tmp_path / "secret.dcm"
    path.touch(mode=0)
    if not os.access(path, os.R_OK):
        return path
    kernel = sorted(Path("/sys/bus").glob("*/uevent"))
    return kernel[0] if kernel else pytest.skip("this user reads everything")


def test_unreadable_file_is_a_failed_row(store: dk.Store, tmp_path: Path) -> None:
    """The others go in."""
    frame = store.upload([_unreadable(tmp_path), ct_slice()])
    assert frame["outcome"].tolist() == ["failed", "stored"]
    assert "cannot be read" in frame["reason"][0]


def test_data_set_that_cannot_be_written_is_a_failed_row(store: dk.Store) -> None:
    """The reason names what is missing."""
    broken = ct_slice()
    del broken.file_meta
    frame = store.upload([broken, ct_slice()])
    assert frame["outcome"].tolist() == ["failed", "stored"]
    assert "TransferSyntaxUID" in frame["reason"][0]


def test_upload_leaves_a_data_set_as_it_was(store: dk.Store) -> None:
    """What is sent gets a preamble and file meta information; the caller's object does not."""
    dataset = ct_slice()
    before = dataset.to_json()
    meta = dict(dataset.file_meta)
    store.upload(dataset)
    assert dataset.to_json() == before
    assert dict(dataset.file_meta) == meta


def test_failures_raise_when_they_are_asked_to(store: dk.Store) -> None:
    """For scripts: everything is tried first, and the error holds the frame."""
    with pytest.raises(UploadError, match="1 of 2 files failed") as caught:
        store.upload([b"garbage", ct_slice()], raise_for_failures=True)
    assert caught.value.frame["outcome"].tolist() == ["failed", "stored"]
    store.upload(ct_slice(2), raise_for_failures=True)


def test_real_files_are_stored_or_told_why_not(loaded: Loaded) -> None:
    """Every file of pydicom's wheel has a row, every failed row a reason, every stored one its UIDs."""
    frame = loaded.uploaded
    files = [path for path in WHEEL.rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert sorted(frame["path"]) == sorted(map(str, files))
    assert set(frame["outcome"]) <= {"stored", "already_stored", "failed"}
    failed = frame["outcome"] == "failed"
    assert frame.loc[failed, "reason"].str.len().gt(0).all()
    assert frame.loc[~failed, ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]].notna().all(axis=None)
    assert len(loaded.stored) > 50


def test_reasons_and_errors_hold_no_value_of_a_file(store: dk.Store) -> None:
    """A failed row may be pasted into a report: no name and no id of a patient is in it."""
    canary = "CANARY^ZEBRA"
    good = part10(ct_slice(PatientName=canary, PatientID=canary, StudyID=canary[:16]))
    frame = store.upload([good[:cut] for cut in range(200, len(good), 37)])
    assert not frame["reason"].str.contains("CANARY|ZEBRA").any()


def test_engine_that_answers_as_google_does_is_understood(tmp_path: Path) -> None:
    """Without the engine's additions the files are matched by their UIDs, garbage by having none."""
    with dk.connect(tmp_path / "home", mode="google") as dataset:
        store = dataset.create_store("ct")
        store.upload(ct_slice(3))
        frame = store.upload([b"garbage" * 50, ct_slice(2), ct_slice(3, PatientID="other"), ct_slice(1)])
    assert frame["outcome"].tolist() == ["failed", "stored", "failed", "stored"]
    assert "already exists" in frame["reason"][2]
    assert frame["StudyInstanceUID"].tolist()[1:] == [f"{ROOT}.2", f"{ROOT}.3", f"{ROOT}.1"]


def test_progress_bar_shows_and_goes(store: dk.Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Off where nobody watches, as in a test; on when it is asked for."""
    store.upload(ct_slice())
    assert capsys.readouterr().err == ""
    store.upload(ct_slice(2), progress=True)
    assert "upload" in capsys.readouterr().err


def test_many_small_files_share_a_request(conn: dk.Dataset, store: dk.Store) -> None:
    """Three hundred files go in three requests, of a hundred each."""
    files = [part10(ct_slice(1, 1, i)) for i in range(1, 301)]
    posts: list[str] = []
    conn.session.hooks["response"].append(lambda response, **_: posts.append(response.request.method))
    assert store.upload(files)["outcome"].eq("stored").all()
    assert posts.count("POST") == 3
