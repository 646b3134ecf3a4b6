"""BigQuery's REST API v2: datasets, tables, tabledata, jobs.

Every error is answered in BigQuery's form, with the reason that its clients choose by; what the embedded BigQuery does
not have is answered 501 ``notImplemented`` by name.

Source: BigQuery REST v2.
"""

from __future__ import annotations

import functools
import re
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from werkzeug.wrappers import Request, Response

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.handlers.bigquery_upload import begin_upload, continue_upload, upload_multipart
from dicomkit.engine.routes import Handler, Route
from dicomkit.engine.services.bigquery_errors import error_proto, invalid, not_implemented
from dicomkit.errors import ApiError, PayloadTooLarge

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["ROUTES"]

MAX_BODY = 10 << 20
"""Largest request (BigQuery, "Quotas and limits": 10 MB), also when it was compressed."""


_NUMBER = re.compile(r"[0-9]{1,18}")


def _answered(handler: Callable[..., Any]) -> Handler:
    """*handler* with its answer as JSON, and its errors in BigQuery's form."""

    @functools.wraps(handler)
    def answer(engine: Engine, request: Request, **path: str) -> Response:
        status = 200
        try:
            # The names of the path by the rules of a table's; any name does for what the path does not have.
            TableReference(path["project"], path.get("dataset", "d"), path.get("table", "t"))
            body = handler(engine, request, **path)
        except ApiError as error:
            status, body = error.status, _error_body(error)
        if body is None:
            return Response(status=204)
        if isinstance(body, Response):
            return body
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        return Response(data, status=status, content_type="application/json; charset=UTF-8")

    return answer


def _error_body(error: ApiError) -> dict[str, Any]:
    proto = error_proto(error)
    item = {"message": error.message, "domain": "global", "reason": proto["reason"]}
    if "location" in proto:
        item |= {"location": proto["location"], "locationType": "parameter"}
    return {"error": {"code": error.status, "message": error.message, "errors": [item], "status": error.code}}


def _body(request: Request) -> dict[str, Any]:
    """The request's JSON object, unpacked when it is compressed."""
    if request.content_length is not None and request.content_length > MAX_BODY:
        raise _too_large()
    data = request.stream.read(MAX_BODY + 1)
    if request.headers.get("Content-Encoding", "").lower() == "gzip":
        unpack = zlib.decompressobj(wbits=31)
        try:
            data = unpack.decompress(data, MAX_BODY + 1)
        except zlib.error:
            raise invalid("The body is not gzip, as its Content-Encoding says") from None
    if len(data) > MAX_BODY:
        raise _too_large()
    if not data:
        return {}
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise invalid("Parse Error: the body is not JSON") from None
    if not isinstance(body, dict):
        raise invalid("Parse Error: the body must be a JSON object")
    return body


def _too_large() -> PayloadTooLarge:
    return PayloadTooLarge(f"Request payload size exceeds the limit: {MAX_BODY} bytes.")


def _true(request: Request, name: str) -> bool:
    return request.args.get(name, "").lower() in ("true", "1")


def _list(request: Request, kind: str, name: str, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A page of *items*; the token is the place of the next one."""
    start, count = request.args.get("pageToken", "0"), request.args.get("maxResults", "1000")
    if not _NUMBER.fullmatch(start) or not _NUMBER.fullmatch(count):
        raise invalid("Invalid page token or maxResults", "pageToken")
    first, end = int(start), int(start) + max(int(count), 1)
    answer = {"kind": kind, name: list(items[first:end]), "totalItems": len(items)}
    if end < len(items):
        answer["nextPageToken"] = str(end)
    return answer


@_answered
def _datasets_list(engine: Engine, request: Request, project: str) -> Any:
    datasets = engine.bigquery.tables.list_datasets(project, request.args.get("filter", ""))
    return _list(request, "bigquery#datasetList", "datasets", datasets)


@_answered
def _datasets_insert(engine: Engine, request: Request, project: str) -> Any:
    body = _body(request)
    reference = body.get("datasetReference")
    if isinstance(reference, dict):
        reference.setdefault("projectId", project)
        _same("datasetReference.projectId", reference["projectId"], project)
    return engine.bigquery.tables.create_dataset(body)


@_answered
def _datasets_get(engine: Engine, request: Request, project: str, dataset: str) -> Any:
    return engine.bigquery.tables.get_dataset(project, dataset)


@_answered
def _datasets_delete(engine: Engine, request: Request, project: str, dataset: str) -> Any:
    engine.bigquery.tables.delete_dataset(project, dataset, delete_contents=_true(request, "deleteContents"))


def _dataset_changed(engine: Engine, request: Request, project: str, dataset: str, *, replace: bool) -> Any:
    etag = request.headers.get("If-Match") or None
    return engine.bigquery.tables.patch_dataset(project, dataset, _body(request), etag=etag, replace=replace)


@_answered
def _datasets_patch(engine: Engine, request: Request, project: str, dataset: str) -> Any:
    return _dataset_changed(engine, request, project, dataset, replace=False)


@_answered
def _datasets_update(engine: Engine, request: Request, project: str, dataset: str) -> Any:
    return _dataset_changed(engine, request, project, dataset, replace=True)


@_answered
def _tables_list(engine: Engine, request: Request, project: str, dataset: str) -> Any:
    return _list(request, "bigquery#tableList", "tables", engine.bigquery.tables.list_tables(project, dataset))


@_answered
def _tables_insert(engine: Engine, request: Request, project: str, dataset: str) -> Any:
    body = _body(request)
    reference = body.get("tableReference")
    if isinstance(reference, dict):
        for name, value in (("projectId", project), ("datasetId", dataset)):
            reference.setdefault(name, value)
            _same(f"tableReference.{name}", reference[name], value)
    return engine.bigquery.create_table(body)


def _same(name: str, given: object, wanted: str) -> None:
    if given != wanted:
        raise invalid(f"{name} is not that of the request's path", name)


@_answered
def _tables_get(engine: Engine, request: Request, project: str, dataset: str, table: str) -> Any:
    return engine.bigquery.get_table(TableReference(project, dataset, table))


def _changed(engine: Engine, request: Request, reference: TableReference, *, replace: bool) -> Any:
    body = _body(request)
    # The official client sends the etag that it read as If-Match; others leave it in the resource.
    etag = request.headers.get("If-Match") or None
    return engine.bigquery.tables.patch_table(reference, body, etag=etag, replace=replace)


@_answered
def _tables_patch(engine: Engine, request: Request, project: str, dataset: str, table: str) -> Any:
    return _changed(engine, request, TableReference(project, dataset, table), replace=False)


@_answered
def _tables_update(engine: Engine, request: Request, project: str, dataset: str, table: str) -> Any:
    return _changed(engine, request, TableReference(project, dataset, table), replace=True)


@_answered
def _tables_delete(engine: Engine, request: Request, project: str, dataset: str, table: str) -> Any:
    engine.bigquery.delete_table(TableReference(project, dataset, table))


@_answered
def _insert_all(engine: Engine, request: Request, project: str, dataset: str, table: str) -> Any:
    body = _body(request)
    if body.get("templateSuffix"):
        raise not_implemented("insertAll with templateSuffix")
    rows = body.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise invalid("rows must be an array of objects", "rows")
    errors = engine.bigquery.insert_all(
        TableReference(project, dataset, table),
        rows,
        skip_invalid_rows=body.get("skipInvalidRows") is True,
        ignore_unknown_values=body.get("ignoreUnknownValues") is True,
    )
    answer: dict[str, Any] = {"kind": "bigquery#tableDataInsertAllResponse"}
    return answer | {"insertErrors": errors} if errors else answer


@_answered
def _list_rows(engine: Engine, request: Request, project: str, dataset: str, table: str) -> Any:
    return engine.bigquery.list_rows(TableReference(project, dataset, table), request.args)


@_answered
def _jobs_insert(engine: Engine, request: Request, project: str) -> Any:
    return engine.bigquery.jobs.insert(project, _body(request))


@_answered
def _jobs_list(engine: Engine, request: Request, project: str) -> Any:
    wanted = {state.upper() for state in request.args.getlist("stateFilter")}
    jobs = []
    for job in engine.bigquery.jobs.list(project):
        resource = job.resource()
        state = resource["status"]["state"]
        if not wanted or state in wanted:
            error = {"errorResult": job.error} if job.error else {}
            jobs.append({**resource, "kind": "bigquery#job", "state": state, **error})
    return _list(request, "bigquery#jobList", "jobs", jobs)


@_answered
def _jobs_get(engine: Engine, request: Request, project: str, job: str) -> Any:
    return engine.bigquery.jobs.get(project, job).resource()


@_answered
def _jobs_cancel(engine: Engine, request: Request, project: str, job: str) -> Any:
    return {"kind": "bigquery#jobCancelResponse", "job": engine.bigquery.jobs.cancel(project, job).resource()}


@_answered
def _jobs_delete(engine: Engine, request: Request, project: str, job: str) -> Any:
    engine.bigquery.jobs.delete(project, job)


@_answered
def _query(engine: Engine, request: Request, project: str) -> Any:
    return engine.bigquery.query(project, _body(request))


@_answered
def _query_results(engine: Engine, request: Request, project: str, job: str) -> Any:
    return engine.bigquery.query_results(project, job, request.args)


@_answered
def _upload(engine: Engine, request: Request, project: str) -> Any:
    kind = request.args.get("uploadType", "")
    if kind == "multipart":
        return upload_multipart(engine, request, project)
    if kind == "resumable":
        return begin_upload(engine, request, project, _body(request))
    raise not_implemented(f"the uploadType {kind[:40]!r}")


@_answered
def _resume(engine: Engine, request: Request, project: str) -> Any:
    return continue_upload(engine, request, project)


def _missing(what: str) -> Handler:
    @_answered
    def refuse(engine: Engine, request: Request, **path: str) -> Any:
        raise not_implemented(what)

    return refuse


_PROJECT = "/bigquery/v2/projects/<project>"
_DATASET = f"{_PROJECT}/datasets/<dataset>"
_TABLE = f"{_DATASET}/tables/<table>"
_UPLOAD = "/upload/bigquery/v2/projects/<project>/jobs"

ROUTES = (
    Route("bigquery.datasets.list", "GET", f"{_PROJECT}/datasets", _datasets_list),
    Route("bigquery.datasets.insert", "POST", f"{_PROJECT}/datasets", _datasets_insert),
    Route("bigquery.datasets.get", "GET", _DATASET, _datasets_get),
    Route("bigquery.datasets.delete", "DELETE", _DATASET, _datasets_delete),
    Route("bigquery.datasets.patch", "PATCH", _DATASET, _datasets_patch),
    Route("bigquery.datasets.update", "PUT", _DATASET, _datasets_update),
    Route("bigquery.tables.list", "GET", f"{_DATASET}/tables", _tables_list),
    Route("bigquery.tables.insert", "POST", f"{_DATASET}/tables", _tables_insert),
    Route("bigquery.tables.get", "GET", _TABLE, _tables_get),
    Route("bigquery.tables.patch", "PATCH", _TABLE, _tables_patch),
    Route("bigquery.tables.update", "PUT", _TABLE, _tables_update),
    Route("bigquery.tables.delete", "DELETE", _TABLE, _tables_delete),
    Route("bigquery.tabledata.insertAll", "POST", f"{_TABLE}/insertAll", _insert_all),
    Route("bigquery.tabledata.list", "GET", f"{_TABLE}/data", _list_rows),
    Route("bigquery.jobs.insert", "POST", f"{_PROJECT}/jobs", _jobs_insert),
    Route("bigquery.jobs.list", "GET", f"{_PROJECT}/jobs", _jobs_list),
    Route("bigquery.jobs.get", "GET", f"{_PROJECT}/jobs/<job>", _jobs_get),
    Route("bigquery.jobs.cancel", "POST", f"{_PROJECT}/jobs/<job>/cancel", _jobs_cancel),
    Route("bigquery.jobs.delete", "DELETE", f"{_PROJECT}/jobs/<job>/delete", _jobs_delete),
    Route("bigquery.jobs.query", "POST", f"{_PROJECT}/queries", _query),
    Route("bigquery.jobs.getQueryResults", "GET", f"{_PROJECT}/queries/<job>", _query_results),
    Route("bigquery.jobs.insert.upload", "POST", _UPLOAD, _upload),
    Route("bigquery.jobs.insert.resume", "PUT", _UPLOAD, _resume),
    Route("bigquery.models.list", "GET", f"{_DATASET}/models", _missing("models.list")),
    Route("bigquery.routines.list", "GET", f"{_DATASET}/routines", _missing("routines.list")),
)
"""Method id of the discovery document, verb, rule, handler."""
