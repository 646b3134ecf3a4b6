"""How many matches a search has.

Source: Cloud Healthcare API v1, ``dicomStores.getDICOMStoreMetrics``. No DICOMweb service counts matches; a dicomkit
engine has a route of its own for it.
"""

from __future__ import annotations

import dataclasses

from dicomkit.client.connection import Connection
from dicomkit.client.metrics import metrics
from dicomkit.client.rest import quote_path
from dicomkit.client.search import Search
from dicomkit.dicom.attributes import Level

__all__ = ["count"]

_COUNT: dict[Level, str] = {"study": "study_count", "series": "series_count", "instance": "instance_count"}
_PLURAL: dict[Level, str] = {"study": "studies", "series": "series", "instance": "instances"}


def count(connection: Connection, store: str, search: Search) -> int:
    """The number of matches of *search*; see ``Store.count_studies``.

    Parameters
    ----------
    store
        Resource name of the store.
    """
    query = dataclasses.replace(search.query, limit=None)
    if search.after is not None and search.after.conditions:
        return sum(map(len, dataclasses.replace(search, query=query).pages()))
    if not connection.is_cloud:
        path = f"{quote_path(store)}/dicomWeb/{_PLURAL[query.level]}:count"
        return int(connection.own.json("GET", path, params=search.conditions())["count"])
    if not search.conditions():
        return int(metrics(connection.rest, store, None, None)[_COUNT[query.level]].iloc[0])
    return sum(map(len, dataclasses.replace(search, query=query).pages()))
