"""Bad input: each is one failed row with a reason, and the rest goes in."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

import dicomkit as dk
from tests.contract.instances import ct_slice, part10


def _element(tag: tuple[int, int], vr: str, value: bytes) -> bytes:
    """An explicit VR little endian element with a length of two bytes."""
    return (
        tag[0].to_bytes(2, "little")
        + tag[1].to_bytes(2, "little")
        + vr.encode()
        + len(value).to_bytes(2, "little")
        + value
    )


def _with_uid(keyword: str, uid: str) -> bytes:
    """A file whose UID was replaced after it was written, since pydicom would not write such a one."""
    file = part10(ct_slice(**{keyword: "1.2.3.4.5.6.7.8.9"}))
    padded = uid.encode() + b"\0" * (len(uid.encode()) % 2)
    old = b"UI\x12\x001.2.3.4.5.6.7.8.9\0"
    assert old in file
    return file.replace(old, b"UI" + len(padded).to_bytes(2, "little") + padded)


def _deflate_bomb() -> bytes:
    """A quarter of a megabyte that inflates to 256 MB."""
    dataset = ct_slice()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    file = part10(dataset)
    head = file[: 132 + 12 + int.from_bytes(file[140:144], "little")]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = b"".join([packer.compress(b"\0" * (1 << 20)) for _ in range(256)] + [packer.flush()])
    return head + body


def _head() -> bytes:
    """A file of required attributes, without its pixels, to append to."""
    return part10(ct_slice(PixelData=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.66"))


def _nested(depth: int) -> bytes:
    """Sequences in sequences, all of undefined length."""
    sequence = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff"
    return _head() + (sequence + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * depth


BAD: dict[str, Callable[[], bytes]] = {
    "garbage": lambda: bytes(range(256)) * 40,
    "empty": lambda: b"",
    "text": lambda: b"not DICOM at all. " * 100,
    "cut in the header": lambda: part10(ct_slice())[:500],
    "cut in the pixels": lambda: part10(ct_slice())[:-3],
    "only the preamble": lambda: b"\0" * 128 + b"DICM",
    "no study": lambda: part10(ct_slice(StudyInstanceUID=None)),
    "no series": lambda: part10(ct_slice(SeriesInstanceUID=None)),
    "path as UID": lambda: _with_uid("StudyInstanceUID", "../../x"),
    "newline in UID": lambda: _with_uid("StudyInstanceUID", "1.2\n3"),
    "UID of 65 characters": lambda: _with_uid("StudyInstanceUID", "1." + "2" * 63),
    "deflate bomb": _deflate_bomb,
    "a million elements": lambda: _head() + _element((0x4001, 0x1001), "LO", b"") * 1_000_000,
    "nested 100,000 deep": lambda: _nested(100_000),
    "a million values": lambda: (
        _head() + b"\x50\x00\x20\x30UT\0\0" + b"\x10\x00\x00\x00" + b"\x28\x00\x08\x00IS\xff\xff" + b"1\\" * 1_000_000
    ),
    "unknown VR": lambda: part10(ct_slice()).replace(b"\x08\x00\x60\x00CS", b"\x08\x00\x60\x00QQ"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", list(BAD))
def test_bad_file_is_one_failed_row_and_the_rest_goes_in(conn: dk.Dataset, kind: str) -> None:
    """With a reason, between two good files; the engine answers as before."""
    store = conn.create_store("ct")
    bad = BAD[kind]()
    frame = store.upload([ct_slice(1), bad, ct_slice(2)])
    assert frame["outcome"].tolist() == ["stored", "failed", "stored"]
    assert len(frame["reason"][1]) > 5
    assert len(store.search_instances()) == 2


def test_bad_file_alone_is_a_row_too(conn: dk.Dataset) -> None:
    """A request in which nothing is stored is an answer, not an error."""
    frame = conn.create_store("ct").upload(b"garbage" * 100)
    assert frame["outcome"].tolist() == ["failed"]
    assert frame[["StudyInstanceUID", "SOPInstanceUID"]].isna().all(axis=None)


def test_nothing_is_written_outside_the_home(tmp_path: Path) -> None:
    """UIDs and names that look like paths stay what they are: text."""
    home = tmp_path / "deep" / "home"
    with dk.connect(home) as dataset:
        store = dataset.create_store("ct")
        store.upload([BAD["path as UID"](), ct_slice(PatientID="../../../x", AccessionNumber="/etc/x")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep"]
    assert sorted(path.name for path in home.parent.iterdir()) == ["home"]


def test_odd_values_are_stored_and_stay_text(conn: dk.Dataset) -> None:
    """What breaks only the rule of its VR is no reason to refuse an image: search and metadata show it leniently."""
    store = conn.create_store("ct")
    file = part10(ct_slice(InstanceNumber=7))
    old = b"\x20\x00\x13\x00IS\x02\x007 "
    assert old in file
    frame = store.upload(file.replace(old, b"\x20\x00\x13\x00IS\x02\x00x "))
    assert frame["outcome"].tolist() == ["stored"]
    with pytest.warns(dk.errors.LenientValueWarning, match="InstanceNumber: 1 of 1"):
        assert store.search_instances()["InstanceNumber"].isna().tolist() == [True]
    with pytest.warns(dk.errors.LenientValueWarning, match="InstanceNumber"):
        store.metadata(frame["StudyInstanceUID"][0])
