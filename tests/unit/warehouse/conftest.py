"""An embedded BigQuery of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse import Warehouse
from dicomkit.engine.services.bigquery import BigQueryService

TABLE = TableReference("local", "imaging", "ct")


def field(name: str, kind: str, *fields: dict[str, Any], mode: str = "NULLABLE") -> dict[str, Any]:
    """A column in REST form."""
    made: dict[str, Any] = {"name": name, "type": kind, "mode": mode}
    return made | {"fields": list(fields)} if fields else made


def resource(*fields: dict[str, Any], table: TableReference = TABLE) -> dict[str, Any]:
    """A table's resource."""
    names = {"projectId": table.project, "datasetId": table.dataset, "tableId": table.table}
    return {"tableReference": names, "schema": {"fields": list(fields)}}


def plain(cell: Any) -> Any:
    """A REST cell without its wrapping: lists, and tuples for records."""
    if isinstance(cell, list):
        return [plain(item["v"]) for item in cell]
    if isinstance(cell, dict):
        return tuple(plain(item["v"]) for item in cell["f"])
    return cell


def rows(service: BigQueryService, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query, values as the REST API writes them."""
    request = {"query": sql, "formatOptions": {"useInt64Timestamp": True}}
    return [plain(row) for row in orjson.loads(service.query("local", request))["rows"]]


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    """An open warehouse."""
    with Warehouse(tmp_path / "warehouse.duckdb") as opened:
        yield opened


@pytest.fixture
def service(warehouse: Warehouse) -> Iterator[BigQueryService]:
    """The service over it, with the dataset ``local.imaging``."""
    made = BigQueryService(warehouse)
    made.ensure_dataset("local", "imaging")
    yield made
    made.close()
