"""Whether Google's service may write to a BigQuery dataset: its agent, and where a role can have been granted.

Source: Cloud Healthcare API, "Streaming DICOM metadata to BigQuery" (the service agent needs
``roles/bigquery.dataEditor``); Resource Manager API v1, ``projects.get`` and ``projects.getIamPolicy``; BigQuery REST
API v2, ``datasets`` (``access``).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

from dicomkit.client.connection import Connection
from dicomkit.client.rest import quote_path

__all__ = ["grant_command", "is_granted_by_dataset", "is_granted_by_project", "service_agent"]

ROLE = "roles/bigquery.dataEditor"

_ENOUGH = frozenset({ROLE, "roles/bigquery.dataOwner", "roles/bigquery.admin", "roles/editor", "roles/owner"})
"""Roles that let their member append rows and make tables."""

_DATASET_ROLES = frozenset({"WRITER", "OWNER"}) | _ENOUGH
"""The same on a dataset, where BigQuery keeps its own older names."""


def service_agent(connection: Connection, project: str) -> str:
    """The account with which the service works for a project, which is named after the project's number.

    Raises
    ------
    ApiError
        The number cannot be had: the Resource Manager API is off, or may not be asked.
    """
    number = connection.projects.json("GET", f"projects/{quote_path(project)}")["projectNumber"]
    return f"service-{number}@gcp-sa-healthcare.iam.gserviceaccount.com"


def is_granted_by_dataset(agent: str, access_entries: Iterable[Any]) -> bool:
    """Whether a dataset's own list lets *agent* write; entries are ``google.cloud.bigquery.AccessEntry``."""
    return any(
        entry.role in _DATASET_ROLES
        and entry.entity_type in ("userByEmail", "iamMember")
        and str(entry.entity_id).rpartition(":")[2] == agent
        for entry in access_entries
    )


def is_granted_by_project(connection: Connection, agent: str, project: str) -> bool:
    """Whether the project's policy lets *agent* write to every dataset in it.

    Raises
    ------
    ApiError
        The policy may not be read.
    """
    policy = connection.projects.json("POST", f"projects/{quote_path(project)}:getIamPolicy", body={})
    member = f"serviceAccount:{agent}"
    return any(
        binding.get("role") in _ENOUGH and member in binding.get("members", ()) and "condition" not in binding
        for binding in policy.get("bindings", ())
    )


def grant_command(agent: str, project: str) -> str:
    """The command that grants the role, to be run by somebody who may."""
    return (
        f"gcloud projects add-iam-policy-binding {shlex.quote(project)} "
        f"--member=serviceAccount:{agent} --role={ROLE} --condition=None"
    )
