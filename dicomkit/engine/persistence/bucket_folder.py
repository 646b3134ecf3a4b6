"""Buckets as folders: ``gs://bucket/dir/name`` is the file ``buckets/bucket/dir/name`` of the home.

Only regular files are objects. A symbolic link is never followed, wherever it stands, since it may lead out of the
folder: a URI through one is refused, a wildcard passes over it. Pipes, sockets and devices are passed over as well,
and so are names that are not UTF-8, which no URI can say. Files whose names begin with a dot are objects like others,
as they are in Cloud Storage.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dicomkit.errors import (
    ApiError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from dicomkit.resources.gcs import GcsUri, glob_regex

__all__ = ["BucketFolder"]

_log = logging.getLogger(__name__)

_UNFINISHED = ".unfinished"
"""Folder of objects that are being written; no bucket can have this name."""

# A pipe that somebody puts where a file was must not make the reader wait.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class BucketFolder:
    """The buckets of one folder.

    Parameters
    ----------
    folder
        ``buckets/`` of the home.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unfinished = folder / _UNFINISHED
        for leftover in self._unfinished.iterdir() if self._unfinished.is_dir() else ():
            leftover.unlink()

    def has(self, bucket: str) -> bool:
        """Whether there is a bucket; ``InvalidArgument`` for one that is a symbolic link."""
        mode = _mode(self._folder / bucket)
        _refuse_link(mode)
        return mode is not None and stat.S_ISDIR(mode)

    def check(self, uri: GcsUri) -> None:
        """Raise ``InvalidArgument`` where *uri* leads through a symbolic link, up to its first wildcard."""
        if uri.has_wildcards:
            self._path(uri.bucket, uri.literal.rpartition("/")[0])
        else:
            self._path(uri.bucket, uri.object.rstrip("/"))

    def find(self, uri: GcsUri, after: str = "") -> Iterator[tuple[str, int]]:
        """(name, size) of the objects that match, ascending by name, from the one after *after*.

        The names of one folder are in memory at a time, and of those above it.
        """
        self.check(uri)
        if not uri.has_wildcards:
            mode = _mode(path := self._path(uri.bucket, uri.object))
            if uri.object > after and mode is not None and stat.S_ISREG(mode):
                yield uri.object, path.stat().st_size
            return
        wanted = uri.regex()
        folder = uri.literal.rpartition("/")[0]
        base = f"{folder}/" if folder else ""
        # Without ** each folder on the way has its own part of the pattern.
        parts = None if uri.is_recursive else [glob_regex(part) for part in uri.object.split("/")[:-1]]
        stack = [self._entries(uri.bucket, base)]
        while stack:
            name = next(stack[-1], None)
            if name is None:
                stack.pop()
            elif not name.endswith("/"):
                if name > after and wanted.fullmatch(name) and (size := self._size(uri.bucket, name)) is not None:
                    yield name, size
            elif _may_hold(name, uri.literal, parts) and (name > after or after.startswith(name)):
                stack.append(self._entries(uri.bucket, name))

    def _entries(self, bucket: str, base: str) -> Iterator[str]:
        """Names in one folder, those of folders with a slash at their end, in the order of whole names."""
        found: list[str] = []
        odd = 0
        try:
            with os.scandir(self._folder / bucket / base) as entries:
                for entry in entries:
                    name = entry.name
                    if not name.isascii() and not _is_unicode(name):
                        odd += 1
                    elif entry.is_dir(follow_symlinks=False):
                        found.append(f"{base}{name}/")
                    elif entry.is_file(follow_symlinks=False):
                        found.append(base + name)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as exc:
            raise _error(exc, f"the folder gs://{bucket}/{base}") from exc
        if odd:
            _log.warning("%d files of a bucket were passed over: their names are not UTF-8", odd)
        found.sort()
        return iter(found)

    def _size(self, bucket: str, name: str) -> int | None:
        try:
            return os.lstat(self._folder / bucket / name).st_size
        except OSError:
            return None  # it went a moment ago

    def open(self, uri: GcsUri) -> BinaryIO:
        """The content of an object, to be closed by the caller."""
        try:
            fd = os.open(self._path(uri.bucket, uri.object), _READ)
        except NotADirectoryError as exc:
            raise NotFound(f"there is no object {uri}") from exc
        except OSError as exc:
            raise _error(exc, str(uri)) from exc
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise NotFound(f"there is no object {uri}; a folder or special file is none")
            return os.fdopen(fd, "rb")
        except BaseException:
            os.close(fd)
            raise

    @contextmanager
    def writer(self, uri: GcsUri) -> Iterator[BinaryIO]:
        """A stream for the content of an object, which is there when the block is left without an error."""
        try:
            self._unfinished.mkdir(mode=0o700, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._unfinished)  # mode 0600
        except OSError as exc:
            raise _error(exc, str(uri)) from exc
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            target = self._path(uri.bucket, uri.object, make=True)
            os.replace(name, target)
        except OSError as exc:
            raise _error(exc, str(uri)) from exc
        finally:
            with suppress(OSError):
                os.unlink(name)

    def _path(self, bucket: str, name: str, *, make: bool = False) -> Path:
        """The path of an object or folder, none of whose parts is a symbolic link."""
        path = self._folder / bucket
        _refuse_link(_mode(path))
        parts = name.split("/") if name else []
        for number, part in enumerate(parts, 1):
            path /= part
            mode = _mode(path)
            _refuse_link(mode)
            if mode is None and make and number < len(parts):
                path.mkdir(mode=0o700, exist_ok=True)
        return path


def _may_hold(folder: str, literal: str, parts: list[re.Pattern[str]] | None) -> bool:
    """Whether objects below *folder* can match a pattern that begins with *literal*."""
    if parts is None:
        return folder.startswith(literal) or literal.startswith(folder)
    names = folder[:-1].split("/")
    return len(names) <= len(parts) and parts[len(names) - 1].fullmatch(names[-1]) is not None


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _mode(path: Path) -> int | None:
    """What is at *path*; ``None`` for nothing."""
    try:
        return os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise _error(exc, "the object") from exc


def _refuse_link(mode: int | None) -> None:
    if mode is not None and stat.S_ISLNK(mode):
        raise InvalidArgument(
            "the uri must not lead through a symbolic link, which could end outside of the buckets; "
            "put the files themselves into the bucket's folder"
        )


def _error(exc: OSError, what: str) -> ApiError:
    number = exc.errno
    if number == errno.ENOENT:
        return NotFound(f"there is no object {what}")
    if number == errno.ELOOP:
        return InvalidArgument(f"{what} is a symbolic link; put the file itself into the bucket's folder")
    if number == errno.ENAMETOOLONG:
        return InvalidArgument(f"{what} has a part that is too long for this file system; shorten it")
    if number in (errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
        return FailedPrecondition(
            f"{what} cannot be there: in a folder, no object can have the name of a folder; choose another name"
        )
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PermissionDenied(f"{what} may not be reached ({exc.strerror}); change the modes of the files")
    if number in (errno.ENOSPC, errno.EDQUOT):
        return ResourceExhausted("the disk is full; free some space and try again")
    return Unavailable(f"{what} could not be reached ({exc.strerror}); try again")
