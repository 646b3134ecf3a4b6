"""Uploads that come in pieces, until they are whole and a load job takes them.

Source: "Resumable uploads" of Google's APIs (Content-Range, 308, Range), as google-resumable-media speaks it.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dicomkit.engine.services.bigquery_errors import invalid, not_found
from dicomkit.errors import ResourceExhausted, Unavailable

__all__ = ["Upload", "Uploads", "spooled"]

MAX_UPLOADS = 100
"""Uploads under way; beyond them one that was not touched for :data:`IDLE_S` is let go."""

IDLE_S = 3600.0

_CHUNK = 1 << 20


class Readable(Protocol):
    """A request's body."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most *size*."""
        ...


def spooled(folder: Path) -> Path:
    """The path of a new file, empty and for this user alone."""
    path = folder / f"load-{secrets.token_hex(12)}"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path


@dataclass(slots=True)
class Upload:
    """One upload."""

    id: str
    project: str
    resource: dict[str, Any]
    path: Path
    size: int = 0
    touched: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)
    answer: dict[str, Any] | None = None
    """The job that it became; a client that lost the answer asks again."""

    def append(self, stream: Readable, start: int, count: int) -> None:
        """Write *count* bytes of *stream*, which belong at *start*; what is there already is passed over."""
        self.touched = time.monotonic()
        skip = self.size - start
        with self.path.open("ab") as file:
            try:
                while count:
                    data = stream.read(min(count, _CHUNK))
                    if not data:
                        break
                    count -= len(data)
                    fresh = data[max(skip, 0) :]
                    skip -= len(data)
                    file.write(fresh)
                file.flush()
            except OSError as error:
                raise Unavailable("the upload cannot be written; is the disk full?") from error
            finally:
                self.size = file.tell()


class Uploads:
    """The uploads under way."""

    def __init__(self) -> None:
        self._uploads: dict[str, Upload] = {}
        self._lock = threading.Lock()

    def begin(self, project: str, resource: dict[str, Any], folder: Path) -> Upload:
        """An upload that waits for its first piece."""
        now = time.monotonic()
        with self._lock:
            for upload in list(self._uploads.values()):
                if upload.answer is not None or now - upload.touched > IDLE_S:
                    if len(self._uploads) >= MAX_UPLOADS:
                        self._drop(upload)
            if len(self._uploads) >= MAX_UPLOADS:
                raise ResourceExhausted(f"there are {MAX_UPLOADS} uploads under way; finish one of them")
            upload = Upload(secrets.token_urlsafe(18), project, resource, spooled(folder))
            self._uploads[upload.id] = upload
        return upload

    def get(self, project: str, upload_id: str) -> Upload:
        """The upload, or ``NotFound``."""
        upload = self._uploads.get(upload_id)
        if upload is None or upload.project != project:
            raise not_found("Upload", upload_id[:80])
        return upload

    def finish(self, upload: Upload, start: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
        """Hand the file to *start*, once; its answer is kept for a client that asks again."""
        if upload.answer is None:
            try:
                upload.answer = start(upload.path)
            except BaseException:
                with self._lock:
                    self._drop(upload)
                raise
        return upload.answer

    def close(self) -> None:
        """Let go of all."""
        with self._lock:
            for upload in list(self._uploads.values()):
                self._drop(upload)

    def _drop(self, upload: Upload) -> None:
        if self._uploads.pop(upload.id, None) is not None and upload.answer is None:
            upload.path.unlink(missing_ok=True)


def bad_range(text: str) -> Exception:
    """A ``Content-Range`` that is none."""
    return invalid(f"Invalid Content-Range {text[:80]!r}", "Content-Range")
