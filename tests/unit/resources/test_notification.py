"""Rules of notifications, by the Healthcare API and by Pub/Sub's rule for topic names."""

from __future__ import annotations

import pytest

from dicomkit.errors import InvalidArgument
from dicomkit.resources.dicom_store import DicomStore
from dicomkit.resources.notification import DicomNotificationConfig, NotificationConfig

TOPIC = "projects/p/topics/new-instances"


@pytest.mark.parametrize(
    "topic",
    [
        TOPIC,
        "projects/example.com:proj/topics/abc",
        "projects/123456/topics/a.b_c~d+e%f-g",
        "projects/p/topics/" + "t" * 255,
        "projects/p/topics/Goog",
    ],
)
def test_a_topic_name_is_taken(topic: str) -> None:
    """projects/{project}/topics/{topic}."""
    assert DicomNotificationConfig(pubsub_topic=topic).pubsub_topic == topic
    assert NotificationConfig(pubsub_topic=topic).pubsub_topic == topic


@pytest.mark.parametrize(
    "topic",
    [
        "new-instances",
        "projects/p/new-instances",
        "projects/p/subscriptions/abc",
        "projects//topics/abc",
        "projects/../topics/abc",
        "projects/p/topics/ab",
        "projects/p/topics/" + "t" * 256,
        "projects/p/topics/1abc",
        "projects/p/topics/google-reserved",
        "projects/p/topics/a b c",
        "projects/p/topics/abc/def",
        "projects/p/topics/abc\n",
        "projects/p/topics/größe",
    ],
)
def test_a_topic_name_of_another_form_is_refused(topic: str) -> None:
    """Topic.name of Pub/Sub: a letter, then 3 to 255 characters in all, not beginning with goog."""
    with pytest.raises(InvalidArgument, match="^notificationConfig.pubsubTopic: must have the form projects/"):
        DicomStore.from_api({"notificationConfig": {"pubsubTopic": topic}})
    with pytest.raises(InvalidArgument, match=r"^notificationConfigs\[0\].pubsubTopic: must have the form projects/"):
        DicomStore.from_api({"notificationConfigs": [{"pubsubTopic": topic}]})


def test_the_older_form_may_have_no_topic() -> None:
    """Notifications are only sent if the topic is non-empty."""
    for wire in ({}, {"pubsubTopic": ""}, {"sendForBulkImport": True}):
        assert NotificationConfig.from_api(wire).to_api() == wire


@pytest.mark.parametrize("entry", [{}, {"pubsubTopic": ""}, {"pubsubTopic": None}])
def test_an_entry_of_the_newer_form_needs_a_topic(entry: dict[str, object]) -> None:
    """notificationConfigs[].pubsubTopic is required."""
    with pytest.raises(InvalidArgument, match=r"^notificationConfigs\[0\].pubsubTopic: is required"):
        DicomStore.from_api({"notificationConfigs": [entry]})


@pytest.mark.parametrize("older", [{}, {"pubsubTopic": TOPIC}, {"sendForBulkImport": True}])
def test_both_forms_at_once_are_refused(older: dict[str, object]) -> None:
    """They are not compatible, and the first is being deprecated."""
    with pytest.raises(InvalidArgument, match="^notificationConfig: is not compatible with notificationConfigs"):
        DicomStore.from_api({"notificationConfig": older, "notificationConfigs": [{"pubsubTopic": TOPIC}]})


def test_an_empty_list_is_no_second_form() -> None:
    """An empty notificationConfigs is the same as none."""
    old = DicomStore.from_api({"notificationConfig": {"pubsubTopic": TOPIC}, "notificationConfigs": []})
    new = DicomStore.from_api({"notificationConfig": None, "notificationConfigs": [{"pubsubTopic": TOPIC}]})
    assert old.notification_config is not None
    assert new.notification_configs is not None
    assert old.notification_config.pubsub_topic == new.notification_configs[0].pubsub_topic == TOPIC


@pytest.mark.parametrize("value", [1, "true", [], {}])
def test_send_for_bulk_import_is_a_boolean(value: object) -> None:
    """No number and no text stands for it."""
    with pytest.raises(InvalidArgument, match="^notificationConfig.sendForBulkImport: must be true or false"):
        DicomStore.from_api({"notificationConfig": {"sendForBulkImport": value}})


@pytest.mark.parametrize("value", ["x", 5, {}, True, [None], ["projects/p/topics/abc"], [[]]])
def test_notification_configs_is_an_array_of_objects(value: object) -> None:
    """JSON of another type is an InvalidArgument by path."""
    with pytest.raises(InvalidArgument, match="^notificationConfigs"):
        DicomStore.from_api({"notificationConfigs": value})
