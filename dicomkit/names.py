r"""Resource names of the Cloud Healthcare API and of Google's neighbours, parsed and checked.

Source: Cloud Healthcare API v1, ``projects.locations.datasets`` and ``.dicomStores`` (name formats); the id
rule ``[\p{L}\p{N}_\-\.]{1,256}`` is that of ``datasetId`` in the discovery document.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from dicomkit.errors import InvalidArgument

__all__ = ["DatasetName", "DicomStoreName", "check_id", "is_uid"]

MAX_ID = 256
"""Most characters of a dataset or store id."""

MAX_UID = 64
"""Most characters of a UID (PS3.5 section 9.1)."""

_UID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*", re.ASCII)
_PLAIN_ID = re.compile(r"[A-Za-z0-9_.-]+")
_LENIENT_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)


def is_uid(text: str, *, strict: bool = False) -> bool:
    """Whether *text* is a UID: 1-64 digits and dots, no empty component.

    Real files carry components with leading zeros, which PS3.5 section 9.1 forbids; they pass unless
    *strict*. Nothing but ASCII digits and dots ever passes, so a UID is safe in a path.
    """
    if not isinstance(text, str) or len(text) > MAX_UID:
        return False
    return (_UID if strict else _LENIENT_UID).fullmatch(text) is not None


def check_id(value: str, what: str) -> str:
    """Return *value* if it is a valid dataset or store id, else raise ``InvalidArgument``."""
    if not _is_id(value, "_-."):
        raise InvalidArgument(
            f"{what} must be 1 to {MAX_ID} letters, digits, '_', '-' or '.', and not '.' or '..'; got {_shown(value)}"
        )
    return value


def _is_id(value: object, punctuation: str) -> bool:
    # Dot segments are cut out of a URL by every HTTP client, so that a name with one would mean another resource.
    return (
        isinstance(value, str)
        and 0 < len(value) <= MAX_ID
        and value not in (".", "..")
        and (
            _PLAIN_ID.fullmatch(value) is not None
            or all(c in punctuation or unicodedata.category(c)[0] in "LN" for c in value)
        )
    )


def _shown(value: object) -> str:
    """*value* for a message: escaped and cut, so that it can neither break a line nor fill a log."""
    return f"{value!a:.80}"


@dataclass(frozen=True, slots=True)
class DatasetName:
    """``projects/{project}/locations/{location}/datasets/{dataset}``."""

    project: str
    location: str
    dataset: str

    def __post_init__(self) -> None:
        # The path pattern of the API is only [^/]+; a project may be domain-scoped, as in example.com:project.
        for what, value in (("project", self.project), ("location", self.location)):
            if not _is_id(value, "_-.:"):
                raise InvalidArgument(
                    f"{what} must be 1 to {MAX_ID} letters, digits, '_', '-', '.' or ':', and not '.' or '..'; "
                    f"got {_shown(value)}"
                )
        check_id(self.dataset, "dataset id")

    @classmethod
    def parse(cls, text: str) -> DatasetName:
        """Read the name; ``InvalidArgument`` says what the form is."""
        parts = text.split("/") if isinstance(text, str) else []
        if len(parts) != 6 or parts[0::2] != ["projects", "locations", "datasets"]:
            raise InvalidArgument(
                "a dataset is named projects/{project}/locations/{location}/datasets/{dataset}; "
                f"got {_shown(text)}"
            )
        return cls(parts[1], parts[3], parts[5])

    @property
    def parent(self) -> str:
        """``projects/{project}/locations/{location}``."""
        return f"projects/{self.project}/locations/{self.location}"

    def store(self, store_id: str) -> DicomStoreName:
        """The name of a store in this dataset."""
        return DicomStoreName(self, store_id)

    def __str__(self) -> str:
        return f"{self.parent}/datasets/{self.dataset}"


@dataclass(frozen=True, slots=True)
class DicomStoreName:
    """``projects/{p}/locations/{l}/datasets/{d}/dicomStores/{store}``."""

    dataset: DatasetName
    store: str

    def __post_init__(self) -> None:
        check_id(self.store, "DICOM store id")

    @classmethod
    def parse(cls, text: str) -> DicomStoreName:
        """Read the name; ``InvalidArgument`` says what the form is."""
        head, sep, store = text.rpartition("/dicomStores/") if isinstance(text, str) else ("", "", "")
        if not sep:
            raise InvalidArgument(
                "a DICOM store is named projects/{p}/locations/{l}/datasets/{d}/dicomStores/{store}; "
                f"got {_shown(text)}"
            )
        return cls(DatasetName.parse(head), store)

    def __str__(self) -> str:
        return f"{self.dataset}/dicomStores/{self.store}"
