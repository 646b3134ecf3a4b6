"""The dataset that holds DICOM stores, as a resource.

Source: Cloud Healthcare API v1, ``projects.locations.datasets``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from zoneinfo import ZoneInfo

from dicomkit.names import DatasetName
from dicomkit.resources._json import boolean, invalid, located, text
from dicomkit.resources._wire import Resource, one, wire

__all__ = ["Dataset", "EncryptionSpec"]


def _time_zone(value: object) -> str:
    zone = text(value)
    # Where the machine has no time zone database, UTC is missing as well and no name can be judged.
    if zone and not _is_zone(zone) and _is_zone("UTC"):
        raise invalid('must be an IANA time zone name, or empty for UTC; write one like "America/New_York"')
    return zone


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # unknown; no relative path; a folder of the database
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EncryptionSpec(Resource):
    """The customer's own key that a dataset is encrypted with.

    Parameters
    ----------
    kms_key_name
        Resource name of the key in Cloud KMS.
    """

    kms_key_name: str | None = wire(text, default="")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Dataset(Resource):
    """A dataset: the parent of stores.

    Parameters
    ----------
    name
        ``projects/{p}/locations/{l}/datasets/{d}``; given by the server.
    time_zone
        IANA name of the time zone for times that say none; empty is UTC.
    encryption_spec
        The customer's own key, where there is one.
    satisfies_pzi, satisfies_pzs
        Zone isolation and separation; given by the server.
    """

    MASK_PATHS: ClassVar[frozenset[str]] = frozenset(("timeZone", "encryptionSpec", "encryptionSpec.kmsKeyName"))

    name: str | None = wire(text, default="")
    time_zone: str | None = wire(_time_zone, default="")
    encryption_spec: EncryptionSpec | None = one(EncryptionSpec)  # noqa: RUF009 - it is a dataclass field
    satisfies_pzi: bool | None = wire(boolean, default=False)
    satisfies_pzs: bool | None = wire(boolean, default=False)

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for a name that is none of a dataset."""
        if self.name:
            with located("name"):
                DatasetName.parse(self.name)
