"""REST resources of the Cloud Healthcare API as values, with all their rules."""

from __future__ import annotations

from dicomkit.resources._json import violations
from dicomkit.resources.bigquery_destination import BigQueryDestination
from dicomkit.resources.dataset import Dataset
from dicomkit.resources.deidentify_config import DeidentifyConfig
from dicomkit.resources.dicom_store import DicomStore
from dicomkit.resources.field_mask import apply_mask, compute_mask
from dicomkit.resources.labels import check_labels
from dicomkit.resources.notification import DicomNotificationConfig, NotificationConfig
from dicomkit.resources.operation import Operation, rpc_status
from dicomkit.resources.policy import Binding, Policy
from dicomkit.resources.stream_config import StreamConfig, StreamConfigLike, stream_configs_from

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
    "StreamConfig",
    "StreamConfigLike",
    "apply_mask",
    "check_labels",
    "compute_mask",
    "rpc_status",
    "stream_configs_from",
    "violations",
]
