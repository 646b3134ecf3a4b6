"""Many instances at a time: to files, and to a loop."""

from __future__ import annotations

import hashlib
import io
import stat
import threading
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

import dicomkit as dk
from dicomkit.errors import DownloadError, InvalidArgument, NotFound
from dicomkit.frames import DOWNLOAD
from tests.conftest import Loaded
from tests.contract.instances import ROOT, ct_slice, part10

FILES = {(s, e, i): part10(ct_slice(s, e, i)) for s in (1, 2) for e in (1, 2) for i in (1, 2, 3)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder beside the home."""
    made = tmp_path / "folder"
    made.mkdir()
    return made


@pytest.fixture
def store(conn: dk.Dataset) -> dk.Store:
    """Two studies of two series of three slices."""
    store = conn.create_store("ct")
    assert set(store.upload(FILES.values())["outcome"]) == {"stored"}
    return store


def path_of(s: int, e: int, i: int) -> str:
    """Where the default layout puts an instance."""
    return f"{ROOT}.{s}/{ROOT}.{s}.{e}/{ROOT}.{s}.{e}.{i}.dcm"


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file below, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_of_the_wheel_comes_back_byte_for_byte(loaded: Loaded, folder: Path) -> None:
    """Whatever the transfer syntax; the manifest says where each is, how large, and its hash."""
    frame = loaded.store.download(loaded.stored, to=folder)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {c.name: c.dtype for c in DOWNLOAD}
    assert frame["outcome"].tolist() == ["saved"] * len(loaded.stored)
    sources = loaded.stored.set_index("SOPInstanceUID")["path"]
    for row in frame.itertuples():
        content = Path(row.path).read_bytes()
        assert content == Path(sources[row.SOPInstanceUID]).read_bytes()
        assert (row.size_bytes, row.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert stat.S_IMODE(Path(row.path).stat().st_mode) == 0o600


def test_what_is_a_frame_or_uids(store: dk.Store, folder: Path) -> None:
    """Rows of studies, series and instances; a study, a tuple, several of both; each instance once."""
    first = {path_of(1, e, i): FILES[1, e, i] for e in (1, 2) for i in (1, 2, 3)}
    series = {path_of(1, 2, i): FILES[1, 2, i] for i in (1, 2, 3)}
    one = {path_of(1, 2, 3): FILES[1, 2, 3]}
    uids = (f"{ROOT}.1", f"{ROOT}.1.2", f"{ROOT}.1.2.3")
    cases = [
        (store.search_studies(PatientID="P1"), first),
        (store.search_series(SeriesInstanceUID=uids[1]), series),
        (store.search_instances(SOPInstanceUID=uids[2]), one),
        (uids[0], first),
        (uids[:1], first),
        (uids[:2], series),
        (uids, one),
        ([uids, uids[:2], uids[0], uids], first),
        (iter([uids]), one),
        (store.search_studies(PatientID="nobody"), {}),
        ([], {}),
    ]
    for number, (what, want) in enumerate(cases):
        frame = store.download(what, to=folder / str(number))
        assert files_in(folder / str(number)) == want
        assert len(frame) == len(want)
        assert set(frame["outcome"]) <= {"saved"}
        assert [str(dtype) for dtype in frame.dtypes] == [column.dtype for column in DOWNLOAD]


@pytest.mark.parametrize(
    "what",
    ["", "1.2/../3", "../x", ("1.2", "a"), ("1.2", "1.3", "1.4", "1.5"), (), [1], [None], pd.DataFrame({"x": ["1.2"]})],
)
def test_what_is_no_uid_is_refused_before_anything_is_fetched(store: dk.Store, folder: Path, what: object) -> None:
    """A UID becomes part of a URL and of a path."""
    with pytest.raises(InvalidArgument):
        store.download(what, to=folder / "out")  # type: ignore[arg-type]
    assert not (folder / "out").exists()


def test_what_is_there_is_not_fetched_again(store: dk.Store, folder: Path) -> None:
    """A file that was changed or cut, or is missing, comes anew; the others stay as they are."""
    store.download(f"{ROOT}.1", to=folder)
    changed, cut, missing = (folder / path_of(1, 1, i) for i in (1, 2, 3))
    changed.write_bytes(bytes(len(FILES[1, 1, 1])))
    cut.write_bytes(FILES[1, 1, 2][:-1])
    missing.unlink()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.dcm")}
    frame = store.download(f"{ROOT}.1", to=folder).sort_values("SOPInstanceUID")
    assert frame["outcome"].tolist() == ["saved"] * 3 + ["already_there"] * 3
    assert frame["sha256"].tolist() == [hashlib.sha256(FILES[1, e, i]).hexdigest() for e in (1, 2) for i in (1, 2, 3)]
    assert files_in(folder) == {path_of(1, e, i): FILES[1, e, i] for e in (1, 2) for i in (1, 2, 3)}
    kept = [folder / path_of(1, 2, i) for i in (1, 2, 3)]
    assert [path.stat().st_mtime_ns for path in kept] == [before[path] for path in kept]


def test_instance_that_was_replaced_comes_anew(store: dk.Store, folder: Path) -> None:
    """Other bytes under the same UIDs, and as many of them."""
    uids = (f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1")
    store.download([uids], to=folder)
    other = part10(ct_slice(AccessionNumber="B1"))
    assert len(other) == len(FILES[1, 1, 1])
    store.delete_instance(*uids)
    store.upload(other)
    assert store.download([uids], to=folder)["outcome"].tolist() == ["saved"]
    assert files_in(folder) == {path_of(1, 1, 1): other}


def test_another_transfer_syntax(store: dk.Store, folder: Path) -> None:
    """The server transcodes; a file in that syntax stays, one in another does not."""
    uids = (f"{ROOT}.1", f"{ROOT}.1.1")
    store.download([uids], to=folder)
    frame = store.download([uids], to=folder, transfer_syntax=RLELossless)
    assert frame["outcome"].tolist() == ["saved"] * 3
    for path in frame["path"]:
        dataset = pydicom.dcmread(path)
        assert dataset.file_meta.TransferSyntaxUID == RLELossless
        assert dataset.pixel_array.tobytes() == bytes(range(32))
    Path(frame["path"][1]).write_bytes(Path(frame["path"][1]).read_bytes()[:-3])
    again = store.download([uids], to=folder, transfer_syntax=RLELossless)
    assert again["outcome"].tolist() == ["already_there", "saved", "already_there"]
    assert store.download([uids], to=folder)["outcome"].tolist() == ["saved"] * 3
    with pytest.raises(InvalidArgument, match="transfer_syntax"):
        store.download([uids], to=folder, transfer_syntax="RLE\r\nX: y")


def test_layout_names_the_files(conn: dk.Dataset, folder: Path) -> None:
    """By any attribute, also one that searches do not return unasked; hostile values lead nowhere."""
    store = conn.create_store("ct")
    names = ["../../../etc/passwd", "..", "/", "CON", "a" * 64, "Müller^Jörg=山田", ""]
    store.upload([ct_slice(i, 1, 1, PatientName=name, SliceThickness="2.5") for i, name in enumerate(names, 1)])
    layout = "x {PatientName}/{SliceThickness}mm/{InstanceNumber}-{SOPInstanceUID}.dcm"
    out = folder / "a" / "out"
    frame = store.download(store.search_instances(), to=out, layout=layout)
    assert frame["outcome"].tolist() == ["saved"] * len(names)
    found = files_in(folder / "a")
    assert len(found) == len(names)
    assert all(len(Path(path).parts) == 4 and path.startswith("out/x") for path in found)
    assert f"out/x Müller^Jörg/2.5mm/1-{ROOT}.6.1.1.dcm" in found
    assert f"out/x unknown/2.5mm/1-{ROOT}.7.1.1.dcm" in found


def test_layout_that_gives_two_instances_one_path_is_refused(store: dk.Store, folder: Path) -> None:
    """Before anything is fetched, for one would take the place of the other."""
    with pytest.raises(InvalidArgument, match="gives 3 of 6 instances the path of another one"):
        store.download(f"{ROOT}.1", to=folder / "out", layout="{PatientID}/{InstanceNumber}.dcm")
    assert not (folder / "out").exists()


def test_failures_are_rows(store: dk.Store, folder: Path) -> None:
    """Of a study, a series and an instance that the store lacks, and of one that cannot be transcoded."""
    missing = [("1.2",), (f"{ROOT}.1", "1.2.3"), (f"{ROOT}.1", f"{ROOT}.1.1", "1.2.3.4")]
    frame = store.download([*missing, (f"{ROOT}.1", f"{ROOT}.1.1")], to=folder).sort_values("outcome")
    assert frame["outcome"].tolist() == ["failed"] * 3 + ["saved"] * 3
    assert frame["reason"].notna().tolist() == [True] * 3 + [False] * 3
    failed = frame.head(3).sort_values("StudyInstanceUID")
    assert failed["SOPInstanceUID"].isna().sum() == 2
    assert len(files_in(folder)) == 3
    with pytest.raises(DownloadError, match="3 of 3 instances failed") as caught:
        store.download(missing, to=folder, raise_for_failures=True)
    assert len(caught.value.frame) == 3
    refused = store.download(f"{ROOT}.1", to=folder / "b", transfer_syntax="1.2.840.10008.1.2.4.50")
    assert set(refused["outcome"]) == {"failed"}
    assert files_in(folder / "b") == {}


def test_folder_that_cannot_be_written_is_a_failure(store: dk.Store, folder: Path) -> None:
    """A file stands where a folder should be."""
    (folder / f"{ROOT}.1").write_text("in the way")
    frame = store.download([f"{ROOT}.1", f"{ROOT}.2"], to=folder)
    assert frame["outcome"].tolist() == ["failed"] * 6 + ["saved"] * 6
    assert frame["reason"][0].startswith("cannot be written: ")


def test_workers_are_bounded(store: dk.Store, folder: Path) -> None:
    """One is enough; a number that is none is refused."""
    assert set(store.download(f"{ROOT}.1", to=folder, workers=1)["outcome"]) == {"saved"}
    for workers in (0, 11, 1.5, True):
        with pytest.raises(InvalidArgument, match="workers"):
            store.download(f"{ROOT}.1", to=folder, workers=workers)  # type: ignore[arg-type]


def test_instances_come_in_the_order_asked_for(store: dk.Store) -> None:
    """As pydicom reads them, the next ones fetched meanwhile; and decompressed where that is asked."""
    frame = store.search_instances(StudyInstanceUID=f"{ROOT}.1").sort_values("SOPInstanceUID", ascending=False)
    for prefetch in (1, 2, 100):
        found = list(store.iter_instances(frame, prefetch=prefetch))
        assert [dataset.SOPInstanceUID for dataset in found] == frame["SOPInstanceUID"].tolist()
        assert found[0] == pydicom.dcmread(io.BytesIO(FILES[1, 2, 3]))
    other = next(store.iter_instances(f"{ROOT}.1", transfer_syntax=RLELossless))
    assert other.file_meta.TransferSyntaxUID == RLELossless
    plain = next(store.iter_instances(f"{ROOT}.1", transfer_syntax=ExplicitVRLittleEndian))
    assert plain.PixelData == bytes(range(32))


def test_iteration_that_is_left_leaves_no_thread(store: dk.Store) -> None:
    """Nor does one that ends with an error."""
    instances = store.iter_instances(f"{ROOT}.1", prefetch=2)
    next(instances)
    instances.close()  # type: ignore[attr-defined]
    with pytest.raises(NotFound):
        list(store.iter_instances([(f"{ROOT}.1", f"{ROOT}.1.1", "1.2.3")]))
    with pytest.raises(NotFound):
        list(store.iter_instances("1.2.3"))
    with pytest.raises(InvalidArgument, match="prefetch"):
        store.iter_instances(f"{ROOT}.1", prefetch=0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dicomkit-client")]
