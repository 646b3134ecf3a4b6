"""Which attributes belong to which search level, as data.

Source: "DICOM conformance statement" of the Cloud Healthcare API, search transaction (page of 2026-04-14):
searchable attributes, attributes returned by default, and what ``includefield=all`` adds. The counts are those of
DICOM PS3.18 section 10.6.3.3, which Google does not return.
"""

from __future__ import annotations

from typing import Literal

from dicomkit.dicom.dictionary import tag_of

__all__ = [
    "ALL_FIELDS",
    "COMPUTED",
    "DEFAULTS",
    "DEFAULT_LIMIT",
    "LEVELS",
    "MAX_LIMIT",
    "MAX_OFFSET",
    "NOT_STORED",
    "SEARCHABLE",
    "UIDS",
    "Level",
    "legal_fields",
    "levels_down_to",
]

Level = Literal["study", "series", "instance"]
"""What one result of a search stands for."""

LEVELS: tuple[Level, ...] = ("study", "series", "instance")
"""The levels from the top."""

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
"""The unique key of each level, in the order of ``LEVELS``."""

DEFAULTS: dict[Level, tuple[str, ...]] = {
    "study": (
        "SpecificCharacterSet",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "InstanceAvailability",
        "ReferringPhysicianName",
        "TimezoneOffsetFromUTC",
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyInstanceUID",
        "StudyID",
    ),
    "series": (
        "SpecificCharacterSet",
        "Modality",
        "TimezoneOffsetFromUTC",
        "SeriesDescription",
        "SeriesInstanceUID",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
        "RequestAttributesSequence",
    ),
    "instance": (
        "SpecificCharacterSet",
        "SOPClassUID",
        "SOPInstanceUID",
        "InstanceAvailability",
        "TimezoneOffsetFromUTC",
        "InstanceNumber",
        "Rows",
        "Columns",
        "BitsAllocated",
        "NumberOfFrames",
    ),
}
"""Attributes of a level that are returned unasked; the levels above bring theirs along."""

ALL_FIELDS: dict[Level, tuple[str, ...]] = {
    "study": (
        "PersonIdentificationCodeSequence",
        "PersonAddress",
        "PersonTelephoneNumbers",
        "PersonTelecomInformation",
        "InstitutionName",
        "InstitutionAddress",
        "InstitutionCodeSequence",
        "ReferringPhysicianIdentificationSequence",
        "ConsultingPhysicianName",
        "ConsultingPhysicianIdentificationSequence",
        "IssuerOfAccessionNumberSequence",
        "LocalNamespaceEntityID",
        "UniversalEntityID",
        "UniversalEntityIDType",
        "StudyDescription",
        "PhysiciansOfRecord",
        "PhysiciansOfRecordIdentificationSequence",
        "NameOfPhysiciansReadingStudy",
        "PhysiciansReadingStudyIdentificationSequence",
        "RequestingServiceCodeSequence",
        "ReferencedStudySequence",
        "ProcedureCodeSequence",
        "ReasonForPerformedProcedureCodeSequence",
    ),
    "series": ("SeriesNumber", "Laterality", "SeriesDate", "SeriesTime"),
    "instance": (),
}
"""What ``includefield=all`` adds to the defaults of a level.

Empty for instances, where it means everything in the instance but bulk data and sequences above 1 MiB.
"""

_STUDY_KEYS = frozenset(
    {"StudyInstanceUID", "PatientName", "PatientID", "AccessionNumber", "ReferringPhysicianName", "StudyDate"}
)

SEARCHABLE: dict[Level, frozenset[str]] = {
    "study": _STUDY_KEYS,
    "series": _STUDY_KEYS | {"SeriesInstanceUID", "Modality"},
    "instance": _STUDY_KEYS | {"SeriesInstanceUID", "Modality", "SOPInstanceUID"},
}
"""Attributes that Google can match at a level; all others are refused there."""

COMPUTED: dict[Level, tuple[str, ...]] = {
    "study": ("ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    "series": ("NumberOfSeriesRelatedInstances",),
    "instance": (),
}
"""Attributes that PS3.18 lets a server count; no file holds them and Google does not return them."""

NOT_STORED = frozenset({"AvailableTransferSyntaxUID"})
"""Attributes that Google refuses as ``includefield`` at instance level, for no instance holds them."""

DEFAULT_LIMIT: dict[Level, int] = {"study": 100, "series": 100, "instance": 1_000}
"""Results a search returns when the request names no limit."""

MAX_LIMIT: dict[Level, int] = {"study": 5_000, "series": 5_000, "instance": 50_000}
"""Largest ``limit`` of one request."""

MAX_OFFSET = 1_000_000
"""Largest ``offset`` of one request."""


def levels_down_to(level: Level) -> tuple[Level, ...]:
    """*level* and the levels above it, from the top."""
    return LEVELS[: LEVELS.index(level) + 1]


_LEGAL: dict[Level, frozenset[str]] = {
    level: frozenset(
        tag_of(keyword) for above in levels_down_to(level) for keyword in DEFAULTS[above] + ALL_FIELDS[above]
    )
    for level in LEVELS
}


def legal_fields(level: Level) -> frozenset[str]:
    """Tags that ``includefield=all`` covers at *level*, those of the levels above included.

    For study and series these are all the ``includefield`` values that Google takes; at instance level it takes
    every attribute that an instance can hold.
    """
    return _LEGAL[level]
