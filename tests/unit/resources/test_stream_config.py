"""Rules of stream configs and of the BigQuery destination in them."""

from __future__ import annotations

from typing import Any

import pytest

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.errors import InvalidArgument
from dicomkit.resources.bigquery_destination import BigQueryDestination
from dicomkit.resources.dicom_store import DicomStore
from dicomkit.resources.stream_config import StreamConfig, stream_configs_from


def uri_of(characters: int) -> str:
    """A table URI of that many characters, each part within its own limit."""
    table = "t" * 1000
    dataset = "d" * (characters - len("bq://p..") - len(table))
    return f"bq://p.{dataset}.{table}"


def test_a_table_uri_may_have_2000_characters_and_no_more() -> None:
    """BigQueryDestination.tableUri: up to 2000 characters long."""
    assert BigQueryDestination(table_uri=uri_of(2000)).table.project == "p"
    with pytest.raises(InvalidArgument, match="^tableUri: must have at most 2000 characters, it has 2001"):
        BigQueryDestination(table_uri=uri_of(2001))


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "p.d.t",
        "bq://p.d",
        "bq://p",
        "bq://",
        "gs://p.d.t",
        "bq://p.d.`t`",
        "bq://p.d.t\n",
        "bq://p..t",
        "bq://p.d-e.t",
    ],
)
def test_a_table_uri_of_another_form_is_refused(uri: str) -> None:
    """The form is bq://projectId.bqDatasetId.tableId, and the message says so by the field's path."""
    with pytest.raises(InvalidArgument, match="^bigqueryDestination.tableUri: "):
        StreamConfig.from_api({"bigqueryDestination": {"tableUri": uri}})


def test_a_destination_needs_a_table() -> None:
    """A config without a table has nowhere to stream to."""
    with pytest.raises(InvalidArgument, match="^tableUri: is required; write bq://project.dataset.table"):
        BigQueryDestination()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tableUri", 5),
        ("tableUri", ["bq://p.d.t"]),
        ("force", "true"),
        ("force", 1),
        ("writeDisposition", "APPEND"),
        ("writeDisposition", "write_append"),
        ("writeDisposition", 3),
        ("writeDisposition", ["WRITE_APPEND"]),
        ("includeSourceStore", "yes"),
        ("includeSourceStore", {}),
        ("schemaFlattened", True),
        ("schemaJson", []),
        ("schemaJson", "{}"),
    ],
)
def test_a_destination_field_of_the_wrong_type_is_named(field: str, value: object) -> None:
    """InvalidArgument with the field's JSON name first."""
    with pytest.raises(InvalidArgument, match=f"^{field}: must be"):
        BigQueryDestination.from_api({"tableUri": "bq://p.d.t"} | {field: value})


def test_flattened_and_json_schema_exclude_each_other() -> None:
    """schemaFlattened and schemaJson are a oneof."""
    with pytest.raises(InvalidArgument, match="schemaJson: must not be set together with schemaFlattened"):
        BigQueryDestination(table_uri="bq://p.d.t", schema_flattened={}, schema_json={})


@pytest.mark.parametrize(
    ("fields", "schema"), [({}, "flattened"), ({"schemaFlattened": {}}, "flattened"), ({"schemaJson": {}}, "json")]
)
def test_the_table_layout_is_flattened_unless_json_is_asked_for(fields: dict[str, Any], schema: str) -> None:
    """An empty message says something by being there."""
    assert BigQueryDestination.from_api({"tableUri": "bq://p.d.t", **fields}).schema == schema


@pytest.mark.parametrize(
    ("fields", "disposition"),
    [
        ({}, "WRITE_EMPTY"),
        ({"force": False}, "WRITE_EMPTY"),
        ({"force": True}, "WRITE_TRUNCATE"),
        ({"writeDisposition": "WRITE_DISPOSITION_UNSPECIFIED"}, "WRITE_EMPTY"),
        ({"writeDisposition": "WRITE_DISPOSITION_UNSPECIFIED", "force": True}, "WRITE_TRUNCATE"),
        ({"writeDisposition": "WRITE_APPEND", "force": True}, "WRITE_APPEND"),
        ({"writeDisposition": "WRITE_EMPTY", "force": True}, "WRITE_EMPTY"),
        ({"writeDisposition": "WRITE_TRUNCATE", "force": False}, "WRITE_TRUNCATE"),
    ],
)
def test_a_specified_disposition_wins_over_force(fields: dict[str, Any], disposition: str) -> None:
    """If writeDisposition is specified, the force parameter is ignored."""
    assert BigQueryDestination.from_api({"tableUri": "bq://p.d.t", **fields}).disposition == disposition


def test_a_config_without_a_destination_is_refused() -> None:
    """Each config must name a destination; null is none."""
    for config in ({}, {"bigqueryDestination": None}):
        with pytest.raises(InvalidArgument, match="^bigqueryDestination: is required"):
            StreamConfig.from_api(config)


def test_a_config_we_do_not_understand_survives_a_save() -> None:
    """A destination of a later API version is kept as it is, and is no duplicate of anything."""
    wire = {"streamConfigs": [{"futureDestination": {"uri": "x"}}, {"futureDestination": {"uri": "x"}}]}
    store = DicomStore.from_api(wire)
    assert store.to_api() == wire
    assert store.stream_configs is not None
    assert store.stream_configs[0].table is None


def test_change_data_capture_of_the_beta_passes_through() -> None:
    """changeDataCaptureConfig is a field of v1beta1; a client of v1 keeps it."""
    wire = {"bigqueryDestination": {"tableUri": "bq://p.d.t", "schemaJson": {}, "changeDataCaptureConfig": {"a": [1]}}}
    assert StreamConfig.from_api(wire).to_api() == wire


def test_five_stream_configs_are_taken_and_six_are_not() -> None:
    """At most five configs a store."""
    uris = [f"bq://p.d.t{n}" for n in range(6)]
    store = DicomStore(stream_configs=stream_configs_from(uris[:5]))
    assert store.stream_configs is not None
    assert [str(c.table) for c in store.stream_configs] == [f"p.d.t{n}" for n in range(5)]
    with pytest.raises(InvalidArgument, match="^streamConfigs: must be at most 5 configs, 6 were given"):
        DicomStore(stream_configs=stream_configs_from(uris))


@pytest.mark.parametrize(
    "second",
    [
        StreamConfig.to_table("bq://p.d.t"),
        StreamConfig.to_table("bq://p.d.t", write_disposition="WRITE_APPEND"),
        StreamConfig.to_table("bq://p.d.t", schema_json={}),
        StreamConfig.to_table("bq://P.d.t"),
    ],
)
def test_two_configs_of_one_table_are_refused(second: StreamConfig) -> None:
    """The destination is the table, whatever else the configs say about it."""
    first = StreamConfig.to_table("bq://p.d.t", include_source_store=True)
    between = StreamConfig.to_table("bq://p.d.u")
    with pytest.raises(
        InvalidArgument, match=r"^streamConfigs\[2\].bigqueryDestination.tableUri: .*streamConfigs\[0\]"
    ):
        DicomStore(stream_configs=(first, between, second))


@pytest.mark.parametrize("other", ["bq://p.d.T", "bq://p.D.t", "bq://q.d.t", "bq://p.d.t2", "bq://p.dt.t"])
def test_two_tables_of_like_names_are_two_destinations(other: str) -> None:
    """Dataset and table ids of BigQuery are case-sensitive."""
    store = DicomStore(stream_configs=stream_configs_from(["bq://p.d.t", other]))
    assert store.stream_configs is not None
    assert len({config.table for config in store.stream_configs}) == 2


def test_a_stream_config_is_made_of_a_table_uri() -> None:
    """The short form and the long form are one value."""
    long = StreamConfig(bigquery_destination=BigQueryDestination(table_uri="bq://p.d.t"))
    assert stream_configs_from("bq://p.d.t") == (long,)
    assert stream_configs_from(long) == (long,)
    assert stream_configs_from([long, "bq://p.d.u"]) == (long, StreamConfig.to_table("bq://p.d.u"))
    assert stream_configs_from([]) == ()
    assert long.table == TableReference("p", "d", "t")
    assert long.to_api() == {"bigqueryDestination": {"tableUri": "bq://p.d.t"}}


@pytest.mark.parametrize(
    "like", [None, 5, {"bigqueryDestination": {}}, [None], ["bq://p.d.t", 5], b"bq://p.d.t", "p.d.t"]
)
def test_what_is_no_stream_config_is_refused_by_position(like: Any) -> None:
    """The message says which entry, and what to write."""
    with pytest.raises(InvalidArgument, match=r"^streamConfigs\[\d\].*bq://project.dataset.table"):
        stream_configs_from(like)
