"""SQL over the official BigQuery client, whichever BigQuery the session leads to.

Source: BigQuery REST API v2 (``jobs``, error reasons); google-cloud-bigquery 3.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import pandas as pd
import requests

from dicomkit.client.connection import Connection
from dicomkit.errors import DeadlineExceeded, InvalidArgument, Unavailable, from_body
from dicomkit.frames.arrow import frame_of_arrow

__all__ = ["run"]

RETRY_S = 30.0
"""How long a request that failed in passing is repeated; Google's default of 10 minutes looks like a hang."""

RETRY_NEAR_S = 5.0
"""The same for a dicomkit engine, which is not behind a busy frontend."""


def run(connection: Connection, text: str, *, project: str, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Run GoogleSQL and return its rows, typed as ``frames.arrow`` says.

    Parameters
    ----------
    project
        The project that the query runs in.
    params
        Values for ``@name`` in the text: text, numbers, dates, times, or a list of one of these.

    Raises
    ------
    ApiError
        As BigQuery's code and reason say; its message is kept.
    """
    from google.api_core import exceptions
    from google.api_core.client_options import ClientOptions
    from google.cloud import bigquery
    from google.cloud.bigquery.retry import DEFAULT_RETRY

    endpoint = connection.bigquery_endpoint
    retry_s = RETRY_NEAR_S if endpoint else RETRY_S
    retry = DEFAULT_RETRY.with_timeout(retry_s)
    config = bigquery.QueryJobConfig(query_parameters=[_parameter(name, v) for name, v in (params or {}).items()])
    try:
        client = bigquery.Client(
            project=project,
            _http=connection.session,
            client_options=ClientOptions(api_endpoint=endpoint) if endpoint else None,
        )
        # job_retry would repeat the whole of it for up to 40 minutes more.
        job = client.query(text, job_config=config, retry=retry, job_retry=None)
        # REST only: with the storage library installed, the default would call Google whatever the endpoint is.
        return frame_of_arrow(job.result(retry=retry, job_retry=None).to_arrow(create_bqstorage_client=False))
    except exceptions.RetryError as error:
        raise DeadlineExceeded(f"BigQuery did not answer within {retry_s:g} s") from error
    except exceptions.GoogleAPICallError as error:
        # The cause is a page of the client's own retries; what BigQuery said is in ours.
        raise _ours(error) from None
    except requests.RequestException as error:
        raise Unavailable(f"no answer from BigQuery at {endpoint or 'Google'} ({type(error).__name__})") from error


def _ours(error: Any) -> Exception:
    """Our error of the same code; BigQuery's own words, without the URL that its client puts before them."""
    first = error.errors[0] if error.errors and isinstance(error.errors[0], Mapping) else {}
    message = str(first.get("message") or error.message)
    reason = first.get("reason")
    return from_body(
        {"error": {"code": int(error.code or 500), "message": f"{message} ({reason})" if reason else message}}
    )


def _parameter(name: str, value: Any) -> Any:
    from google.cloud import bigquery

    if isinstance(value, list | tuple):
        if not value:
            raise InvalidArgument(f"the parameter {name!r:.60} is an empty list, whose type cannot be told")
        return bigquery.ArrayQueryParameter(name, _type_of(name, value[0]), list(value))
    return bigquery.ScalarQueryParameter(name, _type_of(name, value), value)


def _type_of(name: str, value: Any) -> str:
    if isinstance(value, datetime.datetime):
        return "DATETIME" if value.tzinfo is None else "TIMESTAMP"
    types = ((bool, "BOOL"), (int, "INT64"), (float, "FLOAT64"), (str, "STRING"), (bytes, "BYTES"))
    for kind, type_name in (*types, (datetime.date, "DATE"), (datetime.time, "TIME")):
        if isinstance(value, kind):
            return type_name
    raise InvalidArgument(f"the parameter {name!r:.60} is a {type(value).__name__}; SQL takes text, numbers and dates")
