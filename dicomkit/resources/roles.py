"""The predefined roles of DICOM stores and datasets, and which permission each method needs, as data.

Source: Cloud Healthcare API, "Access control" (method -> permission); IAM, predefined roles of the service (exact
permissions of each role); BigQuery, "IAM roles and permissions". The engine asks :data:`METHODS` about every request
whose caller is not the owner of the home, ``testIamPermissions`` answers from the same tables.

What needs a permission on the project has no policy here that could grant it, and is the owner's alone: making and
listing datasets, and BigQuery, whose access does not come from the roles of the Healthcare API.
"""

from __future__ import annotations

import difflib
from typing import Literal, NamedTuple

from dicomkit.resources._json import invalid, quoted

__all__ = ["DESTINATION_PERMISSION", "METHODS", "PERMISSIONS", "ROLES", "Needs", "check_predefined"]

Place = Literal["project", "dataset", "store"]


class Needs(NamedTuple):
    """What a method asks of its caller."""

    permission: str | None
    """The permission; ``None`` for a method that anybody may call."""
    on: Place
    """On which of the resources in the request's path; policies of those above it count, too."""


def _healthcare(names: str) -> frozenset[str]:
    return frozenset(f"healthcare.{name}" for name in names.split())


_ALL = _healthcare("datasets.get datasets.list locations.get locations.list operations.get") | {
    "resourcemanager.projects.get",
    "resourcemanager.projects.list",
}
_STORE_VIEWER = _ALL | _healthcare("dicomStores.get dicomStores.list")
_VIEWER = _STORE_VIEWER | _healthcare("dicomStores.dicomWebRead dicomStores.export")
_EDITOR = _VIEWER | _healthcare(
    "dicomStores.dicomWebWrite dicomStores.dicomWebDelete dicomStores.dicomWebUpdate dicomStores.import "
    "operations.cancel"
)
_STORE_ADMIN = _ALL | _healthcare(
    "dicomStores.create dicomStores.deidentify dicomStores.delete dicomStores.dicomWebDelete dicomStores.get "
    "dicomStores.getIamPolicy dicomStores.list dicomStores.setIamPolicy dicomStores.update operations.cancel"
)
_DATASET_ADMIN = _ALL | _healthcare(
    "datasets.create datasets.deidentify datasets.delete datasets.getIamPolicy datasets.setIamPolicy datasets.update "
    "operations.cancel operations.list"
)

ROLES: dict[str, frozenset[str]] = {
    "roles/healthcare.dicomViewer": _VIEWER,
    "roles/healthcare.dicomEditor": _EDITOR,
    "roles/healthcare.dicomStoreAdmin": _STORE_ADMIN,
    "roles/healthcare.dicomStoreViewer": _STORE_VIEWER,
    "roles/healthcare.datasetAdmin": _DATASET_ADMIN,
    "roles/healthcare.datasetViewer": _ALL,
}
"""Role -> its permissions. An administrator of stores cannot read an image."""

_LOCATIONS = "healthcare.projects.locations"
_DATASETS = f"{_LOCATIONS}.datasets"
_STORES = f"{_DATASETS}.dicomStores"


def _methods(prefix: str, on: Place, table: dict[str, str | None]) -> dict[str, Needs]:
    """Rows of :data:`METHODS`: names below *prefix*, several of them in one key, and what they need."""
    return {f"{prefix}.{name}": Needs(need, on) for names, need in table.items() for name in names.split()}


METHODS: dict[str, Needs] = {
    **_methods(
        _LOCATIONS,
        "project",
        {
            "get": "healthcare.locations.get",
            "list": "healthcare.locations.list",
            "datasets.create": "healthcare.datasets.create",
            "datasets.list": "healthcare.datasets.list",
        },
    ),
    **_methods(
        _DATASETS,
        "dataset",
        {
            "get": "healthcare.datasets.get",
            "patch": "healthcare.datasets.update",
            "delete": "healthcare.datasets.delete",
            "deidentify": "healthcare.datasets.deidentify",
            "getIamPolicy": "healthcare.datasets.getIamPolicy",
            "setIamPolicy": "healthcare.datasets.setIamPolicy",
            "testIamPermissions": None,
            "operations.get": "healthcare.operations.get",
            "operations.list": "healthcare.operations.list",
            "operations.cancel": "healthcare.operations.cancel",
            "dicomStores.create": "healthcare.dicomStores.create",
            "dicomStores.list": "healthcare.dicomStores.list",
        },
    ),
    **_methods(
        _STORES,
        "store",
        {
            "get getDICOMStoreMetrics": "healthcare.dicomStores.get",
            "patch": "healthcare.dicomStores.update",
            "delete": "healthcare.dicomStores.delete",
            "import": "healthcare.dicomStores.import",
            "export": "healthcare.dicomStores.export",
            "deidentify": "healthcare.dicomStores.deidentify",
            "getIamPolicy": "healthcare.dicomStores.getIamPolicy",
            "setIamPolicy": "healthcare.dicomStores.setIamPolicy",
            "testIamPermissions": None,
            "searchForStudies searchForSeries searchForInstances "
            "studies.searchForSeries studies.searchForInstances studies.series.searchForInstances "
            "studies.retrieveStudy studies.retrieveMetadata studies.series.retrieveSeries "
            "studies.series.retrieveMetadata studies.series.instances.retrieveInstance "
            "studies.series.instances.retrieveMetadata studies.series.instances.retrieveRendered "
            "studies.series.instances.bulkdata.retrieveBulkdata studies.series.instances.frames.retrieveFrames "
            "studies.series.instances.frames.retrieveRendered dicomWeb.studies.getStudyMetrics "
            "dicomWeb.studies.series.getSeriesMetrics "
            "dicomWeb.studies.series.instances.getStorageInfo": "healthcare.dicomStores.dicomWebRead",
            "storeInstances studies.storeInstances setBlobStorageSettings "
            "dicomWeb.studies.setBlobStorageSettings": "healthcare.dicomStores.dicomWebWrite",
            "studies.delete studies.series.delete "
            "studies.series.instances.delete": "healthcare.dicomStores.dicomWebDelete",
            "updateInstances studies.updateInstances studies.updateMetadata studies.series.updateMetadata "
            "studies.series.instances.updateMetadata": "healthcare.dicomStores.dicomWebUpdate",
        },
    ),
    **_methods(
        "dicomkit",
        "store",
        {
            "countMatches": "healthcare.dicomStores.dicomWebRead",
            "streamStatus drainStreams": "healthcare.dicomStores.get",
            "streamErrors": "healthcare.dicomStores.dicomWebRead",
            "retryStreamErrors dropStreamErrors": "healthcare.dicomStores.update",
            "previewDeidentify": "healthcare.dicomStores.deidentify",
        },
    ),
    **_methods("dicomkit", "dataset", {"operationErrors": "healthcare.operations.get"}),
    "dicomkit.about": Needs(None, "project"),
    **_methods(
        "dicomkit",
        "project",
        {
            "queryRows": "bigquery.jobs.create",
            "topics": "pubsub.topics.list",
            "messages": "pubsub.subscriptions.consume",
        },
    ),
    **_methods(
        "bigquery",
        "project",
        {
            "datasets.list datasets.get": "bigquery.datasets.get",
            "datasets.insert": "bigquery.datasets.create",
            "datasets.delete": "bigquery.datasets.delete",
            "datasets.patch datasets.update": "bigquery.datasets.update",
            "tables.list": "bigquery.tables.list",
            "tables.get": "bigquery.tables.get",
            "tables.insert": "bigquery.tables.create",
            "tables.patch tables.update": "bigquery.tables.update",
            "tables.delete": "bigquery.tables.delete",
            "tabledata.insertAll": "bigquery.tables.updateData",
            "tabledata.list": "bigquery.tables.getData",
            "jobs.insert jobs.insert.upload jobs.insert.resume jobs.query jobs.getQueryResults": "bigquery.jobs.create",
            "jobs.list": "bigquery.jobs.list",
            "jobs.get": "bigquery.jobs.get",
            "jobs.cancel": "bigquery.jobs.update",
            "jobs.delete": "bigquery.jobs.delete",
            "models.list": "bigquery.models.list",
            "routines.list": "bigquery.routines.list",
        },
    ),
}
"""Method id -> what it needs: one row for each method that a server of this API has."""

DESTINATION_PERMISSION = "healthcare.dicomStores.dicomWebWrite"
"""What dicomStores.deidentify needs on the store that it writes to, besides its own permission on the source."""

PERMISSIONS: frozenset[str] = frozenset().union(
    *ROLES.values(), (needs.permission for needs in METHODS.values() if needs.permission)
)
"""Every permission that there is here; the owner holds them all."""


def check_predefined(role: str) -> str:
    """Return *role* if its permissions are known, else raise ``InvalidArgument`` that suggests the nearest."""
    if role not in ROLES:
        near = difflib.get_close_matches(role, ROLES, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"write one of {', '.join(sorted(ROLES))}"
        raise invalid(f"{quoted(role)} is no predefined role of DICOM stores or datasets; {remedy}", path="role")
    return role
