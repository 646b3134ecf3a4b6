"""DICOM stores as DataFrames: one API over the Cloud Healthcare API and an embedded engine.

>>> import dicomkit as dk
>>> ds = dk.connect("~/imaging")                                             # doctest: +SKIP
>>> store = ds.create_store("ct", stream_to="bq://local.imaging.ct")         # doctest: +SKIP
>>> store.upload("scans/")                                                   # doctest: +SKIP
>>> store.search_studies(StudyDate="20040101-")                              # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dicomkit import errors
from dicomkit.connect import connect

if TYPE_CHECKING:
    from dicomkit import frames, plots
    from dicomkit.client.dataset import Dataset
    from dicomkit.client.operation import Operation
    from dicomkit.client.search import Search
    from dicomkit.client.store import Store
    from dicomkit.client.table import StreamedTable, TableRows, TypedRows
    from dicomkit.client.table_query import TableQuery
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
    "StreamedTable",
    "TableQuery",
    "TableRows",
    "TypedRows",
    "connect",
    "errors",
    "frames",
    "plots",
]

_HOMES = {
    "Dataset": "dicomkit.client.dataset",
    "Operation": "dicomkit.client.operation",
    "Query": "dicomkit.dicom.query",
    "Search": "dicomkit.client.search",
    "Store": "dicomkit.client.store",
    "StreamedTable": "dicomkit.client.table",
    "TableQuery": "dicomkit.client.table_query",
    "TableRows": "dicomkit.client.table",
    "TypedRows": "dicomkit.client.table",
}
"""Where a name is at home; every other that is not here yet is one of ``dicomkit.resources``."""


def __getattr__(name: str) -> Any:
    """Import what is named, when it is first asked for: pandas takes longer than the command line may."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in ("frames", "plots"):
        return import_module(f"dicomkit.{name}")
    value = getattr(import_module(_HOMES.get(name, "dicomkit.resources")), name)
    globals()[name] = value
    return value


def load_ipython_extension(shell: Any) -> None:
    """Give a notebook the magic ``%%dicomsql``; ``%load_ext dicomkit`` calls it."""
    from dicomkit.magics import register

    register(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
