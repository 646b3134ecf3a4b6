"""Typed DataFrames: the columns as data, and the ways to them from DICOM JSON, from plain rows and from BigQuery."""

from dicomkit.frames.columns import (
    DATASETS,
    DEIDENTIFY_PREVIEW,
    IAM,
    INSTANCES,
    LOCATIONS,
    MESSAGES,
    METRICS,
    OPERATION_ERRORS,
    OPERATIONS,
    SERIES,
    STORAGE_INFO,
    STORES,
    STREAMS,
    STUDIES,
    TOPICS,
    UPLOAD,
    Column,
    attribute,
    search_columns,
)
from dicomkit.frames.dicom_json import ColumnBuilder, first_values, frame_of
from dicomkit.frames.persons import person_name
from dicomkit.frames.tables import table

__all__ = [
    "DATASETS",
    "DEIDENTIFY_PREVIEW",
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
    "STUDIES",
    "TOPICS",
    "UPLOAD",
    "Column",
    "ColumnBuilder",
    "attribute",
    "first_values",
    "frame_of",
    "person_name",
    "search_columns",
    "table",
]
