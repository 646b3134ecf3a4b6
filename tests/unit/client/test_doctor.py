"""``Store.doctor`` on Google Cloud: the links that only Google has, from answers of the documented form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd
import pytest
from google.auth.credentials import AnonymousCredentials
from werkzeug.wrappers import Request, Response

import dicomkit as dk
from dicomkit.client.connection import CLOUD_URL, PROJECTS_URL, Connection
from dicomkit.client.store import Store
from dicomkit.resources import DicomStore
from dicomkit.transport import EngineAdapter, google_session

STORE = "projects/hospital/locations/europe-west4/datasets/ds/dicomStores/ct"
AGENT = "service-4711@gcp-sa-healthcare.iam.gserviceaccount.com"
TABLE = "bq://analytics.imaging.ct"
BIGQUERY = "https://bigquery.googleapis.com/bigquery/v2/projects/analytics"
TABLE_FIELDS = [
    *({"name": name, "type": "STRING"} for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Type")),
    {"name": "LastUpdated", "type": "TIMESTAMP"},
]
HEALTHY: dict[str, Any] = {
    f"GET {CLOUD_URL}/{STORE}": {
        "name": STORE,
        "streamConfigs": [{"bigqueryDestination": {"tableUri": TABLE}}],
    },
    f"GET {CLOUD_URL}/{STORE}:getDICOMStoreMetrics": {"studyCount": "1", "seriesCount": "1", "instanceCount": "3"},
    f"GET {PROJECTS_URL}/projects/hospital": {"projectId": "hospital", "projectNumber": "4711"},
    f"POST {PROJECTS_URL}/projects/analytics:getIamPolicy": {"bindings": []},
    f"GET {BIGQUERY}/datasets/imaging": {
        "datasetReference": {"projectId": "analytics", "datasetId": "imaging"},
        "location": "EU",
        "access": [{"role": "WRITER", "userByEmail": AGENT}],
    },
    f"GET {BIGQUERY}/datasets/imaging/tables/ct": {
        "tableReference": {"projectId": "analytics", "datasetId": "imaging", "tableId": "ct"},
        "schema": {"fields": TABLE_FIELDS},
    },
    f"POST {BIGQUERY}/jobs": {
        "jobReference": {"projectId": "analytics", "jobId": "j", "location": "EU"},
        "configuration": {"query": {"query": "SELECT"}, "jobType": "QUERY"},
        "status": {"state": "DONE"},
        "statistics": {"query": {"statementType": "SELECT"}},
    },
    f"GET {BIGQUERY}/queries/j": {
        "jobComplete": True,
        "jobReference": {"projectId": "analytics", "jobId": "j", "location": "EU"},
        "schema": {"fields": [{"name": "n", "type": "INTEGER"}]},
        "totalRows": "1",
        "rows": [{"f": [{"v": "3"}]}],
    },
}
"""Method and URL -> the body of a healthy cloud; an integer is an error of this status."""


def google(answers: Mapping[str, Any]) -> Callable[..., Iterable[bytes]]:
    """A server that answers by a table; what is not in it is missing."""

    @Request.application
    def answer(request: Request) -> Response:
        found = answers.get(f"{request.method} {request.base_url}", 404)
        if isinstance(found, int):
            error = {"code": found, "message": "refused", "errors": [{"reason": "x", "message": "refused"}]}
            return Response(json.dumps({"error": error}), found, content_type="application/json")
        return Response(json.dumps(found), content_type="application/json")

    return answer


def examined(**changes: Any) -> pd.DataFrame:
    """What the doctor says of a healthy cloud with some answers changed, named by how their keys end."""
    answers = dict(HEALTHY)
    for end, answer in changes.items():
        (key,) = (key for key in HEALTHY if re.sub(r"\W", "_", key).endswith(end))
        answers[key] = answer
    session = google_session(AnonymousCredentials())
    session.mount("https://", EngineAdapter(google(answers)))
    connection = Connection(session, base_url=CLOUD_URL, bigquery_endpoint=None, place="Google Cloud")
    report = Store(connection, DicomStore.from_api(HEALTHY[f"GET {CLOUD_URL}/{STORE}"])).doctor()
    assert report.columns.tolist() == [column.name for column in dk.frames.DOCTOR]
    return report.set_index("check")


def test_healthy_cloud_has_no_finding_without_ok() -> None:
    """With the checks that only Google needs: location and permission."""
    report = examined()
    checks = ["notifications", "dataset", "location", "permission", "table", "schema", "rows"]
    assert report["state"].to_dict() == dict.fromkeys(checks, "ok")


@pytest.mark.parametrize(
    ("changes", "check", "state", "finding", "remedy"),
    [
        (
            {"datasets_imaging": 404},
            "dataset",
            "failed",
            "BigQuery has no such dataset, and the service makes none",
            'dataset.bigquery_client(project="analytics").create_dataset("imaging")',
        ),
        ({"datasets_imaging": 403}, "dataset", "unknown", "it cannot be seen: refused (x)", "roles/bigquery.metadata"),
        (
            {"datasets_imaging": HEALTHY[f"GET {BIGQUERY}/datasets/imaging"] | {"location": "US"}},
            "location",
            "warning",
            "the store is in europe-west4, the BigQuery dataset in us",
            "name a dataset in europe-west4",
        ),
        (
            {"datasets_imaging": HEALTHY[f"GET {BIGQUERY}/datasets/imaging"] | {"access": []}},
            "permission",
            "failed",
            f"{AGENT} may not write there",
            f"gcloud projects add-iam-policy-binding analytics --member=serviceAccount:{AGENT} "
            "--role=roles/bigquery.dataEditor --condition=None",
        ),
        (
            {"projects_hospital": 403},
            "permission",
            "unknown",
            "who may write there cannot be seen",
            "--member=serviceAccount:service-PROJECT_NUMBER@gcp-sa-healthcare",
        ),
        ({"tables_ct": 404}, "table", "warning", "there is no table yet, and the store has 3 inst", "store.backfill("),
        (
            {"getDICOMStoreMetrics": {"instanceCount": "5"}},
            "rows",
            "warning",
            "3 of 5 instances have a current row",
            f'store.backfill("{TABLE}")',
        ),
        ({"analytics_jobs": 403}, "rows", "unknown", "they cannot be counted: refused", "roles/bigquery.jobUser"),
    ],
)
def test_each_fault_has_its_own_diagnosis(
    changes: dict[str, Any], check: str, state: str, finding: str, remedy: str
) -> None:
    """One broken link, one finding that is not ok, and what to do about it."""
    report = examined(**changes)
    (row,) = (row for name, row in report.iterrows() if row["state"] != "ok" and name == check)
    assert report["state"].ne("ok").sum() == 1
    assert row["state"] == state
    assert row["finding"].startswith(finding)
    assert remedy in row["remedy"]


@pytest.mark.parametrize("role", ["roles/bigquery.dataEditor", "roles/bigquery.admin"])
def test_role_on_the_project_is_enough(role: str) -> None:
    """It reaches every dataset in it; under a condition nobody can tell."""
    closed = HEALTHY[f"GET {BIGQUERY}/datasets/imaging"] | {"access": []}
    binding = {"role": role, "members": [f"serviceAccount:{AGENT}"]}
    for found, state in ((binding, "ok"), (binding | {"condition": {"expression": "false"}}, "failed")):
        report = examined(datasets_imaging=closed, getIamPolicy={"bindings": [found]})
        assert report.loc["permission", "state"] == state


def test_older_form_of_notifications_is_told() -> None:
    """It is being retired, and does not go together with the newer one."""
    older = {"notificationConfig": {"pubsubTopic": "projects/hospital/topics/new"}}
    report = examined(dicomStores_ct=HEALTHY[f"GET {CLOUD_URL}/{STORE}"] | older)
    assert report.loc["notifications", "state"] == "warning"
    assert report.loc["notifications", "remedy"].startswith("store.patch(notification_configs=")
