"""The rules of the DICOM store that are not about one part of it."""

from __future__ import annotations

import pytest

from dicomkit.errors import InvalidArgument
from dicomkit.resources.dicom_store import DicomStore

NAME = "projects/p/locations/l/datasets/d/dicomStores/s"


def test_a_fresh_store_has_a_name_only() -> None:
    """As getDicomStore shows a store after its creation."""
    assert DicomStore(name=NAME).to_api(omit_defaults=True) == {"name": NAME}


def test_an_empty_body_is_a_store() -> None:
    """The request of create may be empty; so may the name be."""
    assert DicomStore.from_api({}, strict=True) == DicomStore()
    assert DicomStore.from_api({"name": ""}).to_api(omit_defaults=True) == {}


@pytest.mark.parametrize(
    "name",
    ["s", NAME + "/", NAME + "\n", NAME.replace("dicomStores", "fhirStores"), NAME.replace("/s", "/../x"), "/" + NAME],
)
def test_a_name_of_another_form_is_refused(name: str) -> None:
    """The form is in the message."""
    with pytest.raises(InvalidArgument, match="^name: "):
        DicomStore(name=name)


@pytest.mark.parametrize("name", [5, [], {}, True])
def test_a_name_of_another_type_is_refused(name: object) -> None:
    """Not a TypeError."""
    with pytest.raises(InvalidArgument, match="^name: must be a string"):
        DicomStore.from_api({"name": name})


@pytest.mark.parametrize("configs", ["x", 5, {}, True, [None], ["bq://p.d.t"], [[]], [5]])
def test_stream_configs_is_an_array_of_objects(configs: object) -> None:
    """JSON of another type is an InvalidArgument by path."""
    with pytest.raises(InvalidArgument, match="^streamConfigs"):
        DicomStore.from_api({"streamConfigs": configs})


def test_a_replaced_field_is_checked() -> None:
    """No way around the rules."""
    with pytest.raises(InvalidArgument, match="not compatible"):
        DicomStore.from_api({"notificationConfig": {}}).replace(
            notification_configs=[{"pubsubTopic": "projects/p/topics/abc"}]
        )
