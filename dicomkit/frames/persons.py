"""Person names taken apart.

Source: DICOM PS3.5 section 6.2.1, edition 2025.
"""

from __future__ import annotations

from typing import Literal

import pandas as pd

from dicomkit.errors import InvalidArgument
from dicomkit.frames.arrays import strings

__all__ = ["COMPONENTS", "GROUPS", "person_name"]

COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
"""The five components of a group, in their order; the names are those of the BigQuery table."""

GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
"""The three component groups, in their order."""


def person_name(
    names: pd.Series, group: Literal["Alphabetic", "Ideographic", "Phonetic"] = "Alphabetic"
) -> pd.DataFrame:
    """The components of person names.

    Parameters
    ----------
    names
        A column of kind PN, e.g. ``df["PatientName"]``: text in the form ``Alphabetic=Ideographic=Phonetic``.
    group
        The component group that is wanted.

    Returns
    -------
    DataFrame, one row per name and with its index: FamilyName, GivenName, MiddleName, NamePrefix, NameSuffix.
        A component that is absent or empty is missing.

    Raises
    ------
    InvalidArgument
        There is no such group.
    """
    if group not in GROUPS:
        raise InvalidArgument(f"a person name has the groups {', '.join(GROUPS)}; got {group!r:.40}")
    which = GROUPS.index(group)
    columns: list[list[str | None]] = [[] for _ in COMPONENTS]
    for name in names.tolist():
        groups = name.split("=") if isinstance(name, str) else []
        parts = groups[which].split("^", 4) if len(groups) > which else []
        for i, column in enumerate(columns):
            column.append((parts[i].strip(" ") or None) if len(parts) > i else None)
    return pd.DataFrame(
        {name: strings(column) for name, column in zip(COMPONENTS, columns, strict=True)}, index=names.index
    )
