"""multipart/related: bodies written by hand by the rules of RFC 2046, read at any chunk size; the writer read back."""

from __future__ import annotations

import email
import email.policy
import io
import mmap
import os
import stat
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from dicomweb_client.web import DICOMwebClient
from hypothesis import given
from hypothesis import strategies as st

from dicomkit.dicom.media_type import format_media_type, parse_media_type
from dicomkit.dicom.multipart import ChunkStream, Part, parts, whole
from dicomkit.dicom.multipart_writer import BodyPart, FileSlice, Writer, encode, new_boundary
from dicomkit.errors import DicomFormatError, PayloadTooLarge

TYPE = 'multipart/related; type="application/dicom"; boundary=bound'


def by_hand(
    contents: list[bytes], boundary: bytes = b"bound", head: bytes = b"Content-Type: application/dicom"
) -> bytes:
    """A body as RFC 2046 section 5.1.1 spells it."""
    body = b"".join(b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary, head, content) for content in contents)
    return body + b"--%b--\r\n" % boundary


def read(body: bytes, content_type: str = TYPE, **limits: Any) -> list[bytes]:
    """The contents of all parts."""
    contents = []
    for part in parts(io.BytesIO(body), content_type, **limits):
        with part:
            assert len(part.buffer()) == part.size
            contents.append(bytes(part.buffer()))
    return contents


def cut(body: bytes, size: int) -> Iterator[bytes]:
    """The body in chunks of one size."""
    return (body[at : at + size] for at in range(0, len(body), size))


# Contents made of what a boundary is made of, so that every near miss comes up.
NEAR = st.lists(
    st.sampled_from(
        [b"\r\n", b"\r", b"\n", b"--", b"-", b"bound", b"boun", b"--bound", b"\r\n--boun", b" ", b"x", b"\0"]
    ),
    max_size=12,
).map(b"".join)


def holds_a_boundary_line(content: bytes) -> bool:
    """Whether RFC 2046 forbids the content: a line of it is a boundary line."""
    framed = b"\r\n" + content + b"\r\n"
    lines = [line.rstrip(b" ") for line in framed.split(b"\r\n")]
    return any(line in (b"--bound", b"--bound--") for line in lines) or b"--bound--\n" in framed


@given(
    st.lists(NEAR.filter(lambda c: not holds_a_boundary_line(c)), max_size=4), st.integers(1, 40), st.integers(0, 30)
)
def test_parts_are_the_same_at_any_chunk_size(contents: list[bytes], size: int, spool: int) -> None:
    """A boundary may be split anywhere, and a content may hold anything but a boundary line."""
    body = by_hand(contents)
    got = []
    for part in parts(ChunkStream(cut(body, size)), TYPE, spool_bytes=spool):
        with part:
            assert (part.file is not None) is (part.size > spool)
            got.append(bytes(part.buffer()))
    assert got == contents


@given(st.lists(st.binary(max_size=200), max_size=5), st.integers(0, 100), st.integers(1, 300))
def test_the_writer_is_read_back(contents: list[bytes], spool: int, size: int) -> None:
    """Any bytes go through, and the length is exact."""
    writer = Writer([("application/dicom", content) for content in contents])
    body = b"".join(writer)
    assert len(body) == len(writer) == writer.content_length
    got = []
    for part in parts(ChunkStream(cut(body, size)), writer.content_type, spool_bytes=spool):
        with part:
            assert part.content_type == "application/dicom"
            got.append(bytes(part.buffer()))
    assert got == contents


def test_preamble_and_epilogue_are_passed_over() -> None:
    """RFC 2046: they are to be ignored, whatever they hold."""
    body = b"This is\r\n-- no part\r\n--bounds\r\n" + by_hand([b"a", b"b"]) + b"--bound\r\n\r\nno part\r\n--bound--"
    assert read(body) == [b"a", b"b"]


def test_blanks_may_follow_a_boundary() -> None:
    """RFC 2046 calls them transport padding."""
    body = by_hand([b"a", b"b"]).replace(b"--bound\r\n", b"--bound \t\r\n").replace(b"--bound--", b"--bound-- ")
    assert read(body) == [b"a", b"b"]


@pytest.mark.parametrize("end", [b"", b"\r", b"\r\n", b"\n", b" ", b"\r\nepilogue"])
def test_the_line_end_after_the_last_boundary_is_optional(end: bytes) -> None:
    """Some clients stop right after the two hyphens."""
    assert read(by_hand([b"a"]).removesuffix(b"\r\n") + end) == [b"a"]


def test_an_empty_content_may_share_its_line_end_with_the_boundary() -> None:
    """``header CRLF CRLF --boundary`` is a part without content."""
    assert read(b"--bound\r\nA: b\r\n\r\n--bound--\r\n") == [b""]
    assert read(b"--bound\r\n\r\n--bound\r\n\r\n\r\n--bound--\r\n") == [b"", b""]


def test_a_body_without_parts_is_empty() -> None:
    """Only the last boundary is there."""
    assert read(b"--bound--\r\n") == []
    assert read(b"".join(Writer([], boundary="bound"))) == []


def test_headers_are_read_by_lower_case_name() -> None:
    """Folded lines are joined, the first of a repeated field counts, other alphabets survive."""
    head = b"Content-TYPE:application/dicom;\r\n\ttransfer-syntax=*\r\nContent-Location: /\xc3\xa4\r\nX: 1\r\nx: 2\r\n"
    head += b"Y: \xe4"
    (part,) = parts(io.BytesIO(by_hand([b"a"], head=head)), TYPE)
    assert part.headers == {
        "content-type": "application/dicom; transfer-syntax=*",
        "content-location": "/ä",
        "x": "1",
        "y": "ä",
    }
    assert part.content_type == "application/dicom; transfer-syntax=*"


BODY = by_hand([b"first", b"second"])


@pytest.mark.parametrize("length", range(len(BODY) - len(b"--\r\n")))
def test_every_cut_of_a_body_is_refused(length: int) -> None:
    """Parts that were complete before come out; the one that was cut does not."""
    got = []
    with pytest.raises(DicomFormatError) as caught:
        for part in parts(io.BytesIO(BODY[:length]), TYPE):
            got.append(part.buffer())
    assert got == [b"first", b"second"][: len(got)]
    assert caught.value.offset == length


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b"", "no boundary line"),
        (b"GIF89a" * 30_000, "in the first"),
        (b"--bound\nA: b\n\nx\n--bound--\n", "no boundary line"),
        (b"--bound\r\nA: b\r\nx\r\n--bound--\r\n", "header"),
        (b"--bound\r\n--bound\r\n\r\nx\r\n--bound--\r\n", "name: value"),
        (b"--bound\r\nno colon\r\n\r\nx\r\n--bound--\r\n", "name: value"),
        (b"--bound\r\nA b: c\r\n\r\nx\r\n--bound--\r\n", "name: value"),
        (b"--bound\r\nA: b\x00\r\n\r\nx\r\n--bound--\r\n", "name: value"),
        (b"--bound\r\nA: b\nC: d\r\n\r\nx\r\n--bound--\r\n", "name: value"),
        (b"--bound\r\n: b\r\n\r\nx\r\n--bound--\r\n", "name: value"),
        (b"--bound\r\nContent-Transfer-Encoding: base64\r\n\r\neA==\r\n--bound--\r\n", "as binary"),
        (b"--bound\r\n\r\nx\r\n--bound" + b" " * 10_000 + b"\r\n--bound-", "last boundary is missing"),
    ],
)
def test_malformed_bodies_are_refused_with_the_place(body: bytes, hint: str) -> None:
    """One error class for all of them, so that a server answers 400."""
    with pytest.raises(DicomFormatError, match=hint) as caught:
        read(body)
    assert caught.value.offset is not None
    assert 0 <= caught.value.offset <= len(body)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "multipart",
        "application/dicom",
        "multipart/form-data; boundary=x",
        "multipart/related",
        "multipart/related; boundary=",
        'multipart/related; boundary=""',
        'multipart/related; boundary="x',
        'multipart/related; boundary="x "',
        'multipart/related; boundary="x\r\ny"',
        "multipart/related; boundary=é",
        f"multipart/related; boundary={'x' * 71}",
    ],
)
def test_a_content_type_without_a_usable_boundary_is_refused(content_type: str) -> None:
    """RFC 2046: 1 to 70 characters, not ending in a blank."""
    with pytest.raises(DicomFormatError):
        list(parts(io.BytesIO(b""), content_type))


@pytest.mark.parametrize("boundary", ["x" * 70, "simple boundary", "=_x'()+,./:?", "a=b/c", "@$*&"])
def test_boundaries_of_other_makers_are_taken(boundary: str) -> None:
    """Quoted as the RFC wants it, and unquoted as some clients send it."""
    body = by_hand([b"a"], boundary.encode())
    assert read(body, f'multipart/related; boundary="{boundary}"') == [b"a"]
    assert read(body, f"Multipart/Related;boundary={boundary} ; type=application/dicom") == [b"a"]


def test_limits_are_kept() -> None:
    """Each is exact, and one beyond it is 413."""
    assert read(by_hand([b"abc"] * 3), max_parts=3, max_part_bytes=3) == [b"abc"] * 3
    with pytest.raises(PayloadTooLarge, match="more than 2 parts"):
        read(by_hand([b"abc"] * 3), max_parts=2)
    with pytest.raises(PayloadTooLarge, match="larger than 2 bytes"):
        read(by_hand([b"abc"]), max_part_bytes=2)
    long = b"A: " + b"x" * 97
    assert read(by_hand([b"a"], head=long), max_header_bytes=100) == [b"a"]
    with pytest.raises(PayloadTooLarge, match="header"):
        read(by_hand([b"a"], head=long + b"x"), max_header_bytes=100)


@pytest.mark.parametrize(
    "body",
    [
        b"--bound\r\n\r\nx\r\n" * 100_000,
        b"--bound\r\nA: " + b"x" * (1 << 20) + b"\r\n\r\nx\r\n--bound--",
        b"--bound\r\n" + b"A: b\r\n" * 10_000 + b"\r\nx\r\n--bound--",
        b"\r\n--boun" * 1_000_000,
        b"--bound\r\n\r\n" + (b"\r\n--bound" + b" " * 255 + b"x") * 20_000,
        b"--bound\r\n\r\n" + b"\r\n--bound-" * 200_000,
        b"--bound\r\n\r\n" + b"\r" * 4_000_000,
    ],
)
@pytest.mark.timeout(30)
def test_multipart_bombs_end(body: bytes) -> None:
    """Many parts, long headers and near misses of the boundary cost time in proportion to their length at most."""
    with pytest.raises((DicomFormatError, PayloadTooLarge)):
        for part in parts(io.BytesIO(body), TYPE):
            part.close()


def test_a_large_part_goes_to_a_private_file_that_close_removes(tmp_path: Path) -> None:
    """Mode 0600, mapped on demand; a small part beside it stays in memory."""
    large, small = os.urandom(300_000), b"small"
    for part in parts(io.BytesIO(by_hand([large, small])), TYPE, spool_bytes=100_000, tmp_dir=tmp_path):
        if part.size == len(small):
            assert part.file is None
            assert part.buffer() == small
            continue
        assert part.file is not None
        assert part.file.parent == tmp_path
        assert stat.S_IMODE(part.file.stat().st_mode) == 0o600
        content = part.buffer()
        assert isinstance(content, mmap.mmap)
        assert content[:] == large
        part.close()
        part.close()
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(ValueError, match="closed"):
            part.buffer()


def test_a_view_of_a_closed_part_stays_readable(tmp_path: Path) -> None:
    """The file goes at once, the bytes with the last view of them."""
    (part,) = parts(io.BytesIO(by_hand([b"abc"])), TYPE, spool_bytes=0, tmp_dir=tmp_path)
    with memoryview(part.buffer()) as view:
        part.close()
        assert list(tmp_path.iterdir()) == []
        assert bytes(view) == b"abc"


def test_a_file_that_was_renamed_away_is_kept(tmp_path: Path) -> None:
    """A large part can become the stored blob without a copy."""
    (part,) = parts(io.BytesIO(by_hand([b"abc"])), TYPE, spool_bytes=0, tmp_dir=tmp_path)
    assert part.file is not None
    part.file.rename(tmp_path / "blob")
    part.close()
    assert (tmp_path / "blob").read_bytes() == b"abc"


@pytest.mark.parametrize("body", [by_hand([b"x" * 1000])[:-10], by_hand([b"x" * 1000] * 2)])
def test_no_file_is_left_of_a_part_that_fails(body: bytes, tmp_path: Path) -> None:
    """Cut, too many, or simply forgotten by its reader."""
    part = None
    with pytest.raises((DicomFormatError, PayloadTooLarge)):
        for part in parts(io.BytesIO(body), TYPE, spool_bytes=10, tmp_dir=tmp_path, max_parts=1):
            assert part.file is not None
    part = None
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_left_when_the_stream_breaks(tmp_path: Path) -> None:
    """The error of the connection is passed on as it is."""

    def broken() -> Iterator[bytes]:
        yield by_hand([b"x" * 1000])[:500]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        list(parts(ChunkStream(broken()), TYPE, spool_bytes=10, tmp_dir=tmp_path))
    with pytest.raises(ConnectionResetError):
        whole(ChunkStream(broken()), "application/dicom", spool_bytes=10, tmp_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_body_that_is_no_multipart_is_one_part(tmp_path: Path) -> None:
    """With the same rules for size and place."""
    part = whole(ChunkStream([b"ab", b"", b"c"]), "application/dicom", tmp_dir=tmp_path)
    assert (part.buffer(), part.size, part.content_type, part.file) == (b"abc", 3, "application/dicom", None)
    with whole(io.BytesIO(b"abc"), "application/dicom", spool_bytes=2, tmp_dir=tmp_path) as part:
        assert part.buffer()[:] == b"abc"
        assert part.file is not None
    with pytest.raises(PayloadTooLarge):
        whole(io.BytesIO(b"abc"), "application/dicom", max_part_bytes=2)


def test_memory_does_not_grow_with_the_body(tmp_path: Path) -> None:
    """64 MB in one part, written and read with a few chunks in memory."""
    size = 64 << 20
    source = tmp_path / "source"
    with source.open("wb") as stream:
        stream.truncate(size)
    writer = Writer([("application/dicom", source), ("application/dicom", FileSlice(source, 5, 100))])
    tracemalloc.start()
    try:
        sizes = []
        for part in parts(ChunkStream(writer), writer.content_type, tmp_dir=tmp_path):
            with part:
                sizes.append(part.size)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sizes == [size, 100]
    assert peak < 8 << 20


# ------------------------------------------------------------------------------------------------ writer


def test_every_kind_of_source_gives_its_bytes(tmp_path: Path) -> None:
    """Bytes and views, a file, a part of a file, an open file from where it stands; and all of it twice."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as opened, path.open("rb") as mapped_file:
        opened.seek(4)
        with mmap.mmap(mapped_file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            sources = [
                b"abc",
                bytearray(b"abc"),
                memoryview(b"xabcx")[1:4],
                mapped,
                path,
                FileSlice(path, 2, 3),
                opened,
                io.BytesIO(b""),
            ]
            writer = Writer([("application/dicom", source) for source in sources])
            for _ in range(2):
                body = b"".join(writer)
                assert len(body) == len(writer)
                expected = [b"abc", b"abc", b"abc", b"0123456789", b"0123456789", b"234", b"456789", b""]
                assert read(body, writer.content_type) == expected


def test_parts_of_unknown_number_are_encoded_one_by_one() -> None:
    """A generator of parts is taken as it goes, with header fields beside the type."""

    def some() -> Iterator[BodyPart]:
        for number in range(3):
            yield BodyPart("application/octet-stream", b"x" * number, {"Content-Location": f"/frames/{number}"})

    boundary = new_boundary()
    body = b"".join(encode(some(), boundary))
    got = list(parts(io.BytesIO(body), f"multipart/related; boundary={boundary}"))
    assert [part.headers["content-location"] for part in got] == ["/frames/0", "/frames/1", "/frames/2"]
    assert [part.size for part in got] == [0, 1, 2]


def test_a_large_content_is_passed_on_without_a_copy() -> None:
    """The very object goes to the socket, and small pieces around it are joined."""
    large = bytes(1 << 20)
    chunks = list(Writer([("application/dicom", b"x"), ("application/dicom", large), ("application/dicom", b"y")]))
    assert len(chunks) == 3
    assert chunks[1] is large


def test_a_file_that_shrank_ends_the_body_with_an_error(tmp_path: Path) -> None:
    """The promised length cannot be kept, and the reader must not take the rest for whole."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    writer = Writer([("application/dicom", path)])
    path.write_bytes(b"01")
    with pytest.raises(EOFError):
        b"".join(writer)


def test_headers_and_boundaries_cannot_break_out() -> None:
    """A line end in a header field would be a header of its own."""
    with pytest.raises(ValueError, match="control"):
        Writer([BodyPart("a/b", b"", {"Content-Location": "x\r\nContent-Type: text/html"})])
    for boundary in ("", "a b", "a\r\nb", "x" * 71):
        with pytest.raises(ValueError, match="boundary"):
            Writer([], boundary=boundary)
        with pytest.raises(ValueError, match="boundary"):
            encode([], boundary)


def test_boundaries_are_random() -> None:
    """128 bits, so that no content holds one by accident or by intent."""
    made = {new_boundary() for _ in range(100)}
    assert len(made) == 100
    assert all(len(bytes.fromhex(boundary)) == 16 for boundary in made)


# ------------------------------------------------------------------------------------------------ other implementations


def test_the_standard_library_reads_what_we_write() -> None:
    """Python's own MIME parser finds the same parts."""
    contents = [b"first", b"", b"line\r\nline"]
    writer = Writer([("application/octet-stream", content) for content in contents])
    message = email.message_from_bytes(
        f"Content-Type: {writer.content_type}\r\n\r\n".encode() + b"".join(writer), policy=email.policy.HTTP
    )
    assert not message.defects
    got = [part.get_payload(decode=True) for part in message.iter_parts()]
    assert got == contents


def test_dicomweb_client_and_we_read_each_other() -> None:
    """Its upload body is read here, and our response body is read there."""
    client = DICOMwebClient("http://dicomkit.invalid")
    contents = [os.urandom(1000), b"\r\n--", os.urandom(10)]
    theirs = client._encode_multipart_message(
        contents, content_type='multipart/related; type="application/dicom"; boundary="0f3cf5c0-70e0-41ef-baef"'
    )
    assert read(theirs, 'multipart/related; type="application/dicom"; boundary="0f3cf5c0-70e0-41ef-baef"') == contents

    writer = Writer([("application/dicom", content) for content in contents])
    response = requests.Response()
    response.status_code = 200
    response.headers["content-type"] = writer.content_type
    response.raw = io.BytesIO(b"".join(writer))
    assert list(client._decode_multipart_message(response, stream=False)) == contents


def test_a_streamed_response_is_read_by_the_same_parts() -> None:
    """``iter_content`` of requests is the stream."""
    writer = Writer([("application/dicom", b"abc"), ("application/dicom", b"def")])
    response = requests.Response()
    response.raw = io.BytesIO(b"".join(writer))
    got = [part.buffer() for part in parts(ChunkStream(response.iter_content(7)), writer.content_type)]
    assert got == [b"abc", b"def"]


def test_the_repr_of_a_part_shows_no_content() -> None:
    """It may stand in a log."""
    (part,) = parts(io.BytesIO(by_hand([b"Doe^John"])), TYPE)
    assert isinstance(part, Part)
    assert repr(part) == "<Part 8 bytes>"


# ------------------------------------------------------------------------------------------------ media types


@pytest.mark.parametrize(
    ("text", "media", "params"),
    [
        ("application/dicom", "application/dicom", {}),
        ("Application/DICOM; Transfer-Syntax=*", "application/dicom", {"transfer-syntax": "*"}),
        ("application/dicom;", "application/dicom", {}),
        (r'a/b; x="q\"\\;y" ; z=1', "a/b", {"x": r"q\"\;y".replace(r"\"", '"'), "z": "1"}),
        ("a/b; x=1; X=2;;", "a/b", {"x": "1"}),
    ],
)
def test_media_types_are_read(text: str, media: str, params: dict[str, str]) -> None:
    """RFC 9110 section 8.3.1: names in any case, values as tokens or quoted strings."""
    assert parse_media_type(text) == (media, params)


@pytest.mark.parametrize("text", ["", "dicom", "a/b/c", "a/b; x", "a/b; =1", 'a/b; x="1', "a/b; x=1 y=2\r\nz", "a b/c"])
def test_other_texts_are_no_media_type(text: str) -> None:
    """Refused, and not read as the nearest thing."""
    with pytest.raises(DicomFormatError):
        parse_media_type(text)


@given(
    st.dictionaries(st.sampled_from(["type", "boundary", "q"]), st.text(st.characters(codec="ascii", min_codepoint=32)))
)
def test_media_types_survive_writing_and_reading(params: dict[str, str]) -> None:
    """Whatever a parameter holds, quotes and semicolons included."""
    params = {name: value.replace("\x7f", "") for name, value in params.items()}
    assert parse_media_type(format_media_type("a/b", params)) == ("a/b", params)
