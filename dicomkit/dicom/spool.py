"""Content of a body part: in memory while it is small, in a temporary file when it is large."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dicomkit.errors import PayloadTooLarge

__all__ = ["Part", "Sink"]


class Part:
    """One body part, in memory or in a file of its own.

    Attributes
    ----------
    headers
        Header fields by lower-case name; the first of a repeated one.
    size
        Bytes of the content.
    file
        The temporary file (mode 0600) of a large part. It may be renamed away to keep the content.
    """

    __slots__ = ("__weakref__", "_cleanup", "_data", "_map", "file", "headers", "size")

    def __init__(self, headers: dict[str, str], size: int, data: bytes | None, file: Path | None) -> None:
        self.headers = headers
        self.size = size
        self.file = file
        self._data = data
        self._map: mmap.mmap | None = None
        # A part that its user forgets must not leave patient data in the temporary folder.
        self._cleanup = weakref.finalize(self, _remove, file) if file is not None else None

    @property
    def content_type(self) -> str:
        """The part's ``Content-Type`` as it stands; empty when it has none."""
        return self.headers.get("content-type", "")

    def buffer(self) -> bytes | mmap.mmap:
        """The content: the bytes themselves, or the file mapped read-only."""
        if self._data is not None:
            return self._data
        if self._map is None:
            if self.file is None or self._cleanup is None or not self._cleanup.alive:
                raise ValueError("the part is closed")
            with self.file.open("rb") as stream:
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        return self._map

    def close(self) -> None:
        """Free the content and delete the temporary file, if it is still there."""
        if self._map is not None:
            with suppress(BufferError):  # a view of the map is still held; it goes with the view
                self._map.close()
            self._map = None
        self._data = None
        if self._cleanup is not None:
            self._cleanup()

    def __enter__(self) -> Part:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Part {self.size} bytes{' in a file' if self.file else ''}>"


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


class Sink:
    """Takes the content of one part, and moves it to a file when it grows large."""

    __slots__ = ("_chunks", "_max_bytes", "_path", "_spool_bytes", "_stream", "_tmp_dir", "size")

    def __init__(self, spool_bytes: int, tmp_dir: Path | None, max_bytes: int) -> None:
        self._spool_bytes, self._tmp_dir, self._max_bytes = spool_bytes, tmp_dir, max_bytes
        self.size = 0
        self._chunks: list[bytes] = []
        self._stream: BinaryIO | None = None
        self._path: Path | None = None

    def write(self, data: bytes) -> None:
        """Take more of the content; ``PayloadTooLarge`` when it is too much."""
        self.size += len(data)
        if self.size > self._max_bytes:
            raise PayloadTooLarge(f"a part is larger than {self._max_bytes} bytes; send it in smaller instances")
        if self._stream is None and self.size > self._spool_bytes:
            handle, name = tempfile.mkstemp(prefix="part-", dir=self._tmp_dir)  # mode 0600
            self._path, self._stream = Path(name), os.fdopen(handle, "wb")
            for chunk in self._chunks:
                self._stream.write(chunk)
            self._chunks.clear()
        if self._stream is None:
            self._chunks.append(data)
        else:
            self._stream.write(data)

    def part(self, headers: dict[str, str]) -> Part:
        """The finished part; the file, if there is one, is the part's from here on."""
        if self._stream is None:
            data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            return Part(headers, self.size, data, None)
        self._stream.close()
        path, self._path = self._path, None
        return Part(headers, self.size, None, path)

    def discard(self) -> None:
        """Delete the file of a part that was not finished."""
        if self._stream is not None:
            self._stream.close()
        if self._path is not None:
            _remove(self._path)
