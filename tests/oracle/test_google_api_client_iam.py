"""Policies by Google's own generic client, unchanged, against the served engine: datasets and stores alike."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle.test_google_api_client import DATASET, STORE, _status, datasets, locations, stores

__all__ = ["datasets", "locations", "stores"]

BINDING = {"role": "roles/healthcare.dicomViewer", "members": ["user:alice@example.com"]}


@pytest.fixture(params=["dataset", "store"])
def guarded(request: pytest.FixtureRequest, datasets: Any) -> tuple[Any, str]:
    """A collection with the three methods, and the name of a resource in it."""
    if request.param == "dataset":
        return datasets, DATASET
    datasets.dicomStores().create(parent=DATASET, dicomStoreId="ct", body={}).execute()
    return datasets.dicomStores(), STORE


def test_read_modify_write(guarded: tuple[Any, str]) -> None:
    """Google's documented cycle; the second writer with the same etag is told to start again."""
    methods, name = guarded
    policy = methods.getIamPolicy(resource=name, options_requestedPolicyVersion=3).execute()
    assert policy == {"etag": "ACAB"}
    body = {"policy": policy | {"bindings": [BINDING]}}
    written = methods.setIamPolicy(resource=name, body=body).execute()
    assert written["bindings"] == [BINDING]
    assert methods.getIamPolicy(resource=name).execute() == written
    status, reason = _status(methods.setIamPolicy(resource=name, body=body))
    assert status == 409
    assert reason.startswith("There were concurrent policy changes.")
    assert methods.getIamPolicy(resource=name).execute() == written


def test_permissions(guarded: tuple[Any, str]) -> None:
    """The owner's, a wildcard's, and those on a resource that is not there."""
    methods, name = guarded
    body = {"permissions": ["healthcare.dicomStores.get", "healthcare.dicomStores.fly"]}
    answer = methods.testIamPermissions(resource=name, body=body).execute()
    assert answer == {"permissions": ["healthcare.dicomStores.get"]}
    assert _status(methods.testIamPermissions(resource=name, body={"permissions": ["healthcare.*"]}))[0] == 400
    assert methods.testIamPermissions(resource=f"{name}x", body=body).execute() == {}
    assert _status(methods.getIamPolicy(resource=f"{name}x"))[0] == 404
    assert _status(methods.getIamPolicy(resource=name, options_requestedPolicyVersion=2))[0] == 400
