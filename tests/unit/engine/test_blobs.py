"""Blob files: what is committed survives, what is not is gone, what is damaged is not handed out."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from pathlib import Path

import pytest

from dicomkit.engine.persistence import blobs as module
from dicomkit.engine.persistence.blob_reader import WHOLE_BYTES, BlobGone, OpenFile, Place
from dicomkit.engine.persistence.blobs import BlobStore, SegmentRow
from dicomkit.errors import Internal, ResourceExhausted, Unavailable


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def committed(store: BlobStore, *data: bytes) -> tuple[list, list[SegmentRow]]:
    """Store *data* as one batch; places, and the rows that the catalog would have."""
    places = store.append(data)
    store.sync()
    rows = store.pending()
    store.commit()
    return places, rows


def test_instances_follow_one_another_and_read_back(tmp_path: Path) -> None:
    """Instances lie end to end in one file that only its owner can read."""
    store = BlobStore(tmp_path, [])
    places, rows = committed(store, b"first", b"", b"second")
    assert [tuple(p) for p in places] == [(1, 0, 5), (1, 5, 0), (1, 5, 6)]
    assert [store.read(p, sha(d)) for p, d in zip(places, (b"first", b"", b"second"), strict=True)] == [
        b"first",
        b"",
        b"second",
    ]
    assert rows == [SegmentRow(1, False, 11)]
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    store.close()


def test_bytes_past_the_committed_size_are_cut_off_at_start(tmp_path: Path) -> None:
    """What a crash left behind is gone, and the next instance takes its place."""
    store = BlobStore(tmp_path, [])
    (place,), rows = committed(store, b"kept")
    store.append([b"never committed"])
    store.sync()
    store.close()
    again = BlobStore(tmp_path, rows)
    assert (tmp_path / "0000000001.blob").stat().st_size == 4
    assert again.read(place, sha(b"kept")) == b"kept"
    (next_place,), _ = committed(again, b"next")
    assert next_place == (1, 4, 4)
    again.close()


def test_files_that_no_row_names_are_removed_at_start(tmp_path: Path) -> None:
    """A large instance whose transaction never came leaves no file."""
    upload = tmp_path / "upload"
    upload.write_bytes(b"large")
    folder = tmp_path / "blobs"
    folder.mkdir()
    store = BlobStore(folder, [])
    store.settle(upload)
    store.adopt(upload, 5)
    store.sync()
    store.close()
    assert list(folder.iterdir())
    BlobStore(folder, []).close()
    assert not list(folder.iterdir())


def test_rollback_takes_the_bytes_back(tmp_path: Path) -> None:
    """A batch that failed leaves neither bytes nor files, and the next one starts where it did."""
    folder = tmp_path / "blobs"
    folder.mkdir()
    store = BlobStore(folder, [])
    committed(store, b"kept")
    upload = tmp_path / "upload"
    upload.write_bytes(b"large")
    store.append([b"lost"])
    store.adopt(upload, 5)
    store.rollback()
    assert [(f.name, f.stat().st_size) for f in folder.iterdir()] == [("0000000001.blob", 4)]
    (place,), _ = committed(store, b"next")
    assert place == (1, 4, 4)
    store.close()


def test_rollback_of_the_first_batch_leaves_nothing(tmp_path: Path) -> None:
    """A segment that was made for a failed batch is removed."""
    store = BlobStore(tmp_path, [])
    store.append([b"lost"])
    store.rollback()
    assert not list(tmp_path.iterdir())
    (place,), _ = committed(store, b"next")
    assert place.offset == 0
    store.close()


def test_after_an_uncertain_commit_nothing_is_written_over(tmp_path: Path) -> None:
    """Rows that may come back must find their bytes."""
    store = BlobStore(tmp_path, [])
    (place,) = store.append([b"maybe"])
    store.sync()
    store.abandon()
    (other,), _ = committed(store, b"later")
    assert other.segment != place.segment
    assert store.read(place, sha(b"maybe")) == b"maybe"
    store.close()


def test_a_full_segment_is_left_for_a_new_one(tmp_path: Path) -> None:
    """One batch may lie in several segments, each with its size in the catalog."""
    store = BlobStore(tmp_path, [], segment_bytes=10)
    places, rows = committed(store, b"123456", b"123456", b"12")
    assert [p.segment for p in places] == [1, 1, 2]
    assert rows == [SegmentRow(1, False, 12), SegmentRow(2, False, 2)]
    assert store.read(places[2], sha(b"12")) == b"12"
    store.close()
    again = BlobStore(tmp_path, rows, segment_bytes=10)
    (place,), _ = committed(again, b"34")
    assert place == (2, 2, 2)
    again.close()


def test_a_segment_is_sealed_when_it_has_reached_its_size(tmp_path: Path) -> None:
    """Not only when the next instance comes, and for good: also after a restart."""
    store = BlobStore(tmp_path, [], segment_bytes=10)
    committed(store, b"12345")
    assert store.is_current(1)
    (_,), rows = committed(store, b"12345")
    assert not store.is_current(1)
    store.close()
    again = BlobStore(tmp_path, rows, segment_bytes=10)
    (place,), _ = committed(again, b"1")
    assert place == (2, 0, 1)
    again.close()


def test_every_segment_of_a_batch_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the one that was left for a new one between two appends."""
    synced: list[int] = []
    monkeypatch.setattr(module, "_data_sync", lambda fd: synced.append(os.fstat(fd).st_ino))
    store = BlobStore(tmp_path, [], segment_bytes=10)
    store.append([b"1234567890"])
    store.append([b"12"])
    store.sync()
    assert sorted(synced) == sorted(p.stat().st_ino for p in tmp_path.iterdir())
    store.close()


def test_a_removed_file_is_readable_for_those_who_read_it(tmp_path: Path) -> None:
    """A large instance that is half read when its file goes arrives complete; who comes later finds no file."""
    data = os.urandom(WHOLE_BYTES + 5_000)
    store = BlobStore(tmp_path, [])
    (place,), _ = committed(store, data)
    chunks = store.chunks(place, sha(data))
    received = next(chunks)
    store.remove([place.segment])
    assert not list(tmp_path.iterdir())
    assert received + b"".join(chunks) == data
    with pytest.raises(BlobGone):
        store.read(place, sha(data))
    store.close()


@pytest.mark.parametrize("size", [100, WHOLE_BYTES + 5_000])
def test_a_flipped_bit_is_found(tmp_path: Path, size: int) -> None:
    """A damaged instance never arrives complete: small ones not at all, large ones without their end."""
    data = os.urandom(size)
    store = BlobStore(tmp_path, [])
    (place,), _ = committed(store, data)
    assert b"".join(store.chunks(place, sha(data))) == data
    with (tmp_path / "0000000001.blob").open("r+b") as file:
        file.seek(50)
        file.write(bytes([data[50] ^ 1]))
    received = bytearray()
    with pytest.raises(Internal) as caught:
        for chunk in store.chunks(place, sha(data)):
            received += chunk
    assert caught.value.code == "DATA_LOSS"
    assert len(received) < size
    assert size > WHOLE_BYTES or not received
    store.close()


def test_a_bit_flipped_after_a_good_reading_is_found(tmp_path: Path) -> None:
    """What was found right counts no longer when something has written to the file, by whatever way."""
    data = os.urandom(200_000)
    store = BlobStore(tmp_path, [])
    (place,), _ = committed(store, data)
    time.sleep(0.15)  # only what has not been written just now is remembered
    for _ in range(3):
        assert store.read(place, sha(data)) == data
    with (tmp_path / "0000000001.blob").open("r+b") as file:
        file.seek(50)
        file.write(bytes([data[50] ^ 1]))
    for _ in range(2):
        with pytest.raises(Internal):
            store.read(place, sha(data))
    store.close()


def test_what_was_found_right_is_known_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what was written just now, nor other bytes, nor after a write, nor after ten minutes."""
    path = tmp_path / "file"
    path.write_bytes(bytes(100_000))
    file = OpenFile(os.open(path, os.O_RDONLY))
    place, digest, written = Place(1, 0, 100_000), sha(bytes(100_000)), max(file.state())
    file.remember(place, digest, file.state(), written + 50_000_000)
    assert not file.is_known(place, digest)
    file.remember(place, digest, file.state(), written + 200_000_000)
    assert file.is_known(place, digest)
    assert not file.is_known(place, sha(b""))
    assert not file.is_known(Place(1, 1, 100_000), digest)
    later = time.monotonic() + 601
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: later)
        assert not file.is_known(place, digest)
    assert file.is_known(place, digest)
    os.utime(path)
    assert not file.is_known(place, digest)


def test_a_lost_file_is_data_loss_and_no_crash(tmp_path: Path) -> None:
    """A file that somebody removed is reported as what it is."""
    store = BlobStore(tmp_path, [])
    (place,), rows = committed(store, b"data")
    store.close()
    (tmp_path / "0000000001.blob").unlink()
    again = BlobStore(tmp_path, rows)
    with pytest.raises(Internal) as caught:
        again.read(place, sha(b"data"))
    assert caught.value.code == "DATA_LOSS"
    (other,), _ = committed(again, b"new")
    assert other.segment == 2
    again.close()


def test_after_a_failed_sync_nothing_is_written_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second sync could report success for pages that the kernel dropped."""
    store = BlobStore(tmp_path, [])
    committed(store, b"kept")
    store.append([b"lost"])

    def failing(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module, "_data_sync", failing)
    with pytest.raises(Unavailable):
        store.sync()
    store.rollback()
    monkeypatch.undo()
    with pytest.raises(Unavailable):
        store.append([b"more"])
    store.close()
    again = BlobStore(tmp_path, [SegmentRow(1, False, 4)])
    committed(again, b"more")
    again.close()


def test_a_full_disk_is_said_and_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When there is room again the store goes on."""
    store = BlobStore(tmp_path, [])
    committed(store, b"kept")

    def full(fd: int, pieces: object, offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwritev", full)
        with pytest.raises(ResourceExhausted):
            store.append([b"more"])
        store.rollback()
    (place,), _ = committed(store, b"next")
    assert place == (1, 4, 4)
    store.close()


def test_a_short_write_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may take fewer bytes than it was given."""
    real = os.pwritev
    monkeypatch.setattr(os, "pwritev", lambda fd, pieces, offset: real(fd, [b"".join(pieces)[:3]], offset))
    store = BlobStore(tmp_path, [])
    places, _ = committed(store, b"abc", b"defg")
    assert [store.read(p, sha(d)) for p, d in zip(places, (b"abc", b"defg"), strict=True)] == [b"abc", b"defg"]
    store.close()
