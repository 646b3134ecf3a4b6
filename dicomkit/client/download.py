"""A download: several instances at a time, whole files only, one row each, and nothing fetched that is there.

Source: Cloud Healthcare API v1, ``dicomStores.studies.series.instances.retrieveInstance``; RFC 9110 section 13.1.2
(If-None-Match).
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pandas as pd
import requests

from dicomkit.client.layout import Layout
from dicomkit.client.pool import in_order
from dicomkit.client.rest import Rest
from dicomkit.client.retrieve import AS_STORED, instance_path, receive
from dicomkit.client.targets import Target
from dicomkit.dicom.reader import read_part10
from dicomkit.errors import (
    ApiError,
    DeadlineExceeded,
    DicomFormatError,
    DownloadError,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from dicomkit.frames.columns import DOWNLOAD
from dicomkit.frames.tables import table
from dicomkit.names import is_uid
from dicomkit.progress import Progress
from dicomkit.whole_file import whole_file

__all__ = ["ALREADY_THERE", "FAILED", "SAVED", "accept_of", "download"]

SAVED, ALREADY_THERE, FAILED = "saved", "already_there", "failed"
"""What became of an instance."""

LOST_IN_A_ROW = 5
"""So many instances one after the other that the server did not give for its own reasons: it is asked for no more."""

_OF_THE_SERVER = (Unavailable, DeadlineExceeded, ResourceExhausted)
_OF_THE_CALLER = (Unauthenticated, PermissionDenied)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class _Stopped(Exception):
    """Nobody waits for the rest any more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one instance."""

    target: Target
    path: Path | None
    outcome: str
    reason: str | None = None
    size: int | None = None
    sha256: str | None = None
    error: Exception | None = field(default=None, repr=False)


def accept_of(transfer_syntax: str) -> str:
    """The ``Accept`` for an instance in a transfer syntax, ``*`` for as it was stored."""
    if transfer_syntax == "*":
        return AS_STORED
    if not isinstance(transfer_syntax, str) or not is_uid(transfer_syntax):
        raise InvalidArgument("transfer_syntax is a UID, e.g. 1.2.840.10008.1.2.1, or * for as it was stored")
    return f"application/dicom; transfer-syntax={transfer_syntax}"


def download(
    rest: Rest,
    web: str,
    targets: Iterator[Target],
    folder: Path,
    layout: Layout,
    *,
    transfer_syntax: str = "*",
    workers: int,
    progress: bool | None = None,
    raise_for_failures: bool = False,
) -> pd.DataFrame:
    """Save *targets* below *folder*; see ``Store.download``."""
    job = _Job(rest, web, transfer_syntax)
    planned = _planned([*targets], folder, layout)
    rows: list[Outcome] = []
    lost = 0
    with Progress(len(planned), "download", unit="files", show=progress) as bar:
        for row in in_order(job.one, planned, workers=workers, stop=job.stop):
            rows.append(row)
            bar.advance(1)
            lost = lost + 1 if isinstance(row.error, _OF_THE_SERVER) else 0
            if row.error is not None and (
                isinstance(row.error, _OF_THE_CALLER) or _is_full(row.error) or lost > LOST_IN_A_ROW
            ):
                done = sum(row.outcome != FAILED for row in rows)
                row.error.add_note(
                    f"{done} of {len(planned)} files are there. Download the same again to go on: "
                    "what is whole already is not fetched twice"
                )
                raise row.error
    frame = _frame(rows)
    failed = [row for row in rows if row.outcome == FAILED]
    if raise_for_failures and failed:
        first = failed[0]
        raise DownloadError(
            f"{len(failed)} of {len(rows)} instances failed; the first, {first.path or 'a study'}: {first.reason}",
            frame=frame,
        )
    return frame


def _planned(targets: list[Target], folder: Path, layout: Layout) -> list[tuple[Target, Path | None]]:
    """Each instance with its file."""
    taken: set[str] = set()
    planned: list[tuple[Target, Path | None]] = []
    several = 0
    for target in targets:
        if not target.is_instance:
            planned.append((target, None))
            continue
        below = layout.path(target.row)
        key = str(below).casefold()  # names that differ in nothing else are one on many file systems
        several += key in taken
        taken.add(key)
        planned.append((target, folder / below))
    if several:
        raise InvalidArgument(
            f"the layout gives {several} of {len(planned)} instances the path of another one; "
            "let it end with {SOPInstanceUID}.dcm"
        )
    return planned


def _is_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in _FULL


class _Job:
    """What the threads of a download share."""

    def __init__(self, rest: Rest, web: str, transfer_syntax: str) -> None:
        self.rest, self.web = rest, web
        self.transfer_syntax = transfer_syntax
        self.accept = accept_of(transfer_syntax)
        self.stop = threading.Event()

    def one(self, planned: tuple[Target, Path | None]) -> Outcome:
        """Save one instance; never raises but for the end of everything."""
        target, path = planned
        if path is None:
            return Outcome(target, None, FAILED, "the store has nothing under these UIDs")
        try:
            return self._saved(target, path)
        except _Stopped:
            return Outcome(target, path, FAILED, "was stopped")
        except ApiError as error:
            return Outcome(target, path, FAILED, error.message, error=error)
        except OSError as error:
            reason = f"cannot be written: {error.strerror or type(error).__name__}"
            return Outcome(target, path, FAILED, reason, error=error)

    def _saved(self, target: Target, path: Path) -> Outcome:
        held = _Held(path, target, self.transfer_syntax) if path.is_file() else None
        if held is not None and self.transfer_syntax != "*" and held.is_whole:
            return held.outcome  # a server transcodes anew each time, and has no tag for what comes out
        url = f"{self.web}/{instance_path(*target.uids)}"
        with whole_file(path) as file:
            etag, same = (None, _never) if held is None else (held.sha256, held.is_named_by)
            is_new = receive(
                self.rest,
                url,
                _Watched(file, self.stop),
                accept=self.accept,
                etag=etag,
                is_same=same,
            )
            file.flush()
            size = file.tell()
            if is_new and not size:
                raise Unavailable("the server gave an empty file")
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest() if is_new else ""
        if not is_new and held is not None:
            return held.outcome
        return Outcome(target, path, SAVED, size=size, sha256=digest)


def _never(_response: requests.Response) -> bool:
    return False


class _Watched:
    """A file that takes no more when the download was stopped."""

    def __init__(self, file: IO[bytes], stop: threading.Event) -> None:
        self._file, self._stop = file, stop

    def write(self, data: bytes, /) -> int:
        """Write, unless nobody waits for it."""
        if self._stop.is_set():
            raise _Stopped
        return self._file.write(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where writing goes on."""
        return self._file.tell()

    def truncate(self) -> int:
        """Forget what is behind this place."""
        return self._file.truncate()


class _Held:
    """A file that is there already under the name of an instance."""

    def __init__(self, path: Path, target: Target, transfer_syntax: str) -> None:
        self.path, self.target, self.transfer_syntax = path, target, transfer_syntax
        with path.open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            self.size = file.seek(0, 2)

    @property
    def outcome(self) -> Outcome:
        """The row of a file that stays."""
        return Outcome(self.target, self.path, ALREADY_THERE, size=self.size, sha256=self.sha256)

    @property
    def is_whole(self) -> bool:
        """Whether it is the instance, in the transfer syntax that is wanted, and ends where its lengths say."""
        with suppress(OSError, ValueError, DicomFormatError), self.path.open("rb") as file:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:  # ValueError where it is empty
                part = read_part10(content)
                found = (part.study_instance_uid, part.series_instance_uid, part.sop_instance_uid)
                return found == self.target.uids and self.transfer_syntax in ("*", part.transfer_syntax_uid)
        return False

    def is_named_by(self, response: requests.Response) -> bool:
        """Whether an answer that has no tag to compare with is about these bytes: their length, and a whole file."""
        length = response.headers.get("Content-Length")
        return "ETag" not in response.headers and length == str(self.size) and self.is_whole


def _frame(rows: list[Outcome]) -> pd.DataFrame:
    uids = [(*row.target.uids, None, None)[:3] for row in rows]
    return table(
        DOWNLOAD,
        {
            "path": [None if row.path is None else str(row.path) for row in rows],
            "outcome": [row.outcome for row in rows],
            "reason": [row.reason for row in rows],
            "StudyInstanceUID": [study for study, _, _ in uids],
            "SeriesInstanceUID": [series for _, series, _ in uids],
            "SOPInstanceUID": [instance for _, _, instance in uids],
            "size_bytes": [row.size for row in rows],
            "sha256": [row.sha256 for row in rows],
        },
    )
