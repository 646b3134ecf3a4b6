"""Buckets as folders of the home: what is an object, in which order, and that nothing leads out of the folder."""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from dicomkit.engine import Engine
from dicomkit.engine.services.buckets import Buckets
from dicomkit.errors import (
    ApiError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from dicomkit.resources.gcs import parse_gcs_uri

NAMES = ["a.dcm", "a/.hidden/4.dcm", "a/1.dcm", "a/b-x", "a/b/2.dcm", "a/b/c/3.txt", "z", "\u00e4/\u753b.dcm"]
"""In the order of Cloud Storage, which is that of the UTF-8 of whole names."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bucket with the objects of NAMES."""
    for name in NAMES:
        path = tmp_path / "buckets" / "bucket" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    return tmp_path / "buckets" / "bucket"


@pytest.fixture
def buckets(folder: Path) -> Buckets:
    return Buckets(folder.parent)


def found(buckets: Buckets, pattern: str, after: str = "") -> list[str]:
    uri = parse_gcs_uri(f"gs://bucket/{pattern}", wildcards=True)
    return [item.uri.removeprefix("gs://bucket/") for item in buckets.find(uri, after=after)]


def test_objects_come_in_the_order_of_their_whole_names(buckets: Buckets) -> None:
    """a/b-x before a/b/2, as bytes compare, and with their sizes."""
    assert found(buckets, "**") == NAMES
    assert [item.size for item in buckets.find(parse_gcs_uri("gs://bucket/a/1.dcm"))] == [7]


@pytest.mark.parametrize("after", [*NAMES, "", "a", "a/b", "a/b/", "a/zz", "zz"])
@pytest.mark.parametrize("pattern", ["**", "a/**", "*/*"])
def test_a_listing_goes_on_after_any_name(buckets: Buckets, pattern: str, after: str) -> None:
    """What is found after a name is what a whole listing has after it."""
    assert found(buckets, pattern, after) == [name for name in found(buckets, pattern) if name > after]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["a.dcm", "z"]),
        ("?", ["z"]),
        ("a*", ["a.dcm"]),
        ("a**", NAMES[:6]),
        ("a/**.dcm", ["a/.hidden/4.dcm", "a/1.dcm", "a/b/2.dcm"]),
        ("*/*.dcm", ["a/1.dcm", "\u00e4/\u753b.dcm"]),
        ("a/b/**", ["a/b/2.dcm", "a/b/c/3.txt"]),
        ("a/b", []),
        ("none/**", []),
        ("a.dcm/**", []),
        ("z", ["z"]),
    ],
)
def test_wildcards_find(buckets: Buckets, pattern: str, expected: list[str]) -> None:
    """Within a folder, below it, by extension, and one name."""
    assert found(buckets, pattern) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links and pipes")
def test_nothing_but_files_is_an_object(buckets: Buckets, folder: Path, tmp_path: Path) -> None:
    """Links, pipes and sockets are passed over, and cannot be opened; nothing waits for a pipe."""
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "inside").symlink_to(folder / "z")
    (folder / "linked").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / "s"))
        assert found(buckets, "**") == NAMES
        for name in ("link", "inside", "linked/secret"):
            with pytest.raises(InvalidArgument, match="symbolic link"):
                buckets.open(f"gs://bucket/{name}")
            with pytest.raises(InvalidArgument, match="symbolic link"):
                found(buckets, name)
        for name in ("pipe", "s", "a"):
            with pytest.raises(ApiError):
                buckets.open(f"gs://bucket/{name}")
    with pytest.raises(InvalidArgument, match="symbolic link"):
        found(buckets, "linked/**")


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_nothing_is_written_through_a_link(buckets: Buckets, folder: Path, tmp_path: Path) -> None:
    """Neither an object below one, nor one in its place, nor a bucket that is one."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "linked").symlink_to(outside, target_is_directory=True)
    (folder / "file").symlink_to(outside / "new")
    (folder.parent / "other").symlink_to(outside, target_is_directory=True)
    for uri in ("gs://bucket/linked/x", "gs://bucket/file", "gs://other/x"):
        with pytest.raises(InvalidArgument, match="symbolic link"), buckets.writer(uri) as stream:
            stream.write(b"x")
    assert list(outside.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes as a name")
def test_a_name_that_is_no_text_is_passed_over(
    buckets: Buckets, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No URI could say it; the log counts such files."""
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff.dcm"))).write_bytes(b"")
    with caplog.at_level(logging.WARNING, "dicomkit"):
        assert found(buckets, "*") == ["a.dcm", "z"]
    assert "1 files of a bucket were passed over" in caplog.text


def test_an_object_appears_whole_or_not_at_all(buckets: Buckets, folder: Path) -> None:
    """While it is written, and after an error, the object is what it was before."""
    for name in ("z", "new/deep/x"):
        before = found(buckets, "**")
        with pytest.raises(ZeroDivisionError), buckets.writer(f"gs://bucket/{name}") as stream:
            stream.write(b"some of it")
            stream.flush()
            assert found(buckets, "**") == before
            raise ZeroDivisionError
        assert found(buckets, "**") == before
    assert buckets.read_text("gs://bucket/z", 10) == "z"
    with buckets.writer("gs://bucket/new/deep/x") as stream:
        stream.write(b"all of it")
    assert buckets.read_bytes("gs://bucket/new/deep/x", 9) == b"all of it"
    assert list((folder.parent / ".unfinished").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs modes")
def test_files_are_their_owners_alone(buckets: Buckets, folder: Path) -> None:
    """0600 and 0700, whatever the umask."""
    old = os.umask(0)
    try:
        with buckets.writer("gs://bucket/new/x") as stream:
            stream.write(b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((folder / "new" / "x").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o700


def test_what_a_killed_writer_left_is_removed_at_the_start(buckets: Buckets, folder: Path) -> None:
    """No bucket can have the name of the folder where objects are written."""
    (folder.parent / ".unfinished").mkdir()
    (folder.parent / ".unfinished" / "tmpx").write_text("half")
    Buckets(folder.parent)
    assert list((folder.parent / ".unfinished").iterdir()) == []


def test_an_object_and_a_folder_cannot_have_one_name(buckets: Buckets) -> None:
    """In Cloud Storage they can; in a folder the second is refused, with the reason."""
    for name in ("a", "z/x", "a.dcm/b/c"):
        with pytest.raises(FailedPrecondition, match="no object can have the name of a folder"):
            with buckets.writer(f"gs://bucket/{name}") as stream:
                stream.write(b"x")
    with pytest.raises(InvalidArgument, match="too long"), buckets.writer(f"gs://bucket/{'x' * 300}") as stream:
        stream.write(b"x")


def test_a_full_disk_says_so(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    """RESOURCE_EXHAUSTED, and no object."""

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceExhausted, match="disk is full"), buckets.writer("gs://bucket/new") as stream:
        stream.write(b"x")
    assert found(buckets, "new") == []


def test_what_is_missing_is_not_found(buckets: Buckets) -> None:
    """An object, and a bucket wherever it is asked for."""
    with pytest.raises(NotFound, match="there is no object gs://bucket/none"):
        buckets.open("gs://bucket/none")
    with pytest.raises(NotFound, match="there is no object"):
        buckets.open("gs://bucket/z/below")
    for ask in (buckets.open, buckets.check_bucket, buckets.writer):
        with pytest.raises(NotFound, match="make the folder buckets/nowhere"):
            ask("gs://nowhere/x")
    buckets.check_bucket("gs://bucket")
    buckets.check_bucket("gs://bucket/new/")


def test_what_is_read_whole_has_a_limit(buckets: Buckets) -> None:
    """One byte more is refused, and so is what is not UTF-8."""
    assert buckets.read_bytes("gs://bucket/a.dcm", 5) == b"a.dcm"
    with pytest.raises(InvalidArgument, match="has more than 4 bytes"):
        buckets.read_bytes("gs://bucket/a.dcm", 4)
    for data in (b"\xef\xbb\xbfabc", b"\xff"):
        with buckets.writer("gs://bucket/t") as stream:
            stream.write(data)
        if data == b"\xff":
            with pytest.raises(InvalidArgument, match="not UTF-8"):
                buckets.read_text("gs://bucket/t", 10)
        else:
            assert buckets.read_text("gs://bucket/t", 10) == "abc"


def test_the_buckets_of_an_engine_are_in_its_home(tmp_path: Path) -> None:
    """buckets/ of the home, made when the home is."""
    with Engine(tmp_path / "home") as engine:
        (tmp_path / "home" / "buckets" / "bucket").mkdir()
        with engine.buckets.writer("gs://bucket/x") as stream:
            stream.write(b"x")
    assert (tmp_path / "home" / "buckets" / "bucket" / "x").read_bytes() == b"x"
