"""Exports of the store ``ct`` by requests, and what became of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from werkzeug.test import Client

from dicomkit.bigquery.table_uri import parse_uri
from dicomkit.engine import Engine
from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.index_lookup import instances_below
from dicomkit.names import DicomStoreName
from tests.unit.engine.factories import STORE, Instance, dataset, written

NAME = DicomStoreName.parse(STORE[4:])
TABLE = "bq://local.imaging.exported"
TABLE_REFERENCE = parse_uri(TABLE)


def bucket(engine: Engine, name: str = "out") -> Path:
    """A bucket in the home."""
    folder = engine.home.buckets / name
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def to_folder(uri: str = "gs://out/x", mime_type: str | None = None) -> dict[str, Any]:
    """Body of an export into a bucket."""
    return {"gcsDestination": {"uriPrefix": uri} | ({"mimeType": mime_type} if mime_type else {})}


def to_table(uri: str = TABLE, **fields: Any) -> dict[str, Any]:
    """Body of an export into a table."""
    return {"bigqueryDestination": {"tableUri": uri, **fields}}


def filtered(engine: Engine, body: Mapping[str, Any], *lines: str) -> dict[str, Any]:
    """*body* for the instances that *lines* name, which are put into a bucket."""
    (bucket(engine, "filters") / "paths.txt").write_text("\n".join(lines))
    return {**body, "filterConfig": {"resourcePathsGcsUri": "gs://filters/paths.txt"}}


def begin(http: Client, body: Mapping[str, Any], store: str = STORE) -> str:
    """Begin an export; the path of its operation."""
    answer = http.post(f"{store}:export", json=body)
    assert answer.status_code == 200, answer.text
    assert list(answer.json) == ["name"]
    return f"/v1/{answer.json['name']}"


def ended(http: Client, operation: str) -> dict[str, Any]:
    """The operation, when it has ended."""
    while not (found := http.get(operation).json).get("done"):
        time.sleep(0.01)
    return dict(found)


def export(http: Client, body: Mapping[str, Any], store: str = STORE) -> dict[str, Any]:
    """Do an export; its operation."""
    return ended(http, begin(http, body, store))


def counter(operation: Mapping[str, Any]) -> dict[str, int]:
    """The counters of an operation."""
    return {name: int(count) for name, count in operation["metadata"]["counter"].items()}


def failures(http: Client, operation: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(last UID of the source, reason) of what an operation could not do."""
    found = http.get(f"/dicomkit/v1/{operation['name']}:errors").json["errors"]
    return [(item["source"].rpartition("/")[2], item["error"]["message"]) for item in found]


def with_private_text(*, elements: int, characters: int) -> Instance:
    """An instance whose row is as long as its private texts are."""
    ds = dataset()
    block = ds.private_block(0x0011, "TESTS", create=True)
    for number in range(elements):
        block.add_new(number, "UT", "x" * characters)
    return written(ds)


def damage(engine: Engine, item: Instance) -> None:
    """Change a byte of a stored instance."""
    with engine.storage.database.read() as connection:
        key = catalog.store(connection, NAME).key
        (found,) = instances_below(connection, key, item.study, item.series, item.uid)
    with engine.storage.blobs.path(found.place.segment).open("r+b") as file:
        file.seek(found.place.offset + found.place.length - 1)
        file.write(b"\xff")
