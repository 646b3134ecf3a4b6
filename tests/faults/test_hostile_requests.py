"""No request is an error of the server: wrong bodies, queries and headers for every route, and bodies gone wrong in
one place each.

What may be answered is 2xx, 3xx, 4xx, or 501 for a method that is missing anyway (``handlers/unimplemented.py``).
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import Client, EnvironBuilder

from dicomkit.engine import Engine
from dicomkit.engine.handlers import all_routes
from dicomkit.engine.routes import Route
from tests.faults.hostile import HEADERS, JSON_BODIES, QUERY_VALUES, variants
from tests.unit.engine.factories import DATASET, PARENT, STORE, WEB, Instance, client, instance, store

TABLE = "/bigquery/v2/projects/local/datasets/default/tables/t"
FIELDS = [
    {"name": "a", "type": "STRING", "mode": "NULLABLE", "description": "x"},
    {"name": "b", "type": "RECORD", "mode": "REPEATED", "fields": [{"name": "c", "type": "FLOAT64"}]},
]
STREAM = {
    "bigqueryDestination": {
        "tableUri": "bq://local.imaging.t",
        "writeDisposition": "WRITE_APPEND",
        "schemaFlattened": {},
        "includeSourceStore": True,
    }
}
DEIDENTIFY = {
    "dicom": {"filterProfile": "ATTRIBUTE_CONFIDENTIALITY_BASIC_PROFILE", "skipIdRedaction": True},
    "text": {"transformations": [{"infoTypes": ["PERSON_NAME"], "dateShiftConfig": {"cryptoKey": "A" * 44}}]},
    "image": {"textRedactionMode": "REDACT_NO_TEXT"},
}
POLICY = {"version": 3, "etag": "AAAA", "bindings": [{"role": "roles/healthcare.dicomViewer", "members": ["allUsers"]}]}
QUERY = {
    "query": "SELECT @a AS a, b FROM UNNEST([1, 2]) AS b",
    "useLegacySql": False,
    "parameterMode": "NAMED",
    "queryParameters": [
        {"name": "a", "parameterType": {"type": "STRING"}, "parameterValue": {"value": "x"}},
    ],
    "maxResults": 1,
    "timeoutMs": 1000,
    "defaultDataset": {"projectId": "local", "datasetId": "default"},
    "formatOptions": {"useInt64Timestamp": True},
    "labels": {"a": "b"},
    "maximumBytesBilled": "1000",
    "requestId": "r",
}

BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", f"{PARENT}/datasets?datasetId=x1"): {"name": "x", "timeZone": "UTC", "encryptionSpec": {"kmsKeyName": ""}},
    ("PATCH", f"{DATASET}?updateMask=timeZone"): {"timeZone": "UTC"},
    ("POST", f"{DATASET}/dicomStores?dicomStoreId=x2"): {
        "labels": {"a": "b"},
        "notificationConfig": {"pubsubTopic": "projects/local/topics/t", "sendForBulkImport": True},
        "notificationConfigs": [{"pubsubTopic": "projects/local/topics/t", "sendForBulkImport": True}],
        "streamConfigs": [STREAM],
    },
    ("PATCH", f"{STORE}?updateMask=labels,streamConfigs,notificationConfig"): {
        "labels": {"a": "b"},
        "notificationConfig": {"pubsubTopic": "projects/local/topics/t", "sendForBulkImport": True},
        "streamConfigs": [STREAM],
    },
    ("POST", f"{STORE}:import"): {
        "gcsSource": {"uri": "gs://bucket/none/*.dcm"},
        "blobStorageSettings": {"blobStorageClass": "STANDARD"},
    },
    ("POST", f"{STORE}:export"): {
        "gcsDestination": {"uriPrefix": "gs://bucket/x", "mimeType": "application/dicom"},
        "filterConfig": {"resourcePathsGcsUri": "gs://bucket/x.txt"},
    },
    ("POST", f"{STORE}:export?x"): {
        "bigqueryDestination": {**STREAM["bigqueryDestination"], "force": True},
        "filterConfig": {"resourcePathsGcsUri": "gs://bucket/x.txt"},
    },
    ("POST", f"{STORE}:setBlobStorageSettings"): {
        "blobStorageSettings": {"blobStorageClass": "NEARLINE"},
        "filterConfig": {"resourcePathsGcsUri": "gs://bucket/x.txt"},
    },
    ("POST", f"{DATASET}:deidentify"): {"destinationDataset": f"{PARENT[4:]}/datasets/none", "config": DEIDENTIFY},
    ("POST", f"{STORE}:deidentify"): {
        "destinationStore": f"{DATASET[4:]}/dicomStores/none",
        "config": DEIDENTIFY,
        "filterConfig": {"resourcePathsGcsUri": "gs://bucket/x.txt"},
    },
    ("POST", f"/dicomkit{STORE}:previewDeidentify"): {"config": DEIDENTIFY, "studyInstanceUid": "1.2"},
    ("POST", f"{STORE}:setIamPolicy"): {"policy": POLICY, "updateMask": "bindings"},
    ("POST", f"{DATASET}:setIamPolicy"): {"policy": POLICY, "updateMask": "bindings"},
    ("POST", f"{STORE}:testIamPermissions"): {"permissions": ["healthcare.dicomStores.get"]},
    ("POST", f"/dicomkit{STORE}:drainStreams"): {"timeoutSeconds": 0.01},
    ("POST", "/bigquery/v2/projects/local/datasets"): {
        "datasetReference": {"projectId": "local", "datasetId": "x3"},
        "description": "x",
        "friendlyName": "x",
        "labels": {"a": "b"},
        "location": "US",
        "defaultTableExpirationMs": "3600000",
    },
    ("PATCH", "/bigquery/v2/projects/local/datasets/default"): {"description": "x", "labels": {"a": "b"}, "etag": "x"},
    ("POST", "/bigquery/v2/projects/local/datasets/default/tables"): {
        "tableReference": {"projectId": "local", "datasetId": "default", "tableId": "x4"},
        "schema": {"fields": FIELDS},
        "description": "x",
        "labels": {"a": "b"},
        "view": {"query": "SELECT 1 AS a", "useLegacySql": False},
        "timePartitioning": {"type": "DAY", "field": "a", "expirationMs": "1"},
        "clustering": {"fields": ["a"]},
    },
    ("PATCH", TABLE): {"schema": {"fields": FIELDS}, "description": "x", "labels": {"a": "b"}, "etag": "x"},
    ("PUT", TABLE): {"schema": {"fields": FIELDS}, "friendlyName": "x", "expirationTime": "99999999999999"},
    ("POST", f"{TABLE}/insertAll"): {
        "rows": [{"insertId": "1", "json": {"a": "x", "b": [{"c": 1.5}]}}],
        "skipInvalidRows": True,
        "ignoreUnknownValues": True,
        "templateSuffix": "",
    },
    ("POST", "/bigquery/v2/projects/local/queries"): QUERY,
    ("POST", "/bigquery/v2/projects/local/jobs"): {
        "jobReference": {"projectId": "local", "jobId": "j1", "location": "US"},
        "configuration": {
            "query": {
                **{name: QUERY[name] for name in ("query", "useLegacySql", "queryParameters", "parameterMode")},
                "destinationTable": {"projectId": "local", "datasetId": "default", "tableId": "x5"},
                "writeDisposition": "WRITE_TRUNCATE",
                "createDisposition": "CREATE_IF_NEEDED",
                "priority": "INTERACTIVE",
                "defaultDataset": {"projectId": "local", "datasetId": "default"},
            },
            "dryRun": True,
            "labels": {"a": "b"},
            "jobTimeoutMs": "1000",
        },
    },
    ("POST", "/bigquery/v2/projects/local/jobs?copy"): {
        "configuration": {
            "copy": {
                "sourceTable": {"projectId": "local", "datasetId": "default", "tableId": "t"},
                "sourceTables": [{"projectId": "local", "datasetId": "default", "tableId": "t"}],
                "destinationTable": {"projectId": "local", "datasetId": "default", "tableId": "x7"},
                "writeDisposition": "WRITE_TRUNCATE",
                "createDisposition": "CREATE_IF_NEEDED",
                "operationType": "COPY",
            }
        },
    },
    ("POST", "/bigquery/v2/projects/local/jobs?extract"): {
        "configuration": {
            "extract": {
                "sourceTable": {"projectId": "local", "datasetId": "default", "tableId": "t"},
                "destinationUris": ["gs://bucket/x-*.csv"],
                "destinationFormat": "CSV",
                "fieldDelimiter": ",",
                "printHeader": True,
                "compression": "NONE",
            }
        },
    },
    ("POST", "/bigquery/v2/projects/local/jobs?load"): {
        "configuration": {
            "load": {
                "sourceUris": ["gs://bucket/none.csv"],
                "destinationTable": {"projectId": "local", "datasetId": "default", "tableId": "x8"},
                "schema": {"fields": FIELDS},
                "sourceFormat": "NEWLINE_DELIMITED_JSON",
            }
        },
    },
    ("POST", "/upload/bigquery/v2/projects/local/jobs?uploadType=multipart"): {
        "jobReference": {"projectId": "local", "location": "US"},
        "configuration": {
            "load": {
                "destinationTable": {"projectId": "local", "datasetId": "default", "tableId": "x6"},
                "sourceFormat": "CSV",
                "schema": {"fields": FIELDS},
                "skipLeadingRows": "1",
                "autodetect": True,
                "writeDisposition": "WRITE_TRUNCATE",
                "fieldDelimiter": ",",
                "quote": '"',
                "nullMarker": "",
                "maxBadRecords": 1,
                "encoding": "UTF-8",
                "schemaUpdateOptions": ["ALLOW_FIELD_ADDITION"],
            }
        },
    },
}
"""A body for each method that takes one, with every field that it knows."""

PARAMETERS = (
    *("pageSize", "pageToken", "filter", "updateMask", "datasetId", "dicomStoreId", "view", "limit", "offset"),
    *("includefield", "fuzzymatching", "StudyDate", "PatientName", "00100020", "ModalitiesInStudy", "accept", "alt"),
    *("viewport", "prettyPrint", "options.requestedPolicyVersion", "maxResults", "startIndex", "uploadType", "max"),
    *("upload_id", "timeoutMs", "timeoutSeconds", "deleteContents", "selectedFields", "stateFilter", "projection"),
    *("SliceThickness", "StudyTime", "AcquisitionDateTime", "SeriesNumber", "OtherPatientIDsSequence.PatientID"),
    *("formatOptions.useInt64Timestamp", "location", "0009xx01[X]"),
)
"""Query parameters that some method looks at."""


SHARE = 1 if "DICOMKIT_TEST_LONG" in os.environ else 41
"""One of so many pairs of a parameter and a value is tried on a route, others on the next one."""

HEADER_SHARE = 1 if "DICOMKIT_TEST_LONG" in os.environ else 5
"""One of so many headers."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Instance]]:
    """An engine with a dataset, a store, an instance and a table; what a request deletes is made again."""
    with Engine(tmp_path_factory.mktemp("hostile") / "home") as engine:
        http, one = client(engine), instance()
        _furnish(http, one)
        yield http, one


def _furnish(http: Client, one: Instance) -> None:
    http.post(f"{PARENT}/datasets?datasetId=default")
    http.post(f"{DATASET}/dicomStores?dicomStoreId=ct", json={})
    store(http, one)
    http.post("/bigquery/v2/projects/local/datasets", json={"datasetReference": {"datasetId": "default"}})
    http.post(f"{TABLE.rpartition('/')[0]}", json={"tableReference": {"tableId": "t"}, "schema": {"fields": FIELDS}})


def _path(rule: str, one: Instance) -> str:
    values = {
        **{"project": "local", "location": "local", "dataset": "default", "store": "ct", "path:bulk": "7FE00010"},
        **{"study": one.study, "series": one.series, "instance": one.uid, "frames": "1"},
        **{"table": "t", "job": "j", "operation": "1", "topic": "t"},
    }
    return re.sub(r"<([^>]+)>", lambda match: values[match[1]], rule)


def _status(http: Client, verb: str, path: str, query: str = "", body: bytes = b"", **environ: str) -> int:
    """Status of a request that no client library would write."""
    built = EnvironBuilder(method=verb, path=path, data=body, content_type="application/json").get_environ()
    answer = http.open({**built, "QUERY_STRING": query, **environ})
    answer.get_data()
    return answer.status_code


def _multipart(resource: bytes) -> bytes:
    """The body of an upload: the job's resource, and a table of a row."""
    heads = b"--b\r\nContent-Type: application/json\r\n\r\n", b"\r\n--b\r\nContent-Type: text/csv\r\n\r\n"
    return heads[0] + resource + heads[1] + b"a,b\n1,\n\r\n--b--\r\n"


def _is_fine(status: int) -> bool:
    return status < 500 or status == 501


def _each_route(http: Client, one: Instance, cases: Callable[[Route], Iterator[tuple[str, dict[str, Any]]]]) -> None:
    wrong, count = [], 0
    for route in all_routes():
        path = _path(route.rule, one)
        for what, options in cases(route):
            status = _status(http, route.verb, path, **options)
            count += 1
            if not _is_fine(status):
                wrong.append(f"{status} {route.method_id}: {what}")
            if route.verb == "DELETE":
                _furnish(http, one)
    assert wrong == []
    assert count > len(all_routes())


def test_no_query_value_is_an_error_of_the_server(place: tuple[Client, Instance]) -> None:
    """Every parameter that some method reads, on each route that reads."""

    turn = itertools.count()

    def cases(route: Route) -> Iterator[tuple[str, dict[str, Any]]]:
        if route.verb == "GET":
            pairs = list(itertools.product(PARAMETERS, QUERY_VALUES))
            for name, value in pairs[next(turn) % SHARE :: SHARE]:
                yield f"{name}={value[:20]!r}", {"query": f"{quote(name)}={quote(value, safe='')}"}
            for raw in ("=", "&&&", "%FF=%FF", "a", "limit=1&limit=2", "PatientName=%ED%A0%80", "\x80=1"):
                yield raw, {"query": raw}

    _each_route(*place, cases)


def test_no_header_is_an_error_of_the_server(place: tuple[Client, Instance]) -> None:
    """On each route, with and without a body."""

    turn = itertools.count()

    def cases(route: Route) -> Iterator[tuple[str, dict[str, Any]]]:
        for header in HEADERS[next(turn) % HEADER_SHARE :: HEADER_SHARE]:
            yield str(header)[:60], dict(header)
            if route.verb != "GET":
                yield str(header)[:60], {"body": b'{"a": 1}', **header}

    _each_route(*place, cases)


def test_no_body_is_an_error_of_the_server(place: tuple[Client, Instance]) -> None:
    """What is no JSON object, whatever else the method wants."""

    def cases(route: Route) -> Iterator[tuple[str, dict[str, Any]]]:
        for body in JSON_BODIES if route.verb != "GET" else ():
            yield str(body[:20]), {"body": body}

    _each_route(*place, cases)


@pytest.mark.parametrize(("verb", "target"), BODIES, ids=lambda value: value.partition("?")[0].rpartition("/")[2])
def test_a_body_wrong_in_one_place_is_no_error_of_the_server(
    place: tuple[Client, Instance], verb: str, target: str
) -> None:
    """Each field in turn has a value that it should not have, or is missing."""
    http, _ = place
    path, _, query = target.partition("?")
    wrong, statuses = [], set()
    for where, body in variants(BODIES[verb, target]):
        text = json.dumps(body).encode()
        if "multipart" in query:
            status = _status(http, verb, path, query, _multipart(text), CONTENT_TYPE="multipart/related; boundary=b")
        else:
            status = _status(http, verb, path, query, text)
        statuses.add(status)
        if not _is_fine(status):
            wrong.append(f"{status}: {where} = {_value(body, where)!r:.80}")
    assert wrong == []
    assert 400 in statuses


def _value(body: Any, where: str) -> Any:
    for key in where.split("."):
        body = body[int(key)] if isinstance(body, list) else body.get(key, "(missing)")
    return body


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW"])
def test_no_verb_and_no_path_is_an_error_of_the_server(place: tuple[Client, Instance], verb: str) -> None:
    """Paths that are nearly one of the API's, and those that are none."""
    http, one = place
    for path in ("/", "//", "/v1", "/v1/", "/v2/x", f"{WEB}/", f"{WEB}/studies/", f"{one.path}/", "/v1/%", "*"):
        for tail in ("", "/..", "/%2e%2e", ";x", ":", ":x", "/\x00", "/\xff\xfe", "/" * 2_000):
            assert _is_fine(_status(http, verb, path + tail)), (verb, path, tail)
