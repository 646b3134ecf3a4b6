"""How much is in a store, a study or a series, and how an instance is stored.

Source: Cloud Healthcare API v1, ``dicomStores.getDICOMStoreMetrics``, ``dicomWeb.studies.getStudyMetrics``,
``dicomWeb.studies.series.getSeriesMetrics`` and ``dicomWeb.studies.series.instances.getStorageInfo``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dicomkit.client.rest import Rest, quote_path
from dicomkit.client.retrieve import instance_path, uid_path
from dicomkit.errors import InvalidArgument
from dicomkit.frames.columns import METRICS, STORAGE_INFO
from dicomkit.frames.tables import table

__all__ = ["metrics", "storage_info"]


def metrics(rest: Rest, store: str, study: str | None, series: str | None) -> pd.DataFrame:
    """One row about what is below a name; see ``Store.metrics``.

    Parameters
    ----------
    store
        Resource name of the store.
    """
    path = quote_path(store)
    has_studies = has_series = False
    if study is None:
        if series is not None:
            raise InvalidArgument("a series is found in its study: give study_instance_uid, too")
        answer = rest.json("GET", f"{path}:getDICOMStoreMetrics")
        has_studies = has_series = True
    else:
        verb = "getStudyMetrics" if series is None else "getSeriesMetrics"
        answer = rest.json("GET", f"{path}/dicomWeb/{uid_path(study, series)}:{verb}")
        has_series = series is None
    row = {
        "store": store,
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "study_count": _number(answer, "studyCount") if has_studies else None,
        "series_count": _number(answer, "seriesCount") if has_series else None,
        "instance_count": _number(answer, "instanceCount"),
        "blob_size_bytes": _number(answer, "blobStorageSizeBytes"),
        "structured_size_bytes": _number(answer, "structuredStorageSizeBytes"),
    }
    return table(METRICS, {name: [value] for name, value in row.items()})


def storage_info(rest: Rest, store: str, study: str, series: str, instance: str) -> pd.DataFrame:
    """One row about how an instance is stored; see ``Store.storage_info``."""
    answer = rest.json("GET", f"{quote_path(store)}/dicomWeb/{instance_path(study, series, instance)}:getStorageInfo")
    blob = answer.get("blobStorageInfo", {})
    row = {
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "SOPInstanceUID": instance,
        "storage_class": blob.get("storageClass"),
        "storage_class_update_time": blob.get("storageClassUpdateTime"),
        "blob_size_bytes": _number(blob, "sizeBytes"),
        "structured_size_bytes": _number(answer.get("structuredStorageInfo", {}), "sizeBytes"),
    }
    return table(STORAGE_INFO, {name: [value] for name, value in row.items()})


def _number(answer: Mapping[str, Any], name: str) -> int:
    """A 64-bit number: text in JSON, and left out when it is 0."""
    return int(answer.get(name, 0))
