"""From what a command is told to what it works on: targets, stores, matches and paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dicomkit.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from dicomkit.client.dataset import Dataset
    from dicomkit.client.store import Store

__all__ = ["matches", "opened", "pairs", "store_of", "uids_of"]

_PATH = re.compile(r"/?studies/([^/]+)(?:/series/([^/]+)(?:/instances/([^/]+))?)?/?")
_TAG = re.compile(r"[0-9a-f]{8}")
_FORM = "studies/UID, studies/UID/series/UID or studies/UID/series/UID/instances/UID"


@contextmanager
def opened(target: str, dataset: str, token: str | None, *, make: bool = False) -> Iterator[Dataset]:
    """The dataset, closed at the end.

    Parameters
    ----------
    make
        Whether a folder that is missing is made. A name that was mistyped is none to search in.
    """
    from dicomkit.connect import connect

    is_folder = "://" not in target and not target.startswith("projects/")
    if is_folder and target and not make and not Path(target).expanduser().is_dir():
        raise NotFound(f"there is no folder {target!a:.200}; `dicomkit stores create STORE --target FOLDER` makes one")
    with connect(target, dataset=dataset, token=token) as opened_dataset:
        yield opened_dataset


@contextmanager
def store_of(target: str, dataset: str, token: str | None, store: str) -> Iterator[Store]:
    """A store of the dataset."""
    with opened(target, dataset, token) as there:
        yield there.store(store)


def uids_of(path: str) -> tuple[str, ...]:
    """The UIDs of ``studies/UID[/series/UID[/instances/UID]]``, from one to three."""
    from dicomkit.names import is_uid

    found = _PATH.fullmatch(path)
    uids = tuple(uid for uid in found.groups() if uid is not None) if found else ()
    if not uids or not all(map(is_uid, uids)):
        raise InvalidArgument(f"what is in a store is named {_FORM}; got {path!a:.120}")
    return uids


def matches(words: Iterable[str]) -> dict[str, Any]:
    """``KEYWORD=VALUE`` words as the matches of a search."""
    found: dict[str, Any] = pairs(words, "a match is KEYWORD=VALUE, as in PatientID=4711")
    for key in found:
        # No keyword and no tag, and in Python it would be another argument of the search.
        if key.isidentifier() and key == key.lower() and not _TAG.fullmatch(key):
            raise InvalidArgument(
                f"{key!a:.60} is no DICOM keyword; what is no match is an option, as --limit or --field"
            )
    return found


def pairs(words: Iterable[str], form: str) -> dict[str, str]:
    """``KEY=VALUE`` words as a dict; each key once. *form* is what the error says of one that is none."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            # Not shown: it may be a value whose key was forgotten.
            raise InvalidArgument(f"{form}; a word of {len(word)} characters is none")
        if key in found:
            raise InvalidArgument(f"{key!a:.60} is given twice")
        found[key] = value
    return found
