"""The one place of the client that speaks HTTP: errors, retries, timeouts, JSON.

Source: Cloud Healthcare API v1 (error body, codes to try again); RFC 9110 section 10.2.3 (Retry-After).
"""

from __future__ import annotations

import email.utils
import hashlib
import io
import logging
import random
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import quote, urlsplit

import orjson
import requests
import urllib3.exceptions
from google.auth.exceptions import GoogleAuthError

from dicomkit.errors import (
    ApiError,
    DeadlineExceeded,
    DicomFormatError,
    FailedPrecondition,
    Unauthenticated,
    Unavailable,
    from_body,
)

__all__ = ["Rest", "quote_path"]

logger = logging.getLogger(__name__)

RETRIED = frozenset({429, 500, 503, 504})
"""Statuses after which a request that is safe to repeat is repeated."""

ATTEMPTS = 4
"""How often a request is sent at most."""

FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 30.0

PATIENCE_S = 120.0
"""No further attempt begins after so long without an answer: a hanging server must not hang its caller four times."""

TIMEOUT_S = (10.0, 300.0)
"""Default limits: to connect, and between two bytes of an answer."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_UID_IN_PATH = re.compile(r"(/(?:studies|series|instances)/)([^/:]+)")

Params = Mapping[str, Any] | Iterable[tuple[str, Any]]

_T = TypeVar("_T")


class Rest:
    """Requests below one base URL.

    Parameters
    ----------
    session
        Whatever carries the requests: it knows the credentials, this class does not.
    base_url
        ``{origin}/v1``, without a slash at its end.
    sleep
        Waits between two attempts.
    """

    def __init__(
        self,
        session: requests.Session,
        base_url: str,
        *,
        attempts: int = ATTEMPTS,
        timeout_s: tuple[float, float] = TIMEOUT_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.session = session
        self.base_url = base_url.rstrip("/")
        self.attempts = attempts
        self.timeout_s = timeout_s
        self.is_closed = False
        self.lacks: set[str] = set()
        """Media types that the server was asked for in vain."""
        self._sleep = sleep

    def json(self, method: str, path: str, *, body: Any = None, params: Params = (), **options: Any) -> Any:
        """The JSON of an answer; ``None`` where it has no content.

        Parameters
        ----------
        path
            Below the base URL, already percent-encoded.
        body
            JSON to send.
        **options
            As for :meth:`receive`.

        Raises
        ------
        ApiError
            The request was refused or failed.
        """
        headers = dict(options.pop("headers", {}))
        data = None
        if body is not None:
            data = orjson.dumps(body)
            headers["Content-Type"] = "application/json; charset=utf-8"
        headers.setdefault("Accept", "application/json")
        return self.receive(method, path, self.parse, params=params, data=data, headers=headers, **options)

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request and give back its answer, whose body is not read yet: close it.

        An answer that breaks off later is not asked for again; :meth:`receive` does that.

        Parameters
        ----------
        **options
            As for :meth:`receive`.
        """
        return self._exchange(method, path, lambda response: response, **options)

    def receive(self, method: str, path: str, take: Callable[[requests.Response], _T], **options: Any) -> _T:
        """Send a request, and return what *take* makes of its answer.

        Parameters
        ----------
        take
            Reads the answer, which is closed after it. It is called again with another answer where one broke off and
            the request may be repeated.
        params
            Of the query.
        data
            The body; one that is repeated must give its bytes again when it is iterated again.
        headers
            Looked at anew for each attempt.
        is_repeatable
            Whether sending twice does no harm; by default the safe methods.
        good
            Statuses beyond 2xx that are an answer and no error.
        attempts
            How often the request is sent at most.

        Raises
        ------
        ApiError
            The status is an error, no whole answer came (``Unavailable``, ``DeadlineExceeded``), or the connection is
            closed.
        """

        def taken(response: requests.Response) -> _T:
            with response:
                return take(response)

        return self._exchange(method, path, taken, **options)

    def _exchange(
        self,
        method: str,
        path: str,
        take: Callable[[requests.Response], _T],
        *,
        params: Params = (),
        data: Any = None,
        headers: Mapping[str, str] = {},
        is_repeatable: bool | None = None,
        good: Collection[int] = (),
        attempts: int | None = None,
    ) -> _T:
        """Send a request until one attempt is answered as it should be."""
        if self.is_closed:  # a session of requests would open itself again
            raise FailedPrecondition("the connection is closed; call dicomkit.connect again")
        url = f"{self.base_url}/{path.lstrip('/')}"
        repeatable = method in _SAFE if is_repeatable is None else is_repeatable
        most = (attempts or self.attempts) if repeatable else 1
        silent_s = 0.0
        for attempt in range(1, most + 1):
            began = time.monotonic()
            wait_s: float | None = None
            try:
                response = self.session.request(
                    method,
                    url,
                    params=params,
                    data=data,
                    headers=headers,
                    stream=True,
                    allow_redirects=False,
                    timeout=self.timeout_s,
                )
            except (requests.RequestException, GoogleAuthError) as failure:
                error = self._no_answer(failure, method, url)
                silent_s += time.monotonic() - began
                if isinstance(error, Unauthenticated):
                    raise error from failure
            else:
                logger.debug(
                    "%s %s %d %.0f ms",
                    method,
                    _without_uids(path),
                    response.status_code,
                    (time.monotonic() - began) * 1000,
                )
                if response.status_code < 300 or response.status_code in good:
                    try:
                        return take(response)
                    except Unavailable as cut:
                        error = cut
                else:
                    error = self._refused(response, method, url)
                    if response.status_code not in RETRIED:
                        raise error
                    wait_s = _retry_after_s(response.headers.get("Retry-After"))
            if (wait_s or 0) > LONGEST_DELAY_S:
                error.add_note(f"The server asks to wait {wait_s:.0f} s before the next request.")
                raise error
            if attempt == most or silent_s > PATIENCE_S:
                raise error
            # Full jitter: clients that failed together must not come back together.
            ceiling = min(FIRST_DELAY_S * 2 ** (attempt - 1), LONGEST_DELAY_S)
            self._sleep(wait_s if wait_s is not None else random.uniform(0, ceiling))  # noqa: S311 - no secret
        raise AssertionError("unreachable: the last attempt returns or raises")

    def parse(self, response: requests.Response) -> Any:
        """The JSON of an answer that :meth:`send` gave; ``None`` where it has no content."""
        body = self.body(response)
        if not body:
            return None
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise self.odd(response, f"something that is not JSON ({len(body)} bytes)") from error

    def body(self, response: requests.Response) -> bytes:
        """The whole body of an answer."""
        try:
            # In one piece: response.content goes through a queue of 10 KB chunks, which costs more than the parser.
            body: bytes = response.raw.read(decode_content=True)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._cut(response, error) from error
        if response.raw.length_remaining:  # urllib3 compares with Content-Length only where it reads piece by piece
            raise self._cut(response)
        return body

    def chunks(self, response: requests.Response, size: int = 1 << 18) -> Iterable[bytes]:
        """The body of an answer, piece by piece."""
        try:
            yield from response.iter_content(size)
        except (requests.RequestException, OSError) as error:
            raise self._cut(response, error) from error

    @contextmanager
    def file(self, response: requests.Response) -> Iterator[BinaryIO]:
        """The body of an answer as a file that gives as many bytes as are asked for, for who reads it in the block.

        Raises
        ------
        Unavailable, DeadlineExceeded
            The answer broke off, or what it holds shows that (``DicomFormatError``).
        """
        try:
            with io.BufferedReader(cast(io.RawIOBase, response.raw), 1 << 18) as file:
                yield file
        except ApiError:  # some of which are of the operating system's kinds, too
            raise
        except (urllib3.exceptions.HTTPError, OSError, DicomFormatError) as error:
            raise self._cut(response, error) from error

    def _cut(self, response: requests.Response, error: Exception | None = None) -> ApiError:
        method, url = response.request.method or "", _without_query(response.url)
        reasons = [error, *(error.args if error is not None else ())]  # requests wraps what urllib3 raises
        if any(isinstance(reason, urllib3.exceptions.ReadTimeoutError) for reason in reasons):
            return DeadlineExceeded("the answer did not go on in time", method=method, url=url)
        return Unavailable("the answer broke off; try again", method=method, url=url)

    def odd(self, response: requests.Response, what: str) -> ApiError:
        """The error for an answer that no server of this API gives; *what* says what came."""
        url = _without_query(response.url)
        return ApiError(
            f"{_origin(url)} answered {response.status_code} with {what}; is this a dicomkit or Healthcare API server?",
            status=502,
            method=response.request.method,
            url=url,
        )

    def _refused(self, response: requests.Response, method: str, url: str) -> ApiError:
        with response:
            if response.is_redirect:  # it could lead to another origin, and the credentials are for this one
                return self.odd(response, "a redirect, which is not followed")
            try:
                body = orjson.loads(self.body(response))
            except (orjson.JSONDecodeError, Unavailable):
                body = None
        return from_body(body, status=response.status_code, method=method, url=_without_query(url))

    def _no_answer(self, failure: Exception, method: str, url: str) -> ApiError:
        place = _origin(url)
        error: ApiError
        if isinstance(failure, requests.Timeout):
            error = DeadlineExceeded(f"{place} did not answer in time")
        elif isinstance(failure, GoogleAuthError):
            error = Unauthenticated(
                f"the credentials were not accepted ({type(failure).__name__}); "
                "run `gcloud auth application-default login`"
            )
        elif isinstance(failure, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
            # Only the engine's own adapter names its failure; other texts repeat the URL with its query.
            detail = f": {failure}" if str(failure).startswith("the engine failed") else "; is the server running?"
            error = Unavailable(f"no answer from {place}{detail}")
        else:
            error = ApiError(f"the request could not be sent to {place}: {type(failure).__name__}", status=400)
        error.method, error.url = method, _without_query(url)
        error.__cause__ = failure
        return error


def quote_path(text: str) -> str:
    """*text* as one component of a path, or several joined by slashes, percent-encoded."""
    return quote(text, safe="/-_.~:")


def _without_query(url: str) -> str:
    """What may stand in an error: match values in the query are patient data."""
    return url.partition("?")[0]


def _without_uids(path: str) -> str:
    """What may stand in a log: UIDs as the beginning of their hash."""

    def hashed(found: re.Match[str]) -> str:
        return found[1] + hashlib.sha256(found[2].encode()).hexdigest()[:8]

    return _UID_IN_PATH.sub(hashed, _without_query(path))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _retry_after_s(value: str | None) -> float | None:
    """Seconds that the server asks to wait: a number, or a date."""
    if not value:
        return None
    if value.isascii() and value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):  # no date, or one that no clock shows
        return None
