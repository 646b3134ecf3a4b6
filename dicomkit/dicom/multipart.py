"""multipart/related read as a stream: one part after the other, the whole body never in memory.

Source: RFC 2046 section 5.1 (multipart syntax), RFC 2387 (multipart/related), DICOM PS3.18 section 8.6.1.2.

Two choices where the RFC leaves room. A boundary line is the delimiter, blanks and a line end, and nothing more: a
line of the data that only *begins* with the delimiter stays data. Line ends are CRLF; a body with bare LF is refused.

Everything that is malformed raises :class:`~dicomkit.errors.DicomFormatError` with the offset in the body, and what
exceeds a limit raises :class:`~dicomkit.errors.PayloadTooLarge`. Parts that were complete before have been yielded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Protocol

from dicomkit.dicom.media_type import parse_media_type
from dicomkit.dicom.spool import Part, Sink
from dicomkit.errors import DicomFormatError, PayloadTooLarge

__all__ = ["MAX_HEADER_BYTES", "MAX_PARTS", "MAX_PART_BYTES", "SPOOL_BYTES", "ChunkStream", "Part", "parts", "whole"]

SPOOL_BYTES = 4 << 20
"""A part above this goes to a file of its own."""

MAX_PARTS = 10_000
"""Most parts of one body."""

MAX_HEADER_BYTES = 16 << 10
"""Most bytes of the header of one part."""

MAX_PART_BYTES = 4 << 30
"""Most bytes of one part; one tag of an instance may have 4 GB, and so may the API's whole file."""

_CHUNK = 256 << 10
_MAX_EDGE = 64 << 10  # bytes that are read and thrown away before the first and after the last boundary
_PADDING = re.compile(rb"[ \t]{0,256}")  # blanks after a boundary; more of them are data
_BOUNDARY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,68}[\x21-\x7e])?")
_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_IDENTITY = frozenset({"", "7bit", "8bit", "binary"})


class Readable(Protocol):
    """What a body is read from: ``read`` gives at most *size* bytes, and none at the end."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""
        ...


class ChunkStream:
    """Chunks of bytes as a stream, e.g. ``response.iter_content(1 << 18)`` of a streamed response.

    Parameters
    ----------
    chunks
        The body in pieces of any size.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._chunk = b""
        self._at = 0

    def read(self, size: int, /) -> bytes:
        """At most *size* bytes; empty at the end."""
        while self._at >= len(self._chunk):
            self._at = 0
            try:
                self._chunk = next(self._chunks)
            except StopIteration:
                self._chunk = b""
                return b""
        # A chunk may be a whole file: it is walked by position, never cut down.
        data = self._chunk[self._at : self._at + size]
        self._at += len(data)
        return data


class _Line(Enum):
    """What stands where a delimiter was found."""

    PART = 1
    LAST = 2
    DATA = 3
    NONE = 4


class _Reader:
    """A window on the stream. ``pos`` is where reading goes on; everything before it is done with."""

    __slots__ = ("_base", "_read", "buf", "ended", "pos")

    def __init__(self, stream: Readable, prefix: bytes) -> None:
        self._read = stream.read
        self.buf = prefix
        self.pos = 0
        self.ended = False
        self._base = -len(prefix)

    def more(self) -> None:
        """Read one chunk on, dropping what lies before ``pos``; sets ``ended`` when there is none."""
        chunk = self._read(_CHUNK)
        self.ended = not chunk
        self._base += self.pos
        self.buf = self.buf[self.pos :] + chunk
        self.pos = 0

    def error(self, message: str, at: int) -> DicomFormatError:
        """The error for a place in the window."""
        return DicomFormatError(message, offset=max(0, self._base + at))

    def scan(self, delimiter: bytes) -> tuple[int, int, _Line]:
        """Look for a boundary line in the window, from ``pos`` on.

        Returns
        -------
        start, end, kind
            Where the delimiter begins, where reading goes on after it, and what it is. With ``_Line.NONE``
            everything before *start* is data, and the rest can be judged only with more of the stream.
        """
        at = self.buf.find(delimiter, self.pos)
        while at >= 0:
            end, kind = self._line(at + len(delimiter))
            if kind is not _Line.DATA:
                return at, end, kind
            at = self.buf.find(delimiter, at + 2)
        # The delimiter may have begun in the last bytes.
        return max(self.pos, len(self.buf) - len(delimiter) + 1), 0, _Line.NONE

    def _line(self, at: int) -> tuple[int, _Line]:
        """Judge what follows a delimiter: [``--``] blanks CRLF."""
        buf = self.buf
        is_last = buf.startswith(b"--", at)
        end = at + 2 if is_last else at
        padding = _PADDING.match(buf, end)
        end = padding.end() if padding else end
        if buf.startswith(b"\r\n", end):
            return (end + 2, _Line.LAST) if is_last else (end, _Line.PART)
        rest = buf[end : end + 2]
        if is_last and (rest[:1] == b"\n" or (self.ended and rest in (b"", b"\r"))):
            return end, _Line.LAST  # the line end after the last boundary is optional
        is_open = rest in (b"", b"\r") or (rest == b"-" and end == at)
        return (0, _Line.NONE) if is_open and not self.ended else (0, _Line.DATA)


def parts(
    stream: Readable,
    content_type: str,
    *,
    spool_bytes: int = SPOOL_BYTES,
    tmp_dir: Path | None = None,
    max_parts: int = MAX_PARTS,
    max_header_bytes: int = MAX_HEADER_BYTES,
    max_part_bytes: int = MAX_PART_BYTES,
) -> Iterator[Part]:
    """The parts of a multipart/related body, in order, each as soon as it is complete.

    Parameters
    ----------
    stream
        The body: ``wsgi.input``, an open file, or :class:`ChunkStream` over a response.
    content_type
        The body's ``Content-Type`` with its boundary.
    spool_bytes
        A part above this goes to a file of its own.
    tmp_dir
        Where those files are made; the system's folder when left out.
    max_parts, max_header_bytes, max_part_bytes
        Limits; a body beyond them is refused with ``PayloadTooLarge``.

    Yields
    ------
    Part
        To be closed by the caller, at once or after a batch of them.

    Raises
    ------
    DicomFormatError
        The content type names no boundary, or the body is malformed or ends before its last boundary.
    PayloadTooLarge
        A limit is exceeded.
    """
    delimiter = b"\r\n--" + _boundary(content_type).encode("ascii")
    # The first boundary may be the first line; with a line end before it, it is found like the others.
    reader = _Reader(stream, b"\r\n")
    is_last = _skip_preamble(reader, delimiter)
    for left in range(max_parts, -1, -1):
        if is_last:
            _skip_epilogue(reader)
            return
        if not left:
            raise PayloadTooLarge(f"the body has more than {max_parts} parts; send it in several requests")
        headers = _headers(reader, max_header_bytes)
        sink = Sink(spool_bytes, tmp_dir, max_part_bytes)
        try:
            is_last = _content(reader, delimiter, sink)
            part = sink.part(headers)
        except BaseException:
            sink.discard()
            raise
        yield part


def whole(
    stream: Readable,
    content_type: str,
    *,
    spool_bytes: int = SPOOL_BYTES,
    tmp_dir: Path | None = None,
    max_part_bytes: int = MAX_PART_BYTES,
) -> Part:
    """A body that is no multipart as one part, with the same rules for size and place."""
    sink = Sink(spool_bytes, tmp_dir, max_part_bytes)
    try:
        while chunk := stream.read(_CHUNK):
            sink.write(chunk)
        return sink.part({"content-type": content_type})
    except BaseException:
        sink.discard()
        raise


def _boundary(content_type: str) -> str:
    media, params = parse_media_type(content_type)
    if media != "multipart/related":
        raise DicomFormatError("the content type must be multipart/related")
    boundary = params.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise DicomFormatError("multipart/related needs a boundary of 1 to 70 printable ASCII characters")
    return boundary


def _skip_preamble(reader: _Reader, delimiter: bytes) -> bool:
    """Go past the first boundary line; whether it is the last one at once."""
    skipped = 0
    while True:
        start, end, kind = reader.scan(delimiter)
        skipped += start - reader.pos
        if skipped > _MAX_EDGE:
            raise reader.error(f"no boundary line in the first {_MAX_EDGE} bytes of the body", start)
        reader.pos = start
        if kind is not _Line.NONE:
            reader.pos = end
            return kind is _Line.LAST
        if reader.ended:
            raise reader.error("the body holds no boundary line", len(reader.buf))
        reader.more()


def _headers(reader: _Reader, max_bytes: int) -> dict[str, str]:
    """Read the header of a part, from the line end before it; ``pos`` is left on the line end before the content."""
    while (end := reader.buf.find(b"\r\n\r\n", reader.pos, reader.pos + max_bytes + 6)) < 0:
        if len(reader.buf) - reader.pos >= max_bytes + 6:
            raise PayloadTooLarge(f"the header of a part is longer than {max_bytes} bytes")
        if reader.ended:
            raise reader.error("the body ends inside the header of a part", len(reader.buf))
        reader.more()
    block = reader.buf[reader.pos + 2 : end]
    headers: dict[str, str] = {}
    # A line that begins with a blank continues the one before (RFC 822 folding).
    for line in re.sub(rb"\r\n[ \t]+", b" ", block).split(b"\r\n") if block else ():
        name, colon, value = line.partition(b":")
        if not colon or not _FIELD_NAME.fullmatch(name) or _CONTROL.search(value):
            raise reader.error("a header line of a part is not of the form name: value", reader.pos)
        headers.setdefault(name.decode("ascii").lower(), _text(value.strip(b" \t")))
    if headers.get("content-transfer-encoding", "").lower() not in _IDENTITY:
        raise reader.error("a part has a Content-Transfer-Encoding; send it as binary", reader.pos)
    reader.pos = end + 2
    return headers


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _content(reader: _Reader, delimiter: bytes, sink: Sink) -> bool:
    """Move the content of a part into *sink*, up to the next boundary line; whether that is the last one."""
    # The line end before an empty content may be that of the delimiter, so the search begins in front of it.
    skip = 2
    while True:
        start, end, kind = reader.scan(delimiter)
        begin = reader.pos + skip
        skip = max(0, begin - start)
        if start > begin:
            sink.write(reader.buf[begin:start])
        reader.pos = start
        if kind is not _Line.NONE:
            reader.pos = end
            return kind is _Line.LAST
        if reader.ended:
            raise reader.error("the body ends inside a part: its last boundary is missing", len(reader.buf))
        reader.more()


def _skip_epilogue(reader: _Reader) -> None:
    """Read what follows the last boundary, so that the connection can be used again; what is longer is left."""
    left = _MAX_EDGE
    while left > 0 and not reader.ended:
        reader.pos = len(reader.buf)
        reader.more()
        left -= len(reader.buf)
