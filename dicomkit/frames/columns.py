"""The columns of every frame that dicomkit returns, as data: name, dtype, tag, unit, one line each.

Types follow the VR in the data dictionary and its VM, never the rows that happened to come:

===================  =====================  =============================================================
VR                   dtype, VM 1            remark
===================  =====================  =============================================================
DA                   ``datetime64[us]``     the years 1 to 9999, which nanoseconds could not hold
TM                   ``timedelta64[us]``    since midnight; ``StudyDate + StudyTime`` is the moment
DT                   ``datetime64[us, UTC]``  by its own offset, else TimezoneOffsetFromUTC, else taken as UTC
IS SL SS SV UL US    ``Int64``              UV: ``UInt64``
DS FD FL             ``Float64``
PN                   ``str``                the groups in DICOM's own form, ``Alphabetic=Ideographic=Phonetic``
AT and all text      ``str``                AT as eight hex digits, UIDs as text
SQ                   ``object``             a list of items in the DICOM JSON model, ``[]`` when absent
any, VM above 1      ``object``             a tuple of such values, ``()`` when absent
OB OD OF OL OV OW UN  ``object``             the element in the DICOM JSON model
===================  =====================  =============================================================

Source: DICOM PS3.5 section 6.2 (VR), PS3.6 (VR and VM of an attribute), PS3.18 Annex F (DICOM JSON model),
edition 2025; the attributes of a search are those of the Cloud Healthcare API's conformance statement.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from dicomkit.dicom.dictionary import keyword_of, tag_of, vm_of, vr_of

__all__ = [
    "DATASETS",
    "DEIDENTIFY_PREVIEW",
    "DOWNLOAD",
    "GEOMETRY",
    "IAM",
    "INSTANCES",
    "LOCATIONS",
    "MESSAGES",
    "METRICS",
    "OPERATIONS",
    "OPERATION_ERRORS",
    "SERIES",
    "STORAGE_INFO",
    "STORES",
    "STREAMS",
    "STREAM_ERRORS",
    "STUDIES",
    "TOPICS",
    "UPLOAD",
    "Column",
    "attribute",
    "search_columns",
]

TEXT = "str"
DATE = "datetime64[us]"
MOMENT = "datetime64[us, UTC]"
TIME = "timedelta64[us]"
INTEGER = "Int64"
NUMBER = "Float64"
OBJECT = "object"

_DTYPES = {
    "DA": DATE,
    "TM": TIME,
    "DT": MOMENT,
    **dict.fromkeys(("IS", "SL", "SS", "SV", "UL", "US"), INTEGER),
    "UV": "UInt64",
    **dict.fromkeys(("DS", "FD", "FL"), NUMBER),
    **dict.fromkeys(("SQ", "OB", "OD", "OF", "OL", "OV", "OW", "UN"), OBJECT),
}

_LINES = {
    "AccessionNumber": "Number that the department gave the request.",
    "BitsAllocated": "Bits that one sample takes.",
    "Columns": "Pixel columns of the image.",
    "InstanceAvailability": "How quickly the instance can be had; ONLINE or nothing.",
    "InstanceNumber": "Number of the instance in its series.",
    "Modality": "Kind of equipment, e.g. CT, MR, SR.",
    "NumberOfFrames": "Frames of a multi-frame image.",
    "PatientBirthDate": "Birth date of the patient.",
    "PatientID": "The patient's number at the site.",
    "PatientName": "The patient's name; frames.person_name() takes it apart.",
    "PatientSex": "M, F or O.",
    "PerformedProcedureStepStartDate": "Day on which the procedure step began.",
    "PerformedProcedureStepStartTime": "Time at which the procedure step began.",
    "ReferringPhysicianName": "Who asked for the study.",
    "RequestAttributesSequence": "The requests that the series answers.",
    "Rows": "Pixel rows of the image.",
    "SOPClassUID": "Kind of instance, e.g. CT Image Storage.",
    "SOPInstanceUID": "Identifies the instance.",
    "SeriesDescription": "What the operator called the series.",
    "SeriesInstanceUID": "Identifies the series.",
    "SpecificCharacterSet": "Character sets that the stored text was written in.",
    "StudyDate": "Day on which the study began.",
    "StudyID": "Number of the study, given by the equipment.",
    "StudyInstanceUID": "Identifies the study.",
    "StudyTime": "Time at which the study began.",
    "TimezoneOffsetFromUTC": "Offset of the stored dates and times, e.g. +0100.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a frame."""

    name: str
    dtype: str
    tag: str = ""
    """The attribute, eight hex digits; empty where the column is not an attribute."""
    unit: str = ""
    vr: str = ""
    is_multiple: bool = False
    """Whether the dictionary's VM allows more than one value: then every cell is a tuple."""
    line: str = ""
    """What the column holds, in one line."""


@cache
def attribute(tag: str) -> Column:
    """The column of an attribute, typed by the dictionary alone.

    An attribute that the dictionary does not have, a private one above all, is named ``Tag_GGGGEEEE`` as in the
    BigQuery table, and its cells are tuples of what the DICOM JSON model holds.
    """
    vr = (vr_of(tag) or "").split(" or ")
    vm = vm_of(tag)
    name = keyword_of(tag)
    if name is None:
        return Column(name=f"Tag_{tag}", dtype=OBJECT, tag=tag, is_multiple=True, line="Not in the data dictionary.")
    if tag[:2] in ("50", "60") and tag[2:4] != "00":
        name = f"{name}_{tag[:4]}"  # the keyword alone stands for the first group (PS3.5 section 7.6)
    is_multiple = vm != "1" and vr[0] != "SQ"
    dtype = OBJECT if is_multiple else _DTYPES.get(vr[0], TEXT)
    return Column(name=name, dtype=dtype, tag=tag, vr=vr[0], is_multiple=is_multiple, line=_LINES.get(name, ""))


def _attributes(text: str) -> tuple[Column, ...]:
    return tuple(attribute(tag_of(keyword)) for keyword in text.split())


_STUDY = _attributes(
    "SpecificCharacterSet StudyDate StudyTime AccessionNumber InstanceAvailability ReferringPhysicianName "
    "TimezoneOffsetFromUTC PatientName PatientID PatientBirthDate PatientSex StudyID"
)
_SERIES = _attributes(
    "Modality SeriesDescription PerformedProcedureStepStartDate PerformedProcedureStepStartTime "
    "RequestAttributesSequence"
)
_INSTANCE = _attributes("SOPClassUID InstanceNumber Rows Columns BitsAllocated NumberOfFrames")

STUDIES: tuple[Column, ...] = (*_attributes("StudyInstanceUID"), *_STUDY)
"""A search for studies."""

SERIES: tuple[Column, ...] = (*_attributes("StudyInstanceUID SeriesInstanceUID"), *_STUDY, *_SERIES)
"""A search for series: its own attributes, and those of its study."""

INSTANCES: tuple[Column, ...] = (
    *_attributes("StudyInstanceUID SeriesInstanceUID SOPInstanceUID"),
    *_STUDY,
    *_SERIES,
    *_INSTANCE,
)
"""A search for instances: its own attributes, and those of its series and study."""

UPLOAD: tuple[Column, ...] = (
    Column(name="path", dtype=TEXT, line="The file; missing for what came from memory."),
    Column(name="outcome", dtype=TEXT, line="stored, already_stored or failed."),
    Column(name="reason", dtype=TEXT, line="Why it failed."),
    *_attributes("StudyInstanceUID SeriesInstanceUID SOPInstanceUID"),
    Column(name="size_bytes", dtype=INTEGER, unit="B", line="Size of what was sent."),
)
"""An upload: one row per file, in the order of the sources."""

DOWNLOAD: tuple[Column, ...] = (
    Column(name="path", dtype=TEXT, line="The file."),
    Column(name="outcome", dtype=TEXT, line="saved, already_there or failed."),
    Column(name="reason", dtype=TEXT, line="Why it failed."),
    *_attributes("StudyInstanceUID SeriesInstanceUID SOPInstanceUID"),
    Column(name="size_bytes", dtype=INTEGER, unit="B", line="Size of the file; missing where there is none."),
    Column(name="sha256", dtype=TEXT, line="SHA-256 of the file, as hex digits."),
)
"""A download: one row per instance."""

GEOMETRY: tuple[Column, ...] = (
    *_attributes("StudyInstanceUID SeriesInstanceUID SOPInstanceUID"),
    Column(name="frame", dtype=INTEGER, line="Number of the frame, from 1."),
    *_attributes("InstanceNumber"),
    Column(name="position_mm", dtype=NUMBER, unit="mm", line="Position along the normal; missing without geometry."),
    Column(name="spacing_mm", dtype=NUMBER, unit="mm", line="Distance to the next slice; missing for the last."),
    Column(
        name="is_gap", dtype="boolean", line="Whether the next slice is farther away than slices of the series are."
    ),
    Column(name="is_duplicate", dtype="boolean", line="Whether another slice is at the same place."),
    Column(name="orientation", dtype=TEXT, line="axial, coronal, sagittal or oblique; missing without geometry."),
    Column(name="stack", dtype=INTEGER, line="Slices that are parallel and of one size share a number, from 1."),
    *_attributes("Rows Columns"),
    Column(name="row_spacing_mm", dtype=NUMBER, unit="mm", line="Distance of two rows, the first of PixelSpacing."),
    Column(name="column_spacing_mm", dtype=NUMBER, unit="mm", line="Distance of two columns, the second of it."),
)
"""The geometry of a series: one row per slice, in the order of the stacks and of the positions in them."""

LOCATIONS: tuple[Column, ...] = (
    Column(name="id", dtype=TEXT, line="Id of the location, e.g. us-central1."),
    Column(name="name", dtype=TEXT, line="Resource name."),
    Column(name="display_name", dtype=TEXT, line="What people call it; missing where the server does not say."),
)
"""The locations of a project."""

DATASETS: tuple[Column, ...] = (
    Column(name="id", dtype=TEXT, line="Id of the dataset in its location."),
    Column(name="name", dtype=TEXT, line="Resource name, which dicomkit.connect takes."),
    Column(name="time_zone", dtype=TEXT, line="IANA name of its time zone."),
)
"""The datasets of a location."""

STORES: tuple[Column, ...] = (
    Column(name="id", dtype=TEXT, line="Id of the store in its dataset."),
    Column(name="name", dtype=TEXT, line="Resource name."),
    Column(name="labels", dtype=OBJECT, line="A dict of labels."),
    Column(name="stream_to", dtype=OBJECT, line="A tuple of bq:// tables that the store streams to."),
    Column(name="notification_topics", dtype=OBJECT, line="A tuple of Pub/Sub topics that hear of new instances."),
)
"""The stores of a dataset."""

METRICS: tuple[Column, ...] = (
    Column(name="store", dtype=TEXT, line="Resource name of the store."),
    *_attributes("StudyInstanceUID SeriesInstanceUID"),
    Column(name="study_count", dtype=INTEGER, line="Studies in the store; missing for a study or a series."),
    Column(name="series_count", dtype=INTEGER, line="Series in the store or the study; missing for a series."),
    Column(name="instance_count", dtype=INTEGER, line="Instances."),
    Column(name="blob_size_bytes", dtype=INTEGER, unit="B", line="Size of the instances as they were received."),
    Column(name="structured_size_bytes", dtype=INTEGER, unit="B", line="Size of the metadata kept beside them."),
)
"""How much is in a store, or in a study or series of it."""

STORAGE_INFO: tuple[Column, ...] = (
    *_attributes("StudyInstanceUID SeriesInstanceUID SOPInstanceUID"),
    Column(name="storage_class", dtype=TEXT, line="STANDARD, NEARLINE, COLDLINE or ARCHIVE."),
    Column(name="storage_class_update_time", dtype=MOMENT, line="Since when it is in this class."),
    Column(name="blob_size_bytes", dtype=INTEGER, unit="B", line="Size of the instance as it was received."),
    Column(name="structured_size_bytes", dtype=INTEGER, unit="B", line="Size of the metadata kept beside it."),
)
"""How an instance is stored."""

OPERATIONS: tuple[Column, ...] = (
    Column(name="id", dtype=TEXT, line="Id of the operation in its dataset, for Dataset.operation."),
    Column(name="method", dtype=TEXT, line="What it does, e.g. ImportDicomData."),
    Column(name="state", dtype=TEXT, line="running, succeeded, failed or cancelled."),
    Column(name="success", dtype=INTEGER, line="Things that are done."),
    Column(name="failure", dtype=INTEGER, line="Things that could not be done; Operation.errors says why."),
    Column(name="pending", dtype=INTEGER, line="Things that are left, as far as the server has counted."),
    Column(name="create_time", dtype=MOMENT, line="When it began."),
    Column(name="end_time", dtype=MOMENT, line="When it ended; missing while it runs."),
    Column(name="error", dtype=TEXT, line="Why it failed, with the canonical code."),
)
"""The operations of a dataset."""

OPERATION_ERRORS: tuple[Column, ...] = (
    Column(name="source", dtype=TEXT, line="What could not be done: a URI, or the path of an instance."),
    Column(name="reason", dtype=TEXT, line="Why."),
    Column(name="code", dtype=TEXT, line="Canonical code, e.g. INVALID_ARGUMENT."),
)
"""What an operation could not do."""

DEIDENTIFY_PREVIEW: tuple[Column, ...] = (
    Column(name="tag", dtype=TEXT, line="The attribute, eight hex digits; empty for the preamble of the file."),
    Column(name="path", dtype=TEXT, line="Keywords from the top, e.g. ReferencedSeriesSequence[].SeriesInstanceUID."),
    Column(name="vr", dtype=TEXT, line="Its VR."),
    Column(name="action", dtype=TEXT, line="keep, remove, empty, replace, remap, recode, transform or set."),
    Column(name="reason", dtype=TEXT, line="Which rule says so."),
    Column(name="instances", dtype=INTEGER, line="Instances, of those looked at, in which it is."),
)
"""What a de-identification would do to each attribute."""

STREAMS: tuple[Column, ...] = (
    Column(name="table_uri", dtype=TEXT, line="The table, bq://project.dataset.table."),
    Column(name="waiting", dtype=INTEGER, unit="rows", line="Acknowledged, and not delivered yet."),
    Column(name="delivered", dtype=INTEGER, unit="rows", line="Delivered to the table."),
    Column(name="failed", dtype=INTEGER, unit="rows", line="Set aside: Store.stream_errors says which and why."),
    Column(name="oldest_waiting_time", dtype=MOMENT, line="When the oldest waiting row was acknowledged."),
    Column(name="last_error", dtype=TEXT, line="Why the last delivery failed."),
    Column(name="place", dtype=TEXT, line="Where the table is: embedded, in the home, or google."),
    Column(name="active", dtype="boolean", line="Whether the store still streams to it."),
    Column(name="state", dtype=TEXT, line="idle, delivering, or retrying after a failure."),
    Column(name="lag_s", dtype=NUMBER, unit="s", line="For how long the oldest waiting row has waited."),
    Column(name="last_delivered_time", dtype=MOMENT, line="When rows were last delivered."),
    Column(name="attempts", dtype=INTEGER, line="Failed attempts in a row."),
    Column(name="next_attempt_time", dtype=MOMENT, line="When it is tried again."),
)
"""The streams of a store to BigQuery."""

STREAM_ERRORS: tuple[Column, ...] = (
    Column(name="id", dtype=TEXT, line="What Store.retry_stream_errors and Store.drop_stream_errors take."),
    Column(name="table_uri", dtype=TEXT, line="The table, bq://project.dataset.table."),
    *_attributes("StudyInstanceUID SeriesInstanceUID SOPInstanceUID"),
    Column(name="reason", dtype=TEXT, line="Why the row is not in the table."),
    Column(name="time", dtype=MOMENT, line="When it was refused last."),
    Column(name="attempts", dtype=INTEGER, line="How often it was refused."),
    Column(name="size_bytes", dtype=INTEGER, unit="B", line="Size of the row, as JSON."),
    Column(name="can_retry", dtype="boolean", line="Whether there is a row that can be sent again."),
)
"""Rows that no table has taken."""

MESSAGES: tuple[Column, ...] = (
    Column(name="publish_time", dtype=MOMENT, line="When the message was published."),
    Column(name="message_id", dtype=TEXT, line="Unique in the topic, and ascending in it."),
    Column(name="name", dtype=TEXT, line="Resource name of the instance."),
    Column(name="action", dtype=TEXT, line="What was done, e.g. StoreInstances; missing in the older form."),
    *_attributes("StudyInstanceUID SeriesInstanceUID SOPInstanceUID Modality"),
    Column(name="storage_class", dtype=TEXT, line="Storage class of the instance."),
    Column(name="previous_storage_class", dtype=TEXT, line="The one before, where it was changed."),
    Column(name="last_updated_time", dtype=MOMENT, line="When the instance was last changed, to the second."),
    Column(name="version_id", dtype=TEXT, line="Which version of the instance it is."),
    Column(name="store", dtype=TEXT, line="Resource name of the store."),
)
"""What a topic was told: one row for each message."""

TOPICS: tuple[Column, ...] = (
    Column(name="id", dtype=TEXT, line="Id of the topic in its project."),
    Column(name="name", dtype=TEXT, line="Resource name."),
    Column(name="messages", dtype=INTEGER, line="Messages that are kept."),
    Column(name="waiting", dtype=INTEGER, line="Those of them that Pub/Sub has not taken yet."),
    Column(name="delivered", dtype=INTEGER, line="Messages that Pub/Sub has taken."),
    Column(name="oldest_waiting_time", dtype=MOMENT, line="When the oldest waiting message was published."),
    Column(name="last_error", dtype=TEXT, line="Why Pub/Sub does not take them."),
)
"""The topics that stores notify."""

IAM: tuple[Column, ...] = (
    Column(name="role", dtype=TEXT, line="The role, e.g. roles/healthcare.dicomViewer."),
    Column(name="member", dtype=TEXT, line="Who has it, e.g. user:alice@example.com."),
    Column(name="kind", dtype=TEXT, line="What the member is, e.g. user, group, serviceAccount, domain."),
    Column(name="condition", dtype=TEXT, line="When it holds, as an expression; missing when always."),
    Column(name="resource", dtype=TEXT, line="Name of the dataset or store whose policy says so."),
)
"""An IAM policy: one row for each member of a role."""

_BY_LEVEL = {"study": STUDIES, "series": SERIES, "instance": INSTANCES}


def search_columns(level: str, fields: Iterable[str] = ()) -> tuple[Column, ...]:
    """Columns of a search at *level*: the level's table, then each of *fields* (tags) that is not in it."""
    columns = {column.tag: column for column in _BY_LEVEL[level]}
    for tag in fields:
        if tag != "all":
            columns.setdefault(tag, attribute(tag))
    return tuple(columns.values())
