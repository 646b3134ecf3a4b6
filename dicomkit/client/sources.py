"""What an upload is given -> a flat list of things to send, all of it known before the first byte goes out.

Source: DICOM PS3.10 section 7.1 (preamble and prefix) and 8.6 (DICOMDIR), edition 2025.
"""

from __future__ import annotations

import glob
import io
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom

from dicomkit.errors import DicomFormatError, InvalidArgument, NotFound

__all__ = ["HEAD_BYTES", "Item", "SourceLike", "Sources", "expand", "head_fault", "written"]

SourceLike = str | os.PathLike[str] | pydicom.Dataset | bytes | Iterable[Any]
"""A file, a folder, a glob pattern, a data set, a file's bytes, or any of these in an iterable."""

HEAD_BYTES = 1024
"""How much of a file :func:`head_fault` wants to see."""

# Media Storage Directory Storage, as a whole value: a longer UID may begin like it.
_DIRECTORY = re.compile(rb"1\.2\.840\.10008\.1\.3\.10(?![0-9.])")
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to send: a file, or what came from memory.

    Attributes
    ----------
    path
        The file; ``None`` for what came from memory.
    value
        A data set, or the bytes of a file.
    was_found
        Whether a folder gave it: such a file may be no DICOM at all, one that was named is taken at its word.
    fault
        Why it cannot be sent, where that is known already.
    """

    path: Path | None = None
    value: pydicom.Dataset | bytes | None = None
    was_found: bool = False
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """What there is to send, in order, and how many hidden files of folders were passed over."""

    items: list[Item]
    hidden: int


def expand(sources: SourceLike) -> Sources:
    """Flatten *sources*.

    Raises
    ------
    NotFound
        A path does not exist, or a pattern matches nothing.
    InvalidArgument
        A source is of no known kind.
    """
    items: list[Item] = []
    hidden = 0
    for source in _flat(sources):
        if isinstance(source, Path):
            if source.is_dir():
                found, passed_over = _walk(source)
                items += found
                hidden += passed_over
            elif source.is_file():
                items.append(Item(path=source))
            else:
                items.append(Item(path=source, fault="is not a regular file"))
        else:
            items.append(Item(value=source))
    return Sources(items, hidden)


def _flat(source: SourceLike) -> Iterator[Path | pydicom.Dataset | bytes]:
    if isinstance(source, bytes | pydicom.Dataset):
        yield source
    elif isinstance(source, str | os.PathLike):
        yield from _paths(os.path.expanduser(source))
    elif isinstance(source, Iterable):  # after Dataset, which iterates over its elements
        each: Any
        for each in source:
            yield from _flat(each)
    else:
        raise InvalidArgument(
            "upload takes files, folders, patterns, pydicom data sets and iterables of these; "
            f"got a {type(source).__name__}"
        )


def _paths(text: str) -> list[Path]:
    if os.path.lexists(text):
        return [Path(text)]
    if not glob.has_magic(text):
        raise NotFound(
            f"there is no file or folder {text!r}; nothing was sent. The working directory is {os.getcwd()!r}"
        )
    found = sorted(glob.glob(text, recursive=True))
    if not found:
        raise NotFound(f"no file matches {text!r}; nothing was sent. `**` stands for any depth of folders")
    return [Path(path) for path in found]


def _walk(folder: Path) -> tuple[list[Item], int]:
    """The files below *folder*, sorted; hidden files and folders are only counted."""
    items: list[Item] = []
    hidden = 0

    def unreadable(error: OSError) -> None:
        items.append(Item(path=Path(error.filename), fault=f"the folder cannot be read: {error.strerror}"))

    for where, folders, files in os.walk(folder, onerror=unreadable):
        shown = sorted(name for name in folders if not name.startswith("."))
        hidden += len(folders) - len(shown)
        folders[:] = shown
        for name in shown:
            path = Path(where, name)
            if path.is_symlink():
                items.append(Item(path=path, fault="is a link to a folder, which is not followed; name it itself"))
        for name in sorted(files):
            path = Path(where, name)
            if name.startswith("."):
                hidden += 1
            elif path.is_file():
                items.append(Item(path=path, was_found=True))
            else:
                items.append(Item(path=path, fault="is not a regular file"))
    return items, hidden


def head_fault(head: bytes, *, was_found: bool) -> str | None:
    """Why a file that begins with *head* need not be sent, or ``None``.

    Everything else is the server's to judge: the client reads no DICOM.
    """
    if _DIRECTORY.search(head):
        return "is a DICOMDIR: an index of files, with no instance of its own"
    if was_found and head[128:132] != b"DICM" and head[:2] not in _FIRST_GROUPS:
        return "is not DICOM: no prefix DICM, and no element of group 0002 or 0008 at its beginning"
    return None


def written(dataset: pydicom.Dataset) -> bytes:
    """*dataset* as a Part 10 file.

    Raises
    ------
    DicomFormatError
        pydicom cannot write it; the message holds no value of it.
    """
    meta = getattr(dataset, "file_meta", None)
    if "TransferSyntaxUID" not in (meta or ()):
        raise DicomFormatError("the data set has no transfer syntax; set file_meta.TransferSyntaxUID")
    buffer = io.BytesIO()
    try:
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    except Exception as error:  # pydicom raises whatever its writers meet
        raise DicomFormatError(f"pydicom cannot write the data set ({type(error).__name__})") from error
    return buffer.getvalue()
