"""The official BigQuery client, led to the BigQuery that belongs to a server.

Source: google-cloud-bigquery 3; BigQuery REST API v2 (error reasons).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import requests

from dicomkit.client.connection import Connection
from dicomkit.client.named import NamedResource
from dicomkit.errors import DeadlineExceeded, SetupError, Unavailable, from_body

if TYPE_CHECKING:
    from google.cloud.bigquery import Client

__all__ = ["BigQueryAccess", "client_of", "errors_as_ours", "retry_of"]

RETRY_S = 30.0
"""How long a request that failed in passing is repeated; Google's default of 10 minutes looks like a hang."""

RETRY_NEAR_S = 5.0
"""The same for a dicomkit engine, which is not behind a busy frontend."""


def client_of(connection: Connection, project: str) -> Client:
    """A ``google.cloud.bigquery.Client`` over the connection's session."""
    from google.api_core.client_options import ClientOptions
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    endpoint = connection.bigquery_endpoint
    if endpoint is None:
        credentials = getattr(connection.session, "credentials", None)
        return bigquery.Client(project=project, credentials=credentials, _http=connection.session)

    class EndpointClient(bigquery.Client):
        """A client that stays at its endpoint, and leaves the session to whom it belongs to."""

        def _ensure_bqstorage_client(self, *args: Any, **kwargs: Any) -> None:
            # With the storage library installed, reading rows would call Google whatever the endpoint is.
            return None

        def close(self) -> None:
            return None

    return EndpointClient(
        project=project,
        # The session has what the server wants; with no credentials at all, other libraries would look for Google's.
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        _http=connection.session,
        client_options=ClientOptions(api_endpoint=endpoint),
    )


def retry_of(connection: Connection) -> Any:
    """How long a request is repeated that failed in passing."""
    from google.cloud.bigquery.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(_retry_s(connection))


@contextmanager
def errors_as_ours(connection: Connection) -> Iterator[None]:
    """Raise what the official client raises as an error of ``dicomkit.errors``."""
    from google.api_core import exceptions

    try:
        yield
    except exceptions.RetryError as error:
        raise DeadlineExceeded(f"BigQuery did not answer within {_retry_s(connection):g} s") from error
    except exceptions.GoogleAPICallError as error:
        # The cause is a page of the client's own retries; what BigQuery said is in ours.
        raise _ours(error) from None
    except requests.RequestException as error:
        place = connection.bigquery_endpoint or "Google"
        raise Unavailable(f"no answer from BigQuery at {place} ({type(error).__name__})") from error


def _retry_s(connection: Connection) -> float:
    return RETRY_NEAR_S if connection.bigquery_endpoint else RETRY_S


def _ours(error: Any) -> Exception:
    """Our error of the same code; BigQuery's own words, without the URL that its client puts before them."""
    first = error.errors[0] if error.errors and isinstance(error.errors[0], Mapping) else {}
    message = str(first.get("message") or error.message)
    reason = first.get("reason")
    return from_body(
        {"error": {"code": int(error.code or 500), "message": f"{message} ({reason})" if reason else message}}
    )


class BigQueryAccess(NamedResource):
    """What a dataset gives to other libraries that speak to BigQuery."""

    def bigquery_client(self, *, project: str | None = None) -> Client:
        """The official ``google.cloud.bigquery.Client``, for the BigQuery that streams of this server lead to.

        pandas-gbq takes it, too: ``pandas_gbq.read_gbq(sql, bigquery_client=ds.bigquery_client())``.

        Parameters
        ----------
        project
            The project that jobs run in; the dataset's when left out.

        Notes
        -----
        Where that is not Google's, results come over REST alone, and closing the client leaves the connection open.
        """
        return client_of(self._connection, project or self.name.split("/")[1])

    def configure_bigquery_magics(self) -> None:
        """Have ``%%bigquery`` of bigquery-magics ask the BigQuery of this server, until the kernel ends.

        Then ``%load_ext bigquery_magics`` and ``%%bigquery --use_rest_api`` work as on Google Cloud; without
        ``--use_rest_api`` they want the Storage API, which only Google has.

        Raises
        ------
        SetupError
            bigquery-magics is not installed.
        """
        try:
            from bigquery_magics import context
        except ImportError:
            raise SetupError("%%bigquery comes with another package: pip install bigquery-magics") from None
        client: Any = self.bigquery_client()
        context.project = client.project
        context.credentials = client._credentials
        # What the session knows (the token, the engine in this process) is in no credentials.
        context._connection = client._connection
