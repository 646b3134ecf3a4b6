"""The validator stands where the other contract tests need it: requests and answers do pass through it."""

from __future__ import annotations

import dicomkit as dk
from tests.contract.instances import ct_slice
from tests.discovery import Validator


def test_requests_of_the_client_pass_through_the_validator(conn: dk.Dataset, validator: Validator) -> None:
    """On each deployment; what it looks at is what the client sends."""
    validator.seen.clear()
    store = conn.create_store("ct", labels={"a": "b"})
    store.upload(ct_slice())
    store.patch(labels={})
    conn.stores()
    conn.delete_store("ct")
    ids = {name.removeprefix("healthcare.projects.locations.datasets.dicomStores.") for name in validator.seen}
    assert {"create", "storeInstances", "patch", "list", "delete"} <= ids


def test_request_that_is_none_of_the_api_is_seen(conn: dk.Dataset, validator: Validator) -> None:
    """A field and a parameter that the document has not, and an answer that it knows as an error."""
    url = f"{conn.base_url}/{conn.name}/dicomStores"
    assert conn.session.post(url, params={"storeId": "x"}, json={"lables": {}}).status_code == 400
    found, validator.violations[:] = list(validator.violations), []
    assert [violation.partition(": ")[2] for violation in found] == [
        "parameter storeId: not in the document",
        "parameter dicomStoreId: required, and missing",
        "DicomStore.lables: not in the document",
    ]
