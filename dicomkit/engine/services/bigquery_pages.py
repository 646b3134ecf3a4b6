"""Pages of rows: of a query's result, and of a table.

A page token is the place of the next row, so that a page can be asked for again at any time. A page holds what was
asked for, or about 16 MB of it.

Source: BigQuery REST v2, ``jobs.getQueryResults``, ``tabledata.list`` (maxResults, pageToken, startIndex).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from dicomkit.engine.persistence.warehouse import Result, Warehouse
from dicomkit.engine.persistence.warehouse_catalog import Catalog, TableEntry
from dicomkit.engine.persistence.warehouse_types import Field, quote
from dicomkit.engine.services.bigquery_cells import ISO, MICROSECONDS, SECONDS, rows_json
from dicomkit.engine.services.bigquery_errors import invalid, object_in
from dicomkit.engine.services.bigquery_tables import estimated_bytes

__all__ = ["Page", "query_page", "table_page", "timestamp_format"]

PAGE_BYTES = 16 << 20
"""About how much of a result a page holds, in Arrow's memory format."""

_TOKEN = re.compile(r"[0-9]{1,18}")


class Page:
    """Which rows are asked for.

    Parameters
    ----------
    args
        Query string or body of the request.
    """

    def __init__(self, args: Mapping[str, Any]) -> None:
        self.limit = _number(args, "maxResults")
        token = args.get("pageToken")
        if token and not _TOKEN.fullmatch(str(token)):
            raise invalid("Invalid page token", "pageToken")
        self.start = int(token) if token else _number(args, "startIndex") or 0
        self.timestamps = timestamp_format(args)


def _number(args: Mapping[str, Any], name: str) -> int | None:
    value = args.get(name)
    if value is None or value == "":
        return None
    if not _TOKEN.fullmatch(str(value)):
        raise invalid(f"Invalid value for {name}: a non-negative integer is expected", name)
    return int(value)


def timestamp_format(args: Mapping[str, Any]) -> str:
    """How TIMESTAMPs are written, from ``formatOptions`` in a body or dotted in a query string."""
    options = object_in(args, "formatOptions")
    output = options.get("timestampOutputFormat") or args.get("formatOptions.timestampOutputFormat")
    integers = options.get("useInt64Timestamp") or args.get("formatOptions.useInt64Timestamp")
    if output in (SECONDS, MICROSECONDS, ISO):
        return str(output)
    return MICROSECONDS if integers and str(integers).lower() != "false" else SECONDS


def query_page(head: dict[str, Any], result: Result, page: Page) -> bytes:
    """The answer of ``getQueryResults`` and ``jobs.query``: *head* with schema and rows."""
    total = result.table.num_rows
    fits = max(1, PAGE_BYTES * total // max(1, result.table.nbytes))
    count = max(0, min(fits, total - page.start, total if page.limit is None else page.limit))
    body = {**head, "schema": {"fields": result.fields}, "totalRows": str(total)}
    if count and page.start + count < total:
        body["pageToken"] = str(page.start + count)
    elif count == 0 and page.limit == 0 and total:
        # No rows were asked for, as a client does that only waits: they are all still to come.
        body["pageToken"] = str(page.start)
    rows = rows_json(result.table.slice(page.start, count), result.fields, timestamps=page.timestamps)
    return _joined(body, rows)


def table_page(warehouse: Warehouse, catalog: Catalog, entry: TableEntry, page: Page, selected: str | None) -> bytes:
    """The answer of ``tabledata.list``."""
    fields = _selected(entry, selected)
    total = catalog.count_rows(entry)
    fits = max(1, PAGE_BYTES // max(1, estimated_bytes(fields)))
    count = max(0, min(fits, total - page.start, total if page.limit is None else page.limit))
    body = {"kind": "bigquery#tableDataList", "etag": entry.etag, "totalRows": str(total)}
    if count and page.start + count < total:
        body["pageToken"] = str(page.start + count)
    rows = b"[]"
    if count:
        # Row ids are found without reading a column, and a range of them skips the row groups before it.
        names = ", ".join(quote(field["name"]) for field in fields)
        chosen = f"SELECT rowid AS r FROM {entry.physical} LIMIT $1 OFFSET $2"  # noqa: S608 - a name of ours
        bounds = warehouse.read(f"SELECT min(r) AS a, max(r) AS b FROM ({chosen})", [count, page.start]).table  # noqa: S608
        ends = [bounds.column(0)[0].as_py(), bounds.column(1)[0].as_py()]
        sql = f"SELECT {names} FROM {entry.physical} WHERE rowid BETWEEN $1 AND $2 ORDER BY rowid"  # noqa: S608 - quoted
        rows = rows_json(warehouse.read(sql, ends).table, fields, timestamps=page.timestamps)
    return _joined(body, rows)


def _selected(entry: TableEntry, selected: str | None) -> list[Field]:
    if not selected:
        return entry.fields
    names = {name.strip().lower() for name in selected.split(",")}
    if any("." in name for name in names):
        raise invalid("selectedFields with a nested field is not supported by the embedded BigQuery", "selectedFields")
    known = {field["name"].lower() for field in entry.fields}
    for name in names - known:
        raise invalid(f"Field {name[:80]} not found in table", "selectedFields")
    return [field for field in entry.fields if field["name"].lower() in names]


def _joined(body: dict[str, Any], rows: bytes) -> bytes:
    return orjson.dumps(body)[:-1] + b',"rows":' + rows + b"}"
