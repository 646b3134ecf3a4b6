"""What handlers share: JSON in and out, paging, names and UIDs from a path."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Any

import orjson
from werkzeug.wrappers import Request, Response

from dicomkit.errors import InvalidArgument, PayloadTooLarge, UnsupportedMediaType
from dicomkit.names import DatasetName, DicomStoreName, is_uid

__all__ = [
    "MAX_BODY_BYTES",
    "api_version",
    "check_uids",
    "dataset_name",
    "json_response",
    "number",
    "origin",
    "page",
    "read_json",
    "refuse_content_encoding",
    "store_name",
]

MAX_BODY_BYTES = 10 << 20
"""Largest body of a request that stores no instances (Cloud Healthcare API, quotas)."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

DEFAULT_PAGE = 100
MAX_PAGE = 1_000


def json_response(request: Request, body: object, *, status: int = 200) -> Response:
    """*body* as Google writes it: two blanks of indent, a line end; compact with ``prettyPrint=false``."""
    options = orjson.OPT_APPEND_NEWLINE
    if request.args.get("prettyPrint", "true").lower() not in ("false", "0"):
        options |= orjson.OPT_INDENT_2
    return Response(orjson.dumps(body, option=options), status=status, content_type="application/json; charset=UTF-8")


def api_version(request: Request) -> str:
    """Version of the API that the request is for: ``"v1"`` or ``"v1beta1"``."""
    return "v1beta1" if request.path.startswith("/v1beta1/") else "v1"


def origin(request: Request) -> str:
    """Origin of the URLs in an answer, with a slash at its end: as the client names this server.

    dicomweb-client names the host without its port. On the machine itself nobody stands in between who could
    have another one, so that the port is the server's own.
    """
    host = request.host
    name = host.strip("[]") if host.endswith("]") or ":" not in host else ""
    port = request.environ.get("SERVER_PORT", "")
    if name in _LOOPBACK and port not in ("", "80" if request.scheme == "http" else "443"):
        return f"{request.scheme}://{host}:{port}/"
    return request.host_url


def number(request: Request, name: str) -> int:
    """The query parameter *name*, a whole number from 0; 0 when it is missing."""
    text = request.args.get(name, "") or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidArgument(f"{name} must be a whole number from 0")
    return int(text)


def refuse_content_encoding(request: Request) -> None:
    """Raise for a compressed body: a few bytes could unpack to any size."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise UnsupportedMediaType("the body has a Content-Encoding; send it without one")


def read_json(request: Request) -> dict[str, Any]:
    """The request's body as a JSON object; an empty body is an empty one."""
    refuse_content_encoding(request)
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise PayloadTooLarge(f"the body is larger than {MAX_BODY_BYTES >> 20} MiB")
    raw = request.stream.read(MAX_BODY_BYTES + 1)
    if len(raw) > MAX_BODY_BYTES:
        raise PayloadTooLarge(f"the body is larger than {MAX_BODY_BYTES >> 20} MiB")
    if not raw.strip():
        return {}
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        raise InvalidArgument("Invalid JSON payload received. The body cannot be parsed.") from exc
    if not isinstance(body, dict):
        raise InvalidArgument("Invalid JSON payload received. The body must be a JSON object.")
    return body


def page(
    request: Request, field: str, fetch: Callable[[str, int], list[dict[str, Any]]], *, scope: str = ""
) -> dict[str, Any]:
    """One page of a list method.

    Parameters
    ----------
    request
        Its ``pageSize`` (100 by default, 1,000 at most) and ``pageToken`` are used.
    field
        Name of the list in the answer.
    fetch
        ``fetch(after, limit)`` gives resources, ordered by id, whose ids come after *after*.
    scope
        What else the list depends on, its filter: a token is good for the same scope only.
    """
    size = _page_size(request.args.get("pageSize"))
    after = _read_token(request.args.get("pageToken", ""), scope)
    found = fetch(after, size + 1)
    answer: dict[str, Any] = {field: found[:size]} if found else {}
    if len(found) > size:
        answer["nextPageToken"] = _write_token(found[size - 1]["name"].rpartition("/")[2], scope)
    return answer


def _page_size(text: str | None) -> int:
    if text is None or text == "":
        return DEFAULT_PAGE
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidArgument("pageSize must be a whole number from 0 to 1000")
    return min(int(text) or DEFAULT_PAGE, MAX_PAGE)


def _write_token(after: str, scope: str) -> str:
    return base64.urlsafe_b64encode(f"{_digest(scope)}:{after}".encode()).decode().rstrip("=")


def _read_token(token: str, scope: str) -> str:
    if not token:
        return ""
    try:
        text = base64.b64decode(
            token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True
        ).decode()
    except (UnicodeError, binascii.Error) as exc:
        raise InvalidArgument("pageToken is none that this method gave") from exc
    digest, separator, after = text.partition(":")
    if not separator:
        raise InvalidArgument("pageToken is none that this method gave")
    if digest != _digest(scope):
        raise InvalidArgument("pageToken belongs to a list with another filter; repeat the filter of the first page")
    return after


def _digest(scope: str) -> str:
    return hashlib.sha256(scope.encode()).hexdigest()[:16] if scope else ""


def dataset_name(project: str, location: str, dataset: str) -> DatasetName:
    """The dataset that a path names, checked."""
    return DatasetName(project, location, dataset)


def store_name(project: str, location: str, dataset: str, store: str) -> DicomStoreName:
    """The DICOM store that a path names, checked."""
    return DatasetName(project, location, dataset).store(store)


def check_uids(**uids: str | None) -> None:
    """Raise ``InvalidArgument`` for a path component that is no UID."""
    for name, uid in uids.items():
        if uid is not None and not is_uid(uid):
            raise InvalidArgument(f"the {name} in the path is not a DICOM UID: 1 to 64 digits and dots")
