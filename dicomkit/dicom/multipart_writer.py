"""multipart/related written as a stream, with its exact length known before the first byte.

Source: RFC 2046 section 5.1, RFC 2387, DICOM PS3.18 section 8.6.1.2.
"""

from __future__ import annotations

import mmap
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from dicomkit.dicom.media_type import format_media_type

__all__ = ["BodyPart", "FileSlice", "PartLike", "Source", "Writer", "encode", "new_boundary"]

_JOIN = 64 << 10  # smaller pieces are joined, larger ones are passed on as they are
_CHUNK = 1 << 20
_BOUNDARY = re.compile(r"[A-Za-z0-9'()+_,./:=?-]{1,70}")
_BAD = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class FileSlice:
    """*length* bytes of a file, from *offset*."""

    path: Path
    offset: int
    length: int


Source = bytes | bytearray | memoryview | mmap.mmap | Path | FileSlice | BinaryIO
"""Where the content of a part comes from. An open file is read from where it stands to its end."""


@dataclass(frozen=True, slots=True)
class BodyPart:
    """One part to write: content type, content, and more header fields such as ``Content-Location``."""

    content_type: str
    source: Source
    headers: Mapping[str, str] = field(default_factory=dict)


PartLike = BodyPart | tuple[str, Source]
"""A part, or its content type and content."""


def new_boundary() -> str:
    """A boundary that no content holds: 128 random bits, so that the content need not be searched for it."""
    return secrets.token_hex(16)


def encode(parts: Iterable[PartLike], boundary: str) -> Iterator[bytes]:
    """The body in chunks; *parts* are taken one by one, and files are open only while they are read.

    Raises
    ------
    EOFError
        A file is shorter than it was when the part was made.
    """
    return _joined(_encode_all(parts, _checked(boundary)))


class Writer:
    """A multipart/related body of known length; iterating it gives the chunks, again and again.

    Parameters
    ----------
    parts
        Pairs of content type and content, or :class:`BodyPart`.
    media_type
        The ``type`` parameter: what the parts are.
    boundary
        A boundary of the caller's own; a random one when left out.

    Notes
    -----
    ``requests`` takes it as ``data=``: it has a length, so no chunked encoding is needed. An open file among the
    contents is sought back to where it stood, so that a request can be repeated.
    """

    def __init__(
        self, parts: Iterable[PartLike], *, media_type: str = "application/dicom", boundary: str | None = None
    ) -> None:
        self.boundary = new_boundary() if boundary is None else _checked(boundary)
        self.media_type = media_type
        self._pieces = [_Piece(part, self.boundary) for part in parts]
        self.content_length = sum(len(p.head) + p.size + 2 for p in self._pieces) + len(_closing(self.boundary))

    @property
    def content_type(self) -> str:
        """The ``Content-Type`` of the body."""
        return format_media_type("multipart/related", {"type": self.media_type, "boundary": self.boundary})

    def __len__(self) -> int:
        return self.content_length

    def __iter__(self) -> Iterator[bytes]:
        return _joined(self._chunks())

    def _chunks(self) -> Iterator[bytes]:
        for piece in self._pieces:
            yield from _encode_one(piece)
        yield _closing(self.boundary)


def _joined(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Small chunks joined, large ones as they are: few writes to a socket, and no copy of what is large."""
    small: list[bytes] = []
    held = 0
    for chunk in chunks:
        is_small = len(chunk) < _JOIN
        if is_small:
            small.append(chunk)
            held += len(chunk)
        if small and (held >= _JOIN or not is_small):
            yield b"".join(small)
            small.clear()
            held = 0
        if not is_small:
            yield chunk
    if small:
        yield b"".join(small)


class _Piece:
    """A part made ready: its header in bytes, its size, where its content begins."""

    __slots__ = ("head", "size", "source", "start")

    def __init__(self, part: PartLike, boundary: str) -> None:
        if not isinstance(part, BodyPart):
            part = BodyPart(*part)
        fields = {"Content-Type": part.content_type, **part.headers}
        if any(_BAD.search(name + value) for name, value in fields.items()):
            raise ValueError("a header of a part holds control characters")
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.head = f"--{boundary}\r\n{lines}\r\n".encode()
        self.source = part.source
        self.start = 0
        if isinstance(part.source, Path):
            self.size = part.source.stat().st_size
        elif isinstance(part.source, FileSlice):
            self.size, self.start = part.source.length, part.source.offset
        elif isinstance(part.source, memoryview):
            self.size = part.source.nbytes
        elif isinstance(part.source, (bytes, bytearray, mmap.mmap)):
            self.size = len(part.source)
        else:
            self.start = part.source.tell()
            self.size = part.source.seek(0, os.SEEK_END) - self.start


def _encode_all(parts: Iterable[PartLike], boundary: str) -> Iterator[bytes]:
    for part in parts:
        yield from _encode_one(_Piece(part, boundary))
    yield _closing(boundary)


def _checked(boundary: str) -> str:
    if not _BOUNDARY.fullmatch(boundary):
        raise ValueError("a boundary is 1 to 70 letters, digits and '()+_,-./:=? (RFC 2046 section 5.1.1)")
    return boundary


def _closing(boundary: str) -> bytes:
    return f"--{boundary}--\r\n".encode()


def _encode_one(piece: _Piece) -> Iterator[bytes]:
    yield piece.head
    source = piece.source
    if isinstance(source, bytes):
        yield source
    elif isinstance(source, (bytearray, memoryview, mmap.mmap)):
        with memoryview(source) as view, view.cast("B") as flat:
            for at in range(0, piece.size, _CHUNK):
                yield bytes(flat[at : at + _CHUNK])
    elif isinstance(source, (Path, FileSlice)):
        with (source if isinstance(source, Path) else source.path).open("rb") as stream:
            yield from _read(stream, piece)
    else:
        yield from _read(source, piece)
    yield b"\r\n"


def _read(stream: BinaryIO, piece: _Piece) -> Iterator[bytes]:
    stream.seek(piece.start)
    left = piece.size
    while left:
        chunk = stream.read(min(left, _CHUNK))
        if not chunk:
            raise EOFError(f"a part is {left} bytes shorter than its length said")
        left -= len(chunk)
        yield chunk
