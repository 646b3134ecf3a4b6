"""The JSON of resources: what survives, what is refused, and with which words."""

from __future__ import annotations

import copy
import dataclasses
import importlib.resources
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomkit.errors import InvalidArgument, from_body, to_body
from dicomkit.resources import violations
from dicomkit.resources._wire import Resource
from dicomkit.resources.bigquery_destination import WRITE_DISPOSITIONS, BigQueryDestination
from dicomkit.resources.dataset import Dataset, EncryptionSpec
from dicomkit.resources.dicom_store import DicomStore
from dicomkit.resources.notification import DicomNotificationConfig, NotificationConfig
from dicomkit.resources.operation import Operation
from dicomkit.resources.stream_config import StreamConfig

WHOLE = {
    "name": "projects/p/locations/l/datasets/d/dicomStores/s",
    "labels": {"env": "prod", "count": ""},
    "notificationConfig": {"pubsubTopic": "projects/p/topics/abc", "sendForBulkImport": True},
    "streamConfigs": [
        {
            "bigqueryDestination": {
                "tableUri": "bq://p.d.t",
                "force": True,
                "writeDisposition": "WRITE_APPEND",
                "includeSourceStore": True,
                "schemaJson": {},
            }
        }
    ],
}
"""A store with every field but the two that exclude others."""

RESOURCES = [
    BigQueryDestination,
    Dataset,
    DicomNotificationConfig,
    DicomStore,
    EncryptionSpec,
    NotificationConfig,
    Operation,
    StreamConfig,
]

SCHEMAS = {
    BigQueryDestination: "GoogleCloudHealthcareV1DicomBigQueryDestination",
    StreamConfig: "GoogleCloudHealthcareV1DicomStreamConfig",
}
"""Schema in Google's discovery document, where it is not named like the class."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def discovery() -> dict[str, Any]:
    """Google's own description of the API, from the wheel of google-api-python-client."""
    documents = importlib.resources.files("googleapiclient") / "discovery_cache" / "documents"
    schemas: dict[str, Any] = json.loads((documents / "healthcare.v1.json").read_text("utf-8"))["schemas"]
    return schemas


def wire_names(cls: type[Resource]) -> set[str]:
    """The JSON names of a resource's fields, spelled here anew."""
    words = [f.name.split("_") for f in dataclasses.fields(cls) if f.name != "extra"]
    return {head + "".join(map(str.capitalize, rest)) for head, *rest in words}


def unknown(*classes: type[Resource]) -> st.SearchStrategy[dict[str, Any]]:
    """Fields that none of the classes has."""
    taken = {f.name for cls in classes for f in dataclasses.fields(cls)} | {n for c in classes for n in wire_names(c)}
    return st.dictionaries(st.text(max_size=10).filter(lambda key: key not in taken), json_values, max_size=2)


def wire(cls: type[Resource], fields: dict[str, st.SearchStrategy[Any]], **required: st.SearchStrategy[Any]) -> Any:
    """JSON of *cls*: any of *fields*, all of *required*, null here and there, and unknown fields beside them."""
    some = {key: value | st.none() for key, value in fields.items()}
    return st.builds(
        lambda known, extra: {**known, **extra}, st.fixed_dictionaries(required, optional=some), unknown(cls)
    )


topics = st.from_regex(r"projects/[a-z]{1,5}/topics/[a-f][a-z]{2,9}", fullmatch=True)
labels = st.dictionaries(
    st.from_regex(r"[a-zé環][a-zé環0-9_-]{0,9}", fullmatch=True),
    st.from_regex(r"[a-z0-9_-]{0,9}", fullmatch=True),
    max_size=3,
)
destinations = wire(
    BigQueryDestination,
    {
        "force": st.booleans(),
        "writeDisposition": st.sampled_from(WRITE_DISPOSITIONS),
        "includeSourceStore": st.booleans(),
        "schemaJson": unknown(),
    },
    tableUri=st.from_regex(r"bq://[a-z]{1,9}\.[a-z_]{1,9}\.[a-z0-9_]{1,30}", fullmatch=True),
)
stream_configs = st.lists(
    wire(StreamConfig, {}, bigqueryDestination=destinations),
    max_size=5,
    unique_by=lambda c: c["bigqueryDestination"]["tableUri"],
)
stores = wire(
    DicomStore,
    {
        "name": st.just(WHOLE["name"]) | st.just(""),
        "labels": labels,
        "notificationConfigs": st.lists(wire(DicomNotificationConfig, {}, pubsubTopic=topics), max_size=2),
        "streamConfigs": stream_configs,
    },
) | wire(
    DicomStore,
    {"notificationConfig": wire(NotificationConfig, {"pubsubTopic": topics, "sendForBulkImport": st.booleans()})},
)


@given(stores)
def test_json_survives_a_round_trip_with_unknown_fields_at_every_level(data: dict[str, Any]) -> None:
    """What was read is written, null and empty and unknown included, and reads as the same value again."""
    store = DicomStore.from_api(data)
    assert store.to_api() == data
    assert DicomStore.from_api(store.to_api()) == store
    assert DicomStore.from_api(json.loads(json.dumps(store.to_api()))) == store


@given(stores)
def test_a_repr_is_the_code_that_makes_the_value(data: dict[str, Any]) -> None:
    """A form can show it as the equivalent code."""
    store = DicomStore.from_api(data)
    assert eval(repr(store), {cls.__name__: cls for cls in RESOURCES}) == store


@given(stores)
def test_an_answer_without_defaults_means_the_same_store(data: dict[str, Any]) -> None:
    """Leaving out defaults is idempotent and loses no set value."""
    short = DicomStore.from_api(data).to_api(omit_defaults=True)
    assert DicomStore.from_api(short).to_api(omit_defaults=True) == short
    kept = {key for key, value in data.items() if value not in (None, "", [], {})}
    assert kept <= set(short)


@pytest.mark.parametrize("cls", RESOURCES, ids=lambda cls: cls.__name__)
def test_a_resource_has_the_fields_of_the_discovery_document(cls: type[Resource]) -> None:
    """Google's own list of fields is the oracle."""
    schema = discovery()[SCHEMAS.get(cls, cls.__name__)]
    assert wire_names(cls) == set(schema["properties"])


def test_the_write_dispositions_are_those_of_the_discovery_document() -> None:
    """In its order."""
    schema = discovery()[SCHEMAS[BigQueryDestination]]["properties"]["writeDisposition"]
    assert list(WRITE_DISPOSITIONS) == schema["enum"]


def test_snake_case_is_read_and_camel_case_is_written() -> None:
    """Request JSON: camelCase and snake_case are both accepted."""
    snake = {
        "notification_config": {"pubsub_topic": "projects/p/topics/abc", "send_for_bulk_import": False},
        "stream_configs": [{"bigquery_destination": {"table_uri": "bq://p.d.t", "include_source_store": True}}],
    }
    assert DicomStore.from_api(snake, strict=True).to_api() == {
        "notificationConfig": {"pubsubTopic": "projects/p/topics/abc", "sendForBulkImport": False},
        "streamConfigs": [{"bigqueryDestination": {"tableUri": "bq://p.d.t", "includeSourceStore": True}}],
    }


def test_a_field_in_both_spellings_is_refused() -> None:
    """Nothing says which of the two was meant."""
    with pytest.raises(InvalidArgument, match="^streamConfigs: must not be given twice"):
        DicomStore.from_api({"streamConfigs": [], "stream_configs": []})


def test_unset_empty_and_null_are_three_values() -> None:
    """A PATCH treats them differently."""
    unset, empty, null = (DicomStore.from_api(data) for data in ({}, {"labels": {}}, {"labels": None}))
    assert unset != empty != null != unset
    assert (unset.labels, empty.labels, null.labels) == (None, {}, None)
    assert [s.to_api() for s in (unset, empty, null)] == [{}, {"labels": {}}, {"labels": None}]
    assert null.replace(labels={"a": ""}).to_api() == {"labels": {"a": ""}}


def test_an_answer_leaves_out_fields_of_default_value() -> None:
    """Proto3 JSON: false, "", [], {} of a map, the first enum value; a message that is set stays, even empty."""
    store = DicomStore.from_api(
        {
            "name": WHOLE["name"],
            "labels": {},
            "notificationConfigs": [],
            "notificationConfig": {"pubsubTopic": "", "sendForBulkImport": False},
            "streamConfigs": [
                {
                    "bigqueryDestination": {
                        "tableUri": "bq://p.d.t",
                        "force": False,
                        "writeDisposition": "WRITE_DISPOSITION_UNSPECIFIED",
                        "includeSourceStore": False,
                        "schemaFlattened": {},
                        "schemaJson": None,
                    }
                }
            ],
        }
    )
    assert store.to_api(omit_defaults=True) == {
        "name": WHOLE["name"],
        "notificationConfig": {},
        "streamConfigs": [{"bigqueryDestination": {"tableUri": "bq://p.d.t", "schemaFlattened": {}}}],
    }
    assert DicomStore.from_api(WHOLE).to_api(omit_defaults=True) == WHOLE


def test_a_server_refuses_an_unknown_name_in_googles_words() -> None:
    """The answer that GoogleCloudPlatform/healthcare#133 shows, message and details."""
    message = 'Invalid JSON payload received. Unknown name "output_config": Cannot find field.'
    with pytest.raises(InvalidArgument) as caught:
        DicomStore.from_api({"output_config": {}}, strict=True)
    assert to_body(caught.value) == {
        "error": {
            "code": 400,
            "message": message,
            "status": "INVALID_ARGUMENT",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"description": message}]}
            ],
        }
    }


def test_a_server_names_every_unknown_field_and_where_it_is() -> None:
    """At every level, the place in snake_case as Google's parser writes it."""
    body = {
        "a": 1,
        "streamConfigs": [
            {"bigqueryDestination": {"tableUri": "bq://p.d.t", "b": 1, "schemaJson": {"c": 1}}},
            {"d": 1, "bigqueryDestination": {"tableUri": "bq://p.d.u"}},
        ],
        "notificationConfig": {"e": 1},
    }
    with pytest.raises(InvalidArgument) as caught:
        DicomStore.from_api(body, strict=True)
    assert caught.value.message.splitlines() == [
        'Invalid JSON payload received. Unknown name "a": Cannot find field.',
        'Invalid JSON payload received. Unknown name "b" at '
        "'stream_configs[0].bigquery_destination': Cannot find field.",
        'Invalid JSON payload received. Unknown name "c" at '
        "'stream_configs[0].bigquery_destination.schema_json': Cannot find field.",
        "Invalid JSON payload received. Unknown name \"d\" at 'stream_configs[1]': Cannot find field.",
        "Invalid JSON payload received. Unknown name \"e\" at 'notification_config': Cannot find field.",
    ]
    assert DicomStore.from_api(body).to_api() == body


def test_a_server_takes_every_known_field_and_any_label() -> None:
    """Keys of a map are no field names."""
    assert DicomStore.from_api(WHOLE, strict=True).to_api() == WHOLE


def test_a_hostile_name_neither_breaks_a_line_nor_fills_the_log() -> None:
    """Escaped and cut."""
    with pytest.raises(InvalidArgument) as caught:
        DicomStore.from_api({"a\nERROR forged\u2028\x1b[31m" + "x" * 10_000: 1}, strict=True)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 250


@given(json_values)
def test_any_json_is_read_or_refused_but_never_crashes(value: object) -> None:
    """JSON of the wrong type is an InvalidArgument wherever it stands."""
    bodies: list[Any] = [
        value,
        [value],
        {"bigqueryDestination": value},
        {"tableUri": "bq://p.d.t", "schemaJson": value},
    ]
    bodies += [{name: value} for cls in RESOURCES for name in wire_names(cls)]
    bodies += [
        {"labels": {"k": value}},
        {"streamConfigs": [value]},
        {"streamConfigs": [{"bigqueryDestination": value}]},
    ]
    for cls in RESOURCES:
        for body in bodies:
            for strict in (False, True):
                try:
                    cls.from_api(body, strict=strict)
                except InvalidArgument as error:
                    assert from_body(to_body(error)) == error


@given(json_values.filter(lambda v: v is not None and not isinstance(v, str)))
def test_a_wrong_type_is_named_by_its_path(value: object) -> None:
    """As deep as it is."""
    with pytest.raises(
        InvalidArgument, match=r"^streamConfigs\[1\]\.bigqueryDestination\.tableUri: must be a string, not"
    ):
        DicomStore.from_api(
            {
                "streamConfigs": [
                    {"bigqueryDestination": {"tableUri": "bq://p.d.t"}},
                    {"bigqueryDestination": {"tableUri": value}},
                ]
            }
        )


@pytest.mark.parametrize("data", [None, [], "x", 5, True, [{}]])
def test_a_body_that_is_no_object_is_refused(data: object) -> None:
    """With what was found and what to write."""
    with pytest.raises(InvalidArgument, match="^the resource must be a JSON object, not "):
        DicomStore.from_api(data, strict=True)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), b"x", {1: 2}, {"a": {1, 2}}, object(), "\udc00", {"\udc00": 1}]
)
def test_what_has_no_json_form_is_refused(value: object) -> None:
    """Nothing is kept that could not be sent."""
    with pytest.raises(InvalidArgument):
        DicomStore(extra={"future": value})


def test_deep_nesting_is_refused_before_it_exhausts_the_stack() -> None:
    """Protobuf's parsers stop at 100 levels, too."""
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    for body in ({"future": deep}, {"labels": deep}, {"labels": {"a": deep}}, {"streamConfigs": deep}):
        with pytest.raises(InvalidArgument, match="must not be nested deeper than 100 levels"):
            DicomStore.from_api(body)
    # The interpreter frees the lists one inside the other; undo that, lest it be slow.
    while isinstance(deep, list):
        deep = deep.pop()


def test_extra_cannot_hide_a_known_field() -> None:
    """It would get around the rules of that field."""
    for key in ("streamConfigs", "stream_configs"):
        with pytest.raises(InvalidArgument, match=f"^extra.{key}: is a field of its own; give it as stream_configs="):
            DicomStore(extra={key: []})


def test_an_error_tells_a_form_which_field_it_is_about() -> None:
    """violations() gives path and text apart, also after the way over the wire."""
    with pytest.raises(InvalidArgument) as caught:
        DicomStore.from_api({"streamConfigs": [{"bigqueryDestination": {"tableUri": "bq://p.d.t", "force": 1}}]})
    again = from_body(json.loads(json.dumps(to_body(caught.value))))
    assert again == caught.value
    assert isinstance(again, InvalidArgument)
    assert violations(again) == [
        (
            "streamConfigs[0].bigqueryDestination.force",
            "must be true or false, not a number; write it without quotes",
        )
    ]
    assert violations(InvalidArgument("other")) == [("", "other")]


@pytest.mark.parametrize("listed", [{}, *({"fieldViolations": value} for value in (None, 5, "x", {}, [], [None, "x"]))])
def test_details_without_violations_are_no_obstacle(listed: dict[str, Any]) -> None:
    """Another server's error may carry less."""
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest"} | listed]
    assert violations(InvalidArgument("text", details=details)) == [("", "text")]


def test_a_resource_is_a_value() -> None:
    """Frozen, slotted, keyword-only, equal by content, copied and pickled whole."""
    store = DicomStore.from_api(WHOLE)
    assert store == DicomStore.from_api(WHOLE)
    assert copy.deepcopy(store) == store
    assert pickle.loads(pickle.dumps(store)) == store
    assert not hasattr(store, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        store.labels = {}  # type: ignore[misc]
    with pytest.raises(TypeError):
        DicomStore("name")  # type: ignore[misc]
    with pytest.raises(TypeError, match="colour"):
        DicomStore(colour="red")  # type: ignore[call-arg]
