"""The predefined roles, against the published lists, and the table of permissions."""

from __future__ import annotations

import pytest

from dicomkit.errors import InvalidArgument
from dicomkit.resources.policy import check_permission, check_role
from dicomkit.resources.roles import DESTINATION_PERMISSION, METHODS, PERMISSIONS, ROLES, check_predefined

BASIC = {
    "healthcare.datasets.get",
    "healthcare.datasets.list",
    "healthcare.locations.get",
    "healthcare.locations.list",
    "healthcare.operations.get",
    "resourcemanager.projects.get",
    "resourcemanager.projects.list",
}

BEYOND = {
    "dicomViewer": "dicomStores.dicomWebRead dicomStores.export dicomStores.get dicomStores.list",
    "dicomEditor": "dicomStores.dicomWebRead dicomStores.export dicomStores.get dicomStores.list "
    "dicomStores.dicomWebWrite dicomStores.dicomWebDelete dicomStores.dicomWebUpdate dicomStores.import "
    "operations.cancel",
    "dicomStoreAdmin": "dicomStores.create dicomStores.deidentify dicomStores.delete dicomStores.dicomWebDelete "
    "dicomStores.get dicomStores.getIamPolicy dicomStores.list dicomStores.setIamPolicy dicomStores.update "
    "operations.cancel",
    "dicomStoreViewer": "dicomStores.get dicomStores.list",
    "datasetAdmin": "datasets.create datasets.deidentify datasets.delete datasets.getIamPolicy datasets.setIamPolicy "
    "datasets.update operations.cancel operations.list",
    "datasetViewer": "",
}
"""What IAM publishes for each role, beyond what all of them have."""


@pytest.mark.parametrize("role", BEYOND)
def test_role_has_exactly_the_published_permissions(role: str) -> None:
    """No more, no less."""
    own = {f"healthcare.{name}" for name in BEYOND[role].split()}
    assert ROLES[f"roles/healthcare.{role}"] == BASIC | own


def test_there_are_six_roles() -> None:
    """The predefined roles of datasets and DICOM stores."""
    assert set(ROLES) == {f"roles/healthcare.{role}" for role in BEYOND}
    assert all(check_role(role) for role in ROLES)


def test_administrator_of_stores_cannot_read_an_image() -> None:
    """What surprises users, said by Google's own lists."""
    assert (
        METHODS["healthcare.projects.locations.datasets.dicomStores.studies.retrieveStudy"].permission
        not in (ROLES["roles/healthcare.dicomStoreAdmin"])
    )


def test_every_permission_of_the_tables_has_the_form_of_one() -> None:
    """A typing error in the data would grant nothing, silently."""
    for permission in PERMISSIONS:
        assert check_permission(permission)
    assert DESTINATION_PERMISSION in PERMISSIONS


def test_role_that_is_not_predefined_is_refused_with_the_nearest() -> None:
    """Its permissions are not known, and are not guessed."""
    assert check_predefined("roles/healthcare.dicomViewer") == "roles/healthcare.dicomViewer"
    with pytest.raises(InvalidArgument, match=r"did you mean roles/healthcare\.dicomViewer\?$"):
        check_predefined("roles/healthcare.dicomViwer")
    with pytest.raises(InvalidArgument, match=r"write one of roles/healthcare\.datasetAdmin, "):
        check_predefined("organizations/1/roles/x")
