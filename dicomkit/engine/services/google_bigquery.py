"""Google's BigQuery, for who gave credentials: the only module of the engine that knows Google's client of it.

Each call is one request: whoever calls tries again, and later each time. ``BIGQUERY_EMULATOR_HOST`` leads to an
emulator, as with all of Google's own libraries; credentials are needed for that, too.

Source: google-cloud-bigquery 3, ``Client``; BigQuery REST v2 (``tables``, ``tabledata.insertAll``); BigQuery
documentation, "Error messages" (reasons) and "Quotas and limits"; RFC 9110 section 10.2.3 (Retry-After).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import orjson

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.errors import (
    AlreadyExists,
    ApiError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PayloadTooLarge,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["RETRY_INFO", "SETTLES_S", "GoogleBigQuery"]

SETTLES_S = 600.0
"""How long rows may be refused although the table has their columns: what takes rows learns of a new column, or of a
table that was made again, only minutes later ("Streaming data", on metadata)."""

RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
"""Type of the detail that says when to try again."""

_LONGEST_WAIT_S = 600.0
"""Most of what a Retry-After is obeyed."""

_QUOTA = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"})
"""Reasons that pass, whatever the status is; BigQuery answers 403 with them."""

_TOLD = frozenset({401, 403, 404, 409, 412})
"""Statuses whose message names resources and permissions; that of another can hold a value."""

_CLASSES: dict[int, type[ApiError]] = {
    400: InvalidArgument,
    401: Unauthenticated,
    403: PermissionDenied,
    404: NotFound,
    409: AlreadyExists,
    412: FailedPrecondition,
    413: PayloadTooLarge,
    429: ResourceExhausted,
}


class GoogleBigQuery:
    """What a ``TableWriter`` needs of BigQuery, done by Google's client.

    Parameters
    ----------
    credentials
        Of google-auth.
    left
        How long a request may take, in seconds; asked before each.
    """

    def __init__(self, credentials: Credentials, left: Callable[[], float]) -> None:
        self._credentials = credentials
        self._left = left
        self._made: Any = None

    def _client(self, project: str) -> Any:
        if self._made is None:
            from google.cloud import bigquery

            # The project is but a default here: each request names that of its table.
            self._made = bigquery.Client(project=project, credentials=self._credentials)
        return self._made

    def _how(self) -> dict[str, Any]:
        """How every request is made."""
        left = self._left()
        if left <= 0:
            raise Unavailable("the engine is being closed; the rows wait for the next start")
        return {"retry": None, "timeout": left}

    def ensure_dataset(self, project: str, dataset: str) -> None:
        """Raise ``NotFound`` where the dataset is missing; none is made."""
        with _errors():
            self._client(project).get_dataset(f"{project}.{dataset}", **self._how())

    def get_table(self, ref: TableReference) -> dict[str, Any]:
        """``tables.get``."""
        with _errors():
            table = self._client(ref.project).get_table(_reference(ref), **self._how())
        return _resource(table)

    def create_table(self, resource: dict[str, Any]) -> dict[str, Any]:
        """``tables.insert``."""
        from google.cloud.bigquery import Table

        with _errors():
            project = resource["tableReference"]["projectId"]
            table = self._client(project).create_table(Table.from_api_repr(resource), exists_ok=False, **self._how())
        return _resource(table)

    def patch_table(self, ref: TableReference, resource: dict[str, Any], etag: str | None = None) -> dict[str, Any]:
        """``tables.patch`` of the schema; 412 when *etag* is not the current one."""
        from google.cloud.bigquery import Table

        with _errors():
            changed = Table.from_api_repr({"tableReference": _reference(ref).to_api_repr(), **resource, "etag": etag})
            table = self._client(ref.project).update_table(changed, ["schema"], **self._how())
        return _resource(table)

    def insert_all(self, ref: TableReference, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """``tabledata.insertAll``: the ``insertErrors``; where there are any, no row went in."""
        with _errors():
            errors: Sequence[Mapping[str, Any]] = self._client(ref.project).insert_rows_json(
                _reference(ref),
                [orjson.loads(row["json"]) for row in rows],
                row_ids=[row["insertId"] for row in rows],
                skip_invalid_rows=False,
                ignore_unknown_values=False,
                **self._how(),
            )
        return errors

    def insert_whole(self, ref: TableReference, lines: Sequence[bytes], insert_ids: Sequence[str]) -> bool:
        """Insert rows, all or none; ``False`` when one does not fit the table, or there is none."""
        rows = [{"insertId": insert_id, "json": line} for insert_id, line in zip(insert_ids, lines, strict=True)]
        try:
            return not self.insert_all(ref, rows)
        except (InvalidArgument, NotFound, PayloadTooLarge):
            return False

    def close(self) -> None:
        """Close the connection."""
        if self._made is not None:
            self._made.close()


def _reference(ref: TableReference) -> Any:
    from google.cloud.bigquery import DatasetReference
    from google.cloud.bigquery import TableReference as Reference

    return Reference(DatasetReference(ref.project, ref.dataset), ref.table)


def _resource(table: Any) -> dict[str, Any]:
    resource: dict[str, Any] = table.to_api_repr()
    return resource


@contextmanager
def _errors() -> Iterator[None]:
    """Raise dicomkit's errors for those of Google's client and of what it is made of."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError, TransportError

    try:
        yield
    except GoogleAPICallError as exc:
        raise _translated(exc) from exc
    except GoogleAuthError as exc:
        if isinstance(exc, TransportError):
            raise Unavailable("Google could not be reached for a token") from exc
        raise Unauthenticated(
            f"the credentials for BigQuery were not accepted ({type(exc).__name__}); "
            "run `gcloud auth application-default login`"
        ) from exc
    except OSError as exc:
        # Errors of requests are OSErrors; an answer that is no JSON is one of them.
        raise Unavailable(f"there was no answer of BigQuery ({type(exc).__name__})") from exc


def _translated(exc: Any) -> ApiError:
    first = exc.errors[0] if exc.errors and isinstance(exc.errors[0], Mapping) else {}
    status, reason = int(exc.code or 500), str(first.get("reason") or "")
    what = f"BigQuery answered {status}" + (f" {reason}" if reason else "")
    if status in _TOLD:
        what += f": {first.get('message') or exc.message!s:.200}"
    wait = _retry_after(exc.response)
    details = ({"@type": RETRY_INFO, "retryDelay": f"{wait:g}s"},) if wait is not None else ()
    if status < 500 and reason in _QUOTA:
        return ResourceExhausted(what, details=details)
    if status >= 500:
        return Unavailable(what, details=details)
    kind = _CLASSES.get(status, ApiError)
    if kind is ApiError or kind is FailedPrecondition:
        return kind(what, status=status, details=details)
    return kind(what, details=details)


def _retry_after(response: Any) -> float | None:
    """Seconds that an answer asks to wait for, within a limit."""
    value = response.headers.get("Retry-After") if response is not None else None
    if not value:
        return None
    try:
        seconds = float(value) if value.strip().isdigit() else parsedate_to_datetime(value).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT_S)
