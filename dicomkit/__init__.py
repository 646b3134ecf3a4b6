"""DICOM stores as DataFrames: one API over the Cloud Healthcare API and an embedded engine.

>>> import dicomkit as dk
>>> ds = dk.connect("~/imaging")                                             # doctest: +SKIP
>>> store = ds.create_store("ct", stream_to="bq://local.imaging.ct")         # doctest: +SKIP
>>> store.upload("scans/")                                                   # doctest: +SKIP
>>> store.search_studies(StudyDate="20040101-")                              # doctest: +SKIP
"""

from dicomkit import errors, frames
from dicomkit.client.dataset import Dataset
from dicomkit.client.operation import Operation
from dicomkit.client.search import Search
from dicomkit.client.store import Store
from dicomkit.connect import connect
from dicomkit.dicom.query import Query
from dicomkit.resources import (
    BigQueryDestination,
    Binding,
    DeidentifyConfig,
    DicomNotificationConfig,
    DicomStore,
    NotificationConfig,
    Policy,
    StreamConfig,
)

__all__ = [
    "BigQueryDestination",
    "Binding",
    "Dataset",
    "DeidentifyConfig",
    "DicomNotificationConfig",
    "DicomStore",
    "NotificationConfig",
    "Operation",
    "Policy",
    "Query",
    "Search",
    "Store",
    "StreamConfig",
    "connect",
    "errors",
    "frames",
]
