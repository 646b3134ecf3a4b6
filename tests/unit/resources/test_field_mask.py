"""``updateMask``: computed, checked and applied, by the rules of ``google.protobuf.FieldMask``."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given
from hypothesis import strategies as st

from dicomkit.errors import InvalidArgument
from dicomkit.resources.dataset import Dataset
from dicomkit.resources.dicom_store import DicomStore
from dicomkit.resources.field_mask import apply_mask, camel, compute_mask, parse_mask

ALLOWED = DicomStore.MASK_PATHS
TOPIC = "projects/p/topics/abc"
STREAM = {"bigqueryDestination": {"tableUri": "bq://p.d.t"}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stream_configs", "streamConfigs"),
        ("streamConfigs", "streamConfigs"),
        ("labels", "labels"),
        ("send_for_bulk_import", "sendForBulkImport"),
        ("", ""),
    ],
)
def test_snake_case_becomes_camel_case(name: str, expected: str) -> None:
    """And camelCase stays as it is."""
    assert camel(name) == expected


@pytest.mark.parametrize(
    ("old", "new", "mask"),
    [
        ({}, {}, ""),
        ({"labels": {"a": "1"}}, {"labels": {"a": "1"}}, ""),
        ({"labels": {"a": "1", "b": ""}}, {"labels": {"b": "", "a": "1"}}, ""),
        ({"labels": {"a": "1"}}, {"labels": {"a": "2"}}, "labels"),
        ({"labels": {"a": "1"}}, {}, "labels"),
        ({}, {"labels": {"a": "1"}}, "labels"),
        ({}, {"labels": {}}, "labels"),
        ({"labels": {}}, {"labels": None}, "labels"),
        ({"streamConfigs": [STREAM]}, {"streamConfigs": [STREAM, STREAM]}, "streamConfigs"),
        ({"x": True}, {"x": 1}, "x"),
        ({"notificationConfig": {}}, {"notificationConfigs": []}, "notificationConfigs,notificationConfig"),
        ({"name": "a"}, {"labels": {}}, "labels"),
        ({"name": "a", "labels": {}}, {"name": "a", "labels": {}}, ""),
    ],
)
def test_the_mask_names_what_differs(old: dict[str, Any], new: dict[str, Any], mask: str) -> None:
    """Top-level fields; unset, empty and null are three values; the name is no part of it."""
    assert compute_mask(old, new) == mask


def test_two_resources_have_no_mask() -> None:
    """The name is an identifier and cannot be changed."""
    with pytest.raises(InvalidArgument, match="^name: must not change"):
        compute_mask({"name": "a"}, {"name": "b"})


def test_a_resource_computes_the_mask_of_its_change() -> None:
    """mask() derives updateMask from what differs, unknown fields included."""
    store = DicomStore.from_api({"labels": {"a": "1"}, "future": 1})
    assert store.mask(store) == ""
    assert store.mask(store.replace(labels={"a": "2"})) == "labels"
    assert store.mask(store.replace(labels=None, extra={"future": 2})) == "future,labels"


@pytest.mark.parametrize("mask", [None, "", "  ", 5, ["labels"]])
def test_a_missing_mask_is_refused(mask: object) -> None:
    """updateMask is required."""
    with pytest.raises(InvalidArgument, match="^updateMask: is required"):
        apply_mask({}, {}, mask, ALLOWED)


@pytest.mark.parametrize(
    "mask",
    [
        "name",
        "colour",
        "labels,colour",
        "labels,",
        ",",
        "*",
        "labels.",
        "labels.a.b",
        ".labels",
        "Labels",
        "streamConfigs.bigqueryDestination",
        "streamConfigs[0]",
        "notificationConfig.topic",
        "notificationConfigs.pubsubTopic",
        "labels;drop",
        "x" * 10_000,
        "labels\n,\x00",
    ],
)
def test_an_unknown_path_is_refused_and_the_known_ones_are_listed(mask: str) -> None:
    """A path never goes into a list, and never to the name."""
    known = r"labels, notificationConfig, notificationConfigs, streamConfigs"
    with pytest.raises(
        InvalidArgument, match=f"^updateMask: must name fields that can be changed \\({known}\\)"
    ) as caught:
        apply_mask({}, {}, mask, ALLOWED)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("mask", "paths"),
    [
        ("labels", [("labels",)]),
        (" labels , streamConfigs ", [("labels",), ("streamConfigs",)]),
        ("stream_configs", [("streamConfigs",)]),
        ("streamConfigs,stream_configs", [("streamConfigs",)]),
        ("notification_config.pubsub_topic", [("notificationConfig", "pubsubTopic")]),
        ("labels.my_key", [("labels", "my_key")]),
        ("labels.a,labels", [("labels",)]),
    ],
)
def test_paths_are_read_in_both_spellings(mask: str, paths: list[tuple[str, ...]]) -> None:
    """camelCase and snake_case name one field; keys of a map are left alone."""
    assert parse_mask(mask, ALLOWED) == paths


@given(st.lists(st.sampled_from(sorted({p.replace("*", k) for p in ALLOWED for k in ("a", "b")})), min_size=1))
def test_the_paths_are_the_canonical_form_of_protobuf(names: list[str]) -> None:
    """Each once, none below another, as protobuf's own FieldMask makes it."""
    theirs = FieldMask()
    theirs.FromJsonString(",".join(names))
    canonical = FieldMask()
    canonical.CanonicalFormFromMask(theirs)
    ours = [".".join(path) for path in parse_mask(",".join(names), ALLOWED)]
    assert ",".join(sorted(ours)) == ",".join(sorted(canonical.ToJsonString().split(",")))


@pytest.mark.parametrize(
    ("current", "patch", "mask", "result"),
    [
        pytest.param({"labels": {"a": "1"}}, {"labels": {"b": "2"}}, "labels", {"labels": {"b": "2"}}, id="map whole"),
        pytest.param({"labels": {"a": "1"}}, {}, "labels", {}, id="absent clears"),
        pytest.param({"labels": {"a": "1"}}, {"labels": None}, "labels", {}, id="null clears"),
        pytest.param({"labels": {"a": "1"}}, {"labels": {}}, "labels", {"labels": {}}, id="empty map"),
        pytest.param({}, {"labels": {"a": "1"}}, "streamConfigs", {}, id="not in the mask, not changed"),
        pytest.param(
            {"labels": {"a": "1", "b": "2"}},
            {"labels": {"a": "9", "c": "3"}},
            "labels.a",
            {"labels": {"a": "9", "b": "2"}},
            id="one label",
        ),
        pytest.param({"labels": {"a": "1", "b": "2"}}, {}, "labels.a", {"labels": {"b": "2"}}, id="clear one label"),
        pytest.param({}, {"labels": {"a": "1"}}, "labels.a", {"labels": {"a": "1"}}, id="first label"),
        pytest.param({}, {}, "labels.a", {}, id="clear what is not there"),
        pytest.param(
            {"notificationConfig": {"pubsubTopic": TOPIC, "sendForBulkImport": True}},
            {"notification_config": {"pubsub_topic": "projects/p/topics/new"}},
            "notificationConfig.pubsubTopic",
            {"notificationConfig": {"pubsubTopic": "projects/p/topics/new", "sendForBulkImport": True}},
            id="field of a message, body in snake_case",
        ),
        pytest.param(
            {"notificationConfig": {"pubsubTopic": TOPIC}},
            {"notificationConfigs": [{"pubsubTopic": TOPIC}]},
            "notificationConfig,notificationConfigs",
            {"notificationConfigs": [{"pubsubTopic": TOPIC}]},
            id="migration of notifications",
        ),
        pytest.param(
            {"streamConfigs": [STREAM]},
            {"stream_configs": []},
            "stream_configs",
            {"streamConfigs": []},
            id="list whole",
        ),
    ],
)
def test_a_mask_is_applied(current: dict[str, Any], patch: dict[str, Any], mask: str, result: dict[str, Any]) -> None:
    """A path named and absent is cleared; lists and maps are replaced whole; sub-paths are legal."""
    before = repr(current), repr(patch)
    assert apply_mask(current, patch, mask, ALLOWED) == result
    assert (repr(current), repr(patch)) == before


@pytest.mark.parametrize("parent", [5, "x", [], True])
def test_a_sub_path_into_what_is_no_object_is_refused(parent: object) -> None:
    """The body's type is wrong, and the message names the field."""
    with pytest.raises(InvalidArgument, match="^labels: must be a JSON object"):
        apply_mask({}, {"labels": parent}, "labels.a", ALLOWED)


fields = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "1", "2"])),
        "notificationConfigs": st.lists(st.just({"pubsubTopic": TOPIC}), max_size=2),
        "streamConfigs": st.lists(st.sampled_from([STREAM, {"future": {}}]), max_size=1),
    },
)


@given(old=fields, new=fields)
def test_applying_the_computed_mask_gives_the_new_resource(old: dict[str, Any], new: dict[str, Any]) -> None:
    """compute and apply are each other's inverse."""
    mask = compute_mask(old, new)
    if mask:
        assert apply_mask(old, new, mask, ALLOWED) == new
    else:
        assert old == new


def test_a_store_is_patched_as_a_server_does() -> None:
    """The body may carry another name, in either spelling of the rest; the result is a checked store."""
    store = DicomStore(name="projects/p/locations/l/datasets/d/dicomStores/s", labels={"a": "1"})
    patched = store.patched({"name": "other", "stream_configs": [STREAM]}, "streamConfigs")
    assert patched.name == store.name
    assert patched.labels == {"a": "1"}
    assert patched.to_api()["streamConfigs"] == [STREAM]
    assert store.stream_configs is None


def test_a_patch_that_would_break_a_rule_is_refused() -> None:
    """What counts is the store as it would be."""
    store = DicomStore.from_api({"notificationConfig": {"pubsubTopic": TOPIC}})
    body = {"notificationConfigs": [{"pubsubTopic": TOPIC}]}
    with pytest.raises(InvalidArgument, match="not compatible"):
        store.patched(body, "notificationConfigs")
    assert store.patched(body, "notificationConfig,notificationConfigs").notification_config is None
    with pytest.raises(InvalidArgument, match='Unknown name "output_config"'):
        store.patched({"output_config": {}}, "labels")
    with pytest.raises(InvalidArgument, match="must be a JSON object"):
        store.patched([], "labels")
    full = DicomStore(labels={f"k{n}": "" for n in range(64)})
    with pytest.raises(InvalidArgument, match="at most 64 labels"):
        full.patched({"labels": {"more": ""}}, "labels.more")


def test_a_dataset_says_what_can_be_changed() -> None:
    """The time zone can, the name cannot."""
    assert apply_mask({"name": "n"}, {"timeZone": "UTC"}, "time_zone", Dataset.MASK_PATHS) == {
        "name": "n",
        "timeZone": "UTC",
    }
    with pytest.raises(InvalidArgument, match="updateMask"):
        apply_mask({}, {}, "name", Dataset.MASK_PATHS)
